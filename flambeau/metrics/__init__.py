"""Scores, as functions of (target, prediction) and as classes that take batches."""

from flambeau.metrics.accuracy import Accuracy, accuracy
from flambeau.metrics.normalised_mean_error import (
    NormalisedMeanError,
    normalised_mean_error,
    point_errors,
)

__all__ = [
    "Accuracy",
    "NormalisedMeanError",
    "accuracy",
    "normalised_mean_error",
    "point_errors",
]
