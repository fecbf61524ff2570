"""PyTorch's CPU random generator: the same seed gives the same numbers, bit for bit.

The engine is the 32-bit Mersenne Twister (Matsumoto and Nishimura, ACM TOMACS 1998), seeded by
`init_genrand` of the low 32 bits. What makes PyTorch's numbers its own is how many words each
distribution takes and how it turns them into numbers; the methods of `Generator` follow
`aten/src/ATen/core/DistributionsHelper.h` and `ATen/native/cpu/DistributionTemplates.h`.

A method returns a new array whose values stand in the order in which PyTorch fills a tensor.
That is the order of the elements in memory, which for a tensor that is not contiguous is not
the order of its indices: write such values through `memory_order(destination)`. `normal` also
draws differently for such a tensor and takes `contiguous=False`.

Where PyTorch gives different numbers on different processors (its x86 build on Intel processors
takes `bernoulli_(p)` and `exponential_` from Intel's MKL), these are the ones it gives on all
others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

import ml_dtypes
import numpy as np

from . import rejection
from .box_muller import fma32, fma64, libm, normals32, normals64
from .device import check_device, device
from .twister import STATE, Twister, kernels_are_worth

__all__ = [
    "Generator",
    "base_seed",
    "default_generator",
    "get_state",
    "initial_seed",
    "manual_seed",
    "memory_order",
    "seed",
    "seed_worker",
    "set_state",
]

Array = np.ndarray
Shape = int | Sequence[int]

BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)
UINT64 = np.dtype(np.uint64)
FLOAT16 = np.dtype(np.float16)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)

#: Bits of the significand; every whole number up to 2**digits is exact.
_DIGITS = {FLOAT16: 11, BFLOAT16: 8, FLOAT32: 24, FLOAT64: 53}
_LARGEST = {dtype: float(ml_dtypes.finfo(dtype).max) for dtype in _DIGITS}
_REAL_OF_COMPLEX: dict[np.dtype, np.dtype] = {np.dtype(np.complex64): FLOAT32, np.dtype(np.complex128): FLOAT64}
#: Dtypes that hold numbers of the whole 64-bit range.
_SPANS_64_BITS = {INT64, FLOAT64, FLOAT32, BFLOAT16}
#: From this many values on, `random_(from, to)` takes 64 bits, lest the remainder be uneven.
_WIDE_SPAN = 1 << 28
_C_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short",
    "int32": "int", "int64": "long", "uint16": "unsigned short", "uint32": "unsigned int",
    "uint64": "unsigned long", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
    "float32": "float", "float64": "double",
}  # fmt: skip
_TITLES = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int",
    "int64": "Long", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
    "float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
    "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip

_DEFAULT_SEED = 67280421310721  # of a Generator nobody has seeded
_CHUNK = 1 << 14  # numbers transformed at a time, to stay in the cache
_MASK24, _MASK53 = np.uint32((1 << 24) - 1), np.uint64((1 << 53) - 1)
_MASK63, _ODDS53 = np.uint64((1 << 63) - 1), np.uint64((1 << 53) + 1)
_TINY24, _TINY53 = np.float32(2.0**-24), np.float64(2.0**-53)


#: Nanoseconds that NumPy takes for a number, if it need not ask the C library for it, and if it must.
_QUICK, _SLOW = 3.0, 60.0
_UNIT = (1.0, 0.0, 1.0, 0.0)


def _uniform_parameters(low: float, high: float, dtype: np.dtype) -> tuple[float, ...]:
    """high - low, low, and then high and low as `dtype` has them."""
    if low == 0.0 and high == 1.0:
        return _UNIT
    if dtype == FLOAT64:
        return high - low, low, high, low
    first, last = np.float32(low), np.float32(high)
    return float(last - first), float(first), float(np.asarray(high, dtype)), float(np.asarray(low, dtype))


def _largest(dtype: np.dtype) -> int:
    """The largest whole number of a dtype that `random_()` draws for."""
    if dtype == BOOL:
        return 1
    if dtype.kind not in "iuf" or dtype.name in ("uint16", "uint32", "uint64"):
        raise _not_implemented("random_kernel_cpu", dtype)
    return (1 << _DIGITS[dtype]) if dtype.kind == "f" else int(np.iinfo(dtype).max)


def _seed_in_64_bits(seed: int) -> int:
    if not -(1 << 63) <= seed < 1 << 64:
        raise ValueError("Overflow when unpacking long long")
    return seed & 0xFFFFFFFFFFFFFFFF


def _count(shape: Shape) -> int:
    return shape if isinstance(shape, int) else math.prod(shape)


def _parts(numbers: Array) -> Iterable[Array]:
    """Views of `numbers` from first to last, each small enough for the cache."""
    if numbers.size <= _CHUNK:
        return (numbers,) if numbers.size else ()
    return (numbers[start : start + _CHUNK] for start in range(0, numbers.size, _CHUNK))


def _number(x: float) -> str:
    """A number as C++ streams print it, for messages that equal PyTorch's."""
    return f"{x:g}"


