"""Pooling: maximum (with positions) and average, forward and backward, in any layout.

All four are the same walk: each output cell visits the taps of its window that exist. Forward,
the cell is an output pixel and the taps are input pixels. Backward, the cell is an input pixel
and the taps are the output pixels whose windows contain it; each hands over its gradient
(average), or does so if this cell was its maximum. Nothing is scattered, so threads never meet.

Lanes are samples or channels where those lie side by side, and neighbouring pixels otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flambeau.kernels.conv_axis import Axis, Convolution, backward_axes, forward_axis
from flambeau.kernels.conv_batch import existing_taps
from flambeau.kernels.element import BOOL, I32, I64, Element
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Buffer, Function, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand


@dataclass(frozen=True)
class Pooling:
    """The shapes of a 2d pooling; `out_size` is given, since rounding up may lengthen it."""

    batch: int
    channels: int
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def _taps(self) -> Convolution:
        return _Windows(
            self.batch, self.channels, self.channels, self.in_size, self.kernel, self.stride,
            self.padding, self.dilation, self.channels, self.out_size,
        )  # fmt: skip

    def forward(self) -> tuple[list[Axis], list[Axis]]:
        return [forward_axis(self._taps, 0)], [forward_axis(self._taps, 1)]

    def backward(self) -> tuple[list[Axis], list[Axis]]:
        return backward_axes(self._taps, 0), backward_axes(self._taps, 1)

    def window_sizes(self, dim: int, include_padding: bool) -> list[int]:
        """How many positions of one axis each window counts, as PyTorch does."""
        sizes = []
        for q in range(self.out_size[dim]):
            start = q * self.stride[dim] - self.padding[dim]
            end = min(start + self.kernel[dim], self.in_size[dim] + self.padding[dim])
            if not include_padding:
                start, end = max(start, 0), min(end, self.in_size[dim])
            sizes.append(max(end - start, 1))
        return sizes


@dataclass(frozen=True)
class _Windows(Convolution):
    """A convolution whose output size is what it is told."""

    told: tuple[int, int] = (0, 0)

    @property
    def out_size(self) -> tuple[int, int]:
        return self.told


def emit_max(
    module: Module, name: str, pool: Pooling, x: Operand, outputs: Sequence[Operand]
) -> Kernel:
    """The maximum of each window; NaN wins. Buffers: x, then the outputs.

    Args:
        module: where its function goes.
        name: of the kernel.
        pool: the shapes.
        x: strides for (sample, channel, row, column).
        outputs: the maxima; and, if there are two, their positions in the plane as int64.
    """
    element = x.element.computed

    def start(f: Function, cell: _Cell) -> list[Value]:
        first = cell.first_position(f, pool.in_size)
        return [f.constant(_lowest(element), element, cell.lanes), first][: len(outputs)]

    def tap(f: Function, cell: _Cell, here: _Tap, kept: list[Value]) -> list[Value]:
        value = here.load(0)
        best = kept[0]
        wins = value > best
        if element.is_float:
            wins = wins | value.is_nan()
        taken = [f.select(wins, value, best)]
        if len(kept) > 1:
            taken.append(f.select(wins, here.position(pool.in_size), kept[1]))
        return taken

    walk = _Walk(module, pool, *pool.forward(), [x], outputs)
    return walk.kernel(name, ["x"], start, tap, lambda f, cell, kept: kept)


def emit_average(
    module: Module, name: str, pool: Pooling, x: Operand, out: Operand,
    include_padding: bool = True, divisor: int | None = None,
) -> Kernel:  # fmt: skip
    """The mean of each window, or its sum over `divisor`. Buffers: x, out."""
    element = x.element.computed
    divide = _Divisor(pool, include_padding, divisor)

    def start(f: Function, cell: _Cell) -> list[Value]:
        return [f.zero(element, cell.lanes)]

    def tap(f: Function, cell: _Cell, here: _Tap, kept: list[Value]) -> list[Value]:
        return [kept[0] + here.load(0)]

    def finish(f: Function, cell: _Cell, kept: list[Value]) -> list[Value]:
        return [divide(f, kept[0], cell.out_row, cell.out_column, cell.out_step, cell)]

    walk = _Walk(module, pool, *pool.forward(), [x], [out])
    return walk.kernel(name, ["x"], start, tap, finish)


def emit_max_backward(
    module: Module,
    name: str,
    pool: Pooling,
    gradient: Operand,
    positions: Operand,
    out: Operand,
) -> Kernel:
    """The gradient of the input of `emit_max`. Buffers: gradient, positions, out."""
    element = gradient.element.computed

    def start(f: Function, cell: _Cell) -> list[Value]:
        return [f.zero(element, cell.lanes)]

    def tap(f: Function, cell: _Cell, here: _Tap, kept: list[Value]) -> list[Value]:
        mine = f.convert(here.load(1), I32).eq(cell.position(f, pool.in_size))
        return [kept[0] + f.select(mine, here.load(0), 0.0 if element.is_float else 0)]

    walk = _Walk(module, pool, *pool.backward(), [gradient, positions], [out])
    return walk.kernel(name, ["gradient", "positions"], start, tap, lambda f, cell, kept: kept)


def emit_average_backward(
    module: Module, name: str, pool: Pooling, gradient: Operand, out: Operand,
    include_padding: bool = True, divisor: int | None = None,
) -> Kernel:  # fmt: skip
    """The gradient of the input of `emit_average`. Buffers: gradient, out."""
    element = gradient.element.computed
    divide = _Divisor(pool, include_padding, divisor)

    def start(f: Function, cell: _Cell) -> list[Value]:
        return [f.zero(element, cell.lanes)]

    def tap(f: Function, cell: _Cell, here: _Tap, kept: list[Value]) -> list[Value]:
        share = divide(f, here.load(0), here.row, here.column, here.step, cell)
        return [kept[0] + share]

    walk = _Walk(module, pool, *pool.backward(), [gradient], [out])
    return walk.kernel(name, ["gradient"], start, tap, lambda f, cell, kept: kept)


# The walk -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """The output cells of one vector.

    Attributes:
        lanes: of the vector; `active` of them exist.
        along_row: whether lanes are neighbouring cells of a row.
        out_row, out_column: of the first lane; `out_step` from lane to lane.
        in_row, in_column: where its first existing tap lies; `in_step` from lane to lane.
    """

    lanes: int
    active: int
    along_row: bool
    out_row: Offset
    out_column: Offset
    out_step: int
    in_row: Offset
    in_column: Offset
    in_step: int

    def position(self, f: Function, size: tuple[int, int]) -> Value:
        """Where each lane's cell lies in its plane."""
        step = self.out_step if self.along_row else 0
        return _positions(f, self.out_row, self.out_column, size, step, self.lanes)

    def first_position(self, f: Function, size: tuple[int, int]) -> Value:
        """Where each lane's first tap lies in its plane."""
        step = self.in_step if self.along_row else 0
        return _positions(f, self.in_row, self.in_column, size, step, self.lanes)


