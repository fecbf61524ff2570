"""Reductions and what is made of them, in one pass over memory: normalisations, softmax, their gradients.

A slab is what one result of a reduction is made of: a row, or a channel of all samples. A task has one slab, which
stays in the cache, and sweeps over it again and again:

    sweep 0:  mean = sum(x) / n
    sweep 1:  variance = sum((x - mean)^2) / n
    sweep 2:  out = (x - mean) / sqrt(variance + eps)

The expression says it all: a node ("reduce", op, node) is the same number at every element of the slab, and what
depends on one waits for the next sweep. What an earlier sweep computed at much cost, as an exponential, is kept in
scratch memory; the rest is computed again from the inputs, which are near.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from flambeau.kernels.element import I32, Element
from flambeau.kernels.expression import Nodes, cost, evaluate, types
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Function, Index, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand, choose_lanes, collapse, operand_buffers, touched
from flambeau.kernels.reduce import RULES, step
from flambeau.kernels.target import Target

_CHAINS = 4  # independent sums, so that additions overlap
_CHEAP = 3  # operations that are sooner done again than kept
_ABSENT = ("input", -1)  # a node that a sweep does not need

#: The reductions that an expression may have.
OPS = ("sum", "prod", "max", "min", "any", "all")


def fits(target: Target, elements: int, item: int, operands: int) -> bool:
    """Whether a slab of so many elements is near while it is swept over, with so many operands."""
    return elements * item * operands <= target.l2 // 2


def emit(
    module: Module, name: str, shape: Sequence[int], axes: Sequence[int], inputs: Sequence[Operand],
    outputs: Sequence[Operand], nodes: Nodes, results: Sequence[int],
) -> Kernel:  # fmt: skip
    """A kernel for an expression with reductions over `axes` of `shape`. Buffers: inputs, outputs.

    Args:
        module: where its function goes.
        name: of the kernel.
        shape: all elements. An operand without the axes has strides of 0 there.
        axes: the dimensions that reductions take away.
        inputs, outputs: over `shape`.
        nodes: the expression; ("reduce", op, node) with an op of `OPS`.
        results: for each output, the node that is stored there. An output without the axes gets a
            node that depends on reductions and operands without the axes alone.
    """
    slab = _Slab(module, shape, axes, inputs, outputs, nodes, results)
    buffers = operand_buffers(inputs, outputs, shape)
    elements = math.prod(shape)
    f, pointers, _, scratch, begin, end = stage_function(module, name, buffers)
    slab.emit(f, pointers[: len(inputs)], pointers[len(inputs) :], scratch, begin, end)
    return Kernel(
        name, buffers, (Stage(name, slab.tasks, elements * cost(nodes) >= WORTH_A_THREAD),),
        scratch=slab.scratch, flops=elements * cost(nodes),
        traffic=sum(o.element.bytes * touched(o, shape) for o in (*inputs, *outputs)),
    )  # fmt: skip


#: What is done with the elements at (pointers, line, position, how many): the state after them from that before.
_Visit = Callable[[list[Pointer], Offset, Offset, int, list[Value]], list[Value]]


class _Slab:
    def __init__(
        self, module: Module, shape: Sequence[int], axes: Sequence[int], inputs: Sequence[Operand],
        outputs: Sequence[Operand], nodes: Nodes, results: Sequence[int],
    ):  # fmt: skip
        self.nodes, self.results = nodes, results
        self.types = types(nodes, [o.dtype for o in inputs])
        self.lanes = choose_lanes(module, nodes, inputs, outputs)
        kept = [d for d in range(len(shape)) if d not in axes]
        operands = [*inputs, *outputs]
        widest = max(range(len(operands)), key=lambda k: touched(operands[k], shape))
        self.kept, self.kept_strides = _collapsed(shape, kept, operands, widest)
        self.reduced, self.reduced_strides = _collapsed(shape, axes, operands, widest)
        self.tasks = math.prod(self.kept)
        self.inputs = len(inputs)
        self.full = [any(self.reduced_strides[k]) for k in range(len(operands))]
        self._levels()
        self.line = round_up(self.reduced[-1], self.lanes)  # of a line of the slab that is kept
        self.room = math.prod(self.reduced[:-1]) * self.line
        self._plan(module.target)

    # What happens in which sweep -------------------------------------------------------------------------

    def _levels(self) -> None:
        """For each node the first sweep in which it can be computed, and whether it differs within the slab."""
        self.level: list[int] = []
        self.varies: list[bool] = []
        for kind, *of in self.nodes:
            if kind in ("input", "constant"):
                self.level.append(0)
                self.varies.append(kind == "input" and self.full[of[0]])
                continue
            operands = _operands((kind, *of))
            level = max((self.level[o] for o in operands), default=0)
            self.level.append(level + (kind == "reduce"))
            self.varies.append(kind != "reduce" and any(self.varies[o] for o in operands))

    def _plan(self, target: Target) -> None:
        """What each sweep reduces, stores, keeps and computes."""
        last = max(self.level)
        self.reduces: list[list[int]] = [[] for _ in range(last + 1)]
        self.stores: list[list[int]] = [[] for _ in range(last + 1)]
        for position, node in enumerate(self.nodes):
            if node[0] == "reduce":
                self.reduces[self.level[position] - 1].append(position)
        for number, position in enumerate(self.results):
            if self.full[self.inputs + number]:
                self.stores[self.level[position]].append(number)
        targets = [
            {self.nodes[r][2] for r in self.reduces[p]} | {self.results[s] for s in self.stores[p]}
            for p in range(last + 1)
        ]
        self.kept_nodes: list[int] = []
        self.needed: list[set[int]] = [set() for _ in range(last + 1)]
        keeps = fits(target, self.room, 4, 4)
        for sweep in reversed(range(last + 1)):
            waiting = list(targets[sweep])
            while waiting:
                position = waiting.pop()
                if position in self.needed[sweep]:
                    continue
                self.needed[sweep].add(position)
                if not self.varies[position] or self.nodes[position][0] == "input":
                    continue
                earlier = self.level[position] < sweep and self.types[position].kind != "bool"
                if earlier and keeps and self._cost(position) > _CHEAP:
                    if position not in self.kept_nodes:
                        self.kept_nodes.append(position)
                        targets[self.level[position]].add(position)
                    continue
                waiting += _operands(self.nodes[position])
        sizes = [round_up(self.room * self.types[n].bytes, 64) for n in self.kept_nodes]
        self.places = dict(zip(self.kept_nodes, _starts(sizes), strict=True))
        self.scratch = sum(sizes)

    def _cost(self, position: int) -> int:
        """The operations from the inputs to a node, each counted once."""
        seen: set[int] = set()
        waiting = [position]
        while waiting:
            here = waiting.pop()
            if here not in seen and self.varies[here] and self.nodes[here][0] != "input":
                seen.add(here)
                waiting += _operands(self.nodes[here])
        return cost([self.nodes[n] for n in seen]) - 1

    # Code -----------------------------------------------------------------------------------------------

    def emit(
        self, f: Function, inputs: list[Pointer], outputs: list[Pointer], scratch: Pointer, begin: Index, end: Index
    ) -> None:
        rooms = {n: (scratch + start).as_elements(self.types[n]) for n, start in self.places.items()}
        with f.range(begin, end) as task:
            pointers, rest = [*inputs, *outputs], task
            for dim in reversed(range(len(self.kept))):
                here: Offset = rest % self.kept[dim] if dim else rest
                rest = rest // self.kept[dim] if dim else rest
                pointers = step(pointers, self.kept_strides, dim, here)
            same = {k: pointers[k].broadcast(self.lanes) for k in range(self.inputs) if not self.full[k]}
            nodes = tuple(_ABSENT if v else n for n, v in zip(self.nodes, self.varies, strict=True))
            known = evaluate(f, nodes, same, self.lanes)
            for sweep in range(len(self.reduces)):
                found = self._sweep(f, sweep, pointers, rooms, known)
                known = evaluate(f, nodes, same, self.lanes, {**known, **found})
            for number, position in enumerate(self.results):
                if not self.full[self.inputs + number]:
                    where = pointers[self.inputs + number]
                    value = f.convert(known[position], where.element.computed)
                    where.store(f.extract(value, 0) if value.lanes > 1 else value)

    def _sweep(
        self, f: Function, sweep: int, pointers: list[Pointer], rooms: dict[int, Pointer], known: dict[int, Value]
    ) -> dict[int, Value]:
        """Goes over the slab once; returns what it reduced."""
        reduces = self.reduces[sweep]
        kept = [n for n in self.kept_nodes if self.level[n] == sweep and n in self.needed[sweep]]
        if not reduces and not self.stores[sweep] and not kept:
            return {}
        nodes = tuple(n if k in self.needed[sweep] else _ABSENT for k, n in enumerate(self.nodes))
        given = {k: v for k, v in known.items() if k in self.needed[sweep] or self.nodes[k][0] == "constant"}
        earlier = [n for n in self.kept_nodes if self.level[n] < sweep and n in self.needed[sweep]]
        loads = {self.nodes[n][1] for n in self.needed[sweep] if self.nodes[n][0] == "input" and self.varies[n]}

        def element(at: list[Pointer], line: Offset, here: Offset, active: int, state: list[Value]) -> list[Value]:
            loaded = {}
            for k in loads:
                stride = self.reduced_strides[k][-1]
                loaded[k] = (at[k] + here * stride).load_strided(stride, self.lanes, active)
            before = {n: (rooms[n] + line + here).load(self.lanes) for n in earlier}
            values = evaluate(f, nodes, loaded, self.lanes, {**given, **before})
            for n in kept:
                values[n].store(rooms[n] + line + here)
            for number in self.stores[sweep]:
                k = self.inputs + number
                stride = self.reduced_strides[k][-1]
                value = f.convert(values[self.results[number]], at[k].element.computed)
                (at[k] + here * stride).store_strided(value, stride or 1, active)
            joined = []
            for r, total in zip(reduces, state, strict=True):
                rule, value = RULES[self.nodes[r][1]], values[self.nodes[r][2]]
                if active < self.lanes:
                    nothing = _identity(f, self.nodes[r][1], value.element, self.lanes)
                    value = f.select(f.iota(I32, self.lanes) < active, value, nothing)
                joined.append(rule.combine(f, total, value))
            return joined

        nothing = [_identity(f, self.nodes[r][1], self.types[r], self.lanes) for r in reduces]
        chains = min(_CHAINS, max(self.reduced[-1] // self.lanes, 1)) if reduces else 1
        state = self._lines(f, 0, pointers, f.position(0), nothing * chains, chains, element)
        found = {}
        for number, r in enumerate(reduces):
            rule = RULES[self.nodes[r][1]]
            total = state[number]
            for chain in range(1, chains):
                total = rule.combine(f, total, state[chain * len(reduces) + number])
            folded = f.fold(total, lambda a, b, rule=rule: rule.combine(f, a, b))  # type: ignore[misc]
            found[r] = f.splat(folded, self.lanes)
        return found

    def _lines(
        self, f: Function, dim: int, pointers: list[Pointer], line: Offset, state: list[Value], chains: int,
        element: _Visit,
    ) -> list[Value]:  # fmt: skip
        """The loops over the slab's outer dimensions, then its lines."""
        if dim == len(self.reduced) - 1:
            return self._line(f, pointers, line, state, chains, element)
        with f.loop(0, self.reduced[dim], carry=state) as loop:
            moved = step(pointers, self.reduced_strides, dim, loop.index)
            size = math.prod(self.reduced[dim + 1 : -1]) * self.line
            loop.next(self._lines(f, dim + 1, moved, line + loop.index * size, loop.values, chains, element))
        return loop.results

    def _line(
        self, f: Function, pointers: list[Pointer], line: Offset, state: list[Value], chains: int, element: _Visit
    ) -> list[Value]:
        """A line of the slab: several vectors at a time, then those left, then the rest under a mask."""
        vectors, rest = divmod(self.reduced[-1], self.lanes)
        width = len(state) // chains

        def join(state: list[Value], chain: int, here: Offset, active: int) -> list[Value]:
            own = slice(chain * width, (chain + 1) * width)
            state[own] = element(pointers, line, here, active, state[own])
            return state

        turns = vectors // chains
        if turns:
            with f.loop(0, turns, carry=state) as loop:
                inside = list(loop.values)
                for chain in range(chains):
                    inside = join(inside, chain, (loop.index * chains + chain) * self.lanes, self.lanes)
                loop.next(inside)
            state = list(loop.results)
        for vector in range(turns * chains, vectors):
            state = join(list(state), vector - turns * chains, vector * self.lanes, self.lanes)
        if rest:
            state = join(list(state), 0, vectors * self.lanes, rest)
        return state


def _operands(node: tuple) -> list[int]:
    """The positions that a node reads."""
    kind, *of = node
    if kind in ("input", "constant"):
        return []
    return of[1:] if kind == "reduce" else of[:1] if kind == "convert" else of


def _collapsed(
    shape: Sequence[int], dims: Sequence[int], operands: Sequence[Operand], by: int
) -> tuple[list[int], list[list[int]]]:
    """Some dimensions of the operands, as few as can be."""
    sizes = [shape[d] for d in dims]
    if math.prod(sizes) == 1:
        return [1], [[0]] * len(operands)
    return collapse(sizes, [[o.strides[d] for d in dims] for o in operands], by=by)


def _identity(f: Function, op: str, element: Element, lanes: int) -> Value:
    return f.constant(RULES[op].identity(element), element, lanes)


def _starts(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:k]) for k in range(len(sizes))]
