"""The gradient of a convolution's weight where there are many output channels: they are the
lanes.

Spread planes (see `conv_plane`) make it a matrix product. Its rows are the pairs of an input
channel and a tap, which is a shifted view of that channel's plane; its columns are the output
channels, whose gradients are turned so that the channels of one pixel lie side by side; its
sums run over all pixels of all images:

    product[(source, tap), target] = sum over pixels of
        x[source][pixel + tap] * gradient[pixel][target]

The sums wait in memory, [row][target], between images and stretches of pixels, so that the
gradients of a stretch stay in the second cache while all rows pass over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.kernels.element import Element
from flambeau.kernels.language import Function, Mask, Module, Offset, Pointer, Value
from flambeau.kernels.transpose import transposed

_STRETCH = 2048  # pixels
_UNROLL = 4
_TASKS = 16


@dataclass(frozen=True)
class WideGradient:
    """What is summed.

    Attributes:
        images, groups, sources, targets: counts; channels are those of a group.
        taps: the distance of each tap in a source's planes, in the order of the weights.
        source_room: elements of a source's planes.
        pixels: of a target's gradient, zeros included; a multiple of the lanes.
        target_stride: between the weights of neighbouring targets; the others lie side by side.
    """

    images: int
    groups: int
    sources: int
    targets: int
    taps: Sequence[int]
    source_room: int
    pixels: int
    target_stride: int


class Nest:
    """A task is a share of the rows for one panel of targets."""

    def __init__(self, module: Module, what: WideGradient, element: Element):
        self.what, self.element = what, element
        self.lanes = module.target.lanes(element.bytes)
        self.blocks = -(-what.targets // self.lanes)
        many = module.target.registers >= 32
        self.vectors = next(v for v in (2, 3, 1) if self.blocks % v == 0)
        self.height = 8 if many else 4
        self.panels = self.blocks // self.vectors
        self.rows = what.sources * len(what.taps)
        self.tiles = -(-self.rows // self.height)
        self.shares = max(1, min(self.tiles, _TASKS // (self.panels * what.groups)))
        self.tasks = what.groups * self.panels * self.shares
        #: Elements of the sums of one panel, all rows of it.
        self.panel_room = self.tiles * self.height * self.vectors * self.lanes
        self.sums_room = what.groups * self.panels * self.panel_room

    @property
    def gradient_room(self) -> int:
        """Elements of the turned gradients: [image][group][block of targets][pixel][lane]."""
        what = self.what
        return what.images * what.groups * self.blocks * what.pixels * self.lanes

    def task(
        self, f: Function, planes: Pointer, gradients: Pointer, weight: Pointer, sums: Pointer,
        task: Offset,
    ) -> None:  # fmt: skip
        what, lanes, width = self.what, self.lanes, self.vectors
        share: Offset = task % self.shares
        number: Offset = task // self.shares
        panel: Offset = number % self.panels
        group: Offset = number // self.panels
        sums = sums + number * self.panel_room
        tiles = share * self.tiles // self.shares, (share + 1) * self.tiles // self.shares
        taps = f.table(what.taps)
        planes = planes + group * (what.sources * what.source_room)
        gradients = gradients + (group * self.blocks + panel * width) * (what.pixels * lanes)
        room = self.height * width * lanes
        with f.range(*tiles) as tile, f.range(0, room, lanes) as at:
            f.zero(self.element, lanes).store(sums + tile * room + at)
        with f.range(0, what.images) as image:
            x = planes + image * (what.groups * what.sources * what.source_room)
            g = gradients + image * (what.groups * self.blocks * what.pixels * lanes)
            for start, pixels in f.blocks(what.pixels, _STRETCH):
                with f.range(*tiles) as tile:
                    here = sums + tile * room
                    self._tile(f, x + start, g + start * lanes, here, taps, tile, pixels)
        weight = weight + group * (what.targets * what.target_stride)
        with f.range(*tiles) as tile:
            for v in range(width):
                block = panel * width + v
                self._turn_back(f, weight, sums + tile * room + v * lanes, tile, block)

    def _tile(
        self, f: Function, x: Pointer, gradients: Pointer, sums: Pointer, taps: Pointer,
        tile: Offset, pixels: int,
    ) -> None:  # fmt: skip
        """A few rows by a panel of targets, over a stretch of pixels."""
        what, lanes, width = self.what, self.lanes, self.vectors
        rows = []
        for i in range(self.height):
            row = tile * self.height + i
            if not isinstance(row, int):
                row = row.at_most(self.rows - 1)  # the last tile may repeat the last row
            source, tap = row // len(what.taps), row % len(what.taps)
            rows.append(x + source * what.source_room + (taps + tap).load().index())
        slots = [sums + k * lanes for k in range(self.height * width)]

        def step(values: list[Value], pixel: Offset) -> list[Value]:
            values = list(values)
            vectors = [
                (gradients + pixel * lanes + v * what.pixels * lanes).load(lanes)
                for v in range(width)
            ]
            for i, row in enumerate(rows):
                spread = (row + pixel).broadcast(lanes)
                for v, vector in enumerate(vectors):
                    values[i * width + v] = f.fma(spread, vector, values[i * width + v])
            return values

        start = [f.zero(self.element, lanes)] * len(slots)
        unroll = _UNROLL if pixels % _UNROLL == 0 else 1
        with f.loop(0, pixels, unroll, carry=start) as loop:
            values = loop.values
            for k in range(unroll):
                values = step(values, loop.index + k)
            loop.next(values)
        for slot, value in zip(slots, loop.results, strict=True):
            (slot.load(lanes) + value).store(slot)

    def _turn_back(
        self, f: Function, weight: Pointer, sums: Pointer, tile: Offset, block: Offset
    ) -> None:
        """Writes the sums of one tile and one block of targets, turned, as weights."""
        what, lanes, height = self.what, self.lanes, self.height
        between = self.vectors * lanes
        for first in range(0, height, lanes):
            tall = min(lanes, height - first)
            lines = [(sums + (first + i) * between).load(lanes) for i in range(tall)]
            lines += [f.zero(self.element, lanes)] * (lanes - tall)
            for j, column in enumerate(transposed(f, lines)):
                target = block * lanes + j
                where = weight + target * what.target_stride + tile * height + first
                if what.targets % lanes == 0:
                    self._store_rows(f, column, where, tile, first, tall)
                    continue
                with f.when(f.position(target) < what.targets):
                    self._store_rows(f, column, where, tile, first, tall)

    def _store_rows(
        self, f: Function, column: Value, where: Pointer, tile: Offset, first: int, tall: int
    ) -> None:
        """One target's weights of a tile; the last tile has fewer rows that exist."""
        full, rest = divmod(self.rows, self.height)
        column = f.convert(column, where.element.computed)
        if not rest:
            column.store(where, mask=Mask(tall, self.lanes))
            return
        with f.when(f.position(tile) < full):
            column.store(where, mask=Mask(tall, self.lanes))
        left = min(tall, rest - first)
        if left > 0:
            with f.when(f.position(tile).eq(full)):
                column.store(where, mask=Mask(left, self.lanes))
