"""Reading and writing at positions: out[...] = x[..., i, ...], and back.

Both go over the elements of one shape, that of what is read or written. Some dimensions of the tensor with positions
(x, or out) step with it, as any operand; others are *sought*: where an element stands along them says an index tensor.
So `gather`, an embedding and `x[i, j]` are one kernel, and `scatter`, `index_add` and their kin another.

Positions are looked at before they are used. A task that finds one out of range notes it, goes on with position 0, and
the program stops after the kernel (see `Kernel.may_fail`), so no memory is touched that should not be. Writing looks at
all positions before it changes anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flambeau.kernels.element import BOOL, I64, U8, U16, U32, U64
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Buffer, Function, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand, collapse
from flambeau.kernels.walk import TASKS, Walk

_BLOCK = 4096  # elements of a long row that are a task's at a time
_UNROLLED = 8
_OFTEN = 4  # times that a position is met on the average
_COLUMNS = 4  # vectors of neighbours that a task has where all tasks go through all positions
_SAME_SIZE = {1: U8, 2: U16, 4: U32, 8: U64}


@dataclass(frozen=True)
class Axis:
    """A dimension that an index tensor says positions of.

    Attributes:
        size: how many positions there are.
        stride: from one to the next, in elements.
        from_end: whether -1 is the last one; otherwise negative positions are out of range.
    """

    size: int
    stride: int
    from_end: bool = False


@dataclass(frozen=True)
class Sought:
    """How a tensor is gone over when some of its dimensions are sought.

    Attributes:
        shape: of what is read or written.
        steps: strides of the tensor with positions over that shape, 0 for the index tensors' dimensions.
        axes: the sought dimensions.
        index_steps: for each its index tensor's strides over the shape.
    """

    shape: tuple[int, ...]
    steps: tuple[int, ...]
    axes: tuple[Axis, ...]
    index_steps: tuple[tuple[int, ...], ...]


Layout = tuple[Sequence[int], Sequence[int]]  # a shape and strides in elements


def along(tensor: Layout, index: Layout, dim: int) -> Sought:
    """An index tensor with as many dimensions, of positions in one: as `gather` and `scatter` have it."""
    (shape, steps), wanted = tensor, tuple(index[0])
    others = tuple(0 if d == dim else s for d, s in enumerate(steps))
    return Sought(wanted, others, (Axis(shape[dim], steps[dim]),), (_broadcast(index, wanted),))


def at(tensor: Layout, indices: Sequence[Layout], dims: Sequence[int]) -> Sought:
    """Index tensors, broadcast together, of positions in some dimensions: as `x[i, :, j]` has it.

    Their dimensions stand where those that they index stood, or first where these are apart.
    """
    shape, steps = tensor
    rest = [d for d in range(len(shape)) if d not in dims]
    together = list(dims) == list(range(dims[0], dims[0] + len(dims)))
    begin = dims[0] if together else 0
    picked = np.broadcast_shapes(*(tuple(s) for s, _ in indices))
    before, after = rest[:begin], rest[begin:]
    whole = (*(shape[d] for d in before), *picked, *(shape[d] for d in after))
    inner = [((*s, *[1] * len(after)), (*t, *[0] * len(after))) for s, t in indices]
    return Sought(
        whole, (*(steps[d] for d in before), *[0] * len(picked), *(steps[d] for d in after)),
        tuple(Axis(shape[d], steps[d], from_end=True) for d in dims), tuple(_broadcast(i, whole) for i in inner),
    )  # fmt: skip


def _broadcast(layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides over a larger shape."""
    sizes, steps = layout
    return (*[0] * (len(shape) - len(sizes)), *(0 if n == 1 else s for n, s in zip(sizes, steps, strict=True)))


@dataclass(frozen=True)
class Fault:
    """A position that is out of range: in which of the index tensors, and what stands there."""

    index: int
    position: int


def alarm_words(axes: Sequence[Axis]) -> int:
    """How many words (int64, zero at first) an alarm needs."""
    return 1 + 2 * len(axes) * TASKS


def fault_of(alarm: np.ndarray) -> Fault | None:
    """What a kernel noted in its alarm: the first position that was out of range, in order of the index tensors."""
    if not alarm[0]:
        return None
    notes = alarm[1:].reshape(-1, TASKS, 2)
    index, task = (int(n) for n in np.argwhere(notes[:, :, 0])[0])
    return Fault(index, int(notes[index, task, 1]))


