"""Special functions on NumPy arrays, in double precision: error, gamma, zeta, Bessel and Airy functions.

Smooth parts are Chebyshev sums (`special_tables`), summed by Clenshaw's rule; the rest are series, continued
fractions and recurrences of Abramowitz and Stegun, Handbook of mathematical functions (1964), cited by number.
Accurate to a few units in the last place of float64, but near zeros, where the error is absolute.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from flambeau.ops import special_tables as tables

Array = np.ndarray
_SQRT_PI = math.sqrt(math.pi)


def chebyshev_sum(coefficients: Sequence[float], t: Array) -> Array:
    """sum of c[k] T_k(t) for t in [-1, 1]."""
    following = last = np.zeros_like(t)
    double = 2 * t
    for c in coefficients[:0:-1]:
        following, last = double * following - last + c, following
    return t * following - last + coefficients[0]


def _pieces(x: Array, *parts: tuple[Array, Callable[[Array], Array]]) -> Array:
    """A function given on parts of its domain: (where, function) each; NaN elsewhere."""
    out = np.full(x.shape, np.nan)
    for where, function in parts:
        if where.any():
            out[where] = function(x[where])
    return out


#: Up to so many numbers, Python's `math` one by one is faster than arrays are.
_FEW = 256


def _each(function: Callable[[float], float], x: Array) -> Array:
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


# The error function -------------------------------------------------------------------------------


def _minus_square(x: Array) -> Array:
    """exp(-x^2), split so that the rounding of x^2 does not matter."""
    near = np.round(x * 16) / 16
    return np.exp(-near * near) * np.exp(-(x - near) * (x + near))


def _erfcx_positive(x: Array) -> Array:
    t = (4 - x) / (4 + x)
    return chebyshev_sum(tables.ERFCX, t) * (1 + t)


def erfcx_array(x: Array) -> Array:
    """exp(x^2) erfc(x)"""
    x = np.asarray(x, np.float64)
    return _pieces(
        x,
        (x == np.inf, np.zeros_like),
        ((x >= 0) & (x < np.inf), _erfcx_positive),
        (x < 0, lambda x: 2 / _minus_square(x) - erfcx_array(-x)),
    )


def erfc_array(x: Array) -> Array:
    """1 - erf(x), without cancellation"""
    x = np.asarray(x, np.float64)
    if x.size <= _FEW:
        return _each(math.erfc, x)
    return _pieces(
        x,
        (x >= 0.5, lambda x: _minus_square(np.minimum(x, 40)) * erfcx_array(x)),
        (np.abs(x) < 0.5, lambda x: 1 - erf_array(x)),
        (x <= -0.5, lambda x: 2 - erfc_array(-x)),
    )


def erf_array(x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x"""
    x = np.asarray(x, np.float64)
    if x.size <= _FEW:
        return _each(math.erf, x)
    return _pieces(
        x,
        (np.abs(x) <= 1, lambda x: x * chebyshev_sum(tables.ERF, 2 * x * x - 1)),
        (np.abs(x) > 1, lambda x: np.sign(x) * (1 - erfc_array(np.abs(x)))),
    )


def erfinv_array(y: Array) -> Array:
    """The x with erf(x) = y: from Winitzki's approximation (2008), by Halley's steps on erf or erfc"""
    y = np.asarray(y, np.float64)
    size = np.abs(y)
    w = np.log1p(-np.minimum(size * size, 1 - 1e-300)) if y.size else size
    a = 0.147
    half = 2 / (math.pi * a) + w / 2
    with np.errstate(all="ignore"):
        x = np.sqrt(np.sqrt(half * half - w / a) - half)
        for _ in range(3):
            wrong = np.where(x > 0.5, (1 - size) - erfc_array(x), erf_array(x) - size)
            step = wrong / (2 / _SQRT_PI * np.exp(-x * x))
            x = x - step / (1 + x * step)
    x = np.where(size == 1, np.inf, np.where(size > 1, np.nan, x))
    return np.copysign(x, y)


