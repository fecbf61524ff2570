"""Where a kernel's operand lies: a strided part of the memory of a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flambeau.compiler.graph import Value
from flambeau.compiler.views import Step, contiguous_strides, stand_in
from flambeau.kernels.pointwise import Operand

_LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class Place:
    """A part of the memory of `root`; offset and strides count elements.

    `layout` names how a whole buffer lies: "plain" is row-major (or a part of anything), "batch in
    lanes" has the samples side by side.
    """

    root: Value
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    layout: str = "plain"

    @property
    def dtype(self) -> np.dtype:
        return self.root.dtype

    @property
    def operand(self) -> Operand:
        """As the kernels describe it."""
        return Operand(self.root.dtype.name, self.strides)

    @property
    def extent(self) -> int:
        """How many elements lie between the first and the last, both counted."""
        return self.operand.extent(self.shape)

    @property
    def is_whole(self) -> bool:
        """Whether this is all of its root's memory, in order."""
        return self == whole(self.root)

    @property
    def is_all(self) -> bool:
        """Whether this is all of its root's memory, in order, in whatever shape it is seen."""
        seen = whole(Value(self.shape, self.dtype)).strides
        steps = zip(self.shape, self.strides, seen, strict=True)
        return self.offset == 0 and math.prod(self.shape) == self.root.size and all(n == 1 or s == t for n, s, t in steps)

    def is_same(self, other: Place) -> bool:
        """Whether both are the same elements of the same memory."""
        mine, theirs = self.broadcast(self.shape), other.broadcast(other.shape)
        return (mine.root, mine.offset, mine.strides) == (theirs.root, theirs.offset, theirs.strides)

    def broadcast(self, shape: Sequence[int]) -> Place:
        """This part as an operand over `shape`."""
        extra = len(shape) - len(self.shape)
        strides = (0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True))
        return Place(self.root, self.offset, tuple(shape), ((0,) * extra) + tuple(strides))

    def seen(self, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Place:
        """The same memory, seen with other strides."""
        return Place(self.root, self.offset + offset, tuple(shape), tuple(strides))

    def moved(self, order: Sequence[int]) -> Place:
        """With its dimensions in another order."""
        return self.seen([self.shape[i] for i in order], [self.strides[i] for i in order])

    def part(self, dim: int, start: int, count: int) -> Place:
        """`count` elements of a dimension, from `start`."""
        shape = (*self.shape[:dim], count, *self.shape[dim + 1 :])
        return self.seen(shape, self.strides, start * self.strides[dim])

    def view(self, step: Step) -> Place:
        """What a view primitive shows. Raises `ValueError` where it would have to copy."""
        primitive, rest, attributes = step
        item = self.dtype.itemsize
        base = stand_in(self.shape, tuple(s * item for s in self.strides), self.dtype)
        shown = primitive.compute(base, *rest, **attributes)
        start = _start(shown) - _start(base) if shown.size else 0
        return self.seen(shown.shape, [s // item for s in shown.strides], start // item)


def whole(value: Value) -> Place:
    """All of a value, in row-major order."""
    return Place(value, 0, value.shape, contiguous_strides(value.shape, 1))


def batch_last(value: Value) -> Place:
    """All of a value (N, C, *sizes) with the samples side by side: memory (C, *sizes, N).

    Pixels are an odd number of cache lines apart: at a power of two, those that a kernel reads together
    would drive each other out of the first cache.
    """
    n = value.shape[0]
    line = _LINE // value.dtype.itemsize
    pitch = n if n % (2 * line) else n + line
    root = value if pitch == n else Value((value.size // n, pitch), value.dtype)
    inner = contiguous_strides((*value.shape[1:], pitch), 1)
    return Place(root, 0, value.shape, (1, *inner[:-1]), "batch in lanes")


def has_batch_last(place: Place) -> bool:
    """Whether neighbours in memory are samples, in all of a root's memory."""
    return place.layout == "batch in lanes"


def _start(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
