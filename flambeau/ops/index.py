"""Indexing: slices and positions as views, tensors as indices; gather, scatter and selection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes, wrap_dim
from flambeau.ops import flat
from flambeau.ops.arithmetic import where
from flambeau.ops.parts import _basic, _slice, basic_view
from flambeau.ops.shape import _view, reshape
from flambeau.ops.table import Kernel, Primitive, Spec, finish_view, operator
from flambeau.tensor.tensor import Tensor, overlaps_itself, wrap
from flambeau.tensor.tracing import is_tracing, need_value, state, verify

# Indexing by tensors ------------------------------------------------------------------------------


def _index_rule(x: Spec, *indices: Spec, dims: tuple[int, ...]) -> Spec:
    shape = broadcast_shapes(*[i.shape for i in indices])
    rest = [n for d, n in enumerate(x.shape) if d not in dims]
    at = dims[0] if list(dims) == list(range(dims[0], dims[0] + len(dims))) else 0
    return Spec((*rest[:at], *shape, *rest[at:]), x.dtype)


#: Elements at `indices` (int64, one for each of `dims`, broadcast together); negative ones count from the end.
_index = Primitive(
    "index",
    "input indices*",
    lambda x, *indices, dims: flat.read_at(x, indices, dims),
    rule=_index_rule,
    derivative={
        "input": lambda g, input_shape, indices, dims: _index_put(
            g.new_zeros(input_shape), g, *indices, dims=dims, accumulate=True
        )
    },
    lowering=Kernel("index"),
)
#: `input` with `values` written (or added) at `indices`.
_index_put = Primitive(
    "index_put",
    "input values indices*",
    lambda x, values, *indices, dims, accumulate: flat.write_at(x, indices, values, dims, "add" if accumulate else "set"),
    rule=lambda x, values, *indices, dims, accumulate: x,
    derivative={
        "input": lambda g, indices, dims, accumulate: g
        if accumulate
        else _index_put(g, g.new_zeros(()), *indices, dims=dims, accumulate=False),
        "values": lambda g, values_shape, indices, dims: _index(g, *indices, dims=dims).sum_to_size(values_shape),
    },
    lowering=Kernel("index_put"),
)


class _Plan:
    """A NumPy-style index taken apart: a view by slices, then positions in some of its dimensions."""

    def __init__(self, input: Tensor, key: Any):
        items = key if isinstance(key, tuple) else tuple(key) if _stands_for_tuple(key) else (key,)
        items = tuple(_as_index(i) for i in items)
        used = sum(_dims_used(i) for i in items)
        rank = input.ndim
        if used > rank:
            if rank == 0 and isinstance(key, int):
                raise IndexError(
                    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in "
                    "C++ to convert a 0-dim tensor to a number"
                )
            if rank == 0 and isinstance(key, slice):
                raise IndexError("slice() cannot be applied to a 0-dim tensor.")
            raise IndexError(f"too many indices for tensor of dimension {rank}")
        if not any(i is Ellipsis for i in items):
            items = (*items, Ellipsis)
        at = next(n for n, i in enumerate(items) if i is Ellipsis)
        items = (*items[:at], *[slice(None)] * (rank - used), *items[at + 1 :])
        shape = input._array.shape
        starts, stops, steps = [0] * rank, list(shape), [1] * rank
        out_shape: list[int] = []
        self.indices: list[Tensor] = []
        self.dims: list[int] = []
        dim, changed, reshaped = 0, False, False
        for item in items:
            if item is None:
                out_shape.append(1)
                reshaped = True
            elif isinstance(item, slice):
                a, b, s = item.indices(shape[dim])
                if s < 0 or (item.step is not None and _int(item.step) <= 0):
                    raise ValueError("step must be greater than zero")
                b = max(a, b)
                if (a, b, s) != (0, shape[dim], 1):
                    starts[dim], stops[dim], steps[dim] = a, b, s
                    changed = True
                out_shape.append(len(range(a, b, s)))
                dim += 1
            elif isinstance(item, Tensor):
                if item._array.dtype.kind == "b":
                    if item._array.shape != shape[dim : dim + item.ndim]:
                        bad = next(
                            (d for d in range(item.ndim) if dim + d >= rank or item._array.shape[d] != shape[dim + d]), 0
                        )
                        raise IndexError(
                            f"The shape of the mask {list(item.shape)} at index {bad} does not match the "
                            f"shape of the indexed tensor {list(shape)} at index {dim + bad}"
                        )
                    if item.ndim == 0:
                        need_value("a 0-dim bool index")
                        self.dims.append(len(out_shape))
                        out_shape.append(1)
                        reshaped = True
                        self.indices.append(wrap(np.zeros(int(bool(item)), np.int64)))
                        continue
                    need_value("indexing with a bool mask")
                    for found in nonzero_places(item._array):
                        self.dims.append(len(out_shape))
                        out_shape.append(shape[dim])
                        self.indices.append(wrap(found))
                        dim += 1
                else:
                    self.dims.append(len(out_shape))
                    out_shape.append(shape[dim])
                    self.indices.append(item.to(dtypes.int64))
                    dim += 1
            else:
                n = shape[dim]
                if not -n <= item < n:
                    raise IndexError(
                        f"index {item} is out of bounds for dimension {dim} with size {n}"
                    )
                item += n if item < 0 else 0
                starts[dim], stops[dim] = item, item + 1
                changed = reshaped = True
                dim += 1
        view = input
        if changed:
            view = _slice(view, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
        if reshaped:
            view = _view(view, size=tuple(out_shape))
        self.view = view
        if self.view is input and not self.indices:
            self.view = _view(input, size=tuple(shape)) if input.ndim else _view(input, size=())

    def check(self) -> None:
        for d, i in zip(self.dims, self.indices, strict=True):
            n = self.view._array.shape[d]
            array = i._array
            if isinstance(array, np.ndarray) and array.size and not (-n <= array.min() and array.max() < n):
                bad = array[(array < -n) | (array >= n)].flat[0]
                raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")
        try:
            broadcast_shapes(*[i.shape for i in self.indices])
        except RuntimeError:
            shapes = ", ".join(str(list(i.shape)) for i in self.indices)
            raise IndexError(
                f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
            ) from None


def nonzero_places(array: np.ndarray) -> tuple[np.ndarray, ...]:
    """As `np.nonzero`, several times as fast: coordinates are repeated a row, not divided out an element."""
    flat_places = np.flatnonzero(array)
    if array.ndim == 1:
        return (flat_places,)
    outer, width = array.shape[:-1], array.shape[-1]
    rows = math.prod(outer)
    counts = np.count_nonzero(array.reshape(rows, width), axis=1)
    last = flat_places - np.repeat(np.arange(rows) * width, counts)
    return (*[np.repeat(c.reshape(-1), counts) for c in np.indices(outer)], last)


def _masks_whole(self: Tensor, key: Any) -> bool:
    """Whether `key` is one bool mask of the first dimensions."""
    return (
        isinstance(key, Tensor)
        and key._array.dtype.kind == "b"
        and key.ndim > 0
        and self._array.shape[: key.ndim] == key._array.shape
    )


def _int(x: Any) -> int:
    return x.__index__()


def _stands_for_tuple(key: Any) -> bool:
    """Whether a list of indices means as many dimensions, as once in NumPy: one that holds lists, slices."""
    return (
        isinstance(key, list)
        and len(key) < 32
        and any(i is None or i is Ellipsis or isinstance(i, (list, tuple, slice, Tensor)) for i in key)
    )


def _as_index(item: Any) -> Any:
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        return slice(*[p if p is None else _int(p) for p in (item.start, item.stop, item.step)])
    if isinstance(item, (bool, np.bool_)):
        return wrap(np.asarray(item))
    if isinstance(item, Tensor):
        if item.dtype.kind >= dtypes.FLOATING:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if item.dtype is dtypes.uint8:
            return item.to(dtypes.bool_)
        if item.ndim == 0 and item.dtype.kind == dtypes.INTEGER and isinstance(item._array, np.ndarray):
            return item if is_tracing() else int(item._array)
        return item
    if isinstance(item, (int, np.integer)):
        return int(item)
    if isinstance(item, (list, tuple, range, np.ndarray)):
        array = np.asarray(item)
        if array.size == 0:
            array = array.astype(np.int64)
        if array.dtype.kind not in "biuf":
            raise IndexError(f"only integers, slices, None, ... and integer tensors are indices, got {item!r}")
        return wrap(array if array.dtype.kind == "b" else array.astype(np.int64))
    if isinstance(item, str):
        raise TypeError("new(): invalid data type 'str'")
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(item).__name__})"
    )


def _dims_used(item: Any) -> int:
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, Tensor) and item._array.dtype.kind == "b":
        return item.ndim
    return 1


def _is_basic(key: Any) -> bool:
    """Whether NumPy's view is PyTorch's: `key` is made of ints, forward slices of ints, `None`, one `...`."""
    if key.__class__ is int:
        return True
    dots = 0
    for item in key if key.__class__ is tuple else (key,):
        kind = item.__class__
        if kind is int:
            continue
        if kind is not slice:
            if item is not None and item is not Ellipsis:
                return False
            dots += item is Ellipsis
            continue
        for bound in (item.start, item.stop, item.step):
            if bound is not None and bound.__class__ is not int:
                return False
        if item.step is not None and item.step <= 0:
            return False
    return dots < 2


_LONG = np.dtype(np.int64)


def _is_positions(self: Tensor, key: Any) -> bool:
    """Whether `key` is an index tensor of the first dimension, and nothing out of the ordinary is going on."""
    plain = not state.busy and key.__class__ is Tensor
    return plain and key._array.dtype == _LONG and key._array.ndim > 0 and self._array.ndim > 0


def getitem(self: Tensor, key: Any) -> Tensor:
    """`self[key]` with NumPy's indices: slices and ints give views, tensors and lists give copies."""
    if not state.busy and _is_basic(key):
        try:
            return finish_view(_basic, self, basic_view(self._array, key), {"key": key})
        except (IndexError, ValueError):
            pass  # the long way raises PyTorch's error
    if _is_positions(self, key):
        try:
            return _index(self, key, dims=(0,))
        except IndexError:
            pass  # the long way raises PyTorch's error
    if _masks_whole(self, key):
        need_value("indexing with a bool mask")
        rows = reshape(self, (key._array.size, *self._array.shape[key.ndim :]))
        return _index(rows, wrap(np.flatnonzero(key._array)), dims=(0,))
    plan = _Plan(self, key)
    if not plan.indices:
        return plan.view
    plan.check()
    return _index(plan.view, *plan.indices, dims=tuple(plan.dims))


