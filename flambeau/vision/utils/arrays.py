"""NumPy arrays of what is given, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_array(value: Any) -> np.ndarray:
    """A NumPy array of an array, a nested list, or a tensor (by its `detach`, `cpu`,
    `numpy`)."""
    for method in ("detach", "cpu", "numpy"):
        if hasattr(value, method):
            value = getattr(value, method)()
    return np.asarray(value)


def like_original(array: np.ndarray, original: Any) -> Any:
    """The array as it is, or as a tensor where the original was one."""
    if isinstance(original, np.ndarray) or not hasattr(original, "numpy"):
        return array
    from flambeau import from_numpy

    return from_numpy(np.ascontiguousarray(array))