# The normal distribution --------------------------------------------------------------------------


def ndtr_array(x: Array) -> Array:
    """The share of a normal distribution below x"""
    return 0.5 * erfc_array(-np.asarray(x, np.float64) / math.sqrt(2))


def log_ndtr_array(x: Array) -> Array:
    """The logarithm of `ndtr`"""
    x = np.asarray(x, np.float64)
    return _pieces(
        x,
        (x < -1, lambda x: np.log(erfcx_array(-x / math.sqrt(2)) / 2) - x * x / 2),
        (x >= -1, lambda x: np.log1p(-erfc_array(x / math.sqrt(2)) / 2)),
    )


def ndtri_array(p: Array) -> Array:
    """The x with ndtr(x) = p; far out by Newton's steps on the logarithm"""
    p = np.asarray(p, np.float64)

    def tail(p: Array) -> Array:
        log_p = np.log(p)
        x = -np.sqrt(np.maximum(-2 * log_p - np.log(np.maximum(-4 * math.pi * log_p, 1)), 0))
        for _ in range(5):
            value = log_ndtr_array(x)
            x = x - (value - log_p) * np.exp(value + x * x / 2) * math.sqrt(2 * math.pi)
        return x

    return _pieces(
        p,
        (p == 0, lambda p: np.full(p.shape, -np.inf)),
        (p == 1, lambda p: np.full(p.shape, np.inf)),
        ((p > 0) & (p < 0.1), tail),
        ((p >= 0.1) & (p < 1), lambda p: math.sqrt(2) * erfinv_array(2 * p - 1)),
    )


# Gamma functions ----------------------------------------------------------------------------------

#: B_2k / (2k (2k - 1)): Stirling's series (6.1.40).
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)


def _sin_pi(x: Array) -> Array:
    """sin(pi x), exact at whole numbers"""
    turned = x - 2 * np.round(x / 2)
    folded = np.where(np.abs(turned) > 0.5, np.sign(turned) * (1 - np.abs(turned)), turned)
    return np.sin(math.pi * folded)


@functools.cache
def _slopes_at_one() -> list[float]:
    """Coefficients of lgamma(1 + t), highest power first: (-1)^k zeta(k) / k, and Euler's constant (6.1.33)."""
    return [(-1) ** k * float(zeta_array(np.float64(k), np.float64(1))) / k for k in range(15, 1, -1)] + [-0.5772156649015329]


def _lgamma_near_one(t: float) -> float:
    total = 0.0
    for c in _slopes_at_one():
        total = total * t + c
    return total * t


def _lgamma_of(x: float) -> float:
    """For x > 0, where Python's own is exact but near the zeros of the function, 1 and 2."""
    if 0.9 < x < 1.1:
        return _lgamma_near_one(x - 1)
    if 1.9 < x < 2.1:
        return _lgamma_near_one(x - 2) + math.log1p(x - 2)
    return math.lgamma(x)


def lgamma_array(x: Array) -> Array:
    """log |gamma(x)|"""
    x = np.asarray(x, np.float64)
    if 0 < x.size <= _FEW and x.min() > 0 and x.max() < 1e300:
        return _each(_lgamma_of, x)

    def stirling(x: Array) -> Array:
        w = 1 / (x * x)
        series = sum(c * w**k for k, c in enumerate(_STIRLING)) / x
        return (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi) + series

    def between(x: Array) -> Array:
        factor = np.ones_like(x)
        for _ in range(8):
            above = x > 2.5
            x = np.where(above, x - 1, x)
            factor = np.where(above, factor * x, factor)
        return (x - 1) * (x - 2) * chebyshev_sum(tables.LGAMMA, x - 1.5) + np.log(factor)

    def reflected(x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return math.log(math.pi) - np.log(np.abs(_sin_pi(x))) - lgamma_array(1 - x)

    return _pieces(
        x,
        (np.isinf(x), lambda x: np.full(x.shape, np.inf)),
        ((x >= 10) & (x < np.inf), stirling),
        ((x >= 0.5) & (x < 10), between),
        ((x < 0.5) & (x > 0), lambda x: lgamma_array(x + 1) - np.log(x)),
        (x == 0, lambda x: np.full(x.shape, np.inf)),
        ((x < 0) & (x > -np.inf), reflected),
    )


def _digamma_of(x: float) -> float:
    """For x > 0: the recurrence (6.3.5) up to 10, then the asymptotic series (6.3.18)."""
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    w = 1 / (x * x)
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * (1 / 132 - w * 691 / 32760)))))
    return total + math.log(x) - 0.5 / x - series


