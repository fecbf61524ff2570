"""Places where Python holds things: what stood there, whether it still does, and what was put there instead."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import is_
from types import CellType
from typing import Any

import numpy as np

from flambeau.tensor.tensor import Tensor

SIMPLE = (int, float, str, bool, complex, bytes, type(None))


def is_simple(value: Any) -> bool:
    """Whether a value is a plain constant, compared by value."""
    if isinstance(value, tuple):
        return all(map(is_simple, value))
    return isinstance(value, SIMPLE)


def is_same(now: Any, before: Any) -> bool:
    """Whether a constant is still the same; anything else must be the same object."""
    if now is before:
        return True
    return type(now) is type(before) and is_simple(before) and repr(now) == repr(before)


@dataclass(frozen=True, eq=False)
class Change:
    """An assignment: `holder[key]`, or the content of a cell, was `before` and is `now`; `what` names it.

    It is `repeatable` if nothing else in the function depends on when it happens.
    """

    holder: Any
    key: Any
    before: Any
    now: Any
    what: str
    repeatable: bool = True

    def read(self) -> Any:
        """What is there now."""
        return self.holder.cell_contents if isinstance(self.holder, CellType) else self.holder[self.key]

    def place(self) -> Change:
        """The same assignment, of whatever."""
        return Change(self.holder, self.key, None, None, self.what)

    def repeat(self, value: Any) -> None:
        """Assigns `value` in the same place."""
        if isinstance(self.holder, CellType):
            self.holder.cell_contents = value
        else:
            self.holder[self.key] = value


class Entries:
    """Keys of containers and what stood there."""

    def __init__(self, get: Callable[[Any, Any], Any]):
        self.get = get
        self.holders: list[Any] = []
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.exempt: set[tuple[int, Any]] = set()  # places that may change

    def add(self, holder: Any, key: Any, value: Any) -> None:
        if (id(holder), key) in self.exempt:
            return
        self.holders.append(holder)
        self.keys.append(key)
        self.values.append(value)

    def hold(self, moved: dict[int, tuple[Tensor, Tensor]] | None = None) -> bool:
        """Whether the same is there; if `moved` is given, other tensors may be, which are noted in it."""
        try:
            if all(map(is_, map(self.get, self.holders, self.keys), self.values)):
                return True
            found = [*map(self.get, self.holders, self.keys)]
            for k, now in enumerate(found):
                value = self.values[k]
                if now is value:
                    continue
                if moved is not None and isinstance(value, Tensor) and isinstance(now, Tensor):
                    moved[id(value)] = value, now
                elif not is_same(now, value):
                    return False
                else:
                    self.values[k] = now
        except (LookupError, ValueError):
            return False
        return True

    def differing(self) -> Iterator[Change]:
        """Where numbers stand that are not what they were."""
        for holder, key, value in zip(self.holders, self.keys, self.values, strict=True):
            if type(value) in (int, float):
                try:
                    now = self.get(holder, key)
                except (LookupError, ValueError):
                    continue
                if type(now) is type(value) and not is_same(now, value):
                    yield Change(holder, key, None, None, "")

    def follow(self, moved: dict[int, tuple[Tensor, Tensor]]) -> Iterator[tuple[int, Any]]:
        """The places of tensors that moved, with what is there now."""
        for k, value in enumerate(self.values):
            if id(value) in moved:
                yield k, self.get(self.holders[k], self.keys[k])


class Generator:
    """A random generator and its state."""

    def __init__(self, generator: Any):
        self.generator = generator
        self.state = self._read()

    def _read(self) -> Any:
        x = self.generator
        if isinstance(x, np.random.Generator):
            return x.bit_generator.state
        return x.getstate() if x is random or isinstance(x, random.Random) else x.get_state()

    def moved(self) -> bool:
        """Whether the state is another."""
        return pickle.dumps(self._read()) != pickle.dumps(self.state)

    def put_back(self) -> None:
        """Gives it the state that it had."""
        x = self.generator
        if isinstance(x, np.random.Generator):
            x.bit_generator.state = self.state
        elif x is random or isinstance(x, random.Random):
            x.setstate(self.state)
        else:
            x.set_state(self.state)
