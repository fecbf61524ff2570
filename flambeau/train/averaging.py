"""Averaged weights beside the trained ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau import nn
from flambeau.optim.swa_utils import (
    AveragedModel,
    get_ema_multi_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)
from flambeau.train.config import Average, AverageConfig


class WeightAverage:
    """The mean of a network's weights over steps (EMA) or over epochs (SWA).

    Arguments:
        model: the network that is trained.
        config: which average.
    """

    def __init__(self, model: nn.Module, config: AverageConfig):
        self.config = config
        average = (
            get_ema_multi_avg_fn(config.decay) if config.kind is Average.ema else get_swa_multi_avg_fn()
        )
        self.averaged = AveragedModel(model, multi_avg_fn=average)
        self.averaged.requires_grad_(False)

    @property
    def ready(self) -> bool:
        """Whether any weights have been taken in."""
        return int(self.averaged.n_averaged) > 0

    @property
    def model(self) -> nn.Module:
        """The network with the averaged weights."""
        return self.averaged.module

    def after_step(self, model: nn.Module) -> None:
        """Takes in the weights of a step."""
        if self.config.kind is Average.ema:
            self.averaged.update_parameters(model)

    def after_epoch(self, model: nn.Module, epoch: int, batches: Iterable[Any]) -> None:
        """Takes in the weights of an epoch (from 1), then measures statistics of layers that are not frozen anew.

        Arguments:
            batches: training batches, (inputs, targets) each, that the statistics are measured on.
        """
        if self.config.kind is Average.swa and epoch >= self.config.start_epoch:
            self.averaged.update_parameters(model)
            if any(name.endswith("running_mean") for name, _ in self.averaged.named_buffers()):
                frozen = [name for name, module in model.named_modules() if not module.training]
                kept = {
                    name: buffer.clone()
                    for name, buffer in self.model.named_buffers()
                    if name.rpartition(".")[0] in frozen
                }
                update_bn(batches, self.averaged)
                self.model.load_state_dict(kept, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights, and how many were taken in."""
        return self.averaged.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.averaged.load_state_dict(state)
