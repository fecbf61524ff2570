"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.core.dtypes import int64
from flambeau.ops import where
from flambeau.ops.autocasting import in_float32
from flambeau.tensor import Tensor


@in_float32
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability of each label sequence under all its alignments.

    Args:
        log_probs: `(T, N, C)` or `(T, C)`, the result of `log_softmax`.
        targets: `(N, S)`, or all label sequences on end.
        input_lengths: steps of each input, `(N)`.
        target_lengths: labels of each target, `(N)`.
        blank: the label that stands for none.
        reduction: `"mean"` divides each loss by its target's length first; `"sum"`; `"none"`.
        zero_infinity: set the losses (and gradients) of impossible alignments to 0.

    Raises:
        RuntimeError: for lengths that do not fit.
    """
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
    steps, labels = _as_ints(input_lengths), _as_ints(target_lengths)
    batch, classes = log_probs.size(1), log_probs.size(2)
    if len(steps) != batch or len(labels) != batch:
        raise RuntimeError(
            f"input_lengths and target_lengths must have {batch} elements, one a batch element, "
            f"but got {len(steps)} and {len(labels)}"
        )
    if any(not 0 <= n <= log_probs.size(0) for n in steps):
        raise RuntimeError(
            f"Expected input_lengths to have value at most {log_probs.size(0)}, but got {steps}"
        )
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")

    rows = _label_rows(targets, labels, batched)
    losses = _negative_log_likelihoods(log_probs, rows, steps, blank)
    # PyTorch's derivative is that through log_softmax, whose part per step this term adds; it is
    # 0 in value, and cancels in the derivative of log_softmax.
    running = ops.arange(log_probs.size(0)).unsqueeze(1) < ops.tensor(steps)
    lp = where(running.unsqueeze(2), log_probs, 0)
    weights = where(running.unsqueeze(2), log_probs.detach().exp(), 0)
    losses = losses + ((lp - lp.detach()) * weights).sum((0, 2))
    if zero_infinity:
        losses = where(losses.detach() == math.inf, 0, losses)

    if reduction == "mean":
        counts = ops.tensor([max(n, 1) for n in labels], dtype=losses.dtype)
        return (losses / counts).mean()
    if reduction == "sum":
        return losses.sum()
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return losses if batched else losses.squeeze(0)


def _as_ints(lengths: Any) -> list[int]:
    if isinstance(lengths, Tensor):
        lengths = lengths.reshape(-1).tolist()
    return [int(n) for n in ([lengths] if isinstance(lengths, int) else lengths)]


def _label_rows(targets: Tensor, lengths: Sequence[int], batched: bool) -> list[list[int]]:
    """The labels of each batch element."""
    if targets.dim() == 2:
        if targets.size(0) != len(lengths) or max(lengths, default=0) > targets.size(1):
            raise RuntimeError(
                f"Expected targets of shape ({len(lengths)}, at least {max(lengths)}), but got "
                f"{list(targets.shape)}"
            )
        return [row[:n] for row, n in zip(targets.tolist(), lengths, strict=True)]
    flat = targets.tolist()
    if not batched:
        return [flat[: lengths[0]]]
    if len(flat) != sum(lengths):
        raise RuntimeError(
            f"Expected targets to have {sum(lengths)} elements, the sum of target_lengths, but "
            f"got {len(flat)}"
        )
    rows, start = [], 0
    for n in lengths:
        rows.append(flat[start : start + n])
        start += n
    return rows


def _negative_log_likelihoods(
    log_probs: Tensor, rows: list[list[int]], steps: list[int], blank: int
) -> Tensor:
    """The forward recursion over the labels with blanks between them: `(N)`.

    `alpha[n, s]` is the log-probability of all alignments that have come to place `s` of
    `blank, label, blank, label, ..., blank`.
    """
    batch = len(rows)
    places = 2 * max(map(len, rows), default=0) + 1
    with_blanks, may_skip = [], []
    for row in rows:
        path = [blank] * places
        path[1 : 2 * len(row) : 2] = row
        with_blanks.append(path)
        # From a label the path may go to the next label, past the blank, if they differ.
        may_skip.append(
            [s >= 2 and path[s] != blank and path[s] != path[s - 2] for s in range(places)]
        )
    path = ops.tensor(with_blanks, dtype=int64)
    skips = ops.tensor(may_skip)
    begins = ops.arange(places) < 2
    emitted = [step.gather(1, path) for step in log_probs.unbind(0)]
    never = log_probs.new_full((batch, places), -math.inf)
    # Before the first step the path stands before place 0, from where it reaches 0 and 1.
    alpha = where(begins, emitted[0], never) if emitted else never
    for t in range(1, len(emitted)):
        one_back = ops.cat([never[:, :1], alpha[:, :-1]], 1)
        two_back = ops.cat([never[:, :2], alpha[:, :-2]], 1)[:, :places]
        reached = _log_sum_exp([alpha, one_back, where(skips, two_back, never)])
        still_running = ops.tensor([t < n for n in steps]).unsqueeze(1)
        alpha = where(still_running, reached + emitted[t], alpha)
    last = ops.tensor([[2 * len(row)] for row in rows], dtype=int64)
    ends = [alpha.gather(1, last), alpha.gather(1, (last - 1).clamp(min=0))]
    has_labels = ops.tensor([[bool(row)] for row in rows])
    total = _log_sum_exp([ends[0], where(has_labels, ends[1], -math.inf)]).squeeze(1)
    # Without a single step only the empty sequence can be meant.
    if 0 in steps:
        stepless = ops.tensor([n == 0 for n in steps])
        certain = ops.tensor([0.0 if not row else -math.inf for row in rows], dtype=total.dtype)
        total = where(stepless, certain, total)
    return -total


def _log_sum_exp(terms: list[Tensor]) -> Tensor:
    """`log(sum(exp(term)))`, whose derivative is 0 rather than NaN where all are minus infinity."""
    greatest = terms[0].detach()
    for term in terms[1:]:
        greatest = ops.maximum(greatest, term.detach())
    impossible = greatest == -math.inf
    shift = where(impossible, 0, greatest)
    total = sum((where(impossible, -1, term) - shift).exp() for term in terms)
    return where(impossible, -math.inf, total.log() + shift)