def _not_implemented(kernel: str, dtype: np.dtype) -> NotImplementedError:
    return NotImplementedError(f"\"{kernel}\" not implemented for '{_title(dtype)}'")


def _require_floating(dtype: np.dtype, kernel: str) -> None:
    if dtype not in _DIGITS:
        raise _not_implemented(kernel, dtype)


def _title(dtype: np.dtype) -> str:
    return _TITLES.get(dtype.name, dtype.name)


def _from_float64(values: Array, dtype: np.dtype) -> Array:
    """float64 numbers as `dtype`; half precision is reached through float32, as in PyTorch."""
    if dtype == FLOAT64:
        return values
    if dtype in (FLOAT16, BFLOAT16):
        values = values.astype(np.float32)
    return values.astype(dtype)


class Generator:
    """A stream of random numbers with its own state, as `torch.Generator` on the CPU."""

    __slots__ = ("__weakref__", "_engine", "_next_double", "_next_float")

    def __init__(self, device: str | device = "cpu"):
        check_device(device)
        self._engine = Twister(_DEFAULT_SEED)
        # The second normal of a pair, not yet handed out. The CPU never sets the float32 one,
        # but a state may bring it.
        self._next_double: float | None = None
        self._next_float: float | None = None

    # ---- seeds and states

    @property
    def device(self) -> device:
        """Where the generator draws: always the CPU."""
        return check_device("cpu")

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of `seed`, from -2**63 to 2**64 - 1; negative seeds wrap around."""
        if isinstance(seed, float | str | bytes) or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self._engine.reseed(_seed_in_64_bits(seed.__index__()))
        self._next_double = self._next_float = None
        return self

    def seed(self) -> int:
        """Starts a stream from the system's randomness; returns its seed, of 53 bits."""
        fresh = int.from_bytes(os.urandom(8), "little") & 0x1FFFFFFFFFFFFF
        self.manual_seed(fresh)
        return fresh

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._engine.seed

    def get_state(self) -> Array:
        """The state as 5056 bytes, PyTorch's own layout: `torch.set_rng_state` takes them."""
        state = np.zeros((), STATE)
        self._engine.save(state)
        if self._next_double is not None:
            state["has_double"], state["double"] = 1, self._next_double
        if self._next_float is not None:
            state["has_float"], state["float"] = 1, self._next_float
        return np.frombuffer(bytearray(state.tobytes()), np.uint8)

    def set_state(self, state: Array) -> Generator:
        """Continues from a state of `get_state` or `torch.get_rng_state().numpy()`."""
        if not isinstance(state, np.ndarray) and hasattr(state, "numpy"):
            state = state.numpy()
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.size != STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE.itemsize} but found the "
                f"input RNG state size to be {state.size}"
            )
        fields = np.frombuffer(state.tobytes(), STATE)[0]
        self._engine.restore(fields)
        self._next_double = float(fields["double"]) if fields["has_double"] else None
        self._next_float = float(fields["float"]) if fields["has_float"] else None
        return self

    def clone_state(self) -> Generator:
        """A second generator that will draw the same numbers."""
        return type(self)().set_state(self.get_state())

    def __reduce__(self) -> tuple:
        return _unpickle, (self.get_state(),)

    # ---- raw numbers

    def random(self) -> int:
        """The next 32 bits."""
        return int(self._engine.words(1)[0])

    def random64(self) -> int:
        """The next 64 bits."""
        high, low = self._engine.words(2).tolist()
        return high << 32 | low

    def _drawn(
        self, distribution: str, shape: Shape, dtype: np.dtype, nanoseconds: float, *parameters: float,
        source: Array | None = None, out: Array | None = None,
    ) -> Array | None:  # fmt: skip
        """Numbers of a distribution of `flambeau.kernels.random`, flat, in `out` if that is given; `None` where NumPy,
        which takes so long for one, is to draw them.
        """
        count = _count(shape)
        if not kernels_are_worth(count, nanoseconds):
            return None
        numbers = np.empty(count, dtype) if out is None else out.reshape(-1)
        self._engine.fill(distribution, numbers, parameters, source)
        return numbers

    def _uniform32(self, count: int) -> Array:
        """float32 in [0, 1), multiples of 2**-24."""
        drawn = self._drawn("uniform", count, FLOAT32, _QUICK, *_UNIT)
        if drawn is not None:
            return drawn
        numbers = np.empty(count, np.float32)
        for part in _parts(numbers):
            part[:] = self._engine.words(part.size) & _MASK24
            part *= _TINY24
        return numbers

    def _uniform64(self, count: int) -> Array:
        """float64 in [0, 1), multiples of 2**-53."""
        drawn = self._drawn("uniform", count, FLOAT64, _QUICK, *_UNIT)
        if drawn is not None:
            return drawn
        numbers = np.empty(count, np.float64)
        for part in _parts(numbers):
            part[:] = self._engine.words64(part.size) & _MASK53
            part *= _TINY53
        return numbers

    # ---- uniform numbers

    def uniform(
        self, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: np.dtype = FLOAT32, out: Array | None = None
    ) -> Array:
        """Numbers of [low, high), as `Tensor.uniform_`; where `out` lies in order, they may be written there."""
        real = _REAL_OF_COMPLEX.get(dtype)
        if real is not None:
            pairs = self.uniform(2 * _count(shape), low, high, real)
            return pairs.view(dtype).reshape(shape)
        _require_floating(dtype, "check_uniform_bounds")
        if low != 0.0 or high != 1.0:
            _check_uniform_bounds(low, high, dtype)
        drawn = self._drawn("uniform", shape, dtype, _QUICK, *_uniform_parameters(low, high, dtype), out=out)
        if drawn is not None:
            return drawn.reshape(shape)
        if dtype == FLOAT64:
            numbers = self._uniform64(_count(shape))
            if low != 0.0 or high != 1.0:
                numbers = fma64(numbers, high - low, low)
                numbers[numbers == high] = low
            return numbers.reshape(shape)
        numbers = self._uniform32(_count(shape))
        if low != 0.0 or high != 1.0:
            first, last = np.float32(low), np.float32(high)
            width = float(last - first)
            for part in _parts(numbers):
                part[:] = fma32(part.astype(np.float64), width, float(first))
        if dtype != FLOAT32:
            numbers = numbers.astype(dtype)
        if dtype != FLOAT32 or low != 0.0 or high != 1.0:
            numbers[numbers == np.asarray(high, dtype)] = low  # rounded up to the excluded end
        return numbers.reshape(shape)

    # ---- whole numbers

    def random_(self, shape: Shape, dtype: np.dtype = INT64) -> Array:
        """Whole numbers up to the largest of `dtype`, or 2**digits, as `random_()`."""
        count = _count(shape)
        if dtype in _DIGITS and dtype != FLOAT64:
            return self.randint(0, (1 << _DIGITS[dtype]) + 1, shape, dtype)
        largest = _largest(dtype)
        if dtype != FLOAT64:
            drawn = self._drawn("masked", shape, dtype, _QUICK, largest)
            if drawn is not None:
                return drawn.reshape(shape)
        if dtype in (INT64, FLOAT64):
            values = np.empty(count, dtype)
            for part in _parts(values):
                words = self._engine.words64(part.size)
                part[:] = words & _MASK63 if dtype == INT64 else words % _ODDS53
            return values.reshape(shape)
        return (self._engine.words(count) & np.uint32(largest)).astype(dtype).reshape(shape)

    def randint(
        self, low: int, high: int | None, shape: Shape, dtype: np.dtype = INT64
    ) -> Array:
        """Whole numbers of [low, high), as `torch.randint` and `Tensor.random_(low, high)`.

        `high=None` means up to and including the largest number of `dtype`.
        """
        low, span = _integer_range(low, high, dtype)
        if span == 1 << 64 and dtype not in _SPANS_64_BITS:
            raise RuntimeError(
                "random_full_64_bits_range_kernel_cpu handles only int64, double, float and "
                "bfloat16"
            )
        if span < _WIDE_SPAN:
            drawn = self._drawn("remainder", shape, dtype, _QUICK, span, 1 / span, low)
            if drawn is not None:
                return drawn.reshape(shape)
        through = np.dtype(np.float32) if dtype in (FLOAT16, BFLOAT16) else dtype
        values = np.empty(_count(shape), through)
        for part in _parts(values):
            if span == 1 << 64:
                part[:] = self._engine.words64(part.size).view(np.int64)
            elif span >= _WIDE_SPAN:
                words = self._engine.words64(part.size) % np.uint64(span)
                part[:] = words.view(np.int64) + low
            elif low:
                words = _remainder(self._engine.words(part.size), span)
                part[:] = words.astype(np.int64) + low
            else:
                part[:] = _remainder(self._engine.words(part.size), span)
        return values.astype(dtype, copy=False).reshape(shape)

    def randperm(self, n: int, dtype: np.dtype = INT64) -> Array:
        """The numbers 0 to n - 1 in random order, as `torch.randperm`."""
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
        largest = 1 << _DIGITS[dtype] if dtype in _DIGITS else np.iinfo(dtype).max
        if n > largest + (dtype not in _DIGITS):
            raise RuntimeError(
                f"value cannot be converted to type {_c_type(dtype)} without overflow"
            )
        if n >= 0xFFFFFFFF // 20:
            order = self._randperm_of_many(n)
        else:
            order = self._shuffled(n)
        return order.astype(dtype, copy=False)

    def _shuffled(self, n: int) -> Array:
        drawn = self._drawn("masked", max(n - 1, 0), np.dtype(np.uint32), 50, 0xFFFFFFFF)
        if drawn is not None:
            from flambeau.kernels import random as kernels

            order = np.empty(n, np.int64)
            kernels.shuffle(drawn, order)
            return order
        offsets = self._engine.words(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint32)
        return _shuffle_few(offsets, n) if n < 500 else _shuffle(offsets, n)

    def _randperm_of_many(self, n: int) -> Array:
        """The inside-out shuffle with 64-bit draws, for where 32 bits would be uneven."""
        order = np.arange(n, dtype=np.int64)
        for start in range(0, n, _CHUNK):
            places = np.arange(start + 1, min(n, start + _CHUNK) + 1, dtype=np.uint64)
            for i, z in enumerate((self._engine.words64(places.size) % places).tolist(), start):
                order[i] = order[z]
                order[z] = i
        return order

    # ---- normal numbers

    def normal(
        self,
        shape: Shape,
        mean: float | Array = 0.0,
        std: float | Array = 1.0,
        dtype: np.dtype = FLOAT32,
        contiguous: bool = True,
        out: Array | None = None,
    ) -> Array:
        """Normal numbers, as `Tensor.normal_` and `torch.normal`.

        `mean` and `std` may be arrays that broadcast to `shape`. Complex numbers have
        independent parts, each of half the variance. `contiguous=False` draws as PyTorch does
        for a destination that is not: one pair at a time. Where `out` lies in order, the numbers
        may be written there.
        """
        if isinstance(mean, np.ndarray) or isinstance(std, np.ndarray):
            return self._normal_of_arrays(shape, mean, std, dtype)
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {_number(std)}")
        real = _REAL_OF_COMPLEX.get(dtype)
        if real is not None:
            parts = self.normal(2 * _count(shape), mean, std / math.sqrt(2), real, contiguous)
            return parts.view(dtype).reshape(shape)
        _require_floating(dtype, "normal_kernel_cpu")
        count = _count(shape)
        if count < 16 or not contiguous:
            return _from_float64(self._paired_normals(count, mean, std), dtype).reshape(shape)
        whole = count & ~15
        drawn = self._drawn("normal", whole, dtype, _SLOW, mean, std, out=out if whole == count else None)
        if drawn is not None:
            return self._with_last_block(drawn, count, mean, std).reshape(shape)
        transform, uniform = (
            (normals64, self._uniform64) if dtype == FLOAT64 else (normals32, self._uniform32)
        )
        if dtype in (FLOAT32, FLOAT64):
            numbers = uniform(count)
        else:  # half precision does not draw for a last block that is not full
            numbers = np.empty(count, np.float32)
            numbers[:whole] = uniform(whole)
        transform(numbers[:whole], mean, std)
        if whole != count:
            # The last 16 are drawn anew, though some of them are filled already.
            tail = uniform(16)
            transform(tail, mean, std)
            numbers[-16:] = tail
        return numbers.astype(dtype, copy=False).reshape(shape)

    def _with_last_block(self, numbers: Array, count: int, mean: float, std: float) -> Array:
        """`numbers` and as many as make `count`. The last 16 of all are drawn anew, though some are filled already."""
        if len(numbers) == count:
            return numbers
        if numbers.dtype in (FLOAT32, FLOAT64):  # half precision does not draw for a block that is not full
            self._engine.words((count - len(numbers)) * (numbers.itemsize // 4))
        tail = np.empty(16, numbers.dtype)
        self._engine.fill("normal", tail, (mean, std))
        return np.concatenate((numbers[: count - 16], tail))

    def _normal_of_arrays(
        self, shape: Shape, mean: float | Array, std: float | Array, dtype: np.dtype
    ) -> Array:
        if not isinstance(std, np.ndarray):
            return self.normal(shape, 0.0, std, dtype) + np.asarray(mean, dtype)
        check_deviations(std)
        numbers = self.normal(shape, 0.0, 1.0, dtype)
        numbers *= std
        numbers += np.asarray(mean, dtype)
        return numbers

    def _paired_normals(
        self, count: int, mean: float, std: float, distribution: str = "paired", dtype: np.dtype = FLOAT64
    ) -> Array:
        """Normals drawn in pairs, or numbers whose logarithms they are; the second of a last pair waits for the next call."""
        if count == 0:
            return np.empty(0, dtype)
        kept, self._next_double = self._next_double, None
        alone = [] if kept is None else [kept]
        pairs, odd = divmod(count - len(alone), 2)
        bulk = self._drawn(distribution, 2 * pairs, dtype, _SLOW, mean, std)
        normals = alone + (self._pairs(pairs) if bulk is None else [])
        if odd:
            last, self._next_double = self._pairs(1)
            normals.append(last)
        values = np.array(normals, np.float64)
        if mean:
            values = fma64(values, std, mean)
        elif std != 1:
            values *= std
        if distribution == "log normal":
            values = libm(math.exp, values)
        values = _from_float64(values, dtype)
        return values if bulk is None else np.concatenate((values[: len(alone)], bulk, values[len(alone) :]))

    def _pairs(self, count: int) -> list[float]:
        """Pairs of standard normal numbers, each of an angle and a radius."""
        normals: list[float] = []
        numbers = iter(self._uniform64(2 * count).tolist())
        for angle, radius in zip(numbers, numbers, strict=True):
            angle *= 2 * math.pi
            radius = math.sqrt(-2.0 * math.log1p(-radius))
            normals += radius * math.cos(angle), radius * math.sin(angle)
        return normals

    def log_normal(
        self, shape: Shape, mean: float = 1.0, std: float = 2.0, dtype: np.dtype = FLOAT32
    ) -> Array:
        """Numbers whose logarithm is normal, as `Tensor.log_normal_`."""
        if not std > 0.0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={_number(std)}")
        _require_floating(dtype, "log_normal_cpu")
        return self._paired_normals(_count(shape), mean, std, "log normal", dtype).reshape(shape)

    # ---- other distributions

    def bernoulli(
        self, p: float | Array = 0.5, shape: Shape | None = None, dtype: np.dtype = FLOAT32, one: float = 1.0,
        out: Array | None = None,
    ) -> Array:  # fmt: skip
        """Ones with probability `p`, else zeros, as `Tensor.bernoulli_` and dropout's mask.

        A number `p` and a float64 array are compared with 53 random bits, any other array with
        24. With a number `p`, another number may stand for `one`, and where `out` lies in order, the numbers may be
        written there.
        """
        if dtype.kind == "c":
            raise _not_implemented("bernoulli_scalar_cpu_", dtype)
        if not isinstance(p, np.ndarray):
            if not 0 <= p <= 1:
                raise RuntimeError(
                    f"bernoulli_ expects p to be in [0, 1], but got p={_number(p)}"
                )
            shape = () if shape is None else shape
            # k * 2**-53 < p exactly when k < ceil(p * 2**53), which spares the conversion.
            bound = math.ceil(p * 2.0**53)
            drawn = self._drawn("bernoulli", shape, dtype, _QUICK, bound, one, out=out)
            if drawn is not None:
                return drawn.reshape(shape)
            ones = np.empty(_count(shape), dtype)
            for part in _parts(ones):
                part[:] = (self._engine.words64(part.size) & _MASK53) < np.uint64(bound)
            if one != 1.0:
                ones *= dtype.type(one)
            return ones.reshape(shape)
        shape = p.shape if shape is None else shape
        if not ((p >= 0) & (p <= 1)).all():
            raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
        if p.dtype == dtype and p.shape == shape and p.flags.c_contiguous and dtype in (FLOAT32, FLOAT64):
            drawn = self._drawn("bernoulli of", shape, dtype, _QUICK, source=p)
            if drawn is not None:
                return drawn.reshape(shape)
        if p.dtype == FLOAT64:
            numbers = self._uniform64(_count(shape))
        else:
            numbers, p = self._uniform32(_count(shape)), p.astype(np.float32, copy=False)
        return (numbers.reshape(shape) < p).astype(dtype)

    def exponential(self, shape: Shape, lambd: float = 1.0, dtype: np.dtype = FLOAT32) -> Array:
        """Exponential numbers of rate `lambd`, as `Tensor.exponential_`."""
        if not lambd > 0.0:
            raise RuntimeError(
                f"exponential_ expects lambda > 0.0, but found lambda={_number(lambd)}"
            )
        if dtype not in _DIGITS:
            raise RuntimeError(
                "Exponential distribution is a continuous probability distribution. dtype must "
                f"be a floating point but you specified {_title(dtype)}"
            )
        drawn = self._drawn("exponential", shape, dtype, _SLOW, -1.0 / lambd)
        if drawn is not None:
            return drawn.reshape(shape)
        numbers = libm(math.log1p, -self._uniform64(_count(shape))) * (-1.0 / lambd)
        return _from_float64(numbers, dtype).reshape(shape)

    def geometric(self, p: float, shape: Shape, dtype: np.dtype = FLOAT32) -> Array:
        """Numbers of trials until the first success, as `Tensor.geometric_`."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={_number(p)}")
        drawn = self._drawn("geometric", shape, dtype, _SLOW, math.log1p(-p))
        if drawn is not None:
            return drawn.reshape(shape)
        uniforms = self._uniform64(_count(shape))
        uniforms[uniforms == 0] = 5e-324  # log(0) is an error in `math`
        trials = np.ceil(libm(math.log, uniforms) / math.log1p(-p))
        return _from_float64(trials, dtype).reshape(shape)

    def cauchy(
        self, shape: Shape, median: float = 0.0, sigma: float = 1.0, dtype: np.dtype = FLOAT32
    ) -> Array:
        """Cauchy numbers, as `Tensor.cauchy_`."""
        if not sigma > 0.0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={_number(sigma)}")
        if dtype not in _DIGITS:
            raise RuntimeError(
                "Cauchy distribution is a continuous probability distribution. dtype must be "
                f"a floating point but you specified {_title(dtype)}"
            )
        drawn = self._drawn("cauchy", shape, dtype, _SLOW, median, sigma)
        if drawn is not None:
            return drawn.reshape(shape)
        slopes = libm(math.tan, math.pi * (self._uniform64(_count(shape)) - 0.5))
        return _from_float64(fma64(slopes, sigma, median), dtype).reshape(shape)

    # ---- draws from given probabilities and rates

    def multinomial(
        self, probabilities: Array, num_samples: int, replacement: bool = False
    ) -> Array:
        """Indices drawn by weight along each row's last axis, as `torch.multinomial`."""
        check_multinomial(probabilities.shape, probabilities.dtype, num_samples, replacement)
        check_probabilities(probabilities)
        draws = self.multinomial_draws(probabilities.shape, probabilities.dtype, num_samples, replacement)
        return chosen_by_weight(probabilities, draws, num_samples, replacement)

    def multinomial_draws(self, shape: Shape, dtype: np.dtype, num_samples: int, replacement: bool) -> Array:
        """What `multinomial` draws for probabilities of a shape and dtype: a uniform number for each index, or a time
        of waiting for each category."""
        if replacement and num_samples > 1:
            return self.uniform((*shape[:-1], num_samples), dtype=FLOAT64)
        return self.exponential(shape, 1.0, dtype)

    def poisson(self, rates: Array) -> Array:
        """Counts of the given rates, as `torch.poisson`."""
        return _from_float64(rejection.poisson(self, rates), rates.dtype).reshape(rates.shape)

    def standard_gamma(self, concentration: Array) -> Array:
        """Gamma numbers of rate one, as `torch._standard_gamma`."""
        if concentration.dtype not in (FLOAT32, FLOAT64):
            raise _not_implemented("gamma_cpu", concentration.dtype)
        return rejection.standard_gamma(self, concentration).reshape(concentration.shape)

    def binomial(self, count: Array, prob: Array) -> Array:
        """Numbers of successes, as `torch.binomial`."""
        return rejection.binomial(self, count, prob)


def check_deviations(std: Array) -> None:
    """Raises `RuntimeError` for what is no standard deviation of `normal`."""
    if std.dtype.kind == "c":
        raise RuntimeError("normal expects standard deviation to be non-complex")
    if std.size and not std.min() >= 0:
        raise RuntimeError("normal expects all elements of std >= 0.0")


def chosen_by_weight(probabilities: Array, draws: Array, num_samples: int, replacement: bool) -> Array:
    """The indices that `Generator.multinomial` makes of its `multinomial_draws`."""
    if replacement and num_samples > 1:
        rows = probabilities.reshape(-1, probabilities.shape[-1])
        drawn = np.empty((len(rows), num_samples), np.int64)
        for row, uniform, indices in zip(rows, draws.reshape(drawn.shape), drawn, strict=True):
            wide = row if row.dtype == FLOAT64 else row.astype(np.float32)
            cumulative = np.add.accumulate(wide)  # one after another, as in PyTorch
            cumulative /= cumulative[-1]
            cumulative[-1] = 1
            indices[:] = cumulative.searchsorted(uniform)
        return drawn.reshape(*probabilities.shape[:-1], num_samples)
    # The largest p / Exp(1): the race that category i wins with probability p[i].
    with np.errstate(divide="ignore", invalid="ignore"):
        speeds = probabilities / draws
    if num_samples == 1:
        return speeds.argmax(-1, keepdims=True)
    return np.argsort(-speeds, axis=-1, kind="stable")[..., :num_samples]


def check_multinomial(shape: tuple[int, ...], dtype: np.dtype, num_samples: int, replacement: bool) -> None:
    """Raises `RuntimeError` for what `multinomial` does not take, whatever the probabilities are."""
    if not 0 < len(shape) <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if dtype not in _DIGITS:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {_title(dtype)}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if shape[-1] > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")


def check_probabilities(probabilities: Array) -> None:
    """Raises `RuntimeError` where nothing can be drawn with such weights."""
    if not ((probabilities >= 0) & (probabilities < np.inf)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (probabilities.sum(-1) == 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


def _remainder(words: Array, span: int) -> Array:
    """`words % span`, by a division that NumPy vectorises."""
    if span & (span - 1) == 0:
        return words & np.uint32(span - 1)
    quotient = words // np.uint32(span)
    quotient *= np.uint32(span)
    return np.subtract(words, quotient, out=quotient)


def _shuffle_few(offsets: Array, n: int) -> Array:
    """The shuffle of Fisher and Yates: place `i` changes with place `i + offsets[i]`."""
    order = list(range(n))
    for i, offset in enumerate(offsets.tolist()):
        j = i + offset
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def _shuffle(offsets: Array, n: int) -> Array:
    """What `_shuffle_few` returns, for large `n`, in whole-array steps.

    Step `i` sends what stands at place `i` to place `target[i] >= i` and fixes what stood
    there. What stands at a place is what the last earlier step sent there, so it is found by
    following steps back to one whose own place was still untouched.
    """
    places = np.arange(n, dtype=np.int64)
    target = places.copy()
    target[:-1] += offsets
    # Steps sorted by target, then by time: neighbours with one target are successive visits.
    visits = (target << 32) | places
    visits.sort()
    steps, visited = visits & 0xFFFFFFFF, visits >> 32
    again = visited[1:] == visited[:-1]
    earlier = np.full(n, -1, np.int64)  # the last step before i that had the target of step i
    earlier[steps[1:][again]] = steps[:-1][again]
    sender = places.copy()  # the last step before i that sent something to place i, or i
    away = steps != visited
    sender[visited[away]] = steps[away]
    while True:  # pointer jumping: the depth of the chains halves each time
        further = sender[sender]
        if np.array_equal(further, sender):
            break
        sender = further
    return np.where(earlier >= 0, sender[earlier], target)


def _check_uniform_bounds(low: float, high: float, dtype: np.dtype) -> None:
    largest = _LARGEST[dtype]
    for value, name in ((low, "from"), (high, "to")):
        if not -largest <= value <= largest:
            raise RuntimeError(f"{name} is out of bounds for {_C_NAMES[dtype.name]}")
    if not low <= high:
        raise RuntimeError(
            "uniform_ expects to return a [from, to) range, but found "
            f"from={_number(low)} > to={_number(high)}"
        )
    if not high - low <= largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{_title(dtype)}>::max(), but "
            f"found to={_number(high)} and from={_number(low)} which result in to-from to "
            "exceed the limit"
        )


def _c_type(dtype: np.dtype) -> str:
    name = dtype.name
    return f"{name}_t" if dtype.kind in "iu" else _C_NAMES[name]


def _as_whole(value: int, dtype: np.dtype) -> int:
    """`value` rounded to `dtype` and back, as C++ casts do."""
    return int(np.float32(value).astype(dtype) if dtype != FLOAT64 else np.float64(value))


def _integer_range(low: int, high: int | None, dtype: np.dtype) -> tuple[int, int]:
    """The first value and the number of values of `random_(low, high)`; raises as PyTorch does.

    For floating dtypes the ends move inwards where rounding would carry a value outside.
    """
    floating = dtype in _DIGITS
    if high is None:
        if low == -(1 << 63):
            return low, 1 << 64
        if floating:
            last = min(1 << _DIGITS[dtype], (1 << 63) - 1)
            low = _move_from(low, dtype)
            if low >= last:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than or equal to "
                    f"'to_inc' casted to dtype, but got from={low} > to_inc={last}"
                )
        elif dtype == BOOL:
            last = 1
        else:
            last = min(int(np.iinfo(dtype).max), (1 << 63) - 1)
    else:
        if low >= high:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
            )
        if floating:
            low, high = _move_from(low, dtype), _move_to(high, dtype)
            if low >= high:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than 'to' casted to "
                    f"dtype, but got from={low} >= to={high}"
                )
        last = high - 1
    if floating:
        largest: float = _LARGEST[dtype]
        smallest: float = -largest
    elif dtype == BOOL:
        smallest, largest = 0, 1
    elif dtype.kind in "iu":
        limits = np.iinfo(dtype)
        smallest, largest = int(limits.min), min(int(limits.max), (1 << 63) - 1)
    else:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    for value, name in ((low, "from"), (last, "to - 1")):
        if not smallest <= value <= largest:
            raise RuntimeError(f"{name} is out of bounds for {_C_NAMES[dtype.name]}")
    return low, last - low + 1


