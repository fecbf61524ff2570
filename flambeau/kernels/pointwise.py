"""Fused pointwise chains: any expression over inputs of any strides, in one pass over
memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.kernels.element import Element, element_of
from flambeau.kernels.expression import Nodes, cost, evaluate, types, vectors_abreast
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import (
    Buffer,
    Function,
    Index,
    Module,
    Offset,
    Pointer,
    Value,
)
from flambeau.kernels.meetings import Band

_TASKS = 64  # enough that a few threads can share them evenly


@dataclass(frozen=True)
class Operand:
    """An input or output: its dtype (anything NumPy takes) and strides, in elements.

    A stride of 0 broadcasts. Strides stand for the kernel's whole shape, so a scalar has zeros.
    """

    dtype: str
    strides: tuple[int, ...]

    @property
    def element(self) -> Element:
        return element_of(self.dtype)

    def extent(self, shape: Sequence[int]) -> int:
        """How many elements lie between the first and the last, both counted."""
        reach = (s * (n - 1) for s, n in zip(self.strides, shape, strict=True))
        return sum(reach) + 1 if all(shape) else 0


def contiguous(dtype: str, shape: Sequence[int]) -> Operand:
    """An operand that lies in memory in order, without gaps."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return Operand(dtype, tuple(reversed(strides)))


def emit(
    module: Module,
    name: str,
    shape: Sequence[int],
    inputs: Sequence[Operand],
    outputs: Sequence[Operand],
    nodes: Nodes,
    results: Sequence[int],
) -> Kernel:
    """A kernel that computes `nodes` at every element of `shape`.

    Args:
        module: where its function goes. name: of the kernel. shape: all elements that are
        computed. inputs, outputs: its buffers, in this order. An output may be the same memory
        as an input
            with equal strides; other overlaps are not allowed.
        nodes: the expression, see `expression.py`.
        results: for each output, the node that is stored there.
    """
    buffers = operand_buffers(inputs, outputs, shape)
    elements = _product(shape)
    operands = [*inputs, *outputs]
    work = elements * (cost(nodes) + len(operands))
    kernel = Kernel(
        name, buffers, (), flops=elements * (cost(nodes) - 1),
        traffic=sum(o.element.bytes * touched(o, shape) for o in operands),
    )  # fmt: skip
    if not elements:
        return kernel
    loops = plan(module, shape, inputs, outputs, nodes, results)
    f, pointers, _, _, begin, end = stage_function(module, name, buffers)
    loops.emit(f, pointers[: len(inputs)], pointers[len(inputs) :], begin, end)
    bands = tuple(loops.band(i, o.element.bytes) for i, o in enumerate(operands))
    stage = Stage(name, loops.tasks, work >= WORTH_A_THREAD, bands)
    return Kernel(name, buffers, (stage,), flops=kernel.flops, traffic=kernel.traffic)


def plan(
    module: Module, shape: Sequence[int], inputs: Sequence[Operand],
    outputs: Sequence[Operand], nodes: Nodes, results: Sequence[int],
) -> Plan:  # fmt: skip
    """The loops of such a kernel, for generators that put them into functions of their own."""
    operands = [*inputs, *outputs]
    sizes, strides = collapse(shape, [o.strides for o in operands], by=len(inputs))
    lanes = choose_lanes(module, nodes, inputs, outputs)
    if all(s[-1] in (0, 1) for s in strides):
        wide = lanes * vectors_abreast(module.target, nodes)
        lanes = wide if sizes[-1] >= 2 * wide else lanes
    return Plan(sizes, strides[: len(inputs)], strides[len(inputs) :], nodes, results, lanes)


