"""What emitters of families work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.compiler.backends.calls import KernelCall
from flambeau.compiler.backends.expressions import Builder, Element
from flambeau.compiler.backends.lowering import Epilogue, Lowering
from flambeau.compiler.backends.place import Place, batch_last, has_batch_last, whole
from flambeau.compiler.graph import Graph, Node, Value, constant
from flambeau.compiler.schedule import Schedule
from flambeau.kernels.positions import Fault


class Work:
    """What a family's emitter works with: the kernels of one node, and memory that only it uses."""

    def __init__(self, lowering: Lowering, node: Node):
        self._lowering = lowering
        self.calls: list[KernelCall] = []
        self.temporaries: list[Value] = []
        self.node = node
        self.after: list[Node] = []  # pointwise nodes that the kernel should take in
        self.results: list[Value] = list(node.outputs)  # what leaves it
        self.changed: Value | None = None  # see `Step`

    def epilogue(self) -> Epilogue:
        """The expression of the nodes that the kernel takes in."""
        return self._lowering.epilogue(self.node, self.after, self.results)

    def place(self, value: Value) -> Place:
        """Where an input or an output lies."""
        return self._lowering.locate(value)

    def constant(self, array: np.ndarray) -> Place:
        """Where a constant array lies."""
        return self._lowering.locate(constant(array))

    def temporary(
        self, shape: Sequence[int], dtype: np.dtype, like: Place | None = None
    ) -> Place:
        """Memory that is free again after this node, with its samples as in `like`."""
        value = Value(shape, dtype)
        place = batch_last(value) if like is not None and has_batch_last(like) else whole(value)
        self.temporaries.append(place.root)
        return place

    def alarm(self, words: int, explain: Callable[[Fault], Exception]) -> Place:
        """Memory in which a kernel notes a position that is out of range, for which `explain` has the error."""
        return self._lowering.kernels.alarm(words, explain)

    def change(self, value: Value) -> Place | None:
        """Puts the result into the memory of an operand that nobody else reads; `None` if somebody does."""
        place, (out,) = self.place(value), self.node.outputs
        if not place.is_whole or out in self._lowering.destined or not self._lowering.is_only_for(self.node, value):
            return None
        self._lowering.located[out] = self._lowering.located.pop(value)
        return place

    def lay_out(self, value: Value, like: Place | None = None) -> Place:
        """Puts a result's samples side by side (as in `like`, if that is given)."""
        if like is None or has_batch_last(like):
            self._lowering.located[value] = batch_last(value)
        return self._lowering.located[value]

    def in_lanes(self, place: Place) -> Place:
        """A place with its samples side by side."""
        return self._lowering.in_lanes(place)

    def in_order(self, place: Place) -> Place:
        """A place whose last dimension lies without gaps."""
        if place.strides[-1] == 1 and (place.strides[0] != 1 or place.shape[0] == 1):
            return place
        ordered = self.temporary(place.shape, place.dtype)
        self.copy(place, ordered)
        return ordered

    @property
    def graph(self) -> Graph:
        """The program that the node belongs to."""
        return self._lowering.graph

    @property
    def schedule(self) -> Schedule:
        """How the program is to be done."""
        return self._lowering.schedule

    @property
    def lanes(self) -> int:
        """How many float32 numbers a vector holds."""
        return self._lowering.kernels.module.target.lanes(4)

    def native(self, key: tuple, places: list[Place], emit: Any) -> None:
        """A kernel that `emit(module, name, operands)` writes, shared by equal keys."""
        kernels, operands = self._lowering.kernels, [p.operand for p in places]
        kernel = kernels.kernel(
            (*key, *operands), lambda name: emit(kernels.module, name, operands)
        )
        self.calls.append((kernel, places))

    def copy(self, source: Place, target: Place) -> None:
        self.calls.append(self._lowering.kernels.copy(source, target))

    def fill(self, target: Place, number: Any) -> None:
        self.calls.append(self._lowering.kernels.fill(number, target))

    def pointwise(
        self,
        outputs: list[Place],
        builder: Builder,
        results: list[Element],
        inputs: list[Place],
    ) -> None:
        positions = [r.position for r in results]
        inputs = [p.broadcast(outputs[0].shape) for p in inputs]
        self.calls.append(
            self._lowering.kernels.pointwise(inputs, outputs, builder.nodes, positions)
        )

    def reduction(
        self, axes: tuple[int, ...], inputs: list[Place], target: Place, builder: Builder, op: str,
        element: Element,
    ) -> None:  # fmt: skip
        self.calls.append(
            self._lowering.kernels.reduction(inputs, target, axes, builder.nodes, op, element)
        )

    def product(self, a: Place, b: Place, out: Place) -> None:
        self.calls.append(self._lowering.kernels.product(a, b, out))
