"""The learning-rate schedule, with a warm-up before it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from flambeau.optim import Optimizer
from flambeau.optim.lr_scheduler import LinearLR, ReduceLROnPlateau, SequentialLR, _write
from flambeau.train.components import build, resolve
from flambeau.train.config import Config, Interval
from flambeau.train.errors import ConfigError


class _WarmUp(SequentialLR):
    """A rise, then a schedule that starts from the full rate, also if it goes by the rate of the step before."""

    def step(self) -> None:  # type: ignore[override]
        """Moves on."""
        if self.last_epoch + 1 == self._milestones[0]:
            for group in self.optimizer.param_groups:
                _write(group, group["initial_lr"])
        super().step()


def build_schedule(config: Config, optimizer: Optimizer, placeholders: Mapping[str, Any]) -> Any:
    """The schedule that a config names.

    With `warmup`, the rate first rises in a straight line from `warmup_start` of it, and the schedule starts at
    the end of that: its `$steps` and `$epochs` are what is left of the run. Schedules of schedules get the optimizer
    as `$optimizer`. ReduceLROnPlateau waits for the better score in the direction of `checkpoint.mode`.
    """
    wanted = config.schedule
    assert wanted is not None
    placeholders = {**placeholders, "optimizer": optimizer}
    plateau = resolve(wanted.target, "schedule") is ReduceLROnPlateau
    extra = {"mode": config.checkpoint.mode.name} if plateau else {}
    if plateau and (wanted.every is Interval.step or config.data.validation is None):
        raise ConfigError(
            f"schedule: ReduceLROnPlateau follows val_{config.checkpoint.monitor}, so it needs every: epoch and "
            "data.validation"
        )
    if not wanted.warmup:
        return build(wanted, "schedule", optimizer, placeholders=placeholders, **extra)
    if plateau:
        raise ConfigError("schedule.warmup: ReduceLROnPlateau follows a score and takes no warm-up")
    name = "steps" if wanted.every is Interval.step else "epochs"
    left = placeholders[name] - wanted.warmup
    if wanted.warmup < 0 or left < 1:
        raise ConfigError(
            f"schedule.warmup = {wanted.warmup} must lie between 0 and the {placeholders[name]} {name} of the run"
        )
    rise = LinearLR(optimizer, start_factor=wanted.warmup_start, total_iters=wanted.warmup)
    after = build(wanted, "schedule", optimizer, placeholders={**placeholders, name: left})
    return _WarmUp(optimizer, [rise, after], milestones=[wanted.warmup])


def fast_forward(schedule: Any, moves: int) -> None:
    """Moves a fresh schedule on to where a run stands."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer made no steps
        for _ in range(moves):
            schedule.step()
