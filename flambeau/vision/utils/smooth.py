"""Drawing with smooth edges and a dark rim, to be seen on light and on dark; on PIL images and on arrays.

Places are in pixels from the top left corner of the image: 0.5 is the middle of the first pixel. Everything is drawn
on float32 pixels of three channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from flambeau.vision.utils.arrays import like_original, to_array

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
        shown &= to_array(visibility).astype(bool).reshape(shown.shape)
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
    corners = to_array(boxes).astype(float).reshape(-1, 4)
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


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def _to_pixels(image: Any) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """A float32 copy (H, W, 3), 0 to 255, and the way back to the image's own kind."""
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"), np.float32), lambda pixels: Image.fromarray(
            _to_bytes(pixels)
        )
    array = to_array(image)
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
        return like_original(result if channels_last else result.transpose(2, 0, 1), image)

    return np.array(pixels, np.float32), restore


def _to_instances(points: Any, name: str) -> np.ndarray:
    array = to_array(points).astype(float)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[2] != 2:
        raise ValueError(
            f"{name} must have the shape (instances, K, 2) or (K, 2): {array.shape}"
        )
    return array


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
