"""The CPU backend: a graph becomes native functions, and a list of what to call.

Groups of nodes (see `passes/fuse.py`) become kernels; runs of kernels become one native function, the
driver; nodes without a kernel are computed by their `compute` between two drivers. All native code of a
program is one module. Memory is a table of addresses: the arena, the inputs, the constants, the outputs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from flambeau.compiler.backends import attentions, families  # noqa: F401 (registers its family)
from flambeau.compiler.backends.expressions import (
    BOOL,
    Builder,
    Element,
    add_primitive,
    can_lower,
)
from flambeau.compiler.backends.memory import Lifetime, plan
from flambeau.compiler.backends.place import Place, batch_last, has_batch_last, whole
from flambeau.compiler.backends.placement import destinations, parts_of
from flambeau.compiler.graph import Graph, Node, Value, constant
from flambeau.compiler.passes.fuse import Group, fuse
from flambeau.compiler.schedule import Schedule
from flambeau.compiler.views import contiguous_strides
from flambeau.core.locks import own_lock
from flambeau.kernels import gemm, jit, permute, pointwise, reduce, slabs, threads
from flambeau.kernels import kernel as native
from flambeau.kernels.kernel import Call, Kernel, Program, emit_driver
from flambeau.kernels.language import Module
from flambeau.kernels.reduce import Reduction
from flambeau.kernels.sharing import Sharing
from flambeau.kernels.target import host

ARENA, WORKSPACE, SCRATCH, FIRST = range(4)  # the table's slots; inputs begin at FIRST

_REDUCTIONS = {
    "sum": "sum", "prod": "prod", "amax": "max", "amin": "min", "all": "all", "any": "any",
    "argmax": "argmax", "argmin": "argmin",
}  # fmt: skip
_FEWEST_SLABS = 8  # that threads can share
_SHORTEST_SLAB = 64
_OPERANDS = 4  # of a slab that should be near at a time
_COPIES = {"view_put", "cat", "constant_pad_nd", "slice_backward"}


KernelCall = tuple[Kernel, list[Place]]

# What a node becomes --------------------------------------------------------------------------------


def kind_of(node: Node) -> str:
    """How a node runs: "view", "pointwise", "reduce", "matmul", "copies", "family" or
    "host"."""
    primitive, values = node.primitive, node.values
    out = node.outputs[0]
    if any(v.dtype.kind in "cO" or v.size == 0 for v in (*values, *node.outputs)):
        return "host"
    if primitive.view:
        # `as_strided` speaks of row-major memory, which the value of the moment need not lie in.
        by_strides = out.dtype == values[0].dtype and primitive.name != "as_strided"
        return "view" if by_strides else "host"
    if primitive.pointwise:
        return "pointwise" if values and not can_lower(node) else "host"
    if primitive.name in _REDUCTIONS:
        return "reduce" if _axes(node) and _is_number(values[0]) else "host"
    if primitive.name == "mm" and out.dtype.kind in "fV":
        return "matmul"
    if primitive.name in _COPIES:
        return "copies"
    family = getattr(primitive.lowering, "family", None)
    return "family" if family in families.EMITTERS else "host"


def takes_epilogue(node: Node, results: int) -> bool:
    """Whether the kernel of a node can finish its elements by a pointwise expression."""
    if node.outputs[0].dtype.itemsize < 4:
        return False
    if node.primitive.name == "mm":
        return results == 1 and kind_of(node) == "matmul"
    sums = node.primitive.name in ("convolution", "convolution_input")
    return sums and kind_of(node) == "family" and len(node.outputs[0].shape) == 4


def slab_axes(node: Node) -> tuple[int, ...] | None:
    """The dimensions over which a reduction may be part of a slab (see `kernels/slabs.py`), or `None`."""
    x, out = node.values[0], node.outputs[0]
    axes, shape = tuple(sorted(_axes(node))), x.shape
    if _REDUCTIONS[node.primitive.name] not in slabs.OPS or x.dtype != out.dtype or not axes:
        return None
    elements = math.prod(shape[d] for d in axes)
    in_order = len(shape) - 1 in axes or (len(shape) == 4 and 0 in axes)  # or samples lie side by side
    many = math.prod(shape) // max(elements, 1) >= _FEWEST_SLABS and elements >= _SHORTEST_SLAB
    near = slabs.fits(host(), elements, x.dtype.itemsize, _OPERANDS)
    return axes if in_order and many and near else None


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


def _reduced(builder: Builder, node: Node, element: Element) -> Element:
    """A reduction as a node of a slab's expression."""
    op, dtype = _REDUCTIONS[node.primitive.name], node.outputs[0].dtype
    if op in ("any", "all"):
        element = builder.cast(element, BOOL)
    made = builder.add_node("reduce", op, element.position, dtype=dtype)
    if dtype.itemsize == 2 and dtype.kind in "fV":
        made = builder.add_node("convert", made.position, dtype.name, dtype=dtype)
    return made


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
    calls: list[tuple[Kernel, list[Place]]] = field(default_factory=list)
    node: Node | None = None
    elementwise: bool = False


