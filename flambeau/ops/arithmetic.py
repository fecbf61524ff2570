"""Sums, products, quotients, powers, rounding, and choosing between elements."""

from __future__ import annotations

import builtins
import functools
import warnings
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import dtypes
from flambeau.ops import on_kernels
from flambeau.ops.pointwise import (
    NUMBERS,
    binary,
    computed,
    expect_tensor,
    number_as,
    pointwise_rule,
    promoted,
    result_dtype,
    unary,
)
from flambeau.ops.table import Elementwise, Primitive, frozen, make_inplace, operator, overwrite
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state

_add = binary("add", np.add, {"input": lambda g: g, "other": lambda g: g})
_sub = binary("sub", np.subtract, {"input": lambda g: g, "other": lambda g: -g})
_mul = binary(
    "mul",
    np.multiply,
    {"input": lambda g, other: g * _conj(other), "other": lambda g, input: g * _conj(input)},
)
_div = binary(
    "div",
    np.true_divide,
    {
        "input": lambda g, other: g / _conj(other),
        "other": lambda g, input, other: -g * _conj((input / other) / other),
    },
    kind="float",
)
neg = operator(
    unary("neg", np.negative, lambda g: -g, kind="same", doc="`-input`, element by element."),
    inplace=True,
    out=True,
    aliases=("negative",),
)


def _conj(x: Any) -> Any:
    """The complex conjugate of a tensor or number; a real one as it is."""
    if isinstance(x, Tensor):
        return x.conj() if x._array.dtype.kind == "c" else x
    return x.conjugate() if isinstance(x, complex) else x


def _both_bool(a: Any, b: Any) -> bool:
    return result_dtype(a, b) is dtypes.bool_


def _scaled(other: Any, alpha: Any, common: Any) -> Any:
    if isinstance(alpha, Tensor) or alpha != 1:
        if not isinstance(alpha, Tensor) and isinstance(alpha, float) and common.kind < dtypes.FLOATING:
            raise RuntimeError(
                "For integral input tensors, argument alpha must not be a floating point number."
            )
        return other * alpha
    return other


@functools.cache  # once a process
def _tell_of_older_form(name: str, number: str) -> None:
    warnings.warn(
        f"This overload of {name} is deprecated: its number is the keyword argument {number!r}", UserWarning, stacklevel=4
    )


@operator(out=True)
def add(input: Tensor, other: Any, *older: Any, alpha: Any = 1) -> Tensor:
    """`input + alpha * other`, broadcast and promoted. `add(input, alpha, other)` is an older form."""
    if older:
        alpha, (other,) = other, older
        _tell_of_older_form("add", "alpha")
    if not _is_one(alpha):
        other = _times(other, alpha, input)
    return _add(input, other)


def _times(other: Any, alpha: Any, input: Any) -> Any:
    """`alpha * other`, as it is added to `input`."""
    if getattr(other, "_sparse", False) or getattr(input, "_sparse", False):
        return other * alpha
    return _scaled(other, alpha, result_dtype(input, other))


@operator(out=True, aliases=("subtract",))
def sub(input: Tensor, other: Any, *older: Any, alpha: Any = 1) -> Tensor:
    """`input - alpha * other`, broadcast and promoted. `sub(input, alpha, other)` is an older form.

    Raises `RuntimeError` on two bool tensors.
    """
    if older:
        alpha, (other,) = other, older
        _tell_of_older_form("sub", "alpha")
    if not _is_one(alpha):
        other = _times(other, alpha, input)
    if isinstance(input, Tensor) and input._array.dtype.kind == "b" and _both_bool(input, other):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    return _sub(input, other)


@operator(inplace=True)
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """`other - alpha * input`."""
    return sub(other, input, alpha=alpha)


mul = operator(_mul, name="mul", out=True, aliases=("multiply",))
_mul.__doc__ = "`input * other`, broadcast and promoted."


@operator(inplace=True, out=True, aliases=("divide",))
def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """`input / other`; `rounding_mode` "trunc" rounds to zero, "floor" down."""
    if rounding_mode is None:
        return _div(input, other)
    if rounding_mode == "floor":
        return _floor_div(input, other)
    if rounding_mode == "trunc":
        return _trunc_divide(input, other)
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )


