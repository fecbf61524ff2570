"""Attention without its scores in memory: softmax(Q K' scale + mask) V, and its gradients.

A vector holds the same thing of neighbouring queries. A task has a block of queries, two vectors wide, and goes
through the keys block by block:

    S[k, q] = sum over d of K[k, d] Q[q, d]        a register tile: keys times vectors of queries
    m', P = the largest so far, exp(S - m')        lane by lane: nothing goes across a vector
    O[d, q] = O[d, q] exp(m - m') + sum over k of V[k, d] P[k, q]

so only a block's scores exist at a time, in the first cache. K and V are read as they lie, an element for all lanes;
only Q is turned before and O after. What stays is the result and the logarithm of each query's sum.

Both gradients are the same walk with P = exp(S - logarithm): that of Q has queries in the lanes, those of K and V
have keys in the lanes and go through the queries. Each makes the scores anew, which costs two products more than
keeping them and leaves every thread with results of its own.

Milakov and Gimelshein, Online normalizer calculation for softmax, 2018; Dao et al., FlashAttention, 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from flambeau.kernels import mathfn
from flambeau.kernels.element import I32, Element
from flambeau.kernels.gemm import of_batch
from flambeau.kernels.kernel import Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import Target
from flambeau.kernels.transpose import transposed

_VECTORS = 2  # of queries (or keys) that a task works on
_IN_FLIGHT = 10  # multiply-adds that hide their latency
_ROWS = 64  # keys (or queries) whose scores exist at a time
_UNROLL = 4


@dataclass(frozen=True)
class Attention:
    """The shapes of an attention: queries (*batch, queries, width), keys (*batch, keys, width), values (*batch, keys,
    value_width). With `causal`, a query looks at no key after its own number.
    """

    batch: tuple[int, ...]
    queries: int
    keys: int
    width: int
    value_width: int
    scale: float
    causal: bool = False

    @property
    def pairs(self) -> int:
        """How many pairs of a query and a key there are, or half as many where they are causal."""
        return math.prod(self.batch) * self.queries * self.keys // (2 if self.causal else 1)


def emit_forward(
    module: Module, name: str, shape: Attention, query: Operand, key: Operand, value: Operand, mask: Operand | None,
    out: Operand, total: Operand,
) -> Kernel:  # fmt: skip
    """Buffers: query, key, value, mask if there is one, out, total.

    Args:
        module: where its function goes.
        name: of the kernel.
        shape: the sizes.
        query, key, value, out: strides for (*batch, row, column).
        mask: what is added to the scores, with strides for (*batch, query, key).
        total: the logarithm of the sum of exp(score) of each query, with strides for (*batch, query).
    """
    walk = _Walk(module, shape, shape.queries, shape.keys)
    matrices = [query, key, value, *([mask] if mask else []), out, total]
    sizes = walk.sizes("qkv" + "m" * bool(mask) + "ot")

    def task(w: _Task) -> None:
        q, k, v, *masks, o, sums = w.pointers
        turned, scores, result = w.room(shape.width), w.room(_ROWS), w.room(shape.value_width)
        added = w.room(_ROWS) if mask else None
        largest, summed = w.room(1), w.room(1)
        w.turn(q, query, turned, shape.width, shape.scale)
        for d in w.each(shape.value_width):
            w.put(result, d, [w.zero] * _VECTORS)
        w.put(largest, 0, [w.constant(-math.inf)] * _VECTORS)
        w.put(summed, 0, [w.zero] * _VECTORS)
        with_mask = w.masking(masks[0] if masks else None, mask, added)
        for start, count in w.blocks():
            finish = with_mask(start, count)
            w.products(k, key, start, count, shape.width, turned, scores, finish)
            before = w.get(largest, 0)
            top = w.folded(count, before, lambda r, m: [w.f.maximum(a, b) for a, b in zip(m, w.get(scores, r), strict=True)])
            base = [w.f.select(m.eq(-math.inf), w.zero, m) for m in top]

            def weigh(r: Offset, sums: list[Value], base: list[Value] = base) -> list[Value]:
                weights = [mathfn.exp(w.f, s - m) for s, m in zip(w.get(scores, r), base, strict=True)]
                w.put(scores, r, weights)
                return [s + p for s, p in zip(sums, weights, strict=True)]

            fade = [mathfn.exp(w.f, old - new) for old, new in zip(before, base, strict=True)]
            faded = [s * f for s, f in zip(w.get(summed, 0), fade, strict=True)]
            w.put(summed, 0, w.folded(count, faded, weigh))
            w.put(largest, 0, top)
            w.accumulate(v, value, start, count, shape.value_width, scores, result, fade)
        ends = w.get(summed, 0)
        none = [s.eq(0) for s in ends]
        inverse = [w.f.select(n, w.zero, 1 / s) for n, s in zip(none, ends, strict=True)]
        w.turn_back(result, o, out, shape.value_width, inverse)
        logarithms = [
            w.f.select(n, w.zero, m + mathfn.log(w.f, s))
            for n, m, s in zip(none, w.get(largest, 0), ends, strict=True)
        ]
        w.put(summed, 0, logarithms)
        w.turn_back(summed, sums, Operand(total.dtype, (*total.strides, 1)), 1)

    rooms = shape.width + shape.value_width + _ROWS * (2 if mask else 1) + 2
    return walk.kernel(name, matrices, sizes, task, rooms, shape.width + shape.value_width)


def emit_query_gradient(
    module: Module, name: str, shape: Attention, query: Operand, key: Operand, value: Operand, mask: Operand | None,
    total: Operand, gradient: Operand, inner: Operand, out: Operand,
) -> Kernel:  # fmt: skip
    """The gradient of the queries. Buffers: query, key, value, mask if there is one, total, gradient, inner, out.

    `gradient` is that of the result, `inner` each query's inner product of it with the result, (*batch, query).
    """
    walk = _Walk(module, shape, shape.queries, shape.keys)
    matrices = [query, key, value, *([mask] if mask else []), total, gradient, inner, out]
    sizes = walk.sizes("qkv" + "m" * bool(mask) + "totq")

    def task(w: _Task) -> None:
        q, k, v, *masks, sums, g, inners, o = w.pointers
        turned, scores, result = w.room(shape.width), w.room(_ROWS), w.room(shape.width)
        added = w.room(_ROWS) if mask else None
        turned_gradient, logarithm, product = w.room(shape.value_width), w.room(1), w.room(1)
        w.turn(q, query, turned, shape.width, shape.scale)
        w.turn(g, gradient, turned_gradient, shape.value_width)
        w.turn(sums, Operand(total.dtype, (*total.strides, 1)), logarithm, 1)
        w.turn(inners, Operand(inner.dtype, (*inner.strides, 1)), product, 1)
        for d in w.each(shape.width):
            w.put(result, d, [w.zero] * _VECTORS)
        with_mask = w.masking(masks[0] if masks else None, mask, added)
        for start, count in w.blocks():
            w.products(k, key, start, count, shape.width, turned, scores, with_mask(start, count))
            for r in w.each(count):
                pairs = zip(w.get(scores, r), w.get(logarithm, 0), strict=True)
                w.put(scores, r, [mathfn.exp(w.f, s - t) for s, t in pairs])

            def change(value: Value, r: Offset, vector: int) -> Value:
                return w.one(scores, r, vector) * (value - w.one(product, 0, vector))

            w.products(v, value, start, count, shape.value_width, turned_gradient, scores, change)
            w.accumulate(k, key, start, count, shape.width, scores, result)
        w.turn_back(result, o, out, shape.width, [w.constant(shape.scale)] * _VECTORS)

    rooms = 2 * shape.width + shape.value_width + _ROWS * (2 if mask else 1) + 2
    return walk.kernel(name, matrices, sizes, task, rooms, 2 * shape.width + shape.value_width)


def emit_key_value_gradient(
    module: Module, name: str, shape: Attention, query: Operand, key: Operand, value: Operand, mask: Operand | None,
    total: Operand, gradient: Operand, inner: Operand, key_out: Operand, value_out: Operand,
) -> Kernel:  # fmt: skip
    """The gradients of the keys and of the values. Buffers: as `emit_query_gradient`, but for the two results."""
    walk = _Walk(module, shape, shape.keys, shape.queries, lanes_are_keys=True)
    matrices = [query, key, value, *([mask] if mask else []), total, gradient, inner, key_out, value_out]
    sizes = walk.sizes("qkv" + "m" * bool(mask) + "totkv")

    def task(w: _Task) -> None:
        q, k, v, *masks, sums, g, inners, key_gradient, value_gradient = w.pointers
        turned, turned_value, scores = w.room(shape.width), w.room(shape.value_width), w.room(_ROWS)
        added = w.room(_ROWS) if mask else None
        of_key, of_value = w.room(shape.width), w.room(shape.value_width)
        w.turn(k, key, turned, shape.width, shape.scale)
        w.turn(v, value, turned_value, shape.value_width)
        for d in w.each(shape.width):
            w.put(of_key, d, [w.zero] * _VECTORS)
        for d in w.each(shape.value_width):
            w.put(of_value, d, [w.zero] * _VECTORS)
        by_key = mask and Operand(mask.dtype, (*mask.strides[:-2], mask.strides[-1], mask.strides[-2]))
        with_mask = w.masking(masks[0] if masks else None, by_key, added)
        for start, count in w.blocks():
            w.products(q, query, start, count, shape.width, turned, scores, with_mask(start, count))
            for r in w.each(count):
                logarithm = (sums + (start + r) * total.strides[-1]).broadcast(w.lanes)
                w.put(scores, r, [mathfn.exp(w.f, s - logarithm) for s in w.get(scores, r)])
            w.accumulate(g, gradient, start, count, shape.value_width, scores, of_value)

            def change(value: Value, r: Offset, vector: int, start: Offset = start) -> Value:
                product = (inners + (start + r) * inner.strides[-1]).broadcast(w.lanes)
                return w.one(scores, r, vector) * (value - product)

            w.products(g, gradient, start, count, shape.value_width, turned_value, scores, change)
            w.accumulate(q, query, start, count, shape.width, scores, of_key)
        w.turn_back(of_key, key_gradient, key_out, shape.width, [w.constant(shape.scale)] * _VECTORS)
        w.turn_back(of_value, value_gradient, value_out, shape.value_width)

    rooms = 2 * (shape.width + shape.value_width) + _ROWS * (2 if mask else 1)
    return walk.kernel(name, matrices, sizes, task, rooms, 2 * (shape.width + shape.value_width))


# The walk ---------------------------------------------------------------------------------------------

Finish = Callable[[Value, Offset, int], Value]


class _Walk:
    """A kernel whose task keeps a block of queries (or keys) in its lanes and goes through the rows of the others."""

    def __init__(self, module: Module, shape: Attention, across: int, along: int, lanes_are_keys: bool = False):
        self.module, self.shape = module, shape
        self.across, self.along, self.lanes_are_keys = across, along, lanes_are_keys
        self.rows = -(-along // -(-along // _ROWS))  # of a block: as equal as can be

    def sizes(self, letters: str) -> list[tuple[int, ...]]:
        """The shapes of operands, a letter each: q, k, v, o(ut), m(ask), t(otal)."""
        s = self.shape
        known = {
            "q": (s.queries, s.width), "k": (s.keys, s.width), "v": (s.keys, s.value_width),
            "o": (s.queries, s.value_width), "m": (s.queries, s.keys), "t": (s.queries,),
        }  # fmt: skip
        return [(*s.batch, *known[letter]) for letter in letters]

    def kernel(
        self, name: str, operands: Sequence[Operand], sizes: Sequence[tuple[int, ...]],
        task: Callable[[_Task], None], rooms: int, work: int,
    ) -> Kernel:  # fmt: skip
        """`task` writes a task; it asks for `rooms` rows of memory, and makes `work` multiplications for each pair."""
        element = operands[0].element.computed
        names = [f"x{i}" for i in range(len(operands))]
        buffers = tuple(
            Buffer(n, o.element, o.extent(size)) for n, o, size in zip(names, operands, sizes, strict=True)
        )
        lanes = self.module.target.lanes(element.bytes)
        wide = lanes * _VECTORS
        blocks = -(-self.across // wide)
        f, pointers, _, scratch, begin, end = stage_function(self.module, name, buffers)
        with f.range(begin, end) as number:
            where, block = number // blocks, f.position(number % blocks)
            moved = of_batch(pointers, operands, self.shape.batch, where)
            task(_Task(self, f, moved, block * wide, scratch.as_elements(element), element, lanes))
        tasks = math.prod(self.shape.batch) * blocks
        traffic = sum(b.element.bytes * math.prod(s) for b, s in zip(buffers, sizes, strict=True))
        return Kernel(
            name, buffers, (Stage(name, tasks, tasks > 1),), scratch=round_up(rooms * wide * element.bytes, 64),
            flops=2 * self.shape.pairs * work, traffic=traffic,
        )  # fmt: skip


class _Task:
    """One block of lanes: `first` is the number of the first query (or key) in them."""

    def __init__(
        self, walk: _Walk, f: Function, pointers: list[Pointer], first: Offset, scratch: Pointer, element: Element,
        lanes: int,
    ):  # fmt: skip
        self.walk, self.f, self.pointers, self.first = walk, f, pointers, first
        self.element, self.lanes, self.wide = element, lanes, lanes * _VECTORS
        self._scratch, self._used = scratch, 0
        self.zero = f.zero(element, lanes)

    def constant(self, number: float) -> Value:
        return self.f.constant(number, self.element, self.lanes)

    # Memory of its own: rows as wide as the block ------------------------------------------------------

    def room(self, rows: int) -> Pointer:
        found = self._scratch + self._used * self.wide
        self._used += rows
        return found

    def one(self, room: Pointer, row: Offset, vector: Offset) -> Value:
        return (room + row * self.wide + vector * self.lanes).load(self.lanes)

    def get(self, room: Pointer, row: Offset) -> list[Value]:
        return [self.one(room, row, v) for v in range(_VECTORS)]

    def put(self, room: Pointer, row: Offset, values: Sequence[Value]) -> None:
        for v, value in enumerate(values):
            value.store(room + row * self.wide + v * self.lanes)

    # Loops ---------------------------------------------------------------------------------------------

    def each(self, count: int) -> Iterator[Offset]:
        with self.f.range(0, count) as row:
            yield row

    def folded(self, count: int, start: list[Value], step: Callable[[Offset, list[Value]], list[Value]]) -> list[Value]:
        """What `step` makes of `start`, row after row."""
        with self.f.loop(0, count, carry=start) as loop:
            loop.next(step(loop.index, loop.values))
        return loop.results

    def blocks(self) -> Iterator[tuple[Offset, int]]:
        """The blocks of rows that the lanes look at: (first, how many)."""
        f, walk = self.f, self.walk
        rows = walk.rows
        full, rest = divmod(walk.along, rows)
        begin: Offset = 0
        end: Offset = full + bool(rest)
        if walk.shape.causal:
            last = self.first + (self.wide - 1)
            if walk.lanes_are_keys:
                begin = f.position(self.first) // rows
            else:
                end = (f.position(last) // rows + 1).at_most(end)
        if full:
            with f.range(begin, end if isinstance(end, int) and not rest else f.position(end).at_most(full)) as block:
                yield block * rows, rows
        if rest:
            with self._if(f.position(end).exceeds(full)) if not isinstance(end, int) else _always():
                yield full * rows, rest

    @contextmanager
    def _if(self, condition: Value) -> Iterator[None]:
        with self.f.when(condition):
            yield

    # Turning -------------------------------------------------------------------------------------------

    def turn(self, source: Pointer, operand: Operand, room: Pointer, width: int, scale: float = 1.0) -> None:
        """Copies the block's rows of a matrix, as columns; beyond the last row it repeats that."""
        f, (row_stride, column_stride) = self.f, operand.strides[-2:]
        last = self.walk.across - 1
        with f.range(0, _VECTORS) as v:
            here = f.position(self.first) + v * self.lanes
            rows = [source + (here + i).at_most(last) * row_stride for i in range(self.lanes)]
            for column, deep in f.blocks(width, self.lanes):
                values = [(row + column * column_stride).load_strided(column_stride, self.lanes, deep) for row in rows]
                for j, turned in enumerate(transposed(f, values)[:deep]):
                    turned = turned if scale == 1 else turned * scale
                    turned.store(room + (column + j) * self.wide + v * self.lanes)

    def turn_back(
        self, room: Pointer, target: Pointer, operand: Operand, width: int, factors: Sequence[Value] | None = None
    ) -> None:
        """Writes columns of the block, times factors, as rows of a matrix."""
        f, (row_stride, column_stride) = self.f, operand.strides[-2:]
        if factors is not None:
            for column in self.each(width):
                self.put(room, column, [x * by for x, by in zip(self.get(room, column), factors, strict=True)])
        with f.range(0, _VECTORS) as v:
            for column, deep in f.blocks(width, self.lanes):
                columns = [self.one(room, column + j, v) for j in range(deep)]
                filled = columns + [self.zero] * (self.lanes - deep)
                for i, row in enumerate(transposed(f, filled)):
                    number = f.position(self.first) + v * self.lanes + i
                    with f.when(number < self.walk.across):
                        where = target + number * row_stride + column * column_stride
                        where.store_strided(row, column_stride, deep)

    # The scores ----------------------------------------------------------------------------------------

    def masking(
        self, mask: Pointer | None, operand: Operand | None, room: Pointer | None
    ) -> Callable[[Offset, int], Finish]:
        """What is done to a score: the mask is added, and what comes later is out of sight.

        The mask's strides are those of (lane, row).
        """
        f, walk = self.f, self.walk

        def prepare(start: Offset, count: int) -> Finish:
            if mask is not None and operand is not None and room is not None:
                self.turn(mask + start * operand.strides[-1], operand, room, count)

            def finish(value: Value, row: Offset, vector: int) -> Value:
                if room is not None:
                    value = value + self.one(room, row, vector)
                if walk.shape.causal:
                    lane = f.splat(_number(f, self.first + vector * self.lanes), self.lanes) + f.iota(I32, self.lanes)
                    other = f.splat(_number(f, start + row), self.lanes)
                    seen = lane <= other if walk.lanes_are_keys else other <= lane
                    value = f.select(seen, value, self.constant(-math.inf))
                return value

            return finish

        return prepare

    def products(
        self, matrix: Pointer, operand: Operand, start: Offset, count: int, width: int, turned: Pointer,
        room: Pointer, finish: Finish,
    ) -> None:  # fmt: skip
        """Rows of a matrix times the columns in `turned`: room[r] = finish(sum over d of matrix[start + r, d] turned[d])."""
        f, (row_stride, column_stride) = self.f, operand.strides[-2:]
        for row, tall in f.tiles(count, tile_rows(f.module.target, count)):
            lines = [matrix + (start + row + i) * row_stride for i in range(tall)]

            def step(d: Offset, sums: list[Value], lines: list[Pointer] = lines) -> list[Value]:
                columns = self.get(turned, d)
                spread = [(line + d * column_stride).broadcast(self.lanes) for line in lines]
                return _outer(f, spread, columns, sums)

            sums = _summed(f, width, [self.zero] * (tall * _VECTORS), step)
            for i in range(tall):
                done = [finish(sums[i * _VECTORS + v], row + i, v) for v in range(_VECTORS)]
                self.put(room, row + i, done)

    def accumulate(
        self, matrix: Pointer, operand: Operand, start: Offset, count: int, width: int, room: Pointer,
        result: Pointer, fade: Sequence[Value] | None = None,
    ) -> None:  # fmt: skip
        """result[d] = result[d] fade + sum over r of matrix[start + r, d] room[r]"""
        f, (row_stride, column_stride) = self.f, operand.strides[-2:]
        for column, tall in f.tiles(width, tile_rows(f.module.target, width)):
            top = matrix + start * row_stride + column * column_stride

            def step(r: Offset, sums: list[Value], top: Pointer = top, tall: int = tall) -> list[Value]:
                line = top + r * row_stride
                spread = [(line + i * column_stride).broadcast(self.lanes) for i in range(tall)]
                return _outer(f, spread, self.get(room, r), sums)

            sums = [value for i in range(tall) for value in self.get(result, column + i)]
            if fade is not None:
                sums = [s * fade[i % _VECTORS] for i, s in enumerate(sums)]
            sums = _summed(f, count, sums, step)
            for i in range(tall):
                self.put(result, column + i, sums[i * _VECTORS : (i + 1) * _VECTORS])


