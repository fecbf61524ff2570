"""Exponentials, logarithms, roots, trigonometric and hyperbolic functions, and the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.ops.arithmetic import _conj
from flambeau.ops.pointwise import binary, unary
from flambeau.ops.special_functions import erf_array, erfc_array
from flambeau.ops.table import operator


def _register(call: Any, **options: Any) -> Any:
    return operator(call, inplace=True, out=True, **options)


exp = _register(unary("exp", np.exp, lambda g, out: g * _conj(out), doc="e to the power of `input`."))
exp2 = _register(unary("exp2", np.exp2, lambda g, out: g * _conj(out) * math.log(2), doc="2 ** input."))
expm1 = _register(unary("expm1", np.expm1, lambda g, out: g * _conj(out + 1), doc="exp(input) - 1."))
log = _register(unary("log", np.log, lambda g, input: g / _conj(input), doc="The natural logarithm."))
log2 = _register(
    unary("log2", np.log2, lambda g, input: g / _conj(input * math.log(2)), doc="The logarithm to base 2.")
)
log10 = _register(
    unary(
        "log10", np.log10, lambda g, input: g / _conj(input * math.log(10)), doc="The logarithm to base 10."
    )
)
log1p = _register(unary("log1p", np.log1p, lambda g, input: g / _conj(input + 1), doc="log(1 + input)."))
sqrt = _register(unary("sqrt", np.sqrt, lambda g, out: g / _conj(2 * out), doc="The square root."))


def _inverse_root(x: np.ndarray) -> np.ndarray:
    if x.itemsize == 2:
        return _inverse_root(x.astype(np.float32)).astype(x.dtype)
    return np.divide(np.asarray(1, x.dtype), np.sqrt(x))


rsqrt = _register(
    unary(
        "rsqrt",
        _inverse_root,
        lambda g, out: -0.5 * g * _conj(out**3),
        doc="1 / sqrt(input).",
    )
)
sin = _register(unary("sin", np.sin, lambda g, input: g * _conj(input.cos()), doc="The sine."))
cos = _register(unary("cos", np.cos, lambda g, input: -g * _conj(input.sin()), doc="The cosine."))
tan = _register(unary("tan", np.tan, lambda g, out: g * _conj(1 + out * out), doc="The tangent."))
asin = _register(
    unary("asin", np.arcsin, lambda g, input: g * _conj((1 - input * input).rsqrt()), doc="The inverse sine."),
    aliases=("arcsin",),
)
acos = _register(
    unary(
        "acos", np.arccos, lambda g, input: -g * _conj((1 - input * input).rsqrt()), doc="The inverse cosine."
    ),
    aliases=("arccos",),
)
atan = _register(
    unary("atan", np.arctan, lambda g, input: g / _conj(input * input + 1), doc="The inverse tangent."),
    aliases=("arctan",),
)
sinh = _register(unary("sinh", np.sinh, lambda g, input: g * _conj(input.cosh()), doc="The hyperbolic sine."))
cosh = _register(
    unary("cosh", np.cosh, lambda g, input: g * _conj(input.sinh()), doc="The hyperbolic cosine.")
)
tanh = _register(
    unary("tanh", np.tanh, lambda g, out: g * _conj(1 - out * out), doc="The hyperbolic tangent.")
)
asinh = _register(
    unary(
        "asinh",
        np.arcsinh,
        lambda g, input: g * _conj((input * input + 1).rsqrt()),
        doc="The inverse hyperbolic sine.",
    ),
    aliases=("arcsinh",),
)
acosh = _register(
    unary(
        "acosh",
        np.arccosh,
        lambda g, input: g * _conj((input - 1).rsqrt() * (input + 1).rsqrt()),
        doc="The inverse hyperbolic cosine.",
    ),
    aliases=("arccosh",),
)
atanh = _register(
    unary(
        "atanh",
        np.arctanh,
        lambda g, input: g / _conj(1 - input * input),
        doc="The inverse hyperbolic tangent.",
    ),
    aliases=("arctanh",),
)
def _atan2_part(g: Any, input: Any, other: Any) -> Any:
    return (g / (input * input + other * other)).masked_fill((input == 0) & (other == 0), 0)


atan2 = _register(
    binary(
        "atan2",
        np.arctan2,
        {
            "input": lambda g, input, other: _atan2_part(g, input, other) * other,
            "other": lambda g, input, other: _atan2_part(g, input, other) * -input,
        },
        kind="float",
        doc="The angle of the point (other, input).",
    ),
    aliases=("arctan2",),
)


def logistic(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), from the side on which exp does not overflow."""
    if x.dtype.kind == "c":
        return 1 / (1 + np.exp(-x))
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


sigmoid = _register(
    unary(
        "sigmoid",
        lambda x: logistic(x.astype(np.float32) if x.itemsize == 2 else x).astype(x.dtype, copy=False),
        lambda g, out: g * _conj((1 - out) * out),
        doc="The logistic function, 1 / (1 + exp(-input)).",
    ),
    aliases=(),
)

def _elementwise(function: Any) -> Any:
    return lambda x: function(x).astype(x.dtype)


erf = _register(
    unary(
        "erf",
        _elementwise(erf_array),
        lambda g, input: g * (2 / math.sqrt(math.pi)) * (-input * input).exp(),
        doc="The error function.",
    )
)
erfc = _register(
    unary(
        "erfc",
        _elementwise(erfc_array),
        lambda g, input: g * (-2 / math.sqrt(math.pi)) * (-input * input).exp(),
        doc="1 - erf(input).",
    )
)
