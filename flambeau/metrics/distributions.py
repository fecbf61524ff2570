"""How spread a distribution is, and how far one is from another. All in nats."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.metrics.arrays import as_array


def entropy(probabilities: Any) -> float:
    """The entropy of a distribution, -sum p log p, in nats (Shannon, 1948).

    Arguments:
        probabilities: (outcomes), non-negative; scaled to sum to 1.
    """
    p = _distribution(probabilities, "probabilities")
    return float(-_times_log(p, p).sum())


def cross_entropy(target: Any, prediction: Any) -> float:
    """The cross-entropy -sum p log q of the distribution `prediction` (q) under `target` (p), in nats.

    Arguments:
        target, prediction: (outcomes), non-negative; each scaled to sum to 1.

    Infinite where an outcome happens that `prediction` rules out.
    """
    p, q = _pair(target, prediction)
    return float(-_times_log(p, q).sum())


def kl_divergence(target: Any, prediction: Any) -> float:
    """The Kullback-Leibler divergence sum p log(p / q) of `prediction` (q) from `target` (p), in nats.

    Arguments:
        target, prediction: (outcomes), non-negative; each scaled to sum to 1.
    """
    p, q = _pair(target, prediction)
    return float((_times_log(p, p) - _times_log(p, q)).sum())


def _pair(target: Any, prediction: Any) -> tuple[np.ndarray, np.ndarray]:
    p, q = _distribution(target, "target"), _distribution(prediction, "prediction")
    if len(p) != len(q):
        raise ValueError(f"target and prediction must be of the same outcomes: got {len(p)} and {len(q)}")
    return p, q


def _distribution(values: Any, name: str) -> np.ndarray:
    p = as_array(values).astype(np.float64).reshape(-1)
    if not len(p) or not np.isfinite(p).all() or (p < 0).any() or p.sum() == 0:
        raise ValueError(f"{name} must hold probabilities: finite, not negative, and not all zero")
    return p / p.sum()


def _times_log(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """p log q, and 0 where p is 0: what never happens adds nothing."""
    with np.errstate(divide="ignore"):
        return np.where(p > 0, p * np.log(np.where(p > 0, q, 1.0)), 0.0)