def digamma_array(x: Array) -> Array:
    """The derivative of log gamma(x); -inf at +0, +inf at -0, NaN at negative whole numbers"""
    x = np.asarray(x, np.float64)
    if 0 < x.size <= _FEW // 4 and x.min() > 0 and x.max() < np.inf:
        return _each(_digamma_of, x)

    def positive(x: Array) -> Array:
        shift = np.zeros_like(x)
        for _ in range(10):
            low = x < 10
            shift = np.where(low, shift - 1 / np.where(low, x, 1), shift)
            x = np.where(low, x + 1, x)
        w = 1 / (x * x)
        terms = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
        return np.log(x) - 0.5 / x - sum(c * w ** (k + 1) for k, c in enumerate(terms)) + shift

    def reflected(x: Array) -> Array:
        whole = x == np.floor(x)
        angle = math.pi * (x - np.round(x))
        return np.where(whole, np.nan, positive(1 - x) - math.pi / np.tan(np.where(whole, 1, angle)))

    return _pieces(
        x,
        (x == np.inf, lambda x: x),
        ((x > 0) & (x < np.inf), positive),
        (x == 0, lambda x: -np.copysign(np.inf, x)),
        (x < 0, reflected),
    )


#: B_2k for the Euler-Maclaurin sum.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330, 854513 / 138)


def zeta_array(s: Array, q: Array) -> Array:
    """Hurwitz's zeta function, sum over k of (q + k)^-s, by the Euler-Maclaurin formula (23.2.3)"""
    s, q = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(q, np.float64))
    with np.errstate(all="ignore"):
        negative = q <= 0
        whole = q == np.floor(q)
        total = np.zeros(s.shape)
        count = 12
        for k in range(count):
            total = total + (q + k) ** -s
        steps = np.where(negative, np.ceil(-np.where(negative, q, 0)), 0)
        n = q + count
        for k in range(int(steps.max(initial=0))):  # negative q take more terms until they are positive
            more = steps > k
            total = np.where(more, total + n**-s, total)
            n = np.where(more, n + 1, n)
        total = total + n ** (1 - s) / (s - 1) + 0.5 * n**-s
        term = s / n ** (s + 1)
        factorial = 2.0
        for k, b in enumerate(_BERNOULLI):
            total = total + b * term / factorial
            term = term * (s + 2 * k + 1) * (s + 2 * k + 2) / (n * n)
            factorial *= (2 * k + 3) * (2 * k + 4)
        total = np.where(negative & whole, np.inf, total)
        total = np.where(negative & ~whole & (s != np.floor(s)), np.nan, total)
        return np.where(s == 1, np.inf, np.where(s < 1, np.nan, total))


def polygamma_array(x: Array, n: int) -> Array:
    """The n-th derivative of digamma: (-1)^(n+1) n! zeta(n + 1, x) (6.4.10)"""
    if n == 0:
        return digamma_array(x)
    return (-1) ** (n + 1) * math.factorial(n) * zeta_array(np.asarray(float(n + 1)), x)


def igamma_array(a: Array, x: Array) -> Array:
    """The regularized lower incomplete gamma function, P(a, x)"""
    return _incomplete(a, x, True)


