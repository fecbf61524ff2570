"""Formats of boxes with an angle.

`xywhr` and `cxcywhr` give one corner (the top left one of the upright box) or the centre, width, height, and the
angle in degrees, against the clock as seen on the picture, whose y points down. `xyxyxyxy` lists the corners with
the clock from that same one.
"""

from __future__ import annotations

import math

import flambeau
from flambeau.tensor import Tensor


def convert_rotated(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes `(..., 5)` or `(..., 8)` in another of the three formats; whole numbers are rounded."""
    numbers = boxes if boxes.is_floating_point() else boxes.to(flambeau.float32)
    corner, size, turn = _read(numbers, in_fmt)
    result = _write(corner, size, turn, out_fmt)
    return result if boxes.is_floating_point() else result.round().to(boxes.dtype)


def _read(boxes: Tensor, fmt: str) -> tuple[Tensor, Tensor, Tensor]:
    """The first corner `(..., 2)`, width and height `(..., 2)`, the angle in degrees `(...,)`."""
    if fmt == "xyxyxyxy":
        first, second, third = boxes[..., 0:2], boxes[..., 2:4], boxes[..., 4:6]
        top, side = second - first, third - second
        size = flambeau.stack((top.square().sum(-1).sqrt(), side.square().sum(-1).sqrt()), -1)
        return first, size, flambeau.atan2(-top[..., 1], top[..., 0]) * (180 / math.pi)
    place, size, turn = boxes[..., :2], boxes[..., 2:4], boxes[..., 4]
    if fmt == "cxcywhr":
        across, down = _sides(size, turn)
        place = place - (across + down) / 2
    return place, size, turn


def _write(corner: Tensor, size: Tensor, turn: Tensor, fmt: str) -> Tensor:
    across, down = _sides(size, turn)
    if fmt == "xyxyxyxy":
        return flambeau.cat((corner, corner + across, corner + across + down, corner + down), -1)
    if fmt == "cxcywhr":
        corner = corner + (across + down) / 2
    return flambeau.cat((corner, size, turn[..., None]), -1)


def _sides(size: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors along the upper edge and along the left edge of turned boxes."""
    angle = turn * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    width, height = size.unbind(-1)
    return flambeau.stack((width * cos, -width * sin), -1), flambeau.stack((height * sin, height * cos), -1)
