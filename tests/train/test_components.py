"""What a config names gives something else than is wanted there: the message says what, and what was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flambeau.train import ConfigError, Trainer, UserError, load_config

QUICK = ["trainer.compile=false", "trainer.epochs=1", "data.batch_size=400"]
OTHER = {"target": "flambeau.nn.ReLU"}


def fit(*changes: str) -> Any:
    trainer = Trainer(load_config("digits", [*QUICK, *changes]))
    trainer.fit()
    return trainer


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("task", OTHER, r"task\.target = 'flambeau\.nn\.ReLU' gives a ReLU, not a task"),
        ("metrics", {"mine": OTHER}, r"metrics\.mine\.target .* gives a ReLU, not a score with update"),
        ("callbacks", [OTHER], r"callbacks\[0\]\.target .* gives a ReLU, not a flambeau\.train\.Callback"),
        ("optimizer", OTHER, r"optimizer\.target .* gives a ReLU, not an optimizer"),
        ("schedule", OTHER, r"schedule\.target .* gives a ReLU, not a learning-rate schedule"),
        ("data.train", OTHER, r"data\.train\.target .* gives a ReLU, not a data set"),
        ("data.mix", [OTHER], r"data\.mix\[0\]: flambeau\.nn\.ReLU cannot take the batch"),
        ("metrics", {"accuracy": {"target": "flambeau.metrics.ErrorRate"}}, r"metrics\.accuracy: every run here has a score"),
        ("metrics", {"loss": {"target": "flambeau.metrics.ErrorRate"}}, r"metrics\.loss: every run here has a score"),
        ("trainer.average", {"kind": "swa", "start_epoch": 9}, r"start_epoch = 9 lies behind the last epoch"),
    ],
)  # fmt: skip
def test_something_else(key: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit(f"{key}={json.dumps(value)}")


def test_a_function_for_a_loss() -> None:
    """A function of output and target is the loss itself, its further arguments set."""
    change = json.dumps({"target": "flambeau.nn.functional.cross_entropy", "args": {"label_smoothing": 0.1}})
    loss = fit(f"loss={change}").progress.epochs[0]["loss"]
    assert loss == fit("loss.args.label_smoothing=0.1").progress.epochs[0]["loss"]
    with pytest.raises(ConfigError, match=r"loss\.args\.smoothing: .*cross_entropy has no such argument; did you mean 'label_smoothing'"):
        fit(f"loss={change.replace('label_', '')}")
