"""Losses: compositions of operators. `reduction` is "mean", "sum" or "none" everywhere."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from flambeau import ops
from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes
from flambeau.nn.functional.activation import logsigmoid
from flambeau.nn.functional.distance import pairwise_distance
from flambeau.ops import where
from flambeau.ops.autocasting import in_float32
from flambeau.ops.loss import binary_surprise, reduced, reduction_of
from flambeau.ops.native import native
from flambeau.ops.required import required
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import is_tracing


def _matched(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This "
            "will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )
        shape = broadcast_shapes(input.shape, target.shape)
        return input.expand(shape), target.expand(shape)
    return input, target


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.expand(loss.shape).sum()
    return reduced(loss, reduction)


@in_float32
def l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """|input - target|."""
    reduction = reduction_of(reduction, size_average, reduce)
    return _absolute(*_matched(input, target), weight, reduction)


@native
def _absolute(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    return _weighted((input - target).abs(), weight, reduction)


@in_float32
def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:  # fmt: skip
    """`d^2 / (2 beta)` where |d| < beta, else `|d| - beta / 2`. Girshick, 2015."""
    reduction = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return _smooth(*_matched(input, target), beta, reduction)


@native
def _smooth(input: Tensor, target: Tensor, beta: float, reduction: str) -> Tensor:
    size = (input - target).abs()
    if beta == 0:
        return reduced(size, reduction)
    return reduced(where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta), reduction)


@in_float32
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """`d^2 / 2` where |d| < delta, else `delta * (|d| - delta / 2)`. Huber, 1964."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return _huber(*_matched(input, target), weight, delta, reduction)


@native
def _huber(input: Tensor, target: Tensor, weight: Tensor | None, delta: float, reduction: str) -> Tensor:
    size = (input - target).abs()
    return _weighted(
        where(size < delta, 0.5 * size * size, delta * (size - 0.5 * delta)), weight, reduction
    )


@in_float32
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`-(t log p + (1 - t) log(1 - p))`, the logarithms at least -100. Raises `RuntimeError` unless 0 <= p <= 1."""
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
            "deprecated. Please ensure they have the same size."
        )
    if not is_tracing():
        p = input._array
        if p.size and not (p.min() >= 0 and p.max() <= 1):
            raise RuntimeError("all elements of input should be between 0 and 1")
    return _binary(input, target, weight, reduction)


@native
def _binary(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    loss = binary_surprise(input, target)
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


@in_float32
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`binary_cross_entropy` of sigmoid(input), without overflow."""
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    return _binary_of_logits(input, target, weight, pos_weight, reduction)


@native
def _binary_of_logits(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    if pos_weight is None:
        loss = (1 - target) * input - logsigmoid(input)
    else:
        loss = (1 - target) * input - (1 + (pos_weight - 1) * target) * logsigmoid(input)
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


@in_float32
def kl_div(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:  # fmt: skip
    """`target * (log(target) - input)` for log-probabilities `input`; "batchmean" divides by N."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = ops.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / (input.size(0) if input.ndim else 1)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    return reduced(loss, reduction)


@in_float32
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Any = None,
    eps: float = 1e-8, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The negative log-likelihood of Poisson counts; `full` adds Stirling's term for `target!`."""
    reduction = reduction_of(reduction, size_average, reduce)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + where(target <= 1, 0, stirling)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of normal numbers of mean `input` and variance `var`, at least `eps`."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * ops.ones_like(input)
    elif var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not _differs_in_one_dimension(var, input):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    negative, least = (var < 0).any(), cast(Any, eps)
    if is_tracing():  # what the loss is made of takes the least variance from a program that has looked
        least = required(var.new_full((), eps), negative, _check_variances)
    else:
        _check_variances(negative._array)
    limited = var + (var.detach().clamp(min=least) - var.detach())
    loss = 0.5 * (limited.log() + (input - target) ** 2 / limited)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def _check_variances(negative: np.ndarray) -> None:
    if negative:
        raise ValueError("var has negative entry/entries")


def _differs_in_one_dimension(var: Tensor, input: Tensor) -> bool:
    """Whether `var` has the shape of `input`, but for one dimension of size 1."""
    if var.ndim != input.ndim:
        return False
    return [v for v, n in zip(var.size(), input.size(), strict=True) if v != n] == [1]


@in_float32
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, -target * (input1 - input2) + margin)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@in_float32
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`input` where the target is 1, max(0, margin - input) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    far = where(target != 1, (margin - input).clamp_min(0), 0)
    near = where(target != -1, input, 0)
    return reduced(far + near, reduction)


@in_float32
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * input))."""
    reduction = reduction_of(reduction, size_average, reduce)
    return reduced((-target * input).exp().log1p(), reduction)


@in_float32
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over classes of `binary_cross_entropy_with_logits`: (N, C) -> (N)."""
    reduction = reduction_of(reduction, size_average, reduce)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.size(-1), reduction)


