"""Parts of feature maps, cut out by boxes and brought to one size.

Boxes ("regions of interest") are `(K, 5)`: the number of the image in the batch, then `x1, y1, x2, y2` in the
image's pixels, which `spatial_scale` turns into places on the feature map; or a list with a tensor `(L, 4)` for each
image. Gradients flow to the features, not to the boxes.

A feature map is read as a table with a row of channels for each pixel: which rows a box needs, and with which
weights, is worked out first, from the boxes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.nn import Module
from flambeau.tensor import Tensor

Size = int | Sequence[int]


def roi_align(
    input: Tensor,
    boxes: Tensor | list[Tensor],
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Each box divided into bins, each bin the mean of bilinear samples: `(K, C, *output_size)`.

    K. He et al., "Mask R-CNN", ICCV 2017.

    Args:
        input: features `(N, C, H, W)`.
        boxes: see the module.
        output_size: bins down and across.
        spatial_scale: feature pixels per image pixel.
        sampling_ratio: samples in a bin, in each direction; as many as it has pixels where not positive.
        aligned: take pixels at their centres, half a pixel after their number.

    Raises:
        ValueError: for boxes of another shape.
        TypeError: for boxes that are neither a tensor nor a list.
    """
    size, regions = _pair(output_size), _regions(boxes)
    bins = _Bins(regions, size, spatial_scale, sampling_ratio, 0.5 if aligned else 0.0, least=not aligned)
    rows, cols = (bins.samples(axis, input.size(2 + axis), input.dtype) for axis in (0, 1))
    table = _Table(input)
    image = flambeau.from_numpy(regions[:, 0].astype(np.int64)).to(input.device)
    out: Any = 0
    # (K, bins down, samples, bins across, samples) places, for each corner of the cell around a sample.
    for row, row_share in rows:
        for col, col_share in cols:
            at = table.row(image[:, None, None, None, None], row[:, :, :, None, None], col[:, None, None])
            share = row_share[:, :, :, None, None] * col_share[:, None, None]
            out = out + (table.take(at) * share.unsqueeze(-1)).sum((2, 4))
    return out.permute(0, 3, 1, 2)


def ps_roi_align(
    input: Tensor,
    boxes: Tensor | list[Tensor],
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
) -> Tensor:
    """`roi_align` (aligned) in which every bin reads channels of its own: `(K, C / (bins), *output_size)`.

    Bin (i, j) of output channel c is from input channel `(c * rows + i) * columns + j`. Z. Li et al., "Light-Head
    R-CNN", 2017. Arguments and errors as in `roi_align`.

    Raises:
        RuntimeError: if the channels cannot be dealt out to the bins.
    """
    height, width = _pair(output_size)
    _check_channels(input, height * width)
    regions = _regions(boxes)
    bins = _Bins(regions, (height, width), spatial_scale, sampling_ratio, 0.5, least=False)
    rows, cols = (bins.samples(axis, input.size(2 + axis), input.dtype) for axis in (0, 1))
    table = _Table(input)
    channel = _channels_of_bins(input.size(1), height, width)[None, :, :, None, :, None]
    image = flambeau.from_numpy(regions[:, 0].astype(np.int64)).to(input.device)
    out: Any = 0
    for row, row_share in rows:
        for col, col_share in cols:
            at = table.row(image[:, None, None, None, None], row[:, :, :, None, None], col[:, None, None])
            share = row_share[:, :, :, None, None] * col_share[:, None, None]
            out = out + (table.element(at[:, None], channel) * share[:, None]).sum((3, 5))
    return out


def roi_pool(
    input: Tensor, boxes: Tensor | list[Tensor], output_size: Size, spatial_scale: float = 1.0
) -> Tensor:
    """The greatest value in each bin of a box rounded to whole pixels: `(K, C, *output_size)`; 0 in empty bins.

    R. Girshick, "Fast R-CNN", ICCV 2015. Arguments and errors as in `roi_align`.
    """
    (height, width), regions = _pair(output_size), _regions(boxes)
    row_ends, col_ends = _whole_bins(regions, (height, width), spatial_scale, input.shape[2:], 1, 0)
    table = _Table(input)
    at, inside = _cells(regions, row_ends, col_ends, table)
    # The first greatest pixel of each bin, bin and channel by channel, found outside autograd.
    with flambeau.no_grad():
        values = table.take(at).masked_fill(~inside.unsqueeze(-1), -float("inf"))
        best = at[..., None].expand(values.shape).gather(3, values.argmax(3, keepdim=True)).squeeze(3)
    out = table.element(best, flambeau.arange(input.size(1)))
    return _filled(inside, out).permute(0, 3, 1, 2)


