"""What the moving functions of `functional` do to tensors (…, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import flambeau
import flambeau.nn.functional as F
from flambeau.nn.functional.resize import filter_matrix
from flambeau.ops.native import native
from flambeau.tensor import Tensor
from flambeau.vision.transforms.geometry import four_paddings, rotated_size


def check(img: Any) -> None:
    if not isinstance(img, Tensor) or img.ndim < 2:
        raise TypeError("Tensor is not a torch image.")


def hflip(img: Tensor) -> Tensor:
    check(img)
    return img.flip(-1)


def vflip(img: Tensor) -> Tensor:
    check(img)
    return img.flip(-2)


def crop(img: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A piece of the image; beyond its edges is black."""
    check(img)
    all_height, all_width = img.shape[-2:]
    bottom, right = top + height, left + width
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= all_width and bottom <= all_height:
        return inside
    edges = [
        max(min(right, 0) - left, 0), max(right - max(all_width, left), 0),
        max(min(bottom, 0) - top, 0), max(bottom - max(all_height, top), 0),
    ]  # fmt: skip
    return F.pad(inside, edges)


def resize(img: Tensor, height: int, width: int, mode: str, antialias: bool | None) -> Tensor:
    check(img)
    if tuple(img.shape[-2:]) == (height, width):
        return img
    if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError("This interpolation mode is unsupported with Tensor input")
    smooth = mode in ("bilinear", "bicubic")

    def interpolate(images: Tensor) -> Tensor:
        resized = F.interpolate(
            images,
            size=(height, width),
            mode=mode,
            align_corners=False if smooth else None,
            antialias=bool(antialias) and smooth,
        )
        # Bicubic curves overshoot, and bytes would wrap around.
        return resized.clamp(0, 255) if mode == "bicubic" and img.dtype == flambeau.uint8 else resized

    return _as_float_batch(img, interpolate)


#: A crop is taken a little larger, by so many rows and columns: then one compiled program serves many crops.
_COARSE = 64


def resized_crop(img: Tensor, crop: Sequence[int], size: tuple[int, int], mode: str) -> Tensor | None:
    """The piece (top, left, height, width) of a batch, resized with antialiasing: two products with matrices.

    `None` where cropping and resizing one after the other does as well: images that are no large batch of floating
    point, pieces beyond the edges.
    """
    check(img)
    (top, left, height, width), (all_height, all_width) = crop, img.shape[-2:]
    inside = 0 <= top <= top + height <= all_height and 0 <= left <= left + width <= all_width
    if not inside or img.ndim < 4 or not img.is_floating_point() or min(height, width, *size) < 1:
        return None
    rows, first_row = _coarse(top, height, all_height)
    columns, first_column = _coarse(left, width, all_width)
    piece = img[..., first_row : first_row + rows, first_column : first_column + columns]
    down = _resizing(height, size[0], mode, top - first_row, rows, img.dtype)
    across = _resizing(width, size[1], mode, left - first_column, columns, img.dtype)
    return _resampled(piece, down, across)