def _move_from(low: int, dtype: np.dtype) -> int:
    rounded = _as_whole(low + 1, dtype)
    if rounded < low:
        return rounded + (1 << (abs(low + 1).bit_length() - _DIGITS[dtype]))
    return low


def _move_to(high: int, dtype: np.dtype) -> int:
    rounded = _as_whole(high - 1, dtype)
    if rounded >= high:
        return rounded - (1 << (abs(high - 1).bit_length() - _DIGITS[dtype]))
    return high


def memory_order(destination: Array) -> Array:
    """A view of `destination` whose C order is the order in which PyTorch fills it.

    PyTorch walks the dimensions by stride, the longest outermost: a transposed or channels-last
    tensor is filled along its memory. So `x.uniform_()` is
    `view = memory_order(x); view[...] = generator.uniform(view.shape)`.
    """
    return destination.transpose(dimensions_by_stride(destination))


def dimensions_by_stride(destination: Array) -> list[int]:
    """The dimensions as PyTorch walks them, the outermost first."""
    inner_first = list(range(destination.ndim))[::-1]
    for i in range(1, destination.ndim):
        at = i
        for before in range(i - 1, -1, -1):
            a, b = inner_first[before], inner_first[at]
            swap = _walks_later(destination, a, b)
            if swap > 0:
                inner_first[before], inner_first[at] = b, a
                at = before
            elif swap < 0:
                break
    return inner_first[::-1]