def _class_rows(
    name: str, input: Tensor, target: Tensor, one_target: bool
) -> tuple[Tensor, Tensor]:
    """`input` as (N, C) and `target` as (N) or (N, C). Raises `RuntimeError` for other shapes."""
    fits = input.ndim <= 2 and input.numel() > 0
    rows = input.reshape(1, -1) if input.ndim < 2 else input
    if one_target:
        fits = fits and target.ndim <= 1 and target.numel() == rows.size(0)
        flat = target.reshape(-1)
    else:
        fits = fits and target.shape == input.shape
        flat = target.reshape(rows.shape) if fits else target
    if not fits:
        raise RuntimeError(
            f"{name}: inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    return rows, flat


@in_float32
def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over the other classes of max(0, margin - x[target] + x[i]) ** p: (N, C) -> (N)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    rows, flat = _class_rows("multi_margin_loss", input, target, one_target=True)
    classes = rows.size(1)
    at = flat.unsqueeze(1)
    z = (margin - rows.gather(1, at) + rows).clamp_min(0)
    z = z if p == 1 else z * z
    if weight is not None:
        z = z * weight[flat].unsqueeze(1)
    own = ops.arange(classes) == at
    loss = where(own, 0, z).sum(1) / classes
    if reduction == "none" and input.ndim < 2:
        return loss.reshape(target.shape) if target.ndim == 0 else loss
    return reduced(loss, reduction)


@in_float32
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over targets j and other classes i of max(0, 1 - (x[j] - x[i])) / C; the targets of a row
    end at the first -1.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    rows, flat = _class_rows("multilabel_margin_loss", input, target, one_target=False)
    classes = rows.size(1)
    valid = (flat >= 0).long().cumprod(1).bool()
    safe = where(valid, flat, 0)
    is_target = ops.zeros(rows.shape, dtype=dtypes.int64).scatter_add(1, safe, valid.long()) > 0
    chosen = rows.gather(1, safe)  # (N, targets)
    gaps = (1 - (chosen.unsqueeze(2) - rows.unsqueeze(1))).relu()  # (N, targets, C)
    counts = valid.unsqueeze(2) & ~is_target.unsqueeze(1)
    loss = where(counts, gaps, 0).sum((1, 2)) / classes
    if reduction == "none" and input.ndim < 2:
        return loss.reshape(())
    return reduced(loss, reduction)


@in_float32
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1: (N, D) or (D)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not (target.ndim + 1 == input1.ndim == input2.ndim and target.ndim in (0, 1)):
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with "
            f"sizes {list(input1.shape)} and {list(input2.shape)}."
            if target.ndim in (0, 1)
            else "0D or 1D target tensor expected, multi-target not supported"
        )
    eps = 1e-12
    product = (input1 * input2).sum(-1)
    norms = ((input1 * input1).sum(-1) + eps) * ((input2 * input2).sum(-1) + eps)
    cosine = product / norms.sqrt()
    loss = where(target == 1, 1 - cosine, 0) + where(
        target == -1, (cosine - margin).clamp_min(0), 0
    )
    return reduced(loss, reduction)


@in_float32
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin); `swap` takes the nearer negative."""
    reduction = reduction_of(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin, swap=swap, reduction=reduction,
    )  # fmt: skip


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, "
            f"but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)
