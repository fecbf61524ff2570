"""Threads meet where they must: programs give the same bits when threads are as badly timed as they can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import adversary
import numpy as np
import pytest
import test_fuzz

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.compiler import executables
from flambeau.compiler.backends import cpu
from flambeau.kernels.meetings import Band, Touch, Turn, plan_meetings


@pytest.fixture(autouse=True)
def no_known_programs() -> Iterator[None]:
    executables._executables.clear()
    yield
    executables._executables.clear()


def meetings(*turns: Turn) -> list[bool]:
    plan_meetings(turns)
    return [t.waits for t in turns]


def test_what_is_read_must_have_been_written() -> None:
    written, read = Touch(0, 0, 64), Touch(0, 32, 96, written=False)
    assert meetings(Turn(4, [written]), Turn(4, [read])) == [False, True]
    assert meetings(Turn(4, [read]), Turn(4, [read])) == [False, False]
    assert meetings(Turn(4, [Touch(0, 0, 32)]), Turn(4, [read])) == [False, False]
    assert meetings(Turn(1, [written]), Turn(1, [read])) == [False, False]  # the same thread


def test_memory_of_the_caller_may_overlap() -> None:
    a, b = Touch(5, 0, 64, foreign=True), Touch(6, 0, 64, foreign=True)
    assert meetings(Turn(4, [a]), Turn(4, [b])) == [False, True]
    assert meetings(Turn(4, [a]), Turn(4, [Touch(0, 0, 64)])) == [False, False]


def test_who_goes_through_the_same_rows_does_not_wait() -> None:
    rows = Turn(4, [Touch(0, 0, 128)], [Band(32, 32)])
    finer = Turn(8, [Touch(0, 0, 128, written=False)], [Band(16, 16)])
    assert meetings(rows, finer) == [False, False] and (rows.shares, finer.shares) == (4, 4)
    shifted = Turn(4, [Touch(0, 16, 144, 16)], [Band(32, 32)])
    assert meetings(rows, shifted) == [False, True]
    columns = Turn(4, [Touch(0, 8, 128, 8, written=False)], [Band(32, 16)])
    assert meetings(rows, columns) == [False, False]
    assert meetings(rows, Turn(6, [Touch(0, 0, 128)], [Band(16, 16)])) == [False, True]  # 2 shares are too few
    whole = Turn(4, [Touch(0, 0, 128, written=False)], [None])
    assert meetings(rows, whole) == [False, True]


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.LSTM(16, 64, batch_first=True), nn.Linear(64, 5)

    def forward(self, x: Any) -> Any:
        return self.out(self.rnn(x)[0])


_NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "layers": (lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, 9)), (48, 64)),
    "recurrent": (_Recurrent, (32, 7, 16)),
    "attention": (lambda: nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True), (8, 24, 64)),
    "images": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(7),
        ),
        (16, 3, 24, 24),
    ),
}  # fmt: skip


def trained(name: str) -> list[np.ndarray]:
    """Losses and parameters after three compiled steps."""
    torch.manual_seed(0)
    make, shape = _NETWORKS[name]
    net, x = make(), torch.randn(*shape)
    net(x)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    @torch.compile(fullgraph=True)
    def step() -> Any:
        optimizer.zero_grad()
        loss = F.mse_loss(y := net(x), torch.zeros_like(y))
        loss.backward()
        optimizer.step()
        return loss

    losses = [step().detach().numpy().copy() for _ in range(3)]
    executables._executables.clear()
    return [*losses, *(p.detach().numpy().copy() for p in net.parameters())]


@pytest.mark.parametrize("name", _NETWORKS)
def test_training_does_not_depend_on_timing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trained(name)
    for threads, forwards in ((2, True), (2, False), (3, False), (5, True)):
        monkeypatch.setattr(cpu, "emit_driver", adversary.emit_driver(threads, forwards))
        for a, b in zip(expected, trained(name), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_missing_meeting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above tests something."""
    expected = trained("layers")
    monkeypatch.setattr(cpu, "emit_driver", adversary.emit_driver(2, False, meetings=False))
    with np.errstate(all="ignore"):
        assert any((a != b).any() for a, b in zip(expected, trained("layers"), strict=True))


@pytest.mark.parametrize("seed", range(0, 60, 2))
def test_random_programs_do_not_depend_on_timing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "emit_driver", adversary.emit_driver(2 + seed % 3, seed % 4 == 0))
    test_fuzz.run_seed(seed)
