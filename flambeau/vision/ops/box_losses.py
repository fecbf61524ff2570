"""Losses of predicted boxes, each 1 less an overlap of a prediction with its own target.

Boxes are `(N, 4)` or `(4,)`, `x1, y1, x2, y2`. `eps` keeps the quotients finite.
"""

from __future__ import annotations

from flambeau.tensor import Tensor
from flambeau.vision.ops.boxes import _aspect_term, _centre_term, _enclosing, _overlap, _wide


def generalized_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - generalized IoU of each pair: `(N,)`, or one number with `reduction` `"mean"` or `"sum"`.

    H. Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.

    Raises:
        ValueError: for another reduction.
    """
    boxes1, boxes2 = _floating(boxes1), _floating(boxes2)
    iou, union = _iou(boxes1, boxes2, eps)
    width, height = _enclosing(boxes1, boxes2)
    area = width * height
    return _reduced(1 - (iou - (area - union) / (area + eps)), reduction)


def distance_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - IoU + the distance of the centres, measured in diagonals of the enclosing box, squared.

    Z. Zheng et al., "Distance-IoU Loss", AAAI 2020.

    Raises:
        ValueError: for another reduction than `"none"`, `"mean"` and `"sum"`.
    """
    boxes1, boxes2 = _floating(boxes1), _floating(boxes2)
    iou, _ = _iou(boxes1, boxes2, eps)
    return _reduced(1 - iou + _centre_term(boxes1, boxes2, eps), reduction)


def complete_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """`distance_box_iou_loss` with a penalty for another aspect ratio; same source.

    Raises:
        ValueError: for another reduction than `"none"`, `"mean"` and `"sum"`.
    """
    boxes1, boxes2 = _floating(boxes1), _floating(boxes2)
    iou, _ = _iou(boxes1, boxes2, eps)
    distance = _centre_term(boxes1, boxes2, eps)
    return _reduced(1 - iou + distance + _aspect_term(boxes1, boxes2, iou, eps), reduction)


def _floating(boxes: Tensor) -> Tensor:
    """Boxes as float32 or float64."""
    return _wide(boxes) if boxes.is_floating_point() else boxes.float()


def _iou(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The overlaps of pairs and the areas of their unions."""
    inter = _overlap(boxes1, boxes2)
    size1, size2 = boxes1[..., 2:] - boxes1[..., :2], boxes2[..., 2:] - boxes2[..., :2]
    union = size1[..., 0] * size1[..., 1] + size2[..., 0] * size2[..., 1] - inter
    return inter / (union + eps), union


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":  # of no boxes: 0, with a gradient
        return loss.mean() if loss.numel() else 0.0 * loss.sum()
    raise ValueError(
        f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', 'mean', 'sum'"
    )
