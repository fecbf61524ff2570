"""The first few in order along a dimension, without sorting the rest.

A row is cut into blocks, and the best element of each is found in one pass. The k best elements lie in the k blocks
whose best ones are best: for an element of another block there are k better ones, those. So only the elements of these
blocks are sorted. With blocks of sqrt(n / k) elements there are as many bests as elements left, 2 sqrt(n k) in all, and
the work does not depend on what the elements are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from flambeau.kernels import sort
from flambeau.kernels.element import I64, U32, U64
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Function, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.sort import Pairs, Rows, Sorting
from flambeau.kernels.sort_keys import Keys

_FEW = 24  # that are taken one by one
_DIGITS = 8


def emit(module: Module, name: str, sorting: Sorting, x: Operand, out: Operand) -> Kernel:
    """A kernel for the first `sorting.first` places (int64) in order. Buffers: x, out.

    Args:
        x, out: strides for the shape; `out` has `sorting.first` elements a row.
    """
    keys = Keys(x.element, sorting.descending)
    block = _block(module, sorting, keys)
    if not block:
        return sort.emit(module, name, sorting, x, out)
    return _Blocks(module, name, Rows(sorting, x, out), keys, block).emit()


def _block(module: Module, sorting: Sorting, keys: Keys) -> int:
    """How many elements a block has; 0 where all had better be sorted."""
    lanes = module.target.lanes(keys.number.bytes)
    wanted = math.isqrt(sorting.length // max(sorting.first, 1))
    block = round_up(max(wanted, 1), lanes)
    left = sorting.first * block + sorting.length // block
    return block if sorting.first and 2 * left <= sorting.length else 0


class _Blocks:
    """The kernel for one kind of rows."""

    def __init__(self, module: Module, name: str, rows: Rows, keys: Keys, block: int):
        self.module, self.name, self.rows, self.keys, self.block = module, name, rows, keys, block
        self.lanes, self.wide = module.target.lanes(8), keys.number is I64
        self.blocks, self.rest = divmod(rows.length, block)
        self.first = rows.first
        self.left = rows.first * block + self.rest
        self.passes = -(-keys.bits // _DIGITS)
        # Pairs of the blocks, and of the elements that are left, twice each, padded to whole vectors; counts; marks of
        # blocks.
        self.padded = [round_up(n, self.lanes) for n in (self.blocks, self.left)]
        self.bytes = [16 * (1 + self.wide) * n for n in self.padded]
        self.counts_bytes = (4 * self.passes << _DIGITS) + 4 * self.padded[0]

    def emit(self) -> Kernel:
        rows, name = self.rows, self.name
        many, tops = rows.sorting.rows, self.bytes[0]
        walk = rows.walk(1)
        scratch = self.bytes[1] + self.counts_bytes
        apart = many < sort.FEW_ROWS and rows.length >= sort.LONG_ROW
        stages = []
        if apart:
            f, (x, _), workspace, _, begin, end = stage_function(self.module, f"{name}_blocks", rows.buffers)
            with f.range(begin, end) as task:
                row, chunk = f.position(task // sort.CHUNKS), f.position(f.position(task) % sort.CHUNKS)
                first, last = chunk * self.blocks // sort.CHUNKS, (chunk + 1) * self.blocks // sort.CHUNKS
                start, _ = sort.row_starts(f, rows, row)
                self._bests(f, x + start, self._pairs(workspace + row * tops, 0), first, last)
            stages.append(Stage(f"{name}_blocks", many * sort.CHUNKS))
        f, (x, out), workspace, own, begin, end = stage_function(self.module, name, rows.buffers)
        with f.range(begin, end) as task:
            for (start, target), place, _ in walk.pieces(f, task):
                here, to = x + start + place * rows.strides[0][-1], out + target + place * rows.strides[1][-1]
                row = f.position(task * walk.units // walk.tasks) if apart else None
                bests = self._pairs(own + scratch if row is None else workspace + row * tops, 0)
                if not apart:
                    self._bests(f, here, bests, 0, self.blocks)
                self._row(f, here, to, bests, own)
        work = many * (rows.length // 8 + 4 * sum(self.padded) * min(self.first, _FEW))
        stages.append(Stage(name, walk.tasks, 4 * work >= WORTH_A_THREAD))
        return Kernel(
            name, rows.buffers, tuple(stages), workspace=many * tops if apart else 0,
            scratch=scratch + (0 if apart else tops), traffic=sort.traffic(rows), flops=work,
        )  # fmt: skip

    def _pairs(self, memory: Pointer, which: int) -> Pairs:
        """The pairs of the blocks (0), or of the elements that are left (1)."""
        count = self.padded[which] if self.first <= _FEW else (self.blocks, self.left)[which]
        return Pairs(memory.as_elements(U64), count, self.wide)

    def _bests(self, f: Function, x: Pointer, bests: Pairs, first: Offset, last: Offset) -> None:
        """The key of each block's best element, and the block's number."""
        kind = U64 if self.wide else U32
        lanes, step = self.module.target.lanes(kind.bytes), self.rows.step
        with f.range(first, last) as block:
            here = x + block * (self.block * step)
            with f.loop(0, self.block, lanes, carry=[f.constant(-1, kind, lanes)]) as loop:
                loaded = (here + loop.index * step).load_strided(step, lanes)
                loop.next([f.intrinsic("umin", loop.values[0], self.keys.unsigned(f, loaded))])
            best = f.fold(loop.results[0], lambda a, b: f.intrinsic("umin", a, b))
            bests.write(f, block, best, f.convert(f.position(block).value(), U64))

    def _row(self, f: Function, x: Pointer, out: Pointer, bests: Pairs, own: Pointer) -> None:
        """The places of one row."""
        rows, step = self.rows, self.rows.step
        counts = (own + self.bytes[1]).as_elements(U32)
        chosen = self._smallest(f, bests, self.blocks, counts)
        left = self._pairs(own, 1)

        def keep(block: Offset, number: Offset) -> None:
            for at, many in f.blocks(self.block, self.lanes):
                place = f.position(block * self.block) + at
                sort.write_keys(f, self.keys, x + place * step, step, many, left, f.position(number * self.block) + at, place)

        if self.first > _FEW:
            self._in_order(f, chosen, counts + (self.passes << _DIGITS), keep)
        else:
            with f.range(0, self.first) as t:
                keep(chosen.places(t, 1).index(), t)
        for at, many in f.blocks(self.rest, self.lanes):
            place = f.position(at) + self.blocks * self.block
            sort.write_keys(f, self.keys, x + place * step, step, many, left, f.position(at) + self.first * self.block, place)
        found = self._smallest(f, left, self.left, counts)
        with f.range(0, self.first) as t:
            f.convert(found.places(t, 1), I64).store(out + t * rows.out_step)

    def _in_order(self, f: Function, chosen: Pairs, marks: Pointer, keep: Callable[[Offset, Offset], None]) -> None:
        """Keeps the chosen blocks as they stand in the row, for sorting by digits leaves what is equal as it stands."""
        for at, many in f.blocks(self.blocks, self.module.target.lanes(4)):
            f.zero(U32, many).store(marks + at)
        with f.range(0, self.first) as t:
            f.constant(1, U32).store(marks + chosen.places(t, 1).index())
        with f.loop(0, self.blocks, carry=[f.zero(I64)]) as loop:
            number = loop.values[0]
            with f.when((marks + loop.index).load().ne(0), otherwise=[number]) as branch:
                keep(loop.index, number.index())
                branch.give([number + 1])
            loop.next(branch.results)

    def _smallest(self, f: Function, pairs: Pairs, count: int, counts: Pointer) -> Pairs:
        """Pairs of which the first are the smallest of `count`, in order."""
        if self.first > _FEW:
            return sort.sort_pairs(f, pairs, counts, self.passes, _DIGITS)
        for i in range(count, pairs.count):
            pairs.write(f, i, f.constant(-1, U64 if self.wide else U32), f.constant(-1, U64))
        # They are taken behind the others: the smallest one, then the smallest of those that are left.
        taken, words = pairs.side(1), 1 + self.wide
        none = [f.constant(-1, U64)] * words
        with f.loop(0, self.first, carry=none) as loop:
            before = [f.splat(value, self.lanes) for value in loop.values]
            with f.loop(0, pairs.count, self.lanes, carry=[f.splat(n, self.lanes) for n in none]) as inner:
                here = [pairs.memory + inner.index + k * pairs.count for k in range(words)]
                found = [p.load(self.lanes) for p in here]
                same = found[0].eq(before[0])
                if self.wide:
                    same = same & found[1].eq(before[1])
                found = [f.select(same, f.constant(-1, U64, self.lanes), value) for value in found]
                for value, p in zip(found, here, strict=True):
                    value.store(p)
                inner.next(_smaller(f, inner.values, found))
            smallest, lanes = inner.results, self.lanes
            while lanes > 1:
                lanes //= 2
                halves = [[f.shuffle(v, v, range(k, k + lanes)) for v in smallest] for k in (0, lanes)]
                smallest = _smaller(f, *halves)
            for k, value in enumerate(smallest):
                value.store(taken.memory + loop.index + k * pairs.count)
            loop.next(smallest)
        return taken


def _smaller(f: Function, a: list[Value], b: list[Value]) -> list[Value]:
    """The smaller of two numbers, of one word or of a high and a low one, lane by lane."""
    if len(a) == 1:
        return [f.intrinsic("umin", a[0], b[0])]
    first = (a[0] < b[0]) | (a[0].eq(b[0]) & (a[1] < b[1]))
    return [f.select(first, x, y) for x, y in zip(a, b, strict=True)]
