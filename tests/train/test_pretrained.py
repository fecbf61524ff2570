"""Weights from elsewhere, whole or in part, and what is frozen of them."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.train import CheckpointError, Trainer, load_pretrained
from flambeau.train.config_files import from_dict
from flambeau.train.pretrained import keep_frozen_statistics

PARTS = """
import flambeau as torch
from flambeau import nn

class Points:
    def __init__(self):
        self.x = torch.randn(40, 4, generator=torch.Generator().manual_seed(5)) + 3
        self.y = self.x[:, :3].argmax(1)
    def __len__(self):
        return 40
    def __getitem__(self, index):
        return self.x[index], self.y[index]

def network():
    body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.BatchNorm1d(8, affine=False))
    return nn.Sequential(body, nn.ReLU(), nn.Linear(8, 3))
"""


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("pretrained_parts")
    exec(PARTS, module.__dict__)
    monkeypatch.setitem(sys.modules, "pretrained_parts", module)
    return module


def config(*changes: str, **values: Any) -> Any:
    data = {"target": "pretrained_parts.Points"}
    plain = {
        "task": {"target": "flambeau.train.tasks.Classification"},
        "data": {"train": data, "validation": data, "batch_size": 10},
        "model": {"target": "pretrained_parts.network"},
        "loss": {"target": "flambeau.nn.CrossEntropyLoss"},
        "optimizer": {"target": "flambeau.optim.SGD", "args": {"lr": 0.1}},
        "trainer": {"epochs": 2, "compile": False},
        **values,
    }
    return from_dict(plain, "test", changes)


def saved(path: Path, state: dict[str, Any]) -> Path:
    torch.save(state, path)
    return path


def test_part_of_a_checkpoint(tmp_path: Path) -> None:
    source = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2))
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    path = saved(tmp_path / "other.pt", {**source.state_dict(), "far.weight": torch.zeros(1)})
    fresh = model[2].weight.detach().clone()
    with pytest.raises(CheckpointError, match=r"of another network\. .*To take what fits .*finetune\.partial=true"):
        load_pretrained(model, path)
    report = load_pretrained(model, path, partial=True)
    assert report.loaded == ["0.weight", "0.bias", "4.bias"]
    assert report.fresh == ["2.weight", "2.bias", "4.weight"] and report.unused == ["far.weight"]
    assert torch.equal(model[0].weight, source[0].weight) and torch.equal(model[2].weight, fresh)
    assert str(report) == (
        "3 tensors loaded; 3 left as they were: 2.weight, 2.bias, 4.weight; 1 of the file not used: far.weight"
    )


def test_nothing_that_fits(tmp_path: Path) -> None:
    path = saved(tmp_path / "other.pt", {"elsewhere": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"nothing in .*other\.pt fits"):
        load_pretrained(nn.Linear(2, 2), path, partial=True)


def test_names_that_data_parallel_wrote(tmp_path: Path) -> None:
    source, model = nn.Linear(3, 2), nn.Linear(3, 2)
    path = saved(tmp_path / "wrapped.pt", {f"module.{name}": value for name, value in source.state_dict().items()})
    assert load_pretrained(model, path).loaded == ["weight", "bias"]
    assert torch.equal(model.weight, source.weight)


def statistics(model: nn.Module) -> list[Any]:
    return [buffer.clone() for name, buffer in model.named_buffers() if "running" in name]


@pytest.mark.parametrize("average", ["none", "ema", "swa"])
def test_frozen_statistics_stay(average: str) -> None:
    """Those of layers without parameters, too; and averaged weights keep them."""
    trainer = Trainer(config("finetune.freeze=[0]", f"trainer.average.kind={average}"))
    before = statistics(trainer.model)
    trainer.fit()
    for model in (trainer.model, trainer.scored_model):
        assert all(torch.equal(a, b) for a, b in zip(before, statistics(model), strict=True))
    trainer = Trainer(config(f"trainer.average.kind={average}"))
    trainer.fit()
    assert not any(torch.equal(a, b) for a, b in zip(before, statistics(trainer.model), strict=True))


def test_statistics_move_from_the_epoch_on_that_unfreezes_them() -> None:
    seen: list[list[Any]] = []

    class Watcher(torch.train.Callback):
        def on_train_epoch_end(self, trainer: Trainer) -> None:
            seen.append(statistics(trainer.model))

    unfreeze = {"freeze": ["0"], "unfreeze": [{"epoch": 2, "names": ["0"]}]}
    trainer = Trainer(config(finetune=unfreeze), callbacks=[Watcher()])
    before = statistics(trainer.model)
    trainer.fit()
    for first, then, later in zip(before, *seen, strict=True):
        assert torch.equal(first, then) and not torch.equal(then, later)


def test_scoring_in_the_middle_leaves_them_frozen(parts: types.ModuleType) -> None:
    trainer = Trainer(config("finetune.freeze=[0]"))
    trainer._build_training()
    trainer.model.train()
    keep_frozen_statistics(trainer.model)
    trainer.validate()
    assert [module.training for module in trainer.model[0]] == [True, False, False]
