"""Trying out settings before a run: the learning rate, and the batch size."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from flambeau.train.config import Config
from flambeau.train.errors import ConfigError, UserError
from flambeau.train.trainer import Trainer
from flambeau.vision.datasets.errors import DataError


@dataclass(frozen=True)
class LearningRates:
    """Losses at learning rates that rise from step to step.

    Attributes:
        rates: the learning rate of each step.
        losses: the loss of each step, smoothed.
        suggestion: the rate at which the loss falls fastest, or a tenth of the one at which it is smallest, if that
            is less; None where it never falls.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float | None


def find_learning_rate(
    config: Config, lowest: float = 1e-6, highest: float = 10.0, steps: int = 100
) -> LearningRates:
    """Trains `steps` steps while the learning rate rises from `lowest` to `highest` by equal factors.

    It ends early when the loss has grown to four times its smallest value, or is no number.

    Source: Smith, Cyclical learning rates for training neural networks, 2017, section 3.3; the smoothing is an
    exponential mean without its starting bias, of which each step is a tenth. Both it and momentum lag behind the
    rate, so that the steepest place alone may lie where training already diverges; hence the tenth.
    """
    if not 0 < lowest < highest or steps < 10:
        raise ConfigError(f"the rate must rise in at least 10 steps: from {lowest} to {highest} in {steps} it does not")
    trainer = Trainer(replace(config, schedule=None))
    factor = (highest / lowest) ** (1 / (steps - 1))
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for index, loss in enumerate(trainer.try_steps(steps, lambda i: lowest * factor**i)):
        mean = 0.9 * mean + 0.1 * loss
        smoothed = mean / (1 - 0.9 ** (index + 1))
        if not math.isfinite(loss) or (losses and smoothed > 4 * min(losses)):
            break
        rates.append(lowest * factor**index)
        losses.append(smoothed)
    steepest = _steepest(rates, losses)
    if steepest is not None:
        steepest = min(steepest, rates[losses.index(min(losses))] / 10)
    return LearningRates(rates, losses, steepest)


def _steepest(rates: list[float], losses: list[float]) -> float | None:
    """The rate at which the loss falls fastest against the logarithm of the rate, up to the smallest loss."""
    if len(losses) < 4:
        return None
    low = losses.index(min(losses))
    slopes = {i: losses[i + 1] - losses[i - 1] for i in range(1, min(low, len(losses) - 2) + 1)}
    place = min(slopes, key=lambda i: slopes[i], default=None)
    return rates[place] if place is not None and slopes[place] < 0 else None


@dataclass(frozen=True)
class BatchSize:
    """How a batch size did.

    Attributes:
        size: samples a step.
        images_per_second: samples a second in training steps.
        memory: the most memory that the process held, in bytes.
    """

    size: int
    images_per_second: float
    memory: int


def find_batch_size(
    config: Config, smallest: int = 8, steps: int = 10, share: float = 0.8
) -> tuple[list[BatchSize], int]:
    """Doubles the batch size while it fits into memory, each size in a process of its own.

    Arguments:
        config: the run.
        smallest: the first size.
        steps: the steps that are timed.
        share: how much of the free memory may be used.

    Returns:
        What was measured, and the smallest size that trains within 5 % of the fastest.
    """
    if smallest < 1 or steps < 1 or not 0 < share <= 1:
        raise ConfigError(
            f"sizes begin at 1 sample, with at least 1 step, in a share of the memory up to 1: --smallest {smallest} "
            f"--steps {steps} --share {share:g}"
        )
    room = share * available_memory()
    found: list[BatchSize] = []
    size = smallest
    while True:
        measured = _in_own_process(config, size, steps)
        if measured is None:
            break
        found.append(measured)
        growth = found[-1].memory - found[-2].memory if len(found) > 1 else 0
        slower = len(found) > 2 and all(f.images_per_second < 0.95 * found[-3].images_per_second for f in found[-2:])
        if found[-1].memory + 2 * growth > room or slower:
            break
        size *= 2
    if not found:
        raise UserError(f"not even one step of {smallest} samples could be made: the data set has fewer samples")
    fastest = max(each.images_per_second for each in found)
    return found, next(each.size for each in found if each.images_per_second >= 0.95 * fastest)


def available_memory() -> int:
    """The bytes of memory that new work may take."""
    information = Path("/proc/meminfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _in_own_process(config: Config, size: int, steps: int) -> BatchSize | None:
    """A size measured in a new process, whose memory is its own; None where the data has too few samples."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(config, size, steps, sender))
    process.start()
    sender.close()
    try:
        answer: Any = receiver.recv()
    except EOFError:
        answer = UserError(f"the process that tried {size} samples a step died; the memory may not suffice")
    process.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _measure(config: Config, size: int, steps: int, sender: Any) -> None:
    import resource

    try:
        trainer = Trainer(replace(config, schedule=None, data=replace(config.data, batch_size=size)))
        if len(trainer.dataset("train")) < size:
            sender.send(None)
            return
        warm = 2
        losses: Iterator[float] = trainer.try_steps(steps + warm, lambda _: 0.0)
        list(islice(losses, warm))
        started = time.perf_counter()
        done = len(list(losses))
        seconds = time.perf_counter() - started
        images = done * size * config.trainer.accumulate
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        sender.send(BatchSize(size, images / max(seconds, 1e-9), peak))
    except (UserError, DataError) as error:
        sender.send(error)
