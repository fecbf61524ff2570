"""The learning-rate schedule, with a warm-up before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flambeau.optim import Optimizer
from flambeau.optim.lr_scheduler import LinearLR, ReduceLROnPlateau, SequentialLR
from flambeau.train.components import build, resolve
from flambeau.train.config import Interval, ScheduleConfig
from flambeau.train.errors import ConfigError


def build_schedule(
    config: ScheduleConfig, optimizer: Optimizer, placeholders: Mapping[str, Any]
) -> Any:
    """The schedule that a config names.

    With `warmup`, the rate first rises in a straight line from `warmup_start` of it, and the schedule starts at
    the end of that: its `$steps` and `$epochs` are what is left of the run.
    """
    if not config.warmup:
        return build(config, "schedule", optimizer, placeholders=placeholders)
    if resolve(config.target, "schedule") is ReduceLROnPlateau:
        raise ConfigError("schedule.warmup: ReduceLROnPlateau follows a score and takes no warm-up")
    name = "steps" if config.every is Interval.step else "epochs"
    left = placeholders[name] - config.warmup
    if config.warmup < 0 or left < 1:
        raise ConfigError(
            f"schedule.warmup = {config.warmup} must lie between 0 and the {placeholders[name]} {name} of the run"
        )
    rise = LinearLR(optimizer, start_factor=config.warmup_start, total_iters=config.warmup)
    after = build(config, "schedule", optimizer, placeholders={**placeholders, name: left})
    return SequentialLR(optimizer, [rise, after], milestones=[config.warmup])
