"""Data sets and loaders, as the config describes them."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.train.components import accepts, build
from flambeau.train.config import Component, Config
from flambeau.train.errors import ConfigError
from flambeau.utils.data import DataLoader, Subset


def build_dataset(config: Config, part: str) -> Any:
    """The data set `part` (train, validation or test) of the config.

    A data set that takes `skip_bad` is told whether to leave bad samples out.
    """
    component: Component | None = getattr(config.data, part)
    key = f"data.{part}"
    if component is None:
        raise ConfigError(f"{key} is not set: the config names no data set for this")
    placeholders = {"seed": config.seed}
    if accepts(component, key, "skip_bad"):
        skip = config.data.skip_bad
        dataset = build(component, key, placeholders=placeholders, skip_bad=skip)
    elif config.data.skip_bad:
        raise ConfigError(f"{key}: {component.target} cannot skip bad samples (no `skip_bad`)")
    else:
        dataset = build(component, key, placeholders=placeholders)
    if len(dataset) == 0:
        raise ConfigError(f"{key}: {component.target} is empty, there is nothing to work on")
    return dataset


def train_loader(config: Config, dataset: Any, order: flambeau.Generator) -> DataLoader:
    """Shuffled batches, each of a whole step; `order` decides the shuffling."""
    batch_size = config.data.batch_size * config.trainer.accumulate
    if config.trainer.overfit_batches:
        dataset = Subset(dataset, range(min(len(dataset), config.trainer.overfit_batches * batch_size)))
    drop_last = config.data.drop_last and len(dataset) >= batch_size
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=True,
        drop_last=drop_last,
        num_workers=config.data.num_workers,
        generator=order,
    )


def eval_loader(config: Config, dataset: Any) -> DataLoader:
    """Batches in the data set's own order."""
    return DataLoader(
        dataset,
        batch_size=config.data.eval_batch_size,
        num_workers=config.data.num_workers,
    )