def ps_roi_pool(
    input: Tensor, boxes: Tensor | list[Tensor], output_size: Size, spatial_scale: float = 1.0
) -> Tensor:
    """The mean of each bin of a rounded box, every bin from channels of its own: `(K, C / (bins), *output_size)`.

    J. Dai et al., "R-FCN", NeurIPS 2016. The channels are dealt out as in `ps_roi_align`.
    """
    height, width = _pair(output_size)
    _check_channels(input, height * width)
    regions = _regions(boxes)
    # Bins end before the last row and column: so do those of the published implementations.
    row_ends, col_ends = _whole_bins(regions, (height, width), spatial_scale, input.shape[2:], 0, 1)
    table = _Table(input)
    at, inside = _cells(regions, row_ends, col_ends, table)
    channel = _channels_of_bins(input.size(1), height, width)[None, ..., None]
    values = table.element(at[:, None], channel) * inside[:, None].to(input.dtype)
    return values.sum(-1) / inside.sum(-1).clamp(min=1).to(input.dtype)[:, None]


# --- As modules


class _Pooling(Module):
    """A function of this file with its arguments.

    Args:
        output_size: bins down and across.
        spatial_scale: feature pixels per image pixel.
    """

    _shown: tuple[str, ...] = ("output_size", "spatial_scale")
    _function: Any

    def __init__(self, output_size: Size, spatial_scale: float) -> None:
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        """The bins of the boxes `rois` on the features `input`."""
        return type(self)._function(input, rois, **{name: getattr(self, name) for name in self._shown})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in self._shown)})"


class RoIPool(_Pooling):
    """See `roi_pool`."""

    _function = staticmethod(roi_pool)


class PSRoIPool(_Pooling):
    """See `ps_roi_pool`."""

    _function = staticmethod(ps_roi_pool)


class PSRoIAlign(_Pooling):
    """See `ps_roi_align`."""

    _shown = ("output_size", "spatial_scale", "sampling_ratio")
    _function = staticmethod(ps_roi_align)

    def __init__(self, output_size: Size, spatial_scale: float, sampling_ratio: int) -> None:
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio


class RoIAlign(_Pooling):
    """See `roi_align`."""

    _shown = ("output_size", "spatial_scale", "sampling_ratio", "aligned")
    _function = staticmethod(roi_align)

    def __init__(
        self, output_size: Size, spatial_scale: float, sampling_ratio: int, aligned: bool = False
    ) -> None:
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned


# --- Boxes


def _pair(size: Size) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    height, width = size
    return int(height), int(width)


def _regions(boxes: Tensor | list[Tensor]) -> np.ndarray:
    """Boxes of either form as an array (K, 5)."""
    if isinstance(boxes, list | tuple):
        for part in boxes:
            if part.dim() != 2 or part.size(1) != 4:
                raise ValueError("The shape of the tensor in the boxes list is not correct as List[Tensor[L, 4]]")
        numbered = [
            np.insert(part.detach().cpu().numpy(), 0, image, axis=1) for image, part in enumerate(boxes)
        ]
        return np.concatenate(numbered) if numbered else np.zeros((0, 5), np.float32)
    if not isinstance(boxes, Tensor):
        raise TypeError("boxes is expected to be a Tensor[L, 5] or a List[Tensor[K, 4]]")
    if boxes.dim() != 2 or boxes.size(1) != 5:
        raise ValueError("The boxes tensor shape is not correct as Tensor[K, 5]")
    return boxes.detach().cpu().numpy()


class _Bins:
    """Where the samples of the bins of every box lie, along rows (axis 0) and columns (axis 1)."""

    def __init__(
        self,
        regions: np.ndarray,
        size: tuple[int, int],
        scale: float,
        ratio: int,
        offset: float,
        least: bool,
    ) -> None:
        one = regions.dtype.type  # stay in the boxes' precision, in which bins are counted
        self.start = regions[:, [2, 1]] * one(scale) - one(offset)
        length = regions[:, [4, 3]] * one(scale) - one(offset) - self.start
        if least:  # boxes of less than a pixel are taken for a pixel
            length = np.maximum(length, one(1))
        self.bins = size
        self.step = length / np.array(size, regions.dtype)
        wanted = np.full(length.shape, ratio) if ratio > 0 else np.ceil(self.step)
        #: How many samples a bin has, for each box and axis.
        self.count = wanted.astype(np.int64)

    def samples(self, axis: int, length: int, dtype: Any) -> list[tuple[Tensor, Tensor]]:
        """For the pixel before and the one after each sample: its number and its share of the bin.

        Both have the shape (K, bins, samples); shares of samples that a box does not have, and of those
        more than a pixel outside, are 0.
        """
        count = self.count[:, axis, None, None]
        most = max(int(count.max(initial=0)), 1)
        number = np.arange(most)
        divisor = np.maximum(count, 1).astype(self.step.dtype)
        step = self.step[:, axis, None, None]
        place = (
            self.start[:, axis, None, None]
            + np.arange(self.bins[axis])[:, None].astype(step.dtype) * step
            + (number + 0.5).astype(step.dtype) * step / divisor
        )
        used = (number < count) & (place >= -1) & (place <= length)
        place = np.clip(place, 0, length - 1)
        before = np.floor(place).astype(np.int64)
        after = np.minimum(before + 1, length - 1)
        share = place - before
        return [
            (flambeau.from_numpy(pixel), flambeau.from_numpy(part * used / divisor).to(dtype))
            for pixel, part in ((before, 1 - share), (after, share))
        ]