def emit_read(module: Module, name: str, sought: Sought, extent: int, out: Operand) -> Kernel:
    """A kernel that reads at positions. Buffers: source, indices (int64), out, alarm.

    Args:
        sought: how the source is gone over. extent: of its memory, in elements.
        out: strides over the shape.
    """
    shape, axes = sought.shape, sought.axes
    source, indices = Operand(out.dtype, sought.steps), [Operand("int64", steps) for steps in sought.index_steps]
    element = _SAME_SIZE[out.element.bytes]
    sizes, strides = collapse(shape, [out.strides, source.strides, *(i.strides for i in indices)])
    count = math.prod(shape)
    buffers = (
        Buffer("source", element, extent),
        *(Buffer(f"index{k}", I64, i.extent(shape)) for k, i in enumerate(indices)),
        Buffer("out", element, out.extent(shape), once=True),
        Buffer("alarm", I64, alarm_words(axes)),
    )
    walk = Walk(sizes, strides, list(range(len(sizes) - 1)), _BLOCK)
    # Positions that are met again and again are looked at once, before; others when they are met.
    before = _OFTEN * sum(_different(i, shape) for i in indices) <= count
    stages = [_emit_look(module, f"{name}_look", buffers, shape, axes, indices)] if before else []
    reporter = "" if before else _emit_reporter(module, name)
    f, (given, *wheres, result, alarm), _, _, begin, end = stage_function(module, name, buffers)
    along = [s[-1] for s in strides]
    lanes = module.target.lanes(element.bytes)
    fine = alarm.load().eq(0) if before else f.constant(True, BOOL)
    with f.when(fine), f.range(begin, end) as task:
        notes = None if before else _Notes(f, reporter, alarm, task)
        for starts, first, length in walk.pieces(f, task):
            to, there, *at = (p + s + first * a for p, s, a in zip((result, given, *wheres), starts, along, strict=True))
            if not any(along[2:]):
                (offset,) = _places(f, notes, axes, [[p.load() for p in at]], at, along[2:])
                _copy_row(f, there + offset, to, along[1], along[0], length, lanes)
                continue
            for i, many in f.blocks(length, _UNROLLED):
                _read_each(f, notes, axes, there + i * along[1], to + i * along[0],
                           [p + i * s for p, s in zip(at, along[2:], strict=True)], along, many)  # fmt: skip
    stages.append(Stage(name, walk.tasks, 4 * count >= WORTH_A_THREAD))
    traffic = count * (2 * element.bytes) + sum(8 * _different(i, shape) for i in indices)
    return Kernel(name, buffers, tuple(stages), traffic=traffic, may_fail=True)


def _read_each(
    f: Function, notes: _Notes | None, axes: Sequence[Axis], there: Pointer, to: Pointer, at: Sequence[Pointer],
    along: Sequence[int], count: int,
) -> None:  # fmt: skip
    """Some elements each of which has a position of its own."""
    found = [[(p + k * s).load() for p, s in zip(at, along[2:], strict=True)] for k in range(count)]
    places = _places(f, notes, axes, found, at, along[2:])
    values = [(there + k * along[1] + place).load() for k, place in enumerate(places)]
    for k, value in enumerate(values):
        value.store(to + k * along[0])