def _walks_later(x: Array, a: int, b: int) -> int:
    """1 where dimension `a` belongs outside of `b`, -1 inside, 0 where strides do not tell."""
    stride_a, stride_b = x.strides[a], x.strides[b]
    if stride_a == 0 or stride_b == 0:
        return 0
    if stride_a != stride_b:
        return 1 if stride_a > stride_b else -1
    return 1 if x.shape[a] > x.shape[b] else 0


def _unpickle(state: Array) -> Generator:
    return Generator().set_state(state)


# ---- the default generator

default_generator = Generator()
default_generator.manual_seed(int.from_bytes(os.urandom(8), "little"))


def manual_seed(seed: int) -> Generator:
    """Starts the default generator's stream of `seed`, as `torch.manual_seed`."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Starts the default generator from the operating system's randomness; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def get_state() -> Array:
    """The default generator's state, as `torch.get_rng_state`."""
    return default_generator.get_state()


def set_state(state: Array) -> None:
    """Sets the default generator's state, as `torch.set_rng_state`."""
    default_generator.set_state(state)


# ---- data loading


def base_seed(generator: Generator | None = None) -> int:
    """The seed a `DataLoader` iterator or a `RandomSampler` draws for itself."""
    return int((generator or default_generator).random_((), INT64))


def seed_worker(base: int, worker: int) -> int:
    """Seeds the default generator of data-loading worker number `worker`; returns its seed."""
    own = base + worker
    manual_seed(own)
    return own
