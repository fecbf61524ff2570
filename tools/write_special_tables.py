"""Writes `flambeau/ops/special_tables.py`: Chebyshev coefficients of the smooth parts of special functions.

Each table approximates a function of t in [-1, 1] to double precision; how t comes from the argument, and what the
function stands for, is said where the table is used (`flambeau/ops/special_functions.py`). Needs mpmath.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpmath import mp, mpf

import flambeau

mp.dps = 40


def coefficients(function: Callable[[Any], Any], degree: int) -> list[float]:
    """The Chebyshev coefficients of a function on [-1, 1], those that matter in double precision."""
    count = degree + 1
    angles = [mp.pi * (k + mpf(1) / 2) / count for k in range(count)]
    values = [function(mp.cos(a)) for a in angles]
    found = [2 * sum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / count for j in range(count)]
    found[0] /= 2
    largest = max(abs(c) for c in found)
    while len(found) > 1 and abs(found[-1]) < largest * mpf(2) ** -58:
        found.pop()
    return [float(c) for c in found]


def hankel(order: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """P and Q of J = sqrt(2 / (pi x)) (P cos c - Q sin c), c = x - (order / 2 + 1 / 4) pi, as functions of x."""

    def parts(x: Any) -> tuple[Any, Any]:
        c = x - (mpf(order) / 2 + mpf(1) / 4) * mp.pi
        j, y, scale = mp.besselj(order, x), mp.bessely(order, x), mp.sqrt(mp.pi * x / 2)
        return scale * (j * mp.cos(c) + y * mp.sin(c)), scale * (y * mp.cos(c) - j * mp.sin(c))

    return (lambda x: parts(x)[0]), (lambda x: parts(x)[1])


def airy_parts(x: Any) -> tuple[Any, Any]:
    """P and Q of Ai(-x) = (P sin c + Q cos c) / (sqrt(pi) x^(1/4)), c = 2/3 x^(3/2) + pi / 4."""
    c = mpf(2) / 3 * x ** mpf("1.5") + mp.pi / 4
    scale = mp.sqrt(mp.pi) * x ** mpf("0.25")
    a, b = scale * mp.airyai(-x), scale * mp.airybi(-x)
    return a * mp.sin(c) + b * mp.cos(c), a * mp.cos(c) - b * mp.sin(c)


def far(t: Any, start: Any) -> Any:
    """x of start / x = (1 + t) / 2; near t = -1 a large number stands for infinity."""
    return mpf(start) / ((1 + t) / 2) if t > -1 + mpf(10) ** -12 else mpf(10) ** 12


def far_square(t: Any, start: Any) -> Any:
    """x of (start / x)^2 = (1 + t) / 2."""
    return mpf(start) / mp.sqrt((1 + t) / 2) if t > -1 + mpf(10) ** -12 else mpf(10) ** 6


def airy_far(t: Any) -> Any:
    """x of (2/3 * 2^1.5) / z = (1 + t) / 2, z = 2/3 x^1.5: x from 2 on."""
    z = far(t, mpf(2) / 3 * mpf(2) ** mpf("1.5"))
    return (z * 3 / 2) ** (mpf(2) / 3)


def airy_far_negative(t: Any) -> Any:
    """x of ((2/3 * 6^1.5) / z)^2 = (1 + t) / 2: x from 6 on."""
    z = far_square(t, mpf(2) / 3 * mpf(6) ** mpf("1.5"))
    return (z * 3 / 2) ** (mpf(2) / 3)


def scaled_ai(x: Any) -> Any:
    z = mpf(2) / 3 * x ** mpf("1.5")
    return mp.airyai(x) * mp.exp(z) * 2 * mp.sqrt(mp.pi) * x ** mpf("0.25") if x < 2000 else 1 - mpf(5) / (72 * z)


def tables() -> dict[str, list[float]]:
    """Every table by its name."""
    P0, Q0 = hankel(0)
    P1, Q1 = hankel(1)

    def erfcx(t: Any) -> Any:
        x = 4 * (1 - t) / (1 + t) if t > -1 + mpf(10) ** -12 else mpf(10) ** 12
        value = mp.exp(x * x) * mp.erfc(x) if x < 100 else sum(
            (-1) ** k * mp.fac2(2 * k - 1) / (2 * x * x) ** k for k in range(12)
        ) / (x * mp.sqrt(mp.pi))
        return value / (1 + t)

    def root(t: Any) -> Any:
        return mp.sqrt(t) if t > 0 else mpf(10) ** -15

    def erf_ratio(t: Any) -> Any:
        x = root((1 + t) / 2)
        return mp.erf(x) / x

    def lgamma_ratio(t: Any) -> Any:
        x = mpf("1.5") + t
        near = [mpf(1), mpf(2)]
        if any(abs(x - z) < mpf(10) ** -15 for z in near):
            x += mpf(10) ** -12
        return mp.loggamma(x).real / ((x - 1) * (x - 2))

    def k0_rest(t: Any) -> Any:
        x = root(2 * (1 + t))
        return mp.besselk(0, x) + mp.log(x / 2) * mp.besseli(0, x)

    def k1_rest(t: Any) -> Any:
        x = root(2 * (1 + t))
        return x * mp.besselk(1, x) - x * mp.log(x / 2) * mp.besseli(1, x)

    def bessel(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda t: f(root(32 * (1 + t)))

    two_pi = 2 / mp.pi
    big = mpf(10) ** 5
    i_far = lambda n: lambda t: (lambda x: mp.sqrt(x) * mp.besseli(n, x) * mp.exp(-x) if x < big else 1 / mp.sqrt(2 * mp.pi))(far(t, 8))
    k_far = lambda n: lambda t: (lambda x: mp.sqrt(x) * mp.besselk(n, x) * mp.exp(x) if x < big else mp.sqrt(mp.pi / 2))(far(t, 2))
    limited = lambda f, start: lambda t: f(min(far_square(t, start), big))
    return {
        "ERFCX": coefficients(erfcx, 60),
        "ERF": coefficients(erf_ratio, 24),
        "LGAMMA": coefficients(lgamma_ratio, 60),
        "I0E_NEAR": coefficients(lambda t: mp.besseli(0, 4 * (1 + t)) * mp.exp(-4 * (1 + t)), 50),
        "I1E_NEAR": coefficients(
            lambda t: (lambda x: mp.besseli(1, x) * mp.exp(-x) / x)(max(4 * (1 + t), mpf(10) ** -15)), 50
        ),
        "I0E_FAR": coefficients(i_far(0), 40),
        "I1E_FAR": coefficients(i_far(1), 40),
        "K0_NEAR": coefficients(k0_rest, 20),
        "K1_NEAR": coefficients(k1_rest, 20),
        "K0E_FAR": coefficients(k_far(0), 50),
        "K1E_FAR": coefficients(k_far(1), 50),
        "J0_NEAR": coefficients(bessel(lambda x: mp.besselj(0, x)), 30),
        "J1_NEAR": coefficients(bessel(lambda x: mp.besselj(1, x) / x), 30),
        "Y0_NEAR": coefficients(bessel(lambda x: mp.bessely(0, x) - two_pi * mp.log(x) * mp.besselj(0, x)), 30),
        "Y1_NEAR": coefficients(
            bessel(lambda x: (mp.bessely(1, x) - two_pi * (mp.log(x) * mp.besselj(1, x) - 1 / x)) / x), 30
        ),
        "P0": coefficients(limited(P0, 8), 24),
        "Q0": coefficients(limited(lambda x: Q0(x) * x / 8, 8), 24),
        "P1": coefficients(limited(P1, 8), 24),
        "Q1": coefficients(limited(lambda x: Q1(x) * x / 8, 8), 24),
        "AI_NEAR": coefficients(lambda t: mp.airyai(-2 + 4 * t), 50),
        "AI_FAR": coefficients(lambda t: scaled_ai(airy_far(t)), 60),
        "AI_P": coefficients(lambda t: airy_parts(min(airy_far_negative(t), mpf(2000)))[0], 30),
        "AI_Q": coefficients(
            lambda t: (lambda x: airy_parts(x)[1] * x ** mpf("1.5") / 10)(min(airy_far_negative(t), mpf(2000))), 30
        ),
    }


def main() -> None:
    lines = ['"""Chebyshev coefficients, written by tools/write_special_tables.py; not to be edited."""', ""]
    for name, values in tables().items():
        lines.append(f"{name} = (")
        lines += [f"    {value!r}," for value in values]
        lines += [")"]
    Path(flambeau.__file__).parent.joinpath("ops", "special_tables.py").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
