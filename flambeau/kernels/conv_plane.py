"""Convolutions of PyTorch's layout [sample][channel][row][column], with pixels in the lanes.

Every input plane is first spread into memory of its own: zeros around it for the padding, and
for a stride of s, its s * s interleaved parts one after the other. Then a tap is nothing but a
constant distance, over the whole plane as if it were one long row, and the plane is a row of
vectors to the kernels that have the batch in the lanes. What a vector computes beyond the end
of a row is never copied to the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flambeau.kernels import conv_batch, conv_weight, conv_weight_wide, pointwise
from flambeau.kernels.conv_axis import Axis, Convolution
from flambeau.kernels.conv_tile import choose_tile
from flambeau.kernels.element import Element
from flambeau.kernels.expression import Nodes
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import Target

IMAGES_FOR_ALL = 4  # from how many images on a thread does whole images
_ENDLESS = 1 << 60
_ONE_ROW = Axis(1, _ENDLESS, 1, 1, 0, ((0, 0),))
_WEIGHT_CHUNK = 16  # vectors of a plane that make a row, for the gradient of the weight


@dataclass(frozen=True)
class Plane:
    """How an image plane is spread: positions from `low` on, in `step` interleaved parts.

    Attributes:
        low: the first row and column that is kept; below 0 is padding.
        step: how many parts a column, and a row, are dealt to.
        rows, pitch: of each part.
        size: elements of each part, with what vectors may read beyond it.
        repeated: how many columns' parts are kept a second time, one position on.
    """

    low: tuple[int, int]
    step: tuple[int, int]
    rows: int
    pitch: int
    size: int
    repeated: int = 0

    @property
    def columns(self) -> int:
        """How many parts a row of parts has."""
        return self.step[1] + self.repeated

    @property
    def parts(self) -> int:
        return self.step[0] * self.columns

    def distance(self, row_shift: int, column_shift: int) -> int:
        """How far from the output's position a tap's input lies."""
        y, x = row_shift - self.low[0], column_shift - self.low[1]
        part = y % self.step[0] * self.step[1] + x % self.step[1]
        return part * self.size + y // self.step[0] * self.pitch + x // self.step[1]


def plane_for(rows: Sequence[Axis], columns: Sequence[Axis], slack: int) -> Plane:
    """The plane that holds whatever these axes ask for, plus `slack` elements."""
    lows, steps, lengths = [], [], []
    for axes in (rows, columns):
        reaches = [axis.reach for axis in axes if axis.taps] or [(0, 0)]
        low = min(first for first, _ in reaches)
        high = max(last for _, last in reaches)
        lows.append(low)
        steps.append(axes[0].in_step)
        lengths.append(-(-(high - low + 1) // axes[0].in_step))
    size = round_up(lengths[0] * lengths[1] + slack, 16)
    return Plane((lows[0], lows[1]), (steps[0], steps[1]), lengths[0], lengths[1], size)


@dataclass(frozen=True)
class Sum:
    """A convolution or input gradient: the axes, and channels of a group read and written.

    `weight` has strides (target, source, row tap, column tap, group); `x`, `outputs` and
    `extras` (sample, channel, row, column).
    """

    conv: Convolution
    rows: Sequence[Axis]
    columns: Sequence[Axis]
    sources: int
    targets: int
    in_size: tuple[int, int]
    x: Operand
    weight: Operand
    outputs: Sequence[Operand]
    epilogue: Nodes
    results: Sequence[int]
    extras: Sequence[Operand]


@dataclass(frozen=True)
class Piece:
    """A part of the work: `emit` does tasks from begin to end, with memory for
    intermediates."""

    name: str
    tasks: int
    emit: Callable[[Function, list[Pointer], Pointer, Offset, Offset], None]


def share_of_use(what: Sum, target: Target, lanes: int) -> float:
    """What share of the multiply-adds of `emit_sum` is of use: vectors run over the ends of rows."""
    pitch = plane_for(what.rows, what.columns, lanes).pitch
    useful = done = 0
    for rows in what.rows:
        for columns in what.columns:
            vectors = -(-((rows.count - 1) * pitch + columns.count) // lanes)
            tile = choose_tile(target, what.targets, vectors)
            done += round_up(vectors, tile[1]) * lanes * round_up(what.targets, tile[0])
            useful += rows.count * columns.count * what.targets
    return useful / max(done, 1)


def emit_sum(module: Module, name: str, buffers: tuple[Buffer, ...], what: Sum) -> Kernel:
    """The kernel; its buffers are x, weight, extras, outputs.

    With images enough for all threads, a thread does one image after the other in its own
    memory; with few, threads share each step.
    """
    conv = what.conv
    alone = conv.batch >= IMAGES_FOR_ALL
    pieces, memory, planes = _sum_pieces(module, what, 1 if alone else conv.batch, alone)
    parallel = conv.flops >= 4 * WORTH_A_THREAD
    if not alone:
        stages = as_stages(module, name, buffers, pieces, parallel)
        return Kernel(name, buffers, stages, workspace=memory, flops=conv.flops)
    f, pointers, _, scratch, begin, end = stage_function(module, name, buffers)
    operands = [what.x, Operand(what.weight.dtype, (0,)), *what.extras, *what.outputs]
    element = what.x.element.computed
    clear(f, scratch.as_elements(element), planes, module.target.lanes(element.bytes))
    with f.range(begin, end) as image:
        here = [p + image * o.strides[0] for p, o in zip(pointers, operands, strict=True)]
        for piece in pieces:
            piece.emit(f, here, scratch, 0, piece.tasks)
    stage = Stage(name, conv.batch, parallel)
    return Kernel(name, buffers, (stage,), scratch=memory, flops=conv.flops)


def as_stages(
    module: Module, name: str, buffers: tuple[Buffer, ...], pieces: Sequence[Piece],
    parallel: bool,
) -> tuple[Stage, ...]:  # fmt: skip
    """A stage for each piece, with intermediates in the workspace."""
    stages = []
    for piece in pieces:
        stage = f"{name}_{piece.name}"
        f, pointers, workspace, _, begin, end = stage_function(module, stage, buffers)
        piece.emit(f, pointers, workspace, begin, end)
        stages.append(Stage(stage, piece.tasks, parallel))
    return tuple(stages)


def _sum_pieces(
    module: Module, what: Sum, images: int, cleared: bool
) -> tuple[list[Piece], int, int]:
    """Spread the input; then for each residue of the output, multiply and copy.

    Returns:
        The pieces, the bytes they need, and how many elements the spread planes have, which are
        the first in memory.
    """
    conv, element = what.conv, what.x.element.computed
    lanes = module.target.lanes(element.bytes)
    plane = plane_for(what.rows, what.columns, lanes)
    channels_in, channels_out = conv.groups * what.sources, conv.groups * what.targets
    spread = Spread(
        images, channels_in, what.in_size, what.x.strides, plane, plane.parts * plane.size
    )
    pieces = [spread_piece("spread", spread, 0, 0, element, lanes, cleared)]
    planes_bytes = images * channels_in * plane.parts * plane.size * element.bytes
    largest = 0
    for rows in what.rows:
        for columns in what.columns:
            number = len(pieces)
            flat = (rows.count - 1) * plane.pitch + columns.count
            vectors = -(-flat // lanes)
            sums = contiguous_sums(element, channels_out, vectors * lanes)
            product = _product(what, images, plane, rows, columns, vectors, lanes, sums)
            nest = conv_batch.Nest(module, product)
            pieces.append(_product_piece(f"sum{number}", nest, planes_bytes))
            pieces.append(
                _copy_piece(f"copy{number}", module, what, images, plane, rows, columns, sums,
                            planes_bytes)
            )  # fmt: skip
            largest = max(largest, images * channels_out * vectors * lanes * element.bytes)
    return pieces, planes_bytes + largest, planes_bytes // element.bytes


def contiguous_sums(element: Element, channels: int, length: int) -> Operand:
    """Sums as [image][channel][position], as an operand of `conv_batch`."""
    return Operand(element.dtype_name, (channels * length, length, 0, 1, 1))


def _product(
    what: Sum, images: int, plane: Plane, rows: Axis, columns: Axis, vectors: int, lanes: int,
    sums: Operand,
) -> conv_batch.BatchConvolution:  # fmt: skip
    """The plane as a single row of vectors, with a tap for each pair of taps."""
    conv, element = what.conv, what.x.element.computed
    _, _, row_step, column_step, _ = what.weight.strides
    taps = tuple(
        (row_tap * row_step + column_tap * column_step, plane.distance(row_shift, column_shift))
        for row_tap, row_shift in rows.taps
        for column_tap, column_shift in columns.taps
    )
    per_channel = plane.parts * plane.size
    channels_in = conv.groups * what.sources
    target, source, _, _, group = what.weight.strides
    return conv_batch.BatchConvolution(
        batch=images * lanes, groups=conv.groups, sources=what.sources, targets=what.targets,
        rows=[_ONE_ROW],
        columns=[Axis(vectors, _ENDLESS, lanes, lanes, 0, taps)],
        x=Operand(element.dtype_name, (channels_in * per_channel, per_channel, 0, 1, 1)),
        weight=Operand(what.weight.dtype, (target, source, 0, 1, group)),
        outputs=[sums],
    )  # fmt: skip


def _product_piece(name: str, nest: conv_batch.Nest, sums_at: int) -> Piece:
    def emit(
        f: Function, pointers: list[Pointer], memory: Pointer, begin: Offset, end: Offset
    ) -> None:
        planes = memory.as_elements(nest.element)
        sums = (memory + sums_at).as_elements(nest.element)
        with f.range(begin, end) as task:
            nest.task(f, planes, pointers[1], [sums], task)

    return Piece(name, nest.tasks, emit)


def _copy_piece(
    name: str, module: Module, what: Sum, images: int, plane: Plane, rows: Axis, columns: Axis,
    sums: Operand, sums_at: int,
) -> Piece:  # fmt: skip
    """Takes the pixels of the result out of the sums, through the epilogue."""
    channels = what.conv.groups * what.targets
    image, channel, *_ = sums.strides

    def seen(operand: Operand) -> Operand:
        n, c, y, x = operand.strides
        return Operand(operand.dtype, (n, c, y * rows.out_step, x * columns.out_step))

    plan = pointwise.plan(
        module, (images, channels, rows.count, columns.count),
        [Operand(sums.dtype, (image, channel, plane.pitch, 1)), *map(seen, what.extras)],
        [seen(o) for o in what.outputs], what.epilogue, what.results,
    )  # fmt: skip

    def emit(
        f: Function, pointers: list[Pointer], memory: Pointer, begin: Offset, end: Offset
    ) -> None:
        starts = [
            pointer + (rows.out_start * o.strides[2] + columns.out_start * o.strides[3])
            for pointer, o in zip(pointers[2:], [*what.extras, *what.outputs], strict=True)
        ]
        source = (memory + sums_at).as_elements(what.x.element.computed)
        extras = len(what.extras)
        plan.emit(f, [source, *starts[:extras]], starts[extras:], begin, end)

    return Piece(name, plan.tasks, emit)


@dataclass(frozen=True)
class Spread:
    """Images to be spread: how many, their channels, size and strides, and to what planes.

    `room` is how many elements each channel's planes take.
    """

    images: int
    channels: int
    size: tuple[int, int]
    strides: tuple[int, ...]
    plane: Plane
    room: int


def clear(f: Function, memory: Pointer, room: int, lanes: int) -> None:
    """Zeros; `room` is a multiple of the lanes."""
    with f.range(0, room, lanes) as position:
        f.zero(memory.element, lanes).store(memory + position)


def spread_piece(
    name: str, what: Spread, argument: int, at: int, element: Element, lanes: int,
    cleared: bool = False,
) -> Piece:  # fmt: skip
    """A task is one plane: all zeros, then the rows and columns that exist.

    Memory that held a plane of this shape before needs no zeros again: then it is `cleared`.
    """

    def emit(
        f: Function, pointers: list[Pointer], memory: Pointer, begin: Offset, end: Offset
    ) -> None:
        with f.range(begin, end) as task:
            image, channel = task // what.channels, task % what.channels
            source = pointers[argument] + image * what.strides[0] + channel * what.strides[1]
            plane = (memory + at).as_elements(element) + task * what.room
            if not cleared:
                clear(f, plane, what.room, lanes)
            spread_plane(f, what, source, plane, lanes)

    return Piece(name, what.images * what.channels, emit)


def spread_plane(
    f: Function, what: Spread, source: Pointer, plane: Pointer, lanes: int
) -> None:
    """Copies the pixels of one plane, part by part."""
    for row_part in range(what.plane.step[0]):
        for column_part in range(what.plane.columns):
            _spread_part(f, what, source, plane, (row_part, column_part), lanes)


def _spread_part(
    f: Function,
    what: Spread,
    source: Pointer,
    target: Pointer,
    part: tuple[int, int],
    lanes: int,
) -> None:
    """Copies the pixels of one of the interleaved parts."""
    plane = what.plane
    ranges, starts = [], []
    for dim, length in ((0, plane.rows), (1, plane.pitch)):
        first, step = plane.low[dim] + part[dim], plane.step[dim]
        existing = [i for i in range(length) if 0 <= first + i * step < what.size[dim]]
        ranges.append((existing[0], existing[-1] + 1) if existing else (0, 0))
        starts.append(first)
    (top, bottom), (left, right) = ranges
    if top == bottom or left == right:
        return
    row_stride, column_stride = what.strides[2:]
    target = target + (part[0] * plane.columns + part[1]) * plane.size + left
    source = source + (starts[1] + left * plane.step[1]) * column_stride
    between = plane.step[1] * column_stride
    with f.range(top, bottom) as row:
        line = source + (row * plane.step[0] + starts[0]) * row_stride
        for column, width in f.blocks(right - left, lanes):
            value = (line + column * between).load_strided(between, lanes, width)
            mask = Mask(width, lanes) if width < lanes else None
            value.store(target + row * plane.pitch + column, mask=mask)


def emit_weight_gradient(
    module: Module, name: str, buffers: tuple[Buffer, ...], conv: Convolution, rows: Axis,
    columns: Axis, x: Operand, gradient: Operand, weight: Operand,
) -> Kernel:  # fmt: skip
    """The gradient of the weight; buffers are x, gradient, weight.

    The gradient is spread with the input's pitch, and zeros where a row of the input goes on.
    """
    element = x.element.computed
    lanes = module.target.lanes(element.bytes)
    if conv.group_out >= lanes // 2 and _in_order(weight, conv):
        return conv_weight_wide.emit(module, name, buffers, conv, rows, columns, x, gradient, weight)
    chunk = _WEIGHT_CHUNK * lanes
    like_input = plane_for([rows], [columns], lanes)
    flat = (rows.count - 1) * like_input.pitch + columns.count
    length = round_up(flat, chunk if flat > 2 * chunk else lanes)
    plane = plane_for([rows], [columns], length - flat + lanes)
    targets = Plane((0, 0), (1, 1), rows.count, plane.pitch, length)
    room = plane.parts * plane.size
    inputs = Spread(conv.batch, conv.in_channels, conv.in_size, x.strides, plane, room)
    gradients = Spread(
        conv.batch, conv.out_channels, conv.out_size, gradient.strides, targets, length
    )
    # What vectors read beyond the last plane must be numbers: the targets' planes come next.
    gradients_at = conv.batch * conv.in_channels * room * element.bytes
    taps = tuple(
        (row_tap * weight.strides[2] + column_tap * weight.strides[3], plane.distance(dy, dx))
        for row_tap, dy in rows.taps
        for column_tap, dx in columns.taps
    )
    across = chunk if length % chunk == 0 else length
    spread_x = spread_piece("x", inputs, 0, 0, element, lanes)
    dtype = element.dtype_name
    nest = conv_weight.Nest(
        module,
        conv_weight.WeightGradient(
            conv.batch * lanes, conv.groups, conv.group_in, conv.group_out,
            Axis(length // across, _ENDLESS, 1, 1, 0, ((0, 0),)),
            Axis(across // lanes, _ENDLESS, lanes, 1, 0, taps),
            Operand(dtype, (conv.in_channels * room, room, across, 1, 1)),
            Operand(dtype, (conv.out_channels * length, length, across, lanes, 1)),
            Operand(weight.dtype, (*weight.strides[:2], 0, 1)),
        ),
    )  # fmt: skip
    spread_gradient = spread_piece("gradient", gradients, 1, gradients_at, element, lanes)
    sums_at = gradients_at + conv.batch * conv.out_channels * length * element.bytes
    total = sums_at + nest.workspace

    def emit_product(
        f: Function, pointers: list[Pointer], memory: Pointer, begin: Offset, end: Offset
    ) -> None:
        x, g, sums = ((memory + at).as_elements(element) for at in (0, gradients_at, sums_at))
        with f.range(begin, end) as task:
            nest.task(f, x, g, pointers[2], sums, task)

    pieces = [spread_x, spread_gradient, Piece("sum", nest.tasks, emit_product)]
    parallel = conv.flops >= 4 * WORTH_A_THREAD
    stages = as_stages(module, name, buffers, pieces, parallel)
    return Kernel(name, buffers, stages, workspace=total, flops=conv.flops)


def _in_order(weight: Operand, conv: Convolution) -> bool:
    """Whether the weights of one output channel lie side by side, as PyTorch has them."""
    height, width = conv.kernel
    return weight.strides[1:] == (height * width, width, 1)
