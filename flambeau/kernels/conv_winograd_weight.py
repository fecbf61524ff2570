"""The gradient of 3x3 weights by Winograd's algorithm.

Reversing `conv_winograd`: with the turned input V = B^T d B and the turned gradient
Z = A g A^T of the same 4x4 tiles,

    dw = G^T [ sum over tiles of Z * V ] G

Each of the 36 points is again a matrix product, (sources x tiles) * (tiles x targets), and its sum
runs over the tiles of all images. Targets are its lanes, so turned gradients are transposed.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.kernels.conv_axis import Axis, Convolution
from flambeau.kernels.conv_plane import Plane, Spread, clear, spread_plane
from flambeau.kernels.conv_winograd import (
    ALL_POINTS,
    POINTS,
    TILE,
    Tiles,
    apart,
    both_ways,
    is_3_wide,
)  # fmt: skip
from flambeau.kernels.element import F32
from flambeau.kernels.kernel import Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.transpose import transposed

_FEWEST_CHANNELS = 16
_MOST_BYTES = 256 * 1024**2
_UNROLL = 4


def pays(conv: Convolution, rows: Axis, columns: Axis, x: Operand, lanes: int) -> bool:
    """Whether it applies, and costs clearly less than the direct sum."""
    if x.element is not F32 or conv.groups != 1 or not (is_3_wide(rows) and is_3_wide(columns)):
        return False
    if min(conv.in_channels, conv.out_channels) < _FEWEST_CHANNELS:
        return False
    positions = Tiles(rows, columns, lanes).positions * conv.batch
    both = conv.in_channels + conv.out_channels
    if 4 * ALL_POINTS * positions * both > _MOST_BYTES:
        return False
    pairs = conv.in_channels * conv.out_channels
    direct = 9 * rows.count * columns.count * conv.batch * pairs / (2 * lanes)
    products = ALL_POINTS * positions * pairs / (2 * lanes)
    turning = 300 * positions * both / lanes + 15 * pairs
    return 1.15 * products + turning < 0.8 * direct


def emit(
    module: Module, name: str, buffers: tuple[Buffer, ...], conv: Convolution, rows: Axis,
    columns: Axis, x: Operand, gradient: Operand, weight: Operand,
) -> Kernel:  # fmt: skip
    """The kernel; its buffers are x, gradient, weight."""
    work = _Work(module, conv, rows, columns, x, gradient, weight)
    stages = []
    for part, tasks, step in (
        ("input", conv.batch * conv.in_channels, work.turn_inputs),
        ("gradient", conv.batch * work.blocks, work.turn_gradients),
        ("products", ALL_POINTS * work.panels, work.multiply),
        ("weights", conv.in_channels, work.turn_back),
    ):
        f, pointers, workspace, scratch, begin, end = stage_function(
            module, f"{name}_{part}", buffers
        )
        memory = workspace.as_elements(F32), scratch.as_elements(F32)
        step(f, pointers, *memory, begin, end)
        stages.append(Stage(f"{name}_{part}", tasks))
    return Kernel(
        name, buffers, tuple(stages), workspace=4 * work.shared_room, scratch=4 * work.own_room,
        flops=conv.flops,
    )  # fmt: skip


class _Work:
    """The steps, each over numbered tasks."""

    def __init__(
        self, module: Module, conv: Convolution, rows: Axis, columns: Axis, x: Operand,
        gradient: Operand, weight: Operand,
    ):  # fmt: skip
        self.conv, self.rows, self.columns = conv, rows, columns
        self.x, self.gradient, self.weight = x, gradient, weight
        self.lanes = lanes = module.target.lanes(4)
        self.tiles = Tiles(rows, columns, lanes)
        #: Tiles of all images: what the products sum over.
        self.depth = conv.batch * self.tiles.positions
        self.blocks = -(-conv.out_channels // lanes)
        self.width = next(w for w in (2, 3, 1) if self.blocks % w == 0)
        self.height = 8 if module.target.registers >= 32 else 4
        self.panels = self.blocks // self.width
        self.gradient_plane = Plane(
            (0, 0), (TILE, TILE), self.tiles.rows, self.tiles.columns,
            apart(self.tiles.positions),
        )  # fmt: skip
        self.gradient_room = self.gradient_plane.parts * self.gradient_plane.size
        # Turned input, turned gradient and products, the 36 points of each so far apart.
        self.input_step = apart(conv.in_channels * self.depth)
        self.gradient_step = apart(self.blocks * self.depth * lanes)
        self.products_step = apart(conv.in_channels * self.blocks * lanes)
        self.gradient_at = ALL_POINTS * self.input_step
        self.products_at = self.gradient_at + ALL_POINTS * self.gradient_step
        self.shared_room = self.products_at + ALL_POINTS * self.products_step
        # A plane, and the turned gradients of one block before they are transposed.
        self.block_step = apart(lanes * self.tiles.positions)
        plane = round_up(max(self.tiles.room, self.gradient_room), 32)
        self.block_at = plane
        self.own_room = plane + ALL_POINTS * self.block_step

    def turn_inputs(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """[point][source][image and tile]. A task is a plane."""
        conv, tiles = self.conv, self.tiles
        spread = Spread(
            conv.batch, conv.in_channels, conv.in_size, self.x.strides, tiles.plane, tiles.room
        )
        clear(f, own, tiles.room, self.lanes)
        with f.range(begin, end) as task:
            channel, image = task // conv.batch, task % conv.batch
            source = pointers[0] + image * self.x.strides[0] + channel * self.x.strides[1]
            target = shared + task * tiles.positions
            tiles.turn(f, spread, source, own, target, self.input_step)

    def turn_gradients(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """[point][block of targets][image and tile][target]. A task is an image's block."""
        conv, lanes, positions = self.conv, self.lanes, self.tiles.positions
        plane, room = self.gradient_plane, self.gradient_room
        spread = Spread(
            conv.batch, conv.out_channels, conv.out_size, self.gradient.strides, plane, room
        )
        turned = own + self.block_at
        clear(f, own, room, lanes)
        clear(f, turned, ALL_POINTS * self.block_step, lanes)
        with f.range(begin, end) as task:
            block, image = task // conv.batch, task % conv.batch
            first = block * lanes
            source = pointers[1] + image * self.gradient.strides[0]
            last = f.position(first + lanes).at_most(conv.out_channels)
            with f.range(first, last) as channel:
                line = source + channel * self.gradient.strides[1]
                spread_plane(f, spread, line, own, lanes)
                self._turn_plane(f, own, turned + (channel - first) * positions)
            with f.range(0, ALL_POINTS) as point, f.range(0, positions, lanes) as at:
                here = turned + point * self.block_step + at
                rows = [(here + c * positions).load(lanes) for c in range(lanes)]
                where = shared + point * self.gradient_step + self.gradient_at
                where = where + (task * positions + at) * lanes
                for tile, values in enumerate(transposed(f, rows)):
                    values.store(where + tile * lanes)

    def _turn_plane(self, f: Function, plane: Pointer, target: Pointer) -> None:
        """A g A^T of all tiles of one plane."""
        with f.range(0, self.tiles.positions, self.lanes) as at:
            here = plane + at
            g = [
                [
                    (here + (i * TILE + j) * self.gradient_plane.size).load(self.lanes)
                    for j in range(TILE)
                ]
                for i in range(TILE)
            ]
            for point, value in enumerate(both_ways(f, g, _turn_gradient)):
                value.store(target + at + point * self.block_step)

    def multiply(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """[point][source][target]. A task is a point and a panel of targets."""
        conv, lanes, width = self.conv, self.lanes, self.width
        with f.range(begin, end) as task:
            panel, point = task % self.panels, task // self.panels
            x = shared + point * self.input_step
            z = shared + point * self.gradient_step + self.gradient_at
            z = z + panel * (width * self.depth * lanes)
            out = shared + point * self.products_step + self.products_at
            out = out + panel * (width * lanes)
            for source, height in f.tiles(conv.in_channels, self.height):
                sums = self._tile(f, x + source * self.depth, z, height)
                for at, value in enumerate(sums):
                    i, v = divmod(at, width)
                    value.store(out + (source + i) * (self.blocks * lanes) + v * lanes)

    def _tile(self, f: Function, x: Pointer, z: Pointer, height: int) -> list[Value]:
        """A few sources by a panel of targets, summed over the tiles of all images."""
        lanes, width = self.lanes, self.width
        zeros = [f.zero(F32, lanes)] * (height * width)
        with f.loop(0, self.depth, _UNROLL, carry=zeros) as loop:
            sums = list(loop.values)
            for k in range(_UNROLL):
                at = loop.index + k
                vectors = [
                    (z + at * lanes + v * self.depth * lanes).load(lanes) for v in range(width)
                ]
                for i in range(height):
                    spread = (x + at + i * self.depth).broadcast(lanes)
                    for v, vector in enumerate(vectors):
                        sums[i * width + v] = f.fma(spread, vector, sums[i * width + v])
            loop.next(sums)
        return loop.results

    def turn_back(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """G^T m G of every pair of channels. A task is a source."""
        target_step, source_step, row_step, column_step = self.weight.strides
        with f.range(begin, end) as source:
            for target, width in f.blocks(self.conv.out_channels, self.lanes):
                here = shared + self.products_at + source * (self.blocks * self.lanes) + target
                m = [
                    [
                        (here + (i * POINTS + j) * self.products_step).load(self.lanes)
                        for j in range(POINTS)
                    ]
                    for i in range(POINTS)
                ]
                where = pointers[2] + target * target_step + source * source_step
                taps = [(i, j) for i, _ in self.rows.taps for j, _ in self.columns.taps]
                for (i, j), value in zip(taps, both_ways(f, m, _turn_weight_back), strict=True):
                    there = where + (i * row_step + j * column_step)
                    value = f.convert(value, there.element.computed)
                    there.store_strided(value, target_step, width)


def _turn_gradient(f: Function, g: Sequence[Value]) -> list[Value]:
    """A g."""
    even, odd = g[0] + g[2], g[1] + g[3]
    far, odd_far = f.fma(g[2], 4.0, g[0]), f.fma(g[3], 8.0, g[1] * 2.0)
    return [g[0], even + odd, even - odd, far + odd_far, far - odd_far, g[3]]


def _turn_weight_back(f: Function, m: Sequence[Value]) -> list[Value]:
    """G^T m."""
    near, near_odd = (m[1] + m[2]) * (-1 / 6), (m[2] - m[1]) * (1 / 6)
    far, far_odd = (m[3] + m[4]) * (1 / 24), (m[3] - m[4]) * (1 / 12)
    return [f.fma(m[0], 0.25, near) + far, near_odd + far_odd, f.fma(far, 4.0, near) + m[5]]