class Executable:
    """A program in memory, ready to run.

    The caller puts addresses of inputs and outputs in `table` (see `input_slot`, `output_slot`), the
    arrays in `arrays`, and calls `run()`.
    """

    def __init__(
        self,
        graph: Graph,
        written: dict[int, int],
        key: str | None = None,
        schedule: Schedule = Schedule(),
    ):
        self.graph, self.schedule = graph, schedule
        compiled = _Compilation(graph, written, schedule)
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
        own_lock(self)  # table, arena and arrays serve one call at a time
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
                    emit_driver(
                        module,
                        name,
                        list(calls),
                        native.Place(WORKSPACE),
                        native.Place(SCRATCH),
                    )
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
            (
                programs[r], self.code.address(programs[r].name), self.code.function(programs[r].name, 4), Sharing(),
            )
            if isinstance(r, int)
            else r
            for r in runs
        ]  # fmt: skip

    def _place(self, place: Place) -> native.Place:
        slot, offset = self.homes[place.root]
        return native.Place(slot, offset + place.offset * place.dtype.itemsize)

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
                program, address, alone, sharing = call
                if program.parallel and many:
                    sharing.run(
                        partial(threads.run, address, table, program.patience), partial(alone, table, 0, 0, 1)
                    )
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

    def __init__(self, graph: Graph, written: dict[int, int], schedule: Schedule):
        self.graph, self.written, self.schedule = graph, written, schedule
        self.module = Module()
        self.kernel_count = 0
        self.known: dict[Any, Kernel] = {}
        self.constants: list[np.ndarray] = []
        self.constant_slots: dict[int, int] = {}
        self.located: dict[Value, Place] = {v: whole(v) for v in graph.inputs}
        self.steps: list[Step] = []
        self.turned: dict[Place, Place] = {}
        self.packed: dict[Any, Place] = {}
        self.multiplied = Counter(n.values[1] for n in graph.nodes if n.primitive.name == "mm")
        groups = fuse(graph, kind_of, takes_epilogue, slab_axes)
        self.destined = destinations(graph, groups)
        for group in groups:
            self._lower(group)
        self.homes: dict[Value, tuple[int, int]] = {}
        self._outputs()
        self._plan()

    # Operands ----------------------------------------------------------------------------------

    def locate(self, value: Value) -> Place:
        found = self.located.get(value)
        if found is None:
            assert value.constant is not None, "a value that was never made"
            found = self.located[value] = self._constant(value)
        return found

    def _constant(self, value: Value) -> Place:
        array = value.constant
        if value.number is not None:
            array = np.asarray(value.number, value.dtype).reshape((1,) * len(value.shape))
        array = np.ascontiguousarray(array)
        root = Value(array.shape, array.dtype, constant=array)
        self.constants.append(array)
        self.constant_slots[id(root)] = len(self.constants) - 1
        located = whole(root)
        if value.number is not None:
            return Place(root, 0, value.shape, (0,) * len(value.shape))
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
            self.located[value] = self.destined.get(value) or whole(value)
        getattr(self, f"_{group.kind}")(group)

    def _step(
        self,
        group: Group | None,
        calls: list[tuple[Kernel, list[Place]]],
        writes: list[Value],
        **options: Any,
    ) -> None:
        writes = [self.located[v].root if v in self.located else v for v in writes]
        roots = set(writes)
        reads = [o.root for _, operands in calls for o in operands if o.root not in roots]
        self.steps.append(Step(group, list(dict.fromkeys(reads)), writes, calls, **options))

    def _view(self, group: Group) -> None:
        (node,) = group.nodes
        base, *rest = node.inputs
        (out,) = node.outputs
        try:
            self.located[out] = self.locate(base).view(
                (node.primitive, tuple(rest), node.attributes)
            )
        except ValueError:
            # A reshape across strides: the base is put in order first.
            group.notes.append("copied: its strides do not allow the view")
            target = self.located[out] = whole(out)
            ordered = target.seen(base.shape, contiguous_strides(base.shape, 1))
            self._step(group, [self._copy(self.locate(base), ordered)], [out])

    def _copy(self, source: Place, target: Place) -> KernelCall:
        """A kernel that copies elements."""
        operands = source.broadcast(target.shape).operand, target.operand
        lanes = self.module.target.lanes(target.dtype.itemsize)
        if permute.applies(target.shape, *operands, lanes):
            kernel = self.kernel(
                ("permute", target.shape, *operands),
                lambda name: permute.emit(self.module, name, target.shape, *operands),
            )
            return kernel, [source, target]
        return self.pointwise_call(
            [source.broadcast(target.shape)], [target], (("input", 0),), (0,)
        )

    def _fill(self, number: Any, target: Place) -> KernelCall:
        """A kernel that sets every element."""
        return self._copy(self.locate(constant(np.asarray(number, target.dtype))), target)

    def pointwise_call(
        self, inputs: list[Place], outputs: list[Place], nodes: Any, results: Any
    ) -> KernelCall:
        """A kernel of an expression over places of one shape."""
        kernel = self._elementwise(
            outputs[0].shape,
            [p.operand for p in inputs],
            [p.operand for p in outputs],
            nodes,
            results,
        )
        return kernel, [*inputs, *outputs]

    def _elementwise(
        self, shape: Any, inputs: Any, outputs: Any, nodes: Any, results: Any
    ) -> Kernel:
        key = (
            "pointwise",
            tuple(shape),
            tuple(inputs),
            tuple(outputs),
            tuple(nodes),
            tuple(results),
        )
        return self.kernel(
            key,
            lambda name: pointwise.emit(
                self.module, name, shape, inputs, outputs, tuple(nodes), results
            ),
        )

    def _expression(
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
            if node.primitive.name in _REDUCTIONS:
                elements[node.outputs[0]] = _reduced(builder, node, operands_of[0])
            else:
                elements[node.outputs[0]] = add_primitive(builder, node, operands_of)
        for value in list(elements):
            element(value)
        return elements, operands

    def _reads_lanes(self, group: Group, shape: tuple[int, ...]) -> bool:
        """Whether something of this shape that the group reads has its samples side by side."""
        return any(
            has_batch_last(self.located[v]) for v in group.inputs if v in self.located and v.shape == shape
        )

    def _pointwise(self, group: Group) -> None:
        shape = group.nodes[0].outputs[0].shape
        builder = Builder()
        elements, operands = self._expression(builder, group.nodes, shape)
        # The result lies as its inputs do, so that layouts follow from convolutions onwards.
        if self._reads_lanes(group, shape):
            for value in group.outputs:
                if value not in self.destined:
                    self.located[value] = batch_last(value)
        outputs = [self.located[v] for v in group.outputs]
        results = [elements[v].position for v in group.outputs]
        call = self.pointwise_call(operands, outputs, builder.nodes, results)
        self._step(group, [call], group.outputs, elementwise=True)

    def _slab(self, group: Group) -> None:
        """Reductions over the same dimensions of one shape, what they are made of, and what is made of them."""
        first = next(n for n in group.nodes if n.primitive.name in _REDUCTIONS)
        shape, axes = first.values[0].shape, tuple(sorted(_axes(first)))
        row = tuple(1 if d in axes else n for d, n in enumerate(shape))
        builder = Builder()
        elements, operands = self._expression(builder, group.nodes, shape)
        lanes = self._reads_lanes(group, shape)
        outputs = []
        for value in group.outputs:
            if value.shape == shape:
                if lanes:
                    self.located[value] = batch_last(value)
                outputs.append(self.located[value])
            else:
                one = whole(value).seen(row, contiguous_strides(row, 1))
                outputs.append(one.broadcast(shape))
        results = tuple(elements[v].position for v in group.outputs)
        ins, ends = [p.operand for p in operands], [p.operand for p in outputs]
        nodes = tuple(builder.nodes)
        kernel = self.kernel(
            ("slab", shape, axes, *ins, "to", *ends, nodes, results),
            lambda name: slabs.emit(self.module, name, shape, axes, ins, ends, nodes, results),
        )
        self._step(group, [(kernel, [*operands, *outputs])], group.outputs)

    def _reduce(self, group: Group) -> None:
        *prologue, node = group.nodes
        source = node.values[0]
        shape, axes = source.shape, _axes(node)
        builder = Builder()
        elements, operands = self._expression(builder, prologue, shape)
        if source not in elements:
            operands = [self.locate(source).broadcast(shape)]
            elements[source] = builder.input(0, source.dtype)
        element = elements[source]
        op = _REDUCTIONS[node.primitive.name]
        if op in ("any", "all"):
            element = builder.cast(element, BOOL)
        left = tuple(n for d, n in enumerate(shape) if d not in axes)
        (out,) = node.outputs
        target = whole(out).seen(left, contiguous_strides(left, 1))
        call = self.reduction_call(operands, target, axes, builder.nodes, op, element)
        self._step(group, [call], [out])

    def reduction_call(
        self, inputs: list[Place], target: Place, axes: tuple[int, ...], nodes: Any, op: str,
        element: Element,
    ) -> KernelCall:  # fmt: skip
        """A kernel that reduces an expression over places of one shape."""
        if not op.startswith("arg"):  # whose positions count in order
            inputs, axes = _in_memory_order(inputs, axes)
        shape, operands = inputs[0].shape, [p.operand for p in inputs]
        key = (
            "reduce",
            shape,
            axes,
            tuple(operands),
            target.operand,
            tuple(nodes),
            op,
            element,
        )
        kernel = self.kernel(
            key,
            lambda name: reduce.emit(
                self.module, name, shape, axes, operands, [target.operand], tuple(nodes),
                [Reduction(op, element.position)],
            ),
        )  # fmt: skip
        return kernel, [*inputs, target]

    def _matmul(self, group: Group) -> None:
        node, *epilogue = group.nodes
        a, b = map(self.locate, node.values)
        (out,) = group.outputs
        batch = out.shape[:-2]
        a, b = a.broadcast((*batch, *a.shape[-2:])), b.broadcast((*batch, *b.shape[-2:]))
        end = self.epilogue(node, epilogue, [out])
        nodes = (*end.nodes, ("convert", end.results[0], out.dtype.name))  # the last is stored
        often = self.multiplied[node.values[1]] > 1
        call = self.product_call(
            _usual(a), _usual(b), self.located[out], nodes, end.extras, often
        )
        self._step(group, [call], [out])

    def epilogue(self, node: Node, after: list[Node], outputs: list[Value]) -> Epilogue:
        """What a kernel does with each sum before it stores it."""
        builder = Builder()
        value = node.outputs[0]
        elements, extras = self._expression(builder, after, value.shape, given=value)
        return Epilogue(builder.nodes, [elements[v].position for v in outputs], extras)

    def product_call(
        self, a: Place, b: Place, out: Place, epilogue: tuple = (("input", 0),),
        extras: Sequence[Place] = (), often: bool = False,
    ) -> KernelCall:  # fmt: skip
        """A kernel for (*batch, m, k) x (*batch, k, n) -> (*batch, m, n), and an epilogue.

        Where many products read `b` (`often`), it is packed once for all.
        """
        batch, (m, k), n = out.shape[:-2], a.shape[-2:], b.shape[-1]
        packed = self._packed(a, b) if often and not batch else None
        operands, more = [p.operand for p in (a, b, out)], [p.operand for p in extras]
        kernel = self.kernel(
            ("product", m, n, k, batch, *operands, epilogue, *more, packed is not None),
            lambda name: gemm.emit(
                self.module,
                name,
                m,
                n,
                k,
                *operands,
                batch=batch,
                epilogue=epilogue,
                extras=more,
                packed=packed is not None,
            ),
        )
        return kernel, [a, packed or b, *extras, out]

    def _packed(self, a: Place, b: Place) -> Place | None:
        """`b` as products with `a` want it, or `None` if they read it as it lies."""
        (m, k), n = a.shape, b.shape[1]
        operands = a.operand, b.operand
        size = gemm.packed_size(self.module, m, n, k, *operands)
        if size is None:
            return None
        found = self.packed.get((b, size, m))
        if found is None:
            found = self.packed[b, size, m] = whole(Value((size,), b.dtype))
            kernel = self.kernel(
                ("packing", m, n, k, *operands),
                lambda name: gemm.emit_packing(self.module, name, m, n, k, *operands),
            )
            self._step(None, [(kernel, [b, found])], [found.root])
        return found

    def in_lanes(self, place: Place) -> Place:
        """`place` with its samples side by side: a copy, made once, where it lies otherwise."""
        if place.strides[0] == 1 and place.shape[0] > 1:
            return place
        found = self.turned.get(place)
        if found is None:
            found = self.turned[place] = batch_last(Value(place.shape, place.dtype))
            self._step(None, [self._copy(place, found)], [found.root])
        return found

    def _family(self, group: Group) -> None:
        """A node whose kernels a family makes; the host computes what none can."""
        node, *after = group.nodes
        work = Work(self, node)
        work.after, work.results = after, group.outputs
        try:
            families.EMITTERS[node.primitive.lowering.family](work, node)
        except NotImplementedError as e:
            group.notes.append(f"on the host: {e}")
            self._host_alone(group, node, after)
            return
        self._step(group, work.calls, [*group.outputs, *work.temporaries])

    def _host_alone(self, group: Group, node: Node, after: list[Node]) -> None:
        """The host computes a node; what was to be its epilogue runs by itself."""
        outputs, group.nodes, group.outputs = group.outputs, [node], list(node.outputs)
        self._host(group)
        if after:
            rest = Group("pointwise", after, outputs)
            self._pointwise(rest)

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
        if node.primitive.name == "cat":
            if len(out.shape) == 4 and all(has_batch_last(self.locate(v)) for v in node.values):
                self.located[out] = batch_last(out)
            calls = self._joins(node, self.located[out])
            if len(calls) < len(node.values):
                group.notes.append(f"{len(node.values) - len(calls)} parts were written in place")
        else:
            calls = self._copies_of(node, out)
        self._step(group, calls, [out])

    def _joins(self, node: Node, joined: Place) -> list[KernelCall]:
        """Copies those parts of a concatenation that were not made where they belong."""
        parts = [(self.locate(value), place) for value, place in parts_of(node, joined)]
        return [self._copy(s, target) for s, target in parts if not s.is_same(target)]

    def _copies_of(self, node: Node, out: Value) -> list[tuple[Kernel, list[Place]]]:
        name, attributes = node.primitive.name, node.attributes
        target = whole(out)
        first = self.locate(node.values[0])
        if name == "view_put":
            inside = target
            for step in attributes["steps"]:
                inside = inside.view(step)
            return [self._copy(first, target), self._copy(self.locate(node.values[1]), inside)]
        if name == "slice_backward":
            starts, steps, fill = attributes["starts"], attributes["steps"], 0
        else:
            starts, steps, fill = (
                attributes["before"],
                (1,) * len(out.shape),
                attributes["value"],
            )
        offset = sum(a * s for a, s in zip(starts, target.strides, strict=True))
        strides = [s * t for s, t in zip(target.strides, steps, strict=True)]
        return [
            self._fill(fill, target),
            self._copy(first, target.seen(first.shape, strides, offset)),
        ]

    # Outputs and memory ------------------------------------------------------------------------

    def _outputs(self) -> None:
        """Gives every output a home, and copies to those that no kernel writes directly."""
        graph, constants = self.graph, len(self.graph.inputs)
        for k in range(len(graph.inputs)):
            self.homes[graph.inputs[k]] = (FIRST + k, 0)
        first_output = FIRST + constants + len(self.constants)
        made: dict[Value, int] = {}  # the step that first writes a value
        for k, step in enumerate(self.steps):
            for value in step.writes:
                made.setdefault(value, k)
        late: list[tuple[Place, Value]] = []
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
                    self._step(None, [self._copy(located, whole(kept))], [kept])
                    located = whole(kept)
                late.append((located, copy))
                self.output_roots[copy] = k
        for located, copy in late:
            source = located
            self._step(None, [self._copy(source, whole(copy))], [copy])
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
        plain = whole(memory).broadcast(memory.shape).strides
        return own.elementwise and all(
            o.offset == 0 and o.strides == plain
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


def _in_memory_order(
    inputs: list[Place], axes: tuple[int, ...]
) -> tuple[list[Place], tuple[int, ...]]:
    """The places with the reduced dimensions last, those with the largest steps in memory first."""
    rank = len(inputs[0].shape)
    densest = max(inputs, key=lambda p: sum(s != 0 for s in p.strides))
    kept = [d for d in range(rank) if d not in axes]
    reduced = sorted(axes, key=lambda d: -abs(densest.strides[d]))
    moved = [p.moved([*kept, *reduced]) for p in inputs]
    for d in range(rank - 1, len(kept), -1):  # neighbours that lie without gaps become one
        if all(p.strides[d - 1] == p.strides[d] * p.shape[d] for p in moved):
            moved = [_joined(p, d - 1) for p in moved]
    return moved, tuple(range(len(kept), len(moved[0].shape)))


def _joined(place: Place, d: int) -> Place:
    """With dimensions `d` and `d + 1` as one."""
    shape, strides = place.shape, place.strides
    return place.seen(
        (*shape[:d], shape[d] * shape[d + 1], *shape[d + 2 :]),
        (*strides[:d], *strides[d + 1 :]),
    )


def _usual(place: Place) -> Place:
    """With the stride of the last dimension 1 where it has only one element."""
    if place.shape[-1] == 1 and place.strides[-1] == 0:
        return place.seen(place.shape, (*place.strides[:-1], 1))
    return place


@dataclass
class Epilogue:
    """An expression of a sum, ("input", 0), and of extras; which nodes are stored."""

    nodes: list[tuple]
    results: list[int]
    extras: list[Place]


class Work:
    """What a family's emitter works with: the kernels of one node, and memory that only it uses."""

    def __init__(self, compilation: _Compilation, node: Node):
        self._compilation = compilation
        self.calls: list[KernelCall] = []
        self.temporaries: list[Value] = []
        self.node = node
        self.after: list[Node] = []  # pointwise nodes that the kernel should take in
        self.results: list[Value] = list(node.outputs)  # what leaves it

    def epilogue(self) -> Epilogue:
        """The expression of the nodes that the kernel takes in."""
        return self._compilation.epilogue(self.node, self.after, self.results)

    def place(self, value: Value) -> Place:
        """Where an input or an output lies."""
        return self._compilation.locate(value)

    def constant(self, array: np.ndarray) -> Place:
        """Where a constant array lies."""
        return self._compilation.locate(constant(array))

    def temporary(
        self, shape: Sequence[int], dtype: np.dtype, like: Place | None = None
    ) -> Place:
        """Memory that is free again after this node, with its samples as in `like`."""
        value = Value(shape, dtype)
        place = batch_last(value) if like is not None and has_batch_last(like) else whole(value)
        self.temporaries.append(place.root)
        return place

    def lay_out(self, value: Value, like: Place | None = None) -> Place:
        """Puts a result's samples side by side (as in `like`, if that is given)."""
        if like is None or has_batch_last(like):
            self._compilation.located[value] = batch_last(value)
        return self._compilation.located[value]

    def in_lanes(self, place: Place) -> Place:
        """A place with its samples side by side."""
        return self._compilation.in_lanes(place)

    def in_order(self, place: Place) -> Place:
        """A place whose last dimension lies without gaps."""
        if place.strides[-1] == 1 and (place.strides[0] != 1 or place.shape[0] == 1):
            return place
        ordered = self.temporary(place.shape, place.dtype)
        self.copy(place, ordered)
        return ordered

    @property
    def schedule(self) -> Schedule:
        """How the program is to be done."""
        return self._compilation.schedule

    @property
    def lanes(self) -> int:
        """How many float32 numbers a vector holds."""
        return self._compilation.module.target.lanes(4)

    def native(self, key: tuple, places: list[Place], emit: Any) -> None:
        """A kernel that `emit(module, name, operands)` writes, shared by equal keys."""
        compilation, operands = self._compilation, [p.operand for p in places]
        kernel = compilation.kernel(
            (*key, *operands), lambda name: emit(compilation.module, name, operands)
        )
        self.calls.append((kernel, places))

    def copy(self, source: Place, target: Place) -> None:
        self.calls.append(self._compilation._copy(source, target))

    def fill(self, target: Place, number: Any) -> None:
        self.calls.append(self._compilation._fill(number, target))

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
            self._compilation.pointwise_call(inputs, outputs, builder.nodes, positions)
        )

    def reduction(
        self, axes: tuple[int, ...], inputs: list[Place], target: Place, builder: Builder, op: str,
        element: Element,
    ) -> None:  # fmt: skip
        self.calls.append(
            self._compilation.reduction_call(inputs, target, axes, builder.nodes, op, element)
        )

    def product(self, a: Place, b: Place, out: Place) -> None:
        self.calls.append(self._compilation.product_call(a, b, out))


__all__ = ["Executable", "kind_of"]
