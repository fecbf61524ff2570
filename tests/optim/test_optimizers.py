"""SGD and Adam against their published formulas in NumPy, and the schedules' shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.optim import lr_scheduler


def run(make: Any, steps: int = 50) -> tuple[np.ndarray, list[np.ndarray]]:
    """The parameter after minimising a quadratic, and the gradients on the way."""
    target = torch.linspace(-1, 2, 5, dtype=torch.float64)
    p = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = make([p])
    grads = []
    for _ in range(steps):
        optimizer.zero_grad()
        ((p - target) ** 2 * torch.arange(1, 6)).sum().backward()
        grads.append(p.grad.numpy().copy())
        optimizer.step()
    return p.detach().numpy(), grads


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
def test_sgd(nesterov: bool, maximize: bool) -> None:
    found, grads = run(
        lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, weight_decay=0.1, nesterov=nesterov, maximize=maximize)
    )
    p, v = np.zeros(5), None
    for g in grads:
        g = (-g if maximize else g) + 0.1 * p
        v = g if v is None else 0.9 * v + g
        p = p - 1e-3 * (g + 0.9 * v if nesterov else v)
    np.testing.assert_allclose(found, p, rtol=1e-12)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(amsgrad: bool, decoupled: bool) -> None:
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    found, grads = run(lambda p: kind(p, 0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, amsgrad=amsgrad))
    p, m, v, top = np.zeros(5), np.zeros(5), np.zeros(5), np.zeros(5)
    for t, g in enumerate(grads, 1):
        if decoupled:
            p = p * (1 - 0.05 * 0.1)
        else:
            g = g + 0.1 * p
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        top = np.maximum(top, v)
        second = (top if amsgrad else v) / (1 - 0.95**t)
        p = p - 0.05 * m / (1 - 0.8**t) / (np.sqrt(second) + 1e-6)
    np.testing.assert_allclose(found, p, rtol=1e-10)


def test_groups_and_state_round_trip() -> None:
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    (a.sum() + b.sum()).backward()
    optimizer.step()
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.5]
    other = torch.optim.Adam([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    assert torch.equal(other.state[b]["exp_avg"], optimizer.state[b]["exp_avg"])
    with pytest.raises(ValueError, match="Invalid learning rate"):
        torch.optim.SGD([a], -1.0)


def test_schedules() -> None:
    def rates(make: Any, steps: int) -> list[float]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
        schedule = make(optimizer)
        found = []
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    cosine = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 10), 11)
    np.testing.assert_allclose(cosine, [(1 + math.cos(math.pi * t / 10)) / 2 for t in range(11)], atol=1e-12)
    assert rates(lambda o: lr_scheduler.StepLR(o, 2, 0.5), 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    warm = rates(
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.5, total_iters=2), lr_scheduler.ExponentialLR(o, 0.5)], [2]
        ),
        5,
    )
    np.testing.assert_allclose(warm, [0.5, 0.75, 1.0, 0.5, 0.25])
