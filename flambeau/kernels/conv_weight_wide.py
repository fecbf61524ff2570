"""The gradient of a convolution's weights for many output channels: these are the lanes.

    weight[target, source, tap]  =  sum over pixels of gradient[target] * x[source, pixel + tap]

This is a matrix product: rows are pairs of source and tap, columns targets, and what is summed over are
pixels. A register tile is some sources times neighbouring taps of a kernel row, times a panel of targets.
It loads gradients as vectors, for which they are turned so that targets lie side by side, and broadcasts
inputs. A few rows of pixels, or a few small images, are turned and spread at a time; while they are in the
cache all weights of a task get their share of them, in sums that wait in memory as [source][tap][target].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from flambeau.kernels.conv_axis import Axis, Convolution
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import Target
from flambeau.kernels.transpose import transposed

_TASKS = 16
_SUMS = 5 / 8  # share of the registers that holds sums; with more, LLVM's order of loads makes it spill
_MOST_SUMS = 8 * 1024**2  # bytes of sums that are added up at the end
_LONGEST = 16  # pixels of a row that are written one after the other


def choose_tile(target: Target, sources: int, taps: int, blocks: int) -> tuple[int, int, int]:
    """Sources, taps of a kernel row and vectors of targets of a tile, by the fewest cycles."""
    best, choice = float("inf"), (1, 1, 1)
    for vectors in range(1, min(blocks, 5) + 1):
        for across in range(1, taps + 1):
            for deep in range(1, sources + 1):
                rows = across * deep
                if rows * vectors > target.registers * _SUMS:
                    break
                cycles = 0.0
                for width, parts in _cut(taps, across):
                    for depth, times in ((deep, sources // deep), (sources % deep, 1)):
                        sums = width * depth * vectors
                        loads = width * depth + 1.3 * vectors
                        cycles += parts * times * (max(sums, loads, 9) + 0.2 * loads) * (depth > 0)
                cycles *= ceil(blocks / vectors)
                if cycles < best:
                    best, choice = cycles, (deep, across, vectors)
    return choice


def _cut(count: int, size: int) -> Iterator[tuple[int, int]]:
    """How `Function.tiles` cuts a range: (size, how many)."""
    number = -(-count // size)
    small, larger = divmod(count, number)
    for width, times in ((small + 1, larger), (small, number - larger)):
        if width and times:
            yield width, times


def emit(
    module: Module, name: str, buffers: tuple[Buffer, ...], conv: Convolution, rows: Axis,
    columns: Axis, x: Operand, gradient: Operand, weight: Operand,
) -> Kernel:  # fmt: skip
    """The kernel; its buffers are x, gradient, weight. The weights of a target lie side by side."""
    work = _Work(module, conv, rows, columns, x, gradient, weight)
    parallel = conv.flops >= 4 * WORTH_A_THREAD
    stages = []
    for part, tasks, step in (("sums", work.tasks, work.add), ("weights", work.turning_tasks, work.turn_back)):
        f, pointers, shared, own, begin, end = stage_function(module, f"{name}_{part}", buffers)
        step(f, pointers, shared.as_elements(work.element), own.as_elements(work.element), begin, end)
        stages.append(Stage(f"{name}_{part}", tasks, parallel))
    size = work.element.bytes
    return Kernel(
        name, buffers, tuple(stages), workspace=size * work.sums_room, scratch=size * work.own_room, flops=conv.flops
    )


class _Work:
    """A task is a share of the pixels, for a panel of targets of a group and a share of its sources."""

    def __init__(
        self, module: Module, conv: Convolution, rows: Axis, columns: Axis, x: Operand, gradient: Operand,
        weight: Operand,
    ):  # fmt: skip
        self.conv, self.rows, self.columns = conv, rows, columns
        self.x, self.gradient, self.weight = x, gradient, weight
        self.element, target = x.element.computed, module.target
        self.sources, self.targets = conv.group_in, conv.group_out
        size = self.element.bytes
        self.lanes = lanes = target.lanes(size)
        self.blocks = -(-self.targets // lanes)
        self.deep, self.across, self.vectors = choose_tile(target, self.sources, len(columns.taps), self.blocks)
        self.panels = -(-self.blocks // self.vectors)
        self.width = self.vectors * lanes
        self.taps = len(rows.taps) * len(columns.taps)
        many = conv.groups * self.panels
        # What is turned at a time: a band of rows, or some images.
        pixels = max(1, target.l1 // (self.width * size))
        self.band = min(rows.count, max(1, pixels // columns.count))
        self.images = max(1, min(conv.batch, pixels // (rows.count * columns.count)))
        self.bands = -(-rows.count // self.band)
        self.units = -(-conv.batch // self.images) * self.bands
        # Planes of the input that a band needs, with zeros around.
        self.pitch = columns.reach[1] - columns.reach[0] + 1
        self.plane_rows = (self.band - 1) * rows.in_step + rows.taps[-1][1] - rows.taps[0][1] + 1
        self.plane = round_up(self.plane_rows * self.pitch, 32) + 16
        #: Whether the input is read where it is; and its strides, of image, source, row and column.
        self.in_place = x.element is self.element and self._is_inside
        self.source_units = -(-self.sources // self.deep)
        self.source_shares = min(self.source_units, -(-self.sources * self.images * self.plane * size * 2 // target.l2))
        wanted = -(-_TASKS // (many * self.source_shares))
        self.share_room = many * self.sources * self.taps * self.width
        self.unit_shares = max(1, min(self.units, wanted, _MOST_SUMS // (size * self.share_room)))
        self.source_shares = min(self.source_units, self.source_shares * -(-wanted // self.unit_shares))
        self.most_sources = -(-self.source_units // self.source_shares) * self.deep
        self.tasks = self.unit_shares * many * self.source_shares
        self.sums_room = self.unit_shares * self.share_room
        self.turned_room = self.images * self.band * columns.count * self.width
        self.planes_room = 0 if self.in_place else self.images * self.most_sources * self.plane
        self.own_room = self.turned_room + self.planes_room
        spread = self.most_sources * self.plane, self.plane, self.pitch, 1
        self.steps = x.strides if self.in_place else spread
        self.squares = -(-self.sources * self.taps // lanes)
        self.turning_tasks = many * self.vectors * self.squares

    # Sums over pixels -------------------------------------------------------------------------

    def add(
        self, f: Function, pointers: list[Pointer], sums: Pointer, own: Pointer, begin: Offset, end: Offset
    ) -> None:
        conv, many = self.conv, self.conv.groups * self.panels
        planes = own + self.turned_room
        with f.range(begin, end) as task:
            source_share, rest = task % self.source_shares, task // self.source_shares
            number, unit_share = rest % many, rest // many
            panel, group = number % self.panels, number // self.panels
            first = f.position(source_share * self.source_units) // self.source_shares * self.deep
            last = f.position((source_share + 1) * self.source_units) // self.source_shares * self.deep
            last = f.position(last).at_most(self.sources)
            here = sums + unit_share * self.share_room + number * (self.sources * self.taps * self.width)
            with f.range(first * (self.taps * self.width), last * (self.taps * self.width), self.lanes) as at:
                f.zero(self.element, self.lanes).store(here + at)
            with f.range(0, self.planes_room, self.lanes) as at:
                f.zero(self.element, self.lanes).store(planes + at)
            with f.range(
                f.position(unit_share * self.units) // self.unit_shares,
                f.position((unit_share + 1) * self.units) // self.unit_shares,
            ) as unit:
                band, share = unit % self.bands, unit // self.bands
                images = f.position(share * self.images), f.position((share + 1) * self.images).at_most(conv.batch)
                top = f.position(band * self.band)
                bottom = (top + self.band).at_most(self.rows.count)
                self._turn(f, pointers[1], own, images, (top, bottom), group, panel)
                if self.in_place:
                    x = self._where(pointers[0], images[0], top, group, first)
                else:
                    x = planes
                    self._spread(f, pointers[0], planes, images, top, group, (first, last))
                self._all_weights(f, x, own, here, images[1] - images[0], bottom - top, (first, last))

    @property
    def _is_inside(self) -> bool:
        """Whether no tap reaches out of the image."""
        axes = zip((self.rows, self.columns), self.conv.in_size, strict=True)
        return all(axis.reach[0] >= 0 and axis.reach[1] < size for axis, size in axes)

    def _where(self, x: Pointer, image: Offset, top: Offset, group: Offset, source: Offset) -> Pointer:
        """What the first tap reads of the input for the first pixel of a band."""
        strides = self.x.strides
        row = top * self.rows.in_step + self.rows.taps[0][1]
        x = x + image * strides[0] + (group * self.sources + source) * strides[1]
        return x + row * strides[2] + self.columns.taps[0][1] * strides[3]

    def _turn(
        self, f: Function, gradient: Pointer, turned: Pointer, images: tuple[Offset, Offset],
        rows: tuple[Offset, Offset], group: Offset, panel: Offset,
    ) -> None:  # fmt: skip
        """Gradients as [image][row][column][target of the panel]; targets beyond the last are zero."""
        lanes, strides = self.lanes, self.gradient.strides
        full, left = divmod(self.targets, lanes)
        columns = self.columns.count
        with f.range(0, self.vectors) as vector:
            block = f.position(panel * self.vectors + vector)
            line = gradient + (group * self.targets + block * lanes) * strides[1]
            for count, condition in ((lanes, full), (left, left), (0, self.panels * self.vectors > self.blocks)):
                if not condition:
                    continue
                chosen = block < full if count == lanes else block.eq(full) if count else block.exceeds(self.blocks - 1)
                with f.when(chosen), f.range(*images) as image, f.range(*rows) as row:
                    here = line + image * strides[0] + row * strides[2]
                    at = (image - images[0]) * self.band + (row - rows[0])
                    there = turned + at * (columns * self.width) + vector * lanes
                    for column, width in f.blocks(columns, lanes):
                        values = [
                            (here + column * strides[3] + c * strides[1]).load_strided(strides[3], lanes, width)
                            for c in range(count)
                        ]
                        for c in range(count):
                            (here + column * strides[3] + (c * strides[1] + self._ahead(strides, 1))).prefetch()
                        values += [f.zero(self.element, lanes)] * (lanes - count)
                        for p, value in enumerate(transposed(f, values)[:width] if count else values[:width]):
                            value.store(there + (column + p) * self.width)

    def _spread(
        self, f: Function, x: Pointer, planes: Pointer, images: tuple[Offset, Offset], top: Offset, group: Offset,
        sources: tuple[Offset, Offset],
    ) -> None:  # fmt: skip
        """Rows of the input that a band needs, as [image][source][row][column], with zeros outside of the image."""
        lanes, strides = self.lanes, self.x.strides
        low = self.columns.taps[0][1]
        left, right = max(low, 0), min(low + self.pitch, self.conv.in_size[1])
        if left >= right:
            return
        with f.range(*images) as image, f.range(*sources) as source:
            line = x + image * strides[0] + (group * self.sources + source) * strides[1] + left * strides[3]
            plane = planes + ((image - images[0]) * self.most_sources + source - sources[0]) * self.plane
            first = f.position(top) * self.rows.in_step + self.rows.taps[0][1]
            with f.range(0, self.plane_rows) as row:
                here, there = first + row, plane + row * self.pitch + (left - low)
                exists = here < self.conv.in_size[0]
                if self.rows.taps[0][1] < 0:
                    exists = exists & here.exceeds(-1)
                with f.when(exists):
                    for column, width in f.blocks(right - left, lanes):
                        mask = Mask(width, lanes) if width < lanes else None
                        at = line + here * strides[2] + column * strides[3]
                        value = at.load_strided(strides[3], lanes, width)
                        (at + self._ahead(strides, self.rows.in_step)).prefetch()
                        value.store(there + column, mask=mask)
                if self._leaves_the_image:
                    with f.when(~exists):
                        for column, width in f.blocks(right - left, lanes):
                            mask = Mask(width, lanes) if width < lanes else None
                            f.zero(self.element, lanes).store(there + column, mask=mask)

    def _ahead(self, strides: Sequence[int], row_step: int) -> int:
        """How far on the next band, or the next images, lie."""
        return strides[2] * row_step * self.band if self.bands > 1 else strides[0] * self.images

    @property
    def _leaves_the_image(self) -> bool:
        first, step = self.rows.taps[0][1], self.rows.in_step
        last = first + (self.bands - 1) * self.band * step + self.plane_rows
        return first < 0 or last > self.conv.in_size[0]

    def _all_weights(
        self, f: Function, planes: Pointer, turned: Pointer, sums: Pointer, images: Offset, rows: Offset,
        sources: tuple[Offset, Offset],
    ) -> None:  # fmt: skip
        """What these pixels add to the weights of some sources."""
        first, last = sources
        count, rest = len(self.columns.taps), self.sources % self.deep

        def tiles(source: Offset, deep: int) -> None:
            with f.range(0, len(self.rows.taps)) as tap_row:
                x = planes + source * self.steps[1] + tap_row * (self.rows.shift_step * self.steps[2])
                here = sums + ((first + source) * self.taps + tap_row * count) * self.width
                tap = 0
                for width, times in _cut(count, self.across):
                    for _ in range(times):
                        self._tile(f, x, turned, here, images, rows, deep, range(tap, tap + width))
                        tap += width

        whole = (last - first) // self.deep * self.deep
        with f.range(0, whole, self.deep) as source:
            tiles(source, self.deep)
        if rest:
            with f.when((last - first).exceeds(whole)):
                tiles(whole, rest)

    def _tile(
        self, f: Function, x: Pointer, turned: Pointer, sums: Pointer, images: Offset, rows: Offset, deep: int,
        taps: Sequence[int],
    ) -> None:  # fmt: skip
        """Some sources and neighbouring taps, by a panel of targets."""
        lanes, vectors, columns = self.lanes, self.vectors, self.columns
        shift = columns.taps[0][1]
        between_images, between_sources, between_rows, step = self.steps
        inputs = [s * between_sources + (columns.taps[t][1] - shift) * step for s in range(deep) for t in taps]
        slots = [
            sums + (s * self.taps + t) * self.width + v * lanes
            for s in range(deep) for t in taps for v in range(vectors)
        ]  # fmt: skip

        def pixel(values: Sequence[Value], x: Pointer, g: Pointer, column: Offset) -> list[Value]:
            values = list(values)
            kept = [(g + column * self.width + v * lanes).load(lanes) for v in range(vectors)]
            for i, offset in enumerate(inputs):
                spread = (x + column * (columns.in_step * step) + offset).broadcast(lanes)
                for v, vector in enumerate(kept):
                    values[i * vectors + v] = f.fma(spread, vector, values[i * vectors + v])
            return values

        unroll = _unroll(columns.count)
        whole = columns.count // unroll * unroll
        start = [slot.load(lanes) for slot in slots]
        with f.loop(0, images, carry=start) as over_images:
            image = x + over_images.index * between_images
            g_image = turned + over_images.index * (self.band * columns.count * self.width)
            with f.loop(0, rows, carry=over_images.values) as over_rows:
                here = image + over_rows.index * (self.rows.in_step * between_rows)
                g = g_image + over_rows.index * (columns.count * self.width)
                with f.loop(0, whole, unroll, carry=over_rows.values) as over_columns:
                    values = over_columns.values
                    for k in range(unroll):
                        values = pixel(values, here, g, over_columns.index + k)
                    over_columns.next(values)
                values = over_columns.results
                for column in range(whole, columns.count):
                    values = pixel(values, here, g, column)
                over_rows.next(values)
            over_images.next(over_rows.results)
        for slot, value in zip(slots, over_images.results, strict=True):
            value.store(slot)

    # Weights ----------------------------------------------------------------------------------

    def turn_back(
        self, f: Function, pointers: list[Pointer], sums: Pointer, own: Pointer, begin: Offset, end: Offset
    ) -> None:
        """Adds up the shares, and turns them to [target][source and tap]. A task is a square."""
        lanes, length = self.lanes, self.sources * self.taps
        full, left = divmod(self.targets, lanes)
        whole, rest = divmod(length, lanes)
        with f.range(begin, end) as task:
            square, other = f.position(task) % self.squares, f.position(task) // self.squares
            vector, number = other % self.vectors, other // self.vectors
            panel, group = number % self.panels, number // self.panels
            block = f.position(panel * self.vectors + vector)
            source = sums + number * (length * self.width) + square * (lanes * self.width) + vector * lanes
            target = pointers[2] + (group * self.targets + block * lanes) * self.weight.strides[0] + square * lanes
            for count, some in ((lanes, full), (left, left)):
                for deep, any_ in ((lanes, whole), (rest, rest)):
                    if not some or not any_:
                        continue
                    at = f.position(square)
                    one = block < full if count == lanes else block.eq(full)
                    with f.when(one & (at < whole if deep == lanes else at.eq(whole))):
                        self._square(f, source, target, count, deep)

    def _square(self, f: Function, sums: Pointer, weight: Pointer, count: int, deep: int) -> None:
        lanes = self.lanes
        zeros = [f.zero(self.element, lanes)] * deep
        with f.loop(0, self.unit_shares, carry=zeros) as loop:
            here = sums + loop.index * self.share_room
            loop.next([v + (here + i * self.width).load(lanes) for i, v in enumerate(loop.values)])
        lines = loop.results + [f.zero(self.element, lanes)] * (lanes - deep)
        mask = Mask(deep, lanes) if deep < lanes else None
        for j, value in enumerate(transposed(f, lines)[:count]):
            where = weight + j * self.weight.strides[0]
            where.store(f.convert(value, where.element.computed), mask=mask)


def _unroll(count: int) -> int:
    """How many pixels of a row are written one after the other: all, a divisor, or about half of the most."""
    if count <= _LONGEST:
        return count
    return next((n for n in range(_LONGEST, 5, -1) if count % n == 0), _LONGEST // 2)
