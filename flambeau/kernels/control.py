"""Loops and branches of the kernel language, while they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flambeau.kernels.values import Index, Offset, Value

if TYPE_CHECKING:
    from flambeau.kernels.language import Function


class Loop:
    """A counted loop that carries values from one turn to the next."""

    def __init__(self, values: Sequence[Value]):
        self.index: Offset = 0
        self.values: list[Value] = list(values)
        self.results: list[Value] = list(values)
        self._next: list[Value] | None = None

    def next(self, values: Sequence[Value]) -> None:
        """The values of the next turn, and of `results` after the last."""
        self._next = list(values)

    def _taken(self) -> list[Value]:
        if not self.values:
            return []
        if self._next is None or len(self._next) != len(self.values):
            raise ValueError("a loop that carries values must hand each of them on with next()")
        return self._next


class Branch:
    """A conditional block; `results` are `given` values if it ran, `otherwise` if not."""

    def __init__(self, otherwise: Sequence[Value]):
        self.results: list[Value] = list(otherwise)
        self._given: list[Value] = []

    def give(self, values: Sequence[Value]) -> None:
        self._given = list(values)


class Spin:
    """A loop without end: `turn` counts, `leave_if` leaves."""

    def __init__(self, f: Function, after: str, turn: Index):
        self._f, self._after, self.turn = f, after, turn

    def leave_if(self, condition: Value) -> None:
        on = self._f._label("on")
        self._f.line(f"br i1 {condition.name}, label %{self._after}, label %{on}")
        self._f._start_block(on)
