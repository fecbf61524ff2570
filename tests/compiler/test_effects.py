"""What functions do and read beside tensors: each call does it, or the function runs eagerly and says why."""

from __future__ import annotations

import datetime
import logging
import os
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compiler_helpers import assert_close

import flambeau as torch
from flambeau import nn
from flambeau.compiler import compiled as compiled_module

HIDDEN = torch.zeros(2)
LOG = logging.getLogger("flambeau.tests.effects")


def _logged(x: Any) -> Any:
    LOG.warning("called")
    return x + 1


def _written(x: Any, file: Any) -> Any:
    file.write("called")
    return x + 1


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (lambda x: x * 0 + time.time(), r"time\.time\(\)"),
        (lambda x: x + perf_counter(), r"time\.perf_counter\(\)"),
        (lambda x: x * datetime.datetime.now().year, r"datetime\.now\(\)"),
        (_logged, "logging"),
        (lambda x: x + len(os.urandom(3)), "urandom"),
        (lambda x: (torch.manual_seed(3), x + torch.rand(2))[1], "manual_seed"),
    ],
)
def test_run_eagerly_with_one_warning(f: Callable[[Any], Any], why: str) -> None:
    with pytest.raises(Exception, match=why):
        torch.compile(f, fullgraph=True)(torch.ones(2))
    g = torch.compile(f)
    with pytest.warns(UserWarning, match=why + ".* cannot be traced .*test_effects"):
        g(torch.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g(torch.ones(2))


def test_logs_and_files_are_written_at_each_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f, g = torch.compile(_logged), torch.compile(_written)
        with path.open("w") as file:
            for _ in range(3):
                f(torch.ones(2))
                g(torch.ones(2), file)
    assert len(caplog.records) == 3 and path.read_text() == "called" * 3


@pytest.mark.parametrize("kind", ["random", "numpy", "Random", "Generator", "RandomState"])
def test_random_generators_of_others(kind: str) -> None:
    def draws(compiled: bool) -> list[float]:
        random.seed(0)
        np.random.seed(0)
        holder = SimpleNamespace(
            g={
                "random": random, "numpy": np.random, "Random": random.Random(1),
                "Generator": np.random.default_rng(1), "RandomState": np.random.RandomState(1),
            }[kind]
        )  # fmt: skip

        def f(x: Any) -> Any:
            return x * holder.g.random()

        g = torch.compile(f) if compiled else f
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [g(torch.ones(1)).item() for _ in range(4)]

    assert draws(True) == draws(False)


def test_the_environment_is_a_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    f = torch.compile(lambda x: x * float(os.environ.get("FLAMBEAU_TEST", "1")), fullgraph=True)
    for value in ("2", "3", "3"):
        monkeypatch.setenv("FLAMBEAU_TEST", value)
        assert f(torch.ones(1)).item() == float(value)
    monkeypatch.delenv("FLAMBEAU_TEST")
    assert f(torch.ones(1)).item() == 1 and f.traces == 3


# Assignments ------------------------------------------------------------------------------------------


class Stateful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.hidden = torch.zeros(2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x: Any) -> Any:
        self.hidden = torch.tanh(self.layer(x) + self.hidden).detach()
        self.mean = self.mean * 0.9 + x * 0.1
        return self.hidden + self.mean


def test_tensors_that_each_call_puts_in_the_place_of_others() -> None:
    global HIDDEN
    local, entries, items = torch.zeros(2), {"m": torch.zeros(2)}, [torch.zeros(2)]

    def f(x: Any) -> Any:
        global HIDDEN
        nonlocal local
        HIDDEN = HIDDEN * 0.5 + x
        local = local + HIDDEN
        entries["m"] = entries["m"] * 0.9 + x
        items[0], before = x * 2, items[0]
        return local + before

    g, found = torch.compile(f, fullgraph=True), []
    for compiled in (True, False):
        HIDDEN, local, entries["m"], items[0] = (torch.zeros(2) for _ in range(4))
        x = torch.ones(2)
        found.append([(g if compiled else f)(x + k) for k in range(4)] + [HIDDEN, local, entries["m"], items[0]])
    for a, b in zip(*found, strict=True):
        assert_close(a, b)
    assert g.traces <= 2


def test_modules_that_keep_their_state() -> None:
    model = Stateful()
    wanted, x = [], torch.ones(2)
    for _ in range(4):
        wanted.append(model(x))
    model.hidden, model.mean = torch.zeros(2), torch.zeros(2)
    f = torch.compile(model, fullgraph=True)
    for want in wanted:
        assert_close(f(x), want)
    assert f._compiled.traces == 1 and "mean" in model.state_dict()


def test_what_is_kept_is_what_is_returned() -> None:
    kept = {"last": torch.zeros(1)}

    def f(x: Any) -> Any:
        kept["last"] = x * 2
        return kept["last"], kept["last"][:1]

    g = torch.compile(f, fullgraph=True)
    for _ in range(2):
        whole, part = g(torch.ones(2))
        assert whole is kept["last"]
        part.zero_()
        assert kept["last"].tolist() == [0, 2]


def test_history_that_is_kept() -> None:
    layer, kept = nn.Linear(2, 2, bias=False), {"h": torch.zeros(2)}

    def f(x: Any) -> Any:
        kept["h"] = layer(x) + kept["h"]
        return kept["h"].sum()

    def gradient(g: Callable[[Any], Any]) -> Any:
        kept["h"], layer.weight.grad = torch.zeros(2), None
        for _ in range(3):
            loss = g(torch.ones(2))
        loss.backward()
        return layer.weight.grad

    assert_close(gradient(torch.compile(f, fullgraph=True)), gradient(f))


def test_attributes_of_classes_and_instances() -> None:
    class Thing:
        k = 2.0
        calls = 0

        def scaled(self, x: Any) -> Any:
            return x * self.k

        def counted(self, x: Any) -> Any:
            type(self).calls += 1
            return x

    thing = Thing()
    f = torch.compile(thing.scaled, fullgraph=True)
    assert f(torch.ones(1)) == 2
    thing.k = 3.0  # hides the class's
    assert f(torch.ones(1)) == 3
    del thing.k
    Thing.k = 4.0
    assert f(torch.ones(1)) == 4
    g = torch.compile(thing.counted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            g(torch.ones(1))
    assert Thing.calls == 3


def test_attributes_of_tensors() -> None:
    w = torch.ones(2)
    w.scale = 2.0
    f = torch.compile(lambda x: x * w * w.scale)
    assert f(torch.ones(2))[0] == 2
    w.scale = 3.0
    assert f(torch.ones(2))[0] == 3


def _momentum(compiled: bool, fails: str = "") -> list[float]:
    """Two steps with a dampened momentum, whose first is unlike the others."""
    p = torch.arange(3.0).requires_grad_()
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.8, dampening=0.3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        optimizer.step()
        if fails == "tracing":
            loss.item()
        return loss

    run = torch.compile(step) if compiled else step
    for _ in range(2):
        run()
    return p.tolist()


@pytest.mark.filterwarnings("ignore:flambeau.compile")
@pytest.mark.parametrize("fails", ["tracing", "compiling"])
def test_the_first_update_that_runs_eagerly_is_the_first(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fails == "compiling":
        monkeypatch.setattr(compiled_module, "Program", _broken)
    assert _momentum(True, fails) == _momentum(False)


def _broken(*args: Any) -> None:
    raise AssertionError("a fault of the compiler")
