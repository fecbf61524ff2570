"""PyTorch's older names for windows: periodic unless told otherwise."""

from __future__ import annotations

from typing import Any

from flambeau.signal import windows
from flambeau.tensor.tensor import Tensor


def hann_window(window_length: int, periodic: bool = True, *, pin_memory: bool = False, **options: Any) -> Tensor:
    """(window_length): `signal.windows.hann`, periodic by default."""
    return windows.hann(window_length, sym=not periodic, **options)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, pin_memory: bool = False,
    **options: Any,
) -> Tensor:  # fmt: skip
    """(window_length): alpha - beta cos(2 pi n / N)."""
    return windows.general_cosine(window_length, a=[alpha, beta], sym=not periodic, **options)


def blackman_window(window_length: int, periodic: bool = True, *, pin_memory: bool = False, **options: Any) -> Tensor:
    """(window_length): `signal.windows.blackman`, periodic by default."""
    return windows.blackman(window_length, sym=not periodic, **options)


def bartlett_window(window_length: int, periodic: bool = True, *, pin_memory: bool = False, **options: Any) -> Tensor:
    """(window_length): `signal.windows.bartlett`, periodic by default."""
    return windows.bartlett(window_length, sym=not periodic, **options)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, pin_memory: bool = False, **options: Any
) -> Tensor:
    """(window_length): `signal.windows.kaiser`, periodic by default."""
    return windows.kaiser(window_length, beta=beta, sym=not periodic, **options)
