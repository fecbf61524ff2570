"""Which classes are taken for which, and the scores that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np

from flambeau.metrics.arrays import as_labels, as_weights, check_same_length, divide
from flambeau.metrics.streaming import Metric

Average = Literal["binary", "micro", "macro", "weighted"] | None


def confusion_matrix(
    target: Any,
    prediction: Any,
    *,
    labels: Sequence[Any] | None = None,
    sample_weight: Any = None,
    normalize: Literal["true", "pred", "all"] | None = None,
) -> np.ndarray:
    """How many samples of each true class (rows) were taken for each class (columns).

    Arguments:
        target: the true classes, (samples).
        prediction: the predicted classes, or a score for each class, (samples, classes).
        labels: the classes, in the order of the rows; those that occur, sorted, if not given. Samples of
            other classes are left out.
        sample_weight: the weight of each sample, (samples).
        normalize: turns counts into shares of the true class, of the predicted class, or of all.

    Returns:
        (classes, classes), whole numbers, or float64 with `sample_weight` or `normalize`.

    Raises:
        ValueError: for targets and predictions of different lengths, or labels that never occur.
    """
    true, predicted = as_labels(target), as_labels(prediction)
    check_same_length(true, predicted)
    names = _classes(true, predicted) if labels is None else np.asarray(labels)
    if labels is not None and len(true) and not np.isin(names, true).any():
        raise ValueError("none of the labels occurs in target")
    counts = _count(true, predicted, names, as_weights(sample_weight, len(true)))
    if normalize is None:
        return counts if sample_weight is not None else counts.astype(np.int64)
    sums = {"true": counts.sum(1, keepdims=True), "pred": counts.sum(0, keepdims=True), "all": counts.sum()}
    if normalize not in sums:
        raise ValueError(f"normalize must be 'true', 'pred', 'all' or None, got {normalize!r}")
    return divide(counts, sums[normalize], 0.0)


class ConfusionMatrix(Metric):
    """`confusion_matrix` over batches, of classes numbered from 0.

    Arguments:
        num_classes: how many classes there are.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        super().__init__()

    def reset(self) -> None:
        self.counts = np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, target: Any, prediction: Any) -> None:
        true, predicted = as_labels(target), as_labels(prediction)
        check_same_length(true, predicted)
        for name, values in (("target", true), ("prediction", predicted)):
            if len(values) and not (values.min() >= 0 and values.max() < self.num_classes):
                raise ValueError(
                    f"{name} holds the class {values.max() if values.min() >= 0 else values.min()}; there are "
                    f"{self.num_classes} classes, numbered from 0"
                )
        np.add.at(self.counts, (true.astype(np.int64), predicted.astype(np.int64)), 1)

    def compute(self) -> np.ndarray:
        return self.counts.copy()

    def merge(self, other: Self) -> None:
        self.counts += other.counts

    def precision(self, average: Average = "macro", zero_division: float = 0.0) -> Any:
        """Of the samples taken for a class, the share that is of it."""
        return _averaged(_Counts.of(self.counts), _Counts.precision, average, zero_division)

    def recall(self, average: Average = "macro", zero_division: float = 0.0) -> Any:
        """Of the samples of a class, the share taken for it."""
        return _averaged(_Counts.of(self.counts), _Counts.recall, average, zero_division)

    def f1_score(self, average: Average = "macro", zero_division: float = 0.0) -> Any:
        """The harmonic mean of precision and recall."""
        return _averaged(_Counts.of(self.counts), lambda c, z: c.fbeta(1.0, z), average, zero_division)


