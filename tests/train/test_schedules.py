"""Every schedule from a config: each step and each epoch, after a warm-up, and the same after a resume."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.train import ConfigError, RunFolder, Trainer
from flambeau.train.config_files import from_dict

PARTS = """
import flambeau as torch

class Points:
    def __init__(self):
        self.x = torch.randn(20, 4, generator=torch.Generator().manual_seed(5))
        self.y = self.x[:, :3].argmax(1)
    def __len__(self):
        return 20
    def __getitem__(self, index):
        return self.x[index], self.y[index]

def falling(base):
    return lambda count: base**count
"""
FALLING = {"target": "schedule_parts.falling", "args": {"base": 0.8}}
SCHEDULES: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3]},
    "ConstantLR": {"factor": 0.5, "total_iters": 2},
    "LinearLR": {"start_factor": 0.5, "total_iters": 3},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": "$LEFT", "power": 2.0},
    "CosineAnnealingLR": {"T_max": "$LEFT"},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": "$LEFT", "cycle_momentum": False},
    "LambdaLR": {"lr_lambda": FALLING},
    "MultiplicativeLR": {"lr_lambda": FALLING},
}


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("schedule_parts")
    exec(PARTS, module.__dict__)
    monkeypatch.setitem(sys.modules, "schedule_parts", module)


def config(schedule: dict[str, Any], *changes: str, **values: Any) -> Any:
    data = {"target": "schedule_parts.Points"}
    plain = {
        "task": {"target": "flambeau.train.tasks.Classification"},
        "data": {"train": data, "validation": data, "batch_size": 10},
        "model": {"target": "flambeau.nn.Linear", "args": {"in_features": 4, "out_features": 3}},
        "loss": {"target": "flambeau.nn.CrossEntropyLoss"},
        "optimizer": {"target": "flambeau.optim.SGD", "args": {"lr": 0.1}},
        "trainer": {"epochs": 6, "compile": False},
        "schedule": schedule,
        **values,
    }
    return from_dict(plain, "test", changes)


class Rates(torch.train.Callback):
    """The learning rates that the steps were made with."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, batch: Any, batch_idx: int) -> None:
        self.seen.append(trainer.learning_rate)


def named(name: str, every: str, warmup: int = 0) -> dict[str, Any]:
    left = "$steps" if every == "step" else "$epochs"
    arguments = {key: left if value == "$LEFT" else value for key, value in SCHEDULES[name].items()}
    target = f"flambeau.optim.lr_scheduler.{name}"
    return {"target": target, "args": arguments, "every": every, "warmup": warmup, "warmup_start": 0.1}


def run_of(path: Path) -> RunFolder:
    path.mkdir()
    return RunFolder(path)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("every", ["step", "epoch"])
