"""Sampling at given places: spatial transformers (Jaderberg et al., 2015)."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.ops import where
from flambeau.ops.native import native
from flambeau.tensor import Tensor

_DEFAULT_CHANGED = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
    "Please specify align_corners=True if the old behavior is desired. See the documentation of "
    "grid_sample for details."
)


def affine_grid(
    theta: Tensor, size: Sequence[int], align_corners: bool | None = None
) -> Tensor:
    """The places for `grid_sample` that an affine map gives: `(N, 2, 3)` to `(N, H, W, 2)`.

    Args:
        theta: `(N, 2, 3)` for images, `(N, 3, 4)` for volumes.
        size: of the output, `(N, C, H, W)` or `(N, C, D, H, W)`.
        align_corners: whether -1 and 1 are the centres of the corner elements, or their edges.

    Raises:
        ValueError: for a matrix of another shape or kind.
    """
    if align_corners is None:
        warnings.warn(_DEFAULT_CHANGED, stacklevel=2)
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    rank = len(size) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    spatial = list(size[2:])
    coordinates = []
    for axis in reversed(range(rank)):  # x, the last dimension, comes first
        count = spatial[axis]
        line = (
            ops.linspace(-1, 1, count, dtype=theta.dtype) if count > 1 else theta.new_zeros(1)
        )
        if not align_corners:
            line = line * (count - 1) / count  # in this order: at pixel centres a last bit decides the derivative
        shape = [1] * rank
        shape[axis] = count
        coordinates.append(line.reshape(shape).expand(*spatial))
    coordinates.append(ops.ones(spatial, dtype=theta.dtype))
    base = ops.stack(coordinates, -1).reshape(1, -1, rank + 1)
    return ops.matmul(base, theta.transpose(1, 2)).reshape(size[0], *spatial, rank)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The input at the places of `grid`: `(N, C, H, W)` and `(N, OH, OW, 2)` to `(N, C, OH, OW)`.

    Args:
        input: `(N, C, H, W)` or `(N, C, D, H, W)`.
        grid: places `(x, y)` or `(x, y, z)`, from -1 at one end of a dimension to 1 at the other.
        mode: `"bilinear"` (in three dimensions trilinear), `"nearest"` or `"bicubic"`.
        padding_mode: what lies outside: `"zeros"`, `"border"` or `"reflection"`.
        align_corners: whether -1 and 1 are the centres of the corner elements, or their edges.

    Raises:
        ValueError: for an unknown mode.
        RuntimeError: for shapes that do not fit.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(_DEFAULT_CHANGED, stacklevel=2)
        align_corners = False
    rank = input.dim() - 2
    if rank not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.size(0) != grid.size(0) or grid.size(-1) != rank:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {rank} in last dimension and the batch "
            f"size of input, but got input with sizes {list(input.shape)} and grid with sizes "
            f"{list(grid.shape)}"
        )
    if mode == "bicubic" and rank != 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    return _sampled(input, grid, mode, padding_mode, align_corners)


@native
def _sampled(input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool) -> Tensor:
    rank = grid.size(-1)
    sampler = _Sampler(input, padding_mode, align_corners)
    # The grid's last component belongs to the first spatial dimension.
    places = [
        _unnormalised(grid[..., rank - 1 - axis], input.size(2 + axis), align_corners, rank == 2)
        for axis in range(rank)
    ]
    if mode == "bicubic":
        return sampler.cubic(places)
    places = [sampler.inside(place, axis) for axis, place in enumerate(places)]
    return sampler.nearest(places) if mode == "nearest" else sampler.linear(places)


def _unnormalised(place: Tensor, size: int, align_corners: bool, flat: bool) -> Tensor:
    """A place between -1 and 1 as a position among `size` elements."""
    if align_corners:
        return (place + 1) * ((size - 1) / 2) if flat else (place + 1) / 2 * (size - 1)
    return (place + 1) * (size / 2) - 0.5 if flat else ((place + 1) * size - 1) / 2


class _Sampler:
    """Takes elements of `input` at whole positions, and what lies outside by the padding mode."""

    def __init__(self, input: Tensor, padding_mode: str, align_corners: bool) -> None:
        self.sizes = tuple(input.shape[2:])
        self.padding_mode = padding_mode
        self.align_corners = align_corners
        self.flat = input.reshape(*input.shape[:2], math.prod(self.sizes))

    def inside(self, place: Tensor, axis: int) -> Tensor:
        """A position moved into the input, unless zeros lie around it."""
        size = self.sizes[axis]
        if self.padding_mode == "zeros":
            return place
        if self.padding_mode == "reflection":
            low, high = (0.0, size - 1.0) if self.align_corners else (-0.5, size - 0.5)
            place = _reflected(place, low, high)
        return place.clamp(0, size - 1)

    def take(self, positions: Sequence[Tensor]) -> Tensor:
        """The elements `(N, C, *)` at whole positions `(N, *)`; 0 outside the input."""
        index: Any = 0
        outside: Any = None
        for position, size in zip(positions, self.sizes, strict=True):
            position = position.detach()
            beyond = ~((position >= 0) & (position <= size - 1))
            outside = beyond if outside is None else outside | beyond
            index = index * size + where(beyond, 0, position).long()
        count, channels = self.flat.shape[:2]
        shape = tuple(index.shape[1:])
        spread = index.reshape(count, 1, math.prod(index.shape[1:])).expand(count, channels, -1)
        taken = self.flat.gather(2, spread).reshape(count, channels, *shape)
        return where(outside.unsqueeze(1), 0, taken)

    def nearest(self, places: Sequence[Tensor]) -> Tensor:
        return self.take([place.detach().round() for place in places])

    def linear(self, places: Sequence[Tensor]) -> Tensor:
        """The mean of the corners of the cell around each place."""
        first = [place.detach().floor() for place in places]
        out: Any = 0
        for corner in itertools.product((0, 1), repeat=len(places)):
            weight: Any = 1
            for place, low, side in zip(places, first, corner, strict=True):
                share = place - low
                weight = weight * (share if side else 1 - share)
            positions = [low + side for low, side in zip(first, corner, strict=True)]
            out = out + self.take(positions) * weight.unsqueeze(1)
        return out

    def cubic(self, places: Sequence[Tensor]) -> Tensor:
        """A combination of the 4 x 4 neighbours of each place (Keys, 1981)."""
        first = [place.detach().floor() for place in places]
        weights = [_cubic_weights(p - low) for p, low in zip(places, first, strict=True)]
        out: Any = 0
        for row, column in itertools.product(range(4), repeat=2):
            positions = [
                self.inside(low + (offset - 1), axis)
                for axis, (low, offset) in enumerate(zip(first, (row, column), strict=True))
            ]
            weight = weights[0][row] * weights[1][column]
            out = out + self.take(positions) * weight.unsqueeze(1)
        return out


def _reflected(place: Tensor, low: float, high: float) -> Tensor:
    """A position mirrored at both ends until it lies between them."""
    span = high - low
    if span <= 0:
        return place * 0
    distance = (place - low).abs()
    turns = (distance.detach() / span).floor()
    rest = distance - turns * span
    return where(turns % 2 == 0, rest + low, high - rest)


def _cubic_weights(share: Tensor) -> list[Tensor]:
    """The weights of the neighbours at -1, 0, 1 and 2 of a place `share` after 0."""
    a = -0.75

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(share + 1), near(share), near(1 - share), far(2 - share)]
