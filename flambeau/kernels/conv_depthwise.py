"""Depthwise convolutions: each channel by itself, with pixels in the lanes.

There are few operations a number, so memory decides. One plane at a time is spread into memory of its own
(see `conv_plane`: padding is zeros around it, and a stride deals it into parts), which stays in the first
cache, and results go from registers to where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.kernels.conv_axis import Axis, Convolution
from flambeau.kernels.conv_plane import Spread, Sum, clear, plane_for, spread_plane
from flambeau.kernels.expression import evaluate
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.transpose import interleaved, lane_sums

_SUMS = 5 / 8  # share of the registers that holds sums


def applies(what: Sum, lanes: int) -> bool:
    """Whether each result comes from one channel, and rows are long enough for vectors."""
    axes = [*what.rows, *what.columns]
    wide = sum(axis.count for axis in what.columns) >= lanes // 2
    return what.sources == 1 and what.conv.groups > 1 and wide and all(axis.taps for axis in axes)


def emit(module: Module, name: str, buffers: tuple[Buffer, ...], what: Sum) -> Kernel:
    """A convolution or input gradient; buffers are x, weight, extras, outputs. Only for what it `applies` to."""
    conv, element = what.conv, what.x.element.computed
    lanes = module.target.lanes(element.bytes)
    plane = plane_for(what.rows, what.columns, lanes)
    room = plane.parts * plane.size
    spread = Spread(conv.batch, conv.groups, what.in_size, what.x.strides, plane, room)
    nest = _Rows(what, spread, lanes, module.target.registers)
    operands = [*what.extras, *what.outputs]
    f, (x, weight, *others), _, own, begin, end = stage_function(module, name, buffers)
    memory = own.as_elements(element)
    clear(f, memory, room, lanes)
    with f.range(begin, end) as task:
        image, group = task // conv.groups, task % conv.groups
        spread_plane(f, spread, x + image * what.x.strides[0] + group * what.x.strides[1], memory, lanes)
        with f.range(0, what.targets) as target:
            channel = group * what.targets + target
            here = [
                p + image * o.strides[0] + channel * o.strides[1] for p, o in zip(others, operands, strict=True)
            ]
            w = weight + group * what.weight.strides[4] + target * what.weight.strides[0]
            nest.emit(f, memory, w, here)
    stage = Stage(name, conv.batch * conv.groups, conv.flops >= 4 * WORTH_A_THREAD)
    return Kernel(name, buffers, (stage,), scratch=room * element.bytes, flops=conv.flops)


class _Rows:
    """The results of one plane: tiles of a few rows by a vector of columns."""

    def __init__(self, what: Sum, spread: Spread, lanes: int, registers: int):
        self.what, self.plane, self.lanes = what, spread.plane, lanes
        together = len(what.columns) in (2, 4)  # residues that are dealt into one row
        self.dealt = [what.columns] if together else [[column] for column in what.columns]
        self.height = max(1, int(registers * _SUMS / 2) // len(self.dealt[0]))

    def emit(self, f: Function, plane: Pointer, weight: Pointer, others: Sequence[Pointer]) -> None:
        for rows in self.what.rows:
            for columns in self.dealt:
                for row, height in f.tiles(rows.count, min(self.height, rows.count)):
                    count = sum(column.count for column in columns)
                    for column, width in f.blocks(count, self.lanes * len(columns)):
                        self._tile(f, plane, weight, others, rows, columns, (row, column), (height, width))

    def _tile(
        self, f: Function, plane: Pointer, weight: Pointer, others: Sequence[Pointer], rows: Axis,
        columns: Sequence[Axis], at: tuple[Offset, Offset], size: tuple[int, int],
    ) -> None:  # fmt: skip
        """Some rows by a vector of columns, of each residue of the columns."""
        what, lanes, dealt = self.what, self.lanes, len(columns)
        (row, column), (height, width) = at, size
        first = column if dealt == 1 else column // dealt if isinstance(column, int) else f.position(column) // dealt
        here = plane + row * self.plane.pitch + first
        # Whatever is loaded serves all the results that need it.
        uses: dict[int, list[tuple[int, int]]] = {}
        for residue, axis in enumerate(columns):
            for row_tap, dy in rows.taps:
                for column_tap, dx in axis.taps:
                    tap = row_tap * what.weight.strides[2] + column_tap * what.weight.strides[3]
                    for r in range(height):
                        offset = r * self.plane.pitch + self.plane.distance(dy, dx)
                        uses.setdefault(offset, []).append((r * dealt + residue, tap))
        weights: dict[int, Value] = {}
        sums: dict[int, Value] = {}
        for offset in sorted(uses):
            value = here + offset
            vector = value.load(lanes)
            for number, tap in uses[offset]:
                if tap not in weights:
                    weights[tap] = (weight + tap).broadcast(lanes)
                sums[number] = f.fma(vector, weights[tap], sums[number]) if number in sums else vector * weights[tap]
        out_step, out_start = (1, 0) if dealt > 1 else (columns[0].out_step, columns[0].out_start)
        for r in range(height):
            y = (row + r) * rows.out_step + rows.out_start
            values = [sums[r * dealt + residue] for residue in range(dealt)]
            for number, value in enumerate(interleaved(f, values)):
                active = min(lanes, width - number * lanes)
                if active > 0:
                    self._finish(f, value, others, y, (column + number * lanes) * out_step + out_start, out_step, active)

    def _finish(
        self, f: Function, value: Value, others: Sequence[Pointer], y: Offset, x: Offset, step: int, active: int
    ) -> None:
        """The epilogue of a vector, and its stores."""
        what, lanes, extras = self.what, self.lanes, len(self.what.extras)
        operands = [*what.extras, *what.outputs]
        where = [p + y * o.strides[2] + x * o.strides[3] for p, o in zip(others, operands, strict=True)]
        inputs = {0: value}
        for k in range(extras):
            inputs[k + 1] = where[k].load_strided(operands[k].strides[3] * step, lanes, active)
        values = evaluate(f, what.epilogue, inputs, lanes)
        for k, node in enumerate(what.results):
            out, between = where[extras + k], operands[extras + k].strides[3] * step
            out.store_strided(f.convert(values[node], out.element.computed), between, active)


def applies_to_weights(conv: Convolution, columns: Axis, lanes: int) -> bool:
    """Whether each weight comes from one pair of planes, and rows are long enough for vectors."""
    return conv.group_in == 1 and conv.groups > 1 and conv.group_out < lanes // 2 and columns.count >= lanes // 2


def emit_weight_gradient(
    module: Module, name: str, buffers: tuple[Buffer, ...], conv: Convolution, rows: Axis,
    columns: Axis, x: Operand, gradient: Operand, weight: Operand,
) -> Kernel:  # fmt: skip
    """The gradient of the weights; buffers are x, gradient, weight. A task is a channel of all images."""
    element = x.element.computed
    lanes = module.target.lanes(element.bytes)
    plane = plane_for([rows], [columns], lanes)
    room, taps = plane.parts * plane.size, len(rows.taps) * len(columns.taps)
    spread = Spread(conv.batch, conv.in_channels, conv.in_size, x.strides, plane, room)
    sums_at, targets = room, conv.group_out
    f, (source, slopes, out), _, own, begin, end = stage_function(module, name, buffers)
    memory = own.as_elements(element)
    clear(f, memory, room, lanes)
    sums = memory + sums_at
    with f.range(begin, end) as group:
        with f.range(0, targets * taps) as at:
            f.zero(element, lanes).store(sums + at * lanes)
        with f.range(0, conv.batch) as image:
            here = source + image * x.strides[0] + group * x.strides[1]
            spread_plane(f, spread, here, memory, lanes)
            with f.range(0, targets) as target:
                g = slopes + image * gradient.strides[0] + (group * targets + target) * gradient.strides[1]
                _add_plane(f, memory, g, sums + target * (taps * lanes), spread, rows, columns, gradient, lanes)
        with f.range(0, targets) as target:
            totals = lane_sums(f, [(sums + (target * taps + k) * lanes).load(lanes) for k in range(taps)])
            where = out + (group * targets + target) * weight.strides[0]
            places = [i * weight.strides[2] + j * weight.strides[3] for i, _ in rows.taps for j, _ in columns.taps]
            for place, total in zip(places, totals, strict=True):
                there = where + place
                there.store(f.convert(total, there.element.computed))
    stage = Stage(name, conv.groups, conv.flops >= 4 * WORTH_A_THREAD)
    scratch = (room + targets * taps * lanes) * element.bytes
    return Kernel(name, buffers, (stage,), scratch=scratch, flops=conv.flops)


def _add_plane(
    f: Function, plane: Pointer, gradient: Pointer, sums: Pointer, spread: Spread, rows: Axis, columns: Axis,
    operand: Operand, lanes: int,
) -> None:  # fmt: skip
    """What one plane adds to the weights of a channel, a few rows of taps at a time."""
    pitch, across = spread.plane.pitch, len(columns.taps)
    some = max(1, int(f.target.registers * _SUMS) // across)
    for first in range(0, len(rows.taps), some):
        distances = [
            spread.plane.distance(dy, dx) for _, dy in rows.taps[first : first + some] for _, dx in columns.taps
        ]
        slots = [sums + (first * across + k) * lanes for k in range(len(distances))]
        with f.loop(0, rows.count, carry=[slot.load(lanes) for slot in slots]) as over_rows:
            line = gradient + over_rows.index * operand.strides[2]
            here = plane + over_rows.index * pitch

            def add(values: Sequence[Value], column: Offset, width: int) -> list[Value]:
                mask = Mask(width, lanes) if width < lanes else None
                step = operand.strides[3]
                g = (line + column * step).load(lanes, mask=mask) if step == 1 else (
                    (line + column * step).load_strided(step, lanes, width)
                )  # fmt: skip
                return [
                    f.fma(g, (here + distance + column).load(lanes), value)
                    for distance, value in zip(distances, values, strict=True)
                ]

            whole, rest = divmod(columns.count, lanes)
            with f.loop(0, whole * lanes, lanes, carry=over_rows.values) as over_columns:
                over_columns.next(add(over_columns.values, over_columns.index, lanes))
            values = over_columns.results
            over_rows.next(add(values, whole * lanes, rest) if rest else values)
        for slot, value in zip(slots, over_rows.results, strict=True):
            value.store(slot)
