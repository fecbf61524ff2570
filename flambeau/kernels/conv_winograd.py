"""3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): a quarter of the multiplications.

Output pixels are made in tiles of 4x4, each from a 6x6 tile of the input d and the 3x3 weights w:

    y = A^T [ (G w G^T) * (B^T d B) ] A

with * the product of corresponding elements, of which there are 36 for 16 outputs that would take
144. Summed over channels, each of the 36 is a matrix product (targets x sources) * (sources x
tiles), and there all the time is spent. Tiles are the lanes: the input is spread (see `conv_plane`)
so that one element of neighbouring tiles lies side by side.

Its results differ from the direct sum by some 1e-5 of the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.kernels.conv_axis import Axis
from flambeau.kernels.conv_plane import (
    IMAGES_FOR_ALL,
    Plane,
    Spread,
    Sum,
    spread_piece,
)  # fmt: skip
from flambeau.kernels.conv_tile import Tap, choose_tile, emit_taps
from flambeau.kernels.element import F32
from flambeau.kernels.expression import evaluate
from flambeau.kernels.kernel import Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import (
    Buffer,
    Function,
    Index,
    Mask,
    Module,
    Offset,
    Pointer,
    Value,
)
from flambeau.kernels.transpose import interleaved

_TILE, _TAPS, _POINTS = 4, 3, 6
_ALL_POINTS = _POINTS * _POINTS
_UNROLL = 4
_FEWEST_CHANNELS = 16


def pays(what: Sum, lanes: int) -> bool:
    """Whether it applies, and costs clearly less than the direct sum."""
    conv = what.conv
    if what.x.element is not F32 or conv.groups != 1 or len(what.rows) * len(what.columns) > 1:
        return False
    (rows,), (columns,) = what.rows, what.columns
    if not (_is_3_wide(rows) and _is_3_wide(columns)):
        return False
    if min(what.sources, what.targets) < _FEWEST_CHANNELS:
        return False
    positions = round_up(-(-rows.count // _TILE) * -(-columns.count // _TILE), lanes)
    channels = what.sources * what.targets
    direct = 9 * rows.count * columns.count * channels * conv.batch / (2 * lanes)
    products = _ALL_POINTS * positions * channels * conv.batch / (2 * lanes)
    turning = 200 * positions * (what.sources + what.targets) * conv.batch / lanes
    weights = 6 * channels
    return 1.15 * products + turning + weights < 0.8 * direct


def _is_3_wide(axis: Axis) -> bool:
    return len(axis.taps) == _TAPS and axis.shift_step == axis.in_step == axis.out_step == 1


def emit(module: Module, name: str, buffers: tuple[Buffer, ...], what: Sum) -> Kernel:
    """The kernel; its buffers are x, weight, extras, outputs.

    First the weights are turned, once for all images. Then a thread does one image after the
    other in its own memory; with fewer images than threads may be, threads share each step.
    """
    conv, extras = what.conv, len(what.extras)
    alone = conv.batch >= IMAGES_FOR_ALL
    work = _Winograd(module, what, 1 if alone else conv.batch)
    stages: list[Stage] = []

    def stage(part: str, tasks: int) -> _Stage:
        stages.append(Stage(f"{name}_{part}", tasks))
        return stage_function(module, f"{name}_{part}", buffers)

    f, pointers, workspace, _, begin, end = stage("weights", what.targets)
    work.turn_weights(f, pointers[1], workspace.as_elements(F32), begin, end)
    if alone:
        f, pointers, workspace, scratch, begin, end = stage("images", conv.batch)
        operands = [*what.extras, *what.outputs]
        memory = _Memory(workspace, scratch, scratch + 4 * work.shared_room, work)
        with f.range(begin, end) as image:
            x = pointers[0] + image * what.x.strides[0]
            others = [
                p + image * o.strides[0] for p, o in zip(pointers[2:], operands, strict=True)
            ]
            work.spread(f, x, memory, 0, work.spread_tasks)
            work.multiply(f, memory, 0, work.multiply_tasks)
            work.copy(f, others[:extras], others[extras:], memory, 0, work.copy_tasks)
    else:
        for part, tasks in (
            ("spread", work.spread_tasks), ("multiply", work.multiply_tasks),
            ("copy", work.copy_tasks),
        ):  # fmt: skip
            f, pointers, workspace, scratch, begin, end = stage(part, tasks)
            memory = _Memory(workspace, workspace + 4 * work.weights_room, scratch, work)
            if part == "spread":
                work.spread(f, pointers[0], memory, begin, end)
            elif part == "multiply":
                work.multiply(f, memory, begin, end)
            else:
                others = pointers[2:]
                work.copy(f, others[:extras], others[extras:], memory, begin, end)
    in_workspace = work.weights_room + (0 if alone else work.shared_room)
    in_scratch = work.own_room + (work.shared_room if alone else 0)
    return Kernel(
        name, buffers, tuple(stages), workspace=4 * in_workspace, scratch=4 * in_scratch,
        flops=conv.flops,
    )  # fmt: skip


class _Memory:
    """Where intermediates are: turned weights; planes and results; a block's products."""

    def __init__(self, weights: Pointer, shared: Pointer, own: Pointer, work: _Winograd):
        self.weights = weights.as_elements(F32)
        self.planes = shared.as_elements(F32)
        self.results = self.planes + work.planes_room
        self.turned = own.as_elements(F32)
        self.products = self.turned + work.turned_room


