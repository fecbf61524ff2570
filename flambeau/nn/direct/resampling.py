"""Sampling at places and in windows: modes are numbers, and sizes are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.core import dtypes
from flambeau.nn.functional import grid as grids
from flambeau.nn.functional.pooling import max_pool2d_with_indices as max_pool2d_with_indices
from flambeau.nn.functional.resize import interpolate, resized
from flambeau.tensor import Tensor

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`grid_sample` by numbers: bilinear 0, nearest 1, bicubic 2; outside zeros 0, border 1, reflection 2."""
    for number, names, what in ((interpolation_mode, _MODES, "interpolation"), (padding_mode, _PADDINGS, "padding")):
        if not 0 <= number < len(names):
            raise ValueError(f"grid_sampler(): expected {what} mode 0, 1 or 2, but got {number}")
    return grids.grid_sample(input, grid, _MODES[interpolation_mode], _PADDINGS[padding_mode], align_corners)


def _check_rank(input: Tensor, grid: Tensor, rank: int) -> None:
    if input.ndim != rank or grid.ndim != rank:
        raise RuntimeError(
            f"grid_sampler(): expected {rank}D input and grid with same number of dimensions, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )


def grid_sampler_2d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`grid_sampler` of images, (N, C, H, W) at (N, OH, OW, 2)."""
    _check_rank(input, grid, 4)
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`grid_sampler` of volumes, (N, C, D, H, W) at (N, OD, OH, OW, 3)."""
    _check_rank(input, grid, 5)
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """The places of an affine map, (N, 2, 3), for images of `size` (N, C, H, W); also of volumes."""
    if len(size) not in (4, 5):
        raise RuntimeError("AffineGridGenerator needs 4d (spatial) or 5d (volumetric) inputs.")
    return grids.affine_grid(theta, size, align_corners)


def _upsample_bilinear2d_aa(
    input: Tensor, output_size: Sequence[int] | None, align_corners: bool, scales_h: Any = None,
    scales_w: Any = None, *, scale_factors: Sequence[float] | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, H, W) resized with the triangle filter, widened where the image shrinks, to a size or by factors.

    With both, the factors are the steps of the sampling only.
    """
    factors = (scales_h, scales_w) if scale_factors is None else tuple(scale_factors)
    if output_size is None:
        return interpolate(input, scale_factor=factors, mode="bilinear", align_corners=align_corners, antialias=True)
    return resized(input, tuple(output_size), factors, "bilinear", align_corners, True)


def max_pool2d_with_indices_backward(
    grad_output: Tensor, self: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    indices: Tensor,
) -> Tensor:  # fmt: skip
    """The gradient of `max_pool2d`: each element of `grad_output` added where its maximum was, `indices` says where.

    It does not change with `self`, and has its place in its graph nevertheless, as in PyTorch.
    """
    zeros = self.masked_fill(ops.ones_like(self, dtype=dtypes.bool), 0)
    flat = zeros.flatten(-2)
    return flat.scatter_add(-1, indices.flatten(-2), grad_output.flatten(-2)).reshape(self.shape)