def igammac_array(a: Array, x: Array) -> Array:
    """The regularized upper incomplete gamma function, Q(a, x) = 1 - P(a, x)"""
    return _incomplete(a, x, False)


def _incomplete(a: Array, x: Array, lower: bool) -> Array:
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    out = np.full(a.shape, np.nan)
    bad = (a < 0) | (x < 0) | np.isnan(a) | np.isnan(x) | ((a == 0) & (x == 0)) | (np.isinf(a) & np.isinf(x))
    zero = ~bad & ((x == 0) | np.isinf(a))  # P is 0
    one = ~bad & ~zero & ((a == 0) | np.isinf(x))
    out[zero], out[one] = (0, 1) if lower else (1, 0)
    left = ~(bad | zero | one)
    series = left & ((x <= 1) | (x < a))
    for where, function, of_lower in ((series, _lower_series, True), (left & ~series, _upper_fraction, False)):
        if where.any():
            value = function(a[where], x[where])
            out[where] = value if of_lower is lower else 1 - value
    return out


def _front(a: Array, x: Array) -> Array:
    """x^a exp(-x) / gamma(a + 1), for large a from the difference of two large exponents."""
    with np.errstate(all="ignore"):
        small = np.exp(a * np.log(x) - x - lgamma_array(a + 1))
        ratio = (x - a) / a
        # log(x / a) - (x - a) / a without cancellation
        rest = np.log1p(ratio) - ratio
        w = 1 / (a * a)
        stirling = sum(c * w**k for k, c in enumerate(_STIRLING)) / a
        large = np.exp(a * rest - stirling) / np.sqrt(2 * math.pi * a)
        return np.where(a > 20, large, small)


def _lower_series(a: Array, x: Array) -> Array:
    """P(a, x) = x^a exp(-x) / gamma(a + 1) sum of x^k / ((a + 1) ... (a + k)) (6.5.29)"""
    term = total = np.ones_like(a)
    k = 0
    while True:
        k += 1
        term = term * x / (a + k)
        total = total + term
        if k > 20000 or (term <= 1e-17 * total).all():
            return np.minimum(total * _front(a, x), 1)


def _upper_fraction(a: Array, x: Array) -> Array:
    """Q(a, x) by its continued fraction (6.5.31), in Lentz's way"""
    tiny = 1e-300
    b = x + 1 - a
    c = np.full_like(x, 1 / tiny)
    d = 1 / np.where(b == 0, tiny, b)
    h = d
    k = 0
    while True:
        k += 1
        step = -k * (k - a)
        b = b + 2
        d = step * d + b
        c = b + step / c
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = np.where(np.abs(c) < tiny, tiny, c)
        change = d * c
        h = h * change
        if k > 20000 or (np.abs(change - 1) < 1e-16).all():
            return np.clip(h * _front(a, x) * a, 0, 1)


# Modified Bessel functions ------------------------------------------------------------------------


def i0e_array(x: Array) -> Array:
    """exp(-|x|) I_0(x)"""
    x = np.abs(np.asarray(x, np.float64))
    return _pieces(
        x,
        (x <= 8, lambda x: chebyshev_sum(tables.I0E_NEAR, x / 4 - 1)),
        (x > 8, lambda x: chebyshev_sum(tables.I0E_FAR, 16 / x - 1) / np.sqrt(x)),
    )


def i1e_array(x: Array) -> Array:
    """exp(-|x|) I_1(x)"""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    return np.sign(x) * _pieces(
        size,
        (size <= 8, lambda x: x * chebyshev_sum(tables.I1E_NEAR, x / 4 - 1)),
        (size > 8, lambda x: chebyshev_sum(tables.I1E_FAR, 16 / x - 1) / np.sqrt(x)),
    )


def i0_array(x: Array) -> Array:
    """I_0(x)"""
    return i0e_array(x) * np.exp(np.abs(np.asarray(x, np.float64)))


def i1_array(x: Array) -> Array:
    """I_1(x)"""
    return i1e_array(x) * np.exp(np.abs(np.asarray(x, np.float64)))


