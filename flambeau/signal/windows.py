"""Windows of `M` points. A symmetric one is for filters; a periodic one (`sym=False`), which is the first M points
of a symmetric one of M + 1, is for spectra.

Source: Harris, On the use of windows for harmonic analysis with the discrete Fourier transform, 1978.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.ops import special_functions
from flambeau.ops.creation import finish
from flambeau.tensor.tensor import Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming",
    "hann", "kaiser", "nuttall",
]  # fmt: skip


def _window(name: str, M: int, sym: bool, options: dict[str, Any], points: Callable[[np.ndarray, int], Any]) -> Tensor:
    """`points` of the places 0 to M - 1 and the last place of a symmetric window, in float64, as a tensor."""
    if M < 0:
        raise ValueError(f"{name}: expected M to be a non-negative integer, got {M}")
    dtype = options.get("dtype") or dtypes.get_default_dtype()
    if dtype.kind != dtypes.FLOATING:
        raise ValueError(f"{name} expects floating point dtypes, got: {dtype}")
    last = M - 1 if sym else M
    values = np.ones(M) if M <= 1 else points(np.arange(M, dtype=np.float64), last)
    rest = {name: value for name, value in options.items() if name != "dtype"}
    return finish(np.asarray(values).astype(dtype.numpy), name=name, **rest)


def general_cosine(
    M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """(M): sum over k of (-1)^k a[k] cos(2 pi k n / N)."""
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window(
        "general_cosine", M, sym, options,
        lambda n, last: sum((-1) ** k * w * np.cos(2 * math.pi * k * n / last) for k, w in enumerate(weights)),
    )  # fmt: skip


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """(M): alpha - (1 - alpha) cos(2 pi n / N)."""
    return general_cosine(M, a=[alpha, 1 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(M): Hamming's window, 0.54 - 0.46 cos(2 pi n / N)."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(M): Hann's window, (1 - cos(2 pi n / N)) / 2."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(M): Blackman's window, 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(M): Nuttall's window of four cosines (Some windows with very good sidelobe behavior, 1981)."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(M): a triangle, 0 at its ends."""
    return _window("bartlett", M, sym, options, lambda n, last: 1 - np.abs(2 * n / last - 1))


def cosine(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(M): the half period sin(pi (n + 0.5) / M)."""
    return _window("cosine", M, sym, options, lambda n, last: np.sin(math.pi * (n + 0.5) / (last + 1)))


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any
) -> Tensor:
    """(M): exp(-|n - center| / tau); the centre of a symmetric window is its middle."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    return _window(
        "exponential", M, sym, options,
        lambda n, last: np.exp(-np.abs(n - (last / 2 if center is None else center)) / tau),
    )  # fmt: skip


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Tensor:
    """(M): exp(-((n - N / 2) / std)^2 / 2)."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _window("gaussian", M, sym, options, lambda n, last: np.exp(-(((n - last / 2) / std) ** 2) / 2))


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Tensor:
    """(M): I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta), I0 the modified Bessel function."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def points(n: np.ndarray, last: int) -> np.ndarray:
        inside = beta * np.sqrt(np.maximum(0, 1 - (2 * n / last - 1) ** 2))
        scaled = special_functions.i0e_array(inside) / special_functions.i0e_array(np.asarray(float(beta)))
        return scaled * np.exp(inside - beta)

    return _window("kaiser", M, sym, options, points)
