"""Resizing by interpolation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.core import dtypes
from flambeau.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from flambeau.ops.native import native
from flambeau.tensor import Tensor

_NEAREST = ("nearest", "nearest-exact")
#: The spatial dimensions that each mode takes.
_DIMENSIONS = {
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,),
    "bilinear": (2,), "bicubic": (2,), "lanczos": (2,), "trilinear": (3,),
}  # fmt: skip


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes `(N, C, *)` to `(N, C, *size)`, or by `scale_factor`.

    Args:
        input: what is resized.
        size: spatial size of the output.
        scale_factor: its ratio to the input's.
        mode: `"nearest"`, `"nearest-exact"`, `"linear"`, `"bilinear"`, `"bicubic"`,
            `"trilinear"`, `"lanczos"` or `"area"`.
        align_corners: let the corner elements of both lie on each other.
        recompute_scale_factor: compute the ratio anew from the rounded size.
        antialias: when shrinking, average over all that an output element covers.

    Raises:
        ValueError: for options that exclude each other.
        NotImplementedError: for a mode that does not take this number of dimensions.
    """
    if mode in (*_NEAREST, "area"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    rank = input.dim() - 2
    sizes, factors = _output_sizes(input, size, scale_factor)
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if recompute_scale_factor or mode == "area":
        factors = [None] * rank
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and rank == 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    if mode == "lanczos" and align_corners:
        raise ValueError("Lanczos mode does not support align_corners=True")
    if rank not in _DIMENSIONS.get(mode, ()) or (mode == "lanczos" and not antialias):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            f"lanczos (with antialias) | area | nearest-exact (got {mode})"
        )
    if any(n <= 0 for n in sizes) or 0 in input.shape[1:]:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input "
            f"{list(input.shape[2:])} output {list(sizes)}"
        )
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[rank - 1]
        return pool(input, sizes)
    return resized(input, tuple(sizes), tuple(factors), mode, bool(align_corners), antialias)


@partial(native, at_once=4)  # crops of any size are what is resized most
def resized(
    input: Tensor, sizes: tuple[int, ...], factors: tuple[float | None, ...], mode: str, align_corners: bool,
    antialias: bool,
) -> Tensor:  # fmt: skip
    out = input
    for axis in range(len(sizes)):
        along = _Axis(input, axis + 2, sizes[axis], factors[axis], align_corners)
        if antialias:
            out = along.filtered(out, _FILTERS[mode])
        elif mode in _NEAREST:
            out = along.nearest(out, exact=mode == "nearest-exact")
        elif mode == "bicubic":
            out = along.cubic(out)
        else:
            out = along.linear(out)
    return out.clone() if out is input else out


def _output_sizes(
    input: Tensor, size: Any, scale_factor: Any
) -> tuple[list[int], list[float | None]]:
    """The size and the given scale of each spatial dimension."""
    rank = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        sizes = list(size) if isinstance(size, (list, tuple)) else [size] * rank
        if len(sizes) != rank:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {list(input.shape[2:])} and output size of {size}. "
                "Please provide input tensor in (N, C, d1, d2, ...,dK) format and output size in "
                "(o1, o2, ...,oK) format."
            )
        if not all(isinstance(n, (int, np.integer)) for n in sizes):
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or "
                f"Tuple[int, int, int], but got size with types {[type(n) for n in sizes]}"
            )
        return [int(n) for n in sizes], [None] * rank
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given = scale_factor
    factors = list(given) if isinstance(given, (list, tuple)) else [given] * rank
    if len(factors) != rank:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {list(input.shape[2:])} and scale_factor of shape "
            f"{scale_factor}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
            "scale_factor in (s1, s2, ...,sK) format."
        )
    sizes = [int(n * factor) for n, factor in zip(input.shape[2:], factors, strict=True)]
    return sizes, factors