def _whole_bins(
    regions: np.ndarray,
    size: tuple[int, int],
    scale: float,
    lengths: Sequence[int],
    extra: int,
    cut: int,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """First and end pixel (K, bins) of the bins of rounded boxes, along rows and columns.

    `extra` is added to the lengths of the boxes; bins end `cut` pixels before the map does.
    """
    ends = []
    for bins, low, high, length in zip(size, (2, 1), (4, 3), lengths, strict=True):
        first, last = (_round_half_away(regions[:, column] * scale) for column in (low, high))
        step = np.maximum(last - first + extra, 1).astype(regions.dtype)[:, None] / bins
        number = np.arange(bins).astype(regions.dtype)
        start = np.floor(number * step).astype(np.int64) + first[:, None]
        end = np.ceil((number + 1) * step).astype(np.int64) + first[:, None]
        ends.append((np.clip(start, 0, length - cut), np.clip(end, 0, length - cut)))
    return ends


def _round_half_away(places: np.ndarray) -> np.ndarray:
    """The nearest whole numbers, halves away from 0 (NumPy's own rounding takes the even one)."""
    return (np.sign(places) * np.floor(np.abs(places) + 0.5)).astype(np.int64)


# --- Feature maps


class _Table:
    """Feature maps `(N, C, H, W)` as rows of channels."""

    def __init__(self, input: Tensor) -> None:
        self.height, self.width = input.shape[2:]
        self.channels = input.size(1)
        self.rows = input.permute(0, 2, 3, 1).reshape(-1, self.channels)

    def row(self, image: Any, y: Any, x: Any) -> Any:
        """The number of the row of a pixel."""
        return (image * self.height + y) * self.width + x

    def take(self, at: Tensor) -> Tensor:
        """All channels of the pixels at these rows: `(*at.shape, C)`."""
        return self.rows.index_select(0, at.reshape(-1)).reshape(*at.shape, self.channels)

    def element(self, at: Tensor, channel: Tensor) -> Tensor:
        """One channel of each of the pixels, of the broadcast shape of both."""
        place = at * self.channels + channel
        return self.rows.reshape(-1).index_select(0, place.reshape(-1)).reshape(place.shape)


def _cells(
    regions: np.ndarray,
    row_ends: tuple[np.ndarray, np.ndarray],
    col_ends: tuple[np.ndarray, np.ndarray],
    table: _Table,
) -> tuple[Tensor, Tensor]:
    """The rows of the pixels in each bin, `(K, bins down, bins across, pixels)`, and which of them count."""
    (top, bottom), (left, right) = row_ends, col_ends
    down = np.arange(max(int((bottom - top).max(initial=0)), 1))
    across = np.arange(max(int((right - left).max(initial=0)), 1))
    y, x = top[:, :, None] + down, left[:, :, None] + across
    inside = (y < bottom[:, :, None])[:, :, None, :, None] & (x < right[:, :, None])[:, None, :, None, :]
    image = regions[:, 0].astype(np.int64)[:, None, None, None, None]
    at = table.row(
        image,
        np.minimum(y, table.height - 1)[:, :, None, :, None],
        np.minimum(x, table.width - 1)[:, None, :, None, :],
    )
    flat = (*at.shape[:3], len(down) * len(across))
    return flambeau.from_numpy(at.reshape(flat)), flambeau.from_numpy(inside.reshape(flat))


def _filled(inside: Tensor, values: Tensor) -> Tensor:
    """The values of bins `(K, rows, columns, C)` that have pixels, 0 for the others."""
    return values.masked_fill(~inside.any(-1).unsqueeze(-1), 0)


def _check_channels(input: Tensor, bins: int) -> None:
    if input.size(1) % bins:
        raise RuntimeError("input channels must be a multiple of pooling height * pooling width")


def _channels_of_bins(channels: int, height: int, width: int) -> Tensor:
    """Which input channel each bin of each output channel reads: `(channels / bins, height, width)`."""
    return flambeau.arange(channels).reshape(-1, height, width)
