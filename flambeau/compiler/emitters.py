"""How each family of primitives becomes kernels: reductions, products, convolutions, pooling, copies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.compiler.elementwise import Expression, Unsupported
from flambeau.compiler.lowering import Lowering, Place, Unit, emits
from flambeau.compiler.values import Node
from flambeau.core.shapes import contiguous_strides
from flambeau.kernels.reduce import Reduction
from flambeau.ops.pool import divisors

_REDUCTIONS = {
    "sum": "sum", "mean": "sum", "prod": "prod", "amax": "max", "amin": "min", "any": "any", "all": "all",
}  # fmt: skip


def _real(node: Node) -> None:
    if any(v.dtype.kind == "c" for v in [*node.values, *node.outputs]):
        raise Unsupported("complex numbers")


# Reductions ---------------------------------------------------------------------------------------


@emits("reduce")
def reduction(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Over `dims`, with what was pointwise before it taken in."""
    _real(node)
    (kind,) = node.primitive.lowering.options
    source, out = node.values[0], node.outputs[0]
    dims = node.attributes["dims"]
    dims = tuple(range(len(source.shape))) if dims is None else tuple(dims)
    if not source.size or (kind == "mean" and source.dtype.kind != "f"):
        raise Unsupported("a reduction of nothing")
    expression, result, inputs = lowering.expression(unit, source)
    if kind in ("any", "all"):
        result = expression.truth(result)
    target = lowering.whole(out)
    left = [n for d, n in enumerate(source.shape) if d not in dims]
    flat = target.seen(left, contiguous_strides(left))
    epilogue = None
    results = None
    if not dims:
        raise Unsupported("a reduction over no dimensions")
    if kind == "mean":
        count = math.prod(source.shape[d] for d in dims)
        epilogue = (("reduced", 0), ("constant", 1.0 / count, _wide(out.dtype).name), ("mul", 0, 1))
        results = [2]
    lowering.reduction(
        unit, source.shape, dims, inputs, flat, tuple(expression.nodes), Reduction(_REDUCTIONS[kind], result),
        epilogue, results,
    )  # fmt: skip


