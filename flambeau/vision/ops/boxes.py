"""Boxes: areas, overlaps, changes of format, and which of many to keep.

A box is `(x1, y1, x2, y2)` with `x1 <= x2` and `y1 <= y2` unless a format says otherwise; many boxes are a
tensor `(N, 4)`. All but the choices (`nms`, `remove_small_boxes`, `masks_to_boxes`) are made of operators, so
they differentiate, twice, and compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau.tensor import Tensor

#: What keeps the squared diagonal of the enclosing box from being 0 in `distance_box_iou`.
_EPS = 1e-7


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """The areas `(...,)` of boxes `(..., 4)`.

    Args:
        boxes: `(..., 4)`.
        fmt: `"xyxy"`, or `"xywh"` or `"cxcywh"`, whose last two numbers are width and height.

    Raises:
        ValueError: for another format.
    """
    if fmt not in _PLAIN:
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    boxes = _wide(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return boxes[..., 2] * boxes[..., 3]


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Intersection over union of every pair of boxes: `(..., N, 4)` and `(..., M, 4)` give `(..., N, M)`.

    Boxes with an angle (`"cxcywhr"`, `"xywhr"`, `"xyxyxyxy"`) are `(N, K)` and `(M, K)`; no gradients flow to them.

    Raises:
        ValueError: for an unknown format.
    """
    if fmt in _ROTATED:
        from flambeau.vision.ops.rotated_boxes import rotated_iou

        return rotated_iou(boxes1, boxes2, fmt)
    if fmt not in _PLAIN:
        raise ValueError(
            f"Unsupported format '{fmt}'. Supported axis-aligned formats: {_PLAIN}. "
            f"Supported rotated formats: {_ROTATED}."
        )
    inter, union = _intersection_and_union(_corners(boxes1, fmt), _corners(boxes2, fmt))
    return inter / union


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the share of the enclosing box that the union leaves free, `(..., N, M)` in -1 to 1.

    H. Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.
    """
    inter, union = _intersection_and_union(boxes1, boxes2)
    width, height = _enclosing(*_pairs(boxes1, boxes2))
    area = width * height
    return inter / union - (area - union) / area


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = _EPS) -> Tensor:
    """IoU less the squared distance of the centres over the squared diagonal of the enclosing box,
    `(..., N, M)`.

    Z. Zheng et al., "Distance-IoU Loss", AAAI 2020.
    """
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    return box_iou(boxes1, boxes2) - _centre_term(*_pairs(boxes1, boxes2), eps)


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = _EPS) -> Tensor:
    """`distance_box_iou` less a penalty for different aspect ratios, `(..., N, M)`; same source."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    iou = box_iou(boxes1, boxes2)
    distance = _centre_term(*_pairs(boxes1, boxes2), eps)
    return iou - distance - _aspect_term(*_pairs(boxes1, boxes2), iou, eps)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes `(..., 4)` in another format.

    Args:
        boxes: the boxes.
        in_fmt, out_fmt: `"xyxy"`; `"xywh"`, corner and size; `"cxcywh"`, centre and size; or these two with an
            angle for a fifth number, `"xywhr"` and `"cxcywhr"`, in degrees against the clock around the centre;
            or the four corners of such boxes, `"xyxyxyxy"`, from the top left with the clock.

    Raises:
        ValueError: for an unknown format.
        NotImplementedError: between boxes with and without an angle.
    """
    if not {in_fmt, out_fmt} <= {*_PLAIN, *_ROTATED}:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    if (in_fmt in _PLAIN) != (out_fmt in _PLAIN):
        raise NotImplementedError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt in _PLAIN:
        return _from_corners(_corners(boxes, in_fmt), out_fmt)
    from flambeau.vision.ops.rotated_boxes import convert_rotated

    return convert_rotated(boxes, in_fmt, out_fmt)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The parts of boxes `(..., 4)` inside an image of `size` (height, width)."""
    height, width = size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return flambeau.stack((x, y), boxes.dim()).reshape(boxes.shape)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The numbers (int64) of the boxes `(N, 4)` whose sides are both at least `min_size`."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return flambeau.where((width >= min_size) & (height >= min_size))[0]


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The smallest box (float32, first and last pixel) around each mask of `(N, H, W)`.

    An empty mask has the box of zeros.
    """
    rows, columns = (masks != 0).any(2), (masks != 0).any(1)
    sides = []
    for covered in (columns, rows):
        length = covered.size(1)
        number = flambeau.arange(length, device=masks.device)
        first = flambeau.where(covered, number, length).amin(1) if length else covered.sum(1)
        last = flambeau.where(covered, number, -1).amax(1) if length else covered.sum(1)
        empty = ~covered.any(1)
        sides.append((first.masked_fill(empty, 0), last.masked_fill(empty, 0)))
    (left, right), (top, bottom) = sides
    return flambeau.stack((left, top, right, bottom), 1).float()


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: the numbers (int64) of the boxes to keep, best score first.

    From the best box down, each one that overlaps a better kept one by an IoU greater than `iou_threshold` is
    left out.

    Args:
        boxes: `(N, 4)`.
        scores: `(N,)`.
        iou_threshold: from 0 to 1.

    Raises:
        RuntimeError: for shapes that do not fit.
    """
    if boxes.dim() != 2 or boxes.size(1) != 4:
        raise RuntimeError(f"boxes should be a 2d tensor of shape (N, 4), got {tuple(boxes.shape)}")
    if scores.dim() != 1 or scores.size(0) != boxes.size(0):
        raise RuntimeError(
            "boxes and scores should have same number of elements in dimension 0, got "
            f"{boxes.size(0)} and {tuple(scores.shape)}"
        )
    corners = boxes.detach().cpu().numpy()
    if corners.dtype.itemsize < 4:  # halves are too coarse for areas
        corners = corners.astype(np.float32)
    order = scores.detach().sort(descending=True, stable=True)[1].cpu().numpy()
    return flambeau.from_numpy(_greedy(corners, order, iou_threshold)).to(boxes.device)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each category of `idxs` `(N,)`: boxes of different categories never meet."""
    if not boxes.numel():
        return flambeau.empty((0,), dtype=flambeau.int64, device=boxes.device)
    keep = flambeau.zeros_like(scores, dtype=flambeau.bool)
    for category in flambeau.unique(idxs):
        members = flambeau.where(idxs == category)[0]
        keep[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    kept = flambeau.where(keep)[0]
    return kept[scores[kept].sort(descending=True, stable=True)[1]]


def _greedy(boxes: np.ndarray, order: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Which boxes `nms` keeps, visited in `order`."""
    left, top, right, bottom = boxes[order].T
    area = (right - left) * (bottom - top)
    alive = np.ones(len(order), bool)
    kept = []
    for best in range(len(order)):
        if not alive[best]:
            continue
        kept.append(order[best])
        rest = slice(best + 1, None)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        inter = np.maximum(width, 0) * np.maximum(height, 0)
        # Two boxes without area overlap by 0/0, which suppresses nothing. The threshold keeps its double precision.
        with np.errstate(invalid="ignore", divide="ignore"):
            alive[rest] &= ~(inter / (area[best] + area[rest] - inter) > np.float64(iou_threshold))
    return np.array(kept, np.int64)


