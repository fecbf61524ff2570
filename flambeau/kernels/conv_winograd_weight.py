"""The gradient of weights by Winograd's algorithm.

Reversing `winograd`: with the turned input V = B^T d B and the turned gradient Z = A g A^T of the
same tiles,

    dw = G^T [ sum over tiles of Z * V ] G

Each of the 36 points is again a matrix product, (sources x tiles) * (tiles x targets), and its sum
runs over the tiles of all images. Targets are its lanes. Where tiles are few, a task takes all points of
some sources and a panel of targets, so that products are turned into weights while they are in the cache.
Where they are many, it takes all sources of one point.
"""

from __future__ import annotations

from functools import partial

from flambeau.kernels.conv_axis import Axis, Convolution
from flambeau.kernels.conv_plane import Spread, clear
from flambeau.kernels.element import F32
from flambeau.kernels.kernel import Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.transpose import transposed
from flambeau.kernels.winograd import (
    ALL_POINTS,
    POINTS,
    Tiles,
    apart,
    both_ways,
    fits,
    tiles_of,
    turn_gradient,
    turn_weight_back,
)

_FEWEST_CHANNELS = 16
_MOST_BYTES = 256 * 1024**2
_TASKS = 16
_UNROLL = 4
_FEW = 128  # tiles
_STRETCH = 256  # tiles that are summed in registers; short sums also round less


