"""What a training step makes small: the loss, further losses, and penalties on the weights."""

from __future__ import annotations

from typing import Any

from flambeau import nn
from flambeau.train.components import build_loss
from flambeau.train.config import Config


def main_output(output: Any) -> Any:
    """What a network gives, without the auxiliary outputs that come after it."""
    return output[0] if isinstance(output, tuple) else output


class Objective:
    """The sum of what a config's `loss`, `losses`, `trainer.l1` and `trainer.l2` name.

    Arguments:
        config: the run's config.
    """

    def __init__(self, config: Config):
        self.loss = build_loss(config.loss, "loss")
        self.further = [
            (term.weight, build_loss(term, f"losses.{name}")) for name, term in config.losses.items()
        ]
        self.auxiliary = config.trainer.auxiliary
        self.l1 = config.trainer.l1
        self.l2 = config.trainer.l2

    def __call__(self, output: Any, target: Any) -> Any:
        """The losses of a batch, added up; what validation reports.

        Of a network with auxiliary outputs, as GoogLeNet while it trains, each adds its losses times
        `trainer.auxiliary`.
        """
        total: Any = self._of(main_output(output), target)
        for further in output[1:] if isinstance(output, tuple) else ():
            if further is not None:
                total = total + self.auxiliary * self._of(further, target)
        return total

    def _of(self, output: Any, target: Any) -> Any:
        total = self.loss(output, target)
        for weight, loss in self.further:
            total = total + weight * loss(output, target)
        return total

    def penalty(self, model: nn.Module) -> Any:
        """What the weights' size adds to the loss; 0 where nothing is asked for.

        Biases and the parameters of normalisation layers, which have one dimension, are left out.
        """
        total: Any = 0.0
        for weight in model.parameters():
            if weight.requires_grad and weight.ndim > 1:
                if self.l1:
                    total = total + self.l1 * weight.abs().sum()
                if self.l2:
                    total = total + 0.5 * self.l2 * (weight * weight).sum()
        return total
