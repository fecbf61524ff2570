"""Losses whose `reduction` is a number: 0 leaves the losses as they are, 1 is their mean, 2 their sum.

PyTorch's signatures give 1 as the default, and its functions do what 0 does; so do these.
"""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.core.shapes import broadcast_shapes
from flambeau.nn.functional import ctc, loss
from flambeau.nn.functional.distance import pairwise_distance
from flambeau.ops.autocasting import in_float32
from flambeau.ops.loss import reduced
from flambeau.tensor import Tensor


def _named(reduction: int, name: str) -> str:
    """The name of a reduction. A number that stands for none leaves the losses as they are, as in PyTorch."""
    if not isinstance(reduction, int) or isinstance(reduction, bool):
        raise TypeError(f"{name}(): argument 'reduction' must be int, not {type(reduction).__name__}")
    return {1: "mean", 2: "sum"}.get(reduction, "none")


def kl_div(input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False) -> Tensor:
    """`target * (log(target) - input)` for log-probabilities `input`, and `target` too with `log_target`."""
    name = _named(reduction, "kl_div")
    return reduced(loss.kl_div(input, target, reduction="none", log_target=log_target), name)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 0
) -> Tensor:
    """The cross entropy of sigmoid(input) and `target`, which broadcast."""
    shape = broadcast_shapes(input.shape, target.shape)
    return loss.binary_cross_entropy_with_logits(
        input.expand(shape), target.expand(shape), weight, pos_weight=pos_weight,
        reduction=_named(reduction, "binary_cross_entropy_with_logits"),
    )  # fmt: skip


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1: (N, D) or (D)."""
    name = _named(reduction, "cosine_embedding_loss")
    return loss.cosine_embedding_loss(input1, input2, target, margin, reduction=name)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0) -> Tensor:
    """`input` where the target is 1, max(0, margin - input) where it is -1."""
    return loss.hinge_embedding_loss(input, target, margin, reduction=_named(reduction, "hinge_embedding_loss"))


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin)."""
    name = _named(reduction, "margin_ranking_loss")
    return loss.margin_ranking_loss(input1, input2, target, margin, reduction=name)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """The negative log-likelihood of Poisson counts."""
    name = _named(reduction, "poisson_nll_loss")
    return loss.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=name)


@in_float32
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, reduction: int = 0,
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), with a margin of any sign."""
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced((margin + near - far).clamp_min(0), _named(reduction, "triplet_margin_loss"))


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Minus the log-probability of each label sequence under all its alignments."""
    return ctc.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _named(reduction, "ctc_loss"), zero_infinity
    )