def pays(conv: Convolution, rows: Axis, columns: Axis, x: Operand, lanes: int) -> bool:
    """Whether it applies, and costs clearly less than the direct sum."""
    if x.element is not F32 or conv.groups != 1 or not fits(rows, columns):
        return False
    if min(conv.in_channels, conv.out_channels) < _FEWEST_CHANNELS:
        return False
    count = tiles_of(rows, columns)
    tiles, wide = count * conv.batch, round_up(conv.out_channels, lanes)
    if 4 * ALL_POINTS * tiles * (conv.in_channels + wide) > _MOST_BYTES:
        return False
    pairs = conv.in_channels * wide
    direct = len(rows.taps) ** 2 * rows.count * columns.count * conv.batch * pairs / (2 * lanes)
    products = ALL_POINTS * tiles * pairs / (2 * lanes)
    turning = 200 * conv.in_channels * conv.batch * -(-count // lanes) + 250 * tiles * wide / lanes
    return 1.15 * products + turning + 200 * pairs / lanes < 0.8 * direct


def emit(
    module: Module, name: str, buffers: tuple[Buffer, ...], conv: Convolution, rows: Axis,
    columns: Axis, x: Operand, gradient: Operand, weight: Operand,
) -> Kernel:  # fmt: skip
    """The kernel; its buffers are x, gradient, weight."""
    work = _Work(module, conv, rows, columns, x, gradient, weight)
    steps = [
        ("input", conv.batch * conv.in_channels, work.turn_inputs),
        ("gradient", conv.batch * work.blocks, work.turn_gradients),
    ]
    if work.few_tiles:
        steps.append(("products", work.panels * work.source_blocks, work.make_weights))
    else:
        steps.append(("products", ALL_POINTS * work.panels, work.multiply))
        steps.append(("weights", work.panels * conv.in_channels, work.turn_back))
    stages = []
    for part, tasks, step in steps:
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
        target = module.target
        self.lanes = lanes = target.lanes(4)
        self.tiles = Tiles(rows, columns, lanes)
        #: Tiles of all images: what the products sum over.
        self.depth = conv.batch * self.tiles.count
        self.blocks = -(-conv.out_channels // lanes)
        self.vectors = next(w for w in (2, 3, 1) if self.blocks % w == 0)
        self.width = self.vectors * lanes
        self.height = target.registers * 5 // 8 // self.vectors
        self.panels = self.blocks // self.vectors
        self.few_tiles = self.depth <= _FEW
        # Sources of a task: their products should stay in the cache, and tasks be enough for all threads.
        most = max(1, target.l2 // 2 // (4 * ALL_POINTS * self.width))
        fair = -(-conv.in_channels * self.panels // _TASKS)
        self.sources = min(conv.in_channels, most, max(fair, self.height)) if self.few_tiles else conv.in_channels
        self.source_blocks = -(-conv.in_channels // self.sources)
        # Turned input, turned gradient and products, the 36 points of each so far apart.
        self.input_step = apart(conv.in_channels * self.depth)
        self.gradient_step = apart(self.blocks * self.depth * lanes)
        self.products_step = apart(self.sources * self.width * (1 if self.few_tiles else self.panels))
        self.gradient_at = ALL_POINTS * self.input_step
        self.products_at = self.gradient_at + ALL_POINTS * self.gradient_step
        self.shared_room = self.products_at + (0 if self.few_tiles else ALL_POINTS * self.products_step)
        # A plane of the input; or pixels of the gradient, as tiles need them; or products.
        self.pitch = self.tiles.columns * self.tiles.tile
        self.pixels = self.tiles.rows * self.tiles.tile * self.pitch * lanes
        self.own_room = max(self.tiles.room, self.pixels, self.few_tiles * ALL_POINTS * self.products_step)

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
            target = shared + task * tiles.count
            tiles.turn(f, spread, source, own, target, self.input_step, tiles.count)

    def turn_gradients(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """[point][panel][image and tile][target]. A task is an image's block of targets."""
        conv, lanes, strides = self.conv, self.lanes, self.gradient.strides
        full, left = divmod(conv.out_channels, lanes)
        clear(f, own, self.pixels, lanes)
        with f.range(begin, end) as task:
            block, image = f.position(task) // conv.batch, task % conv.batch
            source = pointers[1] + image * strides[0] + block * (lanes * strides[1])
            for count, condition in ((lanes, full), (left, left)):
                if not condition:
                    continue
                chosen = block < full if count == lanes else block.eq(full)
                with f.when(chosen), f.range(0, self.rows.count) as row:
                    for column, width in f.blocks(self.columns.count, lanes):
                        here = source + row * strides[2] + column * strides[3]
                        lines = [
                            (here + c * strides[1]).load_strided(strides[3], lanes, width)
                            for c in range(count)
                        ]
                        lines += [f.zero(F32, lanes)] * (lanes - count)
                        there = own + (row * self.pitch + column) * lanes
                        for p, value in enumerate(transposed(f, lines)[:width]):
                            value.store(there + p * lanes)
            panel, vector = block // self.vectors, block % self.vectors
            first = panel * self.depth + image * self.tiles.count
            self._turn_tiles(f, own, shared + self.gradient_at + first * self.width + vector * lanes)

    def _turn_tiles(self, f: Function, pixels: Pointer, target: Pointer) -> None:
        """A g A^T of the tiles of an image's block of targets."""
        tiles, lanes, tile = self.tiles, self.lanes, self.tiles.tile
        with f.range(0, tiles.rows) as row, f.range(0, tiles.columns) as column:
            here = pixels + (row * self.pitch + column) * (tile * lanes)
            g = [[(here + (i * self.pitch + j) * lanes).load(lanes) for j in range(tile)] for i in range(tile)]
            there = target + (row * tiles.columns + column) * self.width
            for point, value in enumerate(both_ways(f, g, turn_gradient)):
                value.store(there + point * self.gradient_step)

    def make_weights(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """[point][source][target] of some sources and a panel of targets; then their weights."""
        rest = self.conv.in_channels % self.sources
        whole = self.conv.in_channels // self.sources
        with f.range(begin, end) as task:
            part, panel = f.position(task) // self.panels, task % self.panels
            first = part * self.sources
            x = shared + first * self.depth
            z = shared + self.gradient_at + panel * (self.depth * self.width)
            weight = pointers[2] + first * self.weight.strides[1]
            for count, condition in ((self.sources, whole), (rest, rest)):
                if not condition:
                    continue
                with f.when(part < whole if count == self.sources else part.eq(whole)):
                    with f.range(0, ALL_POINTS) as point:
                        v, u = x + point * self.input_step, z + point * self.gradient_step
                        self._product(f, v, u, own + point * self.products_step, count)
                    with f.range(0, count) as source:
                        there = weight + source * self.weight.strides[1]
                        self._turn_back(f, own + source * self.width, there, panel)

    def multiply(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """[point][panel][source][target]. A task is a point and a panel of targets."""
        with f.range(begin, end) as task:
            panel, point = task % self.panels, task // self.panels
            v = shared + point * self.input_step
            u = shared + self.gradient_at + point * self.gradient_step + panel * (self.depth * self.width)
            m = shared + self.products_at + point * self.products_step + panel * (self.sources * self.width)
            self._product(f, v, u, m, self.sources)

    def turn_back(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        """The weights. A task is a source and a panel of targets."""
        with f.range(begin, end) as task:
            source, panel = task % self.sources, task // self.sources
            products = shared + self.products_at + task * self.width
            self._turn_back(f, products, pointers[2] + source * self.weight.strides[1], panel)

    def _product(self, f: Function, x: Pointer, z: Pointer, m: Pointer, sources: int) -> None:
        """One point of so many sources and a panel, [source][target]; a stretch of tiles after the other."""
        lanes, together = self.lanes, self.depth <= _STRETCH
        if not together:
            with f.range(0, sources * self.width, lanes) as at:
                f.zero(F32, lanes).store(m + at)
        for start, length in f.blocks(self.depth, _STRETCH):
            for source, height in f.tiles(sources, self.height):
                sums = self._tile(f, x + source * self.depth + start, z + start * self.width, height, length)
                for at, value in enumerate(sums):
                    i, n = divmod(at, self.vectors)
                    where = m + (source + i) * self.width + n * lanes
                    (value if together else where.load(lanes) + value).store(where)

    def _tile(self, f: Function, x: Pointer, z: Pointer, height: int, length: int) -> list[Value]:
        """A few sources by a panel of targets, summed over a stretch of tiles."""
        lanes, vectors = self.lanes, self.vectors

        def step(sums: list[Value], at: Offset) -> list[Value]:
            sums = list(sums)
            kept = [(z + at * self.width + v * lanes).load(lanes) for v in range(vectors)]
            for i in range(height):
                spread = (x + at + i * self.depth).broadcast(lanes)
                for v, vector in enumerate(kept):
                    sums[i * vectors + v] = f.fma(spread, vector, sums[i * vectors + v])
            return sums

        whole = length // _UNROLL * _UNROLL
        sums = [f.zero(F32, lanes)] * (height * vectors)
        if whole:
            with f.loop(0, whole, _UNROLL, carry=sums) as loop:
                sums = loop.values
                for k in range(_UNROLL):
                    sums = step(sums, loop.index + k)
                loop.next(sums)
            sums = loop.results
        for at in range(whole, length):
            sums = step(sums, at)
        return sums

    def _turn_back(self, f: Function, products: Pointer, weight: Pointer, panel: Offset) -> None:
        """G^T m G of a source and a panel of targets."""
        lanes, (target_step, _, row_step, column_step) = self.lanes, self.weight.strides
        back = partial(turn_weight_back, count=len(self.rows.taps))
        taps = [i * row_step + j * column_step for i, _ in self.rows.taps for j, _ in self.columns.taps]
        side_by_side = taps == list(range(len(taps)))
        full, left = divmod(self.conv.out_channels, lanes)
        with f.range(0, self.vectors) as vector:
            block = f.position(panel * self.vectors + vector)
            here = products + vector * lanes
            m = [
                [(here + (i * POINTS + j) * self.products_step).load(lanes) for j in range(POINTS)]
                for i in range(POINTS)
            ]
            values = both_ways(f, m, back)
            there = weight + block * (lanes * target_step)
            for count, condition in ((lanes, full), (left, left)):
                if not condition:
                    continue
                with f.when(block < full if count == lanes else block.eq(full)):
                    if not side_by_side:
                        for offset, value in zip(taps, values, strict=True):
                            where = there + offset
                            where.store_strided(f.convert(value, where.element.computed), target_step, count)
                        continue
                    for first in range(0, len(taps), lanes):
                        some = values[first : first + lanes]
                        mask = Mask(len(some), lanes) if len(some) < lanes else None
                        rows = transposed(f, some + [f.zero(F32, lanes)] * (lanes - len(some)))
                        for c, row in enumerate(rows[:count]):
                            where = there + c * target_step + first
                            where.store(f.convert(row, where.element.computed), mask=mask)
