"""The share of samples whose class is predicted rightly."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from flambeau.metrics.arrays import as_array, as_labels, check_same_length
from flambeau.metrics.streaming import Metric


def accuracy(target: Any, prediction: Any) -> float:
    """The share of predictions that equal their target; NaN of no samples.

    Arguments:
        target: the true classes, (samples).
        prediction: the predicted classes, or a score for each class, (samples, classes).
    """
    return _over_one_batch(Accuracy(), target, prediction)


def error_rate(target: Any, prediction: Any) -> float:
    """The share of predictions that differ from their target, `1 - accuracy`."""
    return 1.0 - accuracy(target, prediction)


def top_k_accuracy(target: Any, prediction: Any, k: int = 5) -> float:
    """The share of samples whose true class is among the `k` that score best; NaN of no samples.

    Arguments:
        target: the true classes as column numbers of `prediction`, (samples).
        prediction: a score for each class, (samples, classes). Of equal scores the class that stands
            further right counts as the better one, as in scikit-learn.
        k: how many classes are let pass.
    """
    return _over_one_batch(TopKAccuracy(k), target, prediction)


class _Share(Metric):
    """The share of the samples that a batch's verdict calls right."""

    def reset(self) -> None:
        self.correct = 0
        self.total = 0

    def _count(self, right: np.ndarray) -> None:
        self.correct += int(right.sum())
        self.total += len(right)

    def compute(self) -> float:
        return self.correct / self.total if self.total else float("nan")

    def merge(self, other: Self) -> None:
        self.correct += other.correct
        self.total += other.total


class Accuracy(_Share):
    """`accuracy` over batches: `update` with each, then `compute`."""

    def update(self, target: Any, prediction: Any) -> None:
        true, predicted = as_labels(target), as_labels(prediction)
        check_same_length(true, predicted)
        self._count(true == predicted)


class ErrorRate(Accuracy):
    """`error_rate` over batches: `update` with each, then `compute`."""

    def compute(self) -> float:
        return 1.0 - super().compute()


class TopKAccuracy(_Share):
    """`top_k_accuracy` over batches: `update` with each, then `compute`."""

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k = k
        super().__init__()

    def update(self, target: Any, prediction: Any) -> None:
        true, scores = as_array(target).reshape(-1), as_array(prediction)
        check_same_length(true, scores)
        if scores.ndim != 2:
            raise ValueError(
                f"top_k_accuracy needs a score for each class, (samples, classes); got the shape {scores.shape}"
            )
        best = np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, : self.k]
        self._count((best == true[:, None]).any(1))


def _over_one_batch(metric: _Share, target: Any, prediction: Any) -> float:
    metric.update(target, prediction)
    return metric.compute()
