"""How far predicted points lie from the true ones, as a share of the distance of the eyes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.metrics.arrays import as_array, check_same_length


def point_errors(
    target: Any, prediction: Any, left_eye: Sequence[int], right_eye: Sequence[int]
) -> np.ndarray:
    """The error of each point of each face, (faces, points).

    Arguments:
        target: the true points, (faces, points, 2) or (faces, 2 * points).
        prediction: the predicted points, in the same form.
        left_eye: the points whose mean is the centre of one eye.
        right_eye: those of the other eye.

    Faces whose eyes fall together have no scale; their errors are NaN.
    """
    true, predicted = _points(target), _points(prediction)
    check_same_length(true, predicted)
    if true.shape != predicted.shape:
        raise ValueError(
            f"target and prediction must have the same points: got {true.shape[1]} and "
            f"{predicted.shape[1]}"
        )
    eyes = true[:, list(left_eye)].mean(1) - true[:, list(right_eye)].mean(1)
    scale = np.linalg.norm(eyes, axis=-1)
    distances = np.linalg.norm(true - predicted, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scale[:, None] > 0, distances / scale[:, None], np.nan)


def normalised_mean_error(
    target: Any, prediction: Any, left_eye: Sequence[int], right_eye: Sequence[int]
) -> float:
    """The mean of `point_errors`: 0.04 is four per cent of the distance of the eyes."""
    streaming = NormalisedMeanError(left_eye, right_eye)
    streaming.update(target, prediction)
    return streaming.compute()


class NormalisedMeanError:
    """`normalised_mean_error` over batches: `update` with each, then `compute`."""

    def __init__(self, left_eye: Sequence[int], right_eye: Sequence[int]) -> None:
        self.left_eye = list(left_eye)
        self.right_eye = list(right_eye)
        self.reset()

    def reset(self) -> None:
        """Forgets all batches."""
        self.sum = 0.0
        self.faces = 0

    def update(self, target: Any, prediction: Any) -> None:
        """Takes in a batch."""
        errors = point_errors(target, prediction, self.left_eye, self.right_eye).mean(1)
        self.sum += float(errors.sum())
        self.faces += len(errors)

    def compute(self) -> float:
        """The score of all batches so far."""
        return self.sum / self.faces if self.faces else float("nan")


def _points(values: Any) -> np.ndarray:
    array = as_array(values).astype(np.float64)
    return array.reshape(len(array), -1, 2)
