"""Every score against scikit-learn's on a thousand random cases each, degenerate ones among them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from flambeau import metrics

sklearn = pytest.importorskip("sklearn.metrics")
CASES = 1000


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def labels() -> Iterator[tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray | None]]:
    """Targets and predictions of one to six classes, some of one sample, some with weights, some all alike."""
    for seed in range(CASES):
        random = np.random.default_rng(seed)
        samples, classes = int(random.integers(1, 30)), int(random.integers(1, 7))
        true = random.integers(0, classes, samples)
        predicted = np.where(random.random(samples) < 0.5, true, random.integers(0, classes, samples))
        if seed % 10 == 0:
            predicted = np.full(samples, predicted[0])
        yield random, true, predicted, random.random(samples) if seed % 3 == 0 else None


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_confusion_and_accuracy() -> None:
    for random, true, predicted, weights in labels():
        normalize = [None, "true", "pred", "all"][int(random.integers(4))]
        chosen = None if random.random() < 0.7 else [int(true[0]), 99]
        given = {"labels": chosen, "sample_weight": weights, "normalize": normalize}
        close(metrics.confusion_matrix(true, predicted, **given), sklearn.confusion_matrix(true, predicted, **given))
        close(metrics.accuracy(true, predicted), sklearn.accuracy_score(true, predicted))
        close(metrics.error_rate(true, predicted), sklearn.zero_one_loss(true, predicted))


def test_precision_recall_and_f() -> None:
    for random, true, predicted, weights in labels():
        averages = ["micro", "macro", "weighted", None]
        if max(true.max(), predicted.max()) <= 1:
            averages.append("binary")
        average = averages[int(random.integers(len(averages)))]
        beta, zero = float(random.choice([0.5, 1.0, 2.0])), float(random.choice([0.0, 1.0, np.nan]))
        given = {"average": average, "sample_weight": weights, "zero_division": zero}
        close(metrics.precision(true, predicted, **given), sklearn.precision_score(true, predicted, **given))
        close(metrics.recall(true, predicted, **given), sklearn.recall_score(true, predicted, **given))
        close(
            metrics.fbeta_score(true, predicted, beta=beta, **given),
            sklearn.fbeta_score(true, predicted, beta=beta, **given),
        )
        close(metrics.f1_score(true, predicted, **given), sklearn.f1_score(true, predicted, **given))
        if average != "binary" and len(np.unique(true)) > 1:
            some = [int(true[0])]
            close(
                metrics.precision(true, predicted, labels=some, **given),
                sklearn.precision_score(true, predicted, labels=some, **given),
            )


def scored() -> Iterator[tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray | None]]:
    """Two classes and scores, many of them tied; in some cases only one class occurs."""
    for seed in range(CASES):
        random = np.random.default_rng(seed)
        samples = int(random.integers(2, 40))
        true = np.full(samples, seed % 2) if seed % 20 == 0 else random.integers(0, 2, samples)
        scores = random.normal(size=samples) + true
        if seed % 2:
            scores = np.round(scores)
        yield random, true, scores, random.random(samples) if seed % 5 == 0 else None


def test_curves_and_areas() -> None:
    for random, true, scores, weights in scored():
        drop = bool(random.integers(2))
        given = {"sample_weight": weights, "drop_intermediate": drop, "pos_label": 1}
        for ours, theirs in zip(metrics.roc_curve(true, scores, **given), sklearn.roc_curve(true, scores, **given), strict=True):
            close(ours, theirs)
        pairs = zip(
            metrics.precision_recall_curve(true, scores, **given),
            sklearn.precision_recall_curve(true, scores, **given),
            strict=True,
        )
        for ours, theirs in pairs:
            close(ours, theirs)
        close(metrics.roc_auc_score(true, scores, sample_weight=weights), sklearn.roc_auc_score(true, scores, sample_weight=weights))
        close(
            metrics.average_precision_score(true, scores, sample_weight=weights),
            sklearn.average_precision_score(true, scores, sample_weight=weights),
        )
        x = np.sort(scores)[:: -1 if drop else 1]
        close(metrics.auc(x, true), sklearn.auc(x, true))


def test_the_area_counts_pairs() -> None:
    """The AUC is how often a positive sample scores above a negative one, ties as half."""
    for _, true, scores, _ in scored():
        above = scores[true == 1][:, None] - scores[true == 0][None]
        if above.size:
            close(metrics.roc_auc_score(true, scores), ((above > 0) + 0.5 * (above == 0)).mean())


def test_areas_of_several_classes() -> None:
    for seed in range(CASES):
        random = np.random.default_rng(seed)
        classes = int(random.integers(3, 6))
        true = np.concatenate([np.arange(classes), random.integers(0, classes, 12)])
        scores = random.random((len(true), classes)).round(1) + 0.05
        scores /= scores.sum(1, keepdims=True)
        given = {"multi_class": ("ovr", "ovo")[seed % 2], "average": ("macro", "weighted")[seed // 2 % 2]}
        close(metrics.roc_auc_score(true, scores, **given), sklearn.roc_auc_score(true, scores, **given))
        k = int(random.integers(1, classes))
        close(metrics.top_k_accuracy(true, scores, k), sklearn.top_k_accuracy_score(true, scores, k=k))


def test_clusterings() -> None:
    for _, true, predicted, _ in labels():
        close(metrics.rand_index(true, predicted), sklearn.rand_score(true, predicted))
        close(metrics.adjusted_rand_index(true, predicted), sklearn.adjusted_rand_score(true, predicted))
        matrix = sklearn.cluster.contingency_matrix(true, predicted)
        close(metrics.contingency_matrix(true, predicted), matrix)
        close(metrics.purity(true, predicted), matrix.max(0).sum() / matrix.sum())


def test_distributions() -> None:
    stats = pytest.importorskip("scipy.stats")
    for seed in range(CASES):
        random = np.random.default_rng(seed)
        p, q = random.random((2, int(random.integers(1, 9))))
        p[random.random(len(p)) < 0.3] = 0
        p[0] = 1
        close(metrics.entropy(p), stats.entropy(p))
        close(metrics.kl_divergence(p, q), stats.entropy(p, q))
        close(metrics.cross_entropy(p, q), stats.entropy(p) + stats.entropy(p, q))
