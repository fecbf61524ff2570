"""Gaussian blur of PIL images, to the byte the one that PyTorch's convolution gives.

Where a mean is halfway between two bytes its last bit decides, so the order of the additions
matters: row by row of the kernel, each product added to the sum before it with one rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

#: Lanes of a vector in PyTorch's sums, and of the pixels made at once.
_SUMMED, _LANES = 8, 32


def blur(pixels: np.ndarray, kernel_size: Sequence[int], sigma: Sequence[float]) -> np.ndarray:
    """Bytes (H, W, C) or (H, W), blurred; sizes and deviations are (x, y). The image is mirrored at
    its edges. Raises `RuntimeError` where it is too small for that."""
    columns, rows = kernel_size
    height, width = pixels.shape[:2]
    if columns // 2 >= width or rows // 2 >= height:
        raise RuntimeError(
            "Padding size should be less than the corresponding input dimension, but got: padding "
            f"({columns // 2}, {rows // 2}) for an image of {width} x {height}"
        )
    images = pixels.reshape(height, width, -1).astype(np.float32)
    edges = ((rows // 2,) * 2, (columns // 2,) * 2, (0, 0))
    padded = np.ascontiguousarray(np.pad(images, edges, "reflect"))
    weights = np.ascontiguousarray(_bell(rows, sigma[1])[:, None] * _bell(columns, sigma[0]))
    result = np.empty(images.shape, np.float32)
    channels, along = images.shape[2], width * images.shape[2]
    _function()(
        padded.ctypes.data, weights.ctypes.data, result.ctypes.data, height, along // _LANES * _LANES,
        along, padded.shape[1] * channels, rows, columns, channels,
    )  # fmt: skip
    return np.rint(result).astype(np.uint8).reshape(pixels.shape)


def _bell(size: int, sigma: float) -> np.ndarray:
    """A Gaussian's heights in float32, which add up to one."""
    half = (size - 1) * 0.5
    places = np.arange(size, dtype=np.float32) - np.float32(half)
    exponents = np.float32(-0.5) * (places / np.float32(sigma)) ** 2
    heights = np.exp(exponents.astype(np.float64)).astype(np.float32)
    return heights / _sum(heights)


def _sum(numbers: np.ndarray) -> np.float32:
    """The sum in PyTorch's order: whole vectors of eight side by side, then one after the other
    what is left and the vector's lanes; few numbers in four sums."""
    whole = len(numbers) // _SUMMED * _SUMMED
    if not whole:
        return _in_fours(numbers)
    lanes = _in_fours(numbers[:whole].reshape(-1, _SUMMED))
    total = np.float32(0)
    for number in (*numbers[whole:], *lanes):
        total = total + number
    return total


def _in_fours(rows: np.ndarray) -> Any:
    """The sum of the rows in four sums by turns; those that fill no turn go to the first."""
    turns = len(rows) // 4 * 4
    sums = [np.zeros_like(rows[0]) for _ in range(4)]
    for i, row in enumerate(rows):
        which = i % 4 if i < turns else 0
        sums[which] = sums[which] + row
    return sums[0] + sums[1] + sums[2] + sums[3]


@functools.cache
def _function() -> Any:
    from flambeau.kernels import jit
    from flambeau.kernels.element import F32
    from flambeau.kernels.language import Buffer, Module

    module = Module()
    f = module.function(
        "blur",
        [Buffer("padded", F32), Buffer("weights", F32), Buffer("result", F32)],
        ["height", "whole", "along", "pitch", "rows", "columns", "channels"],
    )
    padded, weights, result = f.buffers
    height, whole, along, pitch, rows, columns, channels = f.indices
    for start, end, lanes in ((0, whole, _LANES), (whole, along, 1)):
        with f.range(0, height) as y, f.range(start, end, step=lanes) as x:
            corner = padded + y * pitch + x
            with f.loop(0, rows, carry=[f.zero(F32, lanes)]) as down:
                row, weight = corner + down.index * pitch, weights + down.index * columns
                with f.loop(0, columns, carry=down.values) as right:
                    color = (row + right.index * channels).load(lanes)
                    factor = (weight + right.index).broadcast(lanes)
                    right.next([f.fma(color, factor, right.values[0])])
                down.next(right.results)
            down.results[0].store(result + y * along + x)
    return jit.load(module).function("blur", 10)
