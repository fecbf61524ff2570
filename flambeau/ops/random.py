"""Random numbers: PyTorch's draws, from `flambeau.core.generator`.

A draw depends on no computed value, so a compiled program takes it as an input: it is drawn anew at each
call, in the order of the eager program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import dtypes
from flambeau.core.dtypes import dtype
from flambeau.core.generator import (
    Generator,
    check_deviations,
    check_multinomial,
    check_probabilities,
    chosen_by_weight,
    default_generator,
    dimensions_by_stride,
)
from flambeau.core.shapes import as_shape
from flambeau.ops.creation import finish
from flambeau.ops.joining import stack
from flambeau.ops.required import required
from flambeau.ops.table import Primitive, Spec, operator, write_out
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state

Draw = Callable[[Generator], np.ndarray]


def draw(read: Draw, shape: Sequence[int], stored: np.dtype, generator: Generator | None) -> Tensor:
    """A tensor of what `read` draws; while tracing, an input drawn anew at each call."""
    source = default_generator if generator is None else generator
    if not isinstance(source, Generator):
        raise TypeError(f"generator must be a torch.Generator, not {type(source).__name__}")
    if state.tracer is not None:
        return wrap(state.tracer.host_array(lambda: read(source), tuple(shape), stored))
    return wrap(read(source))


def _created(name: str, read: Callable[[Generator, tuple[int, ...], np.dtype], np.ndarray], doc: str) -> Any:
    def call(
        *size: Any, generator: Generator | None = None, out: Tensor | None = None, dtype: dtype | None = None,
        requires_grad: bool = False, **options: Any,
    ) -> Tensor:  # fmt: skip
        if not size and "size" in options:
            size = (options.pop("size"),)
        shape = as_shape(size)
        if shape and min(shape) < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
        if dtype is None:
            dtype = out.dtype if out is not None else dtypes.get_default_dtype()
        stored = dtypes.as_dtype(dtype).numpy
        if out is None and generator is None and not (requires_grad or options or state.busy or modes.inference):
            return wrap(read(default_generator, shape, stored))
        made = draw(lambda g: read(g, shape, stored), shape, stored, generator)
        return _finished(made, requires_grad, out, options, name)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return operator(call, method=False)


def _finished(made: Tensor, requires_grad: bool, out: Tensor | None, options: dict, name: str) -> Tensor:
    options.pop("names", None)
    if state.tracer is not None:
        if out is not None:
            return out.copy_(made)
        return made
    return finish(made._array, requires_grad, out, name=name, **options)


rand = _created(
    "rand", lambda g, shape, stored: g.uniform(shape, dtype=stored), "Uniform numbers of [0, 1)."
)
randn = _created("randn", lambda g, shape, stored: g.normal(shape, dtype=stored), "Standard normal numbers.")


def _like(name: str, make: Any) -> Any:
    def call(input: Tensor, *args: Any, dtype: dtype | None = None, memory_format: Any = None, **options: Any) -> Tensor:
        return make(*args, tuple(input._array.shape), dtype=input.dtype if dtype is None else dtype, **options)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name[:-5]}` of the shape and dtype of `input`."
    return operator(call, method=False)


rand_like, randn_like = _like("rand_like", rand), _like("randn_like", randn)


@operator(method=False)
def randint(
    low: Any = None, high: Any = None, size: Any = None, *, generator: Generator | None = None,
    out: Tensor | None = None, dtype: dtype | None = None, requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """Whole numbers of [low, high), `low` 0 if left out: `randint(10, (2, 3))`, `randint(3, 10, (2,))`."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    elif low is None:
        low = 0
    shape, low, high = as_shape((size,)), int(low), int(high)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    stored = (dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)).numpy
    made = draw(lambda g: g.randint(low, high, shape, stored), shape, stored, generator)
    return _finished(made, requires_grad, out, options, "randint")


@operator(method=False)
def randint_like(
    input: Tensor, low: Any = None, high: Any = None, *, dtype: dtype | None = None, **options: Any
) -> Tensor:
    """`randint` of the shape and dtype of `input`."""
    options.pop("memory_format", None)
    if low is None and high is None:
        raise TypeError("randint_like() missing 1 required positional arguments: \"high\"")
    low, high = (0, low) if high is None else (low or 0, high)
    return randint(low, high, tuple(input._array.shape), dtype=input.dtype if dtype is None else dtype, **options)


@operator(method=False)
def randperm(
    n: int, *, generator: Generator | None = None, out: Tensor | None = None, dtype: dtype | None = None,
    requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """The numbers 0 to n - 1 in random order."""
    stored = (dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)).numpy
    made = draw(lambda g: g.randperm(n, stored), (n,), stored, generator)
    return _finished(made, requires_grad, out, options, "randperm")


