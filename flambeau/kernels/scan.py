"""Running sums and products along a dimension. Numbers of f32 are joined in f64, as PyTorch does: a long sum keeps its digits.

Where neighbours in memory are added up, a vector gets its own running sums first, in as many steps as its lanes have
bits, each adding what stands one, two, four lanes before; then the sum of all before it. Elsewhere lanes are neighbours
that have nothing to do with each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau.kernels.element import F64, Element
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer, Value


def emit(module: Module, name: str, shape: Sequence[int], dim: int, element: Element, product: bool = False) -> Kernel:
    """A kernel for arrays that lie in order. Buffers: x, out."""
    outer, count, inner = math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])
    work = outer * count * inner
    wide = F64 if element.is_float else element
    lanes = module.target.lanes(wide.bytes)
    buffers = (Buffer("x", element, work), Buffer("out", element, work, once=True))
    blocks = 1 if inner == 1 else -(-inner // lanes)
    f, (x, out), _, _, begin, end = stage_function(module, name, buffers)
    with f.range(begin, end) as task:
        start = (task // blocks) * (count * inner)
        if inner == 1:
            _along(f, x + start, out + start, count, wide, lanes, product)
        else:
            _across(f, x + start, out + start, task % blocks, count, inner, wide, lanes, product)
    stage = Stage(name, outer * blocks, work >= WORTH_A_THREAD)
    return Kernel(name, buffers, (stage,), flops=work, traffic=2 * work * element.bytes)


def _joined(a: Value, b: Value, product: bool) -> Value:
    return a * b if product else a + b


def _along(f: Function, x: Pointer, out: Pointer, count: int, wide: Element, lanes: int, product: bool) -> None:
    """One row of neighbours."""

    def vector(at: Offset, before: Value, active: int) -> Value:
        mask = Mask(active, lanes) if active < lanes else None
        sums = f.convert((x + at).load(lanes, mask=mask), wide)
        nothing, step = f.constant(int(product), wide, lanes), 1
        while step < lanes:
            earlier = f.shuffle(nothing, sums, [i if i < step else lanes + i - step for i in range(lanes)])
            sums, step = _joined(sums, earlier, product), 2 * step
        sums = _joined(sums, before, product)
        f.convert(sums, out.element).store(out + at, mask=mask)
        return f.shuffle(sums, sums, [lanes - 1] * lanes)

    full, rest = divmod(count, lanes)
    before = f.constant(int(product), wide, lanes)
    if full:
        with f.loop(0, full, carry=[before]) as loop:
            loop.next([vector(loop.index * lanes, loop.values[0], lanes)])
        (before,) = loop.results
    if rest:
        vector(full * lanes, before, rest)


def _across(
    f: Function, x: Pointer, out: Pointer, block: Offset, count: int, inner: int, wide: Element, lanes: int, product: bool
) -> None:
    """A block of columns, each joined in a lane."""

    def columns(active: int) -> None:
        mask, first = Mask(active, lanes) if active < lanes else None, block * lanes
        with f.loop(0, count, carry=[f.constant(int(product), wide, lanes)]) as loop:
            here = loop.index * inner + first
            sums = _joined(loop.values[0], f.convert((x + here).load(lanes, mask=mask), wide), product)
            f.convert(sums, out.element).store(out + here, mask=mask)
            loop.next([sums])

    full, rest = divmod(inner, lanes)
    for condition, active in ((f.position(block) < full, lanes), (f.position(block).eq(full), rest)):
        if active and (full or active == rest):
            with f.when(condition):
                columns(active)
