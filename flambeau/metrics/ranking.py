"""Scores of how well samples are ranked: ROC and precision-recall curves, and the areas below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from flambeau.metrics.arrays import as_array, as_weights, check_same_length, divide
from flambeau.metrics.streaming import Metric


class ROCCurve(NamedTuple):
    """False- and true-positive rates (points), at each threshold (points), the highest first."""

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall (thresholds + 1), at each threshold, the lowest first; the last point is (1, 0)."""

    precision: np.ndarray
    recall: np.ndarray
    thresholds: np.ndarray


def roc_curve(
    target: Any,
    prediction: Any,
    *,
    pos_label: Any = None,
    sample_weight: Any = None,
    drop_intermediate: bool = True,
) -> ROCCurve:
    """The rates of false and of true positives as the threshold falls.

    Arguments:
        target: the true classes of two, (samples).
        prediction: the score of the positive class, (samples).
        pos_label: which class is the positive one; 1 if not given.
        sample_weight: the weight of each sample, (samples).
        drop_intermediate: whether points on a straight line between others are left out.

    A rate without samples is NaN. The first threshold is infinity: nothing is taken for positive.
    """
    true, scores, weights = _binary(target, prediction, pos_label, sample_weight)
    fp, tp, thresholds = _cumulative(true, scores, weights)
    if drop_intermediate and len(fp) > 2:
        corner = np.logical_or(np.diff(fp, 2), np.diff(tp, 2))
        keep = np.concatenate([[True], corner, [True]])
        fp, tp, thresholds = fp[keep], tp[keep], thresholds[keep]
    fp, tp = np.r_[0, fp], np.r_[0, tp]
    thresholds = np.r_[np.inf, thresholds]
    nothing = np.full(len(fp), np.nan)
    return ROCCurve(
        fp / fp[-1] if fp[-1] > 0 else nothing, tp / tp[-1] if tp[-1] > 0 else nothing.copy(), thresholds
    )


def precision_recall_curve(
    target: Any,
    prediction: Any,
    *,
    pos_label: Any = None,
    sample_weight: Any = None,
    drop_intermediate: bool = False,
) -> PrecisionRecallCurve:
    """Precision and recall as the threshold rises. The arguments are `roc_curve`'s.

    Where no sample is positive, recall is 1 at every threshold.
    """
    true, scores, weights = _binary(target, prediction, pos_label, sample_weight)
    fp, tp, thresholds = _cumulative(true, scores, weights)
    if drop_intermediate and len(fp) > 2:
        # Points with the same true positives differ in precision alone: only their ends bend the curve.
        keep = np.concatenate([[True], np.logical_or(np.diff(tp[:-1]), np.diff(tp[1:])), [True]])
        fp, tp, thresholds = fp[keep], tp[keep], thresholds[keep]
    precision = divide(tp, tp + fp, 0.0)
    recall = np.ones_like(tp) if tp[-1] == 0 else tp / tp[-1]
    return PrecisionRecallCurve(np.r_[precision[::-1], 1], np.r_[recall[::-1], 0], thresholds[::-1])


def auc(x: Any, y: Any) -> float:
    """The area below a curve through the points (x, y), by the trapezoidal rule.

    Arguments:
        x: (points), rising or falling throughout.
        y: (points).

    Raises:
        ValueError: for fewer than two points, or an `x` that turns round.
    """
    x, y = as_array(x).astype(np.float64), as_array(y).astype(np.float64)
    check_same_length(x, y)
    if len(x) < 2:
        raise ValueError(f"auc needs at least two points, got {len(x)}")
    steps = np.diff(x)
    if (steps < 0).any() and not (steps <= 0).all():
        raise ValueError("auc: x must rise or fall throughout, and here it turns round")
    sign = -1.0 if (steps < 0).any() else 1.0
    return float(sign * np.trapezoid(y, x))


def roc_auc_score(
    target: Any,
    prediction: Any,
    *,
    average: Literal["macro", "weighted"] | None = "macro",
    sample_weight: Any = None,
    multi_class: Literal["raise", "ovr", "ovo"] = "raise",
    labels: Sequence[Any] | None = None,
) -> Any:
    """The area below the ROC curve: how often a positive sample scores above a negative one, ties as half.

    Arguments:
        target: the true classes, (samples).
        prediction: the score of the larger class of two, (samples), or of each class, (samples, classes).
        average: the mean over classes, plain or weighted by how often they occur; None for each class's own.
        sample_weight: the weight of each sample, (samples).
        multi_class: of more than two classes, whether each is set against the rest (`ovr`) or against each
            other one (`ovo`; Hand and Till, A simple generalisation of the area under the ROC curve, 2001).
        labels: the classes, in the order of the columns of `prediction`; those that occur if not given.

    NaN where a class is alone.

    Raises:
        ValueError: for more than two classes without `multi_class`.
    """
    true, scores = as_array(target).reshape(-1), as_array(prediction).astype(np.float64)
    check_same_length(true, scores)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    classes = np.unique(true) if labels is None else np.asarray(labels)
    if scores.ndim == 1:
        if len(np.unique(true)) > 2:
            raise ValueError("roc_auc_score: more than two classes need a score for each, (samples, classes)")
        if len(np.unique(true)) < 2:
            return float("nan")
        return _area(true == np.unique(true)[1], scores, as_weights(sample_weight, len(true)))
    if scores.shape[1] == 2 and labels is None and len(classes) <= 2:
        return roc_auc_score(true, _larger_of_two(scores), sample_weight=sample_weight)
    if multi_class not in ("ovr", "ovo"):
        raise ValueError("roc_auc_score: of more than two classes, say multi_class='ovr' or 'ovo'")
    if len(classes) != scores.shape[1]:
        raise ValueError(
            f"roc_auc_score: prediction has {scores.shape[1]} columns and there are {len(classes)} classes; name "
            "those of the columns by labels="
        )
    if multi_class == "ovr":
        weights = as_weights(sample_weight, len(true))
        areas = np.array([_area(true == c, scores[:, i], weights) for i, c in enumerate(classes)])
        if average is None:
            return areas
        shares = np.array([weights[true == c].sum() for c in classes]) if average == "weighted" else None
        return float(np.average(areas, weights=shares))
    if sample_weight is not None:
        raise ValueError("roc_auc_score: multi_class='ovo' takes no sample_weight")
    if average is None:
        raise ValueError("roc_auc_score: multi_class='ovo' needs average='macro' or 'weighted'")
    return _one_against_one(true, scores, classes, average)