#: Numbers drawn with the help of `source`, which gets a gradient of zeros, as in PyTorch.
_drawn_from = Primitive(
    "drawn_from",
    "made source",
    lambda made, source: made,
    rule=lambda made, source: made,
    derivative={"source": lambda g, source_shape: g.new_zeros(source_shape)},
)


@operator(method=False)
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
    out: Tensor | None = None, dtype: dtype | None = None, **options: Any,
) -> Tensor:  # fmt: skip
    """Normal numbers: of one mean and deviation in `size`, or with a tensor for either or both."""
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        stored = (dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)).numpy
        shape = as_shape((size,))
        made = draw(lambda g: g.normal(shape, float(mean), float(std), stored), shape, stored, generator)
        return made if out is None else write_out(out, made, "normal")
    from flambeau.core.shapes import broadcast_shapes

    arrays = [x._array if isinstance(x, Tensor) else x for x in (mean, std)]
    shape = broadcast_shapes(*[x._array.shape if isinstance(x, Tensor) else () for x in (mean, std)])
    stored = next(x._array.dtype for x in (mean, std) if isinstance(x, Tensor))
    if state.tracer is None:
        source = default_generator if generator is None else generator
        made = wrap(source.normal(shape, arrays[0], arrays[1], stored))
    else:
        spread = 1.0 if isinstance(std, Tensor) else float(std)
        numbers = draw(lambda g: g.normal(shape, 0.0, spread, stored), shape, stored, generator)
        made = _scaled(numbers, mean, std if isinstance(std, Tensor) else None)
    for x in (mean, std):
        if isinstance(x, Tensor):
            made = _drawn_from(made, x)
    return made if out is None else write_out(out, made, "normal")


def _scaled_array(numbers: np.ndarray, mean: Any, std: np.ndarray | None) -> np.ndarray:
    """As the generator makes numbers of its normal ones."""
    numbers = numbers.copy()
    if std is not None:
        check_deviations(std)
        numbers *= std
    numbers += np.asarray(mean, numbers.dtype)
    return numbers


_scaled = Primitive("normal", "numbers mean std?", _scaled_array, rule=lambda numbers, mean, std: numbers)


def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None, out: Tensor | None = None) -> Tensor:
    """1 with probability `p`, or for each element with the probability in `input`; else 0."""
    shape, stored = tuple(input._array.shape), input._array.dtype
    if p is not None:
        made = draw(lambda g: g.bernoulli(float(p), shape, stored), shape, stored, generator)
    elif state.tracer is not None:
        wide = np.dtype(np.float64 if stored == np.float64 else np.float32)
        uniform = draw(lambda g: g.uniform(shape, dtype=wide), shape, wide, generator)
        made = (uniform < input).to(input.dtype)
    else:
        source = default_generator if generator is None else generator
        made = wrap(source.bernoulli(input._array, shape, stored))
    made = _drawn_from(made, input)
    return made if out is None else write_out(out, made, "bernoulli")


operator(bernoulli)