def test_a_schedule_after_its_warm_up(name: str, every: str) -> None:
    """Two moves of warm-up; then the rates are those of the schedule alone, in what is left of the run."""
    rates = Rates()
    Trainer(config(named(name, every, 2)), callbacks=[rates]).fit()
    moves = 12 if every == "step" else 6
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    arguments = {key: moves - 2 if value == "$LEFT" else value for key, value in SCHEDULES[name].items()}
    if "lr_lambda" in arguments:
        arguments["lr_lambda"] = lambda count: 0.8**count
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
    top = 0.1 if name != "OneCycleLR" else optimizer.param_groups[0]["initial_lr"]  # where it begins
    expected = [0.1 * top, 0.55 * top]
    for _ in range(moves - 2):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates.seen[:: 12 // moves], expected, rtol=1e-6)


@pytest.mark.parametrize("name", [*SCHEDULES, "ReduceLROnPlateau"])
def test_a_resumed_schedule(name: str, tmp_path: Path) -> None:
    schedule = (
        {"target": f"flambeau.optim.lr_scheduler.{name}", "args": {"patience": 0}, "every": "epoch"}
        if name not in SCHEDULES
        else named(name, "epoch", 1)
    )
    whole, first, second = Rates(), Rates(), Rates()
    Trainer(config(schedule), callbacks=[whole]).fit()
    run = run_of(tmp_path / "run")
    stopping = Trainer(config(schedule), run, [first, _StopAfter(3)])
    stopping.fit()
    Trainer(config(schedule), run, [second]).fit(resume=True)
    assert first.seen + second.seen == whole.seen


class _StopAfter(torch.train.Callback):
    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        trainer.should_stop = trainer.progress.epoch >= self.epochs


def test_a_schedule_of_schedules() -> None:
    """What PyTorch gives the optimizer by hand is `$optimizer` in a config."""
    inner = [
        {"target": "flambeau.optim.lr_scheduler.ConstantLR", "args": {"optimizer": "$optimizer", "factor": 0.5}},
        {"target": "flambeau.optim.lr_scheduler.ExponentialLR", "args": {"optimizer": "$optimizer", "gamma": 0.5}},
    ]
    schedule = {
        "target": "flambeau.optim.lr_scheduler.SequentialLR", "args": {"schedulers": inner, "milestones": [2]},
        "every": "epoch",
    }  # fmt: skip
    rates = Rates()
    Trainer(config(schedule), callbacks=[rates]).fit()
    np.testing.assert_allclose(rates.seen[::2], [0.05, 0.05, 0.1, 0.05, 0.025, 0.0125])


@pytest.mark.parametrize(("mode", "expected"), [("max", "max"), ("min", "min")])
def test_a_plateau_is_one_of_the_score_that_picks_the_best(mode: str, expected: str) -> None:
    schedule = {"target": "flambeau.optim.lr_scheduler.ReduceLROnPlateau", "every": "epoch"}
    monitor = "accuracy" if mode == "max" else "loss"
    trainer = Trainer(config(schedule, f"checkpoint.monitor={monitor}", f"checkpoint.mode={mode}"))
    trainer.fit()
    assert trainer.schedule.mode == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("schedule.every=step",), "needs every: epoch"),
        (("data.validation=null",), "needs every: epoch and data.validation"),
        (("schedule.warmup=1",), "takes no warm-up"),
    ],
    ids=["step", "no validation", "warm-up"],
)
def test_a_plateau_that_cannot_be(changes: tuple[str, ...], message: str) -> None:
    schedule = {"target": "flambeau.optim.lr_scheduler.ReduceLROnPlateau", "every": "epoch"}
    with pytest.raises(ConfigError, match=message):
        Trainer(config(schedule, *changes)).fit()


def resumed(tmp_path: Path, first: Any, then: Any) -> list[float]:
    """The rates of a run of two epochs and of what comes after it by another config."""
    before, after = Rates(), Rates()
    run = run_of(tmp_path / "run")
    Trainer(first, run, [before]).fit()
    Trainer(then, run, [after]).fit(resume=True)
    return before.seen + after.seen


@pytest.mark.parametrize("every", ["step", "epoch"])
@pytest.mark.parametrize("name", ["CosineAnnealingLR", "OneCycleLR", "StepLR"])
def test_a_run_that_is_made_longer(name: str, every: str, tmp_path: Path) -> None:
    """Its rates go on as if the run had been planned so."""
    schedule = named(name, every)
    whole = Rates()
    Trainer(config(schedule), callbacks=[whole]).fit()
    rates = resumed(tmp_path, config(schedule, "trainer.epochs=2"), config(schedule))
    np.testing.assert_allclose(rates[4:], whole.seen[4:], rtol=1e-6)


def test_a_rate_changed_on_resuming(tmp_path: Path) -> None:
    constant = {"target": "flambeau.optim.lr_scheduler.ConstantLR", "args": {"factor": 1.0}, "every": "epoch"}
    then = config(constant, "optimizer.args.lr=0.02", "trainer.epochs=4")
    assert resumed(tmp_path, config(constant, "trainer.epochs=2"), then) == [0.1] * 4 + [0.02] * 4


def test_a_rate_changed_without_a_schedule(tmp_path: Path) -> None:
    first = config(named("StepLR", "step"), "schedule=null", "trainer.epochs=2")
    then = config(named("StepLR", "step"), "schedule=null", "optimizer.args.lr=0.02", "trainer.epochs=3")
    assert resumed(tmp_path, first, then) == [0.1] * 4 + [0.02] * 2


def test_a_plateau_goes_on_when_the_run_is_made_longer(tmp_path: Path) -> None:
    schedule = {
        "target": "flambeau.optim.lr_scheduler.ReduceLROnPlateau", "args": {"patience": 0, "threshold": 9.0}, "every": "epoch",
    }  # fmt: skip
    whole = Rates()
    Trainer(config(schedule), callbacks=[whole]).fit()
    assert resumed(tmp_path, config(schedule, "trainer.epochs=2"), config(schedule)) == whole.seen
    assert whole.seen[-1] < 0.1
