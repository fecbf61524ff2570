"""What every score starts with: plain NumPy arrays of the same samples."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_array(values: Any) -> np.ndarray:
    """Values as a NumPy array: a tensor, an array, or nested lists."""
    if hasattr(values, "detach"):
        values = values.detach().numpy()
    return np.asarray(values)


def as_labels(values: Any) -> np.ndarray:
    """Class labels; scores of shape (samples, classes) become the class that scores best."""
    array = as_array(values)
    return array.argmax(1) if array.ndim == 2 else array.reshape(-1)


def check_same_length(target: np.ndarray, prediction: np.ndarray) -> None:
    """Raises `ValueError` unless there are as many targets as predictions."""
    if len(target) != len(prediction):
        raise ValueError(
            f"target and prediction must be of the same samples: got {len(target)} targets "
            f"and {len(prediction)} predictions"
        )


def as_weights(sample_weight: Any, samples: int) -> np.ndarray:
    """The weight of each sample, one where none is given."""
    if sample_weight is None:
        return np.ones(samples)
    weights = as_array(sample_weight).astype(np.float64).reshape(-1)
    if len(weights) != samples:
        raise ValueError(f"sample_weight must have one weight for each of the {samples} samples, got {len(weights)}")
    return weights


def divide(above: Any, below: Any, instead: float) -> np.ndarray:
    """`above / below`, and `instead` where that divides by zero."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below != 0, above / below, instead)