def _near_k0(x: Array) -> Array:
    return chebyshev_sum(tables.K0_NEAR, x * x / 2 - 1) - np.log(x / 2) * i0_array(x)


def _near_k1(x: Array) -> Array:
    return chebyshev_sum(tables.K1_NEAR, x * x / 2 - 1) / x + np.log(x / 2) * i1_array(x)


def _modified_k(x: Array, near: Callable[[Array], Array], far: Sequence[float], scaled: bool) -> Array:
    x = np.asarray(x, np.float64)
    with np.errstate(over="ignore"):
        return _pieces(
            x,
            (x == 0, lambda x: np.full(x.shape, np.inf)),
            ((x > 0) & (x <= 2), lambda x: near(x) * (np.exp(x) if scaled else 1)),
            (x > 2, lambda x: chebyshev_sum(far, 4 / x - 1) / np.sqrt(x) * (1 if scaled else np.exp(-x))),
        )


def k0_array(x: Array) -> Array:
    """K_0(x)"""
    return _modified_k(x, _near_k0, tables.K0E_FAR, False)


def k1_array(x: Array) -> Array:
    """K_1(x)"""
    return _modified_k(x, _near_k1, tables.K1E_FAR, False)


def k0e_array(x: Array) -> Array:
    """exp(x) K_0(x)"""
    return _modified_k(x, _near_k0, tables.K0E_FAR, True)


def k1e_array(x: Array) -> Array:
    """exp(x) K_1(x)"""
    return _modified_k(x, _near_k1, tables.K1E_FAR, True)


# Bessel functions ---------------------------------------------------------------------------------


def _far_bessel(x: Array, order: int, second: bool) -> Array:
    """J or Y from 8 on: amplitude and phase of a damped wave (9.2.5, 9.2.6)."""
    t = 2 * (8 / x) ** 2 - 1
    p = chebyshev_sum(tables.P1 if order else tables.P0, t)
    q = chebyshev_sum(tables.Q1 if order else tables.Q0, t) * 8 / x
    # cos(x - c) by addition, which keeps the digits of x
    c = (order / 2 + 0.25) * math.pi
    cosine = np.cos(x) * math.cos(c) + np.sin(x) * math.sin(c)
    sine = np.sin(x) * math.cos(c) - np.cos(x) * math.sin(c)
    wave = p * sine + q * cosine if second else p * cosine - q * sine
    return np.sqrt(2 / (math.pi * x)) * wave


def j0_array(x: Array) -> Array:
    """J_0(x)"""
    x = np.abs(np.asarray(x, np.float64))
    return _pieces(
        x,
        (x <= 8, lambda x: chebyshev_sum(tables.J0_NEAR, x * x / 32 - 1)),
        ((x > 8) & (x < np.inf), lambda x: _far_bessel(x, 0, False)),
        (x == np.inf, np.zeros_like),
    )


def j1_array(x: Array) -> Array:
    """J_1(x)"""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    return np.sign(x) * _pieces(
        size,
        (size <= 8, lambda x: x * chebyshev_sum(tables.J1_NEAR, x * x / 32 - 1)),
        ((size > 8) & (size < np.inf), lambda x: _far_bessel(x, 1, False)),
        (size == np.inf, np.zeros_like),
    )


def y0_array(x: Array) -> Array:
    """Y_0(x); NaN below 0"""
    x = np.asarray(x, np.float64)

    def near(x: Array) -> Array:
        return chebyshev_sum(tables.Y0_NEAR, x * x / 32 - 1) + 2 / math.pi * np.log(x) * j0_array(x)

    return _pieces(
        x,
        (x == 0, lambda x: np.full(x.shape, -np.inf)),
        ((x > 0) & (x <= 8), near),
        ((x > 8) & (x < np.inf), lambda x: _far_bessel(x, 0, True)),
        (x == np.inf, np.zeros_like),
    )


