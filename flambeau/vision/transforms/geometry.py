"""Where points go: the matrices that PIL images, tensors, key points and boxes share.

Places are in pixels from the top left corner of the image, x before y; the middle of the first
pixel is (0.5, 0.5). A *move* is a matrix (3, 3) that takes a place (x, y, 1) of the image to its
place in the result, up to a factor. Images are drawn the other way round, from the result's
pixels back to the image's, so most functions here come in these two directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Size = tuple[int, int]  # width, height
Points = Sequence[Sequence[float]]


def inverse_affine(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """The six numbers of x' = a x + b y + c, y' = d x + e y + f that take a place of the result
    back to the image, where the image is sheared, turned and scaled about `center`, then shifted.

    Angles are in degrees, clockwise. The forward matrix is
    T(translate + center) · rotation · shear in y · shear in x · scale · T(-center).
    """
    turn, shear_x, shear_y = (math.radians(a) for a in (angle, *shear))
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -math.cos(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -math.sin(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn)
    # The determinant of the part without scale is 1, so its inverse is its adjugate.
    xx, xy, yx, yy = d / scale, -b / scale, -c / scale, a / scale
    from_x, from_y = -center[0] - translate[0], -center[1] - translate[1]
    return [
        xx, xy, xx * from_x + xy * from_y + center[0],
        yx, yy, yx * from_x + yy * from_y + center[1],
    ]  # fmt: skip


def perspective_coefficients(startpoints: Points, endpoints: Points) -> list[float]:
    """Eight numbers that take places of the result back to the image, `endpoints` to
    `startpoints`: x' = (a x + b y + c) / (g x + h y + 1), y' = (d x + e y + f) / (g x + h y + 1).

    Four points each. In float32, as the images are drawn with.
    """
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
            f"{len(endpoints)} endpoints."
        )
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    targets = np.array(startpoints, np.float64).reshape(8)
    solution = np.linalg.lstsq(np.array(rows, np.float64), targets, rcond=None)[0]
    return solution.astype(np.float32).tolist()


def resized_size(size: Size, to: Sequence[int], max_size: int | None = None) -> tuple[int, int]:
    """The height and width of an image of `size` (width, height) after `resize(image, to)`.

    One number is the length of the shorter edge; the longer one keeps the proportions and is at
    most `max_size`, then the shorter one gives way. Two numbers are the height and the width.
    """
    if len(to) == 2:
        return to[0], to[1]
    width, height = size
    short, long = min(size), max(size)
    new_short, new_long = to[0], int(to[0] * long / short)
    if max_size is not None:
        if max_size <= to[0]:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested "
                f"size for the smaller edge size = {list(to)}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if width <= height else (new_short, new_long)


def rotated_size(size: Size, back: Sequence[float]) -> Size:
    """The width and height that hold an image turned about its middle by the six numbers
    `back`, which take a place of the result back to the image, both from their middles."""
    width, height = size
    corners = 0.5 * np.array(
        [[-width, -height], [-width, height], [width, height], [width, -height]]
    )
    linear = np.array([back[0:2], back[3:5]])
    moved = corners @ linear.T + (back[2], back[5]) + (0.5 * width, 0.5 * height)
    # What is beyond a pixel by rounding only is not a pixel more.
    low, high = (np.trunc(edge / 1e-4) * 1e-4 for edge in (moved.min(0), moved.max(0)))
    extent = np.ceil(high) - np.floor(low)
    return int(extent[0]), int(extent[1])


# Moves: each takes the image's size, the result's size, and the arguments of the function of
# the same name in `functional`. -------------------------------------------------------------------


def shift_move(right: float, down: float) -> np.ndarray:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def hflip_move(size: Size, new: Size) -> np.ndarray:
    return np.array([[-1, 0, size[0]], [0, 1, 0], [0, 0, 1.0]])


def vflip_move(size: Size, new: Size) -> np.ndarray:
    return np.array([[1, 0, 0], [0, -1, size[1]], [0, 0, 1.0]])


def crop_move(size: Size, new: Size, top: int, left: int, height: int, width: int) -> np.ndarray:
    return shift_move(-left, -top)


def resize_move(size: Size, new: Size, *arguments: object, **options: object) -> np.ndarray:
    return np.diag([new[0] / size[0], new[1] / size[1], 1.0])


def pad_move(
    size: Size, new: Size, padding: int | Sequence[int], *arguments: object, **options: object
) -> np.ndarray:
    left, top, _, _ = four_paddings(padding)
    return shift_move(left, top)


def affine_move(
    size: Size,
    new: Size,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: object = None,
    fill: object = None,
    center: Sequence[float] | None = None,
) -> np.ndarray:
    center = (size[0] / 2, size[1] / 2) if center is None else center
    back = inverse_affine(center, angle, translate, scale, two_shears(shear))
    return np.linalg.inv(np.array([*back, 0, 0, 1]).reshape(3, 3))


def rotate_move(
    size: Size,
    new: Size,
    angle: float,
    interpolation: object = None,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: object = None,
) -> np.ndarray:
    turned = affine_move(size, new, -angle, (0, 0), 1.0, (0.0, 0.0), center=center)
    # An expanded result has more room on every side, nothing else is moved.
    return shift_move((new[0] - size[0]) / 2, (new[1] - size[1]) / 2) @ turned


def perspective_move(
    size: Size,
    new: Size,
    startpoints: Points,
    endpoints: Points,
    interpolation: object = None,
    fill: object = None,
) -> np.ndarray:
    back = perspective_coefficients(startpoints, endpoints)
    return np.linalg.inv(np.array([*back, 1]).reshape(3, 3))


# Arguments in their several forms -----------------------------------------------------------------


def four_paddings(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, of one, two (left and right, top and bottom) or four."""
    if isinstance(padding, int):
        return (padding,) * 4
    if len(padding) == 1:
        return (padding[0],) * 4
    if len(padding) == 2:
        return (padding[0], padding[1]) * 2
    left, top, right, bottom = padding
    return left, top, right, bottom


def two_shears(shear: float | Sequence[float]) -> tuple[float, float]:
    """Shears in x and y, of one (in x) or two numbers."""
    if isinstance(shear, (int, float)):
        return float(shear), 0.0
    if len(shear) == 1:
        return float(shear[0]), float(shear[0])
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    return float(shear[0]), float(shear[1])