def _set_at_once(self: Tensor, key: Any, value: Any) -> bool:
    """The short path of `self[key] = value`, where no gradient and no conversion is in it."""
    array, view = self._array, self._view
    if state.busy or self._extra is not None or not _is_basic(key):
        return False
    if modes.grad_enabled and (self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)):
        return False
    if isinstance(value, Tensor):
        value = value._array
        if value.dtype is not array.dtype:
            return False
    elif not (array.dtype.kind == "f" and value.__class__ in (float, int)):
        return False
    if view is not None and (not view.differentiable or overlaps_itself(array)):
        return False
    try:
        array[key] = value
    except (IndexError, ValueError):
        return False  # the long way raises PyTorch's error
    self._bump()
    if view is not None:
        view.version = self._version_number()
    return True


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """`self[key] = value`, broadcast and cast."""
    if _set_at_once(self, key, value):
        return
    if isinstance(value, Tensor) and value._array.dtype == self._array.dtype and _is_positions(self, key):
        try:
            if changed_at_once(self, value, (key,), (0,), False):
                return
        except (IndexError, ValueError):
            pass  # the long way raises PyTorch's error
    if _masks_whole(self, key) and (not isinstance(value, Tensor) or value.ndim == 0):
        mask = reshape(key, (*key._array.shape, *[1] * (self.ndim - key.ndim)))
        if not isinstance(value, Tensor):
            value = wrap(np.asarray(value).astype(self._array.dtype))
        self.masked_fill_(mask, value.to(self.dtype))
        return
    if is_tracing() and _masks_whole(self, key):
        from flambeau.ops.positions import put_where
        from flambeau.ops.table import frozen

        self._check_inplace()
        self._assign(put_where(frozen(self), key, value.to(self.dtype)))
        return
    plan = _Plan(self, key)
    if not isinstance(value, Tensor):
        value = wrap(np.asarray(value).astype(self._array.dtype))
    value = value.to(self.dtype)
    if not plan.indices:
        target = plan.view
        while value.ndim > target.ndim and value._array.shape[0] == 1:
            value = value.squeeze(0)
        if value.ndim > target.ndim or value._array.shape != target._array.shape:
            value = value.expand(target.shape)
        target._assign(value)
        return
    plan.check()
    shape = _index_rule(
        Spec(plan.view._array.shape, plan.view._array.dtype),
        *[Spec(i._array.shape, i._array.dtype) for i in plan.indices],
        dims=tuple(plan.dims),
    ).shape
    while value.ndim > len(shape) and value._array.shape[0] == 1:
        value = value.squeeze(0)
    try:
        value.expand(shape)
    except RuntimeError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing "
            f"result of shape {list(shape)}"
        ) from None
    plan.view._check_inplace()
    if changed_at_once(plan.view, value, plan.indices, plan.dims, False):
        return
    from flambeau.ops.table import frozen

    changed = _index_put(frozen(plan.view), value, *plan.indices, dims=tuple(plan.dims), accumulate=False)
    plan.view._assign(changed)