def _coarse(start: int, count: int, all: int) -> tuple[int, int]:
    """A range around one that has a round length: how many, and the first."""
    more = min(-(-count // _COARSE) * _COARSE, all)
    return more, min(start, all - more)


def _resizing(count: int, places: int, mode: str, before: int, all: int, kind: Any) -> Tensor:
    """The matrix (places, all) that resizes `count` elements, the first of them at `before`."""
    matrix = np.zeros((places, all))
    matrix[:, before : before + count] = filter_matrix(count, places, mode)
    return flambeau.from_numpy(matrix).to(kind)


@native
def _resampled(img: Tensor, down: Tensor, across: Tensor) -> Tensor:
    return flambeau.matmul(down, flambeau.matmul(img, across.transpose(0, 1)))


def pad(img: Tensor, padding: int | Sequence[int], fill: Any, mode: str) -> Tensor:
    check(img)
    left, top, right, bottom = four_paddings(padding)
    edges = [left, right, top, bottom]
    if mode == "symmetric":
        if img.ndim not in (3, 4):
            raise RuntimeError("Symmetric padding of N-D tensors are not supported yet")
        return _pad_symmetric(img, edges)
    if mode == "constant":
        if isinstance(fill, (list, tuple)):
            return _pad_colour(img, edges, fill)
        return F.pad(img, edges, value=float(fill or 0))
    return _as_float_batch(
        img, lambda images: F.pad(images, edges, mode={"edge": "replicate"}.get(mode, mode))
    )


def _pad_colour(img: Tensor, edges: list[int], fill: Sequence[float]) -> Tensor:
    """Constant padding by one number for each channel."""
    if len(fill) == 1:
        return F.pad(img, edges, value=float(fill[0]))
    if len(fill) != img.shape[-3]:
        raise ValueError(
            f"The number of elements in 'fill' ({len(fill)}) is not the number of channels "
            f"({img.shape[-3]})"
        )
    planes = [F.pad(img[..., c : c + 1, :, :], edges, value=float(f)) for c, f in enumerate(fill)]
    return flambeau.cat(planes, -3)


def _pad_symmetric(img: Tensor, edges: list[int]) -> Tensor:
    """Mirrored at the edges, the outermost pixel twice."""
    left, right, top, bottom = edges
    if min(edges) < 0:
        img = F.pad(img, [min(edge, 0) for edge in edges])
        left, right, top, bottom = (max(edge, 0) for edge in edges)
    height, width = img.shape[-2:]
    columns = np.pad(np.arange(width), (left, right), "symmetric").tolist()
    rows = np.pad(np.arange(height), (top, bottom), "symmetric").tolist()
    img = img.index_select(-1, flambeau.tensor(columns, dtype=flambeau.int64))
    return img.index_select(-2, flambeau.tensor(rows, dtype=flambeau.int64))


def affine(img: Tensor, back: Sequence[float], mode: str, fill: Any) -> Tensor:
    """Moved by the six numbers that take a place of the result back to the image, both counted
    from their middles."""
    check_interpolation(mode, ("nearest", "bilinear"))
    check(img)
    check_fill(img, fill)
    return _sample(img, _affine_grid(img, back, (img.shape[-1], img.shape[-2])), mode, fill)


def rotate(img: Tensor, back: Sequence[float], mode: str, expand: bool, fill: Any) -> Tensor:
    check_interpolation(mode, ("nearest", "bilinear"))
    check(img)
    check_fill(img, fill)
    size = img.shape[-1], img.shape[-2]
    new_size = rotated_size(size, back) if expand else size
    return _sample(img, _affine_grid(img, back, new_size), mode, fill)


def perspective(img: Tensor, back: Sequence[float], mode: str, fill: Any) -> Tensor:
    check_interpolation(mode, ("nearest", "bilinear"))
    check(img)
    check_fill(img, fill)
    height, width = img.shape[-2:]
    kind = _float_type(img)
    across = flambeau.linspace(0.5, width - 0.5, width, dtype=kind)[None, :]
    down = flambeau.linspace(0.5, height - 0.5, height, dtype=kind)[:, None]
    # Numbers in float32 from the start: nearest pixels are then those of torchvision.
    *numerators, g, h = np.array(back, np.float32)
    halves = np.repeat(np.array([0.5 * width, 0.5 * height], np.float32), 3)
    a, b, c, d, e, f = (np.array(numerators, np.float32) / halves).tolist()
    depth = float(g) * across + float(h) * down + 1
    x = (a * across + b * down + c) / depth - 1
    y = (d * across + e * down + f) / depth - 1
    return _sample(img, flambeau.stack([x, y], -1), mode, fill)


def elastic(img: Tensor, displacement: Tensor, mode: str, fill: Any) -> Tensor:
    """Every pixel is taken from its own place plus `displacement`, (1, H, W, 2), in ±1."""
    check(img)
    height, width = img.shape[-2:]
    kind = _float_type(img)
    across = flambeau.linspace((1 - width) / width, (width - 1) / width, width, dtype=kind)
    down = flambeau.linspace((1 - height) / height, (height - 1) / height, height, dtype=kind)
    identity = flambeau.stack(
        [across[None, :].expand(height, width), down[:, None].expand(height, width)], -1
    )
    return _sample(img, identity + displacement[0].to(kind), mode, fill)


def check_interpolation(mode: str, allowed: Sequence[str]) -> None:
    if mode not in allowed:
        raise ValueError(f"Interpolation mode '{mode}' is unsupported with Tensor input")


def check_fill(img: Tensor, fill: Any) -> None:
    count = img.shape[-3] if img.ndim > 2 else 1
    if isinstance(fill, (list, tuple)) and len(fill) > 1 and len(fill) != count:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {count})"
        )


def _affine_grid(img: Tensor, back: Sequence[float], new_size: tuple[int, int]) -> Tensor:
    """Where in the image, ±1 at its edges, each pixel (H, W) of the result is from: (H, W, 2)."""
    height, width = img.shape[-2:]
    new_width, new_height = new_size
    kind = _float_type(img)
    across = flambeau.linspace(0.5 - new_width * 0.5, new_width * 0.5 - 0.5, new_width, dtype=kind)
    down = flambeau.linspace(0.5 - new_height * 0.5, new_height * 0.5 - 0.5, new_height, dtype=kind)
    a, b, c, d, e, f = ([x / (0.5 * width) for x in back[:3]] + [y / (0.5 * height) for y in back[3:]])
    x = a * across[None, :] + b * down[:, None] + c
    y = d * across[None, :] + e * down[:, None] + f
    return flambeau.stack([x, y], -1)


def _sample(img: Tensor, grid: Tensor, mode: str, fill: Any) -> Tensor:
    """The image's colours at the grid's places; beyond its edges is `fill`, or black."""

    def sampled(images: Tensor) -> Tensor:
        count = images.shape[0]
        if fill is not None:
            # One more channel, of ones, says how much of a pixel is the image.
            images = flambeau.cat([images, flambeau.ones_like(images[:, :1])], 1)
        grids = grid[None].expand(count, *grid.shape)
        result = F.grid_sample(images, grids, mode=mode, padding_mode="zeros", align_corners=False)
        if fill is None:
            return result
        colours, share = result[:, :-1], result[:, -1:]
        background = flambeau.tensor(
            [float(f) for f in fill] if isinstance(fill, (list, tuple)) else [float(fill)],
            dtype=result.dtype,
        ).reshape(1, -1, 1, 1)
        if mode == "nearest":
            return flambeau.where(share < 0.5, background, colours)
        return colours * share + (1.0 - share) * background

    return _as_float_batch(img, sampled)


def _float_type(img: Tensor) -> Any:
    return img.dtype if img.is_floating_point() else flambeau.float32


def _as_float_batch(img: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """The function of images (N, C, H, W) in floating point, for a tensor of any leading
    dimensions and type; integers are rounded."""
    lead = img.shape[:-3]
    images = img.to(_float_type(img)).reshape(-1, *(img.shape[-3:] if img.ndim > 2 else (1, *img.shape)))
    result = function(images)
    if not img.is_floating_point():
        result = result.round().to(img.dtype)
    return result.reshape(*lead, *result.shape[1:]) if img.ndim > 2 else result[0, 0]
