"""The CPU backend: a graph becomes native functions, and a list of what to call.

Groups of nodes (see `passes/fuse.py`) become kernels; runs of kernels become one native function, the
driver; nodes without a kernel are computed by their `compute` between two drivers. All native code of a
program is one module. Memory is a table of addresses: the arena, the inputs, the constants, the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau.compiler.backends.expressions import BOOL, Builder, Element, add_primitive, can_lower
from flambeau.compiler.backends.memory import Lifetime, plan
from flambeau.compiler.graph import Graph, Node, Value, constant
from flambeau.compiler.passes.fuse import Group, fuse
from flambeau.compiler.views import contiguous_strides, stand_in
from flambeau.kernels import gemm, jit, pointwise, reduce, threads
from flambeau.kernels.kernel import Call, Kernel, Place, Program, emit_driver
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.reduce import Reduction

ARENA, WORKSPACE, SCRATCH, FIRST = range(4)  # the table's slots; inputs begin at FIRST

_REDUCTIONS = {
    "sum": "sum", "prod": "prod", "amax": "max", "amin": "min", "all": "all", "any": "any",
    "argmax": "argmax", "argmin": "argmin",
}  # fmt: skip
_COPIES = {"view_put", "cat", "constant_pad_nd", "slice_backward"}


# What a node becomes --------------------------------------------------------------------------------


def kind_of(node: Node) -> str:
    """How a node runs: "view", "pointwise", "reduce", "matmul", "copies" or "host"."""
    primitive, values = node.primitive, node.values
    out = node.outputs[0]
    if any(v.dtype.kind in "cO" or v.size == 0 for v in (*values, *node.outputs)):
        return "host"
    if primitive.view:
        return "view" if out.dtype == values[0].dtype else "host"
    if primitive.pointwise:
        return "pointwise" if values and not can_lower(node) else "host"
    if primitive.name in _REDUCTIONS:
        return "reduce" if _axes(node) and _is_number(values[0]) else "host"
    if primitive.name == "mm" and out.dtype.kind in "fV":
        return "matmul"
    return "copies" if primitive.name in _COPIES else "host"


def _is_number(value: Value) -> bool:
    return value.dtype.kind in "fViub"


def _axes(node: Node) -> tuple[int, ...]:
    """The dimensions that a reduction takes away."""
    rank = len(node.values[0].shape)
    if "dims" in node.attributes:
        dims = node.attributes["dims"]
        return tuple(range(rank)) if dims is None else tuple(dims)
    dim = node.attributes["dim"]
    return tuple(range(rank)) if dim is None else (dim,)


# Where values lie -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Located:
    """A part of a value's memory: first element and strides, counted in elements."""

    root: Value
    offset: int
    strides: tuple[int, ...]

    def operand(self, broadcast_to: Sequence[int] | None = None, shape: Sequence[int] = ()) -> Operand:
        """As a kernel's operand, its dimensions of size 1 broadcast to a shape."""
        strides = self.strides
        if broadcast_to is not None:
            extra = len(broadcast_to) - len(shape)
            strides = (0,) * extra + tuple(
                0 if n == 1 else s for n, s in zip(shape, strides, strict=True)
            )
        return Operand(self.root.dtype.name, strides)


def whole(value: Value) -> Located:
    """All of a value, in row-major order."""
    return Located(value, 0, contiguous_strides(value.shape, 1))


