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


class Precision(Enum):
    """In what products and convolutions of a training step are computed; losses and weights are float32."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Interval(Enum):
    """How often a schedule moves."""

    step = "step"
    epoch = "epoch"


class Direction(Enum):
    """Whether the smaller or the larger score is the better one."""

    min = "min"
    max = "max"


class Kind(Enum):
    """What a parameter is to its layer."""

    any = "any"
    weight = "weight"
    bias = "bias"
    norm = "norm"


class Average(Enum):
    """Which average of the weights is scored and kept."""

    none = "none"
    ema = "ema"
    swa = "swa"


@dataclass
class Component:
    """Anything that is built from its dotted name: a model, a data set, an optimizer, a loss…

    Arguments may use the placeholders `$epochs`, `$steps` (of the whole run),
    `$steps_per_epoch` and `$seed`.
    """

    target: str = _key("dotted name of a class or function, as flambeau.vision.models.LeNet")
    args: dict[str, Any] = _key("its arguments by name", factory=dict)


@dataclass
class GroupConfig:
    """Parameters that the optimizer treats in their own way; the first group that fits takes them."""

    names: list[str] = _key("patterns of parameter names; all where none is given", factory=list)
    layers: list[str] = _key("kinds of layers, as Conv2d; all where none is given", factory=list)
    kind: Kind = _key("`weight`, `bias`, `norm` (of a normalisation layer) or `any`", Kind.any)
    args: dict[str, Any] = _key("the optimizer's arguments for them, as weight_decay", factory=dict)


@dataclass
class OptimizerConfig(Component):
    """An optimizer; the parameters are given to it."""

    groups: list[GroupConfig] = _key("parameters with arguments of their own", factory=list)
    layer_decay: float = _key("times the learning rate for each layer nearer to the input", 1.0)


@dataclass
class ScheduleConfig(Component):
    """A learning-rate schedule; its optimizer is given to it, and is `$optimizer` for schedules among its arguments."""

    every: Interval = _key("whether the schedule moves each `step` or each `epoch`", Interval.step)
    warmup: int = _key("steps (or epochs) in which the rate first rises; the schedule follows", 0)
    warmup_start: float = _key("the share of the rate that the warm-up starts from", 0.01)


@dataclass
class LossTerm(Component):
    """A further loss, added to the first."""

    weight: float = _key("what it is multiplied by", 1.0)


@dataclass
class InitialisationRule(Component):
    """Initial weights of layers of some kinds, as flambeau.nn.init.kaiming_normal_."""

    layers: list[str] = _key("kinds of layers, as Conv2d", factory=list)
    bias: float | None = _key("the value of their biases; left as they are if not given", None)


@dataclass
class UnfreezeStep:
    """Parameters that join the training later."""

    epoch: int = _key("the epoch, from 1, at whose start they join", 1)
    names: list[str] = _key("patterns of parameter names", factory=list)


@dataclass
class AverageConfig:
    """Averaged weights: they are what is validated, tested and kept as the best."""

    kind: Average = _key(
        "`ema` (moving average of each step), `swa` (mean over the last epochs) or `none`", Average.none
    )
    decay: float = _key("how much of the old average `ema` keeps at a step", 0.999)
    start_epoch: int = _key("the epoch, from 1, at whose end `swa` starts", 1)


@dataclass
class EarlyStoppingConfig:
    """Ending a run that no longer gets better."""

    patience: int = _key("epochs without a better score until the run ends; 0 never ends it", 0)
    min_delta: float = _key("how much better a score must be to count", 0.0)


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
    mix: list[Component] = _key(
        "what blends training batches, as flambeau.vision.transforms.MixUp", factory=list
    )
    views: Component | None = _key(
        "what makes several views of a test batch, as flambeau.vision.transforms.TenCrop: "
        "their predictions are averaged",
        None,
    )
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
    partial: bool = _key(
        "whether the checkpoint may be of a network that differs: what fits is taken, the rest is told of", False
    )
    freeze: list[str] = _key("patterns of parameter names that are not trained", factory=list)
    unfreeze: list[UnfreezeStep] = _key("frozen parameters that are trained later", factory=list)


@dataclass
class TrainerConfig:
    """The training loop."""

    epochs: int = _key("passes over the training data", 10)
    compile: bool = _key("whether the whole step runs compiled; false runs it eagerly", True)
    precision: Precision = _key(
        "`bfloat16` computes products and convolutions in it (mixed precision)", Precision.float32
    )
    deterministic: bool = _key(
        "sets flambeau.use_deterministic_algorithms, for code that asks; runs repeat bit for bit without it, too", False
    )
    log_every_steps: int = _key("steps from one point of the loss curve to the next", 10)
    accumulate: int = _key("batches whose gradients make one step", 1)
    clip_norm: float | None = _key("the largest norm of all gradients; they are scaled to it", None)
    clip_value: float | None = _key("the largest value of a gradient; others are cut to it", None)
    auxiliary: float = _key(
        "times the losses of auxiliary outputs, as GoogLeNet has while it trains", 0.3
    )
    l1: float = _key("times the sum of the weights' absolute values, added to the loss", 0.0)
    l2: float = _key("times half the sum of the weights' squares, added to the loss", 0.0)
    overfit_batches: int = _key(
        "trains on so many batches alone, without augmentation and validation, to see that the network can learn", 0
    )
    average: AverageConfig = _key("averaged weights", factory=AverageConfig)
    early_stopping: EarlyStoppingConfig = _key(
        "ending early, by the score that picks the best checkpoint", factory=EarlyStoppingConfig
    )


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
    init: list[InitialisationRule] = _key("initial weights by kind of layer", factory=list)
    loss: Component = _key("the loss, called with output and target", factory=Component)
    losses: dict[str, LossTerm] = _key("further losses by name, added to it", factory=dict)
    optimizer: OptimizerConfig = _key("the optimizer", factory=OptimizerConfig)
    schedule: ScheduleConfig | None = _key("the learning-rate schedule", None)
    metrics: dict[str, Component] = _key(
        "scores by name, each update/compute/reset", factory=dict
    )
    callbacks: list[Component] = _key("further callbacks of the run", factory=list)
    checkpoint: CheckpointConfig = _key("when to save", factory=CheckpointConfig)
    finetune: FinetuneConfig = _key("starting from another run", factory=FinetuneConfig)
    trainer: TrainerConfig = _key("the loop", factory=TrainerConfig)
