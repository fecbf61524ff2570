"""Versions that compare as numbers do: `torch.__version__ >= (2, 0)`."""

from __future__ import annotations

import re
from typing import Any


def _parts(version: Any) -> tuple[int, ...]:
    """The numbers of a version, without what is said after them."""
    if isinstance(version, str):
        found = re.match(r"\d+(?:\.\d+)*", version)
        return tuple(int(n) for n in found.group().split(".")) if found else ()
    return tuple(int(n) for n in version)


class TorchVersion(str):
    """A version as a string, compared by its numbers with strings and tuples."""

    __slots__ = ()

    def _both(self, other: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        mine, others = _parts(str(self)), _parts(other)
        length = max(len(mine), len(others))
        return mine + (0,) * (length - len(mine)), others + (0,) * (length - len(others))

    def __lt__(self, other: Any) -> bool:
        mine, others = self._both(other)
        return mine < others

    def __le__(self, other: Any) -> bool:
        mine, others = self._both(other)
        return mine <= others

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, (str, tuple, list)):
            return NotImplemented
        mine, others = self._both(other)
        return mine == others

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)
