# ruff: noqa: RUF009  (`_key` makes a dataclass field)
"""The keys of a training run: each with its type, its meaning, and its default.

A run is described by YAML files and by `key=value` arguments. Both are laid over these defaults
by `flambeau.train.config_files`, which checks every key and every type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING


def _key(meaning: str, default: Any = MISSING, factory: Any = None) -> Any:
    """A field with its meaning beside it."""
    if factory is not None:
        return field(default_factory=factory, metadata={"help": meaning})
    return field(default=default, metadata={"help": meaning})


class Interval(Enum):
    """How often a schedule moves."""

    step = "step"
    epoch = "epoch"


class Direction(Enum):
    """Whether the smaller or the larger score is the better one."""

    min = "min"
    max = "max"


@dataclass
class Component:
    """Anything that is built from its dotted name: a model, a data set, an optimizer, a loss…

    Arguments may use the placeholders `$epochs`, `$steps` (of the whole run),
    `$steps_per_epoch` and `$seed`.
    """

    target: str = _key("dotted name of a class or function, as flambeau.vision.models.LeNet")
    args: dict[str, Any] = _key("its arguments by name", factory=dict)


@dataclass
class ScheduleConfig(Component):
    """A learning-rate schedule; its optimizer is given to it."""

    every: Interval = _key(
        "whether the schedule moves each `step` or each `epoch`", Interval.step
    )


@dataclass
class DataConfig:
    """The data sets, and how they are cut into batches."""

    train: Component = _key("the data set that is trained on", factory=Component)
    validation: Component | None = _key("the data set that is scored after each epoch", None)
    test: Component | None = _key("the data set of `flambeau test`", None)
    batch_size: int = _key("samples a training step", 64)
    eval_batch_size: int = _key("samples a step of validation, test and prediction", 256)
    num_workers: int = _key("processes that load data; 0 loads in the training process", 0)
    drop_last: bool = _key("whether an epoch leaves out a last batch that is not full", True)
    skip_bad: bool = _key("whether bad samples are counted and left out, not an error", False)


@dataclass
class CheckpointConfig:
    """When checkpoints are written, and which of them is the best."""

    every_steps: int = _key("steps from one to the next; 0 writes after each epoch only", 0)
    monitor: str = _key("the validation score that picks the best checkpoint", "loss")
    mode: Direction = _key(
        "whether a score is the better for being `min` or `max`", Direction.min
    )


@dataclass
class FinetuneConfig:
    """Where a run's first weights come from, and which of them stay as they are."""

    checkpoint: str | None = _key("a checkpoint file to take the weights from", None)
    freeze: list[str] = _key("patterns of parameter names that are not trained", factory=list)


@dataclass
class TrainerConfig:
    """The training loop."""

    epochs: int = _key("passes over the training data", 10)
    compile: bool = _key("whether the whole step runs compiled; false runs it eagerly", True)
    log_every_steps: int = _key("steps from one point of the loss curve to the next", 10)


@dataclass
class Config:
    """A training run."""

    name: str = _key("the run's name; its folder is named after it", "run")
    folder: str = _key("the folder that run folders are made in", "runs")
    seed: int = _key("the seed of weights, order and augmentation", 0)
    task: Component = _key(
        "what the outputs mean: flambeau.train.tasks.Classification or .Keypoints",
        factory=Component,
    )
    data: DataConfig = _key("the data sets", factory=DataConfig)
    model: Component = _key("the network", factory=Component)
    loss: Component = _key("the loss, called with output and target", factory=Component)
    optimizer: Component = _key("the optimizer; the parameters are given", factory=Component)
    schedule: ScheduleConfig | None = _key("the learning-rate schedule", None)
    metrics: dict[str, Component] = _key(
        "scores by name, each update/compute/reset", factory=dict
    )
    callbacks: list[Component] = _key("further callbacks of the run", factory=list)
    checkpoint: CheckpointConfig = _key("when to save", factory=CheckpointConfig)
    finetune: FinetuneConfig = _key("starting from another run", factory=FinetuneConfig)
    trainer: TrainerConfig = _key("the loop", factory=TrainerConfig)