def _wide(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def _softmax(lowering: Lowering, unit: Unit, node: Node, logarithm: bool) -> None:
    source, out = node.values[0], node.outputs[0]
    if out.dtype.kind != "f" or out.dtype.itemsize == 2 or not source.size:
        raise Unsupported("softmax of this dtype")
    dim = node.attributes["dim"]
    place = lowering.place(source)
    unit.reads.append(place)
    target = lowering.whole(out)
    left = tuple(n for d, n in enumerate(source.shape) if d != dim)
    top, total = (lowering.temporary(unit, left, out.dtype) for _ in range(2))
    lowering.reduction(
        unit, source.shape, (dim,), [place], top, (("input", 0),), Reduction("max", 0)
    )
    kept = tuple(1 if d == dim else n for d, n in enumerate(source.shape))
    spread = [t.seen(kept, contiguous_strides(kept)).broadcast(source.shape) for t in (top, total)]
    shifted = (("input", 0), ("input", 1), ("sub", 0, 1), ("exp", 2))
    lowering.reduction(
        unit, source.shape, (dim,), [place, spread[0]], total, shifted, Reduction("sum", 3)
    )
    e = Expression()
    x, m, s = (e.input(i, out.dtype) for i in range(3))
    z = e.sub(x, m)
    result = e.sub(z, e.log(s)) if logarithm else e.div(e.exp(z), s)
    lowering.emit_pointwise(unit, target, e, [result], [place, *spread])


@emits("softmax")
def softmax(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Two reductions and a pointwise pass."""
    _softmax(lowering, unit, node, logarithm=False)


@emits("log_softmax")
def log_softmax(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Two reductions and a pointwise pass."""
    _softmax(lowering, unit, node, logarithm=True)


@emits("argreduce")
def position_of_extreme(lowering: Lowering, unit: Unit, node: Node) -> None:
    """`argmax` and `argmin` over one dimension."""
    source, out = node.values[0], node.outputs[0]
    dim = node.attributes["dim"]
    if dim is None or source.dtype.kind == "b" or not source.size:
        raise Unsupported("the position in a whole tensor")
    place = lowering.place(source)
    unit.reads.append(place)
    target = lowering.whole(out)
    left = tuple(n for d, n in enumerate(source.shape) if d != dim)
    flat = target.seen(left, contiguous_strides(left))
    (kind,) = node.primitive.lowering.options
    lowering.reduction(unit, source.shape, (dim,), [place], flat, (("input", 0),), Reduction(kind, 0))


# Copies -------------------------------------------------------------------------------------------


@emits("cat")
def cat(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Each part is copied to its place."""
    _real(node)
    target = lowering.whole(node.outputs[0])
    dim = node.attributes["dim"]
    start = 0
    for value in node.values:
        place = lowering.place(value)
        unit.reads.append(place)
        if value.size:
            lowering.copy(unit, place, target.seen(value.shape, target.strides, start * target.strides[dim]))
        start += value.shape[dim]


@emits("pad")
def pad(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Filled, and the inner part copied."""
    _real(node)
    source = node.values[0]
    place = lowering.place(source)
    unit.reads.append(place)
    target = lowering.whole(node.outputs[0])
    lowering.fill(unit, target, node.attributes["value"])
    if source.size:
        offset = sum(b * s for b, s in zip(node.attributes["before"], target.strides, strict=True))
        lowering.copy(unit, place, target.seen(source.shape, target.strides, offset))


@emits("unslice")
def unslice(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Zeros with the gradient in the slice."""
    _real(node)
    source = node.values[0]
    place = lowering.place(source)
    unit.reads.append(place)
    target = lowering.whole(node.outputs[0])
    lowering.fill(unit, target, 0)
    if source.size:
        a = node.attributes
        offset = sum(b * s for b, s in zip(a["starts"], target.strides, strict=True))
        strides = [t * s for t, s in zip(a["steps"], target.strides, strict=True)]
        lowering.copy(unit, place, target.seen(source.shape, strides, offset))


# Selection by comparison --------------------------------------------------------------------------


def _ramp(lowering: Lowering, size: int, dim: int, shape: Any) -> Place:
    """0, 1, ... along `dim`, broadcast over `shape`."""
    value = lowering.graph.constant(np.arange(size))
    strides = [1 if d == dim else 0 for d in range(len(shape))]
    return Place(value, 0, tuple(shape), tuple(strides), value.dtype)


@emits("gather")
def gather(lowering: Lowering, unit: Unit, node: Node) -> None:
    """One element of each row: the sum of the row with all others set to 0."""
    _real(node)
    source, index = node.values
    dim = node.attributes["dim"]
    if index.shape[dim] != 1 or source.shape[dim] > 4096 or source.dtype.kind not in "f" or (
        [n for d, n in enumerate(index.shape) if d != dim] != [n for d, n in enumerate(source.shape) if d != dim]
    ):
        raise Unsupported("a general gather")
    x, at = lowering.place(source), lowering.place(index)
    unit.reads += [x, at]
    ramp = _ramp(lowering, source.shape[dim], dim, source.shape)
    unit.reads.append(ramp)
    target = lowering.whole(node.outputs[0])
    left = tuple(n for d, n in enumerate(source.shape) if d != dim)
    e = Expression()
    v, i, r = e.input(0, source.dtype), e.input(1, index.dtype), e.input(2, ramp.dtype)
    if index.dtype != ramp.dtype:
        raise Unsupported("indices that are not int64")
    chosen = e.select(e.eq(i, r), v, e.const(0, v))
    lowering.reduction(
        unit, source.shape, (dim,), [x, at.broadcast(source.shape), ramp],
        target.seen(left, contiguous_strides(left)), tuple(e.nodes), Reduction("sum", chosen),
    )  # fmt: skip


@emits("scatter_add")
def scatter_add(lowering: Lowering, unit: Unit, node: Node) -> None:
    """One element of each row is added to."""
    _real(node)
    source, index, added = node.values
    dim = node.attributes["dim"]
    if index.shape[dim] != 1 or added.shape != index.shape or source.shape[dim] > 4096 or (
        [n for d, n in enumerate(index.shape) if d != dim] != [n for d, n in enumerate(source.shape) if d != dim]
    ) or index.dtype != np.int64:
        raise Unsupported("a general scatter")
    places = [lowering.place(v) for v in (source, index, added)]
    ramp = _ramp(lowering, source.shape[dim], dim, source.shape)
    unit.reads += [*places, ramp]
    target = lowering.whole(node.outputs[0])
    e = Expression()
    x, i, a = e.input(0, source.dtype), e.input(1, index.dtype), e.input(2, added.dtype)
    r = e.input(3, ramp.dtype)
    result = e.add(x, e.select(e.eq(i, r), a, e.const(0, a)))
    spread = [p.broadcast(source.shape) for p in places]
    lowering.emit_pointwise(unit, target, e, [result], [*spread, ramp])


# Products -----------------------------------------------------------------------------------------


@emits("matmul")
def matmul(lowering: Lowering, unit: Unit, node: Node) -> None:
    """(*, m, k) x (*, k, n) -> (*, m, n)"""
    a, b = node.values
    out = node.outputs[0]
    if a.dtype.kind != "f" or not out.size or not a.size:
        raise Unsupported("a product of these matrices")
    batch = out.shape[:-2]
    left, right = lowering.place(a), lowering.place(b)
    unit.reads += [left, right]
    target = lowering.whole(out)
    lowering.product(
        unit, left.broadcast((*batch, *a.shape[-2:])), right.broadcast((*batch, *b.shape[-2:])), target, batch
    )


# Convolution --------------------------------------------------------------------------------------


def _padded(
    lowering: Lowering, unit: Unit, x: Place, before: Any, after: Any, dilation: Any, number: float = 0.0
) -> Place:
    """`x` (N, C, *in) with `dilation - 1` fillers between its elements and more around them."""
    sizes = [
        a + (n - 1) * d + 1 + b for n, a, b, d in zip(x.shape[2:], before, after, dilation, strict=True)
    ]
    if tuple(sizes) == x.shape[2:] and not any(before):
        return x
    out = lowering.temporary(unit, (*x.shape[:2], *sizes), x.dtype)
    lowering.fill(unit, out, number)
    offset = sum(a * s for a, s in zip(before, out.strides[2:], strict=True))
    strides = (*out.strides[:2], *(d * s for d, s in zip(dilation, out.strides[2:], strict=True)))
    lowering.copy(unit, x, out.seen(x.shape, strides, offset))
    return out


def _windows(x: Place, places: Any, kernel: Any, stride: Any, dilation: Any) -> Place:
    """Every window of `x` (N, C, *in): (N, C, *places, *kernel)."""
    strides = (
        *x.strides[:2],
        *(t * s for t, s in zip(stride, x.strides[2:], strict=True)),
        *(d * s for d, s in zip(dilation, x.strides[2:], strict=True)),
    )
    return x.seen((*x.shape[:2], *places, *kernel), strides)


def _by_offset(windows: Place, rank: int) -> Place:
    """(N, C, *places, *kernel) as (N, C, *kernel, *places): reduced so, lanes run along rows."""
    return _moved(windows, (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank)))


def _moved(x: Place, order: Any) -> Place:
    return x.seen([x.shape[i] for i in order], [x.strides[i] for i in order])


def _channels(x: Place, start: int, count: int, dim: int = 1) -> Place:
    shape = list(x.shape)
    shape[dim] = count
    return x.seen(shape, x.strides, start * x.strides[dim])


def _convolve(
    lowering: Lowering, unit: Unit, x: Place, w: Place, out: Place, stride: Any, dilation: Any
) -> None:
    """Without padding and groups: patches side by side, times the kernels as rows."""
    rank = len(x.shape) - 2
    n, channels = x.shape[:2]
    kernel, places = w.shape[2:], out.shape[2:]
    windows = _windows(x, places, kernel, stride, dilation)
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    patches = _moved(windows, order)  # (N, C, *kernel, *places)
    columns = lowering.temporary(unit, patches.shape, x.dtype)
    lowering.copy(unit, patches, columns)
    depth, area = channels * math.prod(kernel), math.prod(places)
    rows = lowering.temporary(unit, (w.shape[0], depth), w.dtype)
    lowering.copy(unit, w, rows.seen(w.shape, contiguous_strides(w.shape)))
    b = columns.seen((n, depth, area), (depth * area, area, 1))
    a = rows.seen((n, *rows.shape), (0, *rows.strides))
    c = out.seen((n, w.shape[0], area), (out.strides[0], out.strides[1], 1))
    lowering.product(unit, a, b, c, (n,))


def _convolution_forward(lowering: Lowering, unit: Unit, node: Node) -> None:
    x, w = (lowering.place(v) for v in node.values)
    unit.reads += [x, w]
    a = node.attributes
    out = lowering.whole(node.outputs[0])
    x = _padded(lowering, unit, x, a["padding"], a["padding"], (1,) * len(a["stride"]))
    groups = a["groups"]
    each, per_group = w.shape[1], w.shape[0] // groups
    for g in range(groups):
        _convolve(
            lowering, unit, _channels(x, g * each, each), _channels(w, g * per_group, per_group, 0),
            _channels(out, g * per_group, per_group), a["stride"], a["dilation"],
        )  # fmt: skip


def _convolution_input(lowering: Lowering, unit: Unit, node: Node) -> None:
    """A convolution of the gradient, spread by the stride, with the kernels turned round."""
    g, w = (lowering.place(v) for v in node.values)
    unit.reads += [g, w]
    a = node.attributes
    out = lowering.whole(node.outputs[0])
    kernel = w.shape[2:]
    spans = [d * (k - 1) for d, k in zip(a["dilation"], kernel, strict=True)]
    before = [s - p for s, p in zip(spans, a["padding"], strict=True)]
    after = [
        n - ((o - 1) * t + 1) + p
        for n, o, t, p in zip(a["size"], g.shape[2:], a["stride"], a["padding"], strict=True)
    ]
    if any(b < 0 for b in (*before, *after)):
        raise Unsupported("a convolution padded by more than its kernel")
    spread = _padded(lowering, unit, g, before, after, a["stride"])
    groups = a["groups"]
    each, per_group = w.shape[1], w.shape[0] // groups
    for i in range(groups):
        part = _channels(w, i * per_group, per_group, 0)
        turned = part.seen(
            (each, per_group, *kernel),
            (part.strides[1], part.strides[0], *(-s for s in part.strides[2:])),
            sum((k - 1) * s for k, s in zip(kernel, part.strides[2:], strict=True)),
        )
        _convolve(
            lowering, unit, _channels(spread, i * per_group, per_group), turned, _channels(out, i * each, each),
            (1,) * len(kernel), a["dilation"],
        )  # fmt: skip


def _convolution_weight(lowering: Lowering, unit: Unit, node: Node) -> None:
    """The gradient's rows times the patches, over all samples and places."""
    g, x = (lowering.place(v) for v in node.values)
    unit.reads += [g, x]
    a = node.attributes
    out = lowering.whole(node.outputs[0])
    rank = len(x.shape) - 2
    kernel, places = a["kernel"], g.shape[2:]
    x = _padded(lowering, unit, x, a["padding"], a["padding"], (1,) * rank)
    groups = a["groups"]
    each, per_group = x.shape[1] // groups, g.shape[1] // groups
    n, area = g.shape[0], math.prod(places)
    for i in range(groups):
        windows = _windows(_channels(x, i * each, each), places, kernel, a["stride"], a["dilation"])
        patches = _moved(windows, (1, *range(2 + rank, 2 + 2 * rank), 0, *range(2, 2 + rank)))
        columns = lowering.temporary(unit, patches.shape, x.dtype)
        lowering.copy(unit, patches, columns)
        part = _moved(_channels(g, i * per_group, per_group), (1, 0, *range(2, 2 + rank)))
        rows = lowering.temporary(unit, part.shape, g.dtype)
        lowering.copy(unit, part, rows)
        depth = each * math.prod(kernel)
        lowering.product(
            unit,
            rows.seen((per_group, n * area), (n * area, 1)),
            columns.seen((n * area, depth), (1, n * area)),
            _channels(out, i * per_group, per_group, 0).seen((per_group, depth), (depth, 1)),
        )


@emits("convolution")
def convolution(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Forward, or the gradient of the input or the weight."""
    if node.outputs[0].dtype.kind != "f" or node.outputs[0].dtype.itemsize == 2:
        raise Unsupported("a convolution of this dtype")
    if not node.outputs[0].size or not all(v.size for v in node.values):
        raise Unsupported("an empty convolution")
    (which,) = node.primitive.lowering.options
    {"forward": _convolution_forward, "input": _convolution_input, "weight": _convolution_weight}[which](
        lowering, unit, node
    )


# Pooling ------------------------------------------------------------------------------------------


#: Windows of up to so many elements are added in registers, one input an element.
MOST_ADDED = 16


def _offsets(windows: Place, rank: int) -> list[Place]:
    """(N, C, *kernel, *places): for each element of the kernel, what it meets."""
    kernel, inner = windows.shape[2 : 2 + rank], windows.strides[2 : 2 + rank]
    shape = (*windows.shape[:2], *windows.shape[2 + rank :])
    strides = (*windows.strides[:2], *windows.strides[2 + rank :])
    return [
        windows.seen(shape, strides, sum(i * s for i, s in zip(at, inner, strict=True)))
        for at in np.ndindex(*kernel)
    ]


def _added(e: Expression, windows: Place, rank: int) -> int:
    """The sum of one element of each of `_offsets`."""
    total = e.input(0, windows.dtype)
    for i in range(1, math.prod(windows.shape[2 : 2 + rank])):
        total = e.add(total, e.input(i, windows.dtype))
    return total


def _planes(x: Place, rank: int) -> Place:
    """(*, *in) as (1 or N, C, *in): the last `rank` dimensions are the planes'."""
    lead = x.shape[:-rank]
    if len(lead) == 2:
        return x
    if len(lead) == 1:
        return x.seen((1, *x.shape), (0, *x.strides))
    raise Unsupported("pooling over this many dimensions")


def _after(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, places: Any) -> list[int]:
    return [
        max((o - 1) * t + d * (k - 1) + 1 - n - p, 0)
        for n, k, t, p, d, o in zip(size, kernel, stride, padding, dilation, places, strict=True)
    ]


def _shares(lowering: Lowering, size: Any, places: Any, a: dict[str, Any], dtype: np.dtype, lead: int) -> Place:
    """1 / the divisor of each window, broadcast over the leading dimensions."""
    by = divisors(size, a["kernel"], a["stride"], a["padding"], places, a["count_include_pad"], a["override"])
    value = lowering.graph.constant((1 / by).astype(dtype))
    strides = (*(0,) * lead, *contiguous_strides(value.shape))
    return Place(value, 0, (1,) * lead + value.shape, strides, value.dtype)


def _average(lowering: Lowering, unit: Unit, node: Node) -> None:
    a = node.attributes
    rank = len(a["kernel"])
    x = _planes(lowering.place(node.values[0]), rank)
    unit.reads.append(x)
    out = _planes(lowering.whole(node.outputs[0]), rank)
    once = (1,) * rank
    places = a["places"]
    after = _after(x.shape[2:], a["kernel"], a["stride"], a["padding"], once, places)
    shares = _shares(lowering, x.shape[2:], places, a, x.dtype, 2)
    x = _padded(lowering, unit, x, a["padding"], after, once)
    windows = _by_offset(_windows(x, places, a["kernel"], a["stride"], once), rank)
    unit.reads.append(shares)
    if math.prod(a["kernel"]) <= MOST_ADDED:
        e = Expression()
        total = _added(e, windows, rank)
        result = e.mul(total, e.input(math.prod(a["kernel"]), x.dtype))
        parts = _offsets(windows, rank)
        lowering.emit_pointwise(unit, out, e, [result], [*parts, shares.broadcast(out.shape)])
        return
    lowering.reduction(
        unit, windows.shape, tuple(range(2, 2 + rank)), [windows], out,
        (("input", 0),), Reduction("sum", 0), (("reduced", 0), ("input", 0), ("mul", 0, 1)), [2],
        [shares.broadcast(out.shape)],
    )  # fmt: skip


def _average_backward(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Each element gathers the shares of the windows that it was in."""
    a = node.attributes
    rank = len(a["kernel"])
    g = _planes(lowering.place(node.values[0]), rank)
    unit.reads.append(g)
    out = _planes(lowering.whole(node.outputs[0]), rank)
    places = g.shape[2:]
    shares = _shares(lowering, a["size"], places, a, g.dtype, 2)
    unit.reads.append(shares)
    scaled = lowering.temporary(unit, g.shape, g.dtype)
    e = Expression()
    result = e.mul(e.input(0, g.dtype), e.input(1, g.dtype))
    lowering.emit_pointwise(unit, scaled, e, [result], [g, shares.broadcast(g.shape)])
    windows = _covering(lowering, unit, scaled, a["size"], a["kernel"], a["stride"], a["padding"], (1,) * rank)
    windows = _by_offset(windows, rank)
    if math.prod(a["kernel"]) <= MOST_ADDED:
        e = Expression()
        lowering.emit_pointwise(unit, out, e, [_added(e, windows, rank)], _offsets(windows, rank))
        return
    lowering.reduction(
        unit, windows.shape, tuple(range(2, 2 + rank)), [windows], out,
        (("input", 0),), Reduction("sum", 0),
    )  # fmt: skip


def _covering(
    lowering: Lowering, unit: Unit, g: Place, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any,
    number: float = 0,
) -> Place:  # fmt: skip
    """For each element of the input, what the windows that cover it hold: (N, C, *size, *kernel)."""
    before = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    after = [
        n - ((o - 1) * t + 1) + p for n, o, t, p in zip(size, g.shape[2:], stride, padding, strict=True)
    ]
    if any(b < 0 for b in before):
        raise Unsupported("a pool padded by more than its window")
    spread = _padded(lowering, unit, g, before, [max(b, 0) for b in after], stride, number)
    return _windows(spread, size, kernel, (1,) * len(kernel), dilation)


def _maximum(lowering: Lowering, unit: Unit, node: Node) -> None:
    """The largest of each window, then the first place in the plane at which it stands."""
    a = node.attributes
    rank = len(a["kernel"])
    source = node.values[0]
    if source.dtype.kind != "f" or source.dtype.itemsize == 2:
        raise Unsupported("max pooling of this dtype")
    x = _planes(lowering.place(source), rank)
    unit.reads.append(x)
    values, indices = (_planes(lowering.whole(v), rank) for v in node.outputs)
    size, kernel, places = x.shape[2:], a["kernel"], a["places"]
    after = _after(size, kernel, a["stride"], a["padding"], a["dilation"], places)
    x = _padded(lowering, unit, x, a["padding"], after, (1,) * rank, -math.inf)
    windows = _by_offset(_windows(x, places, kernel, a["stride"], a["dilation"]), rank)
    axes = tuple(range(2, 2 + rank))
    if math.prod(kernel) <= MOST_ADDED:
        return _maximum_in_registers(lowering, unit, node, windows, values, indices)
    lowering.reduction(unit, windows.shape, axes, [windows], values, (("input", 0),), Reduction("max", 0))
    # Where each element of a window stands in the plane; outside of it, last.
    at = np.zeros((*places, *kernel), np.int64)
    outside = np.zeros(at.shape, bool)
    for axis in range(rank):
        shape = [1] * (2 * rank)
        shape[axis] = places[axis]
        start = (np.arange(places[axis]) * a["stride"][axis] - a["padding"][axis]).reshape(shape)
        shape = [1] * (2 * rank)
        shape[rank + axis] = kernel[axis]
        here = start + (np.arange(kernel[axis]) * a["dilation"][axis]).reshape(shape)
        outside |= (here < 0) | (here >= size[axis])
        at = at * size[axis] + here
    last = math.prod(size)
    kernel_first = (*range(rank, 2 * rank), *range(rank))
    where = lowering.graph.constant(np.where(outside, last, at).transpose(kernel_first))
    ramp = Place(where, 0, windows.shape, (0, 0, *contiguous_strides(where.shape)), where.dtype)
    unit.reads.append(ramp)
    best = values.seen(
        (*values.shape[:2], *(1,) * rank, *values.shape[2:]),
        (*values.strides[:2], *(0,) * rank, *values.strides[2:]),
    ).broadcast(windows.shape)
    e = Expression()
    v, b, r = e.input(0, x.dtype), e.input(1, x.dtype), e.input(2, where.dtype)
    hit = e.logical_or(e.eq(v, b), e.is_nan(v))
    found = e.select(hit, r, e.const(last, r))
    lowering.reduction(unit, windows.shape, axes, [windows, best, ramp], indices, tuple(e.nodes), Reduction("min", found))


def _maximum_in_registers(
    lowering: Lowering, unit: Unit, node: Node, windows: Place, values: Place, indices: Place
) -> None:
    """Value and position of the maximum of small windows, element after element."""
    a = node.attributes
    rank = len(a["kernel"])
    size, places = node.values[0].shape[-rank:], a["places"]
    corner = np.zeros(places, np.int64)
    for axis in range(rank):
        shape = [1] * rank
        shape[axis] = -1
        corner = corner * size[axis] + (np.arange(places[axis]) * a["stride"][axis] - a["padding"][axis]).reshape(shape)
    first = lowering.graph.constant(corner)
    ramp = Place(first, 0, values.shape, (0, 0, *contiguous_strides(first.shape)), first.dtype)
    unit.reads.append(ramp)
    e = Expression()
    best, at = -1, -1
    for i, offset in enumerate(np.ndindex(*a["kernel"])):
        x = e.input(i, windows.dtype)
        step = 0
        for axis in range(rank):
            step = step * size[axis] + offset[axis] * a["dilation"][axis]
        here = e.constant(step, first.dtype)
        if i == 0:
            best, at = x, here
            continue
        wins = e.logical_and(e.logical_or(e.gt(x, best), e.is_nan(x)), e.logical_not(e.is_nan(best)))
        best, at = e.select(wins, x, best), e.select(wins, here, at)
    corner_at = e.input(math.prod(a["kernel"]), first.dtype)
    kernel_inputs = [*_offsets(windows, rank), ramp]
    lowering.emit_pair(unit, [values, indices], e, [best, e.add(corner_at, at)], kernel_inputs)


def _maximum_backward(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Each element gathers the gradients of the windows whose maximum it is.

    The windows are those of the pool that made the positions; without it in the graph they are unknown.
    """
    origin = node.values[1].node
    if origin is None or origin.primitive.name != "max_pool":
        raise Unsupported("the pool that made the positions is not in this program")
    a = origin.attributes
    rank = len(a["kernel"])
    if math.prod(a["kernel"]) > MOST_ADDED or any(d != 1 for d in a["dilation"]):
        raise Unsupported("a pool of large windows")
    g, at = (_planes(lowering.place(v), rank) for v in node.values)
    unit.reads += [g, at]
    size = node.attributes["size"]
    out = _planes(lowering.whole(node.outputs[0]), rank)
    spread = [
        _by_offset(_covering(lowering, unit, x, size, a["kernel"], a["stride"], a["padding"], (1,) * rank, n), rank)
        for x, n in ((g, 0), (at, -1))
    ]
    mine = lowering.graph.constant(np.arange(math.prod(size)).reshape(size))
    ramp = Place(mine, 0, out.shape, (0, 0, *contiguous_strides(mine.shape)), mine.dtype)
    unit.reads.append(ramp)
    count = math.prod(a["kernel"])
    e = Expression()
    own = e.input(2 * count, mine.dtype)
    total = -1
    for i in range(count):
        grad = e.input(i, g.dtype)
        share = e.select(e.eq(e.input(count + i, at.dtype), own), grad, e.const(0, grad))
        total = share if i == 0 else e.add(total, share)
    parts = [p for windows in spread for p in _offsets(windows, rank)]
    lowering.emit_pointwise(unit, out, e, [total], [*parts, ramp])


@emits("pool")
def pool(lowering: Lowering, unit: Unit, node: Node) -> None:
    """Average and maximum, forward and backward."""
    _real(node)
    if not all(v.size for v in [*node.values, *node.outputs]):
        raise Unsupported("an empty pool")
    (which,) = node.primitive.lowering.options
    {
        "average": _average, "average_backward": _average_backward, "max": _maximum,
        "max_backward": _maximum_backward,
    }[which](lowering, unit, node)  # fmt: skip
