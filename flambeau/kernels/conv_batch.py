"""Convolutions with the batch in the lanes: arrays [channel][row][column][sample].

A vector is one pixel of as many samples as there are lanes. No padding is stored: taps that
fall outside the image are left out, at the top and bottom by loop bounds, left and right by
writing the first and last tiles of a row apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flambeau.kernels.conv_axis import Axis
from flambeau.kernels.conv_tile import Tap, choose_tile, emit_taps
from flambeau.kernels.expression import Nodes, evaluate
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand

_TASKS = 16


@dataclass(frozen=True)
class BatchConvolution:
    """What is summed: out[c] += in[s] * weight[c, s, row tap, column tap].

    Attributes:
        batch: samples; their stride is 1 within a vector. groups: of channels that do not mix.
        sources, targets: channels of a group that are read and written. rows, columns: the
        axes, one for each residue of the outputs. x, outputs, extras: operands with strides
        (block of samples, channel, row, column, sample).
            The last is 1, or 0 for an extra that is the same for all samples.
        weight: strides (target, source, row tap, column tap) and the stride between groups.
        epilogue, results: an expression of the sum, ("input", 0), and the extras after it, and
            for each output the node that is stored.
    """

    batch: int
    groups: int
    sources: int
    targets: int
    rows: Sequence[Axis]
    columns: Sequence[Axis]
    x: Operand
    weight: Operand
    outputs: Sequence[Operand]
    epilogue: Nodes = (("input", 0),)
    results: Sequence[int] = (0,)
    extras: Sequence[Operand] = ()


def emit(
    module: Module, name: str, buffers: tuple[Buffer, ...], what: BatchConvolution, flops: int
) -> Kernel:
    """The kernel; its buffers are x, weight, extras, outputs."""
    nest = Nest(module, what)
    f, pointers, _, _, begin, end = stage_function(module, name, buffers)
    x, weight, *others = pointers
    with f.range(begin, end) as task:
        nest.task(f, x, weight, others, task)
    stage = Stage(name, nest.tasks, flops >= 4 * WORTH_A_THREAD)
    return Kernel(name, buffers, (stage,), flops=flops)


class Nest:
    """A task is a row (of every residue) of one block of samples, for a share of the
    channels."""

    def __init__(self, module: Module, what: BatchConvolution):
        self.what = what
        self.element = what.x.element.computed
        self.lanes = module.target.lanes(self.element.bytes)
        self.blocks = -(-what.batch // self.lanes)
        self.row_count = max(axis.count for axis in what.rows)
        widest = max(axis.count for axis in what.columns)
        self.tile = choose_tile(module.target, what.targets, widest)
        rows = self.blocks * self.row_count * what.groups
        tiles = -(-what.targets // self.tile[0])
        self.channel_shares = max(1, min(tiles, -(-_TASKS // rows)))
        self.tasks = rows * self.channel_shares

    def task(
        self, f: Function, x: Pointer, weight: Pointer, others: list[Pointer], task: Offset
    ) -> None:
        what = self.what
        share: Offset = task % self.channel_shares
        rest: Offset = task // self.channel_shares
        row: Offset = rest % self.row_count
        rest = rest // self.row_count
        group: Offset = rest % what.groups
        block: Offset = rest // what.groups
        x = x + block * what.x.strides[0] + group * (what.sources * what.x.strides[1])
        weight = weight + group * what.weight.strides[4]
        operands = [*what.extras, *what.outputs]
        others = [
            p + block * o.strides[0] + group * (what.targets * o.strides[1])
            for p, o in zip(others, operands, strict=True)
        ]
        full, rest_lanes = divmod(what.batch, self.lanes)
        for samples, condition in ((self.lanes, full), (rest_lanes, 1)):
            if not samples or not condition:
                continue
            mask = Mask(samples, self.lanes) if samples < self.lanes else None
            if full and rest_lanes:
                assert not isinstance(block, int)
                chosen = block < full if mask is None else block.eq(full)
                with f.when(chosen):
                    self._rows(f, x, weight, others, row, share, mask)
            else:
                self._rows(f, x, weight, others, row, share, mask)

    def _rows(
        self, f: Function, x: Pointer, weight: Pointer, others: list[Pointer], row: Offset,
        share: Offset, mask: Mask | None,
    ) -> None:  # fmt: skip
        for axis in self.what.rows:
            if axis.count == self.row_count or isinstance(row, int):
                self._row(f, x, weight, others, axis, row, share, mask)
            else:
                with f.when(row < axis.count):
                    self._row(f, x, weight, others, axis, row, share, mask)

    def _row(
        self, f: Function, x: Pointer, weight: Pointer, others: list[Pointer], rows: Axis,
        row: Offset, share: Offset, mask: Mask | None,
    ) -> None:  # fmt: skip
        """One row: tiles of columns, tiles of channels, then the taps that exist."""
        what, shares = self.what, self.channel_shares
        operands = [*what.extras, *what.outputs]
        at_row = row * rows.out_step + rows.out_start
        others = [p + at_row * o.strides[2] for p, o in zip(others, operands, strict=True)]
        taps = existing_taps(f, rows, row)
        for columns in what.columns:
            for start, width in _column_tiles(f, columns, self.tile[1]):

                def tile(channel: Offset, height: int, columns: Axis = columns,
                         start: Offset = start, width: int = width) -> None:  # fmt: skip
                    self._tile(f, x, weight, others, (rows, row, taps), columns, start, width,
                               channel, height, mask)  # fmt: skip

                if shares == 1:
                    for channel, height in f.tiles(what.targets, self.tile[0]):
                        tile(channel, height)
                    continue
                tiles, rest = divmod(what.targets, self.tile[0])
                assert not isinstance(share, int)
                with f.range(share * tiles // shares, (share + 1) * tiles // shares) as number:
                    tile(number * self.tile[0], self.tile[0])
                if rest:
                    with f.when(share.eq(shares - 1)):
                        tile(tiles * self.tile[0], rest)

    def _tile(
        self, f: Function, x: Pointer, weight: Pointer, others: list[Pointer],
        along: tuple[Axis, Offset, tuple[Offset, Offset]], columns: Axis, start: Offset,
        width: int, channel: Offset, height: int, mask: Mask | None,
    ) -> None:  # fmt: skip
        """One register tile: all sources and taps of `height` channels by `width` pixels."""
        what, lanes = self.what, self.lanes
        rows, row, (first, last) = along
        source_stride, row_stride, column_stride = what.x.strides[1:4]
        target_step, source_step, row_tap_step, column_tap_step = what.weight.strides[:4]
        x = x + start * (columns.in_step * column_stride)
        weight = weight + channel * target_step
        taps = []
        for tap, shift in columns.taps:
            inside = tuple(
                (v * columns.in_step + shift) * column_stride
                if not isinstance(start, int) or columns.exists(start + v, shift)
                else None
                for v in range(width)
            )
            taps.append(Tap(tap * column_tap_step, inside))
        sums = [f.zero(self.element, lanes)] * (height * width)
        if rows.taps and columns.taps:
            tap_zero, shift_zero = rows.taps[0]
            with f.loop(first, last, carry=sums) as over_rows:
                y = row * rows.in_step + over_rows.index * rows.shift_step + shift_zero
                tap_row = over_rows.index * rows.tap_step + tap_zero
                x_row = x + y * row_stride
                w_row = weight + tap_row * row_tap_step
                with f.loop(0, what.sources, carry=over_rows.values) as over_sources:
                    x_here = x_row + over_sources.index * source_stride
                    w_here = w_row + over_sources.index * source_step
                    if what.sources == 1:
                        w_here = f.opaque(w_here)  # else every weight is hoisted, and spilled
                    over_sources.next(
                        emit_taps(
                            f, x_here, w_here, taps, height, target_step, over_sources.values,
                            [mask] * width,
                        )
                    )  # fmt: skip
                over_rows.next(over_sources.results)
            sums = over_rows.results
        for c in range(height):
            for v in range(width):
                column = (start + v) * columns.out_step + columns.out_start
                self._finish(f, sums[c * width + v], others, channel + c, column, mask)

    def _finish(
        self, f: Function, value: Value, others: list[Pointer], channel: Offset, column: Offset,
        mask: Mask | None,
    ) -> None:  # fmt: skip
        """The epilogue of one vector, and the stores of its outputs."""
        what, lanes = self.what, self.lanes
        operands = [*what.extras, *what.outputs]
        where = [
            p + channel * o.strides[1] + column * o.strides[3]
            for p, o in zip(others, operands, strict=True)
        ]
        inputs = {0: value}
        for k, operand in enumerate(what.extras):
            active = mask.active if mask else lanes
            inputs[k + 1] = where[k].load_strided(operand.strides[4], lanes, active)
        values = evaluate(f, what.epilogue, inputs, lanes)
        for pointer, node in zip(where[len(what.extras) :], what.results, strict=True):
            value = f.convert(values[node], pointer.element.computed)
            pointer.store(value, mask=mask)


def existing_taps(f: Function, axis: Axis, q: Offset) -> tuple[Offset, Offset]:
    """The first and last (exclusive) of the axis' taps whose input exists at `q`."""
    if axis.interior == (0, axis.count) or not axis.taps:
        return 0, len(axis.taps)
    step, shift = axis.shift_step, axis.taps[0][1]
    if isinstance(q, int):
        inside = [t for t, (_, s) in enumerate(axis.taps) if axis.exists(q, s)]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)
    position = q * axis.in_step + shift
    before = (position * -1 + (step - 1)).at_least(0) // step
    until = (position * -1 + (axis.in_size + step - 1)).at_least(0) // step
    return before, until.at_most(len(axis.taps))


def _column_tiles(f: Function, axis: Axis, width: int) -> Iterator[tuple[Offset, int]]:
    """Tiles of a row: those that touch its ends at known places, a loop over those between."""
    tiles, start = [], 0
    number = -(-axis.count // width)
    small, larger = divmod(axis.count, number)
    for i in range(number):
        tiles.append((start, small + (i < larger)))
        start += tiles[-1][1]
    low, high = axis.interior
    at = 0
    while at < number:
        first, size = tiles[at]
        run = at
        while run < number and tiles[run][1] == size and low <= tiles[run][0] and (
            tiles[run][0] + size <= high
        ):  # fmt: skip
            run += 1
        if run - at > 1:
            with f.range(0, run - at) as tile:
                yield tile * size + first, size
            at = run
        else:
            yield first, size
            at += 1
