"""The gradient of a convolution's weights, with the batch in the lanes.

    weight[target, source, taps]  =  sum over pixels of gradient[target] * x[source, shifted by
    taps]

Accumulators are vectors over samples: a few targets times the taps of one kernel row. Their
lanes are summed at the very end. Where the pixels do not fit the first cache, bands of a few
rows are done for all weights in turn, and the accumulators wait in memory between bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.kernels.conv_axis import Axis
from flambeau.kernels.conv_tile import choose_tile
from flambeau.kernels.element import I64
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.transpose import lane_sums

_TASKS = 16


@dataclass(frozen=True)
class WeightGradient:
    """What is summed; strides as in `conv_batch.BatchConvolution`, rows and columns forward."""

    batch: int
    groups: int
    sources: int
    targets: int
    rows: Axis
    columns: Axis
    x: Operand
    gradient: Operand
    weight: Operand


def emit(
    module: Module, name: str, buffers: tuple[Buffer, ...], what: WeightGradient, flops: int
) -> Kernel:
    """The kernel; its buffers are x, gradient, weight."""
    nest = Nest(module, what)
    f, (x, gradient, weight), workspace, _, begin, end = stage_function(module, name, buffers)
    with f.range(begin, end) as task:
        nest.task(f, x, gradient, weight, workspace.as_elements(nest.element), task)
    stage = Stage(name, nest.tasks, flops >= 4 * WORTH_A_THREAD)
    return Kernel(name, buffers, (stage,), workspace=nest.workspace, flops=flops)


class Nest:
    """A task is a share of the sources of all groups, or of the targets of one source."""

    def __init__(self, module: Module, what: WeightGradient):
        self.what, self.element = what, what.x.element.computed
        self.lanes = module.target.lanes(self.element.bytes)
        self.blocks = -(-what.batch // self.lanes)
        taps = len(what.columns.taps)
        self.height, self.width = choose_tile(module.target, what.targets, taps)
        self.source_tasks = what.groups * what.sources
        tiles = -(-what.targets // self.height)
        self.target_shares = max(1, min(tiles, -(-_TASKS // self.source_tasks)))
        pixel = self.lanes * self.element.bytes
        row = pixel * (
            self.height * what.columns.count + what.columns.in_size * what.rows.in_step
        )
        self.band = max(1, module.target.l1 * 2 // 3 // row)
        self.in_bands = self.band < what.rows.count
        kernel = len(what.rows.taps) * taps
        self.per_source = kernel * what.targets * self.lanes
        self.shares = min(self.source_tasks, _TASKS) if self.in_bands else self.source_tasks
        self.tasks = self.shares * self.target_shares
        self.workspace = 0
        if self.in_bands:
            self.workspace = self.source_tasks * self.per_source * self.element.bytes

    def task(
        self, f: Function, x: Pointer, gradient: Pointer, weight: Pointer, memory: Pointer,
        task: Offset,
    ) -> None:  # fmt: skip
        target_share: Offset = task % self.target_shares
        share: Offset = task // self.target_shares
        sources = (
            share * self.source_tasks // self.shares,
            (share + 1) * self.source_tasks // self.shares,
        )
        if not self.in_bands:
            with f.range(*sources) as source:
                self._source(f, x, gradient, weight, None, source, target_share, None)
            return
        rows = self.what.rows.count
        with f.range(*sources) as source:
            self._clear(f, memory, source, target_share)
        with f.range(0, self.blocks) as block:
            here = (
                x + block * self.what.x.strides[0],
                gradient + block * self.what.gradient.strides[0],
            )
            for first, height in f.tiles(rows, self.band):
                with f.range(*sources) as source:
                    self._source(
                        f, *here, weight, memory, source, target_share, (block, first, height)
                    )
        with f.range(*sources) as source:
            self._sum_up(f, memory, weight, source, target_share)

    def _source(
        self, f: Function, x: Pointer, gradient: Pointer, weight: Pointer,
        memory: Pointer | None, source: Offset, share: Offset,
        band: tuple[Offset, Offset, int] | None,
    ) -> None:  # fmt: skip
        """All weights of one source (and share of targets), over a band or over everything."""
        what = self.what
        x, gradient, weight = self._of_source(x, gradient, weight, source)
        taps = what.columns.taps
        chunks = [taps[i : i + self.width] for i in range(0, len(taps), self.width)]

        def tile(target: Offset, height: int) -> None:
            with f.range(0, len(what.rows.taps)) as row_tap:
                for number, chunk in enumerate(chunks):
                    self._tile(f, x, gradient, weight, memory, source, target, height, row_tap,
                               chunk, number, band)  # fmt: skip

        if self.target_shares == 1:
            for target, height in f.tiles(what.targets, self.height):
                tile(target, height)
            return
        tiles, rest = divmod(what.targets, self.height)
        first = share * tiles // self.target_shares
        last = (share + 1) * tiles // self.target_shares
        with f.range(first, last) as number:
            tile(number * self.height, self.height)
        if rest:
            assert not isinstance(share, int)
            with f.when(share.eq(self.target_shares - 1)):
                tile(tiles * self.height, rest)

    def _of_source(
        self, x: Pointer, gradient: Pointer, weight: Pointer, source: Offset
    ) -> tuple[Pointer, Pointer, Pointer]:
        """Where a source's channel, its group's targets and their weights begin."""
        what = self.what
        x = x + source * what.x.strides[1]
        if what.groups == 1:
            return x, gradient, weight + source * what.weight.strides[1]
        group, inside = source // what.sources, source % what.sources
        gradient = gradient + group * (what.targets * what.gradient.strides[1])
        weight = weight + group * (what.targets * what.weight.strides[0])
        return x, gradient, weight + inside * what.weight.strides[1]

    def _tile(
        self, f: Function, x: Pointer, gradient: Pointer, weight: Pointer,
        memory: Pointer | None, source: Offset, target: Offset, height: int, row_tap: Offset,
        taps: Sequence[tuple[int, int]], number: int, band: tuple[Offset, Offset, int] | None,
    ) -> None:  # fmt: skip
        """`height` targets times some taps of one kernel row."""
        what, lanes = self.what, self.lanes
        gradient = gradient + target * what.gradient.strides[1]
        count = height * len(taps)
        if band is None:
            with f.loop(0, self.blocks, carry=[f.zero(self.element, lanes)] * count) as loop:
                here = (
                    x + loop.index * what.x.strides[0],
                    gradient + loop.index * what.gradient.strides[0],
                )
                loop.next(
                    self._each_fill(
                        f, *here, loop.index, (0, what.rows.count), row_tap, taps, loop.values
                    )
                )
            for at, total in enumerate(lane_sums(f, loop.results)):
                c, k = divmod(at, len(taps))
                where = weight + (target + c) * what.weight.strides[0]
                where = where + row_tap * what.weight.strides[2]
                self._store(f, total, where + taps[k][0] * what.weight.strides[3])
            return
        assert memory is not None
        block, first, rows = band
        slots = [
            self._slot(memory, source, target + c, row_tap) + (number * self.width + k) * lanes
            for c in range(height)
            for k in range(len(taps))
        ]
        sums = [slot.load(lanes) for slot in slots]
        sums = self._each_fill(
            f, x, gradient, block, (first, first + rows), row_tap, taps, sums
        )
        for slot, total in zip(slots, sums, strict=True):
            total.store(slot)

    def _each_fill(
        self, f: Function, x: Pointer, gradient: Pointer, block: Offset,
        rows: tuple[Offset, Offset], row_tap: Offset, taps: Sequence[tuple[int, int]],
        sums: Sequence[Value],
    ) -> list[Value]:  # fmt: skip
        """Full blocks of samples without a mask, the last, shorter one with it."""
        full, rest = divmod(self.what.batch, self.lanes)
        if not rest:
            return self._pixels(f, x, gradient, rows, row_tap, taps, sums, None)
        mask = Mask(rest, self.lanes)
        if not full:
            return self._pixels(f, x, gradient, rows, row_tap, taps, sums, mask)
        assert not isinstance(block, int)
        with f.when(block < full, otherwise=sums) as whole:
            whole.give(self._pixels(f, x, gradient, rows, row_tap, taps, sums, None))
        with f.when(block.eq(full), otherwise=whole.results) as short:
            short.give(self._pixels(f, x, gradient, rows, row_tap, taps, whole.results, mask))
        return short.results

    def _pixels(
        self, f: Function, x: Pointer, gradient: Pointer, rows: tuple[Offset, Offset],
        row_tap: Offset, taps: Sequence[tuple[int, int]], sums: Sequence[Value],
        mask: Mask | None,
    ) -> list[Value]:  # fmt: skip
        """The sum over the rows for which this kernel row lies in the image."""
        what = self.what
        columns = what.columns
        low, high = existing_rows(what.rows, row_tap)
        first, last = _later(f, rows[0], low), _earlier(f, rows[1], high)
        inside = [
            q
            for q in range(columns.count)
            if all(columns.exists(q, shift) for _, shift in taps)
        ]
        with f.loop(first, last, carry=sums) as over_rows:
            y = over_rows.index * what.rows.in_step + row_tap * what.rows.shift_step
            x_row = x + (y + what.rows.taps[0][1]) * what.x.strides[2]
            g_row = gradient + over_rows.index * what.gradient.strides[2]
            now = list(over_rows.values)
            begin, end = (
                (inside[0], inside[-1] + 1) if inside else (columns.count, columns.count)
            )
            for q in range(begin):
                now = self._pixel(f, x_row, g_row, q, taps, now, mask)
            if begin < end:
                with f.loop(begin, end, carry=now) as over_columns:
                    over_columns.next(
                        self._pixel(
                            f, x_row, g_row, over_columns.index, taps, over_columns.values, mask
                        )
                    )
                now = over_columns.results
            for q in range(end, columns.count):
                now = self._pixel(f, x_row, g_row, q, taps, now, mask)
            over_rows.next(now)
        return over_rows.results

    def _pixel(
        self, f: Function, x: Pointer, gradient: Pointer, q: Offset,
        taps: Sequence[tuple[int, int]], sums: Sequence[Value], mask: Mask | None,
    ) -> list[Value]:  # fmt: skip
        what, lanes, sums = self.what, self.lanes, list(sums)
        column_stride = what.x.strides[3]
        x = x + q * (what.columns.in_step * column_stride)
        here = [
            k
            for k, (_, shift) in enumerate(taps)
            if not isinstance(q, int) or what.columns.exists(q, shift)
        ]
        inputs = {k: (x + taps[k][1] * column_stride).load(lanes, mask=mask) for k in here}
        gradient = gradient + q * what.gradient.strides[3]
        for c in range(len(sums) // len(taps)):
            value = (gradient + c * what.gradient.strides[1]).load(lanes, mask=mask)
            for k in here:
                at = c * len(taps) + k
                sums[at] = f.fma(value, inputs[k], sums[at])
        return sums

    @staticmethod
    def _store(f: Function, total: Value, where: Pointer) -> None:
        where.store(f.convert(total, where.element.computed))

    # Accumulators in memory: [source][target][row tap][column tap][lane] ------------------

    def _slot(
        self, memory: Pointer, source: Offset, target: Offset, row_tap: Offset
    ) -> Pointer:
        taps = len(self.what.columns.taps) * self.lanes
        memory = memory + source * self.per_source
        return memory + target * (len(self.what.rows.taps) * taps) + row_tap * taps

    def _targets(self, share: Offset) -> tuple[Offset, Offset]:
        """The targets of a share, as `_source` cuts them."""
        what = self.what
        tiles, rest = divmod(what.targets, self.height)
        if self.target_shares == 1:
            return 0, what.targets
        assert not isinstance(share, int)
        first = share * tiles // self.target_shares * self.height
        last = (share + 1) * tiles // self.target_shares * self.height
        f = share.f
        if rest:
            extra = f.convert(share.eq(self.target_shares - 1), I64).index() * rest
            last = last + extra
        return first, last

    def _clear(self, f: Function, memory: Pointer, source: Offset, share: Offset) -> None:
        taps = len(self.what.rows.taps) * len(self.what.columns.taps)
        with f.range(*self._targets(share)) as target, f.range(0, taps) as tap:
            where = self._slot(memory, source, target, 0) + tap * self.lanes
            f.zero(self.element, self.lanes).store(where)

    def _sum_up(
        self, f: Function, memory: Pointer, weight: Pointer, source: Offset, share: Offset
    ) -> None:
        what, lanes = self.what, self.lanes
        _, _, weight = self._of_source(memory, memory, weight, source)
        targets = f.range(*self._targets(share))
        with targets as target, f.range(0, len(what.rows.taps)) as row_tap:
            slot = self._slot(memory, source, target, row_tap)
            taps = range(len(what.columns.taps))
            totals = lane_sums(f, [(slot + k * lanes).load(lanes) for k in taps])
            where = weight + target * what.weight.strides[0]
            where = where + row_tap * what.weight.strides[2]
            for (tap, _), total in zip(what.columns.taps, totals, strict=True):
                self._store(f, total, where + tap * what.weight.strides[3])


def existing_rows(axis: Axis, tap: Offset) -> tuple[Offset, Offset]:
    """The outputs for which tap number `tap`'s input exists."""
    step, shift = axis.in_step, axis.taps[0][1]
    if isinstance(tap, int):
        shift = axis.taps[tap][1]
        inside = [q for q in range(axis.count) if axis.exists(q, shift)]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)
    position = tap * axis.shift_step + shift
    low = (position * -1 + (step - 1)).at_least(0) // step
    high = (position * -1 + (axis.in_size + step - 1)).at_least(0) // step
    return low, high.at_most(axis.count)


def _later(f: Function, a: Offset, b: Offset) -> Offset:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return a.at_least(b) if not isinstance(a, int) else b.at_least(a)  # type: ignore[union-attr]


def _earlier(f: Function, a: Offset, b: Offset) -> Offset:
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return a.at_most(b) if not isinstance(a, int) else b.at_most(a)  # type: ignore[union-attr]