def precision(
    target: Any,
    prediction: Any,
    *,
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    average: Average = "binary",
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> Any:
    """Of the samples taken for a class, the share that is of it: tp / (tp + fp).

    Arguments:
        target: the true classes, (samples).
        prediction: the predicted classes, or a score for each class, (samples, classes).
        labels: the classes that are averaged over; all that occur, sorted, if not given.
        pos_label: the class that `average="binary"` scores.
        average: `binary` scores one class of two; `micro` counts over all classes; `macro` is the mean of the
            classes' scores, `weighted` the mean weighted by how often they occur; None gives each class's score.
        sample_weight: the weight of each sample, (samples).
        zero_division: the score of a class without predictions.

    Returns:
        A float, or for `average=None` an array (classes).

    Raises:
        ValueError: where `average="binary"` meets more than two classes.
    """
    counts = _counts(target, prediction, labels, pos_label, average, sample_weight)
    return _averaged(counts, _Counts.precision, average, zero_division)


def recall(
    target: Any,
    prediction: Any,
    *,
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    average: Average = "binary",
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> Any:
    """Of the samples of a class, the share taken for it: tp / (tp + fn). The arguments are `precision`'s."""
    counts = _counts(target, prediction, labels, pos_label, average, sample_weight)
    return _averaged(counts, _Counts.recall, average, zero_division)


#: The true-positive rate is another name of recall.
true_positive_rate = recall


def false_positive_rate(
    target: Any,
    prediction: Any,
    *,
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    average: Average = "binary",
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> Any:
    """Of the samples of other classes, the share taken for this one: fp / (fp + tn). The arguments are `precision`'s."""
    counts = _counts(target, prediction, labels, pos_label, average, sample_weight)
    return _averaged(counts, _Counts.false_positive_rate, average, zero_division)


def fbeta_score(
    target: Any,
    prediction: Any,
    *,
    beta: float,
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    average: Average = "binary",
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> Any:
    """The weighted harmonic mean of precision and recall, (1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp).

    Arguments:
        beta: how many times as much recall weighs as precision (van Rijsbergen, Information Retrieval, 1979).

    The others are `precision`'s.
    """
    if beta < 0:
        raise ValueError(f"beta must not be negative, got {beta}")
    counts = _counts(target, prediction, labels, pos_label, average, sample_weight)
    return _averaged(counts, lambda c, z: c.fbeta(beta, z), average, zero_division)


def f1_score(target: Any, prediction: Any, **arguments: Any) -> Any:
    """`fbeta_score` with beta 1: the harmonic mean of precision and recall."""
    return fbeta_score(target, prediction, beta=1.0, **arguments)


class _Counts:
    """True and false positives and negatives, one number for each class or one for all."""

    def __init__(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray):
        self.tp, self.fp, self.fn, self.tn = tp, fp, fn, tn

    @classmethod
    def of(cls, matrix: np.ndarray) -> _Counts:
        tp = np.diagonal(matrix).astype(np.float64)
        fp, fn = matrix.sum(0) - tp, matrix.sum(1) - tp
        return cls(tp, fp, fn, matrix.sum() - tp - fp - fn)

    def part(self, keep: Any) -> _Counts:
        return _Counts(self.tp[keep], self.fp[keep], self.fn[keep], self.tn[keep])

    def together(self) -> _Counts:
        return _Counts(self.tp.sum(), self.fp.sum(), self.fn.sum(), self.tn.sum())

    def precision(self, zero: float) -> np.ndarray:
        return divide(self.tp, self.tp + self.fp, zero)

    def recall(self, zero: float) -> np.ndarray:
        return divide(self.tp, self.tp + self.fn, zero)

    def false_positive_rate(self, zero: float) -> np.ndarray:
        return divide(self.fp, self.fp + self.tn, zero)

    def fbeta(self, beta: float, zero: float) -> np.ndarray:
        # beta^2 / (1 + beta^2) stays finite for the infinite beta that asks for recall alone.
        recall_share = 1.0 - 1.0 / (1.0 + beta**2)
        below = recall_share * (self.tp + self.fn) + (1 - recall_share) * (self.tp + self.fp)
        return divide(self.tp, below, zero)


def _counts(
    target: Any, prediction: Any, labels: Sequence[Any] | None, pos_label: Any, average: Average, sample_weight: Any
) -> _Counts:
    true, predicted = as_labels(target), as_labels(prediction)
    check_same_length(true, predicted)
    weights = as_weights(sample_weight, len(true))
    found = _classes(true, predicted)
    if average == "binary":
        if len(found) > 2:
            raise ValueError(
                f"average='binary' scores one class of two, and there are {len(found)}: choose 'micro', 'macro', "
                "'weighted' or None"
            )
        wanted = np.array([pos_label])
        if len(found) and pos_label not in found and len(found) == 2:
            raise ValueError(f"pos_label={pos_label!r} is none of the classes {found.tolist()}")
    else:
        wanted = found if labels is None else np.asarray(labels)
    names = np.concatenate([wanted, np.setdiff1d(found, wanted)]) if len(found) else wanted
    return _Counts.of(_count(true, predicted, names, weights)).part(slice(len(wanted)))


def _averaged(counts: _Counts, score: Any, average: Average, zero: float) -> Any:
    if average not in ("binary", "micro", "macro", "weighted", None):
        raise ValueError(f"average must be 'binary', 'micro', 'macro', 'weighted' or None, got {average!r}")
    if average == "micro":
        return float(score(counts.together(), zero))
    scores = score(counts, zero)
    if average is None:
        return scores
    # A NaN of `zero_division=nan` says that a class has no score: the mean is that of the others.
    known = ~np.isnan(scores)
    weights = (counts.tp + counts.fn if average == "weighted" else np.ones_like(scores)) * known
    if not weights.sum():
        return float(zero if known.any() or not len(scores) else np.nan)
    return float((np.where(known, scores, 0) * weights).sum() / weights.sum())


def _classes(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.unique(np.concatenate([true, predicted])) if len(true) else true


def _count(true: np.ndarray, predicted: np.ndarray, names: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The confusion matrix of the classes `names`; samples of others are left out."""
    order = np.argsort(names, kind="stable")
    matrix = np.zeros((len(names), len(names)))
    if not len(names):
        return matrix

    def place(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        spot = np.minimum(np.searchsorted(names, values, sorter=order), len(names) - 1)
        return order[spot], names[order[spot]] == values

    (rows, row_known), (columns, column_known) = place(true), place(predicted)
    known = row_known & column_known
    np.add.at(matrix, (rows[known], columns[known]), weights[known])
    return matrix
