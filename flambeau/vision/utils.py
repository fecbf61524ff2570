"""Pictures of results: key points and boxes on images, grids of images, image files.

Images are PIL images, NumPy arrays or tensors, and what is returned is of the same kind. Arrays
and tensors are (C, H, W) with one or three channels, or (H, W), or, arrays only, (H, W, 3);
bytes of 0 to 255, or floating point from 0 to 1. Drawing gives three channels and leaves the
input as it is.

Places are in pixels from the top left corner of the image: 0.5 is the middle of the first
pixel. Everything drawn has smooth edges and a dark rim, to be seen on light and on dark.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

Color = str | tuple[int, int, int]

PREDICTED: Color = (255, 96, 64)
TRUE: Color = (64, 230, 110)
#: The colours that boxes and faces take in turn where none are given.
PALETTE: tuple[Color, ...] = (
    (255, 96, 64),
    (64, 200, 255),
    (255, 210, 64),
    (90, 230, 120),
    (220, 120, 255),
    (255, 140, 190),
)
_RIM = (16, 16, 16)
_RIM_WIDTH = 1.0
_RIM_OPACITY = 0.65


def draw_keypoints(
    image: Any,
    keypoints: Any,
    connectivity: Sequence[tuple[int, int]] | None = None,
    colors: Color | Sequence[Color] | None = None,
    radius: float = 2,
    width: float = 1.5,
    visibility: Any = None,
    *,
    truth: Any = None,
) -> Any:
    """The image with dots at `keypoints`, of shape (instances, K, 2) or (K, 2), in pixels.

    `connectivity` lists pairs of points to join by lines of this `width`; `colors` is one
    colour or one for each instance; `visibility`, (instances, K) or (K,), hides points where it
    is false. `truth`, of the same shape as `keypoints`, is drawn as green dots, each joined to
    its point, so that the errors are seen. Points that are not finite are left out.
    """
    pixels, restore = _to_pixels(image)
    instances = _to_instances(keypoints, "keypoints")
    shown = np.isfinite(instances).all(axis=-1)
    if visibility is not None:
        shown &= _to_array(visibility).astype(bool).reshape(shown.shape)
    palette = _color_list(colors, len(instances), default=(PREDICTED,))
    if truth is not None:
        true_points = _to_instances(truth, "truth")
        if true_points.shape != instances.shape:
            raise ValueError(
                f"truth has the shape {true_points.shape}, the keypoints {instances.shape}"
            )
        known = np.isfinite(true_points).all(axis=-1)
        for start, end in zip(
            true_points[shown & known], instances[shown & known], strict=True
        ):
            _line(pixels, start, end, max(1.0, 0.5 * radius), _rgb(TRUE), rim=False)
        for point in true_points[known]:
            _dot(pixels, point, radius * 0.8, _rgb(TRUE))
    for points, visible, color in zip(instances, shown, palette, strict=True):
        for one, other in connectivity or ():
            if visible[one] and visible[other]:
                _line(pixels, points[one], points[other], width, color)
        for point in points[visible]:
            _dot(pixels, point, radius, color)
    return restore(pixels)


def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: Sequence[str | None] | None = None,
    colors: Color | Sequence[Color] | None = None,
    fill: bool = False,
    width: float = 1.5,
    font: str | None = None,
    font_size: int | None = None,
) -> Any:
    """The image with boxes (N, 4), each x1, y1, x2, y2 in pixels, and their labels.

    `fill` shades the boxes; `font` is the path of a TrueType font.
    """
    pixels, restore = _to_pixels(image)
    corners = _to_array(boxes).astype(float).reshape(-1, 4)
    if labels is not None and len(labels) != len(corners):
        raise ValueError(f"{len(labels)} labels for {len(corners)} boxes")
    if (corners[:, :2] > corners[:, 2:]).any():
        raise ValueError("boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")
    palette = _color_list(colors, len(corners), default=PALETTE)
    for (x1, y1, x2, y2), color in zip(corners, palette, strict=True):
        if fill:
            inside = pixels[_span(y1, y2, len(pixels)), _span(x1, x2, pixels.shape[1])]
            inside += np.float32(0.3) * (np.array(color, np.float32) - inside)
        ring = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)])
        for thickness, paint, opacity in (
            (width + 2 * _RIM_WIDTH, _RIM, _RIM_OPACITY),
            (width, color, 1.0),
        ):
            for start, end in pairwise(ring):
                _stroke(pixels, start, end, thickness, paint, opacity)
    if labels is None:
        return restore(pixels)
    picture = Image.fromarray(_to_bytes(pixels))
    draw = ImageDraw.Draw(picture)
    size = font_size or max(10, min(picture.size) // 20)
    face = ImageFont.truetype(font, size) if font else ImageFont.load_default(size)
    for (x1, y1, _, _), label, color in zip(corners, labels, palette, strict=True):
        if label is None:
            continue
        left, top, right, bottom = draw.textbbox((0, 0), label, face)
        above = y1 - (bottom - top) - 6
        at = (max(x1, 0), above if above >= 0 else y1 + 1)
        draw.rectangle([*at, at[0] + right - left + 6, at[1] + bottom - top + 6], fill=color)
        ink = (0, 0, 0) if np.dot(color, (0.3, 0.59, 0.11)) > 128 else (255, 255, 255)
        draw.text((at[0] + 3 - left, at[1] + 3 - top), label, ink, face)
    return restore(np.asarray(picture, np.float32))


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Any:
    """One image (3, H, W) of many (N, C, H, W), `nrow` in each row; torchvision's `make_grid`.

    `normalize` brings the values to 0 to 1 from `value_range`, by default from the least and
    the greatest, of every image on its own where `scale_each` is set. A list of images is
    accepted.
    """
    if isinstance(tensor, list | tuple):
        images = np.stack([_to_array(image) for image in tensor])
        like = tensor[0]
    else:
        images, like = _to_array(tensor), tensor
    if images.ndim == 2:
        images = images[None]
    if images.ndim == 3:
        images = images[None]
    if images.ndim != 4:
        raise ValueError(
            f"make_grid takes (N, C, H, W), (C, H, W) or (H, W), not {images.shape}"
        )
    if images.shape[1] == 1:
        images = images.repeat(3, axis=1)
    if normalize:
        images = images.astype(np.float32)
        images = (
            np.stack([_rescale(image, value_range) for image in images])
            if scale_each
            else _rescale(images, value_range)
        )
    if len(images) == 1:
        return _like(images[0], like)
    columns = min(nrow, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[2] + padding, images.shape[3] + padding
    grid = np.full(
        (images.shape[1], height * rows + padding, width * columns + padding),
        pad_value,
        images.dtype,
    )
    for place, image in enumerate(images):
        y, x = padding + place // columns * height, padding + place % columns * width
        grid[:, y : y + image.shape[1], x : x + image.shape[2]] = image
    return _like(grid, like)


def save_image(
    tensor: Any,
    fp: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Write an image, or many as a grid, to a file; `kwargs` are those of `make_grid`.

    Floating-point values are taken as 0 to 1. `format` is needed where the file has no name.
    """
    if not isinstance(tensor, Image.Image):
        pixels = _to_array(make_grid(tensor, **kwargs)).transpose(1, 2, 0)
        if pixels.dtype != np.uint8:
            pixels = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
        tensor = Image.fromarray(pixels)
    tensor.save(fp, format=format)


