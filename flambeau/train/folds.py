"""Cross-validation: the same run on several cuts of the training data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flambeau.train.config import Component, Config
from flambeau.train.data import plain
from flambeau.train.errors import ConfigError

_FOLD = "flambeau.train.samples.Fold"
_AUGMENTED = "flambeau.train.samples.Augmented"


def fold_configs(config: Config, folds: int) -> list[Config]:
    """The config of each fold: it trains on all but one part of `data.train`, and validates on that part.

    Pictures are augmented in training only: what an `Augmented` data set, or an `augment` argument, adds is left
    out of the part that is scored, and its transforms are those of `data.validation` (see `flambeau.train.data.plain`).

    Raises `ConfigError` for fewer than two folds.
    """
    if folds < 2:
        raise ConfigError(f"--folds {folds}: cross-validation needs at least 2")
    return [_fold_config(config, folds, fold) for fold in range(folds)]


def _fold_config(config: Config, folds: int, fold: int) -> Config:
    def part(of: Any, held: bool) -> dict[str, Any]:
        arguments = {"dataset": of, "folds": folds, "fold": fold, "held": held, "seed": config.seed}
        return {"target": _FOLD, "args": arguments}

    train = config.data.train
    if train.target == _AUGMENTED:
        inner = Component(_AUGMENTED, {**train.args, "dataset": part(train.args["dataset"], False)})
    else:
        inner = Component(**part({"target": train.target, "args": dict(train.args)}, False))
    data = replace(config.data, train=inner, validation=Component(**part(vars(plain(config.data)), True)))
    return replace(config, name=f"{config.name}-fold{fold + 1}", data=data)
