"""Scores, as functions of (target, prediction) and as classes that take batches."""

from flambeau.metrics.accuracy import (
    Accuracy,
    ErrorRate,
    TopKAccuracy,
    accuracy,
    error_rate,
    top_k_accuracy,
)
from flambeau.metrics.class_scores import FalsePositiveRate, FBetaScore, Precision, Recall
from flambeau.metrics.clustering import (
    adjusted_rand_index,
    contingency_matrix,
    purity,
    rand_index,
)
from flambeau.metrics.confusion import (
    ConfusionMatrix,
    confusion_matrix,
    f1_score,
    false_positive_rate,
    fbeta_score,
    precision,
    recall,
    true_positive_rate,
)
from flambeau.metrics.distributions import cross_entropy, entropy, kl_divergence
from flambeau.metrics.normalised_mean_error import (
    NormalisedMeanError,
    cumulative_error_curve,
    failure_rate,
    normalised_mean_error,
    point_errors,
)
from flambeau.metrics.ranking import (
    ROCAUC,
    AveragePrecision,
    PrecisionRecallCurve,
    ROCCurve,
    auc,
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from flambeau.metrics.streaming import Metric

__all__ = [
    "ROCAUC",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "ErrorRate",
    "FBetaScore",
    "FalsePositiveRate",
    "Metric",
    "NormalisedMeanError",
    "Precision",
    "PrecisionRecallCurve",
    "ROCCurve",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "adjusted_rand_index",
    "auc",
    "average_precision_score",
    "confusion_matrix",
    "contingency_matrix",
    "cross_entropy",
    "cumulative_error_curve",
    "entropy",
    "error_rate",
    "f1_score",
    "failure_rate",
    "false_positive_rate",
    "fbeta_score",
    "kl_divergence",
    "normalised_mean_error",
    "point_errors",
    "precision",
    "precision_recall_curve",
    "purity",
    "rand_index",
    "recall",
    "roc_auc_score",
    "roc_curve",
    "top_k_accuracy",
    "true_positive_rate",
]
