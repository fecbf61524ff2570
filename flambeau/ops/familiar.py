"""Which calls are worth machine code of their own: the first few, and later those that come again.

Code is made for one shape, which takes some ten milliseconds. A network has so many shapes; a program whose every
batch has a length of its own has no end of them, and is served sooner by operators that take any.
"""

from __future__ import annotations

from collections.abc import Hashable

_MOST_COUNTED = 4096


class Familiar:
    """Says for keys whether they are worth it: `at_once` of them on sight, others when they come for the third time, or
    never, so that a call gives the bits that it gave before."""

    __slots__ = ("_counts", "_known", "at_once", "later")

    def __init__(self, at_once: int = 48, later: bool = True):
        self.at_once, self.later = at_once, later
        self._known: set[Hashable] = set()
        self._counts: dict[Hashable, int] = {}

    def __call__(self, key: Hashable) -> bool:
        if key in self._known:
            return True
        if len(self._known) >= self.at_once:
            if not self.later:
                return False
            count = self._counts[key] = self._counts.get(key, 0) + 1
            if count < 3:
                if len(self._counts) > _MOST_COUNTED:
                    self._counts.pop(next(iter(self._counts)))
                return False
            del self._counts[key]
        self._known.add(key)
        return True
