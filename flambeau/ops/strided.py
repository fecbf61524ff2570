"""`as_strided`: a view of a tensor's memory with any sizes and strides, and its gradient.

A *geometry* is (size, stride, offset), in elements, of memory in which the input's first element is
number 0. The gradient moves what was given for one geometry to another, through memory: elements that
several windows show add up, and elements that nothing shows get zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flambeau.core.shapes import as_shape
from flambeau.ops.shape import take_shape
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, address
from flambeau.tensor.tracing import is_tracing, need_value

Geometry = tuple[tuple[int, ...], tuple[int, ...], int]


def _extent(size: Sequence[int], stride: Sequence[int]) -> int:
    """How many elements of memory lie between the first and the last of a geometry, both included."""
    return 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))


class _Place:
    """What NumPy makes an array of: an address, a shape, strides."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, like: np.ndarray, size: Sequence[int], stride: Sequence[int], offset: int):
        step = like.dtype.itemsize
        self.owner = like  # keeps the memory
        self.__array_interface__ = {
            "data": (address(like) + step * offset, not like.flags.writeable),
            "shape": tuple(size),
            "strides": tuple(step * s for s in stride),
            "typestr": like.dtype.str,
            "version": 3,
        }


def _window(x: np.ndarray, size: Sequence[int], stride: Sequence[int], offset: int) -> np.ndarray:
    """The view of the memory around `x`."""
    shown = np.asarray(_Place(x, size, stride, offset))
    if shown.dtype != x.dtype:  # bfloat16 is not among the types that addresses are written with
        shown.dtype = x.dtype
    return shown


def _strides(x: np.ndarray) -> tuple[int, ...]:
    return tuple(s // x.dtype.itemsize for s in x.strides)


def _restrided(
    x: np.ndarray, size: Sequence[int], stride: Sequence[int], offset: int, layout: Sequence[int]
) -> np.ndarray:
    if x.size > 1 and any(a != b for n, a, b in zip(x.shape, _strides(x), layout, strict=True) if n > 1):
        # A compiled program keeps this value in another order.
        memory = np.empty(_extent(x.shape, layout), x.dtype)
        _window(memory, x.shape, layout, 0)[...] = x
        x = _window(memory, x.shape, layout, 0)
    return _window(x, size, stride, offset)


def _move(x: np.ndarray, source: Geometry, target: Geometry, counted: Geometry) -> np.ndarray:
    low = min(source[2], target[2])
    high = max(g[2] + _extent(*g[:2]) for g in (source, target))
    wide = np.float32 if x.dtype.kind == "V" or x.dtype == np.float16 else x.dtype
    memory = np.zeros(max(high - low, 1), wide)
    np.add.at(memory, _places(source, low), x.astype(wide))
    shown = np.zeros(memory.shape, np.int64)
    np.add.at(shown, _places(counted, low), 1)
    if shown.max() > 1:
        memory /= np.maximum(shown, 1)
    return memory[_places(target, low)].astype(x.dtype)


def _places(geometry: Geometry, low: int) -> np.ndarray:
    """The positions of a geometry's elements in memory that begins at `low`."""
    size, stride, offset = geometry
    places = np.full((), offset - low, np.int64)
    for n, s in zip(size, stride, strict=True):
        places = places[..., None] + np.arange(n) * s
    return places


#: What lies at the geometry `target` when `x` is added to empty memory at `source`; where several of
#: `counted` (one of both) lie at one place, their mean. Its derivative moves the other way.
_move_strided = Primitive(
    "as_strided_backward",
    "x",
    _move,
    rule=lambda x, source, target, counted: Spec(target[0], x.dtype),
    derivative={
        "x": lambda g, source, target, counted: _move_strided(
            g, source=target, target=source, counted=counted
        )
    },
)
_as_strided = Primitive(
    "as_strided",
    "input",
    _restrided,
    derivative={
        "input": lambda g, input_shape, size, stride, offset, layout: _move_strided(
            g,
            source=(size, stride, offset),
            target=(tuple(input_shape), layout, 0),
            counted=(tuple(input_shape), layout, 0),
        )
    },
    view=True,
)


@operator
def as_strided(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A view of the memory of `input` with any `size` and `stride`, in elements.

    storage_offset: elements from the beginning of the memory (by default where `input` begins). Raises
    `RuntimeError` where that leaves the memory.
    """
    size, stride = as_shape((size,)), as_shape((stride,))
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}"
        )
    begin = input.storage_offset()
    offset = begin if storage_offset is None else int(storage_offset)
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    if is_tracing() and not isinstance(input._array, np.ndarray):
        input, begin = input._root(), 0  # there the parts of a value have no memory around them
        if not input.is_contiguous():
            need_value("as_strided() of memory in another order")
    last, size_there = offset + _extent(size, stride), room(input)
    if last > size_there and 0 not in size:
        width = input.element_size()
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{width} requiring a storage size of {last * width} are out of bounds for storage of size "
            f"{size_there * width}"
        )
    place = {"size": size, "stride": stride}
    out = _as_strided(input, **place, offset=offset - begin, layout=tuple(input.stride()))
    view = input._view
    if view is not None and view.differentiable:
        # Should the memory change in place, this is a view of the base, by its own numbers.
        there = {**place, "offset": offset - view.base.storage_offset(), "layout": view.base.stride()}
        out._view.path = (None, (_as_strided, (), there))
    return out


def room(input: Tensor) -> int:
    """How many elements of memory there are from the beginning of the storage."""
    root = input._root()._array
    return _extent(root.shape, _strides(root))


@operator(function_name=True)
def as_strided_(
    self: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """In-place form of `as_strided`: changes the shape and strides, not the elements."""
    return take_shape(self, as_strided(self, size, stride, storage_offset))
