"""Memory planning: where each intermediate value lives in the program's arena, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ALIGNMENT = 128


@dataclass(frozen=True)
class Lifetime:
    """A block of bytes that is needed from step `first` to step `last`, both counted."""

    nbytes: int
    first: int
    last: int


def plan(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """An offset for each block, such that blocks alive together do not overlap; and the total size.

    Large blocks choose first; each takes the lowest gap that fits it.
    """
    offsets = [0] * len(lifetimes)
    placed: list[tuple[int, int, Lifetime]] = []
    total = 0
    for k in sorted(range(len(lifetimes)), key=lambda k: -lifetimes[k].nbytes):
        block = lifetimes[k]
        size = -(-max(block.nbytes, 1) // _ALIGNMENT) * _ALIGNMENT
        offset = 0
        for start, end, _ in sorted(
            (p for p in placed if p[2].first <= block.last and block.first <= p[2].last),
            key=lambda p: p[0],
        ):
            if start - offset >= size:
                break
            offset = max(offset, end)
        offsets[k] = offset
        placed.append((offset, offset + size, block))
        total = max(total, offset + size)
    return offsets, total