@operator(inplace=True, out=True)
def true_divide(input: Tensor, other: Any) -> Tensor:
    """`input / other`, floating-point also for integers."""
    return _div(input, other)


def _integer_zero(x: np.ndarray, y: np.ndarray) -> None:
    if x.dtype.kind in "iu" and not np.all(y):
        raise RuntimeError("ZeroDivisionError")


def _floor_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    _integer_zero(x, y)
    return np.floor_divide(x, y)


def _trunc_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    _integer_zero(x, y)
    if x.dtype.kind in "iu":
        quotient = np.floor_divide(x, y)
        return quotient + ((quotient < 0) & (quotient * y != x))
    return np.trunc(np.divide(x, y))


floor_divide = operator(
    binary("floor_divide", _floor_quotient, doc="`floor(input / other)`."), inplace=True, out=True
)
_FLAT = {
    "input": lambda g, input_shape: g.new_zeros(input_shape),
    "other": lambda g, other_shape: g.new_zeros(other_shape),
}
_trunc_divide = binary("trunc_divide", _trunc_quotient, _FLAT)
#: As `floor_divide`, which has no derivative in PyTorch; this one's is zero.
_floor_div = binary("div_floor", _floor_quotient, _FLAT, lambda k, x, y: k.floor_divide(x, y))