# --- Drawing on float32 pixels (H, W, 3), in place


def _dot(
    pixels: np.ndarray, at: np.ndarray, radius: float, color: tuple[int, int, int]
) -> None:
    _stroke(pixels, at, at, 2 * (radius + _RIM_WIDTH), _RIM, _RIM_OPACITY)
    _stroke(pixels, at, at, 2 * radius, color, 1.0)


def _line(
    pixels: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    width: float,
    color: tuple[int, int, int],
    rim: bool = True,
) -> None:
    if rim:
        _stroke(pixels, start, end, width + 2 * _RIM_WIDTH, _RIM, _RIM_OPACITY)
    _stroke(pixels, start, end, width, color, 1.0)


def _stroke(
    pixels: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    width: float,
    color: tuple[int, int, int],
    opacity: float,
) -> None:
    """A line with round ends. A pixel is covered by as much as the line reaches over its
    middle."""
    half = width / 2
    low, high = np.minimum(start, end) - half - 1, np.maximum(start, end) + half + 1
    rows = _span(low[1], high[1], pixels.shape[0])
    columns = _span(low[0], high[0], pixels.shape[1])
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    x = np.arange(columns.start, columns.stop) + 0.5 - start[0]
    y = (np.arange(rows.start, rows.stop) + 0.5 - start[1])[:, None]
    along = np.asarray(end, float) - start
    length = float(along @ along)
    share = np.clip((x * along[0] + y * along[1]) / length, 0, 1) if length else 0.0
    distance = np.hypot(x - share * along[0], y - share * along[1])
    cover = (opacity * np.clip(half + 0.5 - distance, 0, 1)).astype(np.float32)[..., None]
    window = pixels[rows, columns]
    window += cover * (np.array(color, np.float32) - window)


