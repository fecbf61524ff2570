"""Boxes with an angle: their formats and overlaps.

`xywhr` and `cxcywhr` give one corner (the top left one of the upright box) or the centre, width, height, and the
angle in degrees, against the clock as seen on the picture, whose y points down. `xyxyxyxy` lists the corners with
the clock from that same one.
"""

from __future__ import annotations

import math

import numpy as np

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


def rotated_iou(boxes1: Tensor, boxes2: Tensor, fmt: str) -> Tensor:
    """Intersection over union of every pair of turned boxes: `(N, K)` and `(M, K)` give `(N, M)`, without gradients."""
    corners = [
        convert_rotated(boxes.detach().double(), fmt, "xyxyxyxy").cpu().numpy().reshape(-1, 4, 2)
        for boxes in (boxes1, boxes2)
    ]
    one, other = np.broadcast_arrays(corners[0][:, None], corners[1][None])
    inter = _area_of(_shared_corners(one, other))
    whole = [np.abs(_cross(box[:, 1] - box[:, 0], box[:, 3] - box[:, 0])) for box in corners]
    union = whole[0][:, None] + whole[1] - inter
    dtype = boxes1.dtype if boxes1.is_floating_point() else flambeau.float32
    # Boxes without area share nothing.
    return flambeau.from_numpy(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)).to(dtype)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _shared_corners(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of what pairs of boxes (..., 4, 2) share, and 20 more places, with a mask of which are there.

    They are the corners of either box inside the other, and the places where sides cross.
    """
    start, move = one[..., :, None, :], np.roll(one, -1, -2)[..., :, None, :] - one[..., :, None, :]
    begin, step = other[..., None, :, :], np.roll(other, -1, -2)[..., None, :, :] - other[..., None, :, :]
    across = _cross(move, step)
    parallel = np.abs(across) < 1e-12
    scale = np.where(parallel, 1.0, across)
    along, beside = _cross(begin - start, step) / scale, _cross(begin - start, move) / scale
    crossing = ~parallel & (along >= 0) & (along <= 1) & (beside >= 0) & (beside <= 1)
    places = start + along[..., None] * move
    flat = (*one.shape[:-2], 16)
    return (
        np.concatenate([one, other, places.reshape(*flat, 2)], -2),
        np.concatenate([_inside(one, other), _inside(other, one), crossing.reshape(flat)], -1),
    )


def _inside(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which points (..., 4, 2) lie in a box (..., 4, 2), whose sides count."""
    inside = np.ones(points.shape[:-1], bool)
    for first, second in ((0, 1), (0, 3)):
        side = (boxes[..., second, :] - boxes[..., first, :])[..., None, :]
        place = ((points - boxes[..., first, :][..., None, :]) * side).sum(-1)
        length = (side * side).sum(-1)
        inside &= (place >= -1e-9 * length) & (place <= (1 + 1e-9) * length)
    return inside


def _area_of(corners: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The areas of convex shapes, given by their corners in any order, some of them twice."""
    points, known = corners
    count = np.maximum(known.sum(-1), 1)[..., None]
    middle = (points * known[..., None]).sum(-2) / count
    offsets = np.where(known[..., None], points - middle[..., None, :], 0.0)
    # What is not there stands behind all the others, as a copy of the first.
    angle = np.where(known, np.arctan2(offsets[..., 1], offsets[..., 0]), np.inf)
    order = np.argsort(angle, -1, kind="stable")
    ring = np.take_along_axis(offsets, order[..., None], -2)
    there = np.take_along_axis(known, order, -1)[..., None]
    ring = np.where(there, ring, ring[..., :1, :])
    return np.abs(_cross(ring, np.roll(ring, -1, -2)).sum(-1)) / 2
