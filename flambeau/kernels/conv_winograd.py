"""Convolutions of stride 1 by Winograd's algorithm, image by image, with tiles in the lanes.

With the transforms of `winograd`, each of the 36 points is, summed over channels, a matrix product
(targets x sources) * (sources x tiles), and there nearly all the time is spent. A plane is spread
first (see `conv_plane`) so that one element of neighbouring tiles lies side by side.

Its results differ from the direct sum by some 1e-5 of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from functools import partial

from flambeau.kernels.conv_axis import Axis, Convolution
from flambeau.kernels.conv_plane import IMAGES_FOR_ALL, Spread, Sum, clear
from flambeau.kernels.conv_tile import Tap, choose_tile, emit_taps
from flambeau.kernels.element import F32, Element
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
)
from flambeau.kernels.transpose import interleaved
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

_UNROLL = 4
_FEWEST_CHANNELS = 16
_KEPT = 256 * 1024


def pays(
    conv: Convolution, rows: Sequence[Axis], columns: Sequence[Axis], sources: int, targets: int,
    element: Element, lanes: int,
) -> bool:  # fmt: skip
    """Whether it applies, and costs clearly less than the direct sum."""
    shape = conv, rows, columns, sources, targets
    return cycles(*shape, element, lanes) < 0.8 * direct_cycles(*shape, lanes)


def cycles(
    conv: Convolution, rows: Sequence[Axis], columns: Sequence[Axis], sources: int, targets: int,
    element: Element, lanes: int,
) -> float:  # fmt: skip
    """About what it takes, in cycles of one core; infinite where it does not apply."""
    if element is not F32 or conv.groups != 1 or len(rows) * len(columns) > 1:
        return math.inf
    (row,), (column,) = rows, columns
    if not fits(row, column) or min(sources, targets) < _FEWEST_CHANNELS:
        return math.inf
    positions = round_up(tiles_of(row, column), lanes)
    channels = sources * targets
    products = ALL_POINTS * positions * channels * conv.batch / (2 * lanes)
    turning = 200 * positions * (sources + targets) * conv.batch / lanes
    turned = 4 * ALL_POINTS * channels  # bytes of weights: read once an image, if a core does not keep them
    reading = turned * conv.batch / 16 if turned > _KEPT else 0
    return 1.15 * products + turning + reading + 20 * channels


def direct_cycles(
    conv: Convolution, rows: Sequence[Axis], columns: Sequence[Axis], sources: int, targets: int, lanes: int
) -> float:
    """About what the direct sum takes: its products, and packing its weights."""
    places = sum(axis.count * len(axis.taps) for axis in rows) * sum(axis.count * len(axis.taps) for axis in columns)
    weights = math.prod(conv.kernel) * sources * targets
    return places * sources * targets * conv.groups * conv.batch / (2 * lanes) + weights


def emit(module: Module, name: str, buffers: tuple[Buffer, ...], what: Sum) -> Kernel:
    """The kernel; its buffers are x, weight, extras, outputs.

    First the weights are turned, once for all images. Then a thread does one image after the
    other in its own memory; with fewer images than threads may be, threads share each step.
    """
    conv = what.conv
    alone = conv.batch >= IMAGES_FOR_ALL
    work = _Sum(module, what, 1 if alone else conv.batch)
    stages: list[Stage] = []

    def stage(part: str, tasks: int) -> tuple[Function, _Memory, Index, Index]:
        stages.append(Stage(f"{name}_{part}", tasks))
        f, pointers, workspace, scratch, begin, end = stage_function(
            module, f"{name}_{part}", buffers
        )
        shared = scratch if alone else workspace + 4 * work.weights_room
        own = scratch + 4 * work.shared_room * alone
        return f, _Memory(work, pointers, workspace, shared, own), begin, end

    f, memory, begin, end = stage("weights", what.targets)
    work.turn_weights(f, memory, begin, end)
    steps = {
        "input": (work.turn_inputs, work.images * what.sources),
        "products": (work.multiply, work.images * ALL_POINTS),
        "output": (work.turn_outputs, work.images * what.targets),
    }
    if alone:
        f, memory, begin, end = stage("images", conv.batch)
        work.clear(f, memory)
        with f.range(begin, end) as image:
            here = memory.of_image(what, image)
            for step, tasks in steps.values():
                step(f, here, 0, tasks)
    else:
        for part, (step, tasks) in steps.items():
            f, memory, begin, end = stage(part, tasks)
            if part == "input":
                work.clear(f, memory)
            step(f, memory, begin, end)
    return Kernel(
        name, buffers, tuple(stages),
        workspace=4 * (work.weights_room + (0 if alone else work.shared_room)),
        scratch=4 * (work.own_room + (work.shared_room if alone else 0)),
        flops=conv.flops,
    )  # fmt: skip


class _Memory:
    """The buffers, and where intermediates are.

    Attributes:
        x, weight, others: buffers; others are extras, then outputs.
        weights, turned, products: turned weights, turned input, and their products.
        plane, pixels: one plane of the input, spread, and one of the output, in tiles.
    """

    def __init__(
        self, work: _Sum, pointers: Sequence[Pointer], weights: Pointer, shared: Pointer,
        own: Pointer,
    ):  # fmt: skip
        self.x, self.weight, *self.others = pointers
        self.weights = weights.as_elements(F32)
        self.turned = shared.as_elements(F32)
        self.products = self.turned + work.turned_room
        self.plane = own.as_elements(F32)
        self.pixels = self.plane + work.tiles.room

    def of_image(self, what: Sum, image: Offset) -> _Memory:
        """The same, with the buffers of one image."""
        moved = copy(self)
        moved.x = self.x + image * what.x.strides[0]
        operands = [*what.extras, *what.outputs]
        moved.others = [
            p + image * o.strides[0] for p, o in zip(self.others, operands, strict=True)
        ]
        return moved


class _Sum:
    """The steps, each over numbered tasks, for some images at a time."""

    def __init__(self, module: Module, what: Sum, images: int):
        self.what, self.images = what, images
        (self.rows,), (self.columns,) = what.rows, what.columns
        self.lanes = module.target.lanes(4)
        self.tiles = Tiles(self.rows, self.columns, self.lanes)
        positions = self.tiles.positions
        self.tile = choose_tile(module.target, what.targets, positions // self.lanes)
        # How far the 36 points of each intermediate are apart.
        self.weights_step = apart(what.sources * what.targets)
        self.turned_step = apart(images * what.sources * positions)
        self.products_step = apart(images * what.targets * positions)
        self.weights_room = ALL_POINTS * self.weights_step
        self.turned_room = ALL_POINTS * self.turned_step
        self.shared_room = self.turned_room + ALL_POINTS * self.products_step
        self.own_room = round_up(self.tiles.room + self.tiles.tile**2 * positions, 32)

    def turn_weights(self, f: Function, memory: _Memory, begin: Offset, end: Offset) -> None:
        """G w G^T of every pair of channels, as [point][target][source]. A task is a target."""
        what = self.what
        target_step, source_step, row_step, column_step, _ = what.weight.strides
        with f.range(begin, end) as target:
            for source, width in f.blocks(what.sources, self.lanes):
                here = memory.weight + target * target_step + source * source_step
                w = [
                    [
                        (here + (i * row_step + j * column_step)).load_strided(
                            source_step, self.lanes, width
                        )
                        for j, _ in self.columns.taps
                    ]
                    for i, _ in self.rows.taps
                ]
                mask = Mask(width, self.lanes) if width < self.lanes else None
                for point, value in enumerate(both_ways(f, w, turn_weight)):
                    where = memory.weights + target * what.sources + source
                    value.store(where + point * self.weights_step, mask=mask)

    def clear(self, f: Function, memory: _Memory) -> None:
        clear(f, memory.plane, self.tiles.room, self.lanes)

    def turn_inputs(self, f: Function, memory: _Memory, begin: Offset, end: Offset) -> None:
        """B^T d B of all tiles, as [point][image and source][tile]. A task is a plane."""
        what = self.what
        spread = Spread(
            self.images, what.sources, what.in_size, what.x.strides, self.tiles.plane,
            self.tiles.room,
        )  # fmt: skip
        with f.range(begin, end) as task:
            image, channel = task // what.sources, task % what.sources
            source = memory.x + image * what.x.strides[0] + channel * what.x.strides[1]
            target = memory.turned + task * self.tiles.positions
            self.tiles.turn(f, spread, source, memory.plane, target, self.turned_step)

    def multiply(self, f: Function, memory: _Memory, begin: Offset, end: Offset) -> None:
        """Weights times input, [point][image and target][tile]. A task is a point of an image."""
        what, lanes, width = self.what, self.lanes, self.tiles.positions
        unroll = _UNROLL if what.sources % _UNROLL == 0 else 1
        with f.range(begin, end) as task:
            point, image = task % ALL_POINTS, task // ALL_POINTS
            x = memory.turned + point * self.turned_step + image * (what.sources * width)
            w = memory.weights + point * self.weights_step
            y = memory.products + point * self.products_step + image * (what.targets * width)
            for target, height in f.tiles(what.targets, self.tile[0]):
                for vector, wide in f.tiles(width // lanes, self.tile[1]):
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

    def turn_outputs(self, f: Function, memory: _Memory, begin: Offset, end: Offset) -> None:
        """A^T m A, dealt back into rows of pixels, through the epilogue. A task is a plane."""
        what, width, tile = self.what, self.tiles.positions, self.tiles.tile
        operands = [*what.extras, *what.outputs]
        with f.range(begin, end) as task:
            image, target = task // what.targets, task % what.targets
            products = memory.products + task * width
            with f.range(0, width, self.lanes) as at:
                here = products + at
                m = [
                    [
                        (here + (i * POINTS + j) * self.products_step).load(self.lanes)
                        for j in range(POINTS)
                    ]
                    for i in range(POINTS)
                ]
                for pixel, value in enumerate(both_ways(f, m, partial(turn_back, count=tile))):
                    value.store(memory.pixels + at + pixel * width)
            planes = [
                p + image * o.strides[0] + target * o.strides[1]
                for p, o in zip(memory.others, operands, strict=True)
            ]
            for i in range(min(tile, self.rows.count)):
                with f.range(0, len(range(i, self.rows.count, tile))) as tile_row:
                    lines = [
                        p + (tile_row * tile + i) * o.strides[2]
                        for p, o in zip(planes, operands, strict=True)
                    ]
                    source = memory.pixels + tile_row * self.tiles.columns
                    self._deal_row(f, source + i * (tile * width), lines)

    def _deal_row(self, f: Function, source: Pointer, lines: list[Pointer]) -> None:
        """One row of pixels, from the tiles' columns."""
        what, lanes, count, tile = self.what, self.lanes, self.columns.count, self.tiles.tile
        operands, extras = [*what.extras, *what.outputs], len(what.extras)
        for first in range(0, self.tiles.columns, lanes):
            parts = [
                (source + j * self.tiles.positions + first).load(lanes) for j in range(tile)
            ]
            for number, value in enumerate(interleaved(f, parts)):
                column = first * tile + number * lanes
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
