"""Joined groups as kernels: the members whose tensors lie without gaps share one, others have their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flambeau.compiler.backends.calls import KernelCall, Kernels
from flambeau.compiler.backends.place import Place, whole
from flambeau.compiler.graph import Value
from flambeau.kernels import joined
from flambeau.kernels.expression import Nodes
from flambeau.kernels.joined import Joined
from flambeau.kernels.pointwise import collapse

#: The program's table of addresses, as an operand of kernels.
TABLE = whole(Value((1,), np.dtype(np.int64)))


@dataclass(frozen=True)
class Member:
    """What one pointwise group computes, and where."""

    nodes: Nodes
    results: tuple[int, ...]
    inputs: list[Place]
    outputs: list[Place]

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(self.outputs[0].shape)

    @property
    def places(self) -> list[Place]:
        return [*self.inputs, *self.outputs]

    def alone(self, kernels: Kernels) -> KernelCall:
        """A kernel of its own."""
        return kernels.pointwise(self.inputs, self.outputs, self.nodes, self.results)

    def description(self) -> Joined | None:
        """As the joined kernel sees it; `None` if that cannot go through its tensors."""
        shape = self.outputs[0].shape
        numbers = [not any(s for n, s in zip(shape, p.strides, strict=True) if n > 1) for p in self.places]
        strides = [p.strides for p, number in zip(self.places, numbers, strict=True) if not number]
        if strides:
            _, steps = collapse(shape, strides)
            if any(step != [1] for step in steps) or any(numbers[len(self.inputs) :]):
                return None
        dtypes = tuple(p.dtype.name for p in self.places)
        return Joined(dtypes, len(self.inputs), tuple(numbers), self.nodes, self.results)


@dataclass
class Records:
    """What a joined kernel reads about its members: memory that is filled when places have addresses."""

    memory: np.ndarray
    members: list[Member]

    def fill(self, homes: dict[Value, tuple[int, int]]) -> None:
        def home(place: Place) -> tuple[int, int]:
            slot, offset = homes[place.root]
            return slot, offset + place.offset * place.dtype.itemsize

        places = [[home(p) for p in m.places] for m in self.members]
        self.memory[:] = joined.records([m.count for m in self.members], places)


def together(members: Sequence[Member]) -> list[tuple[Joined | None, list[Member]]]:
    """The members by what one kernel can do; those of `None` need one each."""
    found: dict[Joined | None, list[Member]] = {}
    for member in sorted(members, key=lambda m: m.count == 1):
        described = member.description()
        if described is not None and member.count == 1:
            # A tensor of one element is a number as well as a whole.
            described = next((d for d in found if d is not None and _as_number(d) == described), described)
        found.setdefault(described, []).append(member)
    return list(found.items())


def _as_number(described: Joined) -> Joined:
    return replace(described, numbers=(True,) * len(described.numbers))


def joined_call(kernels: Kernels, described: Joined, members: list[Member]) -> tuple[KernelCall, Records]:
    """A kernel for all members, and what it reads about them."""
    counts = [m.count for m in members]
    kernel = kernels.kernel(
        ("joined", described), lambda name: joined.emit(kernels.module, name, described, counts)
    )
    memory = np.zeros(joined.records_size(len(members), len(described.dtypes)), np.int64)
    root = Value(memory.shape, memory.dtype, constant=memory)
    kernels.constants.append(memory)
    kernels.constant_slots[root] = len(kernels.constants) - 1
    return (joined.resized(kernels.module, kernel, described, counts), [TABLE, whole(root)]), Records(memory, members)