def emit_write(module: Module, name: str, sought: Sought, extent: int, source: Operand, op: str) -> Kernel:
    """A kernel that writes, or joins to what stands there, at positions. Buffers: source, indices, out, alarm.

    Of several elements for one place the last is written; they are joined in order. A task has places of its own, so
    that holds for any number of threads.

    Args:
        sought: how `out` is gone over. extent: of its memory, in elements.
        source: strides over the shape.
        op: "set", or "add", "mul", "max", "min", which NaN takes part in.
    """
    shape, axes = sought.shape, sought.axes
    out, indices = Operand(source.dtype, sought.steps), [Operand("int64", steps) for steps in sought.index_steps]
    element = out.element
    if op == "set":
        element = _SAME_SIZE[element.bytes]
    elif element.computed != element:
        raise NotImplementedError("sums of halves")
    count = math.prod(shape)
    operands = [out.strides, source.strides, *(i.strides for i in indices)]
    sizes, strides = collapse(shape, operands, sort=False)
    rank = len(sizes)
    free = [d for d in range(rank) if strides[0][d]]
    buffers = (
        Buffer("source", element, source.extent(shape)),
        *(Buffer(f"index{k}", I64, i.extent(shape)) for k, i in enumerate(indices)),
        Buffer("out", element, extent),
        Buffer("alarm", I64, alarm_words(axes)),
    )
    stages = [_emit_look(module, f"{name}_look", buffers, shape, axes, indices)]
    lanes = module.target.lanes(element.bytes)
    inner_free = rank - 1 in free
    outer = [d for d in free if d < rank - 1]
    alone = math.prod(sizes[d] for d in outer)
    width = sizes[-1] if not inner_free or alone >= TASKS else lanes * _COLUMNS
    walk = Walk(sizes, strides, outer, width)
    between = [d for d in range(rank - 1) if d not in outer]
    along = [s[-1] for s in strides]
    f, (given, *wheres, result, alarm), _, _, begin, end = stage_function(module, name, buffers)
    with f.when(alarm.load().eq(0)), f.range(begin, end) as task:
        for starts, first, length in walk.pieces(f, task):
            offsets = [s + first * a for s, a in zip(starts, along, strict=True)]
            for inside in _nested(f, offsets, strides, sizes, between):
                to, there, *at = (p + o for p, o in zip((result, given, *wheres), inside, strict=True))
                if not any(along[2:]):
                    offset = _offset(axes, [p.load() for p in at])
                    _join_row(f, op, to + offset, there, along[0], along[1], length, lanes)
                    continue
                with f.range(0, length) as i:
                    offset = _offset(axes, [(p + i * s).load() for p, s in zip(at, along[2:], strict=True)])
                    where = to + offset + i * along[0]
                    _joined(f, op, where, (there + i * along[1]).load()).store(where)
    stages.append(Stage(name, walk.tasks, 4 * count >= WORTH_A_THREAD))
    traffic = count * element.bytes * (2 if op == "set" else 3) + sum(8 * _different(i, shape) for i in indices)
    return Kernel(name, buffers, tuple(stages), flops=0 if op == "set" else count, traffic=traffic, may_fail=True)


# Walking ------------------------------------------------------------------------------------------


def _nested(
    f: Function, starts: list[Offset], strides: Sequence[Sequence[int]], sizes: Sequence[int], dims: Sequence[int]
) -> Iterator[list[Offset]]:
    """Loops over these dimensions, the last innermost; gives where each operand is."""
    if not dims:
        yield starts
        return
    first, *others = dims
    with f.range(0, sizes[first]) as i:
        here = [s + i * stride[first] for s, stride in zip(starts, strides, strict=True)]
        yield from _nested(f, here, strides, sizes, others)


def _different(index: Operand, shape: Sequence[int]) -> int:
    """How many positions there are, those that are read again and again counted once."""
    return math.prod(n for n, s in zip(shape, index.strides, strict=True) if s)


# Rows ---------------------------------------------------------------------------------------------


def _copy_row(
    f: Function, source: Pointer, out: Pointer, source_stride: int, out_stride: int, length: int, lanes: int
) -> None:
    def move(at: Offset, width: int, active: int) -> None:
        value = (source + at * source_stride).load_strided(source_stride, width, active)
        (out + at * out_stride).store_strided(value, out_stride, active)

    _by_vectors(f, length, lanes, move)


def _join_row(
    f: Function, op: str, out: Pointer, source: Pointer, out_stride: int, source_stride: int, length: int, lanes: int
) -> None:
    def join(at: Offset, width: int, active: int) -> None:
        value = (source + at * source_stride).load_strided(source_stride, width, active)
        here = out + at * out_stride
        if op != "set":
            value = _combine(f, op, here.load_strided(out_stride, width, active), value)
        here.store_strided(value, out_stride, active)

    _by_vectors(f, length, lanes, join)


def _by_vectors(f: Function, length: int, lanes: int, body: Callable[[Offset, int, int], None]) -> None:
    """`body(start, lanes, active lanes)` for all of a row; four vectors a turn of the loop."""
    if length == 1:
        body(0, 1, 1)
        return
    full, rest = divmod(length, lanes)
    turns, left = divmod(full, 4)
    if turns:
        with f.range(0, turns) as turn:
            for v in range(4):
                body(turn * (4 * lanes) + v * lanes, lanes, lanes)
    for v in range(turns * 4, turns * 4 + left):
        body(v * lanes, lanes, lanes)
    if rest:
        body(full * lanes, lanes, rest)


def _joined(f: Function, op: str, here: Pointer, value: Value) -> Value:
    return value if op == "set" else _combine(f, op, here.load(), value)


def _combine(f: Function, op: str, a: Value, b: Value) -> Value:
    if op == "add":
        return a | b if a.element is BOOL else a + b
    if op == "mul":
        return a & b if a.element is BOOL else a * b
    return f.maximum(a, b) if op == "max" else f.minimum(a, b)


# Positions ----------------------------------------------------------------------------------------


