"""Normal numbers from uniform ones, rounded as PyTorch's vector code rounds them.

PyTorch fills a tensor of 16 or more normals in blocks of 16: eight uniforms give the radii, the
next eight the angles (Box and Muller, 1958). For `float32` it evaluates logarithm, sine and
cosine with the polynomials of the Cephes library, eight lanes at a time, and its compiler fuses
each multiplication into the addition that follows. The functions here round where that code
rounds, so they give the same bits on every machine. For `float64` PyTorch calls the C library,
and so does Python's `math`.

This is for few numbers; `flambeau.kernels.random` does the same in machine code.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["fma32", "fma64", "libm", "normals32", "normals64"]

Array = np.ndarray

_BLOCK = 16
_HALF = _BLOCK // 2
#: Numbers worked on at a time: a few arrays of this many float64 fit the second-level cache.
_CHUNK = 1 << 15

# Cephes' polynomials for float32, highest power first, and its splits of ln 2 and pi / 4.
LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-005, -1.388731625493765e-003, 4.166664568298827e-002)
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
MINUS_QUARTER_PI = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
SQRT_HALF, FOUR_OVER_PI = 0.707106781186547524, 1.27323954473516


def libm(function: Callable[[float], float], x: Array) -> Array:
    """`function` of Python's `math` over an array of float64.

    NumPy's own vector functions differ from the C library's in the last bit.
    """
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def fma32(a: Array, b: float | Array, c: float | Array) -> Array:
    """The float32 nearest to `a * b + c`, for float32 values held in float64 arrays.

    The product is exact in float64. The sum is not, which matters only where it lands half-way
    between two float32: there the error of the sum decides.
    """
    product = a * b
    total = product + c
    half_way = (total.view(np.int64) & 0x1FFFFFFF) == 0x10000000
    if half_way.any():
        addend = np.broadcast_to(c, product.shape)
        for i in zip(*half_way.nonzero(), strict=True):
            error = math.fsum((product[i], addend[i], -total[i]))
            if error:
                total[i] = math.nextafter(total[i], math.copysign(math.inf, error))
    return total.astype(np.float32)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its exact error (Knuth, TAOCP 2, 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _split(a: Array) -> tuple[Array, Array]:
    """Two halves of 26 bits whose sum is `a` (Veltkamp, 1968)."""
    scaled = a * 134217729.0
    high = scaled - (scaled - a)
    return high, a - high


def fma64(a: Array, b: float | Array, c: float | Array) -> Array:
    """The float64 nearest to `a * b + c`.

    The exact product and the addend are summed with one rounding to odd before the last
    rounding (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", IEEE TC
    2008).
    """
    a, b, c = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (a, b, c)))
    product = a * b
    (a1, a0), (b1, b0) = _split(a), _split(b)
    product_error = ((a1 * b1 - product) + a1 * b0 + a0 * b1) + a0 * b0
    low, low_error = _two_sum(c, product_error)
    high, high_error = _two_sum(product, low)
    rest, inexact = _two_sum(low_error, high_error)
    is_even = (rest.view(np.int64) & 1) == 0
    odd = np.where(
        (inexact != 0) & is_even, np.nextafter(rest, np.copysign(np.inf, inexact)), rest
    )
    return high + odd


def _horner32(x: Array, coefficients: tuple[float, ...]) -> Array:
    """A polynomial in `x`, highest power first, each step one fused multiply-add in float32.

    `x` holds float32 values in float64. Sums are rounded twice, to float64 and then to float32;
    that this equals one rounding for every argument a uniform float32 can lead to, 2**24 of
    them, was checked one by one (`tests/core/test_generator.py`).
    """
    value: Array | float = float(np.float32(coefficients[0]))
    for c in coefficients[1:]:
        value = (value * x + float(np.float32(c))).astype(np.float32).astype(np.float64)
    return value  # type: ignore[return-value]


def log32(x: Array) -> Array:
    """The natural logarithm of float32 in (0, 1], as Cephes' `logf` in fused arithmetic."""
    bits = x.view(np.int32)
    exponent = ((bits >> 23) - 126).astype(np.float32)
    fraction = ((bits & 0x007FFFFF) | 0x3F000000).view(np.float32)  # in [0.5, 1)
    small = fraction < np.float32(SQRT_HALF)
    exponent -= small
    fraction = (fraction - 1) + np.where(small, fraction, np.float32(0))
    square = fraction * fraction
    wide = fraction.astype(np.float64)
    cubic = (_horner32(wide, LOG) * wide).astype(np.float32)
    low = (exponent * np.float32(LN2_LOW)).astype(np.float64)
    value = (cubic.astype(np.float64) * square + low).astype(np.float32)
    value = fraction + (value - square * np.float32(0.5))
    return (exponent.astype(np.float64) * LN2_HIGH + value).astype(np.float32)


def sincos32(x: Array) -> tuple[Array, Array]:
    """Sine and cosine of float32 in [0, 2 pi], as Cephes' `sinf` and `cosf`, fused."""
    octant = (x * np.float32(FOUR_OVER_PI)).astype(np.int32)
    octant = (octant + 1) & ~1
    turns = octant.astype(np.float64)
    reduced = x.astype(np.float64)
    for part in MINUS_QUARTER_PI:
        step = turns * float(np.float32(part)) + reduced
        reduced = step.astype(np.float32).astype(np.float64)
    narrow = reduced.astype(np.float32)
    square = narrow * narrow
    wide = square.astype(np.float64)

    cosine = (_horner32(wide, COS) * wide).astype(np.float32).astype(np.float64)
    even = (cosine * wide - wide * 0.5).astype(np.float32) + np.float32(1)

    sine = (_horner32(wide, SIN) * wide).astype(np.float32).astype(np.float64)
    odd = (sine * reduced + reduced).astype(np.float32)

    swapped = (octant & 2) != 0
    sin = np.where(swapped, even, odd)
    cos = np.where(swapped, odd, even)
    np.negative(sin, out=sin, where=(octant & 4) != 0)
    np.negative(cos, out=cos, where=((octant - 2) & 4) == 0)
    return sin, cos


def normals32(uniforms: Array, mean: float, std: float) -> None:
    """Turns float32 uniforms in [0, 1), a multiple of 16, into normals, in place."""
    mean, std = float(np.float32(mean)), float(np.float32(std))
    blocks = uniforms.reshape(-1, 2, _HALF)
    for start in range(0, len(blocks), _CHUNK // _BLOCK):
        chunk = blocks[start : start + _CHUNK // _BLOCK]
        radius = np.sqrt(np.float32(-2) * log32(np.float32(1) - chunk[:, 0]))
        sin, cos = sincos32(chunk[:, 1] * np.float32(2 * math.pi))
        for half, wave in enumerate((cos, sin)):
            wave *= radius
            if mean:
                wave = fma32(wave.astype(np.float64), std, mean)
            elif std != 1:
                wave *= np.float32(std)
            chunk[:, half] = wave


def normals64(uniforms: Array, mean: float, std: float) -> None:
    """Turns float64 uniforms in [0, 1), a multiple of 16, into normals, in place."""
    blocks = uniforms.reshape(-1, 2, _HALF)
    radius = np.sqrt(-2.0 * libm(math.log, 1.0 - blocks[:, 0]))
    angle = 2 * math.pi * blocks[:, 1]
    for half, wave in enumerate((math.cos, math.sin)):
        value = radius * libm(wave, angle)
        blocks[:, half] = fma64(value, std, mean) if mean else value * std
