"""Reductions over any axes, with pointwise expressions fused before and after.

Along a row in memory, vectors accumulate and are folded into one number at the end; across
rows, each lane is a result of its own. Long sums are taken in blocks, so that their error grows
with the number of blocks. Where there are too few results to share among threads, the longest
reduced dimension is cut into parts that a second stage combines; the cut does not depend on how
many threads there are, and so neither does the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flambeau.kernels.element import I32, I64, Element
from flambeau.kernels.expression import Nodes, cost, evaluate, types
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Index, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import (
    Operand,
    choose_lanes,
    collapse,
    contiguous,
    operand_buffers,
    touched,
)  # fmt: skip
from flambeau.kernels.target import Target

_ACCUMULATORS = 4  # independent chains, so that additions overlap
_BYTES_ACROSS = 512  # of a row that are read before the next row, which may lie on another page
_BLOCK = 32  # vectors that are summed before they join the total
_PARTS = 64
_SHARES = 8  # tasks that columns are dealt to at least, for several threads


@dataclass(frozen=True)
class Reduction:
    """What is reduced and how.

    Attributes:
        op: "sum", "prod", "max", "min", "any", "all", "argmax" or "argmin".
        node: the position in the prologue of what is reduced.
    """

    op: str
    node: int


@dataclass(frozen=True)
class Rule:
    """How two numbers become one, and the number that changes nothing."""

    combine: Callable[[Function, Value, Value], Value]
    identity: Callable[[Element], float]


def _lowest(element: Element) -> float:
    if element.is_float:
        return -math.inf
    bits = 8 * element.bytes
    return -(1 << (bits - 1)) if element.kind == "signed" else 0


def _highest(element: Element) -> float:
    if element.is_float:
        return math.inf
    bits = 8 * element.bytes
    return (1 << (bits - 1)) - 1 if element.kind == "signed" else (1 << bits) - 1


RULES = {
    "sum": Rule(lambda f, a, b: a + b, lambda e: 0),
    "prod": Rule(lambda f, a, b: a * b, lambda e: 1),
    "max": Rule(lambda f, a, b: f.maximum(a, b), _lowest),
    "min": Rule(lambda f, a, b: f.minimum(a, b), _highest),
    "any": Rule(lambda f, a, b: a | b, lambda e: 0),
    "all": Rule(lambda f, a, b: a & b, lambda e: 1),
}
_ARGUMENT = {"argmax": "max", "argmin": "min"}

#: The running value of each reduction, and after an argmax's value its position.
_State = list[Value]


def emit(
    module: Module,
    name: str,
    shape: Sequence[int],
    axes: Sequence[int],
    inputs: Sequence[Operand],
    outputs: Sequence[Operand],
    nodes: Nodes,
    reductions: Sequence[Reduction],
    epilogue: Nodes | None = None,
    results: Sequence[int] | None = None,
    extras: Sequence[Operand] = (),
) -> Kernel:
    """A kernel that reduces an expression over `axes` of `shape`.

    Args:
        module: where its functions go.
        name: of the kernel.
        shape: all elements that are reduced.
        axes: the dimensions that go.
        inputs: over `shape`; read by `nodes`.
        outputs: over the shape that is left (without the axes).
        nodes: the expression of each element.
        reductions: what is taken of it, and how.
        epilogue: an expression of the results, in which ("reduced", k) is reduction `k` and
            ("input", k) is `extras[k]`; by default the reductions themselves.
        results: for each output, the epilogue's node that is stored there.
        extras: further inputs, over the shape that is left.

    The kernel's buffers are inputs, extras, outputs. An argmax counts its position among the
    reduced elements in order, gives the first of equals, and takes NaN for the largest.
    """
    axes = sorted(a % len(shape) for a in axes)
    kept = [d for d in range(len(shape)) if d not in axes]
    if epilogue is None:
        epilogue = tuple(("reduced", k) for k in range(len(reductions)))
        results = range(len(reductions))
    assert results is not None
    reduced_types = _reduced_types(nodes, reductions, inputs)
    left = [shape[d] for d in kept]
    buffers = _buffers(inputs, extras, outputs, shape, left)
    elements, result_count = math.prod(shape), math.prod(left)
    if any(r.op in _ARGUMENT for r in reductions) and not elements:
        raise ValueError("argmax of no elements")

    problem = _Problem(
        sizes=[shape[d] for d in [*kept, *axes]],
        kept=len(kept),
        inputs=[Operand(o.dtype, tuple(o.strides[d] for d in [*kept, *axes])) for o in inputs],
        nodes=nodes, reductions=reductions,
    )  # fmt: skip
    finish = _Finish(epilogue, results, extras, outputs)
    work = elements * (cost(nodes) + len(reductions)) + result_count * cost(epilogue)
    flops = elements * (cost(nodes) + len(reductions) - 1)
    traffic = sum(o.element.bytes * touched(o, shape) for o in inputs)
    traffic += sum(o.element.bytes * touched(o, left) for o in [*extras, *outputs])
    parallel = work >= WORTH_A_THREAD
    parts = _parts(problem) if parallel and result_count * 8 < _PARTS * 32 else 1
    if parts == 1:
        stage = _emit_stage(module, name, buffers, problem, finish, parallel, len(inputs))
        return Kernel(name, buffers, (stage,), flops=flops, traffic=traffic)

    # First every part of the longest reduced dimension, then the parts of each result.
    first = _split(problem, parts)
    partial_shape = first.sizes[: first.kept]
    offsets, workspace = [], 0
    partials = []
    for element in reduced_types:
        offsets.append(workspace)
        partials.append(contiguous(element.dtype_name, partial_shape))
        workspace = round_up(workspace + math.prod(partial_shape) * element.bytes, 64)
    copy = tuple(("reduced", k) for k in range(len(reductions)))
    to_parts = _Finish(copy, range(len(reductions)), (), partials)
    second = _Problem(
        sizes=[*partial_shape[1:], parts],
        kept=len(partial_shape) - 1,
        inputs=[Operand(p.dtype, (*p.strides[1:], p.strides[0])) for p in partials],
        nodes=tuple(("input", k) for k in range(len(partials))),
        reductions=[Reduction(r.op, k) for k, r in enumerate(reductions)],
    )
    stages = (
        _emit_stage(
            module, f"{name}_parts", buffers, first, to_parts, True, len(inputs),
            into_workspace=offsets,
        ),
        _emit_stage(
            module, name, buffers, second, finish, False, len(inputs), from_workspace=offsets
        ),
    )  # fmt: skip
    return Kernel(name, buffers, stages, workspace, flops=flops, traffic=traffic)


@dataclass(frozen=True)
class _Problem:
    """What is reduced: kept dimensions first, then reduced ones."""

    sizes: list[int]
    kept: int
    inputs: Sequence[Operand]
    nodes: Nodes
    reductions: Sequence[Reduction]


@dataclass(frozen=True)
class _Finish:
    """What becomes of the reductions, over the kept dimensions."""

    epilogue: Nodes
    results: Sequence[int]
    extras: Sequence[Operand]
    outputs: Sequence[Operand]


def _reduced_types(
    nodes: Nodes, reductions: Sequence[Reduction], inputs: Sequence[Operand]
) -> list[Element]:
    found = types(nodes, [o.dtype for o in inputs])
    return [I64 if r.op in _ARGUMENT else found[r.node] for r in reductions]


def _buffers(
    inputs: Sequence[Operand], extras: Sequence[Operand], outputs: Sequence[Operand],
    shape: Sequence[int], left: Sequence[int],
) -> tuple[Buffer, ...]:  # fmt: skip
    more = [Buffer(f"extra{i}", o.element, o.extent(left)) for i, o in enumerate(extras)]
    ends = operand_buffers((), outputs, left)
    return (*operand_buffers(inputs, (), shape), *more, *ends)


def _parts(problem: _Problem) -> int:
    """Into how many equal parts the longest reduced dimension can be cut, at most `_PARTS`."""
    if any(r.op in _ARGUMENT for r in problem.reductions):
        return 1
    longest = max(problem.sizes[problem.kept :], default=1)
    return max(d for d in range(1, min(_PARTS, longest) + 1) if longest % d == 0)


def _split(problem: _Problem, parts: int) -> _Problem:
    """The problem with its longest reduced dimension cut: the parts are a kept dimension."""
    sizes, kept = problem.sizes, problem.kept
    cut = max(range(kept, len(sizes)), key=lambda d: sizes[d])
    length = sizes[cut] // parts

    def strides(operand: Operand) -> Operand:
        s = operand.strides
        return Operand(operand.dtype, (s[cut] * length, *s))

    shorter = [*sizes[:cut], length, *sizes[cut + 1 :]]
    return _Problem(
        [parts, *shorter], kept + 1, [strides(o) for o in problem.inputs],
        problem.nodes, problem.reductions,
    )  # fmt: skip


def _emit_stage(
    module: Module, name: str, buffers: tuple[Buffer, ...], problem: _Problem, finish: _Finish,
    parallel: bool, input_count: int,
    into_workspace: Sequence[int] | None = None, from_workspace: Sequence[int] | None = None,
) -> Stage:  # fmt: skip
    """One function that reduces `problem`; buffers may lie in the workspace instead."""
    f, pointers, workspace, _, begin, end = stage_function(module, name, buffers)
    inputs = pointers[:input_count]
    extras = pointers[input_count : input_count + len(finish.extras)]
    outputs = pointers[len(pointers) - len(finish.outputs) :]
    if from_workspace is not None:
        inputs = _at(workspace, from_workspace, problem.inputs)
    if into_workspace is not None:
        extras, outputs = [], _at(workspace, into_workspace, finish.outputs)
    nest = _Nest(module, problem, finish)
    nest.emit(f, inputs, [*extras, *outputs], begin, end)
    return Stage(name, nest.tasks, parallel)


def _at(
    workspace: Pointer, offsets: Sequence[int], operands: Sequence[Operand]
) -> list[Pointer]:
    return [
        (workspace + offset).as_elements(o.element)
        for offset, o in zip(offsets, operands, strict=True)
    ]


class _Nest:
    """The loops of one stage: tasks over kept dimensions, then the reduced ones."""

    def __init__(self, module: Module, problem: _Problem, finish: _Finish):
        self.nodes, self.reductions = problem.nodes, problem.reductions
        found = types(problem.nodes, [o.dtype for o in problem.inputs])
        self.values, self.finish = [found[r.node] for r in problem.reductions], finish
        self.positions = any(r.op in _ARGUMENT for r in problem.reductions)
        kept, sizes = problem.kept, problem.sizes
        ends = [*finish.extras, *finish.outputs]
        kept_strides = [o.strides[:kept] for o in problem.inputs] + [o.strides for o in ends]
        self.kept, strides = collapse(sizes[:kept], kept_strides, by=len(kept_strides) - 1)
        if math.prod(sizes[:kept]) == 1:
            self.kept, strides = [1], [[0]] * len(kept_strides)
        self.kept_strides = strides[: len(problem.inputs)]
        self.end_strides = strides[len(problem.inputs) :]
        reduced_strides = [o.strides[kept:] for o in problem.inputs] or [
            (0,) * (len(sizes) - kept)
        ]
        self.reduced, self.reduced_strides = collapse(
            sizes[kept:], reduced_strides, sort=not self.positions
        )
        if math.prod(sizes[kept:]) == 1:
            self.reduced, self.reduced_strides = [1], [[0]] * len(reduced_strides)
        self.lanes = choose_lanes(module, problem.nodes, problem.inputs, finish.outputs)
        self.across = self._runs_across()
        self.columns = self._vectors_across(module.target) * self.lanes if self.across else 1
        self.inner_tasks = -(-self.kept[-1] // self.columns)
        self.tasks = math.prod(self.kept[:-1]) * self.inner_tasks

    def _vectors_across(self, target: Target) -> int:
        room = target.registers // 2 // len(self.reductions)
        share = math.prod(self.kept) // (_SHARES * self.lanes)
        return max(_ACCUMULATORS, min(_BYTES_ACROSS // target.vector_bytes, room, share))

    def _runs_across(self) -> bool:
        """Whether lanes are neighbouring results, and not elements of one."""
        if self.kept[-1] == 1 or self.positions:
            return False
        along = sum(s[-1] == 1 for s in self.reduced_strides)
        across = sum(s[-1] == 1 for s in self.kept_strides)
        return across > along

    def emit(
        self, f: Function, inputs: list[Pointer], ends: list[Pointer], begin: Index, end: Index
    ) -> None:
        with f.range(begin, end) as task:
            row: Offset = task // self.inner_tasks
            column: Offset = task % self.inner_tasks if len(self.kept) > 1 else task
            inside, outside = list(inputs), list(ends)
            for dim in reversed(range(len(self.kept) - 1)):
                here = row % self.kept[dim] if dim else row
                row = row // self.kept[dim] if dim else row
                inside = step(inside, self.kept_strides, dim, here)
                outside = step(outside, self.end_strides, dim, here)
            inside = step(inside, self.kept_strides, -1, column * self.columns)
            outside = step(outside, self.end_strides, -1, column * self.columns)
            if self.across:
                self._across(f, inside, outside, column)
            else:
                self._along(f, inside, outside)

    # Lanes are neighbouring results -------------------------------------------------------

    def _across(
        self, f: Function, inputs: list[Pointer], ends: list[Pointer], column: Offset
    ) -> None:
        """A block of columns: full blocks, and one shorter block at the end of the row."""
        full, rest = divmod(self.kept[-1], self.columns)
        for here, width in ((full, self.columns), (1, rest)):
            if not here or not width:
                continue
            if isinstance(column, int) or not (full and rest):
                self._columns(f, inputs, ends, width)
                continue
            condition = column < full if width == self.columns else column.eq(full)
            with f.when(condition):
                self._columns(f, inputs, ends, width)

    def _columns(
        self, f: Function, inputs: list[Pointer], ends: list[Pointer], width: int
    ) -> None:
        """Reduces `width` neighbouring columns, each in a lane."""
        lanes = self.lanes
        actives = [min(lanes, width - at) for at in range(0, width, lanes)]
        steps = [s[-1] for s in self.kept_strides]

        def element(chains: list[_State], here: list[Pointer], _: Value) -> list[_State]:
            taken = []
            for number, (chain, active) in enumerate(zip(chains, actives, strict=True)):
                at = [p + number * lanes * s for p, s in zip(here, steps, strict=True)]
                taken.append(self._join(f, chain, self._state(f, at, steps, lanes, active)))
            return taken

        start = [self._identity(f, lanes) for _ in actives]
        chains = self._nest(f, 0, len(self.reduced), inputs, start, f.constant(0, I64), element)
        for number, (chain, active) in enumerate(zip(chains, actives, strict=True)):
            at = step(ends, self.end_strides, -1, number * lanes)
            self._store(f, chain, at, lanes, active)

    # Lanes are elements of one result -----------------------------------------------------

    def _along(self, f: Function, inputs: list[Pointer], ends: list[Pointer]) -> None:
        """One result: vectors along the innermost reduced dimension, folded at the end."""
        lanes = self.lanes
        vectors, rest = divmod(self.reduced[-1], lanes)
        count = _ACCUMULATORS if vectors >= 2 * _ACCUMULATORS else 1
        steps = [s[-1] for s in self.reduced_strides]

        def vector(
            chain: _State, here: list[Pointer], at: Offset, active: int, position: Value
        ) -> _State:
            moved = [p + at * s for p, s in zip(here, steps, strict=True)]
            if self.positions:
                position = position + f.constant_of(at, I64)
            return self._join(f, chain, self._state(f, moved, steps, lanes, active, position))

        def row(chains: list[_State], here: list[Pointer], position: Value) -> list[_State]:
            def turn(chains: list[_State], index: Offset) -> list[_State]:
                at = index * (count * lanes)
                return [
                    vector(chain, here, at + number * lanes, lanes, position)
                    for number, chain in enumerate(chains)
                ]

            if vectors >= count:
                chains = self._blocked(f, vectors // count, chains, turn)
            chains = list(chains)
            for number in range(vectors % count):
                at = (vectors // count * count + number) * lanes
                chains[number] = vector(chains[number], here, at, lanes, position)
            if rest:
                chains[-1] = vector(chains[-1], here, vectors * lanes, rest, position)
            return chains

        start = [self._identity(f, lanes) for _ in range(count)]
        chains = self._nest(f, 0, len(self.reduced) - 1, inputs, start, f.constant(0, I64), row)
        total = chains[0]
        for chain in chains[1:]:
            total = self._join(f, total, chain)
        self._store(f, self._fold(f, total), ends, 1, 1)

    # Common to both -----------------------------------------------------------------------

    def _nest(
        self, f: Function, dim: int, depth: int, inputs: list[Pointer], chains: list[_State],
        position: Value, innermost: Callable[..., list[_State]],
    ) -> list[_State]:  # fmt: skip
        """Loops over the reduced dimensions from `dim` to `depth`, then does the innermost."""
        if dim == depth:
            return innermost(chains, inputs, position)
        inside = math.prod(self.reduced[dim + 1 :])

        def turn(chains: list[_State], index: Offset) -> list[_State]:
            moved = step(inputs, self.reduced_strides, dim, index)
            there = position
            if self.positions:
                there = position + f.constant_of(index * inside, I64)
            return self._nest(f, dim + 1, depth, moved, chains, there, innermost)

        return self._blocked(f, self.reduced[dim], chains, turn)

    def _blocked(
        self, f: Function, count: int, chains: list[_State],
        turn: Callable[[list[_State], Offset], list[_State]],
    ) -> list[_State]:  # fmt: skip
        """Takes `count` turns; long runs in blocks whose totals are then joined."""
        blocks, rest = divmod(count, _BLOCK)
        if blocks:
            with f.loop(0, blocks, carry=_flat(chains)) as outer:
                fresh = [self._identity(f, chains[0][0].lanes) for _ in chains]
                with f.loop(0, _BLOCK, carry=_flat(fresh)) as inner:
                    now = self._grouped(inner.values)
                    inner.next(_flat(turn(now, outer.index * _BLOCK + inner.index)))
                totals, block = self._grouped(outer.values), self._grouped(inner.results)
                outer.next(
                    _flat([self._join(f, a, b) for a, b in zip(totals, block, strict=True)])
                )
            chains = self._grouped(outer.results)
        if rest:
            with f.loop(0, rest, carry=_flat(chains)) as loop:
                now = self._grouped(loop.values)
                loop.next(_flat(turn(now, loop.index + blocks * _BLOCK)))
            chains = self._grouped(loop.results)
        return chains

    def _state(
        self, f: Function, at: list[Pointer], steps: Sequence[int], lanes: int, active: int,
        position: Value | None = None,
    ) -> _State:  # fmt: skip
        """The elements here, as if each were reduced alone; lanes not active change nothing."""
        loaded = {
            k: pointer.load_strided(step, lanes, active)
            for k, (pointer, step) in enumerate(zip(at, steps, strict=True))
        }
        values = evaluate(f, self.nodes, loaded, lanes)
        state: _State = []
        for reduction in self.reductions:
            state.append(values[reduction.node])
            if reduction.op in _ARGUMENT:
                assert position is not None
                state.append(f.splat(position, lanes) + f.iota(I64, lanes))
        if active == lanes or self.across:
            return state
        inside = f.iota(I32, lanes) < active
        nothing = self._identity(f, lanes)
        return [f.select(inside, a, b) for a, b in zip(state, nothing, strict=True)]

    def _identity(self, f: Function, lanes: int) -> _State:
        """The state of no elements at all."""
        state = []
        for reduction, element in zip(self.reductions, self.values, strict=True):
            rule = RULES[_ARGUMENT.get(reduction.op, reduction.op)]
            state.append(f.constant(rule.identity(element), element, lanes))
            if reduction.op in _ARGUMENT:
                state.append(f.constant(_highest(I64), I64, lanes))
        return state

    def _join(self, f: Function, a: _State, b: _State) -> _State:
        """The state of the elements of both."""
        joined: _State = []
        for reduction in self.reductions:
            place = len(joined)
            if reduction.op in _ARGUMENT:
                joined += _better(f, _ARGUMENT[reduction.op], *a[place : place + 2],
                                  *b[place : place + 2])  # fmt: skip
            else:
                joined.append(RULES[reduction.op].combine(f, a[place], b[place]))
        return joined

    def _fold(self, f: Function, state: _State) -> _State:
        """All lanes of a state joined into one."""
        lanes = state[0].lanes
        while lanes > 1:
            half = lanes // 2
            low = [f.shuffle(v, v, range(half)) for v in state]
            high = [f.shuffle(v, v, range(half, lanes)) for v in state]
            state, lanes = self._join(f, low, high), half
        return state

    def _store(
        self, f: Function, state: _State, ends: list[Pointer], lanes: int, active: int
    ) -> None:
        """Computes the epilogue and stores the outputs."""
        finish, strides = self.finish, [s[-1] for s in self.end_strides]
        reduced, place = [], 0
        for reduction in self.reductions:
            is_argument = reduction.op in _ARGUMENT
            reduced.append(state[place + is_argument])
            place += 1 + is_argument
        loaded = {
            k: ends[k].load_strided(strides[k], lanes, active)
            for k in range(len(finish.extras))
        }
        known = {
            position: reduced[node[1]]
            for position, node in enumerate(finish.epilogue)
            if node[0] == "reduced"
        }
        values = evaluate(f, finish.epilogue, loaded, lanes, known)
        first = len(finish.extras)
        for k, node in enumerate(finish.results):
            where, stride = ends[first + k], strides[first + k] if lanes > 1 else 1
            value = f.convert(values[node], where.element.computed)
            where.store_strided(value, stride, active)

    def _grouped(self, values: Sequence[Value]) -> list[_State]:
        width = sum(1 + (r.op in _ARGUMENT) for r in self.reductions)
        return [list(values[i : i + width]) for i in range(0, len(values), width)]


def _flat(chains: Sequence[_State]) -> list[Value]:
    return [value for chain in chains for value in chain]


def step(
    pointers: list[Pointer], strides: Sequence[Sequence[int]], dim: int, by: Offset
) -> list[Pointer]:
    return [p + by * s[dim] for p, s in zip(pointers, strides, strict=True)]


def _better(f: Function, op: str, a: Value, a_at: Value, b: Value, b_at: Value) -> list[Value]:
    """Of two elements and their positions the larger (or smaller); the first of equals."""
    wins, equal = (b > a if op == "max" else b < a), a.eq(b)
    if a.element.is_float:
        a_nan, b_nan = a.is_nan(), b.is_nan()
        wins = (wins & ~a_nan) | (b_nan & ~a_nan)
        equal = equal | (a_nan & b_nan)
    taken = wins | (equal & (b_at < a_at))
    return [f.select(taken, b, a), f.select(taken, b_at, a_at)]
