"""How gamma and beta numbers move with their parameters: implicit reparameterization, on arrays.

A draw x with distribution function F(x; a) stays at its quantile while a moves, so dx/da = -(dF/da) / p(x).
Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018. dF/da is a power series
where x is near an end of its range, and else an integral over the tail in which x lies, in the logarithm
(the logit) of the variable, computed by the double exponential rule of Takahasi and Mori, 1974. Both are
exact to about ten digits; PyTorch fits this function by polynomials, good to three or four.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flambeau.ops.special_functions import digamma_array

Array = np.ndarray
_SMALL = 1e-300
#: Elements for which integrals are computed at a time.
_PART = 4096


def _nodes() -> tuple[Array, Array]:
    """Points s > 0 and weights for integrals of functions that decay like exp(-s): s = exp(v - exp(-v))."""
    v, step = np.linspace(-3.8, 4.2, 97, retstep=True)
    s = np.exp(v - np.exp(-v))
    return s, step * s * (1 + np.exp(-v))


_POINTS, _WEIGHTS = _nodes()


def _tail_integral(integrand: Callable[[Array], Array], rate: Array) -> Array:
    """The integral from 0 to infinity of what decays about as exp(-rate s)."""
    values = integrand(_POINTS / rate[:, None])
    values *= _WEIGHTS
    return values.sum(1) / rate  # row by row: a product of matrices rounds as the size of the batch has it


def _in_parts(function: Callable[..., Array], *arguments: Array) -> Array:
    """`function` of flat arrays, some elements at a time, so that its tables of integrands stay small."""
    out = np.empty(arguments[0].size)
    for start in range(0, out.size, _PART):
        out[start : start + _PART] = function(*[a[start : start + _PART] for a in arguments])
    return out


def _where(
    conditions: list[tuple[Array, Callable[..., Array]]], arguments: tuple[Array, ...], stored: np.dtype
) -> Array:
    """For each element the first function whose condition holds; NaN where none does."""
    shape = np.broadcast_shapes(*[a.shape for a in arguments])
    flat = [np.broadcast_to(a, shape).astype(np.float64).ravel() for a in arguments]
    out = np.full(flat[0].size, np.nan)
    left = np.ones(out.size, bool)
    for condition, function in conditions:
        chosen = left & np.broadcast_to(condition, shape).ravel()
        if chosen.any():
            out[chosen] = _in_parts(function, *[a[chosen] for a in flat])
            left &= ~chosen
    return out.reshape(shape).astype(stored)


# ---- gamma


def gamma_gradient(concentration: Array, x: Array) -> Array:
    """dx/da of a draw x > 0 from the gamma distribution of rate one and concentration a > 0."""
    a, x = np.asarray(concentration), np.asarray(x)
    valid = (a > 0) & (x >= 0)
    regions = [(valid & (x <= 1), _gamma_near_zero), (valid & (x <= a), _gamma_below), (valid, _gamma_above)]
    return _where(regions, (a, x), np.result_type(a, x))


def _gamma_near_zero(a: Array, x: Array) -> Array:
    """By the series of exp(-t) in p(t); its first term is written so that 1 / a does not cancel."""
    x = np.maximum(x, _SMALL)
    offset = np.log(x) - digamma_array(a + 1)
    total = offset / a
    offset += 1 / a
    power = np.ones_like(x)
    for k in range(1, 22):
        power *= -x / k
        total += power * (offset - 1 / (a + k)) / (a + k)
    return -x * np.exp(x) * total


def _gamma_below(a: Array, x: Array) -> Array:
    """x <= a: over t = x exp(-s)."""
    offset = (np.log(x) - digamma_array(a))[:, None]
    a, x = a[:, None], x[:, None]
    rate = np.sqrt((a - x) ** 2 + x)[:, 0]
    return -x[:, 0] * _tail_integral(lambda s: (offset - s) * np.exp(-a * s - x * np.expm1(-s)), rate)


def _gamma_above(a: Array, x: Array) -> Array:
    """x > a: over t = x exp(s)."""
    offset = (np.log(x) - digamma_array(a))[:, None]
    a, x = a[:, None], x[:, None]
    rate = np.sqrt((a - x) ** 2 + x)[:, 0]
    return x[:, 0] * _tail_integral(lambda s: (offset + s) * np.exp(a * s - x * np.expm1(s)), rate)


# ---- beta


def dirichlet_gradient(x: Array, concentration: Array, total: Array) -> Array:
    """(dx/da) / (1 - x) for x from the beta distribution of a = concentration and b = total - a.

    x is an element of a draw from a Dirichlet distribution whose concentrations sum to `total`; where x moves
    by dx, the others shrink in proportion.
    """
    x, a, total = np.asarray(x), np.asarray(concentration), np.asarray(total)
    x64, a64, sum64 = (v.astype(np.float64) for v in (x, a, total))
    # Series converge fast where few draws lie beyond; else an integral over the thinner tail.
    valid = (a64 > 0) & (sum64 > a64) & (x64 >= 0) & (x64 <= 1)
    regions = [
        (valid & (x64 <= 0.5) & (x64 * sum64 <= 6), _beta_near_zero),
        (valid & (x64 > 0.5) & ((1 - x64) * sum64 <= 6), _beta_near_one),
        (valid & (x64 * sum64 <= a64), _beta_below),
        (valid, _beta_above),
    ]
    return _where(regions, (x, a, total), np.result_type(x, a, total))


def _beta_near_zero(x: Array, a: Array, total: Array) -> Array:
    """By F = x^a (1 - x)^b / (a B(a, b)) sum of (a + b)_n / (a + 1)_n x^n."""
    offset = np.log(np.maximum(x, _SMALL)) - digamma_array(a + 1) + digamma_array(total)
    term, series, moved, slope = np.ones_like(x), np.ones_like(x), np.zeros_like(x), np.zeros_like(x)
    for n in range(200):
        moved += 1 / (total + n) - 1 / (a + 1 + n)
        term *= x * (total + n) / (a + 1 + n)
        series += term
        slope += term * moved
        if not (term > 1e-17 * series).any():
            break
    return -x / a * (series * offset + slope)


def _beta_near_one(x: Array, a: Array, total: Array) -> Array:
    """As near zero, by the series of 1 - F in y = 1 - x."""
    b, y = total - a, 1 - x
    offset = np.log1p(-y) - digamma_array(a) + digamma_array(total)
    term, series, moved, slope = np.ones_like(x), np.ones_like(x), np.zeros_like(x), np.zeros_like(x)
    for n in range(200):
        moved += 1 / (total + n)
        term *= y * (total + n) / (b + 1 + n)
        series += term
        slope += term * moved
        if not (term > 1e-17 * series).any():
            break
    return x / b * (series * offset + slope)


def _beta_tail(x: Array, a: Array, total: Array, direction: int) -> Array:
    """Over t with logit(t) = logit(x) + direction s."""
    offset = (np.log(x) - digamma_array(a) + digamma_array(total))[:, None]
    rate = np.sqrt((a - total * x) ** 2 + total * x * (1 - x))
    x, a, total = x[:, None], a[:, None], total[:, None]
    b = total - a

    def integrand(s: Array) -> Array:
        if direction < 0:  # t = x exp(-r), 1 - t = (1 - x) exp(s - r)
            r = np.log1p((1 - x) * np.expm1(np.minimum(s, 700)))
            return (offset - r) * np.exp(b * s - total * r)
        r = np.log1p(x * np.expm1(np.minimum(s, 700)))  # t = x exp(s - r), 1 - t = (1 - x) exp(-r)
        return (offset + s - r) * np.exp(a * s - total * r)

    return direction * x[:, 0] * _tail_integral(integrand, rate)


def _beta_below(x: Array, a: Array, total: Array) -> Array:
    return _beta_tail(x, a, total, -1)


def _beta_above(x: Array, a: Array, total: Array) -> Array:
    return _beta_tail(x, a, total, 1)
