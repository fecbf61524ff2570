"""Handles that take a hook out of its dictionary again."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["RemovableHandle"]

_next_id = itertools.count()


class RemovableHandle:
    """What `register_*_hook` returns: `remove()` takes the hook out again, as does leaving `with`.

    Args:
        hooks_dict: the dictionary that holds the hook under `self.id` (held weakly).
        extra_dict: further dictionaries that hold flags under the same id.
    """

    id: int

    def __init__(
        self, hooks_dict: Mapping[int, Any], *, extra_dict: Any | Sequence[Any] = None
    ) -> None:
        self.id = next(_next_id)
        extra = [] if extra_dict is None else extra_dict
        extra = list(extra) if isinstance(extra, (list, tuple)) else [extra]
        self._dictionaries = [weakref.ref(d) for d in (hooks_dict, *extra)]

    def remove(self) -> None:
        """Takes the hook out; a second call does nothing."""
        for reference in self._dictionaries:
            dictionary = reference()
            if dictionary is not None:
                dictionary.pop(self.id, None)

    def __getstate__(self) -> tuple[list[Any], int]:
        return [reference() for reference in self._dictionaries], self.id

    def __setstate__(self, state: tuple[list[Any], int]) -> None:
        dictionaries, self.id = state
        kept = [OrderedDict() if d is None else d for d in dictionaries]
        self._dictionaries = [weakref.ref(d) for d in kept]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
