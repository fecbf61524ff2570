"""The share of samples whose class is predicted rightly."""

from __future__ import annotations

from typing import Any

from flambeau.metrics.arrays import as_labels, check_same_length


def accuracy(target: Any, prediction: Any) -> float:
    """The share of predictions that equal their target; NaN of no samples.

    Arguments:
        target: the true classes, (samples).
        prediction: the predicted classes, or a score for each class, (samples, classes).
    """
    streaming = Accuracy()
    streaming.update(target, prediction)
    return streaming.compute()


class Accuracy:
    """`accuracy` over batches: `update` with each, then `compute`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all batches."""
        self.correct = 0
        self.total = 0

    def update(self, target: Any, prediction: Any) -> None:
        """Takes in a batch."""
        true, predicted = as_labels(target), as_labels(prediction)
        check_same_length(true, predicted)
        self.correct += int((true == predicted).sum())
        self.total += len(true)

    def compute(self) -> float:
        """The score of all batches so far."""
        return self.correct / self.total if self.total else float("nan")
