"""Copies between arrays whose innermost dimensions differ: squares are turned in registers.

Element by element, such a copy reads or writes a line of memory for each number. Here as many rows as a
vector has lanes are read along the source's dimension, turned, and written along the target's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Function, Mask, Module, Offset, Pointer
from flambeau.kernels.pointwise import Operand, collapse, operand_buffers
from flambeau.kernels.transpose import transposed

_TASKS = 32


def applies(shape: Sequence[int], source: Operand, target: Operand, lanes: int) -> bool:
    """Whether the two run along different dimensions that are worth turning."""
    if source.dtype != target.dtype or source.element.computed != source.element:
        return False
    sizes, strides = collapse(shape, [source.strides, target.strides], by=1)
    return _dimension(sizes, *strides) is not None and min(
        sizes[-1], sizes[_dimension(sizes, *strides) or 0]
    ) >= lanes // 2


def _dimension(sizes: Sequence[int], source: Sequence[int], target: Sequence[int]) -> int | None:
    """The dimension along which the source runs, if it is not the target's, the last."""
    if target[-1] != 1 or source[-1] == 1:
        return None
    return next((d for d in range(len(sizes) - 1) if source[d] == 1), None)


def emit(
    module: Module, name: str, shape: Sequence[int], source: Operand, target: Operand
) -> Kernel:
    """A kernel that copies `source` to `target`, both of this shape. Buffers: source, target.

    Only for what `applies`.
    """
    sizes, (reads, writes) = collapse(shape, [source.strides, target.strides], by=1)
    along = _dimension(sizes, reads, writes)
    assert along is not None
    lanes = module.target.lanes(source.element.bytes)
    outer = [d for d in range(len(sizes) - 1) if d != along]
    blocks = -(-sizes[-1] // lanes)
    count = math.prod(sizes[d] for d in outer) * blocks
    steps = -(-sizes[along] // lanes)
    chunks = max(1, min(steps, _TASKS // count))
    buffers = operand_buffers([source], [target], shape)
    f, pointers, _, _, begin, end = stage_function(module, name, buffers)
    with f.range(begin, end) as task:
        chunk: Offset = task % chunks
        rest: Offset = task // chunks
        block: Offset = rest % blocks
        rest = rest // blocks
        read, write = pointers
        for d in reversed(outer):
            here = rest % sizes[d]
            rest = rest // sizes[d]
            read, write = read + here * reads[d], write + here * writes[d]
        full, left = divmod(sizes[-1], lanes)
        for height in dict.fromkeys((lanes if full else 0, left)):
            if not height:
                continue
            here = f.position(block)
            with f.when(here < full if height == lanes else here.eq(full)):
                _turn(
                    f, read + block * (lanes * reads[-1]), write + block * lanes,
                    (reads[-1], writes[along]), (height, lanes), (chunk, chunks, sizes[along]),
                )  # fmt: skip
    elements = math.prod(shape)
    size = 2 * elements * source.element.bytes
    stage = Stage(name, count * chunks, parallel=4 * elements >= WORTH_A_THREAD)
    return Kernel(name, buffers, (stage,), traffic=size)


def _turn(
    f: Function, read: Pointer, write: Pointer, steps: tuple[int, int], size: tuple[int, int],
    share: tuple[Offset, int, int],
) -> None:  # fmt: skip
    """A band of rows of the source becomes as many columns of the target."""
    (row_step, column_step), (height, lanes), (chunk, chunks, length) = steps, size, share
    whole, rest = divmod(length, lanes)

    def square(start: Offset, width: int) -> None:
        mask = Mask(width, lanes) if width < lanes else None
        rows = [(read + start + i * row_step).load(lanes, mask=mask) for i in range(height)]
        rows += [f.zero(read.element, lanes)] * (lanes - height)
        kept = Mask(height, lanes) if height < lanes else None
        for i, column in enumerate(transposed(f, rows)[:width]):
            column.store(write + start * column_step + i * column_step, mask=kept)

    if chunks == 1:
        for start, width in f.blocks(length, lanes):
            square(start, width)
        return
    if whole:
        with f.range(chunk * whole // chunks, (chunk + 1) * whole // chunks) as step:
            square(step * lanes, lanes)
    if rest:
        with f.when(f.position(chunk).eq(chunks - 1)):
            square(whole * lanes, rest)
