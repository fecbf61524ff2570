"""Compiled steps over and over: the same bits, and no more memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _training(optimizer: str = "Adam") -> tuple[Callable[[], Any], Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(4 * 49, 40), torch.nn.Dropout(0.2), torch.nn.Linear(40, 10),
    )  # fmt: skip
    update = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-3)
    x, y = torch.randn(32, 1, 16, 16), torch.randint(10, (32,))

    @torch.compile
    def step() -> Any:
        update.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        update.step()
        return loss

    return step, model


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_twenty_runs_give_the_same_bits(threads: int) -> None:
    torch.set_num_threads(threads)
    seen = set()
    for _ in range(20):
        step, model = _training()
        losses = [float(step()) for _ in range(5)]
        seen.add((tuple(losses), b"".join(p.detach().numpy().tobytes() for p in model.parameters())))
    assert len(seen) == 1


def test_large_products_are_the_same_while_threads_race() -> None:
    """Packed blocks belong to one task each: a race would show as different bits."""
    torch.set_num_threads(4)
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.standard_normal(s).astype(np.float32)) for s in ((700, 520), (520, 300)))
    exact = a.double().numpy() @ b.double().numpy()
    first = (a @ b).numpy()
    assert np.abs(first - exact).max() < 1e-3
    turned = torch.from_numpy(np.asfortranarray(a.numpy()))
    for _ in range(30):
        assert np.array_equal((a @ b).numpy(), first)
        assert np.abs((turned @ b).numpy() - exact).max() < 1e-3


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_memory_stays_flat_over_ten_thousand_steps() -> None:
    step, _ = _training("SGD")
    for _ in range(500):
        step()
    before = _resident()
    for _ in range(10_000):
        step()
    assert _resident() - before < 2 << 20
