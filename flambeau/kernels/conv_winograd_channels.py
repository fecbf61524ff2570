"""Winograd's algorithm with output channels in the lanes: for small maps of many channels.

Where a plane has few tiles, weights are the larger part of the work. Tiles of all images are turned
first; then a task does a panel of targets: it turns their weights, which go no further than its own
cache, multiplies them by the tiles of some images at a time,

    for each of the 36 points:  m[tile, target] = sum over sources of v[source, tile] * u[source, target]

and turns the products back into pixels. See `winograd` for the algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from flambeau.kernels import conv_winograd
from flambeau.kernels.conv_axis import Axis, Convolution
from flambeau.kernels.conv_channels import choose_tile, store_square
from flambeau.kernels.conv_plane import Spread, Sum, clear
from flambeau.kernels.element import F32, Element
from flambeau.kernels.kernel import Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Index, Module, Offset, Pointer, Value
from flambeau.kernels.transpose import transposed
from flambeau.kernels.winograd import (
    ALL_POINTS,
    POINTS,
    Tiles,
    apart,
    both_ways,
    fits,
    tiles_of,
    turn_back,
    turn_weight,
)

_MOST_BYTES = 16 * 1024**2  # of turned tiles
_UNROLL = 4
_AHEAD = 8  # sources, for weights that are asked for before they are turned
_VECTORS = 2  # of targets that a panel has


def pays(
    conv: Convolution, rows: Sequence[Axis], columns: Sequence[Axis], sources: int, targets: int,
    element: Element, lanes: int,
) -> bool:  # fmt: skip
    """Whether it applies, and costs less than image by image, and than the direct sum."""
    shape = conv, rows, columns, sources, targets
    others = min(conv_winograd.cycles(*shape, element, lanes), 0.9 * conv_winograd.direct_cycles(*shape, lanes))
    return cycles(*shape, element, lanes) < others


def cycles(
    conv: Convolution, rows: Sequence[Axis], columns: Sequence[Axis], sources: int, targets: int,
    element: Element, lanes: int,
) -> float:  # fmt: skip
    """About what it takes, in cycles of one core; infinite where it does not apply."""
    if element is not F32 or conv.groups != 1 or len(rows) * len(columns) > 1:
        return math.inf
    (row,), (column,) = rows, columns
    if not fits(row, column) or targets <= _VECTORS * lanes:  # one panel would be the work of one thread
        return math.inf
    count = tiles_of(row, column)
    tiles, wide = count * conv.batch, round_up(targets, lanes)
    if 4 * ALL_POINTS * tiles * sources > _MOST_BYTES:
        return math.inf
    products = ALL_POINTS * tiles * sources * wide / (2 * lanes)
    turning = 200 * sources * conv.batch * -(-count // lanes) + 250 * tiles * wide / lanes
    return 1.3 * products + turning + (20 * math.prod(conv.kernel)) * sources * wide / lanes


def emit(module: Module, name: str, buffers: tuple[Buffer, ...], what: Sum) -> Kernel:
    """The kernel; its buffers are x, weight, extras, outputs."""
    work = _Work(module, what)
    stages = []
    for part, tasks, step in (
        ("input", what.conv.batch * what.sources, work.turn_inputs),
        ("products", work.panels, work.panel),
    ):
        f, pointers, shared, own, begin, end = stage_function(module, f"{name}_{part}", buffers)
        step(f, pointers, shared.as_elements(F32), own.as_elements(F32), begin, end)
        stages.append(Stage(f"{name}_{part}", tasks))
    return Kernel(
        name, buffers, tuple(stages), workspace=4 * work.turned_room, scratch=4 * work.own_room,
        flops=what.conv.flops,
    )  # fmt: skip


class _Work:
    """The steps, each over numbered tasks."""

    def __init__(self, module: Module, what: Sum):
        self.what, target = what, module.target
        (self.rows,), (self.columns,) = what.rows, what.columns
        self.lanes = lanes = target.lanes(4)
        self.tiles = tiles = Tiles(self.rows, self.columns, lanes)
        self.all_tiles = what.conv.batch * tiles.count
        blocks = -(-what.targets // lanes)
        tile, _ = choose_tile(target, 1, self.all_tiles, min(blocks, _VECTORS))
        self.vectors, self.height = tile.vectors, tile.columns
        self.width = self.vectors * lanes
        # Some images at a time, so that their products stay in the cache.
        most = max(1, target.l2 // 2 // (4 * ALL_POINTS * self.width * tiles.count))
        self.images = -(-what.conv.batch // -(-what.conv.batch // most))
        self.panels = -(-blocks // self.vectors)
        # How far the 36 points of each intermediate are apart.
        self.turned_step = apart(what.sources * self.all_tiles)
        self.weights_step = apart(what.sources * self.width)
        self.products_step = apart(self.images * tiles.count * self.width)
        self.turned_room = ALL_POINTS * self.turned_step
        self.products_at = ALL_POINTS * self.weights_step
        self.pixels_at = self.products_at + ALL_POINTS * self.products_step
        self.pitch = tiles.columns * tiles.tile
        own = self.pixels_at + tiles.rows * tiles.tile * self.pitch * self.width
        self.own_room = max(own, tiles.room)

    def turn_inputs(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer, begin: Offset, end: Offset
    ) -> None:
        """B^T d B of all tiles, as [point][source][image and tile]. A task is a plane."""
        what, tiles = self.what, self.tiles
        spread = Spread(what.conv.batch, what.sources, what.in_size, what.x.strides, tiles.plane, tiles.room)
        clear(f, own, tiles.room, self.lanes)
        with f.range(begin, end) as task:
            image, channel = task % what.conv.batch, task // what.conv.batch
            source = pointers[0] + image * what.x.strides[0] + channel * what.x.strides[1]
            target = shared + channel * self.all_tiles + image * tiles.count
            tiles.turn(f, spread, source, own, target, self.turned_step, tiles.count)

    def panel(
        self, f: Function, pointers: list[Pointer], shared: Pointer, own: Pointer, begin: Offset, end: Offset
    ) -> None:
        """All results of a panel of targets, which is a task."""
        what, count = self.what, self.tiles.count
        operands = [*what.extras, *what.outputs]
        with f.range(begin, end) as panel:
            self._turn_weights(f, pointers[1], own, panel)
            with f.range(0, -(-what.conv.batch // self.images)) as part:
                first = f.position(part * self.images)
                last = (first + self.images).at_most(what.conv.batch)
                self._multiply(f, shared + first * count, own, f.position((last - first) * count))
                with f.range(first, last) as image:
                    products = own + self.products_at + (image - first) * (count * self.width)
                    others = [p + image * o.strides[0] for p, o in zip(pointers[2:], operands, strict=True)]
                    self._turn_back(f, products, own + self.pixels_at, others, panel)

    def _turn_weights(self, f: Function, weight: Pointer, turned: Pointer, panel: Offset) -> None:
        """G w G^T of every pair of channels, as [point][source][target]."""
        what, lanes = self.what, self.lanes
        target_step, source_step, row_step, column_step, _ = what.weight.strides
        offsets = [[i * row_step + j * column_step for j, _ in self.columns.taps] for i, _ in self.rows.taps]
        taps = len(offsets) ** 2
        together = sorted(o for line in offsets for o in line) == list(range(taps))
        full, left = divmod(what.targets, lanes)
        with f.range(0, what.sources) as source, f.range(0, self.vectors) as vector:
            block = f.position(panel * self.vectors + vector)
            here = weight + source * source_step + block * (lanes * target_step)
            there = turned + source * self.width + vector * lanes
            empty = self.panels * self.vectors * lanes >= what.targets + lanes
            for count, condition in ((lanes, full), (left, left), (0, empty)):
                if not condition:
                    continue
                chosen = block < full if count == lanes else block.eq(full) if count else block.exceeds(full - (not left))
                with f.when(chosen):
                    if together and count:
                        turned_taps: list[Value] = []
                        for first in range(0, taps, lanes):
                            active = min(lanes, taps - first)
                            rows = [(here + (c * target_step + first)).load_strided(1, lanes, active) for c in range(count)]
                            turned_taps += transposed(f, rows + [f.zero(F32, lanes)] * (lanes - count))
                        for c in range(count):
                            (here + (c * target_step + _AHEAD * source_step)).prefetch()
                        w = [[turned_taps[o] for o in line] for line in offsets]
                    elif count:
                        w = [[(here + o).load_strided(target_step, lanes, count) for o in line] for line in offsets]
                    zeros = [f.zero(F32, lanes)] * ALL_POINTS
                    for point, value in enumerate(both_ways(f, w, turn_weight) if count else zeros):
                        value.store(there + point * self.weights_step)

    def _multiply(self, f: Function, turned: Pointer, own: Pointer, tiles: Index) -> None:
        """The 36 products for some tiles, [point][tile][target]."""
        with f.range(0, ALL_POINTS) as point:
            v = turned + point * self.turned_step
            u = own + point * self.weights_step
            m = own + self.products_at + point * self.products_step
            whole = tiles // self.height
            with f.range(0, whole) as number:
                tile = number * self.height
                self._tile(f, v + tile, u, m + tile * self.width, self.height)
            for left in range(1, self.height):
                if self._leaves(left):
                    with f.when((tiles - whole * self.height).eq(left)):
                        tile = whole * self.height
                        self._tile(f, v + tile, u, m + tile * self.width, left)

    def _leaves(self, left: int) -> bool:
        """Whether so many tiles may be left over."""
        batch, count = self.what.conv.batch, self.tiles.count
        return any(images * count % self.height == left for images in {min(batch, self.images), batch % self.images})

    def _tile(self, f: Function, v: Pointer, u: Pointer, m: Pointer, height: int) -> None:
        """Some tiles by a panel of targets, summed over sources."""
        lanes, vectors, sources = self.lanes, self.vectors, self.what.sources
        unroll = _UNROLL if sources % _UNROLL == 0 else 1
        slots = [m + i * self.width + n * lanes for i in range(height) for n in range(vectors)]
        start = [f.zero(F32, lanes)] * len(slots)
        with f.loop(0, sources, unroll, carry=start) as loop:
            sums = list(loop.values)
            for k in range(unroll):
                source = loop.index + k
                kept = [(u + source * self.width + n * lanes).load(lanes) for n in range(vectors)]
                here = v + source * self.all_tiles
                for i in range(height):
                    spread = (here + i).broadcast(lanes)
                    for n, vector in enumerate(kept):
                        sums[i * vectors + n] = f.fma(spread, vector, sums[i * vectors + n])
            loop.next(sums)
        for slot, value in zip(slots, loop.results, strict=True):
            value.store(slot)

    def _turn_back(
        self, f: Function, products: Pointer, pixels: Pointer, others: Sequence[Pointer], panel: Offset
    ) -> None:
        """A^T m A of one image, then its pixels through the epilogue."""
        what, lanes, width, tile = self.what, self.lanes, self.width, self.tiles.tile
        operands = [*what.extras, *what.outputs]
        steps = [(o.strides[1], o.strides[3]) for o in operands]
        full, left = divmod(what.targets, lanes)
        with f.range(0, self.vectors) as vector:
            block = f.position(panel * self.vectors + vector)
            with f.range(0, self.tiles.rows) as row, f.range(0, self.tiles.columns) as column:
                here = products + (row * self.tiles.columns + column) * width + vector * lanes
                m: list[list[Value]] = [
                    [(here + (i * POINTS + j) * self.products_step).load(lanes) for j in range(POINTS)]
                    for i in range(POINTS)
                ]
                there = pixels + (row * self.pitch + column) * (tile * width) + vector * lanes
                for pixel, value in enumerate(both_ways(f, m, partial(turn_back, count=tile))):
                    i, j = divmod(pixel, tile)
                    value.store(there + (i * self.pitch + j) * width)
            for channels, condition in ((lanes, full), (left, left)):
                if not condition:
                    continue
                with f.when(block < full if channels == lanes else block.eq(full)), f.range(0, self.rows.count) as row:
                    line = [
                        p + block * (lanes * o.strides[1]) + row * o.strides[2]
                        for p, o in zip(others, operands, strict=True)
                    ]
                    source = pixels + row * (self.pitch * width) + vector * lanes
                    for column, active in f.blocks(self.columns.count, lanes):
                        where = [p + column * step for p, (_, step) in zip(line, steps, strict=True)]
                        store_square(f, what, where, [source + column * width], width, (active, channels), steps)