class Plan:
    """The loops of one kernel: tasks over the outer dimensions, vectors over the innermost.

    Outer dimensions up to `split` are flattened into task numbers; those between are loops
    within a task. Where there are few rows, a task is a chunk of a row instead.
    """

    def __init__(
        self, sizes: Sequence[int], input_strides: Sequence[Sequence[int]],
        output_strides: Sequence[Sequence[int]], nodes: Nodes, results: Sequence[int],
        lanes: int,
    ):  # fmt: skip
        self.sizes, self.lanes = list(sizes), lanes
        self.input_strides, self.output_strides = input_strides, output_strides
        self.nodes, self.results = nodes, results
        self.inner = len(sizes) - 1
        self.split = 0
        rows = 1
        while self.split < self.inner and rows < _TASKS:
            rows *= sizes[self.split]
            self.split += 1
        vectors = sizes[-1] // lanes
        whole_rows = self.split < self.inner or rows >= _TASKS // 4
        self.chunks = 1 if whole_rows else max(1, min(_TASKS // rows, vectors // 16))
        self.tasks = rows * self.chunks

    def band(self, number: int, item: int) -> Band | None:
        """Where the tasks go in an operand (inputs first) of `item` bytes an element, if they go evenly."""
        sizes, strides = self.sizes, [*self.input_strides, *self.output_strides][number]
        if min(strides) < 0:
            return None
        reach = sum(s * (n - 1) for s, n in zip(strides[self.split :], sizes[self.split :], strict=True))
        if self.chunks > 1:
            if self.split or sizes[-1] % (self.chunks * self.lanes):
                return None
            count = sizes[-1] // self.chunks
            return Band(count * strides[-1] * item, ((count - 1) * strides[-1] + 1) * item)
        outer = range(self.split - 1)
        if any(strides[d] != strides[d + 1] * sizes[d + 1] for d in outer):
            return None
        return Band(strides[self.split - 1] * item if self.split else 0, (reach + 1) * item)

    def emit(
        self,
        f: Function,
        inputs: list[Pointer],
        outputs: list[Pointer],
        begin: Index,
        end: Index,
    ) -> None:
        known = self._hoist(f, inputs, 0, {})
        with f.range(begin, end) as task:
            chunk: Offset = task % self.chunks
            row: Offset = task // self.chunks
            inputs, outputs = list(inputs), list(outputs)
            for dim in reversed(range(self.split)):
                here = row % self.sizes[dim] if dim else row
                row = row // self.sizes[dim] if dim else row
                inputs, outputs = self._move(inputs, outputs, dim, here)
            self._rows(f, self.split, inputs, outputs, chunk, known)

    def _move(
        self, inputs: list[Pointer], outputs: list[Pointer], dim: int, by: Offset
    ) -> tuple[list[Pointer], list[Pointer]]:
        return (
            [p + by * s[dim] for p, s in zip(inputs, self.input_strides, strict=True)],
            [p + by * s[dim] for p, s in zip(outputs, self.output_strides, strict=True)],
        )

    def _hoist(
        self, f: Function, inputs: list[Pointer], dim: int, known: dict[int, Value]
    ) -> dict[int, Value]:
        """Loads what does not change from dimension `dim` inwards, and computes all it can."""
        fixed = {
            k: pointer.broadcast(self.lanes)
            for k, (pointer, strides) in enumerate(zip(inputs, self.input_strides, strict=True))
            if not any(strides[dim:]) and any(strides[:dim]) == (dim > 0)
        }
        return evaluate(f, self.nodes, fixed, self.lanes, known)

    def _rows(
        self, f: Function, dim: int, inputs: list[Pointer], outputs: list[Pointer],
        chunk: Offset, known: dict[int, Value],
    ) -> None:  # fmt: skip
        """The loops over the outer dimensions that are left, then the row itself."""
        if dim < self.inner:
            with f.range(0, self.sizes[dim]) as here:
                moved = self._move(inputs, outputs, dim, here)
                self._rows(f, dim + 1, *moved, chunk, known)
            return
        if self.inner:
            known = self._hoist(f, inputs, self.inner, known)
        self._row(f, inputs, outputs, chunk, known)

    def _row(
        self, f: Function, inputs: list[Pointer], outputs: list[Pointer], chunk: Offset,
        known: dict[int, Value],
    ) -> None:  # fmt: skip
        """One row, or one chunk of it: whole vectors, then the rest under a mask."""
        vectors, rest = divmod(self.sizes[-1], self.lanes)
        if self.chunks == 1:
            first: Offset = 0
            last: Offset = vectors
        else:
            first = chunk * vectors // self.chunks
            last = (chunk + 1) * vectors // self.chunks
        if vectors:
            with f.range(first, last) as vector:
                self._vector(f, inputs, outputs, vector * self.lanes, self.lanes, known)
        if rest and self.chunks == 1:
            self._vector(f, inputs, outputs, vectors * self.lanes, rest, known)
        elif rest:
            assert isinstance(chunk, Index)
            with f.when(chunk.eq(self.chunks - 1)):
                self._vector(f, inputs, outputs, vectors * self.lanes, rest, known)

    def _vector(
        self, f: Function, inputs: list[Pointer], outputs: list[Pointer], at: Offset,
        active: int, known: dict[int, Value],
    ) -> None:  # fmt: skip
        loaded = {}
        for k, (pointer, strides) in enumerate(zip(inputs, self.input_strides, strict=True)):
            if stride := strides[-1]:
                loaded[k] = (pointer + at * stride).load_strided(stride, self.lanes, active)
        values = evaluate(f, self.nodes, loaded, self.lanes, known)
        for pointer, strides, node in zip(
            outputs, self.output_strides, self.results, strict=True
        ):
            value = f.convert(values[node], pointer.element.computed)
            stride = strides[-1]
            (pointer + at * stride).store_strided(value, stride or 1, active)


def operand_buffers(
    inputs: Sequence[Operand], outputs: Sequence[Operand], shape: Sequence[int]
) -> tuple[Buffer, ...]:
    """The parameters of a kernel over `shape`."""
    ins = [Buffer(f"in{i}", o.element, o.extent(shape)) for i, o in enumerate(inputs)]
    outs = [
        Buffer(f"out{i}", o.element, o.extent(shape), once=True) for i, o in enumerate(outputs)
    ]
    return (*ins, *outs)


def touched(operand: Operand, shape: Sequence[int]) -> int:
    """How many different elements are read or written."""
    return _product(n for s, n in zip(operand.strides, shape, strict=True) if s)


def choose_lanes(
    module: Module, nodes: Nodes, inputs: Sequence[Operand], outputs: Sequence[Operand]
) -> int:
    """How many elements are computed at a time: a full register of the most usual width."""
    found = types(nodes, [o.dtype for o in inputs])
    sizes = {e.bytes for e in found if e.kind != "bool"} or {1}
    width = 4 if 4 in sizes else max(sizes)
    return module.target.lanes(width)


def collapse(
    shape: Sequence[int], strides: Sequence[Sequence[int]], by: int = 0, sort: bool = True
) -> tuple[list[int], list[list[int]]]:
    """Fewest dimensions that visit the same elements.

    Dimensions of size 1 go; those left are put in the order of operand `by`'s strides, largest
    first; neighbours that every operand steps through evenly become one.

    Returns:
        The sizes, and for each operand its strides.
    """
    dims = [d for d, size in enumerate(shape) if size != 1]
    if sort:
        dims.sort(key=lambda d: -abs(strides[by][d]))
    sizes: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for d in dims:
        joins = bool(sizes) and all(
            m[-1] == s[d] * shape[d] for m, s in zip(merged, strides, strict=True)
        )
        if joins:
            sizes[-1] *= shape[d]
        else:
            sizes.append(shape[d])
        for m, s in zip(merged, strides, strict=True):
            if joins:
                m[-1] = s[d]
            else:
                m.append(s[d])
    if not sizes:
        return [1], [[1 if i >= by else 0] for i in range(len(strides))]
    return sizes, merged


def _product(sizes: object) -> int:
    result = 1
    for size in sizes:  # type: ignore[attr-defined]
        result *= size
    return result
