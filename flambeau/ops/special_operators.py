"""Special functions as operators: gamma and zeta functions, the normal distribution, Bessel and Airy functions,
orthogonal polynomials. The mathematics is in `special_functions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.ops import special_functions as functions
from flambeau.ops.numbers import xlogy
from flambeau.ops.pointwise import HOST, binary, expect_tensor, unary
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor

#: The functions of `flambeau.special` by their names there.
SPECIAL: dict[str, Callable[..., Any]] = {}


def _as_input(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of float64 arrays, with results of its argument's dtype."""
    return lambda x, *more, **options: np.asarray(function(x.astype(np.float64), *more, **options)).astype(x.dtype)


def _unary(name: str, function: Callable[..., Any], derivative: Any = None, doc: str = "", **options: Any) -> Any:
    """An operator `special_NAME`, with options one that users call `NAME` too."""
    call = unary(f"special_{name}" if not options else name, _as_input(function), derivative, HOST, doc=doc)
    return _named(name, operator(call, **options) if options else operator(call, method=False, function_name=False, out=True))


def _named(name: str, call: Any) -> Any:
    SPECIAL[name] = call
    return call


def _binary(name: str, function: Callable[..., Any], derivative: Any = None, doc: str = "") -> Any:
    def compute(x: Any, y: Any) -> np.ndarray:
        stored = np.result_type(*(v.dtype for v in (x, y) if isinstance(v, np.ndarray)))
        return np.asarray(function(np.asarray(x, np.float64), np.asarray(y, np.float64))).astype(stored)

    call = binary(f"special_{name}", compute, derivative, HOST, kind="float", doc=doc)
    return _named(name, operator(call, method=False, function_name=False, out=True))


_PUBLIC = {"inplace": True, "out": True}

# Gamma functions ----------------------------------------------------------------------------------

lgamma = _unary(
    "lgamma", functions.lgamma_array, lambda g, input: g * digamma(input), "log |gamma(input)|.", **_PUBLIC
)
SPECIAL["gammaln"] = SPECIAL.pop("lgamma")
digamma = _unary(
    "digamma", functions.digamma_array, lambda g, input: g * _polygamma(input, n=1), "The derivative of `lgamma`.", **_PUBLIC
)
SPECIAL["psi"] = digamma
_polygamma = Primitive(
    "polygamma",
    "input",
    _as_input(functions.polygamma_array),
    rule=lambda x, n: Spec(x.shape, x.dtype),
    derivative={"input": lambda g, input, n: g * _polygamma(input, n=n + 1)},
)


def _floating(x: Tensor) -> Tensor:
    return x if x.dtype.kind >= dtypes.FLOATING else x.to(dtypes.get_default_dtype())


@operator(method=False, out=True)
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of `digamma`, n >= 0."""
    expect_tensor(input, "polygamma")
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return digamma(input) if n == 0 else _polygamma(_floating(input), n=n)


SPECIAL["polygamma"] = polygamma
Tensor.polygamma = lambda self, n: polygamma(n, self)  # type: ignore[attr-defined]
Tensor.polygamma_ = lambda self, n: self.copy_(polygamma(n, self))  # type: ignore[attr-defined]


@operator(inplace=True, out=True, aliases=())
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension `p`, of elements above (p - 1) / 2."""
    expect_tensor(input, "mvlgamma")
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    x = _floating(input)
    constant = p * (p - 1) / 4 * math.log(math.pi)
    return sum((lgamma(x - j / 2) for j in range(1, p)), lgamma(x)) + constant


SPECIAL["multigammaln"] = mvlgamma


def _gamma_density(g: Tensor, input: Any, other: Tensor) -> Tensor:
    """The derivative of the incomplete gamma function by its second argument."""
    a = input
    return g * ((a - 1) * other.log() - other - lgamma(a)).exp()


def _no_first(name: str) -> Callable[..., Tensor]:
    def refuse(g: Tensor, input: Any) -> Tensor:
        raise NotImplementedError(f"the derivative for 'self' of '{name}' is not implemented, as in PyTorch")

    return refuse


igamma = operator(
    binary(
        "igamma",
        lambda a, x: _incomplete(functions.igamma_array, a, x),
        {"input": _no_first("igamma: input"), "other": _gamma_density},
        HOST,
        doc="The regularized lower incomplete gamma function P(input, other).",
    ),
    inplace=True,
    out=True,
)
igammac = operator(
    binary(
        "igammac",
        lambda a, x: _incomplete(functions.igammac_array, a, x),
        {"input": _no_first("igammac: input"), "other": lambda g, input, other: -_gamma_density(g, input, other)},
        HOST,
        doc="The regularized upper incomplete gamma function Q(input, other).",
    ),
    inplace=True,
    out=True,
)
SPECIAL["gammainc"], SPECIAL["gammaincc"] = igamma, igammac


def _incomplete(function: Callable[..., Any], a: Any, x: Any) -> np.ndarray:
    stored = np.result_type(*(v.dtype for v in (a, x) if isinstance(v, np.ndarray)))
    return function(np.asarray(a, np.float64), np.asarray(x, np.float64)).astype(stored)


zeta = _binary(
    "zeta",
    functions.zeta_array,
    {
        "input": _no_first("zeta"),
        "other": lambda g, input, other: -g * input * zeta(input + 1, other),
    },
    "Hurwitz's zeta function, sum over k of (other + k)^-input.",
)

# Errors and the normal distribution ---------------------------------------------------------------

