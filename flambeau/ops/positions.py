"""Elements by their position: in the flattened tensor, along one dimension, or where a mask is true."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes, wrap_dim
from flambeau.ops.arithmetic import where
from flambeau.ops.index import _index, _index_put, gather
from flambeau.ops.required import required
from flambeau.ops.shape import expand, reshape
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import is_tracing, need_value


def _check_positions(name: str, input: Tensor, index: Tensor) -> None:
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"{name}(): Expected a long tensor for index, but got {index.dtype.tensor_type}"
        )
    size, array = input._array.size, index._array
    if size == 0 and array.size:
        raise IndexError(f"{name}(): tried to take from an empty tensor")
    if isinstance(array, np.ndarray) and array.size and not (-size <= array.min() and array.max() < size):
        bad = array[(array < -size) | (array >= size)].flat[0]
        raise IndexError(f"out of range: tried to access index {bad} on a tensor of {size} elements.")


@operator(out=True)
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at the positions `index` of the flattened `input`, in the shape of `index`."""
    _check_positions("take", input, index)
    if not index._array.size:
        return reshape(reshape(input, -1)[:0], index.shape)  # type: ignore[index]
    return _index(reshape(input, -1), index, dims=(0,))


@operator(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with `source` written (or added) at the positions `index` of its flattened form."""
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{input.dtype.tensor_type} and source.dtype = {source.dtype.tensor_type}"
        )
    if source._array.size != index._array.size:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source._array.size}, index.numel() = {index._array.size}"
        )
    _check_positions("put_", input, index)
    if not index._array.size:
        return input.clone()
    flat = reshape(input, -1)
    changed = _index_put(flat, reshape(source, -1), reshape(index, -1), dims=(0,), accumulate=accumulate)
    return reshape(changed, input.shape)


@operator(out=True)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements of dimension `dim` at `indices`, which broadcasts against `input` elsewhere.

    Without `dim`, positions in the flattened tensor.
    """
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype.tensor_type}"
        )
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    dim = wrap_dim(dim, input.ndim)
    have, wanted = list(input._array.shape), list(indices._array.shape)
    if have:
        have[dim], wanted[dim] = 1, 1
    size = input._array.shape[dim] if have else 1
    indices = where(indices < 0, indices + size, indices)
    common = list(broadcast_shapes(have, wanted))
    full, places = list(common), list(common)
    if have:
        full[dim], places[dim] = input._array.shape[dim], indices._array.shape[dim]
    return gather(expand(input, full), dim, expand(indices, places))


@operator(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the elements of `source`, in order, where `mask` is true; both broadcast.

    Raises `RuntimeError` where `source` has too few elements.
    """
    if mask._array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype.tensor_type}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got"
            f"{input.dtype.tensor_type} and {source.dtype.tensor_type}"
        )
    shape = broadcast_shapes(input._array.shape, mask._array.shape)
    input, mask = expand(input, shape), expand(mask, shape)
    if isinstance(mask._array, np.ndarray) and np.count_nonzero(mask._array) > source._array.size:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    if not source._array.size:
        return input.clone()
    drawn = _in_order(reshape(source, -1), mask, _check_enough)
    return where(mask, reshape(drawn, shape), input)


def _in_order(source: Tensor, mask: Tensor, check: Callable[[tuple[int, ...], np.ndarray], None]) -> Tensor:
    """For each place of `mask` the row of `source` that is numbered by the true places before it.

    In a compiled program `check` gets the shape of `source` and the number of true places.
    """
    number = (reshape(mask, -1).cumsum(0) - 1).clamp(0, source._array.shape[0] - 1)
    if is_tracing():
        number = number + required(number.new_zeros(()), mask.sum(), partial(check, tuple(source._array.shape)))
    return _index(source, number, dims=(0,))


def _check_enough(shape: tuple[int, ...], count: np.ndarray) -> None:
    if count > shape[0]:
        raise RuntimeError("Number of elements of source < number of ones in mask")


def _check_as_many(shape: tuple[int, ...], count: np.ndarray) -> None:
    if count != shape[0]:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(shape)} cannot be broadcast to indexing "
            f"result of shape {[int(count), *shape[1:]]}"
        )


def put_where(input: Tensor, mask: Tensor, value: Tensor, accumulate: bool = False) -> Tensor:
    """What `input[mask] = value`, or `+=`, makes of `input`, for a mask of its first dimensions, in a program that is traced."""
    rest = tuple(input._array.shape[mask.ndim :])
    while value.ndim > len(rest) and value._array.shape[0] == 1:
        value = value.squeeze(0)
    many = value.ndim > len(rest)
    if many and (not value._array.size or value._array.shape[1:] != rest):
        need_value("indexing with a bool mask")  # the error tells how often it is true
    if not many and broadcast_shapes(value._array.shape, rest) != rest:
        need_value("indexing with a bool mask")
    if many:
        value = reshape(_in_order(value, mask, _check_as_many), input._array.shape)
    return where(reshape(mask, (*mask._array.shape, *[1] * len(rest))), input + value if accumulate else value, input)


@operator
def argwhere(input: Tensor) -> Tensor:
    """(count, dims): the positions of the elements that are not zero."""
    return input.nonzero()


@operator(out=True)
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """(size, dims): the first `size` positions of elements that are not zero; rows of `fill_value` follow."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    return _nonzero_static(input, size=int(size), fill_value=int(fill_value))


def _nonzero_static_array(x: np.ndarray, size: int, fill_value: int) -> np.ndarray:
    found = np.argwhere(x != 0)[:size]
    rows = np.full((size, x.ndim), fill_value, np.int64)
    rows[: len(found)] = found
    return rows


_nonzero_static = Primitive(
    "nonzero_static",
    "input",
    _nonzero_static_array,
    rule=lambda x, size, fill_value: Spec((size, x.ndim), np.dtype(np.int64)),
)


@operator(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, one tensor a dimension, of positions in a flattened tensor of `shape`."""
    if not isinstance(indices, Tensor):
        raise TypeError(f"expected 'indices' to be Tensor, but got {type(indices).__name__}")
    if indices.dtype.kind != dtypes.INTEGER:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    steps = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
    return tuple(
        indices.div(s, rounding_mode="floor") % n if n else indices for n, s in zip(sizes, steps, strict=True)
    )


# Indices whose out-of-range elements a mask leaves out ---------------------------------------------


def _inside(input: Tensor, mask: Tensor, indices: Sequence[Any]) -> list[Any]:
    """`indices`, cut off at the bounds so that the masked ones may be anything."""
    return [
        i if i is None else i.clamp(-input._array.shape[d], input._array.shape[d] - 1)
        for d, i in enumerate(indices)
    ]


@operator(method=False)
def _unsafe_masked_index(input: Tensor, mask: Tensor, indices: Sequence[Any], fill: Any) -> Tensor:
    """`input[indices]` where `mask` is true, `fill` elsewhere."""
    if input._array.size == 0:
        return expand(input.new_full((), fill), broadcast_shapes(*[i.shape for i in indices], mask.shape)).clone()
    key = tuple(slice(None) if i is None else i for i in _inside(input, mask, indices))
    return input[key].masked_fill(~mask, fill)  # type: ignore[index]


@operator(method=False)
def _unsafe_masked_index_put_accumulate(
    input: Tensor, mask: Tensor, indices: Sequence[Any], values: Tensor
) -> Tensor:
    """`input` with `values` added at `indices` where `mask` is true."""
    if input._array.size == 0:
        return input.clone()
    kept = values.masked_fill(~mask, 0)
    return input.index_put(_inside(input, mask, indices), kept, accumulate=True)
