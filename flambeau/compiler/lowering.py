"""From a graph to native code: which kernels there are, where their memory lies, and in which order.

Each node becomes a *unit*. Pointwise nodes with one reader are fused into it; views become strides; the
rest goes to the emitters of `flambeau.kernels`, or, where there is none, to the operator's own computation
(a host unit). Runs of native units form one driver each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau.compiler.elementwise import Expression, Unsupported, lower, position
from flambeau.compiler.values import Graph, Node, Value
from flambeau.core.shapes import contiguous_strides
from flambeau.kernels import gemm, pointwise, reduce
from flambeau.kernels.kernel import Kernel as NativeKernel
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.reduce import Reduction
from flambeau.ops.table import Elementwise
from flambeau.ops.table import Kernel as Family

#: Pointwise nodes fused into one kernel, at most.
MOST_FUSED = 48


@dataclass(frozen=True)
class Place:
    """A strided part of the memory of `root`; `offset` and `strides` in elements."""

    root: Value
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype

    @property
    def operand(self) -> Operand:
        return Operand(self.dtype.name, self.strides)

    def broadcast(self, shape: Sequence[int]) -> Place:
        """This part as an operand over `shape`."""
        extra = len(shape) - len(self.shape)
        strides = [0] * extra + [
            0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True)
        ]
        return Place(self.root, self.offset, tuple(shape), tuple(strides), self.dtype)

    def seen(self, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Place:
        """The same memory with other strides."""
        return Place(self.root, self.offset + offset, tuple(shape), tuple(strides), self.dtype)

    @property
    def is_whole(self) -> bool:
        """Whether this is all of its root's memory, in order."""
        return self.offset == 0 and self.strides == contiguous_strides(self.shape)


@dataclass
class Step:
    """One native kernel with its arguments."""

    kernel: NativeKernel
    places: list[Place]


@dataclass
class Unit:
    """What computes one node: native steps, or the operator's computation on the host."""

    node: Node
    outputs: list[Value]
    steps: list[Step] = field(default_factory=list)
    reads: list[Place] = field(default_factory=list)
    temporaries: list[Value] = field(default_factory=list)
    fused: list[Node] = field(default_factory=list)
    host: bool = False
    why: str = ""


