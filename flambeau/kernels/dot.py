"""A few rows times a matrix that is stored by columns: dot products along the vectors.

A sample or a few through a linear layer: each weight is used a few times only, so packing it would
cost as much as the product. Each accumulator is one row times one column, a vector of partial sums
along k; at the end the vectors of a row are folded into one, with a lane for each column.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.kernels.element import Element
from flambeau.kernels.expression import Nodes, evaluate
from flambeau.kernels.language import Function, Mask, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import Target
from flambeau.kernels.transpose import folded

_MOST_ROWS = 16


def fits(m: int, k: int, a: Operand, b: Operand, element: Element, lanes: int) -> bool:
    """Whether such a product is done this way."""
    along = a.strides[-1] == b.strides[-2] == 1 and b.strides[-1] != 1
    return m <= _MOST_ROWS and along and k >= 4 * lanes > 4 and element.is_float


def tile(target: Target, m: int, lanes: int) -> tuple[int, int]:
    """Rows and columns of a tile: half of the registers accumulate; columns a power of two."""
    most = 8 if m <= 8 else 4  # so many rows that B is read seldom, but not A for every other column
    rows = next(r for r in range(min(m, most), 0, -1) if m % r == 0 or r < 5)
    columns = 1
    while columns < lanes and 2 * columns * rows <= target.registers * 5 // 8:
        columns *= 2
    return rows, columns


def emit_columns(
    f: Function, shape: tuple[int, int, int], a: Operand, b: Operand, out: Operand,
    extras: Sequence[Operand], epilogue: Nodes, pointers: Sequence[Pointer], block: Offset,
    element: Element, lanes: int,
) -> None:  # fmt: skip
    """One block of columns, all rows of it. Pointers: a, b, extras, out."""
    m, n, k = shape
    height, wide = tile(f.target, m, lanes)
    full, rest = divmod(n, wide)
    for width in (wide, rest):
        if not width or (width == wide and not full):
            continue
        here = f.position(block)
        with f.when(here < full if width == wide else here.eq(full)):
            columns = [
                pointers[1] + (block * wide + min(c, width - 1)) * b.strides[-1]
                for c in range(wide)
            ]
            for first in range(0, m, height):
                rows = range(first, min(first + height, m))
                lines = [pointers[0] + row * a.strides[-2] for row in rows]
                sums = _dots(f, lines, columns, k, element, lanes)
                for row, of_row in zip(rows, sums, strict=True):
                    value = _in_one_vector(f, of_row)
                    inputs = {0: value}
                    for number, operand in enumerate(extras):
                        row_stride, step = operand.strides[-2:]
                        where = pointers[2 + number] + row * row_stride + block * (wide * step)
                        inputs[number + 1] = where.load_strided(step, wide, width)
                    value = evaluate(f, epilogue, inputs, wide)[len(epilogue) - 1]
                    row_stride, step = out.strides[-2:]
                    where = pointers[-1] + row * row_stride + block * (wide * step)
                    where.store_strided(f.convert(value, where.element.computed), step, width)


def _dots(
    f: Function, lines: Sequence[Pointer], columns: Sequence[Pointer], k: int,
    element: Element, lanes: int,
) -> list[list[Value]]:  # fmt: skip
    """For each row, its partial sums with each column."""

    def step(sums: Sequence[Value], at: Offset, mask: Mask | None) -> list[Value]:
        values = [(column + at).load(lanes, mask=mask) for column in columns]
        taken = []
        for number, line in enumerate(lines):
            x = (line + at).load(lanes, mask=mask)
            of_row = sums[number * len(columns) : (number + 1) * len(columns)]
            taken += [f.fma(v, x, total) for v, total in zip(values, of_row, strict=True)]
        return taken

    whole = k // lanes * lanes
    zeros = [f.zero(element, lanes)] * (len(columns) * len(lines))
    with f.loop(0, whole, lanes, carry=zeros) as loop:
        loop.next(step(loop.values, loop.index, None))
    sums = loop.results
    if k > whole:
        sums = step(sums, whole, Mask(k - whole, lanes))
    return [sums[i : i + len(columns)] for i in range(0, len(sums), len(columns))]


def _in_one_vector(f: Function, sums: Sequence[Value]) -> Value:
    """The totals of a power of two of vectors, side by side."""
    together = folded(f, sums)
    step = together.lanes // len(sums)
    return f.shuffle(together, together, range(0, together.lanes, step))
