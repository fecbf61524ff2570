"""Reading and writing at positions as kernels: gather and scatter, and tensors as indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flambeau.compiler.backends.expressions import Builder
from flambeau.compiler.backends.families import emits
from flambeau.compiler.backends.place import Place
from flambeau.compiler.graph import Node, Value, specs_of
from flambeau.kernels import positions
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.positions import Axis, Fault
from flambeau.ops.table import PRIMITIVES

if TYPE_CHECKING:
    from flambeau.compiler.backends.work import Work

Explain = Callable[[Fault], Exception]

_OPS = {"prod": "mul", "amax": "max", "amin": "min"}
_SINGLE = np.dtype(np.float32)


@emits("gather")
def gather(work: Work, node: Node) -> None:
    """An element along one dimension for each position."""
    x, index = map(work.place, node.values)
    dim = node.attributes["dim"]
    steps = [0 if d == dim else s for d, s in enumerate(x.strides)]
    axis = Axis(x.shape[dim], x.strides[dim])
    _read(work, node, x, x.seen(index.shape, steps), [axis], [index], _out_of_bounds(RuntimeError, [axis], [dim]))


@emits("index")
def index(work: Work, node: Node) -> None:
    """Elements at index tensors that are broadcast together."""
    x, *indices = map(work.place, node.values)
    shape = node.outputs[0].shape
    dims = node.attributes["dims"]
    axes, seen, places = _sought(x, indices, dims, shape)
    _read(work, node, x, seen, axes, places, _out_of_bounds(IndexError, axes, dims))


@emits("index_put")
def index_put(work: Work, node: Node) -> None:
    """Values written, or added, at index tensors."""
    x, values, *indices = node.values
    dims = node.attributes["dims"]
    shape = _shape_of_read(x, indices, dims)
    out = work.place(node.outputs[0])
    op = "add" if node.attributes["accumulate"] else "set"

    def write(out: Place) -> None:
        axes, seen, places = _sought(out, [work.place(i) for i in indices], dims, shape)
        _write(work, out, seen, axes, places, values, op, _out_of_bounds(IndexError, axes, dims))

    _changed(work, x, out, op, write)


@emits("scatter")
def scatter(work: Work, node: Node) -> None:
    """Elements written, or joined to what stands there, at their places along one dimension."""
    x, index, source = node.values
    dim = node.attributes["dim"]
    (op,) = node.primitive.lowering.options or (_OPS[node.attributes["reduce"]],)

    def write(out: Place) -> None:
        axes = [Axis(out.shape[dim], out.strides[dim])]
        seen = out.seen(index.shape, [0 if d == dim else s for d, s in enumerate(out.strides)])
        _write(work, out, seen, axes, [work.place(index)], source, op, _out_of_bounds(RuntimeError, axes, [dim]))

    _changed(work, x, work.place(node.outputs[0]), op, write)


# Operands -----------------------------------------------------------------------------------------


def _shape_of_read(x: Value, indices: Sequence[Value], dims: Sequence[int]) -> tuple[int, ...]:
    return specs_of(PRIMITIVES["index"], (x, *indices), {"dims": dims})[0].shape


def _sought(
    x: Place, indices: Sequence[Place], dims: Sequence[int], shape: tuple[int, ...]
) -> tuple[list[Axis], Place, list[Place]]:
    """The dimensions that are sought, and x and its index tensors over the shape of what is read.

    The dimensions of the index tensors stand where those that they index stood, or first where these are apart.
    """
    axes = [Axis(x.shape[d], x.strides[d], from_end=True) for d in dims]
    rest = [d for d in range(len(x.shape)) if d not in dims]
    rank = len(shape) - len(rest)
    begin = dims[0] if tuple(dims) == tuple(range(dims[0], dims[0] + len(dims))) else 0
    steps = [x.strides[d] for d in rest]
    seen = x.seen(shape, [*steps[:begin], *[0] * rank, *steps[begin:]])
    after = len(rest) - begin
    return axes, seen, [i.seen((*i.shape, *[1] * after), (*i.strides, *[0] * after)).broadcast(shape) for i in indices]


def _out_of_bounds(kind: type[Exception], axes: Sequence[Axis], dims: Sequence[int]) -> Explain:
    """The error that eager raises for a position."""

    def explain(fault: Fault) -> Exception:
        size, dim = axes[fault.index].size, dims[fault.index]
        return kind(f"index {fault.position} is out of bounds for dimension {dim} with size {size}")

    return explain


# Kernels ------------------------------------------------------------------------------------------


def _read(
    work: Work, node: Node, x: Place, seen: Place, axes: list[Axis], indices: list[Place], explain: Explain
) -> None:
    shape, out = seen.shape, work.place(node.outputs[0])
    extent = 1 + sum(s * (n - 1) for s, n in zip(x.strides, x.shape, strict=True))

    def emit(module: Module, name: str, operands: list[Operand]) -> Kernel:
        first, *wheres, last, _ = operands
        return positions.emit_read(module, name, shape, first, extent, axes, wheres, last)

    alarm = work.alarm(positions.alarm_words(axes), explain)
    work.native(("read at", shape, extent, *axes), [seen, *indices, out, alarm], emit)


def _write(
    work: Work, out: Place, seen: Place, axes: list[Axis], indices: list[Place], source: Value, op: str, explain: Explain
) -> None:
    shape = seen.shape
    extent = 1 + sum(s * (n - 1) for s, n in zip(out.strides, out.shape, strict=True))
    given = work.place(source).broadcast(shape)
    if given.dtype != out.dtype:
        given = _converted(work, work.place(source), out.dtype).broadcast(shape)

    def emit(module: Module, name: str, operands: list[Operand]) -> Kernel:
        first, *wheres, last, _ = operands
        return positions.emit_write(module, name, shape, first, axes, wheres, last, extent, op)

    alarm = work.alarm(positions.alarm_words(axes), explain)
    work.native(("write at", op, shape, extent, *axes), [given, *indices, seen, alarm], emit)


def _changed(work: Work, x: Value, out: Place, op: str, write: Callable[[Place], None]) -> None:
    """`out` is what `write` makes of a copy of x. Halves are added up in float32 and rounded at the end."""
    if op == "set" or out.dtype.itemsize != 2 or out.dtype.kind in "iub":
        work.copy(work.place(x), out)
        write(out)
        return
    wide = _converted(work, work.place(x), _SINGLE)
    write(wide)
    _convert(work, wide, out)


def _converted(work: Work, source: Place, dtype: np.dtype) -> Place:
    target = work.temporary(source.shape, dtype)
    _convert(work, source, target)
    return target


def _convert(work: Work, source: Place, target: Place) -> None:
    builder = Builder()
    number = builder.cast(builder.input(0, source.dtype), target.dtype)
    work.pointwise([target], builder, [number], [source])