def _remainder(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    _integer_zero(x, y)
    return np.remainder(x, y)


def _fmod(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    _integer_zero(x, y)
    return np.fmod(x, y)


remainder = operator(
    binary(
        "remainder",
        _remainder,
        {
            "input": lambda g: g,
            "other": lambda g, input, other: -g * div(input, other, rounding_mode="floor"),
        },
        doc="The remainder of `input / other` with the sign of `other`.",
    ),
    inplace=True,
    out=True,
)
fmod = operator(
    binary(
        "fmod",
        _fmod,
        {
            "input": lambda g: g,
            "other": lambda g, input, other: -g * div(input, other, rounding_mode="trunc"),
        },
        doc="The remainder of `input / other` with the sign of `input`.",
    ),
    inplace=True,
    out=True,
)


def _power_of_base(g: Tensor, input: Any, other: Any) -> Tensor:
    if isinstance(other, Tensor):
        zero = other == 0
        return g * _conj((other * input ** (other - 1)).masked_fill(zero, 0))
    if other == 0:
        return _zero(g)
    return g * _conj(other * input ** (other - 1))


def _power_of_exponent(g: Tensor, input: Any, other: Tensor, out: Tensor) -> Tensor:
    if not isinstance(input, Tensor):
        base = wrap(np.asarray(input, out._array.dtype))
    else:
        base = input
    unknown = (base == 0) & ((other.real if other.is_complex() else other) >= 0)
    return g * _conj((out * base.log()).masked_fill(unknown, 0))


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind in "iu" and np.any(y < 0):
        # Integers wrap and negative powers truncate to 0, but 1 and -1 keep their powers.
        sign = np.where(y % 2 == 0, 1, x)
        whole = np.power(x, np.maximum(y, 0))
        return np.where(y >= 0, whole, np.where(np.abs(x) == 1, sign, 0))
    if x.dtype.kind == "f" and y.ndim == 0:
        # Small powers by products, as exact as PyTorch's.
        if y == 2:
            return x * x
        if y == 3:
            return x * x * x
        if y == 0.5:
            return np.sqrt(x)
        if y == -1:
            return np.divide(x.dtype.type(1), x)
    return np.power(x, y)


_pow = binary(
    "pow",
    lambda x, y: _power(x, y if isinstance(y, (np.ndarray, np.generic)) else np.asarray(y, x.dtype)),
    {"input": _power_of_base, "other": _power_of_exponent},
    lambda k, x, y: k.pow(x, y),
)


@operator(inplace=True, out=True)
def pow(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent`. Raises `RuntimeError` for integers to a negative whole number."""
    if isinstance(exponent, (int, np.integer)) and not isinstance(exponent, bool) and exponent < 0:
        if isinstance(input, Tensor) and input.dtype.kind == dtypes.INTEGER:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
    return _pow(input, exponent)


@operator(out=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent` in double precision."""
    wide = (
        dtypes.complex128
        if any(isinstance(x, complex) or (isinstance(x, Tensor) and x.is_complex()) for x in (input, exponent))
        else dtypes.float64
    )
    a = input.to(wide) if isinstance(input, Tensor) else number_as(input, wide)
    b = exponent.to(wide) if isinstance(exponent, Tensor) else number_as(exponent, wide)
    return _pow(a, b)


@operator(function_name=False)
def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """`float_power` in place, which needs double precision already. Raises `RuntimeError` of other dtypes."""
    result = float_power(frozen(self), exponent)
    if self.dtype is not result.dtype:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {self.dtype.tensor_type} but the operation's result requires "
            f"dtype {result.dtype.tensor_type}"
        )
    self._check_inplace()
    return overwrite(self, result, "float_power_")


@operator(inplace=True, out=True)
def square(input: Tensor) -> Tensor:
    """`input * input`."""
    return pow(input, 2)


def _halves(g: Tensor, input: Tensor, other: Tensor, wins: Tensor) -> Tensor:
    return where(wins, g, where(input == other, g / 2, 0))


maximum = operator(
    binary(
        "maximum",
        np.maximum,
        {
            "input": lambda g, input, other: _halves(g, input, other, input > other),
            "other": lambda g, input, other: _halves(g, input, other, other > input),
        },
        doc="The larger of each two elements; NaN wins. A tie halves the gradient.",
    ),
    out=True,
)
minimum = operator(
    binary(
        "minimum",
        np.minimum,
        {
            "input": lambda g, input, other: _halves(g, input, other, input < other),
            "other": lambda g, input, other: _halves(g, input, other, other < input),
        },
        doc="The smaller of each two elements; NaN wins. A tie halves the gradient.",
    ),
    out=True,
)
fmax = operator(
    binary(
        "fmax",
        np.fmax,
        {
            "input": lambda g, input, other: g.masked_fill(~((input >= other) | other.isnan()), 0),
            "other": lambda g, input, other: g.masked_fill((input >= other) | other.isnan(), 0),
        },
        doc="The larger of each two elements; NaN loses.",
    ),
    out=True,
)
fmin = operator(
    binary(
        "fmin",
        np.fmin,
        {
            "input": lambda g, input, other: g.masked_fill(~((input <= other) | other.isnan()), 0),
            "other": lambda g, input, other: g.masked_fill((input <= other) | other.isnan(), 0),
        },
        doc="The smaller of each two elements; NaN loses.",
    ),
    out=True,
)


# Choosing -----------------------------------------------------------------------------------------

_BITS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def _chosen(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.where`, for large arrays on their bits: NumPy's branches cost ten times as much there."""
    if c.size < 4096 or a.dtype != b.dtype or a.dtype.itemsize not in _BITS:
        return np.where(c, a, b)
    whole = _BITS[a.dtype.itemsize]
    first, second = (np.asarray(x).view(whole) for x in (a, b))
    shape = np.broadcast_shapes(c.shape, first.shape, second.shape)
    out = np.empty(shape, whole)
    bits, first, second = (np.broadcast_to(x, shape) for x in (c.view(np.int8), first, second))
    step = max(1, 32768 * len(out) // max(out.size, 1))  # rows at a time, so that what is between stays small
    for row in range(0, len(out), step):
        part = slice(row, row + step)
        chosen, other = out[part], second[part]
        np.negative(bits[part], out=chosen, casting="unsafe")  # all bits where true
        chosen &= first[part] ^ other
        chosen ^= other
    return out.view(a.dtype)


_where = Primitive(
    "where",
    "condition input other",
    _chosen,
    rule=lambda c, a, b: pointwise_rule("same")(c, a, b),
    derivative={
        "input": lambda g, condition: where(condition, g, 0),
        "other": lambda g, condition: where(condition, 0, g),
    },
    lowering=Elementwise(lambda k, c, a, b: k.select(c, a, b)),
)


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` is true, `other` elsewhere; with `condition` alone, `nonzero` as a tuple."""
    expect_tensor(condition, "where", "condition")
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition._array.dtype.kind != "b":
        if condition.dtype is not dtypes.uint8:
            raise RuntimeError(
                f"where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{condition.dtype.tensor_type}"
            )
        condition = condition.bool()
    (a, b), common = promoted((input, other), "same")
    a, b = (x if isinstance(x, Tensor) else wrap(np.asarray(number_as(x, common), common.numpy)) for x in (a, b))
    return _where(condition, a, b)


operator(where, method=False, out=True)
Tensor.where = lambda self, condition, other: where(condition, self, other)  # type: ignore[attr-defined]


@operator(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value` where `mask` is true, `input` elsewhere. Raises `RuntimeError` for a mask that is not bool."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._array.ndim} dimension(s)."
            )
        value = value.to(input.dtype)
    elif not dtypes.can_cast(dtypes.dtype_of_number(value), input.dtype) and input.dtype.kind < 2:
        if isinstance(value, (float, complex)) and input.dtype.kind < 2 and value != int(value.real):
            raise RuntimeError(
                f"value cannot be converted to type {input.dtype.name} without overflow"
            )
    if not isinstance(value, Tensor):
        value = wrap(np.asarray(number_as(value, input.dtype), input.dtype.numpy))
    return _where(mask, value, input)


_REAL = (float, int, type(None))


def _limited_by_numbers(x: np.ndarray, min: Any, max: Any) -> Any:
    fast = on_kernels.limited(x, min, max) if x.size >= on_kernels.CHAINED else None
    if fast is not None:
        return fast
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


_clamp = Primitive(
    "clamp",
    "input",
    computed(_limited_by_numbers, "same"),
    rule=pointwise_rule("same"),
    derivative={"input": lambda g, input, min, max: _clamp_gradient(g, input, min, max)},
    lowering=Elementwise(lambda k, x, min, max: k.clamp(x, min, max)),
)


def _clamp_gradient(g: Tensor, input: Tensor, min: Any, max: Any) -> Tensor:
    inside = None
    for bound, keeps in ((min, Tensor.__ge__), (max, Tensor.__le__)):
        if bound is not None:
            kept = keeps(input, bound)
            inside = kept if inside is None else inside & kept
    return where(inside, g, 0)


@operator(inplace=True, out=True, aliases=("clip",))
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """`input` limited to [min, max]; either may be a number, a tensor or `None`. NaN stays NaN."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        out = input
        if min is not None:
            out = _limited(out, min, Tensor.__ge__)
        return out if max is None else _limited(out, max, Tensor.__le__)
    if input.dtype.kind == dtypes.FLOATING and min.__class__ in _REAL and max.__class__ in _REAL:
        kind = input._array.dtype.type
        return _clamp(input, min=None if min is None else kind(min), max=None if max is None else kind(max))
    common = result_dtype(input, *(b for b in (min, max) if b is not None))
    x = input if input.dtype is common else input.to(common)
    bounds = [None if b is None else np.asarray(number_as(b, common), common.numpy)[()] for b in (min, max)]
    return _clamp(x, min=bounds[0], max=bounds[1])


def _limited(input: Tensor, bound: Any, keeps: Any) -> Tensor:
    (a, b), common = promoted((input, bound), "same")
    if not isinstance(b, Tensor):
        b = wrap(np.asarray(number_as(b, common), common.numpy))
    return where(keeps(a, b) | a.isnan(), a, b)


@operator(inplace=True, out=True)
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`input`, at least `min`."""
    return clamp(input, min=min)


@operator(inplace=True, out=True)
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`input`, at most `max`."""
    return clamp(input, max=max)


# Signs and rounding -------------------------------------------------------------------------------

abs = operator(
    unary(
        "abs",
        np.absolute,
        lambda g, input: g * input.sgn(),
        kind="real",
        doc="The absolute value; of complex numbers the modulus.",
    ),
    inplace=True,
    out=True,
    aliases=("absolute",),
)


def _zero(g: Tensor) -> Tensor:
    return g.new_zeros(g.shape)


def _signs(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "b":
        return x.copy()
    return np.where(np.not_equal(x, x), np.zeros((), x.dtype), np.sign(x))  # of no number 0, as in PyTorch


sign = operator(unary("sign", _signs, _zero, kind="same", doc="-1, 0 or 1."), inplace=True, out=True)


def _sgn(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind != "c":
        return _signs(x)
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size))


def _sgn_gradient(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    if not input.is_complex():
        return _zero(g)
    along = (g * out.conj()).real
    return ((g - along * out) / input.abs()).masked_fill(input == 0, 0)


sgn = operator(
    unary("sgn", _sgn, _sgn_gradient, lambda k, x: k.sign(x), kind="same", doc="`x / |x|`, 0 at 0."),
    inplace=True,
    out=True,
)
def _whole(function: Any) -> Any:
    return lambda x: x if np.asarray(x).dtype.kind in "iub" else function(x)


floor = operator(
    unary("floor", _whole(np.floor), _zero, kind="same", doc="Rounds down."), inplace=True, out=True
)
ceil = operator(
    unary("ceil", _whole(np.ceil), _zero, kind="same", doc="Rounds up."), inplace=True, out=True
)
trunc = operator(
    unary("trunc", _whole(np.trunc), _zero, kind="same", doc="Rounds to zero."),
    inplace=True,
    out=True,
    aliases=("fix",),
)
_round = unary("round", _whole(np.rint), _zero, lambda k, x: k.rint(x), kind="same")


@operator(inplace=True, out=True)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Rounds to `decimals` places, halves to even."""
    if decimals == 0:
        return _round(input)
    if input.dtype.kind < dtypes.FLOATING:
        raise RuntimeError('"round_cpu" not implemented for integers with decimals')
    scale = 10.0 ** builtins.abs(decimals)
    if decimals > 0:
        return _round(input * scale) / scale
    return _round(input / scale) * scale





@operator(inplace=True, out=True)
def frac(input: Tensor) -> Tensor:
    """`input - trunc(input)`."""
    return input - trunc(input)


reciprocal = operator(
    unary(
        "reciprocal",
        lambda x: np.divide(np.asarray(1, x.dtype), x),
        lambda g, out: -g * _conj(out * out),
        doc="`1 / input`.",
    ),
    inplace=True,
    out=True,
)


def _divided_by(other: Any, input: Tensor) -> Tensor:
    """`other / input`, for a number the reciprocal times it: rounded as PyTorch's."""
    if isinstance(other, Tensor):
        return _div(other, input)
    inverse = reciprocal(input)
    return inverse if other == 1 else inverse * other


# Compositions -------------------------------------------------------------------------------------


@operator(inplace=True, out=True)
def addcmul(input: Tensor, tensor1: Any, tensor2: Any, *older: Any, value: Any = 1) -> Tensor:
    """`input + value * tensor1 * tensor2`. `addcmul(input, value, tensor1, tensor2)` is an older form."""
    if older:
        value, tensor1, (tensor2,) = tensor1, tensor2, older
        _tell_of_older_form("addcmul", "value")
    product = tensor1 * tensor2
    return input + (product if _is_one(value) else product * value)


@operator(inplace=True, out=True)
def addcdiv(input: Tensor, tensor1: Any, tensor2: Any, *older: Any, value: Any = 1) -> Tensor:
    """`input + value * tensor1 / tensor2`. Raises `RuntimeError` for integer tensors. `addcdiv(input, value, tensor1, tensor2)` is an older form."""
    if older:
        value, tensor1, (tensor2,) = tensor1, tensor2, older
        _tell_of_older_form("addcdiv", "value")
    if all(t.dtype.kind < dtypes.FLOATING for t in (tensor1, tensor2)):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will "
            "perform a true division of tensor1 and tensor2. The historic addcdiv behavior can be "
            "implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer "
            "inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv "
            "behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all "
            "dtypes."
        )
    scaled = tensor1 if _is_one(value) else tensor1 * value
    return input + scaled / tensor2


def _is_one(value: Any) -> bool:
    return isinstance(value, NUMBERS) and value == 1


@operator(inplace=True, out=True)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """`input + weight * (end - input)`, computed from the nearer end."""
    if not isinstance(weight, Tensor):
        if builtins.abs(weight) < 0.5:
            return input + weight * (end - input)
        return end - (end - input) * (1 - weight)
    return where(weight.abs() < 0.5, input + weight * (end - input), end - (end - input) * (1 - weight))


def _in_place(name: str, ufunc: Any, f: Any, takes_alpha: bool = False) -> Any:
    """The in-place form of `f`; without a gradient, and where NumPy's result is PyTorch's, by one ufunc."""
    general = make_inplace(f, name)

    def call(self: Tensor, other: Any, *older: Any, **options: Any) -> Tensor:
        if not options and not older and not state.busy and self._view is None and not (
            self._requires_grad and modes.grad_enabled
        ):
            array = self._array
            if isinstance(other, Tensor):
                fits = (
                    other._array.dtype is array.dtype
                    and array.dtype.kind in "fc"
                    and not (other.requires_grad and modes.grad_enabled)
                )
                value = other._array
            else:
                fits = (other.__class__ is float or other.__class__ is int) and array.dtype.kind == "f"
                value = other
            if fits and (self._extra is None or not self._extra.inference):
                try:
                    ufunc(array, value, array)
                except ValueError:
                    return general(self, other)  # raises PyTorch's error
                if self._changes is None:
                    self._changes = [1]
                else:
                    self._changes[0] += 1
                return self
        return general(self, other, *older, **options)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = general.__doc__
    return call


for _f, _ufunc, _names in (
    (add, np.add, ("add_", "__iadd__")),
    (sub, np.subtract, ("sub_", "subtract_", "__isub__")),
    (mul, np.multiply, ("mul_", "multiply_", "__imul__")),
):
    for _name in _names:
        setattr(Tensor, _name, _in_place(_name, _ufunc, _f))


def _reflected(f: Any) -> Any:
    return lambda self, other: f(other, self)


def _or_not_implemented(f: Any, reflected: bool = False) -> Any:
    """An operator method: `NotImplemented` for what is neither a tensor nor a number."""

    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, int, float, complex, np.generic)):
            return f(other, self) if reflected else f(self, other)
        if isinstance(other, np.ndarray):
            return f(wrap(other), self) if reflected else f(self, wrap(other))
        return NotImplemented

    return method


