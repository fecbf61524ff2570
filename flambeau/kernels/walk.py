"""Walking over some outer dimensions and blocks of the last one, in tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from flambeau.kernels.language import Function, Offset

#: Enough that a few threads can share them evenly.
TASKS = 64


class Walk:
    """Tasks over some outer dimensions and blocks of the last one."""

    def __init__(self, sizes: Sequence[int], strides: Sequence[Sequence[int]], outer: Sequence[int], block: int):
        self.sizes, self.strides, self.outer = sizes, strides, outer
        self.rows = math.prod(sizes[d] for d in outer)
        self.full, self.rest = divmod(sizes[-1], min(block, sizes[-1]))
        self.block = min(block, sizes[-1])
        self.blocks = self.full + bool(self.rest)
        self.units = self.rows * self.blocks
        self.tasks = min(self.units, TASKS)

    def pieces(self, f: Function, task: Offset) -> Iterator[tuple[list[Offset], Offset, int]]:
        """A task's blocks: where each operand's row begins, where the block does in the row, and its length."""
        first, last = task * self.units // self.tasks, (task + 1) * self.units // self.tasks
        with f.range(first, last) as unit:
            starts: list[Offset] = [0 for _ in self.strides]
            left: Offset = unit // self.blocks
            for d in reversed(self.outer):
                position = left % self.sizes[d] if d != self.outer[0] else left
                if d != self.outer[0]:
                    left = f.position(left) // self.sizes[d]
                starts = [s + position * stride[d] for s, stride in zip(starts, self.strides, strict=True)]
            if not self.rest or not self.full:
                yield starts, unit % self.blocks * self.block, self.block if self.full else self.rest
                return
            block = f.position(unit % self.blocks)
            with f.when(block < self.full):
                yield starts, block * self.block, self.block
            with f.when(block.eq(self.full)):
                yield starts, self.full * self.block, self.rest
