"""What helps to choose a run's settings: the merged config, rates and sizes tried out, folds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flambeau.train import Component, ConfigError, Trainer, load_config
from flambeau.train.config_files import settings
from flambeau.train.data import without_augmentation
from flambeau.train.finders import find_batch_size, find_learning_rate
from flambeau.train.folds import fold_configs
from flambeau.train.samples import Fold


def test_settings_say_where_each_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("base: digits\nseed: 3\ntrainer:\n  epochs: 7\n")
    (tmp_path / "mine.yaml").write_text("base: base.yaml\ndata:\n  batch_size: ${oc.env:BATCH,16}\n")
    found = {each.key: each for each in settings(str(tmp_path / "mine.yaml"), ["trainer.clip_norm=1.5"])}
    assert (found["seed"].value, found["seed"].source) == (3, f"{tmp_path / 'base.yaml'}, line 2")
    assert found["trainer.epochs"].source == f"{tmp_path / 'base.yaml'}, line 4"
    assert (found["data.batch_size"].value, found["data.batch_size"].source) == (16, f"{tmp_path / 'mine.yaml'}, line 3")
    assert found["optimizer.args.lr"].source.startswith("the packaged digits.yaml, line")
    assert found["trainer.clip_norm"].source == "argument 'trainer.clip_norm=1.5'"
    assert found["trainer.compile"].source == "the defaults"
    assert all(each.meaning for key, each in found.items() if ".args" not in key and "metrics." not in key)


def test_environment_interpolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("base: digits\ndata: {batch_size: '${oc.env:BATCH}'}\n")
    monkeypatch.setenv("BATCH", "24")
    assert load_config(str(tmp_path / "mine.yaml")).data.batch_size == 24
    monkeypatch.delenv("BATCH")
    with pytest.raises(ConfigError, match="BATCH"):
        load_config(str(tmp_path / "mine.yaml"))


def test_config_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flambeau.cli.main", "config", "digits", "seed=9", "--json"], cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {each["key"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert found["seed"] == {"event": "setting", "key": "seed", "value": 9, "source": "argument 'seed=9'"}


def test_a_learning_rate_is_found() -> None:
    found = find_learning_rate(load_config("digits", ["trainer.compile=false"]), 1e-5, 100.0, 40)
    assert len(found.rates) == len(found.losses) < 40  # it ends where the loss runs away
    assert found.rates[0] == pytest.approx(1e-5)
    assert found.suggestion is not None and 1e-3 < found.suggestion < 5
    assert all(map(math.isfinite, found.losses))


def test_rates_that_do_not_rise() -> None:
    with pytest.raises(ConfigError, match="must rise"):
        find_learning_rate(load_config("digits"), 1.0, 0.1)


def test_a_batch_size_is_found() -> None:
    sizes, best = find_batch_size(load_config("digits", ["trainer.compile=false"]), 256, 2)
    assert [each.size for each in sizes[:2]] == [256, 512] and sizes[-1].size <= 1024  # of 1,257 samples
    assert best in [each.size for each in sizes]
    assert all(each.memory > 2**20 and each.images_per_second > 0 for each in sizes)


def test_folds_cut_the_data_into_parts_that_are_scored_once() -> None:
    parts = [Fold(range(11), 3, fold, held=True) for fold in range(3)]
    assert sorted(place for part in parts for place in part) == list(range(11))
    for fold, part in enumerate(parts):
        rest = Fold(range(11), 3, fold)
        assert set(rest) | set(part) == set(range(11)) and not set(rest) & set(part)
    with pytest.raises(ConfigError, match="fold 0 of 12"):
        Fold(range(11), 12, 0)


def test_folds_of_a_config_augment_the_training_part_alone() -> None:
    configs = fold_configs(load_config("digits", ["trainer.compile=false", "trainer.epochs=1"]), 4)
    assert [config.name for config in configs] == [f"digits-fold{i}" for i in range(1, 5)]
    trainer = Trainer(configs[0])
    train, held = trainer.dataset("train"), trainer.dataset("validation")
    assert type(train).__name__ == "Augmented" and type(held) is Fold
    assert len(train) + len(held) == len(held.dataset)
    np.testing.assert_array_equal(held[0][0], held.dataset[held.places[0]][0])
    with pytest.raises(ConfigError, match="at least 2"):
        fold_configs(configs[0], 1)


def test_folds_score_with_the_transforms_of_validation() -> None:
    """Those of training may be random."""

    def folder(root: str, *names: str) -> Component:
        steps = [{"target": f"flambeau.vision.transforms.{name}", "args": {}} for name in names]
        compose = {"target": "flambeau.vision.transforms.Compose", "args": {"transforms": steps}}
        return Component("flambeau.vision.datasets.ImageFolder", {"root": root, "transform": compose})

    config = load_config("digits")
    data = replace(config.data, train=folder("a", "RandomHorizontalFlip", "ToTensor"), validation=folder("b", "ToTensor"))
    first = fold_configs(replace(config, data=data), 3)[0]
    assert first.data.train.args["dataset"]["args"] == data.train.args
    held = first.data.validation
    assert held is not None and held.args["held"]
    assert held.args["dataset"]["args"] == {"root": "a", "transform": folder("b", "ToTensor").args["transform"]}
    assert without_augmentation(data).train.args == held.args["dataset"]["args"]