Tensor.__add__ = _or_not_implemented(_add)  # type: ignore[attr-defined]
Tensor.__radd__ = _or_not_implemented(_add)  # type: ignore[attr-defined]
Tensor.__sub__ = _or_not_implemented(sub)  # type: ignore[attr-defined]
Tensor.__rsub__ = _or_not_implemented(sub, reflected=True)  # type: ignore[attr-defined]
Tensor.__mul__ = Tensor.__rmul__ = _or_not_implemented(_mul)  # type: ignore[attr-defined]
Tensor.__truediv__ = _or_not_implemented(_div)  # type: ignore[attr-defined]
Tensor.__rtruediv__ = _or_not_implemented(_divided_by, reflected=True)  # type: ignore[attr-defined]
Tensor.__div__, Tensor.__rdiv__ = Tensor.__truediv__, Tensor.__rtruediv__  # type: ignore[attr-defined]
Tensor.__floordiv__ = _or_not_implemented(floor_divide)  # type: ignore[attr-defined]
Tensor.__rfloordiv__ = _or_not_implemented(floor_divide, reflected=True)  # type: ignore[attr-defined]
Tensor.__mod__ = _or_not_implemented(remainder)  # type: ignore[attr-defined]
Tensor.__rmod__ = _or_not_implemented(remainder, reflected=True)  # type: ignore[attr-defined]
Tensor.__pow__ = _or_not_implemented(pow)  # type: ignore[attr-defined]
Tensor.__rpow__ = _or_not_implemented(pow, reflected=True)  # type: ignore[attr-defined]
Tensor.__neg__ = neg  # type: ignore[attr-defined]


@operator
def positive(input: Tensor) -> Tensor:
    """`+input`: the tensor itself. Raises `RuntimeError` for a bool tensor."""
    if input._array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


Tensor.__pos__ = positive  # type: ignore[attr-defined]
Tensor.__abs__ = abs  # type: ignore[attr-defined]
for _name, _f in (
    ("truediv", _div), ("floordiv", floor_divide),
    ("mod", remainder), ("pow", pow),
):  # fmt: skip
    setattr(Tensor, f"__i{_name}__", make_inplace(_f, f"__i{_name}__"))
Tensor.__idiv__ = Tensor.__itruediv__  # type: ignore[attr-defined]
Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]  # NumPy arrays leave `array + tensor` to us