class _Axis:
    """One dimension that is resized, in the arithmetic that PyTorch places elements with."""

    def __init__(
        self, input: Tensor, dim: int, places: int, factor: float | None, align_corners: bool
    ) -> None:
        self.dim = dim
        self.size = input.size(dim)
        self.places = places
        self.align_corners = align_corners
        self.number: Any = np.float64 if input.dtype is dtypes.float64 else np.float32
        by_size = self.number(self.size) / self.number(places)
        self.ratio = by_size if factor is None else self.number(1.0 / factor)
        self.step = self.ratio
        if align_corners:
            self.step = self.number((self.size - 1) / (places - 1) if places > 1 else 0)

    def _sources(self, clamped: bool) -> np.ndarray:
        """Where each output element's centre lies among the input's."""
        at = np.arange(self.places, dtype=self.number)
        if self.align_corners:
            return self.step * at
        half = self.number(0.5)
        sources = self.step * (at + half) - half
        return np.maximum(sources, 0) if clamped else sources

    def _taken(self, x: Tensor, index: np.ndarray) -> Tensor:
        limited = np.clip(index, 0, self.size - 1).astype(np.int64)
        return x.index_select(self.dim, ops.from_numpy(limited))

    def _weights(self, x: Tensor, weights: np.ndarray) -> Tensor:
        shape = [1] * x.dim()
        shape[self.dim] = self.places
        return ops.from_numpy(weights.reshape(shape)).to(x.dtype)

    def nearest(self, x: Tensor, exact: bool) -> Tensor:
        """Each output element is one of the input's."""
        shift = self.number(0.5 if exact else 0)
        at = np.arange(self.places, dtype=np.float32) + np.float32(shift)
        return self._taken(x, np.floor(at * np.float32(self.ratio)))

    def linear(self, x: Tensor) -> Tensor:
        """Each output element is a mean of its two neighbours."""
        if self.places == self.size:
            return x
        sources = self._sources(clamped=True)
        first = np.minimum(np.floor(sources), self.size - 1)
        share = np.clip(sources - first, 0, 1)
        left, right = self._taken(x, first), self._taken(x, first + 1)
        return left * self._weights(x, 1 - share) + right * self._weights(x, share)

    def cubic(self, x: Tensor) -> Tensor:
        """Each output element is a combination of its four neighbours (Keys, 1981)."""
        if self.places == self.size and not self.align_corners and self.ratio == 1:
            return x
        sources = self._sources(clamped=False)
        first = np.floor(sources)
        share = sources - first
        out: Any = 0
        for offset in (-1, 0, 1, 2):
            weights = _cubic(share - offset, -0.75)
            out = out + self._taken(x, first + offset) * self._weights(x, weights)
        return out

    def filtered(
        self, x: Tensor, kernel: tuple[Callable[[np.ndarray], np.ndarray], int]
    ) -> Tensor:
        """Each output element is a mean of all that it covers, weighted by a filter."""
        matrix = _filter_matrix(self.size, self.places, float(self.step), kernel)
        weights = ops.from_numpy(matrix).to(x.dtype)
        moved = ops.matmul(x.transpose(self.dim, -1), weights.transpose(0, 1))
        return moved.transpose(self.dim, -1)


def _filter_matrix(
    size: int, places: int, step: float, kernel: tuple[Callable[[np.ndarray], np.ndarray], int]
) -> np.ndarray:
    """(places, size): what each input element is worth to an output element `step` of them after the one before."""
    weigh, width = kernel
    stretch = max(step, 1.0)
    support = width * 0.5 * stretch
    centres = step * (np.arange(places) + 0.5)
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centres + support + 0.5).astype(np.int64), size)
    taps = first[:, None] + np.arange((end - first).max())
    weights = weigh((taps - centres[:, None] + 0.5) / stretch)
    weights[taps >= end[:, None]] = 0
    matrix = np.zeros((places, size))
    inside = np.minimum(taps, size - 1)
    np.add.at(matrix, (np.arange(places)[:, None], inside), weights / weights.sum(1, keepdims=True))
    return matrix


def filter_matrix(size: int, places: int, mode: str) -> np.ndarray:
    """(places, size): what `interpolate(mode, antialias=True)` multiplies a dimension by."""
    return _filter_matrix(size, places, float(np.float32(size) / np.float32(places)), _FILTERS[mode])


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution kernel."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0)).astype(distance.dtype)


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(distance))


def _lanczos(distance: np.ndarray) -> np.ndarray:
    return np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)


#: For each mode with antialiasing, its filter and how many elements it spans.
_FILTERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "bilinear": (_triangle, 2),
    "bicubic": (lambda distance: _cubic(distance, -0.5), 4),
    "lanczos": (_lanczos, 6),
}


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The older name of `interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The older name of `interpolate` with `mode="nearest"`."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The older name of `interpolate` with `mode="bilinear"` and aligned corners."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` "
        "instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
