"""Whether a program is done sooner by all threads or by one: found out by running it.

Two processors may be two halves of one core, or busy with other programs; then one thread alone is the faster, and
which it is changes from minute to minute. So each program is timed as it runs, and now and then done the other way. What it
computes does not depend on that: tasks are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

_FIRST_TRY = 6
_TRY = 3  # calls: workers that were asleep come late to the first
_SOON = 8  # calls to the next try after a change; twice as many each time that it stays
_NEXT_TRY = 64
_RARELY = 512  # where the other way took twice as long
_LONG = 20_000_000  # nanoseconds: what takes so long is not tried alone


class Sharing:
    """The times of one program, and how it is to be done."""

    __slots__ = ("_alone", "_calls", "_next", "_pause", "_together", "alone")

    def __init__(self) -> None:
        #: Whether one thread does it.
        self.alone = False
        self._alone = self._together = 0
        self._calls, self._next, self._pause = 0, _FIRST_TRY, _SOON

    def run(self, together: Callable[[], None], alone: Callable[[], None]) -> None:
        """Runs the program in one of its two ways."""
        self._calls += 1
        tries = self._calls >= self._next
        if tries and self._calls == self._next and self._together > _LONG and not self.alone:
            self._next, tries = self._calls + _RARELY, False
        one = self.alone is not tries
        start = perf_counter_ns()
        if one:
            alone()
        else:
            together()
        took = perf_counter_ns() - start
        known = self._alone if one else self._together
        if one:
            self._alone = _lately(known, took)
        else:
            self._together = _lately(known, took)
        if tries:
            if self._calls == self._next + _TRY - 1:
                self._decide()
        elif took > 2 * known > 0 and self._calls + _FIRST_TRY < self._next:
            self._next = self._calls + _FIRST_TRY  # something has changed

    def _decide(self) -> None:
        slower, faster = max(self._alone, self._together), min(self._alone, self._together)
        before, self.alone = self.alone, self._alone < self._together
        most = _RARELY if slower > 2 * faster else _NEXT_TRY
        self._pause = _SOON if before is not self.alone else min(2 * self._pause, most)
        self._next = self._calls + self._pause


def _lately(known: int, took: int) -> int:
    """The least time of late: of a few calls, the one that was disturbed least."""
    return took if not known or took < known else known + (min(took, 4 * known) - known) // 8