class Lowering:
    """Lowers the nodes that lead to `results`."""

    def __init__(self, graph: Graph, results: Sequence[Value], layouts: dict[int, tuple[int, ...]]):
        self.graph = graph
        self.module = Module()
        #: Strides in elements of inputs that do not lie in row-major order.
        self.layouts = layouts
        self.results = {v.number for v in results}
        self.nodes = graph.needed(results)
        self.places: dict[int, Place] = {}
        self.readers: dict[int, list[Node]] = {}
        for node in self.nodes:
            for value in node.values:
                self.readers.setdefault(value.number, []).append(node)
        self.units: list[Unit] = []
        self.count = 0
        self.waiting: dict[int, Node] = {}  # pointwise nodes that wait to be fused, by value
        for node in self.nodes:
            self._lower(node)
        for value in results:
            self.place(value)

    # Places -------------------------------------------------------------------------------------

    def place(self, value: Value) -> Place:
        """Where a value lies; computes it first if it was waiting to be fused."""
        waiting = self.waiting.pop(value.number, None)
        if waiting is not None:
            self._pointwise(waiting)
        found = self.places.get(value.number)
        if found is None:
            strides = self.layouts.get(value.number) or contiguous_strides(value.shape)
            found = self.places[value.number] = Place(value, 0, value.shape, strides, value.dtype)
        return found

    def whole(self, value: Value) -> Place:
        """A new place for a value that a unit is about to compute."""
        made = Place(value, 0, value.shape, contiguous_strides(value.shape), value.dtype)
        self.places[value.number] = made
        return made

    def temporary(self, unit: Unit, shape: Sequence[int], dtype: np.dtype) -> Place:
        """Memory that only `unit` uses."""
        value = self.graph.new_value(shape, dtype)
        unit.temporaries.append(value)
        return Place(value, 0, value.shape, contiguous_strides(value.shape), value.dtype)

    def _view(self, node: Node) -> bool:
        """Makes the result of a view a part of its input's memory, where strides can say so."""
        source = self.place(node.values[0])
        item = source.dtype.itemsize
        stand_in = np.lib.stride_tricks.as_strided(
            np.empty(1, source.dtype), source.shape, [s * item for s in source.strides]
        )
        compute = node.primitive.compute
        try:
            part = compute(stand_in, **node.attributes)
        except ValueError:
            return False
        if part.dtype != source.dtype or any(s % item for s in part.strides):
            return False
        shift = _address(part) - _address(stand_in) if part.size else 0
        out = node.outputs[0]
        self.places[out.number] = Place(
            source.root, source.offset + shift // item, out.shape, tuple(s // item for s in part.strides), out.dtype
        )
        return True

    # Units --------------------------------------------------------------------------------------

    def _lower(self, node: Node) -> None:
        lowering = node.primitive.lowering
        if node.primitive.view and self._view(node):
            return
        if isinstance(lowering, Elementwise) and len(node.outputs) == 1:
            self.waiting[node.outputs[0].number] = node
            if not self._may_wait(node):
                self.place(node.outputs[0])
            return
        unit = Unit(node, list(node.outputs))
        if node.primitive.view:  # a reshape that must move elements
            source = self.place(node.values[0])
            unit.reads.append(source)
            out = self.whole(node.outputs[0])
            self.copy(unit, source, out.seen(source.shape, contiguous_strides(source.shape)))
            self.units.append(unit)
            return
        emitter = EMITTERS.get(lowering.family) if isinstance(lowering, Family) else None
        if emitter is None:
            return self._host(node, f"{node.primitive.name} has no kernel yet")
        try:
            emitter(self, unit, node)
        except Unsupported as e:
            return self._host(node, str(e))
        self.units.append(unit)
        return None

    def _may_wait(self, node: Node) -> bool:
        """Whether a pointwise result is read once, by a node that can take its expression in."""
        value = node.outputs[0]
        readers = self.readers.get(value.number, [])
        if len(readers) != 1 or value.number in self.results:
            return False
        reader = readers[0]
        if reader.values.count(value) != 1:
            return False
        lowering = reader.primitive.lowering
        if isinstance(lowering, Elementwise):
            return reader.outputs[0].shape == value.shape
        return isinstance(lowering, Family) and lowering.family == "reduce"

    def _host(self, node: Node, why: str) -> None:
        unit = Unit(node, list(node.outputs), host=True, why=why)
        unit.reads = [self.place(v) for v in node.values]
        for out in node.outputs:
            self.whole(out)
        self.units.append(unit)

    def _pointwise(self, node: Node) -> None:
        unit = Unit(node, list(node.outputs))
        try:
            expression, result, inputs = self.expression(unit, node.outputs[0], node)
        except Unsupported as e:
            for v in node.values:
                self.place(v)
            return self._host(node, str(e))
        out = self.whole(node.outputs[0])
        self.emit_pointwise(unit, out, expression, [result], inputs)
        self.units.append(unit)
        return None

    def expression(
        self, unit: Unit, value: Value, top: Node | None = None
    ) -> tuple[Expression, int, list[Place]]:
        """The fused expression of `value`, with the places that it reads."""
        shape = value.shape
        expression = Expression()
        inputs: list[Place] = []
        numbers: dict[Place, int] = {}

        def read(v: Value) -> int:
            place = self.place(v).broadcast(shape)
            if place not in numbers:
                numbers[place] = len(inputs)
                inputs.append(place)
            return expression.input(numbers[place], v.dtype)

        def build(v: Value, node: Node | None) -> int:
            if node is None:
                waits = self.waiting.get(v.number)
                if waits is None or v.shape != shape or len(unit.fused) >= MOST_FUSED:
                    return read(v)
                node = self.waiting.pop(v.number)
            unit.fused.append(node)
            operands = [position(build(x, None)) if isinstance(x, Value) else x for x in node.inputs]
            return lower(expression, node, operands)

        popped = dict(self.waiting)
        try:
            result = build(value, top)
        except Unsupported:
            # What was taken in must be computed by itself.
            for fused in unit.fused:
                if fused is not top:
                    self.waiting[fused.outputs[0].number] = popped[fused.outputs[0].number]
            self._refuse([f for f in unit.fused if f is not top])
            raise
        unit.reads += inputs
        return expression, result, inputs

    def _refuse(self, nodes: Sequence[Node]) -> None:
        for node in sorted(nodes, key=lambda n: n.outputs[0].number):
            self.place(node.outputs[0])

    # Steps --------------------------------------------------------------------------------------

    def name(self, base: str) -> str:
        self.count += 1
        return f"{base}_{self.count}"

    def emit_pointwise(
        self, unit: Unit, out: Place, expression: Expression, results: Sequence[int], inputs: Sequence[Place]
    ) -> None:
        kernel = pointwise.emit(
            self.module, self.name(unit.node.primitive.name), out.shape,
            [p.operand for p in inputs], [out.operand], tuple(expression.nodes), tuple(results),
        )  # fmt: skip
        unit.steps.append(Step(kernel, [*inputs, out]))

    def emit_pair(
        self, unit: Unit, outs: Sequence[Place], expression: Expression, results: Sequence[int], inputs: Sequence[Place]
    ) -> None:
        """One kernel with several outputs of one shape."""
        kernel = pointwise.emit(
            self.module, self.name(unit.node.primitive.name), outs[0].shape,
            [p.operand for p in inputs], [o.operand for o in outs], tuple(expression.nodes), tuple(results),
        )  # fmt: skip
        unit.steps.append(Step(kernel, [*inputs, *outs]))

    def copy(self, unit: Unit, source: Place, target: Place) -> None:
        """Moves elements; both places have one shape."""
        expression = Expression()
        at = expression.input(0, source.dtype)
        self.emit_pointwise(unit, target, expression, [at], [source.broadcast(target.shape)])

    def fill(self, unit: Unit, target: Place, number: Any) -> None:
        """Sets every element of a place."""
        expression = Expression()
        at = expression.constant(number, target.dtype)
        self.emit_pointwise(unit, target, expression, [at], [])

    def reduction(
        self, unit: Unit, shape: Sequence[int], axes: Sequence[int], inputs: Sequence[Place], out: Place,
        nodes: tuple, reduced: Reduction, epilogue: tuple | None = None, results: Sequence[int] | None = None,
        extras: Sequence[Place] = (),
    ) -> None:  # fmt: skip
        kernel = reduce.emit(
            self.module, self.name(unit.node.primitive.name), tuple(shape), tuple(axes),
            [p.operand for p in inputs], [out.operand], nodes, [reduced], epilogue, results,
            [e.operand for e in extras],
        )  # fmt: skip
        unit.steps.append(Step(kernel, [*inputs, *extras, out]))

    def product(
        self, unit: Unit, a: Place, b: Place, out: Place, batch: Sequence[int] = ()
    ) -> None:
        """A matrix product of places (*batch, m, k), (*batch, k, n) -> (*batch, m, n)."""
        m, k = a.shape[-2:]
        kernel = gemm.emit(
            self.module, self.name("matmul"), m, b.shape[-1], k, a.operand, b.operand, out.operand, tuple(batch)
        )
        unit.steps.append(Step(kernel, [a, b, out]))


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


Emitter = Callable[[Lowering, Unit, Node], None]
#: For each kernel family that operators name, what emits it.
EMITTERS: dict[str, Emitter] = {}


def emits(family: str) -> Callable[[Emitter], Emitter]:
    """Registers the emitter of a family."""

    def register(emitter: Emitter) -> Emitter:
        EMITTERS[family] = emitter
        return emitter

    return register


def size_of(shape: Sequence[int]) -> int:
    return math.prod(shape)
