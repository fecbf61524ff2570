"""`ctc_loss` against the sum over all alignments, eagerly and compiled."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F

TIME, CLASSES = 5, 3
TARGETS, LABELS, STEPS = [[1, 2, 1], [2, 2, 0], [1, 0, 0], [1, 2, 1]], [3, 2, 0, 3], [5, 4, 3, 2]


def by_counting(log_probs: np.ndarray, target: list[int], steps: int) -> float:
    """Minus the logarithm of the probability of all paths that are `target` without repetitions and blanks."""
    total = 0.0
    for path in itertools.product(range(CLASSES), repeat=steps):
        if [label for label, _ in itertools.groupby(path) if label] == target:
            total += np.exp(sum(log_probs[t, label] for t, label in enumerate(path)))
    return float("inf") if total == 0 else -float(np.log(total))


def batch() -> tuple[Any, ...]:
    torch.manual_seed(0)
    scores = torch.randn(TIME, len(TARGETS), CLASSES, dtype=torch.float64)
    return scores, torch.tensor(TARGETS), torch.tensor(STEPS), torch.tensor(LABELS)


def on_end() -> Any:
    return torch.tensor([label for row, n in zip(TARGETS, LABELS, strict=True) for label in row[:n]])


@pytest.mark.parametrize("compiled", [False, True])
def test_all_alignments(compiled: bool) -> None:
    scores, targets, steps, labels = batch()
    log_probs = scores.log_softmax(2)
    wanted = [
        by_counting(log_probs[:, n].numpy(), TARGETS[n][: LABELS[n]], STEPS[n]) for n in range(len(TARGETS))
    ]
    assert np.isinf(wanted[3])

    def f(x: Any, t: Any, s: Any, n: Any) -> Any:
        return F.ctc_loss(x, t, s, n, reduction="none")

    g = torch.compile(f, fullgraph=True) if compiled else f
    for t in (targets, on_end()):
        np.testing.assert_allclose(g(log_probs, t, steps, labels).numpy(), wanted, rtol=1e-10)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients(reduction: str) -> None:
    scores, targets, steps, labels = batch()
    found = []
    for t, wrap in itertools.product((targets, on_end()), (lambda f: f, torch.compile(fullgraph=True))):
        def f(x: Any, t: Any, s: Any, n: Any) -> Any:
            return F.ctc_loss(x.log_softmax(2), t, s, n, reduction=reduction, zero_infinity=True)

        x = scores.clone().requires_grad_()
        wrap(f)(x, t, steps, labels).sum().backward()
        found.append(x.grad)
    assert all(torch.allclose(found[0], other) for other in found[1:])
    own = lambda x: F.ctc_loss(x.log_softmax(2), targets, steps, labels, reduction="sum", zero_infinity=True)
    assert torch.autograd.gradcheck(own, scores.clone().requires_grad_())


def test_one_sequence_and_lengths_as_lists() -> None:
    scores, targets, _, _ = batch()
    log_probs = scores[:, 0].log_softmax(1)
    wanted = by_counting(log_probs.numpy(), TARGETS[0], TIME)
    for loss in (
        F.ctc_loss(log_probs, targets[0], torch.tensor(TIME), torch.tensor(3), reduction="sum"),
        F.ctc_loss(log_probs.unsqueeze(1), targets[:1], [TIME], (3,), reduction="sum"),
    ):
        assert abs(loss.item() - wanted) < 1e-10


@pytest.mark.parametrize("compiled", [False, True])
def test_lengths_that_do_not_fit(compiled: bool) -> None:
    scores, targets, steps, labels = batch()
    f = lambda x, t, s, n: F.ctc_loss(x.log_softmax(2), t, s, n)
    g = torch.compile(f, fullgraph=True) if compiled else f
    g(scores, targets, steps, labels)
    with pytest.raises(RuntimeError, match="value at most 5"):
        g(scores, targets, steps + 1, labels)
    with pytest.raises(RuntimeError, match="at least 4"):
        g(scores, targets, steps, labels + 1)
    with pytest.raises(RuntimeError, match="must have 4 elements"):
        g(scores, targets, steps[1:], labels)
    with pytest.raises(RuntimeError, match="to have 9 elements"):
        g(scores, on_end(), steps, labels.clamp(min=1))
