"""Expressions with reductions over rows that lie in order: softmax, a normalisation, their gradients; one kernel for
every shape.

For eager operators, which meet ever new shapes (compiled programs have `slabs.py`, whose kernels are made for a shape). A
row is swept over as often as reductions wait for each other; a node ("reduce", op, node) is the same number all along a
row, and ("length",) is how long rows are. An input has an element for each place of each row, one for each row, one for
each column, or one in all.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from flambeau.core.memory import address
from flambeau.kernels import jit, threads
from flambeau.kernels.element import I32, I64, Element, element_of
from flambeau.kernels.expression import Nodes, cost, evaluate
from flambeau.kernels.folds import FOLDS
from flambeau.kernels.kernel import WORTH_A_THREAD
from flambeau.kernels.language import Buffer, Chosen, Index, Module, Offset, Pointer, Value
from flambeau.kernels.sharing import Sharing

#: What an input or output has an element for.
PLACE, ROW, COLUMN, ONE = "place", "row", "column", "one"
_ABREAST = 4


def emit(
    module: Module, name: str, inputs: Sequence[tuple[Element, str]], outputs: Sequence[tuple[Element, str]], nodes: Nodes,
    results: Sequence[int],
) -> None:  # fmt: skip
    """A driver (see `threads.run`) whose table holds addresses of inputs and outputs, how many rows there are, how long."""
    body = f"{name}_body"
    rows = _Rows(module, body, inputs, outputs, nodes, results)
    rows.emit()
    f = module.function(name, [Buffer("table", I64), Buffer("barrier", I32)], ["thread", "threads"])
    (table, _), (thread, team) = f.buffers, f.indices
    arrays = len(inputs) + len(outputs)
    count, length = ((table + arrays + k).load().index() for k in range(2))
    begin, end = thread * count // team, (thread + 1) * count // team  # type: ignore[operator]
    with f.when(end.exceeds(begin)):
        f.call(body, [*((table + k).load_address() for k in range(arrays)), length, begin, end])


class _Rows:
    def __init__(
        self, module: Module, name: str, inputs: Sequence[tuple[Element, str]], outputs: Sequence[tuple[Element, str]],
        nodes: Nodes, results: Sequence[int],
    ):  # fmt: skip
        self.nodes, self.results = nodes, results
        self.kinds = [kind for _, kind in inputs]
        self.targets = [kind for _, kind in outputs]
        self.element = inputs[0][0].computed
        self.lanes = module.target.lanes(self.element.bytes)
        buffers = [Buffer(f"in{k}", e) for k, (e, _) in enumerate(inputs)]
        buffers += [Buffer(f"out{k}", e) for k, (e, _) in enumerate(outputs)]
        self.f = f = module.function(name, buffers, ["length", "begin", "end"], internal=True)
        self.inputs, self.outputs = f.buffers[: len(inputs)], f.buffers[len(inputs) :]
        self.depths = _depths(nodes)

    def emit(self) -> None:
        f = self.f
        length, begin, end = f.indices
        known: dict[int, Value] = {}
        for position, node in enumerate(self.nodes):
            if node[0] == "length":
                known[position] = f.splat(length.value(self.element), self.lanes)
        ones = {k: self.inputs[k].broadcast(self.lanes) for k, kind in enumerate(self.kinds) if kind == ONE}
        known = self._evaluated(ones, known)
        with f.range(begin, end) as row:
            assert isinstance(row, Index)
            moved = {PLACE: row * length, ROW: row, COLUMN: 0, ONE: 0}
            ins = [p + moved[kind] for p, kind in zip(self.inputs, self.kinds, strict=True)]
            outs = [p + moved[kind] for p, kind in zip(self.outputs, self.targets, strict=True)]
            self._row(ins, outs, length, known)

    def _evaluated(self, inputs: dict[int, Value], known: dict[int, Value]) -> dict[int, Value]:
        """`known` and what follows; reductions stay until they are done."""
        lanes = next((v.lanes for v in inputs.values()), self.lanes)
        nodes = [n if n[0] not in ("reduce", "length") else ("input", -1) for n in self.nodes]
        return evaluate(self.f, nodes, inputs, lanes, known)

    def _row(self, ins: list[Pointer], outs: list[Pointer], length: Index, known: dict[int, Value]) -> None:
        f = self.f
        each = {k: ins[k].broadcast(self.lanes) for k, kind in enumerate(self.kinds) if kind == ROW}
        known = self._evaluated(each, known) if each else known
        for depth in range(max(self.depths)):
            wanted = [p for p, n in enumerate(self.nodes) if n[0] == "reduce" and self.depths[p] == depth + 1]
            sums = self._reduced(wanted, ins, length, known)
            known = self._evaluated({}, {**known, **dict(zip(wanted, sums, strict=True))})
        sweep = [k for k, kind in enumerate(self.targets) if kind == PLACE]

        def write(offset: Offset, mask: Chosen | None, state: list[Value]) -> list[Value]:
            values = self._loaded(ins, offset, known, mask)
            for k in sweep:
                f.convert(values[self.results[k]], outs[k].element.computed).store(outs[k] + offset, mask=mask)
            return state

        if sweep:
            self._sweep(length, [], write)
        for k, kind in enumerate(self.targets):
            if kind == ROW:
                f.convert(f.extract(known[self.results[k]], 0), outs[k].element.computed).store(outs[k])

    def _loaded(self, at: list[Pointer], offset: Offset, known: dict[int, Value], mask: Chosen | None) -> dict[int, Value]:
        moving = [k for k, kind in enumerate(self.kinds) if kind in (PLACE, COLUMN)]
        return self._evaluated({k: (at[k] + offset).load(self.lanes, mask=mask) for k in moving}, known)

    def _reduced(self, wanted: list[int], ins: list[Pointer], length: Index, known: dict[int, Value]) -> list[Value]:
        """Reductions over a row, in every lane."""
        f, ways = self.f, [FOLDS[self.nodes[p][1]] for p in wanted]
        start = [f.constant(nothing, self.element, self.lanes) for _, nothing, _ in ways]

        def take(offset: Offset, mask: Chosen | None, state: list[Value]) -> list[Value]:
            values, found = self._loaded(ins, offset, known, mask), []
            for (combine, _, _), position, before, nothing in zip(ways, wanted, state, start, strict=True):
                value = values[self.nodes[position][2]]
                if mask is not None:
                    value = f.select(mask.condition, value, nothing)
                found.append(combine(f, before, value))
            return found

        totals = self._sweep(length, start, take, ways)
        folded = (f.fold(t, partial(way[0], f)) for t, way in zip(totals, ways, strict=True))
        return [f.splat(total, self.lanes) for total in folded]

    def _sweep(
        self, length: Index, start: list[Value], visit: Callable[..., list[Value]], ways: Sequence[tuple] = ()
    ) -> list[Value]:
        """Visits a row vector by vector, four abreast while there are so many, the last under a mask."""
        f, lanes, several = self.f, self.lanes, len(start)
        step = _ABREAST * lanes
        turns = length // step
        with f.loop(0, turns, carry=start * _ABREAST) as loop:
            state: list[Value] = []
            for k in range(_ABREAST):
                state += visit(loop.index * step + k * lanes, None, loop.values[k * several : (k + 1) * several])
            loop.next(state)
        state = loop.results
        while len(state) > several:
            half = len(state) // 2
            state = [ways[k % several][0](f, a, b) for k, (a, b) in enumerate(zip(state[:half], state[half:], strict=True))]
        done = turns * step
        vectors = (length - done) // lanes  # type: ignore[operator]
        with f.loop(0, vectors, carry=state) as loop:
            loop.next(visit(done + loop.index * lanes, None, loop.values))
        done = done + vectors * lanes  # type: ignore[operator]
        left = length - done  # type: ignore[operator]
        with f.when(left.exceeds(0), otherwise=loop.results) as rest:
            rest.give(visit(done, f.first(left, lanes), loop.results))
        return rest.results


def _depths(nodes: Nodes) -> list[int]:
    """How many reductions each node waits for, one after the other."""
    found: list[int] = []
    for kind, *operands in nodes:
        if kind in ("input", "constant", "length"):
            found.append(0)
        elif kind == "reduce":
            found.append(found[operands[1]] + 1)
        else:
            found.append(max(found[o] for o in operands if isinstance(o, int)))
    return found


class Rowwise:
    """One expression, compiled for the dtypes of its operands."""

    def __init__(
        self, nodes: Nodes, results: Sequence[int], inputs: Sequence[tuple[np.dtype, str]], outputs: Sequence[tuple[np.dtype, str]]
    ):  # fmt: skip
        module = Module()
        ins, outs = ([(element_of(d), kind) for d, kind in operands] for operands in (inputs, outputs))
        emit(module, "rowwise", ins, outs, nodes, results)
        code = jit.load(module)
        self._address, self._alone = code.address("rowwise"), code.function("rowwise", 4)
        self._table_type = ctypes.c_int64 * (len(inputs) + len(outputs) + 2)
        self._cost = cost(nodes) * max(_depths(nodes)) + 4
        self._sharing: dict[int, Sharing] = {}

    def __call__(self, rows: int, length: int, *arrays: np.ndarray) -> None:
        """Fills outputs from inputs, which lie in order."""
        table = self._table_type(*map(address, arrays), rows, length)
        start, work = ctypes.addressof(table), rows * length * self._cost
        if work < WORTH_A_THREAD or rows == 1 or threads.get_num_threads() == 1:
            self._alone(start, 0, 0, 1)
            return
        sharing = self._sharing.setdefault(int(work).bit_length(), Sharing())
        patience = min(max(work // 2000, 200), 2_000_000)
        sharing.run(partial(threads.run, self._address, start, patience), partial(self._alone, start, 0, 0, 1))


#: Softmax and its logarithm; the gradients of both, from that of the result and the result.
SOFTMAX: Nodes = (("input", 0), ("reduce", "max", 0), ("sub", 0, 1), ("exp", 2), ("reduce", "sum", 3), ("div", 3, 4))
LOG_SOFTMAX: Nodes = (*SOFTMAX[:5], ("log", 4), ("sub", 2, 5))
SOFTMAX_GRADIENT: Nodes = (("input", 0), ("input", 1), ("mul", 0, 1), ("reduce", "sum", 2), ("sub", 0, 3), ("mul", 1, 4))
LOG_SOFTMAX_GRADIENT: Nodes = (("input", 0), ("input", 1), ("reduce", "sum", 0), ("exp", 1), ("mul", 3, 2), ("sub", 0, 4))