def _filler(name: str, read: Any, doc: str, in_place: bool = False) -> Any:
    """An in-place filler: draws in the order of memory, as PyTorch walks a tensor.

    `in_place`: `read` takes the memory to write to, if that lies in order.
    """

    def call(self: Tensor, *args: Any, generator: Generator | None = None, **kwargs: Any) -> Tensor:
        self._check_inplace()
        array, stored = self._array, self._array.dtype
        if state.tracer is None and array.flags.c_contiguous:
            shape = array.shape
            if in_place and array.size and array.flags.writeable:
                kwargs["out"] = array
            return self._assign(draw(lambda g: read(g, shape, stored, *args, **kwargs), shape, stored, generator))
        order = dimensions_by_stride(array)
        walked = tuple(array.shape[d] for d in order)
        if name == "normal_" and not _in_order(array):
            kwargs["contiguous"] = False
        made = draw(lambda g: read(g, walked, stored, *args, **kwargs), walked, stored, generator)
        return self._assign(made.permute(sorted(range(len(order)), key=order.__getitem__)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return operator(call, name=name, function_name=False)


def _in_order(array: Any) -> bool:
    """Whether an array, or a symbol, lies in memory in the order of its indices, without gaps."""
    step = array.itemsize
    for size, stride in zip(reversed(array.shape), reversed(array.strides), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


def _random(g: Generator, shape: Any, stored: np.dtype, *bounds: Any, **named: Any) -> np.ndarray:
    low = named.get("from", 0)
    high = named.get("to")
    if len(bounds) == 1:
        high = bounds[0]
    elif bounds:
        low, high = bounds
    if high is None and not bounds and "from" not in named:
        return g.random_(shape, stored)
    return g.randint(int(low), None if high is None else int(high), shape, stored)


def _bernoulli(g: Generator, shape: Any, stored: np.dtype, p: Any = 0.5, **named: Any) -> np.ndarray:
    if isinstance(p, Tensor):
        return g.bernoulli(np.broadcast_to(p._array, shape), shape, stored)
    return g.bernoulli(float(p), shape, stored, **named)


uniform_ = _filler(
    "uniform_",
    lambda g, shape, stored, a=0.0, b=1.0, **k: g.uniform(shape, float(k.get("from", a)), float(k.get("to", b)), stored, k.get("out")),
    "Fills with uniform numbers of [from, to).",
    in_place=True,
)
normal_ = _filler(
    "normal_",
    lambda g, shape, stored, mean=0.0, std=1.0, **k: g.normal(shape, float(mean), float(std), stored, **k),
    "Fills with normal numbers.",
    in_place=True,
)
random_ = _filler("random_", _random, "Fills with whole numbers of [from, to).")
bernoulli_ = _filler("bernoulli_", _bernoulli, "Fills with 1 with probability `p`, else 0.", in_place=True)
exponential_ = _filler(
    "exponential_",
    lambda g, shape, stored, lambd=1.0: g.exponential(shape, float(lambd), stored),
    "Fills with exponential numbers of rate `lambd`.",
)
geometric_ = _filler(
    "geometric_",
    lambda g, shape, stored, p: g.geometric(float(p), shape, stored),
    "Fills with geometric numbers.",
)
cauchy_ = _filler(
    "cauchy_",
    lambda g, shape, stored, median=0.0, sigma=1.0: g.cauchy(shape, float(median), float(sigma), stored),
    "Fills with Cauchy numbers.",
)
log_normal_ = _filler(
    "log_normal_",
    lambda g, shape, stored, mean=1.0, std=2.0: g.log_normal(shape, float(mean), float(std), stored),
    "Fills with numbers whose logarithm is normal.",
)


@operator(out=True)
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Positions drawn with the weights in the rows of `input`: (m, n) -> (m, num_samples)."""
    if state.tracer is None:
        source = default_generator if generator is None else generator
        return wrap(source.multinomial(input._array, num_samples, replacement))
    shape, stored = tuple(input._array.shape), input._array.dtype
    check_multinomial(shape, stored, num_samples, replacement)
    read: Draw = lambda g: g.multinomial_draws(shape, stored, num_samples, replacement)
    if replacement and num_samples > 1:
        draws = draw(read, (*shape[:-1], num_samples), np.dtype(np.float64), generator)
    else:
        draws = draw(read, shape, stored, generator)
    if num_samples == 1:  # the race in which each category runs, in the program's kernels
        usable = ((input >= 0) & (input < math.inf)).all(), (input.sum(-1) != 0).all()
        winner = (input / draws).argmax(-1, keepdim=True)
        return winner + required(winner.new_zeros(()), stack(usable), _check_usable)
    return _chosen(input.detach(), draws, num_samples=num_samples, replacement=replacement)


def _check_usable(usable: np.ndarray) -> None:
    """Raises the error of weights that are not `usable`: (each one a weight, each sum one to divide by)."""
    if not usable.all():
        check_probabilities(np.array([0.0 if usable[0] else -1.0]))


def _chosen_array(weights: np.ndarray, draws: np.ndarray, num_samples: int, replacement: bool) -> np.ndarray:
    check_probabilities(weights)
    return chosen_by_weight(weights, draws, num_samples, replacement)


_chosen = Primitive(
    "multinomial",
    "weights draws",
    _chosen_array,
    rule=lambda weights, draws, num_samples, replacement: Spec((*weights.shape[:-1], num_samples), np.dtype(np.int64)),
)


@operator(method=False)
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability `p`, else divided by `1 - p`; `input` itself outside training.

    Srivastava et al., "Dropout", 2014. Raises `ValueError` unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0 or input._array.size == 0:
        return input
    if p == 1:
        out = input * 0
        return input.copy_(out) if inplace else out
    shape, stored = tuple(input._array.shape), input._array.dtype
    wide = np.dtype(np.float64 if stored == np.float64 else np.float32).type
    scale = float(wide(1) / wide(1 - p))
    out = input * draw(lambda g: g.bernoulli(1 - p, shape, stored, scale), shape, stored, None)
    return input.copy_(out) if inplace else out


__all__ = ["dropout", "math", "rand", "randint", "randn", "randperm"]