class _Notes:
    """Where a task notes positions that are out of range."""

    def __init__(self, f: Function, reporter: str, alarm: Pointer, task: Offset):
        self.f, self.reporter, self.alarm, self.task = f, reporter, alarm, task

    def write(self, axis: Axis, number: int, begin: Pointer, stride: int, count: int) -> None:
        """Finds the first of `count` positions that is wrong, and notes it if the task has noted none yet."""
        note = self.alarm + (self.task * 2 + (1 + 2 * TASKS * number))
        low = -axis.size if axis.from_end else 0
        self.f.call(self.reporter, [begin, self.alarm, note, stride, count, low, axis.size])


def _emit_reporter(module: Module, kernel: str) -> str:
    """The function that looks for the wrong one among positions, of which there is one."""
    name = f"{kernel}_report"
    buffers = [Buffer("index", I64), Buffer("alarm", I64), Buffer("note", I64)]
    f = module.function(name, buffers, ["stride", "count", "low", "size"], internal=True)
    (index, alarm, note), (stride, count, low, size) = f.buffers, f.indices
    f.constant(1, I64).store(alarm)
    with f.range(0, count) as i:
        position = (index + i * stride).load()
        outside = (position < low.value()) | (position >= size.value())
        with f.when(outside & note.load().eq(0)):
            f.constant(1, I64).store(note)
            position.store(note + 1)
    return name


def _from_start(f: Function, axis: Axis, position: Value) -> Value:
    """A position, counted from the start, as an unsigned number: what is out of range is too large."""
    if axis.from_end:
        position = position + ((position >> 63) & axis.size)
    return f.convert(position, U64)


def _places(
    f: Function, notes: _Notes | None, axes: Sequence[Axis], found: Sequence[Sequence[Value]], begins: Sequence[Pointer],
    strides: Sequence[int],
) -> list[Offset]:  # fmt: skip
    """Where some elements stand; `found` holds the positions of each, which are `strides` apart in memory.

    Without `notes` they are known to be in range.
    """
    if notes is None:
        return [_offset(axes, positions) for positions in found]
    places: list[Offset] = [0] * len(found)
    for number, axis in enumerate(axes):
        seen = [_from_start(f, axis, positions[number]) for positions in found]
        wrong = [s >= axis.size for s in seen]
        some = wrong[0]
        for w in wrong[1:]:
            some = some | w
        with f.when(some):
            notes.write(axis, number, begins[number], strides[number], len(found))
        safe = [f.select(w, 0, s).index() for w, s in zip(wrong, seen, strict=True)]
        places = [s * axis.stride + p for s, p in zip(safe, places, strict=True)]
    return places


def _offset(axes: Sequence[Axis], found: Sequence[Value]) -> Offset:
    """Where in memory an element stands whose positions are known to be in range."""
    place: Offset = 0
    for axis, position in zip(axes, found, strict=True):
        place = _from_start(position.f, axis, position).index() * axis.stride + place
    return place


def _emit_look(
    module: Module, name: str, buffers: Sequence[Buffer], shape: Sequence[int], axes: Sequence[Axis],
    indices: Sequence[Operand],
) -> Stage:  # fmt: skip
    """A stage that looks at all positions."""
    reporter = _emit_reporter(module, name)
    walks = []
    for index in indices:  # what is the same position again is looked at once
        kept = [d for d, s in enumerate(index.strides) if s]
        steps = [index.strides[d] for d in kept]
        sizes, strides = collapse([shape[d] for d in kept], [steps], sort=False)
        walks.append(Walk(sizes, strides, list(range(len(sizes) - 1)), _BLOCK))
    f, (_, *wheres, _, alarm), _, _, begin, end = stage_function(module, name, buffers)
    lanes, tasks = module.target.lanes(8), max(walk.tasks for walk in walks)
    with f.range(begin, end) as task:
        notes = _Notes(f, reporter, alarm, task)
        for number, (axis, walk, where) in enumerate(zip(axes, walks, wheres, strict=True)):
            step = walk.strides[0][-1]
            with f.when(f.position(task) < walk.tasks):
                for (start,), first, length in walk.pieces(f, task):
                    here = where + start + first * step
                    for at, many in f.blocks(length, lanes):
                        begins = here + at * step
                        found = _from_start(f, axis, begins.load_strided(step, lanes, many))
                        with f.when(f.any(found >= axis.size)):
                            notes.write(axis, number, begins, step, many)
    work = sum(walk.rows * walk.sizes[-1] for walk in walks)
    return Stage(name, tasks, work >= WORTH_A_THREAD)
