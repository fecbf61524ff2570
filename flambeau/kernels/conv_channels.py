"""Convolutions of PyTorch's layout with output channels in the lanes.

A register tile is some pixels times a panel of channels, a few vectors wide. Weights are packed as
[panel][source][tap][channel of the panel]; each step loads a row of the panel and broadcasts one input
for each pixel of the tile:

    for source, tap:  w = weights[source, tap]                       (vectors)
                      for each pixel:  sum[pixel] += x[source, pixel + tap] * w

So nothing is computed beyond the ends of rows, strides and dilations are only distances, and a block of
weights that stays in the first cache serves all pixels of a task: a band of rows, or several small images.
Between blocks of sources the sums wait as [pixel][channel]; at the end squares of them are turned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flambeau.kernels import conv_plane
from flambeau.kernels.conv_axis import Axis
from flambeau.kernels.conv_plane import Plane, Spread, Sum, spread_piece
from flambeau.kernels.expression import evaluate
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Module, Offset, Pointer, Value
from flambeau.kernels.target import Target
from flambeau.kernels.transpose import interleaved, transposed

_TASKS = 16
_SPARE = 1 / 8  # share of the registers that LLVM's order of loads takes beyond the tile's own
_MOST_BYTES = 64 * 1024**2  # of spread planes
#: How fast it is beside pixels in the lanes, if as much is of use: with many registers, and with few.
_RATES = 1.1, 0.93
_MOST_TAPS = 12  # that are written one after the other


@dataclass(frozen=True)
class Tile:
    """Rows and columns of pixels, and vectors of channels."""

    rows: int
    columns: int
    vectors: int


def choose_tile(target: Target, rows: int, columns: int, blocks: int) -> tuple[Tile, float]:
    """The tile for so many rows and columns of pixels and vectors of channels, and what share of
    the multiply-adds is of use.

    Tiles are of whole rows, or of parts of one. Cycles are counted as in `conv_tile`.
    """
    best, choice = float("inf"), Tile(1, 1, 1)
    for vectors in range(1, min(blocks, 6) + 1):
        for pixels in range(1, 15):
            if (pixels + 1) * vectors + 1 > target.registers * (1 - _SPARE):
                continue
            tall = min(max(pixels // columns, 1), rows)
            wide = min(pixels, columns)
            cycles = 0.0
            for height, bands in _cut(rows, tall):
                for width, parts in _cut(columns, wide):
                    sums = height * width * vectors
                    loads = height * width + 1.3 * vectors
                    cycles += bands * parts * max(sums, loads, 9)
            cycles *= -(-blocks // vectors)
            if cycles < best:
                best, choice = cycles, Tile(tall, wide, vectors)
    return choice, rows * columns * blocks / best


def _cut(count: int, size: int) -> Iterator[tuple[int, int]]:
    """How `Function.tiles` cuts a range: (size, how many)."""
    number = -(-count // size)
    small, larger = divmod(count, number)
    for width, times in ((small + 1, larger), (small, number - larger)):
        if width and times:
            yield width, times


def applies(what: Sum) -> bool:
    """Whether every residue of the outputs has taps, and the planes fit the memory they get."""
    if not all(axis.taps for axis in (*what.rows, *what.columns)):
        return False
    conv, plane = what.conv, plane_for(what)
    room = 0 if reads_in_place(what, plane) else plane.size
    return room * conv.batch * conv.groups * what.sources * what.x.element.computed.bytes <= _MOST_BYTES


def pays(what: Sum, target: Target) -> bool:
    """Whether it applies, and beats pixels in the lanes (`conv_plane`)."""
    lanes, conv = target.lanes(what.x.element.computed.bytes), what.conv
    places = sum(axis.count * len(axis.taps) for axis in what.rows)
    places *= sum(axis.count * len(axis.taps) for axis in what.columns)
    pairs = what.sources * what.targets * conv.groups
    products = places * pairs * conv.batch / (2 * lanes)
    weights = math.prod(conv.kernel) * pairs
    packing = weights * (0.5 if what.weight.strides[0] > what.weight.strides[1] else 0.9)
    rate = _RATES[target.registers < 32] * share_of_use(what, target, lanes)
    return applies(what) and products / rate + packing < products / conv_plane.share_of_use(what, target, lanes)


def share_of_use(what: Sum, target: Target, lanes: int) -> float:
    """What share of the multiply-adds is of use."""
    blocks = -(-what.targets // lanes)
    rows, columns = (max(axes, key=lambda axis: axis.count).count for axes in (what.rows, what.columns))
    return choose_tile(target, rows, columns, blocks)[1] * what.targets / (blocks * lanes)


def plane_for(what: Sum) -> Plane:
    """The plane that holds what all axes ask for, as it lies in the image."""
    lows, lengths = [], []
    for axes in (what.rows, what.columns):
        reaches = [axis.reach for axis in axes]
        low = min(first for first, _ in reaches)
        lows.append(low)
        lengths.append(max(last for _, last in reaches) - low + 1)
    return Plane((lows[0], lows[1]), (1, 1), lengths[0], lengths[1], round_up(lengths[0] * lengths[1], 16))


def reads_in_place(what: Sum, plane: Plane) -> bool:
    """Whether nothing is asked for outside of the images."""
    inside = all(
        low >= 0 and low + length <= size
        for low, length, size in zip(plane.low, (plane.rows, plane.pitch), what.in_size, strict=True)
    )
    return inside and what.x.element.computed is what.x.element


def emit(module: Module, name: str, buffers: tuple[Buffer, ...], what: Sum) -> Kernel:
    """The kernel; its buffers are x, weight, extras, outputs. Only for what it `applies` to."""
    work = _Work(module, what)
    parallel = what.conv.flops >= 4 * WORTH_A_THREAD
    stages = []

    def stage(part: str, tasks: int) -> tuple[Function, list[Pointer], Pointer, Pointer, Offset, Offset]:
        stages.append(Stage(f"{name}_{part}", tasks, parallel))
        return stage_function(module, f"{name}_{part}", buffers)

    f, pointers, shared, _, begin, end = stage("weights", work.packing_tasks)
    work.pack(f, pointers[1], shared.as_elements(work.element), begin, end)
    if work.spread is not None:
        piece = spread_piece("planes", work.spread, 0, work.planes_at, work.element, work.lanes)
        f, pointers, shared, _, begin, end = stage("planes", piece.tasks)
        piece.emit(f, pointers, shared, begin, end)
    for number, residue in enumerate(work.residues):
        f, pointers, shared, own, begin, end = stage(f"sums{number}", residue.tasks)
        planes = (shared + work.planes_at).as_elements(work.element) if work.spread else pointers[0]
        residue.emit(f, pointers, shared.as_elements(work.element), planes, own.as_elements(work.element), begin, end)
    return Kernel(
        name, buffers, tuple(stages), workspace=work.room,
        scratch=max(residue.room for residue in work.residues), flops=what.conv.flops,
    )  # fmt: skip


class _Work:
    """The memory of one kernel, and its packed weights."""

    def __init__(self, module: Module, what: Sum):
        self.what, self.target = what, module.target
        self.element = element = what.x.element.computed
        self.lanes = lanes = module.target.lanes(element.bytes)
        self.blocks = -(-what.targets // lanes)
        conv, plane = what.conv, plane_for(what)
        rows, columns = (max(axes, key=lambda axis: axis.count) for axes in (what.rows, what.columns))
        self.tile, _ = choose_tile(module.target, rows.count, columns.count, self.blocks)
        self.panels = -(-self.blocks // self.tile.vectors)
        self.width = self.tile.vectors * lanes
        #: Rows of packed weights: of a source, and of one panel.
        self.taps = sum(len(r.taps) * len(c.taps) for r in what.rows for c in what.columns)
        self.panel_room = what.sources * self.taps * self.width
        self.packing_tasks = conv.groups * self.panels * self.tile.vectors
        self.planes_at = element.bytes * round_up(conv.groups * self.panels * self.panel_room, 32)
        channels = conv.groups * what.sources
        self.spread: Spread | None = None
        strides: tuple[int, ...] = what.x.strides
        start = plane.low[0] * strides[2] + plane.low[1] * strides[3]
        if not reads_in_place(what, plane):
            self.spread = Spread(conv.batch, channels, what.in_size, strides, plane, plane.size)
            strides, start = (channels * plane.size, plane.size, plane.pitch, 1), 0
        self.room = self.planes_at + (element.bytes * conv.batch * channels * plane.size if self.spread else 0)
        #: Strides of what is read, and where its first position lies; positions count from there.
        self.strides, self.start, self.low = strides, start, plane.low
        self.residues, first = [], 0
        together = len(what.columns) in (2, 4)  # residues that are dealt into one row
        for row in what.rows:
            for some in [what.columns] if together else [[column] for column in what.columns]:
                self.residues.append(_Residue(self, row, some, first))
                first += len(row.taps) * sum(len(column.taps) for column in some) * what.sources

    def pack(self, f: Function, weight: Pointer, packed: Pointer, begin: Offset, end: Offset) -> None:
        """Turns squares of weights, targets times what lies side by side. A task is a vector of targets."""
        what, lanes = self.what, self.lanes
        target_step, source_step, row_step, column_step, group_step = what.weight.strides
        vectors = self.tile.vectors
        full, left = divmod(what.targets, lanes)
        # Where each tap goes: its distance in memory, the row of the first source, rows from source to source.
        places: dict[int, tuple[int, int]] = {}
        for residue in self.residues:
            for columns, first, count in residue.parts_of_columns:
                for number, (i, j) in enumerate((i, j) for i, _ in residue.rows.taps for j, _ in columns.taps):
                    places[i * row_step + j * column_step] = first + number, count
        together = all(at == place[0] for at, place in places.items()) and source_step == len(places)
        side_by_side = sorted(places) == list(range(len(places))) and target_step != 1
        with f.range(begin, end) as task:
            vector, rest = task % vectors, task // vectors
            panel, group = rest % self.panels, rest // self.panels
            block = panel * vectors + vector
            here = weight + group * group_step + block * (lanes * target_step)
            there = packed + rest * self.panel_room + vector * lanes
            for count, condition in ((lanes, full), (left, left), (0, self.panels * vectors > self.blocks)):
                if not condition:
                    continue
                at = f.position(block)
                chosen = at < full if count == lanes else at.eq(full) if count else at.exceeds(self.blocks - 1)
                with f.when(chosen):
                    if not count:
                        with f.range(0, what.sources * self.taps) as row:
                            f.zero(self.element, lanes).store(there + row * self.width)
                    elif together:
                        self._turn(f, here, there, count, what.sources * len(places), None)
                    else:
                        with f.range(0, what.sources) as source:
                            moved = here + source * source_step
                            if side_by_side:
                                self._turn(f, moved, there, count, len(places), (places, source))
                                continue
                            for offset, (first, step) in places.items():
                                value = (moved + offset).load_strided(target_step, lanes, count)
                                value.store(there + (source * step + first) * self.width)

    def _turn(
        self, f: Function, weight: Pointer, packed: Pointer, count: int, length: int,
        places: tuple[dict[int, tuple[int, int]], Offset] | None,
    ) -> None:  # fmt: skip
        """Numbers side by side in memory, of `count` targets, become rows of as many."""
        lanes, step = self.lanes, self.what.weight.strides[0]

        def square(start: Offset, deep: int) -> None:
            lines = [(weight + start + i * step).load_strided(1, lanes, deep) for i in range(count)]
            lines += [f.zero(self.element, lanes)] * (lanes - count)
            for j, value in enumerate(transposed(f, lines)[:deep]):
                row: Offset = start + j
                if places is not None:
                    assert isinstance(row, int)
                    first, each = places[0][row]
                    row = places[1] * each + first
                value.store(packed + row * self.width)

        if places is None:
            for start, deep in f.blocks(length, lanes):
                square(start, deep)
            return
        for start in range(0, length, lanes):
            square(start, min(lanes, length - start))


class _Residue:
    """The outputs of one residue of the rows modulo the stride: all rows in a forward pass.

    A task is a panel of channels for a band of rows, or for some images that are small.
    """

    def __init__(self, work: _Work, rows: Axis, columns: Sequence[Axis], first: int):
        self.work, self.rows, self.columns = work, rows, columns
        what, target, tile, size = work.what, work.target, work.tile, work.element.bytes
        #: Each residue of the columns, where its packed weights begin, and how many taps it has.
        self.parts_of_columns = []
        for column in columns:
            taps = len(rows.taps) * len(column.taps)
            self.parts_of_columns.append((column, first, taps))
            first += taps * what.sources
        self.count = max(column.count for column in columns)
        row_bytes = len(columns) * self.count * work.width * size
        most = max(1, target.l2 // 4 // row_bytes)  # rows whose sums wait
        batch, many = what.conv.batch, what.conv.groups * work.panels
        wanted = max(1, -(-_TASKS // many))  # parts of the batch
        self.images = max(1, min(batch // wanted, most // rows.count))
        self.bands = -(-rows.count // min(most, rows.count)) if self.images == 1 else 1
        if batch * self.bands < wanted:
            self.bands = min(-(-wanted // batch), max(1, rows.count // tile.rows))
        self.band = round_up(-(-rows.count // self.bands), tile.rows)
        self.bands = -(-rows.count // self.band)
        self.parts = -(-batch // self.images) * self.bands
        self.tasks = self.parts * many
        #: Sums of an image's band, of one residue of the columns; of all; and bytes for all images.
        self.sums = self.band * self.count * work.width
        self.image_sums = len(columns) * self.sums
        self.room = self.images * self.image_sums * size

    def emit(
        self, f: Function, pointers: list[Pointer], weights: Pointer, planes: Pointer, own: Pointer,
        begin: Offset, end: Offset,
    ) -> None:  # fmt: skip
        work, what = self.work, self.work.what
        batch = what.conv.batch
        # What is larger is read once: either part after part, or panel after panel.
        by_panel = work.panel_room * work.panels > batch * what.sources * what.in_size[0] * what.in_size[1]
        with f.range(begin, end) as task:
            if by_panel:
                part, number = task % self.parts, task // self.parts
            else:
                many = what.conv.groups * work.panels
                number, part = task % many, task // many
            panel, group = number % work.panels, number // work.panels
            band, share = part % self.bands, part // self.bands
            first = f.position(share * self.images)
            last = (first + self.images).at_most(batch)
            top = f.position(band * self.band)
            bottom = (top + self.band).at_most(self.rows.count)
            x = planes + group * (what.sources * work.strides[1]) + work.start
            for residue, (columns, start, taps) in enumerate(self.parts_of_columns):
                w = weights + number * work.panel_room + start * work.width
                self._sums(f, x, w, own + residue * self.sums, (first, last), (top, bottom), columns, taps)
            with f.range(first, last) as image:
                sums = own + (image - first) * self.image_sums
                self._finish(f, pointers[2:], sums, image, group, panel, (top, bottom))

    def _sums(
        self, f: Function, x: Pointer, weights: Pointer, own: Pointer, images: tuple[Offset, Offset],
        band: tuple[Offset, Offset], columns: Axis, taps: int,
    ) -> None:  # fmt: skip
        """All sums of a task, a block of sources after the other."""
        work, sources = self.work, self.work.what.sources
        # Sources whose weights stay in the first cache.
        deep = max(1, work.target.l1 // 2 // (taps * work.width * work.element.bytes))
        deep = -(-sources // -(-sources // deep))
        starts_anew = deep == sources
        if not starts_anew:
            with f.range(*images) as image, f.range(0, self.sums, work.lanes) as at:
                f.zero(work.element, work.lanes).store(own + (image - images[0]) * self.image_sums + at)
        with f.range(0, -(-sources // deep)) as block:
            low = f.position(block * deep)
            high = (low + deep).at_most(sources)
            with f.range(*images) as image:
                here = x + image * work.strides[0]
                sums = own + (image - images[0]) * self.image_sums
                for row, height in self._row_tiles(f, band, work.tile.rows):
                    line = here + (row * self.rows.in_step + self.rows.taps[0][1] - work.low[0]) * work.strides[2]
                    for column, width in f.tiles(columns.count, work.tile.columns):
                        at = ((row - band[0]) * self.count + column) * work.width
                        shift = column * columns.in_step + columns.taps[0][1] - work.low[1]
                        self._tile(
                            f, line + shift * work.strides[3], weights, sums + at, (height, width), (low, high),
                            starts_anew, columns,
                        )  # fmt: skip

    def _row_tiles(self, f: Function, band: tuple[Offset, Offset], tall: int) -> Iterator[tuple[Offset, int]]:
        """(first row, rows) of the tiles of a band; one band holds all rows where a tile holds several."""
        if tall == 1:
            with f.range(*band) as row:
                yield row, 1
        elif self.bands == 1:
            for row, height in f.tiles(self.rows.count, tall):
                yield f.position(row), height
        else:
            top, bottom = band
            whole = (bottom - top) // tall
            with f.range(0, whole) as number:
                yield top + number * tall, tall
            with f.range(top + whole * tall, bottom) as row:
                yield row, 1

    def _tile(
        self, f: Function, x: Pointer, weights: Pointer, sums: Pointer, size: tuple[int, int],
        sources: tuple[Offset, Offset], starts_anew: bool, columns: Axis,
    ) -> None:  # fmt: skip
        """One register tile: a block of sources and all taps."""
        work, (height, width) = self.work, size
        lanes, vectors = work.lanes, work.tile.vectors
        taps = len(self.rows.taps) * len(columns.taps)
        pixels = [(i, j) for i in range(height) for j in range(width)]
        _, source_step, row_step, column_step = work.strides
        offsets = [
            i * self.rows.in_step * row_step + j * columns.in_step * column_step for i, j in pixels
        ]
        slots = [
            sums + (i * self.count + j) * work.width + v * lanes for i, j in pixels for v in range(vectors)
        ]
        start = [f.zero(work.element, lanes) if starts_anew else slot.load(lanes) for slot in slots]
        across = [
            (number * work.width, shift * column_step)
            for number, shift in enumerate(s - columns.taps[0][1] for _, s in columns.taps)
        ]
        down = [
            (number * len(across) * work.width, shift * row_step)
            for number, shift in enumerate(s - self.rows.taps[0][1] for _, s in self.rows.taps)
        ]

        def add(values: Sequence[Value], x: Pointer, w: Pointer, pairs: Sequence[tuple[int, int]]) -> list[Value]:
            values = list(values)
            for row, shift in pairs:
                kept = [(w + row + v * lanes).load(lanes) for v in range(vectors)]
                for p, offset in enumerate(offsets):
                    spread = (x + shift + offset).broadcast(lanes)
                    for v, vector in enumerate(kept):
                        values[p * vectors + v] = f.fma(spread, vector, values[p * vectors + v])
            return values

        with f.loop(*sources, carry=start) as loop:
            here = x + loop.index * source_step
            w = weights + loop.index * (taps * work.width)
            if taps <= _MOST_TAPS:
                loop.next(add(loop.values, here, w, [(r + a, y + z) for r, y in down for a, z in across]))
            else:
                with f.loop(0, len(down), carry=loop.values) as over_rows:
                    step = down[1][1] if len(down) > 1 else 0
                    moved = here + over_rows.index * step, w + over_rows.index * (len(across) * work.width)
                    over_rows.next(add(over_rows.values, *moved, across))
                loop.next(over_rows.results)
        for slot, value in zip(slots, loop.results, strict=True):
            value.store(slot)

    def _finish(
        self, f: Function, others: Sequence[Pointer], sums: Pointer, image: Offset, group: Offset, panel: Offset,
        band: tuple[Offset, Offset],
    ) -> None:  # fmt: skip
        """Turns the sums of one image, [pixel][channel], and stores them through the epilogue."""
        work, what, lanes = self.work, self.work.what, self.work.lanes
        operands, dealt = [*what.extras, *what.outputs], len(self.columns)
        out_step, out_start = (1, 0) if dealt > 1 else (self.columns[0].out_step, self.columns[0].out_start)
        steps = [(o.strides[2] * self.rows.out_step, o.strides[3] * out_step) for o in operands]
        starts = [
            p + image * o.strides[0] + group * (what.targets * o.strides[1])
            + (self.rows.out_start * o.strides[2] + out_start * o.strides[3])
            + band[0] * row_step
            for p, o, (row_step, _) in zip(others, operands, steps, strict=True)
        ]  # fmt: skip
        full, left = divmod(what.targets, lanes)
        in_a_row = dealt == 1 and all(row_step == self.count * step for row_step, step in steps)
        columns = sum(column.count for column in self.columns)
        with f.range(0, work.tile.vectors) as vector:
            block = f.position(panel * work.tile.vectors + vector)
            for channels, condition in ((lanes, full), (left, left)):
                if not condition:
                    continue
                with f.when(block < full if channels == lanes else block.eq(full)):
                    here = [p + block * (lanes * o.strides[1]) for p, o in zip(starts, operands, strict=True)]
                    source = sums + vector * lanes
                    if in_a_row and self.bands == 1:
                        for pixel, width in f.blocks(self.rows.count * columns, lanes):
                            self._turn_back(f, here, source, pixel, width, channels, steps)
                        continue
                    with f.range(0, band[1] - band[0]) as row:
                        line = [p + row * row_step for p, (row_step, _) in zip(here, steps, strict=True)]
                        moved = source + row * (self.count * work.width)
                        for column, width in f.blocks(columns, lanes * dealt):
                            self._turn_back(f, line, moved, column, width, channels, steps)

    def _turn_back(
        self, f: Function, others: Sequence[Pointer], sums: Pointer, pixel: Offset, width: int, channels: int,
        steps: Sequence[tuple[int, int]],
    ) -> None:  # fmt: skip
        """Neighbouring pixels of some channels; of each residue of the columns, dealt."""
        work, dealt = self.work, len(self.columns)
        first = pixel if dealt == 1 else pixel // dealt if isinstance(pixel, int) else f.position(pixel) // dealt
        squares = [sums + residue * self.sums + first * work.width for residue in range(dealt)]
        operands = [*work.what.extras, *work.what.outputs]
        where = [p + pixel * step for p, (_, step) in zip(others, steps, strict=True)]
        store_square(
            f, work.what, where, squares, work.width, (width, channels),
            [(o.strides[1], step) for o, (_, step) in zip(operands, steps, strict=True)],
        )  # fmt: skip


def store_square(
    f: Function, what: Sum, others: Sequence[Pointer], sums: Sequence[Pointer], pitch: int, size: tuple[int, int],
    steps: Sequence[tuple[int, int]],
) -> None:  # fmt: skip
    """Turns sums of neighbouring pixels, a vector of channels each, and stores them through the epilogue.

    Args:
        f: the function being written.
        what: the convolution.
        others: where extras and outputs begin.
        sums: where sums begin, `pitch` from pixel to pixel; of several, pixels are dealt in turn.
        pitch: see there.
        size: how many pixels and channels there are.
        steps: of each of others, from channel to channel and from pixel to pixel.
    """
    (width, channels), dealt, extras = size, len(sums), len(what.extras)
    element = sums[0].element
    lanes = f.target.lanes(element.bytes)
    squares = []
    for residue, here in enumerate(sums):
        count = -(-(width - residue) // dealt)
        lines = [(here + i * pitch).load(lanes) for i in range(count)]
        squares.append(transposed(f, lines + [f.zero(element, lanes)] * (lanes - count))[:channels])
    for channel, values in enumerate(zip(*squares, strict=True)):
        for number, value in enumerate(interleaved(f, values)):
            active = min(lanes, width - number * lanes)
            if active <= 0:
                break
            where = [
                p + number * lanes * step + channel * channel_step
                for p, (channel_step, step) in zip(others, steps, strict=True)
            ]
            inputs = {0: value}
            for k in range(extras):
                inputs[k + 1] = where[k].load_strided(steps[k][1], lanes, active)
            finished = evaluate(f, what.epilogue, inputs, lanes)
            for k, node in enumerate(what.results):
                out = where[extras + k]
                result = f.convert(finished[node], out.element.computed)
                out.store_strided(result, steps[extras + k][1], active)
