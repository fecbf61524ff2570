"""What the lowering of a program has come to: where values lie, and the steps so far.

A step is what one group became: kernels on places, or a computation of the host. Emitters of groups
(`groups.py`) and of families (`work.py`) ask here where values are and add steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flambeau.compiler.backends.calls import KernelCall, Kernels
from flambeau.compiler.backends.expressions import (
    REDUCTIONS,
    Builder,
    Element,
    add_primitive,
    add_reduction,
)
from flambeau.compiler.backends.joined import Records
from flambeau.compiler.backends.place import Place, batch_last, whole
from flambeau.compiler.graph import Graph, Node, Value
from flambeau.compiler.passes.group import Group
from flambeau.compiler.schedule import Schedule


@dataclass
class Step:
    """Kernels with their operands, or a host computation, for one group.

    Attributes:
        reads, writes: the roots that are read and written.
        calls: (kernel, operands) pairs.
        node: what the host computes, if there are no kernels.
        parts: of an elementwise step, the operands of each part; a part reads the elements that it writes, at most,
            of memory that it writes.
        changed: memory that the first call copies into the result, which the other calls then change in places; where
            the result may take its place, there is nothing to copy.
    """

    group: Group | None
    reads: list[Value]
    writes: list[Value]
    calls: list[KernelCall] = field(default_factory=list)
    node: Node | None = None
    parts: list[list[Place]] = field(default_factory=list)
    changed: Value | None = None


@dataclass
class Epilogue:
    """An expression of a sum, ("input", 0), and of extras; which nodes are stored."""

    nodes: list[tuple]
    results: list[int]
    extras: list[Place]


class Lowering:
    """A graph on its way to kernels.

    Attributes:
        kernels: the kernels so far.
        located: where each value lies.
        destined: for values that are to be written into a larger one, where in it.
        steps: in the order in which they run.
        records: what joined kernels read about their members.
    """

    def __init__(self, graph: Graph, schedule: Schedule, destined: dict[Value, Place]):
        self.graph, self.schedule, self.destined = graph, schedule, destined
        self.kernels = Kernels()
        self.located: dict[Value, Place] = {v: whole(v) for v in graph.inputs}
        self.steps: list[Step] = []
        self.records: list[Records] = []
        self._turned: dict[Place, Place] = {}
        self._uses: Counter[Value] | None = None
        self._packed: dict[Any, Place] = {}
        self._multiplied = Counter(n.values[1] for n in graph.nodes if n.primitive.name == "mm")

    def locate(self, value: Value) -> Place:
        """Where a value lies."""
        found = self.located.get(value)
        if found is None:
            assert value.constant is not None, "a value that was never made"
            found = self.located[value] = self.kernels.constant(value)
        return found

    def is_only_for(self, node: Node, value: Value) -> bool:
        """Whether nobody but a node reads the memory that was made for a value."""
        if self._uses is None:
            nodes = (v for n in self.graph.nodes for v in n.values)
            self._uses = Counter((*nodes, *self.graph.outputs))
        root = self.located[value].root
        shown = sum(place.root is root for place in self.located.values())
        made = value.node is not None and not value.node.primitive.view
        return made and self._uses[value] == 1 and shown == 1 and value not in self.destined

    def add_step(
        self,
        group: Group | None,
        calls: list[KernelCall],
        writes: list[Value],
        parts: Sequence[list[Place]] = (),
        changed: Value | None = None,
    ) -> None:
        """Kernels that run next, and the values that they make."""
        writes = [self.located[v].root if v in self.located else v for v in writes]
        roots = set(writes)
        met = [*(operands for _, operands in calls), *parts]
        reads = dict.fromkeys(o.root for operands in met for o in operands if o.root not in roots)
        self.steps.append(Step(group, list(reads), writes, calls, parts=list(parts), changed=changed))

    # Expressions ------------------------------------------------------------------------------------

    def expression(
        self,
        builder: Builder,
        nodes: list[Node],
        shape: tuple[int, ...],
        given: Value | None = None,
    ) -> tuple[dict[Value, Element], list[Place]]:
        """Adds the elements of pointwise nodes to an expression; returns them and what is read.

        `given` is a value that the kernel has in a register, as the expression's first input.
        """
        elements: dict[Value, Element] = {}
        first = 0
        if given is not None:
            elements[given], first = builder.input(0, given.dtype), 1
        operands: list[Place] = []
        numbers: dict[Place, int] = {}

        def element(x: Any) -> Any:
            if not isinstance(x, Value):
                return x
            found = elements.get(x)
            if found is None:
                if x.number is not None:
                    found = builder.number(x.number.item(), x.dtype)
                else:
                    place = self.locate(x).broadcast(shape)
                    if place not in numbers:
                        numbers[place] = first + len(operands)
                        operands.append(place)
                    found = builder.input(numbers[place], x.dtype)
                elements[x] = found
            return found

        for node in nodes:
            operands_of = [element(x) for x in node.inputs]
            if node.primitive.name in REDUCTIONS:
                elements[node.outputs[0]] = add_reduction(builder, node, operands_of[0])
            else:
                elements[node.outputs[0]] = add_primitive(builder, node, operands_of)
        for value in list(elements):
            element(value)
        return elements, operands

    def epilogue(self, node: Node, after: list[Node], outputs: list[Value]) -> Epilogue:
        """What a kernel does with each sum before it stores it."""
        builder = Builder()
        value = node.outputs[0]
        elements, extras = self.expression(builder, after, value.shape, given=value)
        return Epilogue(builder.nodes, [elements[v].position for v in outputs], extras)

    # Copies that several steps read -----------------------------------------------------------------

    def in_lanes(self, place: Place) -> Place:
        """`place` with its samples side by side: a copy, made once, where it lies otherwise."""
        if place.strides[0] == 1 and place.shape[0] > 1:
            return place
        found = self._turned.get(place)
        if found is None:
            found = self._turned[place] = batch_last(Value(place.shape, place.dtype))
            self.add_step(None, [self.kernels.copy(place, found)], [found.root])
        return found

    def packed(self, value: Value, a: Place, b: Place) -> Place | None:
        """`value`, which lies at `b`, packed once for all products; `None` where few read it, or as it lies."""
        size = self.kernels.packed_size(a, b) if self._multiplied[value] > 1 else None
        if size is None:
            return None
        key = b, size, a.shape[0]
        found = self._packed.get(key)
        if found is None:
            found = self._packed[key] = whole(Value((size,), b.dtype))
            self.add_step(None, [self.kernels.packing(a, b, found)], [found.root])
        return found