def y1_array(x: Array) -> Array:
    """Y_1(x); NaN below 0"""
    x = np.asarray(x, np.float64)

    def near(x: Array) -> Array:
        rest = x * chebyshev_sum(tables.Y1_NEAR, x * x / 32 - 1)
        return rest + 2 / math.pi * (np.log(x) * j1_array(x) - 1 / x)

    return _pieces(
        x,
        (x == 0, lambda x: np.full(x.shape, -np.inf)),
        ((x > 0) & (x <= 8), near),
        ((x > 8) & (x < np.inf), lambda x: _far_bessel(x, 1, True)),
        (x == np.inf, np.zeros_like),
    )


def spherical_j0_array(x: Array) -> Array:
    """sin(x) / x"""
    x = np.asarray(x, np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(x), 0, np.where(x == 0, 1, np.sin(x) / np.where(x == 0, 1, x)))


def airy_ai_array(x: Array) -> Array:
    """Ai(x), the solution of y'' = x y that falls for positive x"""
    x = np.asarray(x, np.float64)

    def falling(x: Array) -> Array:
        z = 2 / 3 * x * np.sqrt(x)
        t = 2 * (2 / 3 * 2**1.5) / z - 1
        return chebyshev_sum(tables.AI_FAR, t) * np.exp(-z) / (2 * _SQRT_PI * np.sqrt(np.sqrt(x)))

    def waving(x: Array) -> Array:
        size = -x
        z = 2 / 3 * size * np.sqrt(size)
        t = 2 * ((2 / 3 * 6**1.5) / z) ** 2 - 1
        p = chebyshev_sum(tables.AI_P, t)
        q = chebyshev_sum(tables.AI_Q, t) * 10 / (size * np.sqrt(size))
        c = z + math.pi / 4
        return (p * np.sin(c) + q * np.cos(c)) / (_SQRT_PI * np.sqrt(np.sqrt(size)))

    return _pieces(
        x,
        (np.isinf(x), np.zeros_like),
        ((x > 2) & (x < np.inf), falling),
        ((x >= -6) & (x <= 2), lambda x: chebyshev_sum(tables.AI_NEAR, (x + 2) / 4)),
        ((x < -6) & (x > -np.inf), waving),
    )


# Orthogonal polynomials ---------------------------------------------------------------------------

#: A polynomial family: the first two members, and the next from x, the member before, and the one before that.
Family = tuple[Callable[[Array], Array], Callable[[Array, Array, Array, int], Array]]


def polynomial_array(x: Array, n: Array, family: Family) -> Array:
    """The member of degree n of a family, by its recurrence; 0 for negative n."""
    x, n = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(n))
    degree = np.trunc(n)
    first, following = family
    before, now = np.ones_like(x), first(x)
    out = np.where(degree == 0, before, np.where(degree == 1, now, 0.0))
    for k in range(1, int(degree.max(initial=0))):
        with np.errstate(over="ignore", invalid="ignore"):
            before, now = now, following(x, now, before, k)
        out = np.where(degree == k + 1, now, out)
    return out


def _twice(x: Array, now: Array, before: Array, k: int) -> Array:
    return 2 * x * now - before


FAMILIES: dict[str, Family] = {
    "chebyshev_polynomial_t": (lambda x: x, _twice),
    "chebyshev_polynomial_u": (lambda x: 2 * x, _twice),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, _twice),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, _twice),
    "hermite_polynomial_h": (lambda x: 2 * x, lambda x, now, before, k: 2 * x * now - 2 * k * before),
    "hermite_polynomial_he": (lambda x: x, lambda x, now, before, k: x * now - k * before),
    "laguerre_polynomial_l": (
        lambda x: 1 - x,
        lambda x, now, before, k: ((2 * k + 1 - x) * now - k * before) / (k + 1),
    ),
    "legendre_polynomial_p": (lambda x: x, lambda x, now, before, k: ((2 * k + 1) * x * now - k * before) / (k + 1)),
}
