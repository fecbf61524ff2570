"""Scores of how well clusters agree with classes, or two clusterings with each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.metrics.arrays import as_array, check_same_length


def contingency_matrix(target: Any, prediction: Any) -> np.ndarray:
    """How many samples of each class (rows) fell into each cluster (columns), (classes, clusters)."""
    true, found = as_array(target).reshape(-1), as_array(prediction).reshape(-1)
    check_same_length(true, found)
    classes, rows = np.unique(true, return_inverse=True)
    clusters, columns = np.unique(found, return_inverse=True)
    matrix = np.zeros((len(classes), len(clusters)), np.int64)
    np.add.at(matrix, (rows, columns), 1)
    return matrix


def purity(target: Any, prediction: Any) -> float:
    """The share of samples that are of the commonest class of their cluster; NaN of no samples.

    Arguments:
        target: the true classes, (samples).
        prediction: the clusters, (samples); their numbers need not match those of the classes.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 16.3.
    """
    matrix = contingency_matrix(target, prediction)
    return float(matrix.max(0).sum() / matrix.sum()) if matrix.size else float("nan")


def rand_index(target: Any, prediction: Any) -> float:
    """The share of the pairs of samples on which two clusterings agree: together in both, or apart in both.

    Source: Rand, Objective criteria for the evaluation of clustering methods, 1971. 1 where there is no pair.
    """
    apart, false_join, false_split, joined = _pairs(target, prediction)
    total = apart + false_join + false_split + joined
    return (apart + joined) / total if total else 1.0


def adjusted_rand_index(target: Any, prediction: Any) -> float:
    """`rand_index`, set to 0 for what chance gives and to 1 for clusterings that are the same.

    Source: Hubert and Arabie, Comparing partitions, 1985.
    """
    apart, false_join, false_split, joined = _pairs(target, prediction)
    if not false_split and not false_join:
        return 1.0
    below = (joined + false_split) * (false_split + apart) + (joined + false_join) * (false_join + apart)
    return 2.0 * (joined * apart - false_split * false_join) / below


def _pairs(target: Any, prediction: Any) -> tuple[int, int, int, int]:
    """Ordered pairs apart in both, joined in the prediction alone, in the target alone, in both."""
    matrix = contingency_matrix(target, prediction)
    samples = int(matrix.sum())
    squares = int((matrix.astype(object) ** 2).sum()) if matrix.size else 0
    rows = int((matrix.sum(1).astype(object) ** 2).sum()) if matrix.size else 0
    columns = int((matrix.sum(0).astype(object) ** 2).sum()) if matrix.size else 0
    joined = squares - samples
    return samples**2 - rows - columns + squares, columns - squares, rows - squares, joined
