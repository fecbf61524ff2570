"""Where threads meet: before which stages of a program all must be done with those before.

Between two meetings each thread does its shares of one stage after the other, at its own pace. A stage must wait
for a meeting if it reads what another thread may still have to write, or writes what another may still read or
write. It need not if every thread touches only what it touched before: stages whose tasks go through the same
rows, as the products and gates of a recurrent network do, run on without a meeting if their tasks are shared
alike. How a stage's tasks go through a buffer is its `Band`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

_MOST_OPEN = 32  # stages between two meetings, so that finding conflicts stays quick
_EVERYWHERE = 1 << 62


@dataclass(frozen=True)
class Band:
    """Task k touches of a buffer only the bytes from `k * step` to `k * step + span`."""

    step: int
    span: int


@dataclass(frozen=True)
class Touch:
    """What a call touches of an argument's memory.

    Attributes:
        memory: which; bytes of different memories differ.
        begin, end: the bytes touched, at most.
        address: where the argument points.
        written: whether it may be written.
        foreign: it may overlap other foreign memory.
    """

    memory: int
    begin: int = -_EVERYWHERE
    end: int = _EVERYWHERE
    address: int = 0
    written: bool = True
    foreign: bool = False

    def meets(self, other: Touch) -> bool:
        """Whether the order of both matters."""
        if not (self.written or other.written):
            return False
        if self.memory != other.memory:
            return self.foreign and other.foreign
        return self.begin < other.end and other.begin < self.end


@dataclass(eq=False)
class Turn:
    """One stage on its buffers. Filled in by `plan_meetings`: whether threads meet before it, and by how many
    shares its tasks are dealt out.

    Attributes:
        tasks: how many; 1 if only one thread is at work.
        touches: of each argument, and of other memory.
        bands: of each argument; `None` where a task may touch all of it.
        must_wait: whatever is touched, threads meet before it.
    """

    tasks: int
    touches: Sequence[Touch]
    bands: Sequence[Band | None] = ()
    must_wait: bool = False
    waits: bool = field(default=False, init=False)
    shares: int = field(default=0, init=False)

    def band(self, k: int) -> Band | None:
        return self.bands[k] if k < len(self.bands) else None


def plan_meetings(turns: Sequence[Turn]) -> None:
    """Decides where threads meet."""
    since: list[Turn] = []  # the turns since the last meeting
    linked: set[Turn] = set()  # those of them that are shared alike
    for turn in turns:
        turn.shares = turn.tasks
        free = len(since) < _MOST_OPEN and not turn.must_wait
        alike = _shared_alike(since, turn) if free else None
        if alike:
            group = linked.union(alike, [turn])
            shares = math.gcd(*(t.tasks for t in group))
            if shares < min(t.tasks for t in group):
                alike = None  # too few threads would be at work
        if alike is None:
            turn.waits = True
            since, linked = [], set()
        elif alike:
            linked = group
            for t in linked:
                t.shares = shares
        since.append(turn)


def _shared_alike(before: Sequence[Turn], turn: Turn) -> list[Turn] | None:
    """The earlier turns that `turn` may follow without a meeting only if both are shared alike; `None` if it must
    wait for one."""
    alike = []
    for earlier in before:
        if earlier.tasks == 1 and turn.tasks == 1:
            continue  # the same thread
        for i, mine in enumerate(turn.touches):
            for k, its in enumerate(earlier.touches):
                if not mine.meets(its):
                    continue
                if not _keep_apart(earlier, k, turn, i):
                    return None
                if earlier not in alike:
                    alike.append(earlier)
    return alike


def _keep_apart(a: Turn, i: int, b: Turn, k: int) -> bool:
    """Whether different shares of two turns touch different bytes of these arguments, if both have as many."""
    mine, its = a.band(i), b.band(k)
    if mine is None or its is None or a.touches[i].memory != b.touches[k].memory:
        return False
    shares = math.gcd(a.tasks, b.tasks)
    (start, step, span), (other, its_step, its_span) = (
        (t.touches[at].address, band.step * each, band.step * (each - 1) + band.span)
        for t, at, band, each in ((a, i, mine, a.tasks // shares), (b, k, its, b.tasks // shares))
    )
    return step == its_step > 0 and start + span <= other + step and other + its_span <= start + step
