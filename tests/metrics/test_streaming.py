"""Scores over batches, merged from several processes' parts, equal those of all samples at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau import metrics

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 4, 90)
SCORES = RANDOM.random((90, 4)).astype(np.float32)
POINTS = RANDOM.random((2, 90, 6, 2))
EYES = ([0, 1], [2, 3])

PAIRS: dict[str, tuple[Callable[[], metrics.Metric], Callable[..., Any], np.ndarray, np.ndarray]] = {
    "accuracy": (metrics.Accuracy, metrics.accuracy, LABELS, SCORES),
    "top-2": (lambda: metrics.TopKAccuracy(2), lambda t, p: metrics.top_k_accuracy(t, p, 2), LABELS, SCORES),
    "confusion": (lambda: metrics.ConfusionMatrix(4), metrics.confusion_matrix, LABELS, SCORES),
    "errors": (metrics.ErrorRate, metrics.error_rate, LABELS, SCORES),
    **{
        f"{name}, {average}": (
            lambda make=make, average=average: make(average=average),
            lambda t, p, name=name, average=average: getattr(metrics, name)(t, p, average=average),
            LABELS if average != "binary" else LABELS % 2,
            SCORES if average != "binary" else SCORES[:, :2],
        )
        for name, make in {
            "precision": metrics.Precision, "recall": metrics.Recall, "f1_score": metrics.FBetaScore,
            "false_positive_rate": metrics.FalsePositiveRate,
        }.items()
        for average in ("micro", "macro", "weighted", "binary", None)
    },
    "roc": (metrics.ROCAUC, metrics.roc_auc_score, LABELS % 2, SCORES[:, 0]),
    "precision": (metrics.AveragePrecision, metrics.average_precision_score, LABELS % 2, SCORES[:, 0]),
    "points": (
        lambda: metrics.NormalisedMeanError(*EYES), lambda t, p: metrics.normalised_mean_error(t, p, *EYES), *POINTS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("convert", [np.asarray, flambeau.as_tensor], ids=["arrays", "tensors"])
def test_batches_and_ranks(name: str, convert: Callable[[np.ndarray], Any]) -> None:
    make, whole, target, prediction = PAIRS[name]
    ranks = [make(), make()]
    ranks[0].update(target[:3], prediction[:3])
    ranks[0].reset()
    for start in range(0, 90, 7):
        part = slice(start, start + 7)
        ranks[start % 2].update(convert(target[part]), convert(prediction[part]))
    ranks[0].merge(ranks[1])
    np.testing.assert_allclose(ranks[0].compute(), whole(target, prediction), rtol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_no_samples(name: str) -> None:
    result = PAIRS[name][0]().compute()
    assert np.isnan(result) if np.ndim(result) == 0 else not np.any(result)


def test_scores_of_a_confusion_matrix() -> None:
    streaming = metrics.ConfusionMatrix(4)
    streaming.update(LABELS, SCORES)
    for average in ("micro", "macro", "weighted", None):
        for name in ("precision", "recall", "f1_score"):
            expected = getattr(metrics, name)(LABELS, SCORES, average=average)
            np.testing.assert_allclose(getattr(streaming, name)(average), expected)


def test_errors_of_faces() -> None:
    errors = [0.01, 0.02, 0.05, 0.2, np.nan]
    assert metrics.failure_rate(errors, 0.05) == pytest.approx(0.4)
    places, shares, area = metrics.cumulative_error_curve(errors, 0.1, 10001)
    assert shares[-1] == pytest.approx(0.6) and places[-1] == 0.1
    assert area == pytest.approx((0.09 + 0.08 + 0.05) / 5 / 0.1, abs=1e-3)
    assert metrics.cumulative_error_curve([0.0, 0.0])[2] == pytest.approx(1.0)


def test_false_positive_rate() -> None:
    assert metrics.false_positive_rate([0, 0, 0, 1, 1], [1, 0, 0, 1, 0]) == pytest.approx(1 / 3)
    assert metrics.true_positive_rate([0, 0, 0, 1, 1], [1, 0, 0, 1, 0]) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([1, 2], [1]), "2 targets and 1 predictions"),
        (lambda: metrics.precision([0, 1, 2], [0, 1, 1]), "choose 'micro'"),
        (lambda: metrics.ConfusionMatrix(2).update([0, 2], [0, 1]), "holds the class 2; there are 2 classes"),
        (lambda: metrics.roc_curve([0, 1], [0.5, np.nan]), "NaN or infinite"),
        (lambda: metrics.roc_auc_score([0, 1, 2], [[0.1, 0.2, 0.7]] * 3), "say multi_class"),
        (lambda: metrics.auc([0, 2, 1], [0, 1, 2]), "turns round"),
        (lambda: metrics.top_k_accuracy([0], [1]), "score for each class"),
        (lambda: metrics.entropy([-1, 2]), "must hold probabilities"),
    ],
    ids=["length", "binary", "class", "nan", "multi", "auc", "top-k", "distribution"],
)
def test_errors_say_what_is_wrong(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_two_outputs_of_a_network_rank_by_their_difference() -> None:
    random = np.random.default_rng(3)
    target, outputs = random.integers(0, 2, 50), random.normal(size=(50, 2)) * 3
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    for score in (metrics.roc_auc_score, metrics.average_precision_score):
        assert score(target, outputs) == pytest.approx(score(target, shares[:, 1]))
        assert score(target, shares) == score(target, shares[:, 1])
