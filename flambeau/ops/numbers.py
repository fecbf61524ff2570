"""Signs, neighbours, exponents and common divisors of numbers; logarithms of sums; angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.ops.pointwise import HOST, binary, expect_tensor, unary
from flambeau.ops.results import named_result
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor

Frexp = named_result("frexp", "mantissa", "exponent")


def _register(call: Any, **options: Any) -> Any:
    return operator(call, **{"inplace": True, "out": True, **options})


def _whole_only(x: Any, name: str) -> None:
    if isinstance(x, Tensor) and x.dtype.kind >= dtypes.FLOATING:
        raise RuntimeError(f'"{name}_cpu" not implemented for \'{x.dtype.tensor_type}\'')


def _size_with_sign(x: np.ndarray, y: Any) -> np.ndarray:
    return np.copysign(np.abs(x), y)


def _same_sign(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    return (g * (out / input)).masked_fill(input == 0, 0)


copysign = _register(
    binary(
        "copysign",
        _size_with_sign,
        {"input": _same_sign, "other": lambda g, other: g.masked_fill(other == other, 0)},
        HOST,
        kind="float",
        doc="The size of `input` with the sign of `other`.",
    )
)
nextafter = _register(
    binary(
        "nextafter",
        np.nextafter,
        {
            "input": lambda g, input, other: g.masked_fill(input == other, 0),
            "other": lambda g, other: g.masked_fill(other == other, 0),
        },
        HOST,
        doc="The number next to `input` on the way to `other`.",
    )
)
_hypot = binary(
    "hypot",
    np.hypot,
    {
        "input": lambda g, input, out: g * (input / out).masked_fill(out == 0, 0),
        "other": lambda g, other, out: g * (other / out).masked_fill(out == 0, 0),
    },
    HOST,
    doc="sqrt(input^2 + other^2), without overflow on the way.",
)
hypot = _register(_hypot)


@operator(inplace=True, out=True)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where `input` is negative, `values` where it is 0, 1 where it is positive."""
    expect_tensor(input, "heaviside")
    if isinstance(values, Tensor) and input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return _heaviside(input, values)


def _step(x: np.ndarray, at_zero: np.ndarray) -> np.ndarray:
    return np.where(np.equal(x, 0), at_zero, (x > 0).astype(x.dtype))


_heaviside = binary("heaviside", _step, None, HOST, doc="The step function.")


@operator(inplace=True, out=True)
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of whole numbers; never negative."""
    _whole_only(input, "gcd")
    return _gcd(input, other)


@operator(inplace=True, out=True)
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of whole numbers; never negative."""
    _whole_only(input, "lcm")
    return _lcm(input, other)


_gcd = binary("gcd", np.gcd, None, HOST)
_lcm = binary("lcm", lambda x, y: np.abs(np.lcm(x, y)), None, HOST)

# Exponents ----------------------------------------------------------------------------------------

_frexp = Primitive(
    "frexp",
    "input",
    lambda x: tuple(np.frexp(x)),
    rule=lambda x: (Spec(x.shape, x.dtype), Spec(x.shape, np.dtype(np.int32))),
    derivative={"input": lambda g, out: g[0] / _power_of_two(out[1], g[0])},
    outputs=2,
)


def _power_of_two(exponent: Tensor, like: Tensor) -> Tensor:
    return (exponent.to(like.dtype)).exp2()


@operator(out=True)
def frexp(input: Tensor) -> tuple[Tensor, Tensor]:
    """(mantissa, exponent) with input = mantissa 2^exponent and a mantissa in [0.5, 1)."""
    expect_tensor(input, "frexp")
    if input.dtype.kind != dtypes.FLOATING:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return Frexp(*_frexp(input))


