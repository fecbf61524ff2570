"""Data sets and loaders, as the config describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import flambeau
from flambeau.train.components import accepts, build, check_has
from flambeau.train.config import Component, Config, DataConfig
from flambeau.train.errors import ConfigError, UserError, in_short
from flambeau.train.samples import Part
from flambeau.utils.data import DataLoader
from flambeau.vision.datasets.errors import DataError


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
    check_has(dataset, component, key, ["__len__", "__getitem__"], "a data set: it needs __len__ and __getitem__")
    if len(dataset) == 0:
        raise ConfigError(f"{key}: {component.target} is empty, there is nothing to work on")
    if config.trainer.overfit_batches and part == "train":
        few = config.trainer.overfit_batches * config.data.batch_size * config.trainer.accumulate
        return Part(dataset, range(min(len(dataset), few)))
    return dataset


def without_augmentation(data: DataConfig) -> DataConfig:
    """Training samples as they are: no blending, and nothing that augments them (see `plain`)."""
    return replace(data, mix=[], train=plain(data))


#: What brings a picture to the network, and often augments it on the way.
_TRANSFORMS = ("transform", "transforms", "target_transform")


def plain(data: DataConfig) -> Component:
    """The training set without augmentation: neither `Augmented` nor an `augment` argument.

    Where training and validation are data sets of the same kind, the transforms are those of validation, since the ones
    of training may be random.
    """
    train = data.train
    while train.target == "flambeau.train.samples.Augmented":
        train = Component(**train.args["dataset"])
    args = {name: value for name, value in train.args.items() if name != "augment"}
    if data.validation is not None and data.validation.target == train.target:
        args = {name: value for name, value in args.items() if name not in _TRANSFORMS}
        args |= {name: value for name, value in data.validation.args.items() if name in _TRANSFORMS}
    return Component(train.target, args)


def train_loader(config: Config, dataset: Any, order: flambeau.Generator) -> DataLoader:
    """Shuffled batches, each of a whole step; `order` decides the shuffling."""
    batch_size = config.data.batch_size * config.trainer.accumulate
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


def told_of(loader: DataLoader, key: str) -> Iterator[Any]:
    """The batches of a loader; an error says that it is `key`'s, not the network's.

    Raises `UserError` where a sample cannot be loaded or a batch not be made; errors that name a file go by as they are.
    """
    batches = iter(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (UserError, DataError):
            raise
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise UserError(
                f"{key}: a batch could not be made. {in_short(error).rstrip('.')}. Samples must be tensors of one size: "
                "transforms such as Resize and ToTensor bring pictures there; FLAMBEAU_TRACEBACK=1 shows where it happened"
            ) from error
        yield batch