def average_precision_score(target: Any, prediction: Any, *, pos_label: Any = 1, sample_weight: Any = None) -> float:
    """The mean of the precisions at each threshold, weighted by the recall that it adds; 0 without positives.

    Arguments:
        target: the true classes of two, (samples).
        prediction: the score of the positive class, (samples).
        pos_label: which class is the positive one.
        sample_weight: the weight of each sample, (samples).
    """
    precision, recall, _ = precision_recall_curve(
        target, prediction, pos_label=pos_label, sample_weight=sample_weight
    )
    return float(max(0.0, -np.sum(np.diff(recall) * precision[:-1])))


class _Ranking(Metric):
    """Keeps the scores of all samples: a ranking is of them all."""

    def reset(self) -> None:
        self.targets: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []

    def update(self, target: Any, prediction: Any) -> None:
        true, scores = as_array(target).reshape(-1), as_array(prediction)
        check_same_length(true, scores)
        self.targets.append(true.copy())
        self.scores.append(scores.copy())

    def merge(self, other: Self) -> None:
        self.targets += other.targets
        self.scores += other.scores

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate(self.targets), np.concatenate(self.scores)


class ROCAUC(_Ranking):
    """`roc_auc_score` over batches; the arguments are its own."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        super().__init__()

    def compute(self) -> Any:
        return roc_auc_score(*self._all(), **self.arguments) if self.targets else float("nan")


class AveragePrecision(_Ranking):
    """`average_precision_score` over batches."""

    def __init__(self, pos_label: Any = 1) -> None:
        self.pos_label = pos_label
        super().__init__()

    def compute(self) -> float:
        return average_precision_score(*self._all(), pos_label=self.pos_label) if self.targets else float("nan")


def _binary(
    target: Any, prediction: Any, pos_label: Any, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which samples are positive, their scores, their weights; those that weigh nothing are left out."""
    true, scores = as_array(target).reshape(-1), as_array(prediction)
    scores = _larger_of_two(scores) if scores.ndim == 2 and scores.shape[1] == 2 else scores.reshape(-1)
    check_same_length(true, scores)
    if not len(true):
        raise ValueError("there are no samples to rank")
    if len(np.unique(true)) > 2:
        raise ValueError(f"a curve is of two classes; target holds {len(np.unique(true))}")
    if not np.isfinite(scores.astype(np.float64)).all():
        raise ValueError("prediction holds scores that are NaN or infinite; they have no rank")
    weights = as_weights(sample_weight, len(true))
    used = weights != 0
    return (true == (1 if pos_label is None else pos_label))[used], scores[used], weights[used]


def _larger_of_two(scores: np.ndarray) -> np.ndarray:
    """The score of the larger class, (samples), of the scores of two, (samples, 2): shares, or a network's outputs."""
    if np.allclose(scores.sum(1), 1) and (scores >= 0).all():
        return np.asarray(scores[:, 1])
    return np.asarray(scores[:, 1] - scores[:, 0])  # what softmax goes by


def _cumulative(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """False and true positives at each distinct score taken as threshold, from the highest down."""
    order = np.argsort(scores, kind="stable")[::-1]
    scores, positive, weights = scores[order], positive[order], weights[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1]
    tp = np.cumsum(positive * weights, dtype=np.float64)[last]
    fp = np.cumsum(~positive * weights, dtype=np.float64)[last]
    return fp, tp, scores[last]


def _area(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """The area below the ROC curve; NaN where one of the two classes has no samples."""
    fp, tp, _ = _cumulative(positive, scores, weights)
    fp, tp = np.r_[0, fp], np.r_[0, tp]
    if fp[-1] == 0 or tp[-1] == 0:
        return float("nan")
    return float(np.trapezoid(tp / tp[-1], fp / fp[-1]))


def _one_against_one(true: np.ndarray, scores: np.ndarray, classes: np.ndarray, average: str) -> float:
    areas, shares = [], []
    for i, first in enumerate(classes):
        for j in range(i + 1, len(classes)):
            pair = (true == first) | (true == classes[j])
            ones = np.ones(pair.sum())
            forth = _area(true[pair] == first, scores[pair, i], ones)
            back = _area(true[pair] == classes[j], scores[pair, j], ones)
            areas.append((forth + back) / 2)
            shares.append(pair.mean())
    return float(np.average(areas, weights=shares if average == "weighted" else None))