Tensor.__getitem__ = getitem  # type: ignore[attr-defined]
Tensor.__setitem__ = setitem  # type: ignore[attr-defined]


def may_change(self: Tensor, values: Tensor) -> bool:
    """Whether an operator may write values into a tensor's memory at once: no gradient or tracer needs to know."""
    if state.busy or self._extra is not None or values._extra is not None:
        return False
    if modes.grad_enabled and (self.requires_grad or values.requires_grad):
        return False
    return not overlaps_itself(self._array) and (self._view is None or self._view.differentiable)


def has_changed(self: Tensor) -> None:
    """To be called after writing where `may_change` allowed it."""
    self._bump()
    if self._view is not None:
        self._view.version = self._version_number()


def changed_at_once(
    self: Tensor, values: Tensor, indices: Sequence[Tensor], dims: Sequence[int], accumulate: bool
) -> bool:
    """Writes or adds values at indices without a copy of `self`, where that may be; says whether it did."""
    if not may_change(self, values):
        return False
    arrays = tuple(i._array for i in indices)
    flat.change_at(self._array, arrays, values._array, tuple(dims), "add" if accumulate else "set")
    has_changed(self)
    return True


def _index_plan(input: Tensor, indices: Any) -> _Plan:
    indices = tuple(
        slice(None) if i is None else i.reshape(1) if i.ndim == 0 and i.dtype is not dtypes.bool_ else i
        for i in indices
    )
    if sum(_dims_used(i) for i in indices) > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {len(indices)})")
    plan = _Plan(input, indices)
    plan.check()
    return plan