@dataclass(frozen=True)
class _Tap:
    """One tap of a vector of cells: its place, and how to load what lies there."""

    f: Function
    cell: _Cell
    pointers: Sequence[Pointer]
    lane_strides: Sequence[int]
    row: Offset
    column: Offset

    @property
    def step(self) -> int:
        """From lane to lane."""
        return self.cell.in_step if self.cell.along_row else 0

    def load(self, number: int) -> Value:
        stride = self.lane_strides[number]
        return self.pointers[number].load_strided(stride, self.cell.lanes, self.cell.active)

    def position(self, size: tuple[int, int]) -> Value:
        return _positions(self.f, self.row, self.column, size, self.step, self.cell.lanes)


class _Divisor:
    """Divides by how many positions a window counts."""

    def __init__(self, pool: Pooling, include_padding: bool, divisor: int | None):
        self.rows = pool.window_sizes(0, include_padding)
        self.columns = pool.window_sizes(1, include_padding)
        self.divisor = divisor

    def __call__(
        self, f: Function, value: Value, row: Offset, column: Offset, step: int, cell: _Cell
    ) -> Value:
        if self.divisor is not None:
            return value / self.divisor
        if len({*self.rows}) == 1 and len({*self.columns}) == 1:
            size = self.rows[0] * self.columns[0]
            exact = size & (size - 1) == 0  # multiplying by a power of two rounds nothing
            return value * (1.0 / size) if exact else value / size
        height = (f.table(self.rows) + row).load()
        widths = (f.table(self.columns) + column).load_strided(
            step if cell.along_row else 0, cell.lanes, cell.active
        )
        size = f.convert(f.splat(height, cell.lanes) * widths, value.element)
        return value / f.maximum(size, 1)


