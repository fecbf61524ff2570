"""Convolutions and pools as kernels: what families of primitives become.

An emitter gets a node and a `Work`: it asks where inputs and outputs lie, takes temporary memory, and
adds kernels in order. It raises `NotImplementedError` for what it cannot do; the host computes that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from flambeau.compiler.backends import space
from flambeau.compiler.backends.expressions import Builder, Element
from flambeau.compiler.backends.place import Place
from flambeau.compiler.graph import Graph, Node
from flambeau.compiler.schedule import Lanes
from flambeau.kernels import conv
from flambeau.kernels import pool as pools
from flambeau.kernels.conv_axis import Convolution
from flambeau.kernels.element import element_of
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.pool import Pooling
from flambeau.ops.pool import divisors

if TYPE_CHECKING:
    from flambeau.compiler.backends.work import Work

#: For each kernel family that primitives name, what emits it.
EMITTERS: dict[str, Callable[[Work, Node], None]] = {}


def emits(family: str) -> Callable[[Callable], Callable]:
    """Registers the emitter of a family."""

    def register(emitter: Callable[[Work, Node], None]) -> Callable:
        EMITTERS[family] = emitter
        return emitter

    return register


# Convolution --------------------------------------------------------------------------------------


def _padded(
    work: Work, x: Place, before: Any, after: Any, dilation: Any, number: float = 0.0
) -> Place:
    """`x` (N, C, *in) with `dilation - 1` fillers between its elements and more around them."""
    sizes = [
        a + (n - 1) * d + 1 + b
        for n, a, b, d in zip(x.shape[2:], before, after, dilation, strict=True)
    ]
    if tuple(sizes) == x.shape[2:] and not any(before):
        return x
    out = work.temporary((*x.shape[:2], *sizes), x.dtype, like=x)
    work.fill(out, number)
    offset = sum(a * s for a, s in zip(before, out.strides[2:], strict=True))
    strides = (
        *out.strides[:2],
        *(d * s for d, s in zip(dilation, out.strides[2:], strict=True)),
    )
    work.copy(x, out.seen(x.shape, strides, offset))
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
    return windows.moved((0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank)))


@emits("convolution")
def convolution(work: Work, node: Node) -> None:
    """Forward, or the gradient of the input or the weight."""
    if node.outputs[0].dtype.kind != "f" or node.outputs[0].dtype.itemsize == 2:
        raise NotImplementedError("a convolution of this dtype")
    if not node.outputs[0].size or not all(v.size for v in node.values):
        raise NotImplementedError("an empty convolution")
    (which,) = node.primitive.lowering.options
    if len(node.values[0].shape) == 4:
        shape = _shape_of(node, which)
        _CONVOLUTIONS[which](work, node, _is_for_lanes(work, node, shape), shape)
        return
    space.convolution(work, node, which)


# Convolution in two dimensions: the kernels' own ------------------------------------------------------------

#: Beyond so many channels, blocks of channels would fill the lanes better.
_MOST_CHANNELS = 256


def _is_for_lanes(work: Work, node: Node, shape: Convolution) -> bool:
    """Whether samples fill the lanes: at least a vector of them, few left over; and no algorithm
    on planes needs fewer operations."""
    dtype = node.values[0].dtype
    lanes = work.lanes * 4 // dtype.itemsize
    filled = shape.batch / (-(-shape.batch // lanes) * lanes)
    channels = max(shape.in_channels, shape.out_channels)
    if work.schedule.lanes is not Lanes.COST:
        return work.schedule.lanes is Lanes.SAMPLES and shape.batch >= lanes
    if shape.batch < lanes or filled < 0.65 or channels > _MOST_CHANNELS:
        return False
    return not _prefer_planes(work.graph, lanes)


#: From which share of a program's convolutions on, by operations, that planes are better for, all are done on
#: planes: on the way to others their results would be turned again and again.
_SHARE_ON_PLANES = 0.1
_on_planes: WeakKeyDictionary[Graph, bool] = WeakKeyDictionary()


def _prefer_planes(graph: Graph, lanes: int) -> bool:
    """Whether the convolutions of a program should all be done on planes."""
    if graph not in _on_planes:
        total = better = 0
        for node in graph.nodes:
            which = {"convolution": "forward", "convolution_input": "input", "convolution_weight": "weight"}.get(
                node.primitive.name, ""
            )
            if which and len(node.values[0].shape) == 4 and node.values[0].dtype.kind == "f":
                shape, element = _shape_of(node, which), element_of(node.values[0].dtype.name)
                total += shape.flops
                wide = max(shape.in_channels, shape.out_channels) > _MOST_CHANNELS
                if wide or conv.prefers_planes(shape, element, lanes):
                    better += shape.flops
        _on_planes[graph] = better > _SHARE_ON_PLANES * total
    return _on_planes[graph]


def _shape_of(node: Node, which: str) -> Convolution:
    """The forward convolution of which this is one of the three parts."""
    first, second = node.values
    x, w = {
        "forward": (first, second), "input": (node.outputs[0], second),
        "weight": (second, node.outputs[0]),
    }[which]  # fmt: skip
    a = node.attributes
    return Convolution(
        x.shape[0], x.shape[1], w.shape[0], x.shape[2:], w.shape[2:], a["stride"], a["padding"],
        a["dilation"], a["groups"],
    )  # fmt: skip


def _operands(work: Work, node: Node, in_lanes: bool) -> list[Place]:
    """The inputs, activations with samples side by side or else with rows in order."""
    turn = work.in_lanes if in_lanes else work.in_order
    weight_is_second = node.primitive.name != "convolution_weight"
    first, second = map(work.place, node.values)
    return [turn(first), second if weight_is_second else turn(second)]


def _forward(work: Work, node: Node, in_lanes: bool, shape: Convolution) -> None:
    _sum(work, node, in_lanes, shape, conv.emit_forward)


def _input_gradient(work: Work, node: Node, in_lanes: bool, shape: Convolution) -> None:
    _sum(work, node, in_lanes, shape, conv.emit_input_gradient)


def _sum(work: Work, node: Node, in_lanes: bool, shape: Convolution, emit: Callable) -> None:
    """A convolution and the pointwise expression that finishes its elements."""
    inputs = _operands(work, node, in_lanes)
    end = work.epilogue()
    extras = [work.in_lanes(e) if in_lanes and e.strides[0] > 1 else e for e in end.extras]
    outputs = [work.lay_out(v) if in_lanes else work.place(v) for v in work.results]
    nodes, results, count = tuple(end.nodes), tuple(end.results), len(extras)

    def write(module: Module, name: str, o: list[Operand]) -> Kernel:
        return emit(
            module, name, shape, o[0], o[1], o[2 + count :], nodes, results, o[2 : 2 + count],
            exact=not work.schedule.winograd,
        )  # fmt: skip

    key = (node.primitive.name, shape, nodes, results, count)
    work.native(key, [*inputs, *extras, *outputs], write)


def _weight_gradient(work: Work, node: Node, in_lanes: bool, shape: Convolution) -> None:
    out = node.outputs[0]
    gradient, source = _operands(work, node, in_lanes)
    work.native(
        ("convolution_weight", shape), [source, gradient, work.place(out)],
        lambda module, name, o: conv.emit_weight_gradient(
            module, name, shape, o[0], o[1], o[2], exact=not work.schedule.winograd
        ),
    )  # fmt: skip


_CONVOLUTIONS = {"forward": _forward, "input": _input_gradient, "weight": _weight_gradient}


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


def _added(e: Builder, windows: Place, rank: int) -> Element:
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
    raise NotImplementedError("pooling over this many dimensions")


def _after(
    size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, places: Any
) -> list[int]:
    return [
        max((o - 1) * t + d * (k - 1) + 1 - n - p, 0)
        for n, k, t, p, d, o in zip(
            size, kernel, stride, padding, dilation, places, strict=True
        )
    ]


def _shares(
    work: Work, size: Any, places: Any, a: dict[str, Any], dtype: np.dtype, lead: int
) -> Place:
    """1 / the divisor of each window, broadcast over the leading dimensions."""
    by = divisors(
        size,
        a["kernel"],
        a["stride"],
        a["padding"],
        places,
        a["count_include_pad"],
        a["override"],
    )
    return work.constant((1 / by).astype(dtype).reshape((1,) * lead + by.shape))


def _average(work: Work, node: Node) -> None:
    a = node.attributes
    rank = len(a["kernel"])
    x = _planes(work.place(node.values[0]), rank)
    out = _planes(work.lay_out(node.outputs[0], like=x), rank)
    once = (1,) * rank
    places = a["places"]
    after = _after(x.shape[2:], a["kernel"], a["stride"], a["padding"], once, places)
    shares = _shares(work, x.shape[2:], places, a, x.dtype, 2)
    x = _padded(work, x, a["padding"], after, once)
    windows = _by_offset(_windows(x, places, a["kernel"], a["stride"], once), rank)
    if math.prod(a["kernel"]) <= MOST_ADDED:
        e = Builder()
        total = _added(e, windows, rank)
        result = e.mul(total, e.input(math.prod(a["kernel"]), x.dtype))
        parts = _offsets(windows, rank)
        work.pointwise([out], e, [result], [*parts, shares])
        return
    total = work.temporary(out.shape, x.dtype)
    e = Builder()
    work.reduction(tuple(range(2, 2 + rank)), [windows], total, e, "sum", e.input(0, x.dtype))
    e = Builder()
    result = e.mul(e.input(0, x.dtype), e.input(1, x.dtype))
    work.pointwise([out], e, [result], [total, shares])  # type: ignore[list-item]


def _average_backward(work: Work, node: Node) -> None:
    """Each element gathers the shares of the windows that it was in."""
    a = node.attributes
    rank = len(a["kernel"])
    g = _planes(work.place(node.values[0]), rank)
    out = _planes(work.lay_out(node.outputs[0], like=g), rank)
    places = g.shape[2:]
    shares = _shares(work, a["size"], places, a, g.dtype, 2)
    if _apart(a["kernel"], a["stride"], a["padding"]):
        for target, (share, by) in _windows_apart(out, [g, shares], a["kernel"]):
            e = Builder()
            result = e.mul(e.input(0, g.dtype), e.input(1, g.dtype))
            work.pointwise([target], e, [result], [share, by])
        _clear_rest(work, out, places, a["kernel"])
        return
    scaled = work.temporary(g.shape, g.dtype)
    e = Builder()
    result = e.mul(e.input(0, g.dtype), e.input(1, g.dtype))
    work.pointwise([scaled], e, [result], [g, shares])
    windows = _covering(
        work, scaled, a["size"], a["kernel"], a["stride"], a["padding"], (1,) * rank
    )
    windows = _by_offset(windows, rank)
    if math.prod(a["kernel"]) <= MOST_ADDED:
        e = Builder()
        work.pointwise([out], e, [_added(e, windows, rank)], _offsets(windows, rank))
        return
    e = Builder()
    work.reduction(tuple(range(2, 2 + rank)), [windows], out, e, "sum", e.input(0, g.dtype))


def _apart(kernel: Any, stride: Any, padding: Any) -> bool:
    """Whether windows neither overlap nor leave gaps."""
    return tuple(kernel) == tuple(stride) and not any(padding)


def _pieces(size: int, count: int, kernel: int) -> list[tuple[int, int, int]]:
    """(first window, windows, elements of each): whole windows, then a last one that is cut."""
    full = min(size // kernel, count)
    found = [(0, full, kernel)] if full else []
    if count > full and size > full * kernel:
        found.append((full, 1, size - full * kernel))
    return found


def _windows_apart_with(
    out: Place, coarse: list[Place], fine: list[Place], kernel: Any
) -> Iterator[tuple[Place, list[Place], list[Place]]]:
    """For windows side by side: parts of `out` as (N, C, windows, inside, windows, inside, ...).

    Beside each part, `coarse` operands (one element a window) spread over the inside, and `fine` ones
    (one element an element) cut alike.
    """
    rank = len(kernel)
    places = coarse[0].shape[2:]
    axes = [_pieces(n, c, k) for n, c, k in zip(out.shape[2:], places, kernel, strict=True)]
    for piece in itertools.product(*axes):
        shape = list(out.shape[:2])
        for _, count, inside in piece:
            shape += [count, inside]

        def cut(p: Place, whole_windows: bool, piece: Any = piece, shape: Any = shape) -> Place:
            strides, offset = (
                [0 if n == 1 else s for n, s in zip(p.shape[:2], p.strides[:2], strict=True)],
                0,
            )
            for axis in range(rank):
                step, k = p.strides[2 + axis], kernel[axis]
                strides += [step, 0] if whole_windows else [k * step, step]
                offset += piece[axis][0] * step * (1 if whole_windows else k)
            return p.seen(shape, strides, offset)

        yield cut(out, False), [cut(p, True) for p in coarse], [cut(p, False) for p in fine]


def _windows_apart(
    out: Place, coarse: list[Place], kernel: Any
) -> Iterator[tuple[Place, list[Place]]]:
    for target, spread, _ in _windows_apart_with(out, coarse, [], kernel):
        yield target, spread


def _clear_rest(work: Work, out: Place, places: Any, kernel: Any) -> None:
    """Zero for the elements that no window reaches."""
    for axis, (n, count, k) in enumerate(zip(out.shape[2:], places, kernel, strict=True)):
        if count * k < n:
            work.fill(out.part(2 + axis, count * k, n - count * k), 0)


def _covering(
    work: Work, g: Place, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any,
    number: float = 0,
) -> Place:  # fmt: skip
    """For each element of the input, what the windows that cover it hold: (N, C, *size, *kernel)."""
    before = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    after = [
        n - ((o - 1) * t + 1) + p
        for n, o, t, p in zip(size, g.shape[2:], stride, padding, strict=True)
    ]
    if any(b < 0 for b in before):
        raise NotImplementedError("a pool padded by more than its window")
    spread = _padded(work, g, before, [max(b, 0) for b in after], stride, number)
    return _windows(spread, size, kernel, (1,) * len(kernel), dilation)


def _maximum(work: Work, node: Node) -> None:
    """The largest of each window, then the first place in the plane at which it stands."""
    a = node.attributes
    rank = len(a["kernel"])
    source = node.values[0]
    if source.dtype.kind != "f" or source.dtype.itemsize == 2:
        raise NotImplementedError("max pooling of this dtype")
    x = _planes(work.place(source), rank)
    values, indices = (_planes(work.lay_out(v, like=x), rank) for v in node.outputs)
    size, kernel, places = x.shape[2:], a["kernel"], a["places"]
    after = _after(size, kernel, a["stride"], a["padding"], a["dilation"], places)
    x = _padded(work, x, a["padding"], after, (1,) * rank, -math.inf)
    windows = _by_offset(_windows(x, places, kernel, a["stride"], a["dilation"]), rank)
    axes = tuple(range(2, 2 + rank))
    if math.prod(kernel) <= MOST_ADDED:
        return _maximum_in_registers(work, node, windows, values, indices)
    e = Builder()
    work.reduction(axes, [windows], values, e, "max", e.input(0, x.dtype))
    # Where each element of a window stands in the plane; outside of it, last.
    at = np.zeros((*places, *kernel), np.int64)
    outside = np.zeros(at.shape, bool)
    for axis in range(rank):
        shape = [1] * (2 * rank)
        shape[axis] = places[axis]
        start = (np.arange(places[axis]) * a["stride"][axis] - a["padding"][axis]).reshape(
            shape
        )
        shape = [1] * (2 * rank)
        shape[rank + axis] = kernel[axis]
        here = start + (np.arange(kernel[axis]) * a["dilation"][axis]).reshape(shape)
        outside |= (here < 0) | (here >= size[axis])
        at = at * size[axis] + here
    last = math.prod(size)
    kernel_first = (*range(rank, 2 * rank), *range(rank))
    where = work.constant(np.where(outside, last, at).transpose(kernel_first)[None, None])
    ramp = where.broadcast(windows.shape)
    best = values.seen(
        (*values.shape[:2], *(1,) * rank, *values.shape[2:]),
        (*values.strides[:2], *(0,) * rank, *values.strides[2:]),
    ).broadcast(windows.shape)
    e = Builder()
    v, b, r = e.input(0, x.dtype), e.input(1, x.dtype), e.input(2, where.dtype)
    hit = e.logical_or(e.eq(v, b), e.isnan(v))
    found = e.select(hit, r, e.const(last, r))
    work.reduction(axes, [windows, best, ramp], indices, e, "min", found)


def _maximum_in_registers(
    work: Work, node: Node, windows: Place, values: Place, indices: Place
) -> None:
    """Value and position of the maximum of small windows, element after element."""
    a = node.attributes
    rank = len(a["kernel"])
    size, places = node.values[0].shape[-rank:], a["places"]
    corner = np.zeros(places, np.int64)
    for axis in range(rank):
        shape = [1] * rank
        shape[axis] = -1
        corner = corner * size[axis] + (
            np.arange(places[axis]) * a["stride"][axis] - a["padding"][axis]
        ).reshape(shape)
    first = work.constant(corner[None, None])
    e = Builder()
    best = at = e.number(0, first.dtype)
    for i, offset in enumerate(np.ndindex(*a["kernel"])):
        x = e.input(i, windows.dtype)
        step = 0
        for axis in range(rank):
            step = step * size[axis] + offset[axis] * a["dilation"][axis]
        here = e.number(step, first.dtype)
        if i == 0:
            best, at = x, here
            continue
        wins = e.logical_and(
            e.logical_or(e.gt(x, best), e.isnan(x)), e.logical_not(e.isnan(best))
        )
        best, at = e.select(wins, x, best), e.select(wins, here, at)
    corner_at = e.input(math.prod(a["kernel"]), first.dtype)
    inputs = [*_offsets(windows, rank), first]
    work.pointwise([values, indices], e, [best, e.add(corner_at, at)], inputs)


def _maximum_backward(work: Work, node: Node) -> None:
    """Each element gathers the gradients of the windows whose maximum it is.

    The windows are those of the pool that made the positions; without it in the graph they are unknown.
    """
    origin = node.values[1].node
    if origin is None or origin.primitive.name != "max_pool":
        raise NotImplementedError("the pool that made the positions is not in this program")
    a = origin.attributes
    rank = len(a["kernel"])
    if math.prod(a["kernel"]) > MOST_ADDED or any(d != 1 for d in a["dilation"]):
        raise NotImplementedError("a pool of large windows")
    g, at = (_planes(work.place(v), rank) for v in node.values)
    size = node.attributes["size"]
    out = _planes(work.lay_out(node.outputs[0], like=g), rank)
    mine = work.constant(np.arange(math.prod(size)).reshape(1, 1, *size))
    if _apart(a["kernel"], a["stride"], a["padding"]):
        for target, (grad, best), (own,) in _windows_apart_with(
            out, [g, at], [mine], a["kernel"]
        ):
            e = Builder()
            x = e.input(0, g.dtype)
            hit = e.eq(e.input(1, at.dtype), e.input(2, mine.dtype))
            work.pointwise([target], e, [e.select(hit, x, e.const(0, x))], [grad, best, own])
        _clear_rest(work, out, g.shape[2:], a["kernel"])
        return
    spread = [
        _by_offset(
            _covering(work, x, size, a["kernel"], a["stride"], a["padding"], (1,) * rank, n),
            rank,
        )
        for x, n in ((g, 0), (at, -1))
    ]
    count = math.prod(a["kernel"])
    e = Builder()
    own = e.input(2 * count, mine.dtype)
    total = own
    for i in range(count):
        grad = e.input(i, g.dtype)
        share = e.select(e.eq(e.input(count + i, at.dtype), own), grad, e.const(0, grad))
        total = share if i == 0 else e.add(total, share)
    parts = [p for windows in spread for p in _offsets(windows, rank)]
    work.pointwise([out], e, [total], [*parts, mine])  # type: ignore[list-item]


@emits("pool")
def pool(work: Work, node: Node) -> None:
    """Average and maximum, forward and backward."""
    if any(v.dtype.kind == "c" for v in (*node.values, *node.outputs)):
        raise NotImplementedError("complex numbers")
    if not all(v.size for v in [*node.values, *node.outputs]):
        raise NotImplementedError("an empty pool")
    (which,) = node.primitive.lowering.options
    rank = len(node.attributes.get("kernel") or node.attributes["size"])
    if rank <= 2 and node.outputs[0].dtype.itemsize >= 4:
        _POOLS_OF_PLANES[which](work, node, rank)
    else:
        _POOLS[which](work, node)


_POOLS = {
    "average": _average, "average_backward": _average_backward, "max": _maximum,
    "max_backward": _maximum_backward,
}  # fmt: skip


# Pooling of planes: the kernels' own ---------------------------------------------------------------


def _as_plane(place: Place, rank: int) -> Place:
    """(*, *in) as (N, C, height, width); a row is a plane of height 1."""
    x = _planes(place, rank)
    if rank == 2:
        return x
    return x.seen((*x.shape[:2], 1, x.shape[2]), (*x.strides[:2], 0, x.strides[2]))


def _pair(sizes: Any, rank: int, fill: int) -> tuple[int, int]:
    return (fill, *sizes) if rank == 1 else tuple(sizes)


def _pooling(fine: Place, coarse: Place, rank: int, window: Sequence[Any]) -> Pooling:
    """Windows of `fine` that give `coarse`; `window` is kernel, stride, padding and dilation."""
    fills = (1, 1, 0, 1)
    kernel, stride, padding, dilation = (
        _pair(s, rank, fill) for s, fill in zip(window, fills, strict=True)
    )
    batch, channels, height, width = fine.shape
    places = (coarse.shape[2], coarse.shape[3])
    return Pooling(batch, channels, (height, width), places, kernel, stride, padding, dilation)


def _pool_of_planes(
    work: Work, node: Node, rank: int, shape: Pooling, inputs: list[Place], outputs: list[Place],
    emit: Callable,
) -> None:  # fmt: skip
    key = (node.primitive.name, shape, *sorted(node.attributes.items()))
    work.native(key, [*inputs, *outputs], lambda module, name, o: emit(module, name, shape, *o))


def _maximum_of_planes(work: Work, node: Node, rank: int) -> None:
    a = node.attributes
    x = _as_plane(work.place(node.values[0]), rank)
    outputs = [_as_plane(work.lay_out(v, like=x), rank) for v in node.outputs]
    window = a["kernel"], a["stride"], a["padding"], a["dilation"]
    _pool_of_planes(
        work, node, rank, _pooling(x, outputs[0], rank, window), [x], outputs,
        lambda module, name, shape, x, *out: pools.emit_max(module, name, shape, x, out),
    )  # fmt: skip


def _maximum_backward_of_planes(work: Work, node: Node, rank: int) -> None:
    window = node.attributes["window"]
    if window is None:
        raise NotImplementedError("positions that are not those of a pooling")
    g, at = (_as_plane(work.place(v), rank) for v in node.values)
    out = _as_plane(work.lay_out(node.outputs[0], like=g), rank)
    shape = _pooling(out, g, rank, window)
    _pool_of_planes(work, node, rank, shape, [g, at], [out], pools.emit_max_backward)


def _average_of_planes(work: Work, node: Node, rank: int, backward: bool = False) -> None:
    a = node.attributes
    x = _as_plane(work.place(node.values[0]), rank)
    out = _as_plane(work.lay_out(node.outputs[0], like=x), rank)
    fine, coarse = (out, x) if backward else (x, out)
    shape = _pooling(fine, coarse, rank, (a["kernel"], a["stride"], a["padding"], (1,) * rank))
    emit = pools.emit_average_backward if backward else pools.emit_average
    options = a["count_include_pad"], a["override"]
    _pool_of_planes(
        work, node, rank, shape, [x], [out],
        lambda module, name, shape, x, out: emit(module, name, shape, x, out, *options),
    )  # fmt: skip


_POOLS_OF_PLANES: dict[str, Callable[[Work, Node, int], None]] = {
    "average": _average_of_planes,
    "average_backward": partial(_average_of_planes, backward=True),
    "max": _maximum_of_planes,
    "max_backward": _maximum_backward_of_planes,
}