class _Winograd:
    """The steps, each over numbered tasks, for some images at a time.

    Tiles are numbered row by row, `positions` of them, cut into blocks whose turned input and
    products fit the second cache.
    """

    def __init__(self, module: Module, what: Sum, images: int):
        self.what, self.images = what, images
        (self.rows,), (self.columns,) = what.rows, what.columns
        self.lanes = lanes = module.target.lanes(4)
        self.tile_rows = -(-self.rows.count // _TILE)
        self.tile_columns = -(-self.columns.count // _TILE)
        vectors = -(-self.tile_rows * self.tile_columns // lanes)
        channels = what.sources + what.targets
        fitting = module.target.l2 * 3 // 4 // (4 * _ALL_POINTS * channels * lanes)
        self.blocks = -(-vectors // max(1, fitting))
        self.block = -(-vectors // self.blocks)  # vectors of a block
        self.positions = self.blocks * self.block * lanes
        room = (self.tile_rows + 1) * self.tile_columns
        self.plane = Plane(
            (self.rows.taps[0][1], self.columns.taps[0][1]), (_TILE, _TILE),
            self.tile_rows + 1, self.tile_columns,
            round_up(max(room, self.positions + self.tile_columns), 16), _POINTS - _TILE,
        )  # fmt: skip
        self.planes_of = self.plane.parts * self.plane.size
        self.tile = choose_tile(module.target, what.targets, self.block)
        self.weights_room = _ALL_POINTS * what.sources * what.targets
        self.planes_room = images * what.sources * self.planes_of
        self.results_of = _TILE * _TILE * self.positions
        self.shared_room = self.planes_room + images * what.targets * self.results_of
        self.turned_room = _ALL_POINTS * what.sources * self.block * lanes
        self.own_room = self.turned_room + _ALL_POINTS * what.targets * self.block * lanes
        self.spread_tasks = images * what.sources
        self.multiply_tasks = images * self.blocks
        self.copy_tasks = images * what.targets

    def turn_weights(
        self, f: Function, weight: Pointer, turned: Pointer, begin: Offset, end: Offset
    ) -> None:
        """G w G^T of every pair of channels, as [point][target][source]. A task is a target."""
        what = self.what
        target_step, source_step, row_step, column_step, _ = what.weight.strides
        row_taps = [tap for tap, _ in self.rows.taps]
        column_taps = [tap for tap, _ in self.columns.taps]
        with f.range(begin, end) as target:
            for source, width in f.blocks(what.sources, self.lanes):
                here = weight + target * target_step + source * source_step
                w = [
                    [
                        (here + (i * row_step + j * column_step)).load_strided(
                            source_step, self.lanes, width
                        )
                        for j in column_taps
                    ]
                    for i in row_taps
                ]
                mask = Mask(width, self.lanes) if width < self.lanes else None
                for point, value in enumerate(_both_ways(f, w, _turn_weight)):
                    where = turned + (target + point * what.targets) * what.sources + source
                    value.store(where, mask=mask)

    def spread(
        self, f: Function, x: Pointer, memory: _Memory, begin: Offset, end: Offset
    ) -> None:
        """The input's planes, dealt by fours. A task is a plane."""
        what = self.what
        spread = Spread(
            self.images, what.sources, what.in_size, what.x.strides, self.plane, self.planes_of
        )
        spread_piece("", spread, 0, 0, F32, self.lanes).emit(
            f, [x], memory.planes, begin, end
        )  # fmt: skip

    def multiply(self, f: Function, memory: _Memory, begin: Offset, end: Offset) -> None:
        """Input turned, multiplied, and turned back. A task is a block of tiles of an image."""
        what = self.what
        with f.range(begin, end) as task:
            block, image = task % self.blocks, task // self.blocks
            first = block * (self.block * self.lanes)
            planes = memory.planes + image * (what.sources * self.planes_of) + first
            results = memory.results + image * (what.targets * self.results_of) + first
            self._turn_input(f, planes, memory.turned)
            self._products(f, memory.turned, memory.weights, memory.products)
            self._turn_back(f, memory.products, results)

    def _turn_input(self, f: Function, planes: Pointer, turned: Pointer) -> None:
        """B^T d B of each source, as [point][source][tile]."""
        what, width = self.what, self.block * self.lanes
        size, pitch, columns = self.plane.size, self.plane.pitch, self.plane.columns
        with f.range(0, what.sources) as source, f.range(0, width, self.lanes) as at:
            here = planes + source * self.planes_of + at
            d = [
                [
                    (here + (i % _TILE * columns + j) * size + i // _TILE * pitch).load(
                        self.lanes
                    )
                    for j in range(_POINTS)
                ]
                for i in range(_POINTS)
            ]
            where = turned + source * width + at
            for point, value in enumerate(_both_ways(f, d, _turn_input)):
                value.store(where + point * (what.sources * width))

    def _products(
        self, f: Function, turned: Pointer, weights: Pointer, products: Pointer
    ) -> None:
        """For each point, the product of weights and input: [point][target][tile]."""
        what, lanes, width = self.what, self.lanes, self.block * self.lanes
        unroll = _UNROLL if what.sources % _UNROLL == 0 else 1
        with f.range(0, _ALL_POINTS) as point:
            x = turned + point * (what.sources * width)
            w = weights + point * (what.sources * what.targets)
            y = products + point * (what.targets * width)
            for target, height in f.tiles(what.targets, self.tile[0]):
                for vector, wide in f.tiles(self.block, self.tile[1]):
                    taps = [
                        Tap(k, tuple(k * width + v * lanes for v in range(wide)))
                        for k in range(unroll)
                    ]
                    zeros = [f.zero(F32, lanes)] * (height * wide)
                    with f.loop(0, what.sources, unroll, carry=zeros) as loop:
                        loop.next(
                            emit_taps(
                                f, x + loop.index * width + vector * lanes,
                                w + target * what.sources + loop.index, taps, height,
                                what.sources, loop.values, [None] * wide,
                            )
                        )  # fmt: skip
                    for at, value in enumerate(loop.results):
                        c, v = divmod(at, wide)
                        value.store(y + (target + c) * width + vector * lanes + v * lanes)

    def _turn_back(self, f: Function, products: Pointer, results: Pointer) -> None:
        """A^T m A of each target, as [target][pixel of the tile][tile]."""
        what, width = self.what, self.block * self.lanes
        with f.range(0, what.targets) as target, f.range(0, width, self.lanes) as at:
            here = products + target * width + at
            m = [
                [
                    (here + (i * _POINTS + j) * (what.targets * width)).load(self.lanes)
                    for j in range(_POINTS)
                ]
                for i in range(_POINTS)
            ]
            where = results + target * self.results_of + at
            for pixel, value in enumerate(_both_ways(f, m, _turn_back)):
                value.store(where + pixel * self.positions)

    def copy(
        self, f: Function, extras: list[Pointer], outputs: list[Pointer], memory: _Memory,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """Deals the pixels of tiles back into rows, through the epilogue. A task is a plane."""
        what = self.what
        operands, pointers = [*what.extras, *what.outputs], [*extras, *outputs]
        with f.range(begin, end) as task:
            target, image = task % what.targets, task // what.targets
            source = memory.results + task * self.results_of
            planes = [
                p + image * o.strides[0] + target * o.strides[1]
                for p, o in zip(pointers, operands, strict=True)
            ]
            for i in range(_TILE):
                rows = len(range(i, self.rows.count, _TILE))
                if not rows:
                    continue
                with f.range(0, rows) as tile_row:
                    lines = [
                        p + (tile_row * _TILE + i) * o.strides[2]
                        for p, o in zip(planes, operands, strict=True)
                    ]
                    line = source + i * (_TILE * self.positions) + tile_row * self.tile_columns
                    self._copy_line(f, line, lines)

    def _copy_line(self, f: Function, source: Pointer, lines: list[Pointer]) -> None:
        """One row of pixels, from the tiles' four columns."""
        what, lanes, count = self.what, self.lanes, self.columns.count
        operands, extras = [*what.extras, *what.outputs], len(what.extras)
        for first in range(0, self.tile_columns, lanes):
            parts = [(source + j * self.positions + first).load(lanes) for j in range(_TILE)]
            for number, value in enumerate(interleaved(f, parts)):
                column = first * _TILE + number * lanes
                active = min(lanes, count - column)
                if active <= 0:
                    break
                where = [
                    p + column * o.strides[3] for p, o in zip(lines, operands, strict=True)
                ]
                inputs = {0: value}
                for k in range(extras):
                    step = operands[k].strides[3]
                    inputs[k + 1] = where[k].load_strided(step, lanes, active)
                values = evaluate(f, what.epilogue, inputs, lanes)
                for k, node in enumerate(what.results):
                    out, step = where[extras + k], operands[extras + k].strides[3]
                    value = f.convert(values[node], out.element.computed)
                    out.store_strided(value, step, active)


# The three transforms, of one row of values ---------------------------------------------------


def _turn_input(f: Function, d: Sequence[Value]) -> list[Value]:
    """B^T d."""
    a, b = f.fma(d[2], -4.0, d[4]), f.fma(d[1], -4.0, d[3])
    c, e = d[4] - d[2], d[3] - d[1]
    return [
        f.fma(d[0], 4.0, f.fma(d[2], -5.0, d[4])), a + b, a - b, f.fma(e, 2.0, c),
        f.fma(e, -2.0, c), f.fma(d[1], 4.0, f.fma(d[3], -5.0, d[5])),
    ]  # fmt: skip


def _turn_weight(f: Function, w: Sequence[Value]) -> list[Value]:
    """G w."""
    outer, far = w[0] + w[2], f.fma(w[2], 4.0, w[0])
    return [
        w[0] * 0.25, (outer + w[1]) * (-1 / 6), (outer - w[1]) * (-1 / 6),
        f.fma(w[1], 2.0, far) * (1 / 24), f.fma(w[1], -2.0, far) * (1 / 24), w[2],
    ]  # fmt: skip


def _turn_back(f: Function, m: Sequence[Value]) -> list[Value]:
    """A^T m."""
    a, b, c, d = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [m[0] + a + c, f.fma(d, 2.0, b), f.fma(c, 4.0, a), f.fma(d, 8.0, b) + m[5]]


def _both_ways(
    f: Function, square: Sequence[Sequence[Value]],
    turn: Callable[[Function, Sequence[Value]], list[Value]],
) -> list[Value]:  # fmt: skip
    """A transform along the rows of a square, then along its columns; row by row."""
    rows = [turn(f, row) for row in square]
    columns = [turn(f, column) for column in zip(*rows, strict=True)]
    return [value for row in zip(*columns, strict=True) for value in row]


_Stage = tuple[Function, list[Pointer], Pointer, Pointer, Index, Index]