def _put_at_once(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> bool:
    if state.busy or values.dtype is not input.dtype:
        return False
    plan = _index_plan(input, indices)
    return plan.view is input and changed_at_once(input, values, plan.indices, plan.dims, accumulate)


@operator(inplace=_put_at_once)
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with `values` written (or with `accumulate` added) at `indices`."""
    if values.dtype is not input.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {input.dtype.tensor_type} "
            f"for the destination and {values.dtype.tensor_type} for the source."
        )
    if is_tracing() and len(indices) == 1 and _masks_whole(input, indices[0]):
        from flambeau.ops.positions import put_where

        mask = indices[0]
        if values.ndim <= input.ndim - mask.ndim:
            return put_where(input, mask, values, accumulate)
    plan = _index_plan(input, indices)
    return _index_put(input, values, *plan.indices, dims=tuple(plan.dims), accumulate=accumulate)


# Along one dimension ------------------------------------------------------------------------------


#: The elements that `index` (int64, as many dimensions) picks along `dim`. `within`: the indices are known to be in
#: range, so that a compiled program may compare each position with them instead, which fuses.
_gather = Primitive(
    "gather",
    "input index",
    lambda x, index, dim, within=False: flat.read_along(x, index, dim),
    rule=lambda x, index, dim, within=False: Spec(index.shape, x.dtype),
    derivative={
        "input": lambda g, input_shape, index, dim: _scatter_add(g.new_zeros(input_shape), index, g, dim=dim, within=True)
    },
    lowering=Kernel("gather"),
)


_scatter_add = Primitive(
    "scatter_add",
    "input index src",
    lambda x, index, src, dim, within=False: flat.write_along(x, index, src, dim, "add"),
    rule=lambda x, index, src, dim, within=False: x,
    derivative={"input": lambda g: g, "src": lambda g, index, dim: _gather(g, index, dim=dim, within=True)},
    lowering=Kernel("scatter", ("add",)),
)


def _check_index(name: str, input: Tensor, dim: int, index: Tensor) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if index.ndim != input.ndim and (index.ndim or 1) != (input.ndim or 1):
        what = "input" if name == "gather" else "self"
        raise RuntimeError(f"Index tensor must have the same number of dimensions as {what} tensor")


@operator(out=True)
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """`out[i][j] = input[index[i][j]][j]` for dim 0, and so on: one element for each of `index`."""
    dim = wrap_dim(dim, input.ndim)
    if index._array.size == 0:
        return input.reshape(-1).narrow(0, 0, 0).reshape(index.shape)
    _check_index("gather", input, dim, index)
    for d, (a, b) in enumerate(zip(index._array.shape, input._array.shape, strict=False)):
        if d != dim and a > b:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger "
                f"than self {list(input.shape)} apart from dimension {dim}"
            )
    if input.ndim == 0 or index.ndim == 0:
        vector = _gather(input.reshape(-1), index.reshape(-1).long(), dim=0)
        return vector.reshape(index._array.shape)
    return _gather(input, index.long(), dim=dim)


def picked(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """`gather` at indices (int64, as many dimensions) that are known to be in range."""
    return _gather(input, index, dim=dim, within=True)


@operator(out=True)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements of dimension `dim` at the positions in a 1-dim `index`."""
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    dim = wrap_dim(dim, input.ndim)
    size = input._array.shape[dim] if input.ndim else 1
    verify(index, partial(check_rows, size))
    if input.ndim == 0:
        return _index(input.reshape(1), index.long().reshape(-1), dims=(0,)).reshape(())
    return _index(input, index.long().reshape(-1), dims=(dim,))


def check_rows(size: int, index: np.ndarray) -> None:
    """Raises `IndexError` unless every index is a row of `size`."""
    if not flat.all_within(index, size):
        raise IndexError("index out of range in self")


@operator(method=False)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of `weight` (n, d) at the positions `input`: (*) -> (*, d)."""
    verify(input, partial(check_rows, weight._array.shape[0]))
    return _index(weight, input.long(), dims=(0,))


@operator(method=True, out=False)
def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """The positions of the elements that are not zero: (count, dims), or a tuple of one tensor a dim."""
    need_value("nonzero()")
    array = input._array
    if array.ndim == 0 and as_tuple:
        array = array.reshape(1)
    found = nonzero_places(array) if array.ndim else (np.zeros((int(bool(array)), 0), np.int64).T,)
    if as_tuple:
        return tuple(wrap(f.astype(np.int64)) for f in found)
    if array.ndim == 0:
        result = wrap(np.zeros((int(bool(array)), 0), np.int64))
    else:
        rows = np.empty((len(found[0]), len(found)), np.int64)
        for d, coordinates in enumerate(found):
            rows[:, d] = coordinates
        result = wrap(rows)
    if out is not None:
        return out.resize_(result.shape).copy_(result)
    return result


@operator(out=True)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements at which `mask` is true, in one dimension; both broadcast."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input._array.shape, mask._array.shape)
    if not shape:
        return getitem(input.reshape(1), mask.reshape(1))
    return getitem(input.expand(shape), mask.expand(shape))


__all__ = ["embedding", "gather", "getitem", "index_select", "setitem", "where"]