class _Walk:
    """Visits all cells: tasks are rows of planes."""

    def __init__(
        self, module: Module, pool: Pooling, rows: list[Axis], columns: list[Axis],
        inputs: Sequence[Operand], outputs: Sequence[Operand],
    ):  # fmt: skip
        self.module, self.rows, self.columns = module, rows, columns
        self.inputs, self.outputs = inputs, outputs
        self.operands = [*inputs, *outputs]
        element = inputs[0].element.computed
        self.full = module.target.lanes(element.bytes)
        sizes = (pool.batch, pool.channels)
        self.lane_dim = next(
            (
                d
                for d in (0, 1)
                if sizes[d] > 1 and all(o.strides[d] == 1 for o in self.operands)
            ),
            3,
        )
        self.counts = [
            -(-size // self.full) if d == self.lane_dim else size
            for d, size in enumerate(sizes)
        ]
        self.sizes = sizes
        self.row_count = max(axis.count for axis in rows)
        self.tasks = self.counts[0] * self.counts[1] * self.row_count
        cells = math.prod(sizes) * sum(a.count for a in rows) * sum(a.count for a in columns)
        self.work = cells * max(len(a.taps) for a in rows) * max(len(a.taps) for a in columns)
        if not cells:
            self.tasks = 0

    def kernel(
        self, name: str, names: Sequence[str], start: _Start, tap: _Visit, finish: _Finish
    ) -> Kernel:
        buffers = (
            *(Buffer(n, o.element) for n, o in zip(names, self.inputs, strict=True)),
            *(Buffer(f"out{k}", o.element) for k, o in enumerate(self.outputs)),
        )
        f, pointers, _, _, begin, end = stage_function(self.module, name, buffers)
        with f.range(begin, end) as task:
            row: Offset = task % self.row_count
            plane: Offset = task // self.row_count
            channel: Offset = plane % self.counts[1]
            sample: Offset = plane // self.counts[1]
            steps = [self.full if d == self.lane_dim else 1 for d in (0, 1)]
            moved = [
                p + sample * (steps[0] * o.strides[0]) + channel * (steps[1] * o.strides[1])
                for p, o in zip(pointers, self.operands, strict=True)
            ]
            block = (sample, channel)[self.lane_dim] if self.lane_dim < 2 else 0
            for active, lanes_here in self._fills():
                with f.when(self._filled(f, block, active)):
                    self._row(f, moved, row, lanes_here, active, start, tap, finish)
        stage = Stage(name, self.tasks, self.work * 4 >= WORTH_A_THREAD)
        return Kernel(name, buffers, (stage,), flops=self.work)

    def _fills(self) -> list[tuple[int, int]]:
        """How many lanes exist in a block, and how many a vector has, for each kind of
        block."""
        if self.lane_dim == 3:
            return [(self.full, self.full)]
        full, rest = divmod(self.sizes[self.lane_dim], self.full)
        return [(self.full, self.full)] * bool(full) + [(rest, self.full)] * bool(rest)

    def _filled(self, f: Function, block: Offset, active: int) -> Value:
        if self.lane_dim == 3:
            return f.constant(True, BOOL)
        full = self.sizes[self.lane_dim] // self.full
        here = f.position(block)
        return here < full if active == self.full else here.eq(full)

    def _row(
        self, f: Function, pointers: list[Pointer], row: Offset, lanes: int, active: int,
        start: _Start, tap: _Visit, finish: _Finish,
    ) -> None:  # fmt: skip
        for axis in self.rows:
            with f.when(f.position(row) < axis.count):
                taps = existing_taps(f, axis, row)
                for columns in self.columns:
                    for q, cells, width in self._vectors(f, columns, lanes, active):
                        self._cells(
                            f, pointers, axis, columns, row, taps, q, cells, width, start, tap,
                            finish,
                        )  # fmt: skip

    def _vectors(
        self, f: Function, axis: Axis, lanes: int, active: int
    ) -> Iterator[tuple[Offset, int, int]]:
        """The vectors of a row: cells that miss taps one by one, then those that have all."""
        low, high = axis.interior
        border = [*range(low), *range(max(high, low), axis.count)]
        along_row = self.lane_dim == 3
        for q in border:
            yield q, (1 if along_row else lanes), (1 if along_row else active)
        if low >= high:
            return
        if not along_row:
            with f.range(low, high) as q:
                yield q, lanes, active
            return
        for start, width in f.blocks(high - low, lanes):
            yield start + low, lanes, width

    def _cells(
        self, f: Function, pointers: list[Pointer], rows: Axis, columns: Axis, row: Offset,
        row_taps: tuple[Offset, Offset], q: Offset, lanes: int, active: int,
        start: _Start, tap: _Visit, finish: _Finish,
    ) -> None:  # fmt: skip
        """One vector of cells: over the rows of the window, its columns unrolled."""
        along_row = self.lane_dim == 3
        existing = [
            shift for _, shift in columns.taps if not isinstance(q, int) or (
                lanes > 1 and along_row) or columns.exists(q, shift)
        ]  # fmt: skip
        first_row = rows.taps[0][1] if rows.taps else 0
        cell = _Cell(
            lanes, active, along_row,
            row * rows.out_step + rows.out_start, q * columns.out_step + columns.out_start,
            columns.out_step,
            row * rows.in_step + row_taps[0] * rows.shift_step + first_row,
            q * columns.in_step + (existing[0] if existing else 0), columns.in_step,
        )  # fmt: skip
        count = len(self.inputs)
        kept = start(f, cell)
        if rows.taps and existing:
            with f.loop(*row_taps, carry=kept) as loop:
                y = row * rows.in_step + loop.index * rows.shift_step + first_row
                values = loop.values
                for shift in existing:
                    x = q * columns.in_step + shift
                    here = _Tap(
                        f, cell,
                        [
                            p + y * o.strides[2] + x * o.strides[3]
                            for p, o in zip(pointers[:count], self.inputs, strict=True)
                        ],
                        [
                            columns.in_step * o.strides[3] if along_row else 1
                            for o in self.inputs
                        ],
                        y, x,
                    )  # fmt: skip
                    values = tap(f, cell, here, values)
                loop.next(values)
            kept = loop.results
        for value, pointer, o in zip(
            finish(f, cell, kept), pointers[count:], self.outputs, strict=True
        ):
            where = pointer + cell.out_row * o.strides[2] + cell.out_column * o.strides[3]
            stride = columns.out_step * o.strides[3] if along_row else 1
            where.store_strided(f.convert(value, where.element.computed), stride, active)


def _positions(
    f: Function, row: Offset, column: Offset, size: tuple[int, int], step: int, lanes: int
) -> Value:
    """Positions in a plane, which is never so large that they would not fit 32 bits."""
    first = f.convert(f.constant_of(row * size[1] + column, I64), I32)
    if lanes == 1:
        return first
    return f.splat(first, lanes) + f.iota(I32, lanes) * step


def _lowest(element: Element) -> float:
    if element.is_float:
        return -math.inf
    return -(1 << (8 * element.bytes - 1)) if element.kind == "signed" else 0


_Start = Callable[[Function, _Cell], list[Value]]
_Visit = Callable[[Function, _Cell, _Tap, list[Value]], list[Value]]
_Finish = Callable[[Function, _Cell, list[Value]], list[Value]]