def tile_rows(target: Target, count: int) -> int:
    """Rows of a register tile: with its two vectors, one row of the other side and a broadcast, it fits the registers.

    A size that divides the count makes one tile of code instead of two, if it has sums enough to hide the latency of
    a multiply-add.
    """
    most = 12 if target.registers >= 32 else 6
    least = max(most * 2 // 3, _IN_FLIGHT // _VECTORS)
    return next((rows for rows in range(most, least - 1, -1) if count % rows == 0), most)


def _outer(f: Function, spread: Sequence[Value], vectors: Sequence[Value], sums: list[Value]) -> list[Value]:
    return [
        f.fma(one, vector, sums[i * len(vectors) + v])
        for i, one in enumerate(spread)
        for v, vector in enumerate(vectors)
    ]


def _summed(
    f: Function, count: int, sums: list[Value], step: Callable[[Offset, list[Value]], list[Value]]
) -> list[Value]:
    """Steps 0 to `count`, a few at a turn."""
    whole = count // _UNROLL * _UNROLL
    if whole:
        with f.loop(0, whole, _UNROLL, carry=sums) as loop:
            inside = loop.values
            for k in range(_UNROLL):
                inside = step(loop.index + k, inside)
            loop.next(inside)
        sums = loop.results
    for k in range(whole, count):
        sums = step(k, sums)
    return sums


def _number(f: Function, offset: Offset) -> Value:
    return f.position(offset).value(I32)


@contextmanager
def _always() -> Iterator[None]:
    yield


__all__ = ["Attention", "emit_forward", "emit_key_value_gradient", "emit_query_gradient"]