_ROOT_2_PI = math.sqrt(2 * math.pi)

erfinv = _unary(
    "erfinv",
    functions.erfinv_array,
    lambda g, out: g * (math.sqrt(math.pi) / 2) * (out * out).exp(),
    "The inverse of `erf`.",
    **_PUBLIC,
)
erfcx = _unary(
    "erfcx",
    functions.erfcx_array,
    lambda g, input, out: g * (2 * input * out - 2 / math.sqrt(math.pi)),
    "exp(input^2) erfc(input).",
)
ndtr = _unary(
    "ndtr",
    functions.ndtr_array,
    lambda g, input: g * (-input * input / 2).exp() / _ROOT_2_PI,
    "The share of a normal distribution below `input`.",
)
ndtri = _unary(
    "ndtri", functions.ndtri_array, lambda g, out: g * _ROOT_2_PI * (out * out / 2).exp(), "The inverse of `ndtr`."
)
log_ndtr = _unary(
    "log_ndtr",
    functions.log_ndtr_array,
    lambda g, input: g * math.sqrt(2 / math.pi) / erfcx(input * -math.sqrt(0.5)),
    "The logarithm of `ndtr`.",
)


def _entropy_terms(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        inside = np.where(x > 0, -x * np.log(np.where(x > 0, x, 1)), np.where(x == 0, 0.0, -np.inf))
        return np.where(np.isnan(x), np.nan, inside)


entr = _unary(
    "entr",
    _entropy_terms,
    lambda g, input: g * (-input.log() - 1),
    "-input log(input); 0 at 0, and minus infinity for negative numbers.",
)


def _x_log1p_y(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        inside = np.where(x == 0, 0.0, x * np.log1p(np.where(x == 0, 0, y)))
        return np.where(np.isnan(y), np.nan, inside)


xlog1py = _binary(
    "xlog1py",
    _x_log1p_y,
    {
        "input": lambda g, input, other: g
        * (other.log1p().masked_fill((input == 0) & (other <= -1), 0) if isinstance(other, Tensor) else math.log1p(other)),
        "other": lambda g, input, other: g * input / (other + 1),
    },
    "input log(1 + other), and 0 where `input` is 0.",
)
SPECIAL["xlogy"] = xlogy

# Bessel and Airy functions ------------------------------------------------------------------------


def _without_zero(input: Tensor) -> tuple[Tensor, Tensor]:
    zero = input == 0
    return zero, input.masked_fill(zero, 1)


def _i1_derivative(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    zero, x = _without_zero(input)
    return g * (i0(input) - out / x).masked_fill(zero, 0.5)


def _i1e_derivative(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    zero, x = _without_zero(input)
    return g * (i0e(input) - out * (input.sign() + 1 / x)).masked_fill(zero, 0.5)


i0 = _unary(
    "i0", functions.i0_array, lambda g, input: g * i1(input), "The modified Bessel function of order 0.", **_PUBLIC
)
i0e = _unary(
    "i0e",
    functions.i0e_array,
    lambda g, input, out: g * (i1e(input) - input.sign() * out),
    "exp(-|input|) times the modified Bessel function of order 0.",
)
i1 = _unary("i1", functions.i1_array, _i1_derivative, "The modified Bessel function of order 1.")
i1e = _unary("i1e", functions.i1e_array, _i1e_derivative, "exp(-|input|) times the modified Bessel function of order 1.")

for _name, _function, _doc in (
    ("bessel_j0", functions.j0_array, "The Bessel function of the first kind of order 0."),
    ("bessel_j1", functions.j1_array, "The Bessel function of the first kind of order 1."),
    ("bessel_y0", functions.y0_array, "The Bessel function of the second kind of order 0."),
    ("bessel_y1", functions.y1_array, "The Bessel function of the second kind of order 1."),
    ("modified_bessel_i0", functions.i0_array, "The modified Bessel function of the first kind of order 0."),
    ("modified_bessel_i1", functions.i1_array, "The modified Bessel function of the first kind of order 1."),
    ("modified_bessel_k0", functions.k0_array, "The modified Bessel function of the second kind of order 0."),
    ("modified_bessel_k1", functions.k1_array, "The modified Bessel function of the second kind of order 1."),
    ("scaled_modified_bessel_k0", functions.k0e_array, "exp(x) times `modified_bessel_k0`."),
    ("scaled_modified_bessel_k1", functions.k1e_array, "exp(x) times `modified_bessel_k1`."),
    ("spherical_bessel_j0", functions.spherical_j0_array, "sin(x) / x."),
    ("airy_ai", functions.airy_ai_array, "Airy's function Ai."),
):
    _unary(_name, _function, None, _doc)

# Orthogonal polynomials ---------------------------------------------------------------------------


def _polynomial(name: str, family: Any, doc: str, shifted: bool = False) -> None:
    def compute(x: np.ndarray, n: np.ndarray) -> np.ndarray:
        return functions.polynomial_array(2 * x - 1 if shifted else x, n, family)

    _binary(name, compute, None, doc)


for _name, _family in functions.FAMILIES.items():
    _kind, _letter = _name.replace("_polynomial", "").rsplit("_", 1)
    _title = f"{_kind.capitalize()}'s polynomial {_letter.capitalize()} of degree `other` at `input`."
    _polynomial(_name, _family, _title)
    if _kind == "chebyshev":
        _polynomial(f"shifted_{_name}", _family, _title.replace("at `input`", "at 2 `input` - 1"), True)