@operator(inplace=True, out=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input times 2 to the power of `other`."""
    power = other if isinstance(other, Tensor) and other.dtype.kind >= dtypes.FLOATING else other.to(dtypes.get_default_dtype())
    return input * power.exp2()


# Logarithms of sums -------------------------------------------------------------------------------


def _weight(g: Tensor, own: Tensor, out: Tensor, base: float) -> Tensor:
    """`g` times the share that `own` has in the sum whose logarithm is `out`."""
    share = ((own - out) * base).exp()
    share = share.masked_fill((own == out) & own.isinf(), 1)
    return g * (share.conj() if share.is_complex() else share)


def _log_add_exp(x: Any, y: Any) -> Any:
    if not np.iscomplexobj(x) and not np.iscomplexobj(y):
        return np.logaddexp(x, y)
    greater = np.where(np.real(x) >= np.real(y), x, y)
    smaller = np.where(np.real(x) >= np.real(y), y, x)
    return np.where(np.isinf(greater) & (x == y), greater, greater + np.log1p(np.exp(smaller - greater)))


logaddexp = operator(
    binary(
        "logaddexp",
        _log_add_exp,
        {
            "input": lambda g, input, out: _weight(g, input, out, 1.0),
            "other": lambda g, other, out: _weight(g, other, out, 1.0),
        },
        HOST,
        doc="log(exp(input) + exp(other)), without overflow on the way.",
    ),
    out=True,
)
logaddexp2 = operator(
    binary(
        "logaddexp2",
        np.logaddexp2,
        {
            "input": lambda g, input, out: _weight(g, input, out, math.log(2)),
            "other": lambda g, other, out: _weight(g, other, out, math.log(2)),
        },
        HOST,
        doc="log2(2^input + 2^other), without overflow on the way.",
    ),
    out=True,
)


def _x_log_y(x: Any, y: Any) -> Any:
    return np.where(np.isnan(y), np.nan, np.where(x == 0, 0, x * np.log(np.where(x == 0, 1, y))))


_xlogy = binary(
    "xlogy",
    _x_log_y,
    {
        "input": lambda g, input, other: _xlogy(g, other).masked_fill((input == 0) & (other <= 0), 0),
        "other": lambda g, input, other: g * input / other,
    },
    HOST,
    kind="float",
    doc="input log(other), and 0 where `input` is 0.",
)
xlogy = _register(_xlogy)


@operator(inplace=True, out=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(p / (1 - p)); with `eps`, p is first clamped to [eps, 1 - eps]."""
    expect_tensor(input, "logit")
    x = input if input.dtype.kind >= dtypes.FLOATING else input.to(dtypes.get_default_dtype())
    if eps is not None:
        x = x.clamp(eps, 1 - eps)
        return (x / (1 - x)).log()
    return _logit(x)


def _logit_array(x: np.ndarray) -> np.ndarray:
    return np.log(x / (1 - x))


_logit = unary(
    "logit", _logit_array, lambda g, input: (g / (input * (1 - input))).masked_fill((input < 0) | (input > 1), math.nan), HOST
)


def _running_logsumexp(x: np.ndarray, dim: int) -> np.ndarray:
    if not x.ndim:
        return x.copy()
    if x.dtype.kind != "c":
        return np.logaddexp.accumulate(x, axis=dim)
    out = x.copy()
    moved = np.moveaxis(out, dim, 0)
    for i in range(1, len(moved)):
        a, b = moved[i - 1], moved[i]
        swap = b.real > a.real
        high, low = np.where(swap, b, a), np.where(swap, a, b)
        moved[i] = high + np.log1p(np.exp(low - high))
    return out


def _running_shares(g: Tensor, input: Tensor, out: Tensor, dim: int) -> Tensor:
    """sum over j >= i of g[j] exp(input[i] - out[j]).

    Both factors of the exponential are taken relative to the last sum, in double precision: they stay finite while
    the sums span less than e^700.
    """
    wide = dtypes.complex128 if input.is_complex() else dtypes.float64
    x, sums = input.to(wide), out.to(wide)
    last = sums.detach().narrow(dim, -1, 1) if input.ndim and input._array.size else sums.detach()
    last = last.real if last.is_complex() else last
    weights = g.to(wide) * (last - sums).exp().conj()
    return (weights.flip(dim).cumsum(dim).flip(dim) * (x - last).exp().conj()).to(input.dtype)


_logcumsumexp = Primitive(
    "logcumsumexp",
    "input",
    _running_logsumexp,
    rule=lambda x, dim: Spec(x.shape, x.dtype),
    derivative={"input": _running_shares},
)


@operator(out=True)
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """The logarithm of the running sums of exp(input) along `dim`."""
    from flambeau.core.shapes import wrap_dim

    expect_tensor(input, "logcumsumexp")
    return _logcumsumexp(input, dim=wrap_dim(dim, input.ndim))


# Angles -------------------------------------------------------------------------------------------


def _as_floating(x: Tensor) -> Tensor:
    return x if x.dtype.kind >= dtypes.FLOATING else x.to(dtypes.get_default_dtype())


@operator(inplace=True, out=True)
def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians."""
    expect_tensor(input, "deg2rad")
    if input.is_complex():
        raise RuntimeError("deg2rad is not supported for complex tensors.")
    return _as_floating(input) * (math.pi / 180)


@operator(inplace=True, out=True)
def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees."""
    expect_tensor(input, "rad2deg")
    if input.is_complex():
        raise RuntimeError("rad2deg is not supported for complex tensors.")
    return _as_floating(input) * (180 / math.pi)


@operator(out=True)
def angle(input: Tensor) -> Tensor:
    """The angle of complex numbers in radians; of real ones 0, or pi where they are negative, NaN for NaN."""
    expect_tensor(input, "angle")
    if input.is_complex():
        return input.imag.atan2(input.real)
    x = _as_floating(input)
    return x.masked_fill(x == x, 0).masked_fill(x < 0, math.pi)


def _sinc_array(x: np.ndarray) -> np.ndarray:
    scaled = x * np.asarray(math.pi, x.dtype)
    return np.where(x == 0, np.asarray(1, x.dtype), np.sin(scaled) / np.where(x == 0, 1, scaled))


def _sinc_derivative(g: Tensor, input: Tensor) -> Tensor:
    """(cos(pi x) - sinc x) / x, near 0 by its series, so that it may be differentiated again."""
    small = input.abs() < 1e-3
    x = input.masked_fill(small, 1)
    t = (input * math.pi).masked_fill(~small, 0)
    far = ((x * math.pi).cos() - (x * math.pi).sin() / (x * math.pi)) / x
    near = math.pi * t * (-1 / 3 + t * t / 30)
    return g * (far.masked_fill(small, 0) + near).conj()


sinc = _register(unary("sinc", _sinc_array, _sinc_derivative, HOST, doc="sin(pi x) / (pi x), and 1 at 0."))
