"""`mode="max-autotune"`: schedules are tried once and remembered; every one computes the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.compiler import autotune, executables
from flambeau.compiler.backends.cpu import Executable
from flambeau.compiler.schedule import CANDIDATES, Schedule


def _network() -> tuple[Any, Any]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3))
    return net, torch.randn(16, 4, 12, 12)


def test_winner_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(executables, "_executables", {})
    tried: list[Schedule] = []
    build = Executable.__init__

    def noting(self: Any, *args: Any, **options: Any) -> None:
        tried.append(options.get("schedule", Schedule()))
        build(self, *args, **options)

    monkeypatch.setattr(Executable, "__init__", noting)
    net, x = _network()
    wanted = net(x)
    with torch.no_grad():
        found = torch.compile(net, mode="max-autotune")(x)
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), atol=2e-5)
    assert tried == list(CANDIDATES)
    tried.clear()
    executables._executables.clear()
    with torch.no_grad():
        torch.compile(net, mode="max-autotune")(x)
    assert len(tried) == 1


def test_training_is_tuned_too(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = _network()
    run = torch.compile(net, mode="max-autotune")
    run(x).square().sum().backward()
    tuned = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    net(x).square().sum().backward()
    for a, p in zip(tuned, net.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), p.grad.numpy(), rtol=1e-3, atol=1e-3)


def test_what_is_remembered_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path))
    for content in (b"nonsense", b"{}", json.dumps({"lanes": "sideways", "winograd": True}).encode()):
        autotune.cache.write("a" * 64, content)
        assert autotune._remembered("a" * 64) is None
    for schedule in CANDIDATES:
        autotune.cache.write("b" * 64, json.dumps(schedule.as_dict()).encode())
        assert autotune._remembered("b" * 64) == schedule
