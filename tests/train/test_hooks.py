"""The hooks: all of PyTorch Lightning's that a run has a moment for, in their order."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import flambeau as torch
from flambeau.train import Callback, ConfigError, RunFolder, Trainer, UserError
from flambeau.train.callbacks import ProgressBar, TensorBoardLog
from flambeau.train.callbacks.base import INSIDE
from flambeau.train.callbacks.progress_bar import duration
from flambeau.train.config_files import from_dict

PARTS = """
import flambeau as torch

class Points:
    def __init__(self):
        self.x = torch.randn(8, 4, generator=torch.Generator().manual_seed(5))
        self.y = self.x[:, :3].argmax(1)
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return self.x[index], self.y[index]
"""


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("hook_parts")
    exec(PARTS, module.__dict__)
    monkeypatch.setitem(sys.modules, "hook_parts", module)


def config(*changes: str) -> Any:
    data = {"target": "hook_parts.Points"}
    plain = {
        "task": {"target": "flambeau.train.tasks.Classification"},
        "data": {"train": data, "validation": data, "test": data, "batch_size": 4, "eval_batch_size": 8},
        "model": {"target": "flambeau.nn.Linear", "args": {"in_features": 4, "out_features": 3}},
        "loss": {"target": "flambeau.nn.CrossEntropyLoss"},
        "optimizer": {"target": "flambeau.optim.SGD", "args": {"lr": 0.1}},
        "trainer": {"epochs": 1, "compile": False},
    }
    return from_dict(plain, "test", changes)


def recorder(names: list[str], leave_out: tuple[str, ...] = ()) -> Callback:
    """A callback that has every hook and notes which are called."""

    def noting(name: str) -> Any:
        return lambda self, trainer, *rest: names.append(name)

    hooks = [name for name in dir(Callback) if name.startswith("on_") and name not in leave_out]
    return type("Recorder", (Callback,), {name: noting(name) for name in hooks})()


STEP = [
    "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end",
]  # fmt: skip


def phase(name: str, batches: int = 1) -> list[str]:
    batch = [f"on_{name}_batch_start", f"on_{name}_batch_end"]
    return [f"on_{name}_start", f"on_{name}_epoch_start", *batch * batches, f"on_{name}_epoch_end", f"on_{name}_end"]


def test_the_order_of_a_run() -> None:
    names: list[str] = []
    trainer = Trainer(config(), callbacks=[recorder(names)])
    trainer.fit()
    before = ["on_fit_start", "on_train_start", "on_train_epoch_start"]
    after = ["on_train_epoch_end", "on_train_end", "on_fit_end"]
    assert names == [*before, *STEP * 2, *phase("validation"), *after]
    names.clear()
    trainer.test()
    assert names == phase("test")
    names.clear()
    list(trainer.predict(np.zeros((9, 4), np.float32)))
    assert names == phase("predict", 2)


def test_accumulating() -> None:
    names: list[str] = []
    Trainer(config("trainer.accumulate=2", "data.batch_size=2"), callbacks=[recorder(names)]).fit()
    assert names.count("on_after_backward") == 4 and names.count("on_before_optimizer_step") == 2


@pytest.mark.parametrize("hook", INSIDE)
def test_a_compiled_step_has_no_inside(hook: str) -> None:
    callback = type("Watcher", (Callback,), {hook: lambda self, trainer, *rest: None})()
    with pytest.raises(ConfigError, match=rf"Watcher\.{hook} runs inside .* trainer\.compile=false"):
        Trainer(config("trainer.compile=true"), callbacks=[callback])
    names: list[str] = []
    Trainer(config("trainer.compile=true"), callbacks=[recorder(names, INSIDE)]).fit()
    assert names.count("on_train_batch_end") == 2


def test_gradients_can_be_changed_in_a_hook() -> None:
    class Stopping(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, optimizer: Any) -> None:
            for parameter in trainer.model.parameters():
                parameter.grad.zero_()

    trainer = Trainer(config(), callbacks=[Stopping()])
    before = trainer.model.weight.detach().clone()
    trainer.fit()
    assert torch.equal(trainer.model.weight, before)


def test_the_deterministic_mode_is_told_to_code_that_asks() -> None:
    try:
        Trainer(config("trainer.deterministic=true"))
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_share_of_waiting_for_data(tmp_path: Path) -> None:
    from flambeau.train.callbacks.progress_bar import waiting

    shares: list[float] = []

    class Watcher(Callback):
        def on_train_batch_end(self, trainer: Trainer, outputs: float, batch: Any, batch_idx: int) -> None:
            shares.append(trainer.data_wait)

    Trainer(config(), callbacks=[Watcher()]).fit()
    assert len(shares) == 2 and all(0 < share <= 1 for share in shares)
    assert waiting(0.256) == "  26% data wait" and waiting(0.01) == ""


def test_tensorboard_leaves_pytorch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer is there without `torch`; and where it is not installed, the message says what to install."""
    program = (
        "import sys; from flambeau.train.callbacks.tensorboard import _summary_writer; "
        "assert _summary_writer().__name__ == 'SummaryWriter' and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run = RunFolder(tmp_path)
    with pytest.raises(UserError, match=r"needs tensorboardX, which is not installed: pip install 'flambeau\[train\]'"):
        Trainer(config(), run, [TensorBoardLog()]).fit()


@pytest.mark.parametrize("width", [34, 60, 80, 120])
def test_the_bar_fits_the_terminal(width: int) -> None:
    """The time left is there always, the rest as there is room."""
    page = io.StringIO()
    console = Console(file=page, force_terminal=True, width=width, color_system=None)
    Trainer(config("trainer.epochs=2"), callbacks=[ProgressBar(console)]).fit()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", page.getvalue())
    bars = [line for line in re.split(r"[\r\n]+", plain) if " left" in line]
    assert bars and max(map(len, bars)) <= width and "…" not in "".join(bars)
    assert ("images/s" in bars[-1]) == (width >= 60) and ("accuracy" in bars[-1]) == (width >= 80)


def test_durations() -> None:
    assert [duration(s) for s in (7.9, 750, 3900)] == ["0:07", "12:30", "1:05:00"]
