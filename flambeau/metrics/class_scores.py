"""Precision, recall and their kin over batches."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from typing import Any, Self

import numpy as np

from flambeau.metrics.arrays import as_labels, check_same_length
from flambeau.metrics.confusion import (
    Average,
    false_positive_rate,
    fbeta_score,
    precision,
    recall,
)
from flambeau.metrics.streaming import Metric


class _OfPairs(Metric):
    """A score that goes by how often each true class was taken for each class."""

    def __init__(self, average: Average = "macro", pos_label: int = 1, zero_division: float = 0.0) -> None:
        self.arguments = {"average": average, "pos_label": pos_label, "zero_division": zero_division}
        super().__init__()

    def reset(self) -> None:
        self.pairs: Counter[tuple[Any, Any]] = Counter()

    def update(self, target: Any, prediction: Any) -> None:
        true, predicted = as_labels(target), as_labels(prediction)
        check_same_length(true, predicted)
        self.pairs.update(zip(true.tolist(), predicted.tolist(), strict=True))

    def merge(self, other: Self) -> None:
        self.pairs.update(other.pairs)

    def compute(self) -> Any:
        if not self.pairs:
            return float("nan")
        true, predicted = map(np.asarray, zip(*self.pairs, strict=True))
        return self._score(true, predicted, sample_weight=list(self.pairs.values()), **self.arguments)

    @abstractmethod
    def _score(self, target: np.ndarray, prediction: np.ndarray, **arguments: Any) -> Any:
        """The score of pairs that count as often as `sample_weight` says."""


class Precision(_OfPairs):
    """`precision` over batches.

    Arguments:
        average: how the classes' scores become one: "micro", "macro" (their mean), "weighted", "binary", or None.
        pos_label: the class that `average="binary"` scores.
        zero_division: the score of a class without predictions.
    """

    def _score(self, target: np.ndarray, prediction: np.ndarray, **arguments: Any) -> Any:
        return precision(target, prediction, **arguments)


class Recall(_OfPairs):
    """`recall` over batches; the arguments are `Precision`'s."""

    def _score(self, target: np.ndarray, prediction: np.ndarray, **arguments: Any) -> Any:
        return recall(target, prediction, **arguments)


class FalsePositiveRate(_OfPairs):
    """`false_positive_rate` over batches; the arguments are `Precision`'s."""

    def _score(self, target: np.ndarray, prediction: np.ndarray, **arguments: Any) -> Any:
        return false_positive_rate(target, prediction, **arguments)


class FBetaScore(_OfPairs):
    """`fbeta_score` over batches; the other arguments are `Precision`'s.

    Arguments:
        beta: how many times as much recall weighs as precision; 1 gives the F1 score.
    """

    def __init__(
        self, beta: float = 1.0, average: Average = "macro", pos_label: int = 1, zero_division: float = 0.0
    ) -> None:
        if beta < 0:
            raise ValueError(f"beta must not be negative, got {beta}")
        self.beta = beta
        super().__init__(average, pos_label, zero_division)

    def _score(self, target: np.ndarray, prediction: np.ndarray, **arguments: Any) -> Any:
        return fbeta_score(target, prediction, beta=self.beta, **arguments)
