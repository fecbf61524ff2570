"""Adding rows at positions: out[index[j]] += source[j], in the order of j.

What the gradient of an embedding is, and `index_add`. Several j may name one row, so a task does not get rows but
columns, and goes through all of them: the sums are the same for any number of threads.
"""

from __future__ import annotations

from flambeau.kernels.element import I64
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Buffer, Mask, Module, Offset
from flambeau.kernels.pointwise import Operand

_VECTORS = 4  # of columns that a task has


def emit_add(module: Module, name: str, rows: int, width: int, count: int, source: Operand, out: Operand) -> Kernel:
    """Buffers: index, source, out.

    Args:
        module: where its function goes.
        name: of the kernel.
        rows, width: the size of out, whose columns lie side by side.
        count: how many rows are added; `index` holds as many positions (int64) from 0 to `rows`.
        source: strides for (j, column).
        out: strides for (row, column).
    """
    element = out.element
    if element.computed != element or source.element != element:
        raise NotImplementedError("rows of halves")
    lanes = module.target.lanes(element.bytes)
    wide = lanes * _VECTORS
    full, rest = divmod(width, wide)
    buffers = (
        Buffer("index", I64, count),
        Buffer("source", element, source.extent((count, width))),
        Buffer("out", element, out.extent((rows, width))),
    )
    f, (index, given, sums), _, _, begin, end = stage_function(module, name, buffers)

    def add(first: Offset, columns: int) -> None:
        actives = [min(lanes, columns - start) for start in range(0, columns, lanes)]
        with f.range(0, count) as j:
            row = (index + j).load().index()
            here = sums + row * out.strides[0] + first
            there = given + j * source.strides[0] + first * source.strides[1]
            for v, active in enumerate(actives):
                if columns == 1:
                    (here.load() + there.load()).store(here)
                    continue
                mask = Mask(active, lanes) if active < lanes else None
                added = (there + v * lanes * source.strides[1]).load_strided(source.strides[1], lanes, active)
                ((here + v * lanes).load(lanes, mask=mask) + added).store(here + v * lanes, mask=mask)

    with f.range(begin, end) as task:
        if full:
            with f.when(task < full):
                add(task * wide, wide)
        if rest:
            with f.when(task.eq(full)):
                add(task * wide, rest)
    tasks = full + bool(rest)
    traffic = element.bytes * width * 3 * count
    return Kernel(name, buffers, (Stage(name, tasks, count * width >= WORTH_A_THREAD),), flops=count * width, traffic=traffic)
