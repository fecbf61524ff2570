"""How far predicted points lie from the true ones, as a share of the distance of the eyes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from flambeau.metrics.arrays import as_array, check_same_length
from flambeau.metrics.streaming import Metric


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


def failure_rate(errors: Any, threshold: float = 0.08) -> float:
    """The share of faces whose error (faces) is above `threshold`, or no number; NaN of no faces."""
    values = as_array(errors).astype(np.float64).reshape(-1)
    return float(1.0 - (values <= threshold).mean()) if len(values) else float("nan")


def cumulative_error_curve(
    errors: Any, threshold: float = 0.08, points: int = 1001
) -> tuple[np.ndarray, np.ndarray, float]:
    """The share of faces below each error up to `threshold`.

    Arguments:
        errors: the error of each face, (faces).
        threshold: the largest error of the curve.
        points: how many errors the curve has, evenly spaced from 0.

    Returns:
        The errors (points), the share of faces at or below each (points), and the area below the curve as a
        share of the whole (1 where no face errs), the AUC of face-alignment benchmarks.
    """
    if threshold <= 0 or points < 2:
        raise ValueError(f"threshold must be positive and points at least 2, got {threshold} and {points}")
    values = np.sort(as_array(errors).astype(np.float64).reshape(-1))
    if not len(values):
        raise ValueError("there are no faces")
    places = np.linspace(0.0, threshold, points)
    shares = np.searchsorted(values, places, side="right") / len(values)
    return places, shares, float(np.trapezoid(shares, places) / threshold)


def normalised_mean_error(
    target: Any, prediction: Any, left_eye: Sequence[int], right_eye: Sequence[int]
) -> float:
    """The mean of `point_errors`: 0.04 is four per cent of the distance of the eyes."""
    streaming = NormalisedMeanError(left_eye, right_eye)
    streaming.update(target, prediction)
    return streaming.compute()


class NormalisedMeanError(Metric):
    """`normalised_mean_error` over batches: `update` with each, then `compute`.

    Arguments:
        left_eye, right_eye: as in `point_errors`.
    """

    def __init__(self, left_eye: Sequence[int], right_eye: Sequence[int]) -> None:
        self.left_eye = list(left_eye)
        self.right_eye = list(right_eye)
        super().__init__()

    def reset(self) -> None:
        self.batches: list[np.ndarray] = []

    def update(self, target: Any, prediction: Any) -> None:
        self.batches.append(point_errors(target, prediction, self.left_eye, self.right_eye).mean(1))

    def merge(self, other: Self) -> None:
        self.batches += other.batches

    def compute(self) -> float:
        errors = self.errors()
        return float(errors.mean()) if len(errors) else float("nan")

    def errors(self) -> np.ndarray:
        """The error of each face so far, (faces): for `failure_rate` and `cumulative_error_curve`."""
        return np.concatenate(self.batches) if self.batches else np.zeros(0)


def _points(values: Any) -> np.ndarray:
    array = as_array(values).astype(np.float64)
    return array.reshape(len(array), -1, 2)
