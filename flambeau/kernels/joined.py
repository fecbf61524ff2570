"""One expression over many tensors of any sizes: what updates all parameters of a network at once.

The members of a joined kernel are *records* in memory: how many elements a member has, and where each operand is.
So one piece of code serves any number of tensors of any sizes, and threads share all their elements evenly, with no
barrier in between. An operand is either as large as its member, without gaps, or one number.

    members, then for each: first task, elements, (slot of the program's table, bytes from there) of each operand

A task is a block of one member's elements. Where members are single numbers, each fills a lane of a vector, and a
task is a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flambeau.kernels.element import I64, element_of
from flambeau.kernels.expression import Nodes, cost, evaluate
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import (
    Buffer,
    Function,
    Index,
    Mask,
    Module,
    Offset,
    Pointer,
    Region,
    Value,
)
from flambeau.kernels.pointwise import Operand, choose_lanes

_BLOCK = 256  # elements of a task: whole vectors and whole cache lines
_HEAD = 2  # numbers of a record before its operands


@dataclass(frozen=True)
class Joined:
    """What is computed of each member.

    Attributes:
        dtypes: of the operands, inputs first, then outputs.
        inputs: how many of them are inputs.
        numbers: whether each operand is one number; outputs are if all are.
        nodes: the expression, see `expression.py`.
        results: for each output, the node that is stored there.
    """

    dtypes: tuple[str, ...]
    inputs: int
    numbers: tuple[bool, ...]
    nodes: Nodes
    results: tuple[int, ...]

    @property
    def is_single(self) -> bool:
        """Whether members are single numbers."""
        return all(self.numbers)

    def lanes(self, module: Module) -> int:
        """How many elements are computed at a time."""
        operands = [Operand(d, ()) for d in self.dtypes]
        return choose_lanes(module, self.nodes, operands[: self.inputs], operands[self.inputs :])


def emit(module: Module, name: str, joined: Joined, counts: Sequence[int]) -> Kernel:
    """A kernel over members with so many elements.

    Its buffers are the program's table of addresses and the records. An output may be the same memory as an input of
    its member; otherwise no member reads what another writes.
    """
    buffers = Buffer("table", I64), Buffer("records", I64)
    f, (table, records), _, _, begin, end = stage_function(module, name, buffers)
    walk = _Walk(f, joined, table, records, len(counts) if joined.is_single else _BLOCK * sum(map(_blocks, counts)))
    if joined.is_single:
        walk.over_numbers(begin, end)
    else:
        walk.over_blocks(begin, end)
    return resized(module, Kernel(name, buffers, (Stage(name, 0),)), joined, counts)


def resized(module: Module, kernel: Kernel, joined: Joined, counts: Sequence[int]) -> Kernel:
    """The same code for other members, with so many elements."""
    elements = sum(counts)
    tasks = -(-len(counts) // joined.lanes(module)) if joined.is_single else sum(map(_blocks, counts))
    parallel = elements * (cost(joined.nodes) + len(joined.dtypes)) >= WORTH_A_THREAD
    traffic = sum(
        element_of(dtype).bytes * (len(counts) if number else elements)
        for dtype, number in zip(joined.dtypes, joined.numbers, strict=True)
    )
    (stage,) = kernel.stages
    stage = replace(stage, tasks=tasks, parallel=parallel)
    return replace(kernel, stages=(stage,), flops=elements * (cost(joined.nodes) - 1), traffic=traffic)


def records(counts: Sequence[int], places: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """What the buffer of records holds: for each member its elements, and slot and bytes of each operand."""
    found, first = [len(counts)], 0
    for count, operands in zip(counts, places, strict=True):
        found += [first, count, *(number for place in operands for number in place)]
        first += _blocks(count)
    return found


def records_size(members: int, operands: int) -> int:
    """How many whole numbers the buffer of records has."""
    return 1 + members * (_HEAD + 2 * operands)


def _blocks(count: int) -> int:
    return -(-count // _BLOCK)


class _Walk:
    """The loops over members, and what is done with a vector of their elements."""

    def __init__(self, f: Function, joined: Joined, table: Pointer, records: Pointer, elements: int):
        self.f, self.joined, self.table = f, joined, table
        self.elements = elements  # of all members together, for the checker
        self.members, self.records = records.load().index(), records + 1
        self.lanes = joined.lanes(f.module)
        self.size = records_size(1, len(joined.dtypes)) - 1
        self.inputs = range(joined.inputs)
        self.outputs = range(joined.inputs, len(joined.dtypes))

    def over_blocks(self, begin: Index, end: Index) -> None:
        """Tasks are blocks of elements: of each member those that fall into `begin` to `end`."""
        f = self.f
        with f.range(0, self.members) as member:
            record = self.records + member * self.size
            first, count = record.load().index(), (record + 1).load().index()
            blocks = (count + (_BLOCK - 1)) // _BLOCK
            start, stop = (begin - first).at_least(0), (end - first).at_most(blocks)
            with f.when(stop.exceeds(start)):
                operands = [self._operand(record, k, count, first * _BLOCK) for k in range(len(self.joined.dtypes))]
                self._elements(operands, start * _BLOCK, (stop * _BLOCK).at_most(count))

    def _elements(self, operands: list[Pointer], start: Index, stop: Index) -> None:
        """Whole vectors, then the rest under a mask."""
        f, lanes, numbers = self.f, self.lanes, self.joined.numbers
        fixed = {k: operands[k].broadcast(lanes) for k in self.inputs if numbers[k]}
        known = evaluate(f, self.joined.nodes, fixed, lanes)

        def vector(at: Index, mask: Mask | None) -> None:
            loaded = {k: (operands[k] + at).load(lanes, mask=mask) for k in self.inputs if not numbers[k]}
            values = evaluate(f, self.joined.nodes, loaded, lanes, known)
            for k, value in zip(self.outputs, self._results(values), strict=True):
                (operands[k] + at).store(value, mask=mask)

        whole = stop // lanes
        with f.range(start // lanes, whole) as number:
            vector(number * lanes, None)
        rest = stop - whole * lanes
        with f.when(rest.exceeds(0)):
            vector(whole * lanes, Mask(rest, lanes))

    def over_numbers(self, begin: Index, end: Index) -> None:
        """Tasks are vectors, whose lanes are members: gathered in memory of the stack, computed, put back."""
        f, lanes, nodes = self.f, self.lanes, self.joined.nodes
        near = [f.local(lanes, element_of(dtype)) for dtype in self.joined.dtypes]
        with f.range(begin, end) as task:
            first = task * lanes
            active = (self.members - first).at_most(lanes)
            with f.range(0, active) as lane:
                record = self.records + (lane + first) * self.size
                for k in self.inputs:
                    self._operand(record, k, 1, lane + first).load().store(near[k] + lane)
            values = evaluate(f, nodes, {k: near[k].load(lanes) for k in self.inputs}, lanes)
            for k, value in zip(self.outputs, self._results(values), strict=True):
                value.store(near[k])
            with f.range(0, active) as lane:
                record = self.records + (lane + first) * self.size
                for k in self.outputs:
                    (near[k] + lane).load().store(self._operand(record, k, 1, lane + first))

    def _results(self, values: dict[int, Value]) -> list[Value]:
        elements = [element_of(self.joined.dtypes[k]).computed for k in self.outputs]
        return [self.f.convert(values[r], e) for r, e in zip(self.joined.results, elements, strict=True)]

    def _operand(self, record: Pointer, k: int, count: Offset, first: Offset) -> Pointer:
        """Where a member's operand is; `first` numbers its first element among those of all members."""
        place, element = record + (_HEAD + 2 * k), element_of(self.joined.dtypes[k])
        slot, offset = place.load().index(), (place + 1).load().index()
        base = ((self.table + slot).load_address() + offset).name
        region = Region(
            f"operand{k}", element, once=k in self.outputs, base=base, size=1 if self.joined.numbers[k] else count,
            first=first, among=self.elements,
        )  # fmt: skip
        return Pointer(self.f, base, element, 0, region)