def _span(low: float, high: float, size: int) -> slice:
    """The pixels from low to high that are there; also for places far outside."""
    return slice(int(np.clip(np.floor(low), 0, size)), int(np.clip(np.ceil(high), 0, size)))


# --- Kinds of images and colours


def _to_array(value: Any) -> np.ndarray:
    """A NumPy array of an array, a nested list, or a tensor (by its `detach`, `cpu`,
    `numpy`)."""
    for method in ("detach", "cpu", "numpy"):
        if hasattr(value, method):
            value = getattr(value, method)()
    return np.asarray(value)


def _like(array: np.ndarray, original: Any) -> Any:
    """The array as it is, or as a tensor where the original was one."""
    if isinstance(original, np.ndarray) or not hasattr(original, "numpy"):
        return array
    from flambeau import from_numpy

    return from_numpy(np.ascontiguousarray(array))


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def _to_pixels(image: Any) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """A float32 copy (H, W, 3), 0 to 255, and the way back to the image's own kind."""
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"), np.float32), lambda pixels: Image.fromarray(
            _to_bytes(pixels)
        )
    array = _to_array(image)
    scale = 255 if np.issubdtype(array.dtype, np.floating) else 1
    if scale == 1 and array.dtype != np.uint8:
        raise TypeError(f"images hold bytes or floating-point numbers, not {array.dtype}")
    channels_last = array.ndim == 2
    if array.ndim == 2:
        pixels = array[:, :, None]
    elif array.ndim == 3 and array.shape[0] in (1, 3):
        pixels = array.transpose(1, 2, 0)
    elif array.ndim == 3 and array.shape[2] in (1, 3):
        pixels, channels_last = array, True
    else:
        raise ValueError(f"wanted an image (C, H, W), (H, W) or (H, W, 3), not {array.shape}")
    pixels = np.broadcast_to(pixels * np.float32(scale), (*pixels.shape[:2], 3))

    def restore(drawn: np.ndarray) -> Any:
        result = _to_bytes(drawn) if scale == 1 else (drawn / scale).astype(array.dtype)
        return _like(result if channels_last else result.transpose(2, 0, 1), image)

    return np.array(pixels, np.float32), restore


def _to_instances(points: Any, name: str) -> np.ndarray:
    array = _to_array(points).astype(float)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[2] != 2:
        raise ValueError(
            f"{name} must have the shape (instances, K, 2) or (K, 2): {array.shape}"
        )
    return array


def _rescale(image: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    low, high = value_range or (float(image.min()), float(image.max()))
    return (np.clip(image, low, high) - low) / max(high - low, 1e-5)


def _rgb(color: Color) -> tuple[int, int, int]:
    if isinstance(color, str):
        return ImageColor.getrgb(color)[:3]
    r, g, b = color
    return r, g, b


def _color_list(
    colors: Color | Sequence[Color] | None, count: int, default: Sequence[Color]
) -> list[tuple[int, int, int]]:
    """A colour for each of `count` things."""
    if colors is None:
        chosen: Sequence[Color] = [default[place % len(default)] for place in range(count)]
    elif isinstance(colors, str) or (colors and isinstance(colors[0], int)):
        chosen = [colors] * count  # type: ignore[list-item]
    elif len(colors) < count:
        raise ValueError(f"{len(colors)} colors for {count} things to draw")
    else:
        chosen = list(colors[:count])  # type: ignore[arg-type]
    return [_rgb(color) for color in chosen]
