"""A sampler that gives each of several processes its share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from flambeau import ops
from flambeau.core.generator import Generator
from flambeau.utils.data.sampler import _ResumableSampler

__all__ = ["DistributedSampler"]


class DistributedSampler(_ResumableSampler[int]):
    """Every `num_replicas`-th index, from `rank` on, of an order that all processes agree on.

    Args:
        dataset: what has a length.
        num_replicas: the number of processes; left out, the process group is asked.
        rank: which of them this one is; likewise.
        shuffle: use a random order, another one each epoch (see `set_epoch`).
        seed: where it comes from; the same in all processes.
        drop_last: make the shares equal by dropping samples instead of repeating some.

    Raises:
        ValueError: if `rank` is outside the processes.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            from flambeau import distributed

            num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
            rank = distributed.get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        size = len(dataset)
        if drop_last and size % num_replicas != 0:
            self.num_samples = math.ceil((size - num_replicas) / num_replicas)
        else:
            self.num_samples = math.ceil(size / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def _order(self, start: dict[str, Any] | None) -> Iterator[int]:
        if start is not None:
            self.epoch = start["epoch"]
        size = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = ops.randperm(size, generator=generator).tolist()
        else:
            indices = list(range(size))
        if not self.drop_last:
            repeats = math.ceil(self.total_size / len(indices))
            indices = indices * repeats
        yield from indices[self.rank : self.total_size : self.num_replicas]

    def epoch_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Chooses the random order of the next epoch."""
        self.epoch = epoch
