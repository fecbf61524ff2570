"""Reading and writing at positions as kernels: gather and scatter, and tensors as indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flambeau.compiler.backends.expressions import Builder
from flambeau.compiler.backends.families import emits
from flambeau.compiler.backends.place import Place
from flambeau.compiler.graph import Node, Value
from flambeau.kernels import positions
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.positions import Axis, Fault, Sought
from flambeau.ops.scatter import JOININGS

if TYPE_CHECKING:
    from flambeau.compiler.backends.work import Work

_SINGLE = np.dtype(np.float32)


@emits("gather")
def gather(work: Work, node: Node) -> None:
    """An element along one dimension for each position."""
    x, index = map(work.place, node.values)
    dim = node.attributes["dim"]
    _read(work, node, x, positions.along(_layout(x), _layout(index), dim), [index], RuntimeError, [dim])


@emits("index")
def index(work: Work, node: Node) -> None:
    """Elements at index tensors that are broadcast together."""
    x, *indices = map(work.place, node.values)
    dims = node.attributes["dims"]
    _read(work, node, x, positions.at(_layout(x), [*map(_layout, indices)], dims), indices, IndexError, dims)


@emits("index_put")
def index_put(work: Work, node: Node) -> None:
    """Values written, or added, at index tensors."""
    x, values, *others = node.values
    indices, dims = [*map(work.place, others)], node.attributes["dims"]
    op = "add" if node.attributes["accumulate"] else "set"

    def sought(out: Place) -> Sought:
        return positions.at(_layout(out), [*map(_layout, indices)], dims)

    _write(work, node, x, values, op, sought, indices, IndexError, dims)


@emits("scatter")
def scatter(work: Work, node: Node) -> None:
    """Elements written, or joined to what stands there, at their places along one dimension."""
    x, other, source = node.values
    index, dim = work.place(other), node.attributes["dim"]
    (op,) = node.primitive.lowering.options or (JOININGS[node.attributes["reduce"]],)

    def sought(out: Place) -> Sought:
        return positions.along(_layout(out), _layout(index), dim)

    _write(work, node, x, source, op, sought, [index], RuntimeError, [dim])


def _layout(place: Place) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return place.shape, place.strides


def _extent(place: Place) -> int:
    """Elements from the first to the last."""
    return place.operand.extent(place.shape)


def _alarm(work: Work, axes: Sequence[Axis], kind: type[Exception], dims: Sequence[int]) -> Place:
    """An alarm for which eager's error is raised."""

    def explain(fault: Fault) -> Exception:
        size, dim = axes[fault.index].size, dims[fault.index]
        return kind(f"index {fault.position} is out of bounds for dimension {dim} with size {size}")

    return work.alarm(positions.alarm_words(axes), explain)


def _read(
    work: Work, node: Node, x: Place, sought: Sought, indices: list[Place], kind: type[Exception], dims: Sequence[int]
) -> None:
    out, extent = work.place(node.outputs[0]), _extent(x)

    def emit(module: Module, name: str, operands: list[Operand]) -> Kernel:
        return positions.emit_read(module, name, sought, extent, operands[-2])

    places = [x, *indices, out, _alarm(work, sought.axes, kind, dims)]
    work.native(("read at", sought, extent), places, emit)


def _write(
    work: Work, node: Node, x: Value, source: Value, op: str, sought_in: Callable[[Place], Sought], indices: list[Place],
    kind: type[Exception], dims: Sequence[int],
) -> None:  # fmt: skip
    """The result is a copy of x that is then changed. Halves are added up in float32 and rounded at the end."""
    out, given, before = work.place(node.outputs[0]), work.place(source), work.place(x)
    rounded = op != "set" and out.dtype.itemsize == 2 and out.dtype.kind not in "iub"
    if rounded:
        target, given = _converted(work, before, _SINGLE), _converted(work, given, _SINGLE)
    else:
        apart = before.root not in (given.root, *(i.root for i in indices))
        target = (work.change(x) if apart and x.constant is None else None) or out
        if target is out:
            work.copy(before, out)
            work.changed = before.root if apart and before.is_whole else None
    sought, extent = sought_in(target), _extent(target)
    given = given.broadcast(sought.shape)

    def emit(module: Module, name: str, operands: list[Operand]) -> Kernel:
        return positions.emit_write(module, name, sought, extent, operands[0], op)

    places = [given, *indices, target, _alarm(work, sought.axes, kind, dims)]
    work.native(("write at", op, sought, extent), places, emit)
    if rounded:
        _convert(work, target, out)


def _converted(work: Work, source: Place, dtype: np.dtype) -> Place:
    target = work.temporary(source.shape, dtype)
    _convert(work, source, target)
    return target


def _convert(work: Work, source: Place, target: Place) -> None:
    builder = Builder()
    number = builder.cast(builder.input(0, source.dtype), target.dtype)
    work.pointwise([target], builder, [number], [source])