# --- What the overlaps and their losses share. Pairs are made by broadcasting.

_PLAIN = ("xyxy", "xywh", "cxcywh")
_ROTATED = ("cxcywhr", "xywhr", "xyxyxyxy")


def _wide(boxes: Tensor) -> Tensor:
    """Numbers wide enough for areas: halves as float32, small integers as int32 or int64."""
    if boxes.is_floating_point():
        return boxes if boxes.dtype in (flambeau.float32, flambeau.float64) else boxes.float()
    return boxes if boxes.dtype in (flambeau.int32, flambeau.int64) else boxes.int()


def _corners(boxes: Tensor, fmt: str) -> Tensor:
    """Boxes of any plain format as x1, y1, x2, y2."""
    if fmt == "xyxy":
        return boxes
    first, second, width, height = boxes.unbind(-1)
    if fmt == "cxcywh":
        first, second = first - 0.5 * width, second - 0.5 * height
    return flambeau.stack((first, second, first + width, second + height), -1)


def _from_corners(boxes: Tensor, fmt: str) -> Tensor:
    if fmt == "xyxy":
        return boxes
    x1, y1, x2, y2 = boxes.unbind(-1)
    width, height = x2 - x1, y2 - y1
    if fmt == "cxcywh":
        x1, y1 = (x1 + x2) / 2, (y1 + y2) / 2
    return flambeau.stack((x1, y1, width, height), -1)


def _pairs(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Both with a dimension of size 1, so that they broadcast to all pairs."""
    return boxes1[..., :, None, :], boxes2[..., None, :, :]


def _overlap(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """The areas that pairs of boxes share."""
    low = flambeau.maximum(boxes1[..., :2], boxes2[..., :2])
    high = flambeau.minimum(boxes1[..., 2:], boxes2[..., 2:])
    size = _wide(high - low).clamp(min=0)
    return size[..., 0] * size[..., 1]


def _intersection_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Both areas `(..., N, M)` of all pairs."""
    inter = _overlap(*_pairs(boxes1, boxes2))
    return inter, box_area(boxes1)[..., None] + box_area(boxes2)[..., None, :] - inter


def _enclosing(boxes1: Tensor, boxes2: Tensor) -> tuple[Any, ...]:
    """Width and height of the smallest box around each pair."""
    low = flambeau.minimum(boxes1[..., :2], boxes2[..., :2])
    high = flambeau.maximum(boxes1[..., 2:], boxes2[..., 2:])
    return _wide(high - low).clamp(min=0).unbind(-1)


def _centre_term(boxes1: Tensor, boxes2: Tensor, eps: float) -> Tensor:
    """The squared distance of the centres over the squared diagonal of the enclosing box."""
    width, height = _enclosing(boxes1, boxes2)
    apart = (boxes1[..., :2] + boxes1[..., 2:] - boxes2[..., :2] - boxes2[..., 2:]) / 2
    return apart.square().sum(-1) / (width.square() + height.square() + eps)


def _aspect_term(boxes1: Tensor, boxes2: Tensor, iou: Tensor, eps: float) -> Tensor:
    """How different the angles of the diagonals are, weighed so that it counts once boxes overlap."""
    angles = []
    for boxes in (boxes1, boxes2):
        angles.append(((boxes[..., 2] - boxes[..., 0]) / (boxes[..., 3] - boxes[..., 1])).atan())
    v = (4 / np.pi**2) * (angles[0] - angles[1]).square()
    # The weight is a constant: the paper leaves it out of the derivative.
    alpha = (v / (1 - iou + v + eps)).detach()
    return alpha * v