def part(located: Located, shape: tuple[int, ...], node_or_step: tuple) -> tuple[Located, tuple[int, ...]]:
    """A view step taken from located memory. Raises `ValueError` where it needs a copy."""
    primitive, rest, attributes = node_or_step
    item = located.root.dtype.itemsize
    base = stand_in(shape, tuple(s * item for s in located.strides), located.root.dtype)
    shown = primitive.compute(base, *rest, **attributes)
    start = shown.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    strides = tuple(s // item for s in shown.strides)
    return Located(located.root, located.offset + start // item, strides), shown.shape


# Steps ------------------------------------------------------------------------------------------------


@dataclass
class Step:
    """Kernels with their operands, or a host computation, for one group.

    Attributes:
        reads, writes: the roots that are read and written.
        calls: (kernel, operands) pairs.
        node: what the host computes, if there are no kernels.
    """

    group: Group | None
    reads: list[Value]
    writes: list[Value]
    calls: list[tuple[Kernel, list[Located]]] = field(default_factory=list)
    node: Node | None = None
    elementwise: bool = False


class Executable:
    """A program in memory, ready to run.

    The caller puts addresses of inputs and outputs in `table` (see `input_slot`, `output_slot`), the
    arrays in `arrays`, and calls `run()`.
    """

    def __init__(self, graph: Graph, written: dict[int, int], key: str | None = None):
        self.graph = graph
        compiled = _Compilation(graph, written)
        self.steps, self.homes = compiled.steps, compiled.homes
        self.located = compiled.located
        self.inputs = FIRST
        self.constants = FIRST + len(graph.inputs)
        self.outputs = self.constants + len(compiled.constants)
        self.constant_arrays = compiled.constants
        count = self.outputs + len(graph.outputs)
        self.table = np.zeros(count, np.int64)
        self.arrays: list[Any] = [None] * count
        self.kernels = compiled.kernel_count
        self._segments(compiled, key)
        self._memory(compiled.arena_bytes)
        self._host_calls = [self._bind(s) if isinstance(s, Step) else s for s in self._runs]

    def input_slot(self, k: int) -> int:
        return self.inputs + k

    def output_slot(self, k: int) -> int:
        return self.outputs + k

    def _segments(self, compiled: _Compilation, key: str | None) -> None:
        """Cuts the steps into native runs and host computations, and loads the code."""
        module = compiled.module
        runs: list[Any] = []
        calls: list[Call] = []
        programs: list[Program] = []

        def close() -> None:
            if calls:
                name = f"run{len(programs)}"
                programs.append(
                    emit_driver(module, name, list(calls), Place(WORKSPACE), Place(SCRATCH))
                )
                runs.append(len(programs) - 1)
                calls.clear()

        for step in self.steps:
            if step.node is not None:
                close()
                runs.append(step)
                continue
            for kernel, operands in step.calls:
                calls.append(Call(kernel, tuple(self._place(o) for o in operands)))
        close()
        self.programs = programs
        self.code = jit.load(module, key) if programs else None
        self._runs = [
            (programs[r].parallel, self.code.address(programs[r].name), self.code.function(programs[r].name, 4))
            if isinstance(r, int)
            else r
            for r in runs
        ]  # fmt: skip

    def _place(self, located: Located) -> Place:
        slot, offset = self.homes[located.root]
        return Place(slot, offset + located.offset * located.root.dtype.itemsize)

    def _memory(self, arena_bytes: int) -> None:
        self.arena = aligned(arena_bytes)
        self.workspace = aligned(max((p.workspace for p in self.programs), default=0))
        self._scratch_bytes = max((p.scratch for p in self.programs), default=0)
        self._prepare_threads()
        self.table[ARENA] = self.arena.ctypes.data
        self.table[WORKSPACE] = self.workspace.ctypes.data
        for k, array in enumerate(self.constant_arrays):
            self.table[self.constants + k] = array.ctypes.data
            self.arrays[self.constants + k] = array
        self.address = self.table.ctypes.data

    def _prepare_threads(self) -> None:
        self.threads = threads.get_num_threads()
        self.scratch = aligned(self._scratch_bytes * self.threads)
        self.table[SCRATCH] = self.scratch.ctypes.data

    # Running --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Runs the program on what the table says."""
        if threads.get_num_threads() != self.threads:
            self._prepare_threads()
        table, many = self.address, self.threads > 1
        for call in self._host_calls:
            if call.__class__ is tuple:
                parallel, address, alone = call
                if parallel and many:
                    threads.run(address, table)
                else:
                    alone(table, 0, 0, 1)
            else:
                call()

    def _bind(self, step: Step) -> Any:
        """A function that computes a host step."""
        node = step.node
        assert node is not None
        readers = [self._reader(x) for x in node.inputs]
        writers = [self._reader(v) for v in node.outputs]
        compute, attributes = node.primitive.compute, node.attributes

        def call() -> None:
            with np.errstate(all="ignore"):
                result = compute(*(r() for r in readers), **attributes)
            results = result if isinstance(result, tuple) else (result,)
            for write, r in zip(writers, results, strict=True):
                write()[...] = r

        return call

    def _reader(self, x: Any) -> Any:
        """A function that gives a value's array."""
        if not isinstance(x, Value):
            return lambda: x
        if x.constant is not None:
            return lambda: x.constant
        located = self.located[x]
        item = x.dtype.itemsize
        slot, offset = self.homes[located.root]
        offset += located.offset * item
        strides = tuple(s * item for s in located.strides)
        if slot == ARENA:
            array = np.ndarray(x.shape, x.dtype, self.arena, offset, strides)
            return lambda: array
        arrays = self.arrays
        return lambda: np.ndarray(x.shape, x.dtype, arrays[slot], offset, strides)


def aligned(nbytes: int) -> np.ndarray:
    """Memory that begins at a multiple of 128."""
    raw = np.empty(nbytes + 256, np.uint8)
    start = -raw.ctypes.data % 128
    return raw[start : start + nbytes + 128]


# Compilation ---------------------------------------------------------------------------------------


class _Compilation:
    """Groups, kernels and memory of one program.

    `written`: for each output that is the new content of an input's memory, that input's number.
    """

    def __init__(self, graph: Graph, written: dict[int, int]):
        self.graph, self.written = graph, written
        self.module = Module()
        self.kernel_count = 0
        self.known: dict[Any, Kernel] = {}
        self.constants: list[np.ndarray] = []
        self.constant_slots: dict[int, int] = {}
        self.located: dict[Value, Located] = {v: whole(v) for v in graph.inputs}
        self.steps: list[Step] = []
        for group in fuse(graph, kind_of):
            self._lower(group)
        self.homes: dict[Value, tuple[int, int]] = {}
        self._outputs()
        self._plan()

    # Operands ----------------------------------------------------------------------------------

    def locate(self, value: Value) -> Located:
        found = self.located.get(value)
        if found is None:
            assert value.constant is not None, "a value that was never made"
            found = self.located[value] = self._constant(value)
        return found

    def _constant(self, value: Value) -> Located:
        array = value.constant
        if value.number is not None:
            array = np.asarray(value.number, value.dtype).reshape((1,) * len(value.shape))
        array = np.ascontiguousarray(array)
        root = Value(array.shape, array.dtype, constant=array)
        self.constants.append(array)
        self.constant_slots[id(root)] = len(self.constants) - 1
        located = whole(root)
        if value.number is not None:
            return Located(root, 0, (0,) * len(value.shape))
        return located

    def kernel(self, key: Any, emit: Any) -> Kernel:
        """The kernel of a description; equal descriptions share one."""
        found = self.known.get(key)
        if found is None:
            self.kernel_count += 1
            found = self.known[key] = emit(f"k{self.kernel_count}")
        return found

    # Groups ------------------------------------------------------------------------------------

    def _lower(self, group: Group) -> None:
        if group.kind == "view":
            self._view(group)
            return
        for value in group.outputs:
            self.located[value] = whole(value)
        getattr(self, f"_{group.kind}")(group)

    def _step(self, group: Group | None, calls: list[tuple[Kernel, list[Located]]], writes: list[Value], **options: Any) -> None:
        roots = set(writes)
        reads = [o.root for _, operands in calls for o in operands if o.root not in roots]
        self.steps.append(Step(group, list(dict.fromkeys(reads)), writes, calls, **options))

    def _view(self, group: Group) -> None:
        (node,) = group.nodes
        base, *rest = node.inputs
        (out,) = node.outputs
        try:
            self.located[out], _ = part(
                self.locate(base), base.shape, (node.primitive, rest, node.attributes)
            )
        except ValueError:
            # A reshape across strides: the base is put in order first.
            group.notes.append("copied: its strides do not allow the view")
            target = whole(out)
            self.located[out] = target
            ordered = Located(out, 0, contiguous_strides(base.shape, 1))
            self._step(group, [self._copy(self.locate(base), ordered, base.shape)], [out])

    def _copy(self, source: Located, target: Located, shape: tuple[int, ...]) -> tuple[Kernel, list[Located]]:
        """A kernel that copies elements."""
        nodes = (("input", 0),)
        return self._elementwise(shape, [source.operand()], [target.operand()], nodes, (0,)), [source, target]

    def _fill(self, number: Any, target: Located, shape: tuple[int, ...]) -> tuple[Kernel, list[Located]]:
        filled = self.locate(constant(np.asarray(number, target.root.dtype)))
        spread = Located(filled.root, 0, (0,) * len(shape))
        return self._copy(spread, target, shape)

    def _elementwise(self, shape: Any, inputs: Any, outputs: Any, nodes: Any, results: Any) -> Kernel:
        key = ("pointwise", tuple(shape), tuple(inputs), tuple(outputs), tuple(nodes), tuple(results))
        return self.kernel(
            key,
            lambda name: pointwise.emit(self.module, name, shape, inputs, outputs, tuple(nodes), results),
        )

    def _expression(self, builder: Builder, nodes: list[Node], shape: tuple[int, ...]) -> tuple[dict[Value, Element], list[Located]]:
        """Adds the elements of pointwise nodes to an expression; returns them and what is read."""
        elements: dict[Value, Element] = {}
        operands: list[Located] = []
        numbers: dict[tuple[Located, tuple[int, ...]], int] = {}

        def element(x: Any) -> Any:
            if not isinstance(x, Value):
                return x
            found = elements.get(x)
            if found is None:
                if x.number is not None:
                    found = builder.number(x.number.item(), x.dtype)
                else:
                    located = self.locate(x)
                    spread = located.operand(shape, x.shape)
                    key = (located, spread.strides)
                    if key not in numbers:
                        numbers[key] = len(operands)
                        operands.append(Located(located.root, located.offset, spread.strides))
                    found = builder.input(numbers[key], x.dtype)
                elements[x] = found
            return found

        for node in nodes:
            operands_of = [element(x) for x in node.inputs]
            elements[node.outputs[0]] = add_primitive(builder, node, operands_of)
        for value in list(elements):
            element(value)
        return elements, operands

    def _pointwise(self, group: Group) -> None:
        shape = group.nodes[0].outputs[0].shape
        builder = Builder()
        elements, operands = self._expression(builder, group.nodes, shape)
        outputs = [self.located[v] for v in group.outputs]
        kernel = self._elementwise(
            shape,
            [o.operand() for o in operands],
            [o.operand() for o in outputs],
            builder.nodes,
            [elements[v].position for v in group.outputs],
        )
        self._step(group, [(kernel, [*operands, *outputs])], group.outputs, elementwise=True)

    def _reduce(self, group: Group) -> None:
        *prologue, node = group.nodes
        source = node.values[0]
        shape, axes = source.shape, _axes(node)
        builder = Builder()
        elements, operands = self._expression(builder, prologue, shape)
        if source not in elements:
            located = self.locate(source)
            operands = [Located(located.root, located.offset, located.operand(shape, shape).strides)]
            elements[source] = builder.input(0, source.dtype)
        element = elements[source]
        op = _REDUCTIONS[node.primitive.name]
        if op in ("any", "all"):
            element = builder.cast(element, BOOL)
        left = tuple(n for d, n in enumerate(shape) if d not in axes)
        (out,) = node.outputs
        target = Located(out, 0, contiguous_strides(left, 1))
        inputs = [o.operand() for o in operands]
        key = ("reduce", shape, axes, tuple(inputs), out.dtype.name, tuple(builder.nodes), op, element)
        kernel = self.kernel(
            key,
            lambda name: reduce.emit(
                self.module, name, shape, axes, inputs, [target.operand()], tuple(builder.nodes),
                [Reduction(op, element.position)],
            ),
        )  # fmt: skip
        self._step(group, [(kernel, [*operands, target])], [out])

    def _matmul(self, group: Group) -> None:
        (node,) = group.nodes
        a, b = node.values
        (out,) = node.outputs
        batch = out.shape[:-2]
        m, n, k = out.shape[-2], out.shape[-1], a.shape[-1]
        operands = [
            Located(at.root, at.offset, at.operand((*batch, *x.shape[-2:]), x.shape).strides)
            for x in (a, b)
            for at in [self.locate(x)]
        ]
        # A dimension of size 1 has no stride that matters, but kernels want the usual one.
        operands = [_usual(o, (*batch, *s)) for o, s in zip(operands, ((m, k), (k, n)), strict=True)]
        target = whole(out)
        descriptions = [o.operand() for o in (*operands, target)]
        key = ("matmul", m, n, k, batch, tuple(descriptions))
        kernel = self.kernel(
            key, lambda name: gemm.emit(self.module, name, m, n, k, *descriptions, batch=batch)
        )
        self._step(group, [(kernel, [*operands, target])], [out])

    def _host(self, group: Group) -> None:
        (node,) = group.nodes
        reads = [self.locate(v).root for v in node.values if v.constant is None]
        for value in node.outputs:
            self.located[value] = whole(value)
        step = Step(group, list(dict.fromkeys(reads)), list(node.outputs), node=node)
        self.steps.append(step)

    def _copies(self, group: Group) -> None:
        (node,) = group.nodes
        (out,) = node.outputs
        self._step(group, self._copies_of(node, out), [out])

    def _copies_of(self, node: Node, out: Value) -> list[tuple[Kernel, list[Located]]]:
        name, attributes = node.primitive.name, node.attributes
        target = whole(out)
        first = node.values[0]
        if name == "cat":
            calls, start = [], 0
            for x in node.values:
                offset = start * target.strides[attributes["dim"]]
                calls.append(
                    self._copy(self.locate(x), Located(out, offset, target.strides), x.shape)
                )
                start += x.shape[attributes["dim"]]
            return calls
        if name == "view_put":
            value = node.values[1]
            inside, shape = target, out.shape
            for step in attributes["steps"]:
                inside, shape = part(inside, shape, step)
            return [
                self._copy(self.locate(first), target, out.shape),
                self._copy(self.locate(value), inside, value.shape),
            ]
        if name == "slice_backward":
            starts, steps, fill = attributes["starts"], attributes["steps"], 0
        else:
            starts, steps, fill = attributes["before"], (1,) * len(out.shape), attributes["value"]
        offset = sum(a * s for a, s in zip(starts, target.strides, strict=True))
        strides = tuple(s * t for s, t in zip(target.strides, steps, strict=True))
        return [
            self._fill(fill, target, out.shape),
            self._copy(self.locate(first), Located(out, offset, strides), first.shape),
        ]

    # Outputs and memory ------------------------------------------------------------------------

    def _outputs(self) -> None:
        """Gives every output a home, and copies to those that no kernel writes directly."""
        graph, constants = self.graph, len(self.graph.inputs)
        for k in range(len(graph.inputs)):
            self.homes[graph.inputs[k]] = (FIRST + k, 0)
        first_output = FIRST + constants + len(self.constants)
        made = {v: k for k, step in enumerate(self.steps) for v in step.writes}
        late: list[tuple[Located, Value]] = []
        self.output_roots: dict[Value, int] = {}
        taken: set[Value] = set()
        for k, value in enumerate(graph.outputs):
            located = self.locate(value)
            target = self.written.get(k)
            direct = (
                value in made
                and value not in taken
                and located.root is value
                and located == whole(value)
                and (target is None or self._safe(made[value], graph.inputs[target]))
            )
            if direct:
                taken.add(value)
                self.output_roots[value] = k
            else:
                copy = Value(value.shape, value.dtype)
                if target is not None and value.node is None:
                    # The memory of one input becomes another's: read all before any is written.
                    kept = Value(value.shape, value.dtype)
                    self._step(None, [self._copy(located, whole(kept), value.shape)], [kept])
                    located = whole(kept)
                late.append((located, copy))
                self.output_roots[copy] = k
        for located, copy in late:
            source = located
            self._step(None, [self._copy(source, whole(copy), copy.shape)], [copy])
        first_output = FIRST + constants + len(self.constants)
        for value, k in self.output_roots.items():
            self.homes[value] = (first_output + k, 0)

    def _safe(self, step: int, memory: Value) -> bool:
        """Whether a step may write its output over an input: nobody reads the input later, and the
        step itself reads only the very elements that it writes.
        """
        if any(memory in later.reads for later in self.steps[step + 1 :]):
            return False
        if memory not in self.steps[step].reads:
            return True
        own = self.steps[step]
        plain = whole(memory).strides
        return own.elementwise and all(
            o.offset == 0 and o.operand(memory.shape, memory.shape).strides == Located(memory, 0, plain).operand(memory.shape, memory.shape).strides
            for _, operands in own.calls
            for o in operands
            if o.root is memory
        )

    def _plan(self) -> None:
        """Puts what is left into the arena."""
        for located in list(self.located.values()):
            slot = self.constant_slots.get(id(located.root))
            if slot is not None:
                self.homes[located.root] = (FIRST + len(self.graph.inputs) + slot, 0)
        for step in self.steps:
            for _, operands in step.calls:
                for o in operands:
                    slot = self.constant_slots.get(id(o.root))
                    if slot is not None:
                        self.homes[o.root] = (FIRST + len(self.graph.inputs) + slot, 0)
        born: dict[Value, int] = {}
        dies: dict[Value, int] = {}
        for k, step in enumerate(self.steps):
            for value in step.writes:
                born.setdefault(value, k)
                dies[value] = k
            for value in step.reads:
                dies[value] = k
        values = [v for v in born if v not in self.homes]
        offsets, self.arena_bytes = plan([Lifetime(v.nbytes, born[v], dies[v]) for v in values])
        for value, offset in zip(values, offsets, strict=True):
            self.homes[value] = (ARENA, offset)


def _usual(located: Located, shape: tuple[int, ...]) -> Located:
    """With the stride of the last dimension 1 where it has only one element."""
    *before, last = located.strides
    if shape[-1] == 1 and last == 0:
        last = 1
    return Located(located.root, located.offset, (*before, last))


__all__ = ["Executable", "kind_of"]
