"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.core.dtypes import int64
from flambeau.ops import where
from flambeau.ops.autocasting import in_float32
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import is_tracing


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
    steps, labels = _lengths(input_lengths), _lengths(target_lengths)
    time, batch, classes = log_probs.shape
    if steps.size(0) != batch or labels.size(0) != batch:
        raise RuntimeError(
            f"input_lengths and target_lengths must have {batch} elements, one a batch element, "
            f"but got {steps.size(0)} and {labels.size(0)}"
        )
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if is_tracing():  # more labels than steps are as impossible as one more than steps
        longest = min(targets.size(-1), time + 1)
    else:
        longest = max(int(labels.max()), 0) if batch else 0
    path, skips, last = _paths(
        targets, steps, labels, blank=blank, time=time, longest=longest, batched=batched
    )
    running = ops.arange(time).unsqueeze(1) < steps
    losses = _negative_log_likelihoods(log_probs, running, path, skips, last)
    # PyTorch's derivative is that through log_softmax, whose part per step this term adds; it is
    # 0 in value, and cancels in the derivative of log_softmax.
    lp = where(running.unsqueeze(2), log_probs, 0)
    weights = where(running.unsqueeze(2), log_probs.detach().exp(), 0)
    losses = losses + ((lp - lp.detach()) * weights).sum((0, 2))
    if zero_infinity:
        losses = where(losses.detach() == math.inf, 0, losses)

    if reduction == "mean":
        return (losses / labels.clamp(min=1)).mean()
    if reduction == "sum":
        return losses.sum()
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return losses if batched else losses.squeeze(0)


def _lengths(given: Any) -> Tensor:
    """One length for each batch element, (N) int64."""
    if isinstance(given, Tensor):
        return given.detach().reshape(-1).to(int64)
    return ops.tensor([given] if isinstance(given, int) else [int(n) for n in given], dtype=int64)


def _paths_arrays(
    targets: np.ndarray, steps: np.ndarray, labels: np.ndarray, blank: int, time: int, longest: int, batched: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if (steps < 0).any() or (steps > time).any():
        raise RuntimeError(f"Expected input_lengths to have value at most {time}, but got {steps.tolist()}")
    path = np.full((len(labels), 2 * longest + 1), blank, np.int64)
    rows = [row[:longest] for row in _label_rows(targets, labels.tolist(), batched)]
    for place, row in enumerate(rows):
        path[place, 1 : 2 * len(row) : 2] = row
    # From a label the path may go to the next label, past the blank, if they differ.
    skips = np.zeros(path.shape, bool)
    skips[:, 2:] = (path[:, 2:] != blank) & (path[:, 2:] != path[:, :-2])
    return path, skips, np.array([[2 * len(row)] for row in rows], np.int64).reshape(-1, 1)


def _label_rows(targets: np.ndarray, lengths: list[int], batched: bool) -> list[np.ndarray]:
    """The labels of each batch element."""
    if targets.ndim == 2:
        if len(targets) != len(lengths) or max(lengths, default=0) > targets.shape[1]:
            raise RuntimeError(
                f"Expected targets of shape ({len(lengths)}, at least {max(lengths)}), but got "
                f"{list(targets.shape)}"
            )
        return [row[:n] for row, n in zip(targets, lengths, strict=True)]
    if not batched:
        return [targets[: lengths[0]]]
    if len(targets) != sum(lengths):
        raise RuntimeError(
            f"Expected targets to have {sum(lengths)} elements, the sum of target_lengths, but "
            f"got {len(targets)}"
        )
    return np.split(targets, np.cumsum(lengths)[:-1])


def _paths_rule(
    targets: Spec, steps: Spec, labels: Spec, blank: int, time: int, longest: int, batched: bool
) -> tuple[Spec, ...]:
    batch, places, index = labels.shape[0], 2 * longest + 1, np.dtype(np.int64)
    return Spec((batch, places), index), Spec((batch, places), np.dtype(bool)), Spec((batch, 1), index)


#: For targets, (N, S) or on end, of at most `longest` labels: `blank, label, blank, label, ..., blank`,
#: (N, 2 longest + 1); where on it the place before the last may be left for this one; and its last place, (N, 1).
#: Raises `RuntimeError` for lengths that do not fit.
_paths = Primitive("ctc_paths", "targets steps labels", _paths_arrays, rule=_paths_rule, outputs=3)


def _negative_log_likelihoods(
    log_probs: Tensor, running: Tensor, path: Tensor, skips: Tensor, last: Tensor
) -> Tensor:
    """The forward recursion over the labels with blanks between them: `(N)`.

    `alpha[n, s]` is the log-probability of all alignments that have come to place `s` of the `path`. `running`, (T, N),
    says which inputs have a step.
    """
    batch, places = path.shape
    emitted = [step.gather(1, path) for step in log_probs.unbind(0)]
    never = log_probs.new_full((batch, places), -math.inf)
    # Before the first step the path stands before place 0, from where it reaches 0 and 1.
    alpha = where(ops.arange(places) < 2, emitted[0], never) if emitted else never
    for t in range(1, len(emitted)):
        one_back = ops.cat([never[:, :1], alpha[:, :-1]], 1)
        two_back = ops.cat([never[:, :2], alpha[:, :-2]], 1)[:, :places]
        reached = _log_sum_exp([alpha, one_back, where(skips, two_back, never)])
        alpha = where(running[t].unsqueeze(1), reached + emitted[t], alpha)
    ends = [alpha.gather(1, last), alpha.gather(1, (last - 1).clamp(min=0))]
    total = _log_sum_exp([ends[0], where(last > 0, ends[1], -math.inf)]).squeeze(1)
    # Without a single step only the empty sequence can be meant.
    certain = where(last.squeeze(1) > 0, never[:, 0], 0)
    return -where(running[0], total, certain) if emitted else -certain


def _log_sum_exp(terms: list[Tensor]) -> Tensor:
    """`log(sum(exp(term)))`, whose derivative is 0 rather than NaN where all are minus infinity."""
    greatest = terms[0].detach()
    for term in terms[1:]:
        greatest = ops.maximum(greatest, term.detach())
    impossible = greatest == -math.inf
    shift = where(impossible, 0, greatest)
    total = sum((where(impossible, -1, term) - shift).exp() for term in terms)
    return where(impossible, -math.inf, total.log() + shift)
