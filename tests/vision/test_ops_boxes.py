"""Boxes and their losses, beside formulas written out one pair at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

import flambeau
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.vision import ops

Pair = Callable[[np.ndarray, np.ndarray], float]


def random_boxes(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * 30
    return np.concatenate([corner, corner + 1 + rng.random((count, 2)) * 30], 1)


def tensor(array: np.ndarray, **options: bool) -> flambeau.Tensor:
    return flambeau.tensor(array, **options)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def hull(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


def giou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    area = math.prod(hull(a, b))
    return iou(a, b) - (area - union) / area


def diou(a: np.ndarray, b: np.ndarray) -> float:
    middle = (a[:2] + a[2:] - b[:2] - b[2:]) / 2
    return iou(a, b) - float(middle @ middle) / (sum(side**2 for side in hull(a, b)) + 1e-7)


def ciou(a: np.ndarray, b: np.ndarray) -> float:
    angle_a, angle_b = (math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b))
    v = 4 / math.pi**2 * (angle_a - angle_b) ** 2
    return diou(a, b) - v * v / (1 - iou(a, b) + v + 1e-7)


OVERLAPS: list[tuple[str, Pair]] = [
    ("box_iou", iou),
    ("generalized_box_iou", giou),
    ("distance_box_iou", diou),
    ("complete_box_iou", ciou),
]


@pytest.mark.parametrize(("name", "formula"), OVERLAPS, ids=[name for name, _ in OVERLAPS])
def test_overlaps(name: str, formula: Pair) -> None:
    one, other = random_boxes(7), random_boxes(5, seed=1)
    one[0] = other[0]
    expected = [[formula(a, b) for b in other] for a in one]
    function = getattr(ops, name)
    np.testing.assert_allclose(function(tensor(one), tensor(other)).numpy(), expected, atol=1e-9)
    batched = function(tensor(one[None].repeat(2, 0)), tensor(other[None].repeat(2, 0)))
    np.testing.assert_allclose(batched.numpy()[1], expected, atol=1e-9)
    assert function(tensor(one[:0]), tensor(other)).shape == (0, 5)
    assert function(tensor(one).half(), tensor(other).half()).dtype == flambeau.float32


def test_overlaps_of_other_formats() -> None:
    one, other = tensor(random_boxes(4)), tensor(random_boxes(3, seed=1))
    expected = ops.box_iou(one, other).numpy()
    for fmt in ("xywh", "cxcywh"):
        changed = [ops.box_convert(boxes, "xyxy", fmt) for boxes in (one, other)]
        np.testing.assert_allclose(ops.box_iou(*changed, fmt=fmt).numpy(), expected)
        np.testing.assert_allclose(ops.box_area(changed[0], fmt).numpy(), ops.box_area(one).numpy())
    with pytest.raises(ValueError, match="given format corners"):
        ops.box_area(one, "corners")
    with pytest.raises(ValueError, match="Unsupported format 'corners'"):
        ops.box_iou(one, one, "corners")


@pytest.mark.parametrize(("name", "formula"), OVERLAPS[1:], ids=[name for name, _ in OVERLAPS[1:]])
def test_losses(name: str, formula: Pair) -> None:
    one, other = random_boxes(6), random_boxes(6, seed=1)
    loss = getattr(ops, f"{name}_loss")
    expected = np.array([1 - formula(a, b) for a, b in zip(one, other, strict=True)])
    np.testing.assert_allclose(loss(tensor(one), tensor(other)).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(loss(tensor(one), tensor(other), "sum").item(), expected.sum(), atol=1e-6)
    np.testing.assert_allclose(loss(tensor(one), tensor(other), "mean").item(), expected.mean(), atol=1e-6)
    np.testing.assert_allclose(loss(tensor(one[0]), tensor(other[0])).item(), expected[0], atol=1e-6)
    assert loss(tensor(one[:0]), tensor(other[:0]), "mean").item() == 0
    with pytest.raises(ValueError, match="Invalid Value for arg 'reduction': 'median"):
        loss(tensor(one), tensor(other), "median")


@pytest.mark.parametrize("name", ["generalized_box_iou_loss", "distance_box_iou_loss"])
def test_losses_differentiate_twice(name: str) -> None:
    one = tensor(random_boxes(3) / 10, requires_grad=True)
    other = tensor(random_boxes(3, seed=1) / 10, requires_grad=True)
    assert gradcheck(getattr(ops, name), (one, other))
    assert gradgradcheck(getattr(ops, name), (one, other))


def test_the_weight_of_the_aspect_is_constant() -> None:
    """So differences are taken with the weight held."""
    one, other = tensor(random_boxes(3) / 10, requires_grad=True), random_boxes(3, seed=1) / 10
    ops.complete_box_iou_loss(one, tensor(other), "sum").backward()
    start = one.detach().numpy().copy()

    def aspect(boxes: np.ndarray) -> np.ndarray:
        angles = [np.arctan((b[:, 2] - b[:, 0]) / (b[:, 3] - b[:, 1])) for b in (boxes, other)]
        return 4 / np.pi**2 * (angles[0] - angles[1]) ** 2

    v = aspect(start)
    alpha = v / (1 - np.array([iou(a, b) for a, b in zip(start, other, strict=True)]) + v + 1e-7)

    def held(boxes: np.ndarray) -> float:
        distances = [1 - diou(a, b) for a, b in zip(boxes, other, strict=True)]
        return float(np.sum(distances + alpha * aspect(boxes)))

    expected = np.zeros_like(start)
    for place in np.ndindex(start.shape):
        step = np.zeros_like(start)
        step[place] = 1e-6
        expected[place] = (held(start + step) - held(start - step)) / 2e-6
    np.testing.assert_allclose(one.grad.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_formats(fmt: str) -> None:
    box = tensor(np.array([[2.0, 3, 12, 7]]))
    changed = ops.box_convert(box, "xyxy", fmt)
    assert changed.tolist() == [{"xywh": [2, 3, 10, 4], "cxcywh": [7, 5, 10, 4]}[fmt]]
    assert ops.box_convert(changed, fmt, "xyxy").tolist() == box.tolist()
    same = ops.box_convert(box, "xyxy", "xyxy")
    assert same.tolist() == box.tolist() and same.data_ptr() != box.data_ptr()


def test_formats_with_an_angle() -> None:
    # Centre (5, 5), 4 wide, 2 high, turned a quarter against the clock: the top left corner is at the bottom left.
    turned = tensor(np.array([[5.0, 5, 4, 2, 90]]))
    corner = ops.box_convert(turned, "cxcywhr", "xywhr")
    np.testing.assert_allclose(corner.numpy(), [[4, 7, 4, 2, 90]], atol=1e-12)
    corners = ops.box_convert(turned, "cxcywhr", "xyxyxyxy")
    np.testing.assert_allclose(corners.numpy(), [[4, 7, 4, 3, 6, 3, 6, 7]], atol=1e-12)
    for fmt, boxes in (("xywhr", corner), ("xyxyxyxy", corners)):
        np.testing.assert_allclose(ops.box_convert(boxes, fmt, "cxcywhr").numpy(), turned.numpy(), atol=1e-12)
    whole = ops.box_convert(turned.long(), "cxcywhr", "xywhr")
    assert whole.dtype == flambeau.int64 and whole.tolist() == [[4, 7, 4, 2, 90]]
    with pytest.raises(NotImplementedError, match="in_fmt xyxy and out_fmt xywhr"):
        ops.box_convert(turned, "xyxy", "xywhr")
    with pytest.raises(ValueError, match="in_fmt corners"):
        ops.box_convert(turned, "corners", "xyxy")


def cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def clipped(polygon: list[np.ndarray], box: np.ndarray) -> list[np.ndarray]:
    """The part of a polygon inside a convex one, side by side (Sutherland and Hodgman, 1974)."""
    turn = np.sign(cross(box[1] - box[0], box[2] - box[1]))
    for start, end in zip(box, np.roll(box, -1, 0), strict=True):
        heights = [turn * cross(end - start, point - start) for point in polygon]
        kept = []
        for place in range(len(polygon)):
            before, after = polygon[place - 1], polygon[place]
            low, high = heights[place - 1], heights[place]
            if (low < 0) != (high < 0):
                kept.append(before + (after - before) * low / (low - high))
            if high >= 0:
                kept.append(after)
        polygon = kept
    return polygon


def area(polygon: list[np.ndarray]) -> float:
    return abs(sum(cross(a, b) for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True))) / 2


@pytest.mark.parametrize("fmt", ["cxcywhr", "xywhr", "xyxyxyxy"])
def test_overlaps_of_turned_boxes(fmt: str) -> None:
    rng = np.random.default_rng(5)
    turned = [
        np.concatenate([rng.random((n, 2)) * 20, 2 + rng.random((n, 2)) * 15, rng.uniform(-180, 180, (n, 1))], 1)
        for n in (9, 7)
    ]
    turned[1][0] = turned[0][0]  # the same box
    turned[0][1], turned[1][1] = (5, 5, 4, 2, 0), (5, 5, 2, 4, 90)  # the same, said otherwise
    turned[0][2], turned[1][2] = (0, 0, 2, 2, 0), (2, 0, 2, 2, 0)  # they touch
    turned[0][3], turned[1][3] = (0, 0, 2, 2, 0), (0, 0, 2, 2, 45)
    boxes = [ops.box_convert(tensor(box), "cxcywhr", fmt) for box in turned]
    corners = [ops.box_convert(tensor(box), "cxcywhr", "xyxyxyxy").numpy().reshape(-1, 4, 2) for box in turned]
    expected = np.zeros((9, 7))
    for i, j in np.ndindex(9, 7):
        shared = area(clipped(list(corners[0][i]), corners[1][j]))
        expected[i, j] = shared / (math.prod(turned[0][i, 2:4]) + math.prod(turned[1][j, 2:4]) - shared)
    found = ops.box_iou(*boxes, fmt=fmt)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    octagon = 8 * (math.sqrt(2) - 1)
    np.testing.assert_allclose([found[0, 0], found[1, 1], found[2, 2], found[3, 3]], [1, 1, 0, octagon / (8 - octagon)], atol=1e-9)
    assert ops.box_iou(boxes[0][:0], boxes[1], fmt).shape == (0, 7)


def test_clipping_small_boxes_and_masks() -> None:
    boxes = tensor(np.array([[-3.0, 2, 50, 8], [1, 1, 2, 9], [0, 0, 1, 1]]))
    assert ops.clip_boxes_to_image(boxes, (6, 40)).tolist() == [[0, 2, 40, 6], [1, 1, 2, 6], [0, 0, 1, 1]]
    assert ops.remove_small_boxes(boxes, 1.5).tolist() == [0]
    assert ops.remove_small_boxes(boxes, 1).tolist() == [0, 1, 2]
    masks = np.zeros((3, 5, 6), bool)
    masks[0, 1:4, 2:5] = True
    masks[1, 4, 0] = True
    found = ops.masks_to_boxes(flambeau.from_numpy(masks))
    assert found.dtype == flambeau.float32
    assert found.tolist() == [[2, 1, 4, 3], [0, 4, 0, 4], [0, 0, 0, 0]]
    assert ops.masks_to_boxes(flambeau.from_numpy(masks[:0])).shape == (0, 4)


def slow_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for number in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(not iou(boxes[number], boxes[other]) > threshold for other in kept):
            kept.append(number)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_nms(threshold: float) -> None:
    boxes, scores = random_boxes(60), np.random.default_rng(2).random(60)
    scores[10:20] = scores[10]
    found = ops.nms(tensor(boxes), tensor(scores), threshold)
    assert found.dtype == flambeau.int64 and found.tolist() == slow_nms(boxes, scores, threshold)
    kinds = np.arange(60) % 3
    expected = [
        [number for number in np.flatnonzero(kinds == kind)[slow_nms(boxes[kinds == kind], scores[kinds == kind], threshold)]]
        for kind in range(3)
    ]
    merged = ops.batched_nms(tensor(boxes), tensor(scores), tensor(kinds), threshold).tolist()
    assert sorted(merged) == sorted(itertools.chain(*expected))
    assert (np.diff(scores[merged]) <= 0).all()


def test_nms_of_nothing_and_of_wrong_shapes() -> None:
    empty = flambeau.zeros(0, 4)
    assert ops.nms(empty, flambeau.zeros(0), 0.5).shape == (0,)
    assert ops.batched_nms(empty, flambeau.zeros(0), flambeau.zeros(0), 0.5).shape == (0,)
    # The IoU is 0.1 in single precision, which is more than 0.1 in double precision.
    near = tensor(np.array([[0, 0, 10, 1], [9, 0, 10, 1]], np.float32))
    assert ops.nms(near, tensor(np.array([1.0, 0.5])), 0.1).tolist() == [0]
    flat = tensor(np.array([[1.0, 1, 1, 1], [1, 1, 1, 1]]))  # without area
    assert ops.nms(flat, tensor(np.array([1.0, 2])), 0.5).tolist() == [1, 0]
    with pytest.raises(RuntimeError, match="boxes should be a 2d tensor"):
        ops.nms(flambeau.zeros(3), flambeau.zeros(3), 0.5)
    with pytest.raises(RuntimeError, match="same number of elements"):
        ops.nms(flambeau.zeros(3, 4), flambeau.zeros(2), 0.5)


def test_focal_loss() -> None:
    rng = np.random.default_rng(3)
    logits, truth = rng.standard_normal((4, 5)), (rng.random((4, 5)) < 0.3).astype(float)
    p = 1 / (1 + np.exp(-logits))
    p_true, weight = np.where(truth == 1, p, 1 - p), np.where(truth == 1, 0.25, 0.75)
    expected = -weight * (1 - p_true) ** 2 * np.log(p_true)
    np.testing.assert_allclose(ops.sigmoid_focal_loss(tensor(logits), tensor(truth)).numpy(), expected)
    even = ops.sigmoid_focal_loss(tensor(logits), tensor(truth), alpha=-1, gamma=0, reduction="mean")
    np.testing.assert_allclose(even.item(), -np.log(p_true).mean())
    checked = tensor(logits, requires_grad=True)
    assert gradcheck(lambda x: ops.sigmoid_focal_loss(x, tensor(truth)), (checked,))
    assert gradgradcheck(lambda x: ops.sigmoid_focal_loss(x, tensor(truth)), (checked,))
    with pytest.raises(ValueError, match="Invalid alpha value: 2"):
        ops.sigmoid_focal_loss(tensor(logits), tensor(truth), alpha=2)
    with pytest.raises(ValueError, match="Invalid Value for arg 'reduction': 'none_"):
        ops.sigmoid_focal_loss(tensor(logits), tensor(truth), reduction="none_")
