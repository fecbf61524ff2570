"""Frozen parameters that join the training later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flambeau.train.callbacks.base import Callback
from flambeau.train.config import UnfreezeStep
from flambeau.train.errors import ConfigError, nearest
from flambeau.train.groups import matches

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


class GradualUnfreezing(Callback):
    """Sets `requires_grad` of the parameters that each step names, at the start of its epoch.

    Source: Howard and Ruder, Universal language model fine-tuning for text classification, 2018.
    """

    def __init__(self, steps: Sequence[UnfreezeStep]):
        self.steps = steps

    def on_fit_start(self, trainer: Trainer) -> None:
        names = [name for name, _ in trainer.model.named_parameters()]
        for index, step in enumerate(self.steps):
            for pattern in step.names:
                if not any(matches(name, pattern) for name in names):
                    raise ConfigError(
                        f"finetune.unfreeze[{index}].names: no parameter is called '{pattern}'{nearest(pattern, names)}"
                    )

    def on_train_epoch_start(self, trainer: Trainer) -> None:
        for step in self.steps:
            if trainer.progress.epoch + 1 >= step.epoch:
                for name, parameter in trainer.model.named_parameters():
                    if any(matches(name, pattern) for pattern in step.names):
                        parameter.requires_grad_(True)
        trainer.frozen = [n for n, p in trainer.model.named_parameters() if not p.requires_grad]
