"""Reading and writing at positions, on arrays: many by the kernels of compiled programs, few by NumPy.

NumPy is fastest with positions in flat memory: `np.add.at` with one index of it is some six times as fast as with an index
a dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.ops.familiar import Familiar

#: How elements are joined to what stands at their places; "set" puts them there.
JOINED_BY = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}

#: Elements that are read or written, and joined, from which on that is worth a kernel.
MANY, JOINED = 1 << 14, 1 << 11
_familiar = Familiar()
_SAME_SIZE = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


# What operators call ------------------------------------------------------------------------------


def read_along(x: np.ndarray, index: np.ndarray, dim: int) -> np.ndarray:
    """The elements that `index` picks along `dim`. Raises `RuntimeError` for one out of range."""
    if index.size >= MANY:
        found = _read(x, (index,), dim)
        if found is not None:
            return found
    if x.flags.c_contiguous:
        return x.reshape(-1).take(along(x.shape, index, dim))
    return np.ascontiguousarray(x[_grid(x, index, dim)])


def write_along(x: np.ndarray, index: np.ndarray, src: np.ndarray, dim: int, op: str) -> np.ndarray:
    """A copy of `x` with each element of `src` at, or joined to the one at, its place along `dim`; of several the last
    stays, and all are joined in order. Raises `RuntimeError` for an index out of range.
    """
    if index.size >= (MANY if op == "set" else JOINED):
        made = _written(x, (index,), src, dim, op)
        if made is not None:
            return made
    return _joined(x, along(x.shape, index, dim), src, op)


def read_at(x: np.ndarray, indices: tuple[np.ndarray, ...], dims: tuple[int, ...]) -> np.ndarray:
    """`x[indices]`, in row-major order as PyTorch lays it out (NumPy may not). Raises `IndexError` for one out of range."""
    one = len(dims) == 1 and x.flags.c_contiguous
    inner = one and dims[0] == 0 and x.ndim > 1  # whole rows, which NumPy copies as fast
    if not inner and _count(x, indices, dims) >= MANY:
        found = _read(x, indices, dims)
        if found is not None:
            return found
    if one:
        return np.asarray(x.take(indices[0], dims[0]))
    return np.ascontiguousarray(x[_key(indices, dims, x.ndim)])


def write_at(
    x: np.ndarray, indices: tuple[np.ndarray, ...], src: np.ndarray, dims: tuple[int, ...], op: str
) -> np.ndarray:
    """A copy of `x` with `src` written at, or added to what stands at, `indices`."""
    if _count(x, indices, dims) >= (MANY if op == "set" else JOINED):
        made = _written(x, indices, src, dims, op)
        if made is not None:
            return made
    if op != "set":
        return _joined(x, at(x.shape, indices, dims), src, op)
    out = x.copy()
    out[_key(indices, dims, x.ndim)] = src
    return out


def _count(x: np.ndarray, indices: tuple[np.ndarray, ...], dims: tuple[int, ...]) -> int:
    """About how many elements `x[indices]` has."""
    return max(i.size for i in indices) * (x.size // max(math.prod(x.shape[d] for d in dims), 1))


def change_along(x: np.ndarray, index: np.ndarray, src: np.ndarray, dim: int, op: str) -> None:
    """`write_along` in place. Raises `RuntimeError` for an index out of range, before anything is changed."""
    if np.may_share_memory(x, src):
        src = src.copy()
    if index.size >= (MANY if op == "set" else JOINED) and not (op != "set" and _is_narrow(x.dtype)):
        if _written(x, (index,), src, dim, op, x) is not None:
            return
    if op == "set":
        x[_grid(x, index, dim)] = src
    elif _is_narrow(x.dtype):
        x[...] = write_along(x, index, src, dim, op)
    else:
        JOINED_BY[op].at(x, _grid(x, index, dim), src)


def change_at(
    x: np.ndarray, indices: tuple[np.ndarray, ...], src: np.ndarray, dims: tuple[int, ...], op: str
) -> None:
    """`write_at` in place. Raises `IndexError` for an index out of range, before anything is changed."""
    if np.may_share_memory(x, src):
        src = src.copy()
    if _count(x, indices, dims) >= (MANY if op == "set" else JOINED) and not (op != "set" and _is_narrow(x.dtype)):
        if _written(x, indices, src, dims, op, x) is not None:
            return
    key = _key(indices, dims, x.ndim)
    if op == "set":
        x[key] = src
    elif _is_narrow(x.dtype):
        x[...] = write_at(x, indices, src, dims, op)
    else:
        JOINED_BY[op].at(x, key, src)


# Kernels ------------------------------------------------------------------------------------------


Layout = tuple[tuple[int, ...], tuple[int, ...]]


def _layout(x: np.ndarray) -> Layout:
    item = x.itemsize
    return x.shape, tuple([s // item for s in x.strides])


@lru_cache(4096)
def _sought(x: Layout, indices: tuple[Layout, ...], dims: Any) -> Any:
    from flambeau.kernels import positions

    return positions.along(x, indices[0], dims) if isinstance(dims, int) else positions.at(x, indices, dims)


def _fits(*arrays: np.ndarray) -> bool:
    """Whether there is something in all of them, and steps go from element to element."""
    return all(a.size and not any(s % a.itemsize or s < 0 for s in a.strides) for a in arrays)


def _read(x: np.ndarray, indices: tuple[np.ndarray, ...], dims: Any) -> np.ndarray | None:
    number = _SAME_SIZE.get(x.itemsize)
    if number is None or not _fits(x, *indices) or any(i.dtype != np.int64 for i in indices):
        return None
    layouts = _layout(x), tuple(map(_layout, indices)), dims
    if not _familiar((number, layouts)):
        return None
    from flambeau.kernels import call

    sought = _sought(*layouts)
    out = np.empty(sought.shape, x.dtype)
    _raise(call.read_at(x.view(number), sought, indices, out.view(number)), x, dims)
    return out


def _written(
    x: np.ndarray, indices: tuple[np.ndarray, ...], src: np.ndarray, dims: Any, op: str, into: np.ndarray | None = None
) -> np.ndarray | None:
    """A copy of `x`, or `into`, which is x, changed by a kernel; `None` if that is not worth it."""
    number = _SAME_SIZE.get(x.itemsize)
    if number is None or not _fits(x, src, *indices) or any(i.dtype != np.int64 for i in indices):
        return None
    if op != "set" and (x.dtype.kind == "c" or x.dtype != src.dtype):
        return None
    if into is not None and not _fits(into):
        return None
    places = tuple(map(_layout, indices))
    if not _familiar((op, x.dtype, x.shape, _layout(src), places, dims, None if into is None else into.strides)):
        return None
    from flambeau.kernels import call

    narrow = op != "set" and _is_narrow(x.dtype)
    out = into
    if out is None:
        out = x.astype(np.float32, order="C") if narrow else x.copy(order="C")
    src = src.astype(out.dtype, copy=False)
    sought = _sought(_layout(out), places, dims)
    given = np.broadcast_to(src, sought.shape)
    if op == "set":
        fault = call.write_at(out.view(number), sought, indices, given.view(number), op)
    else:
        fault = call.write_at(out, sought, indices, given, op)
    _raise(fault, x, dims)
    return out.astype(x.dtype) if narrow else out


def _raise(fault: Any, x: np.ndarray, dims: Any) -> None:
    """Raises the error for a position that a kernel found out of range."""
    if fault is not None:
        dim, kind = (dims, RuntimeError) if isinstance(dims, int) else (dims[fault.index], IndexError)
        raise kind(_outside(fault.position, dim, x.shape[dim]))


# Places in flat memory ----------------------------------------------------------------------------


def all_within(index: np.ndarray, size: int) -> bool:
    """Whether every index is at least 0 and less than `size`: one pass, negatives seen as huge."""
    if index.dtype != np.int64:
        index = index.astype(np.int64)
    return not index.size or bool(np.ascontiguousarray(index).view(np.uint64).max() < size)


def _outside(position: int, dim: int, size: int) -> str:
    return f"index {position} is out of bounds for dimension {dim} with size {size}"


def _in_range(index: np.ndarray, dim: int, size: int, kind: type[Exception]) -> None:
    """Raises the error unless every index is within 0 and `size`."""
    if not all_within(index, size):
        raise kind(_outside(index[(index < 0) | (index >= size)].flat[0], dim, size))


def _grid(x: np.ndarray, index: np.ndarray, dim: int) -> tuple[np.ndarray, ...]:
    """NumPy's indices, one a dimension, for an index along one."""
    _in_range(index, dim, x.shape[dim], RuntimeError)
    grid = [_spread(n, 1, d, index.ndim) for d, n in enumerate(index.shape)]
    grid[dim] = index
    return tuple(grid)


def _key(indices: tuple[np.ndarray, ...], dims: tuple[int, ...], rank: int) -> tuple:
    key: list[Any] = [slice(None)] * rank
    for d, i in zip(dims, indices, strict=True):
        key[d] = i
    return tuple(key)


def _steps(shape: Sequence[int]) -> list[int]:
    """Elements from one to the next along each dimension of row-major memory of `shape`."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= max(n, 1)
    return steps[::-1]


def _spread(count: int, step: int, axis: int, rank: int) -> np.ndarray:
    """The positions of `count` elements `step` apart, along `axis` of `rank`."""
    return np.arange(0, count * step, step).reshape([-1 if d == axis else 1 for d in range(rank)])


def along(shape: Sequence[int], index: np.ndarray, dim: int) -> np.ndarray:
    """In flat memory of `shape`, the positions of the elements that `index` picks along `dim`."""
    _in_range(index, dim, shape[dim], RuntimeError)
    steps = _steps(shape)
    flat = index * steps[dim] if steps[dim] != 1 else index
    for d, n in enumerate(index.shape):
        if d != dim and n > 1:
            flat = flat + _spread(n, steps[d], d, index.ndim)
    return flat


def at(shape: Sequence[int], indices: Sequence[np.ndarray], dims: Sequence[int]) -> np.ndarray:
    """In flat memory of `shape`, the positions of `x[indices]`, in its shape; `dims` are those indexed."""
    steps = _steps(shape)
    picked = np.zeros((), np.int64)
    for d, index in zip(dims, indices, strict=True):
        index = np.where(index < 0, index + shape[d], index)
        _in_range(index, d, shape[d], IndexError)
        picked = picked + index * steps[d]
    rest = [d for d in range(len(shape)) if d not in dims]
    together = list(dims) == list(range(dims[0], dims[0] + len(dims)))
    begin = dims[0] if together else 0
    rank = len(rest) + picked.ndim
    flat = np.asarray(picked).reshape((*picked.shape, *[1] * (len(rest) - begin)))
    for j, d in enumerate(rest):
        flat = flat + _spread(shape[d], steps[d], j if j < begin else j + picked.ndim, rank)
    return flat


def _is_narrow(dtype: np.dtype) -> bool:
    """Whether it has too few digits to add up in."""
    return dtype.kind == "V" or dtype == np.float16


def _joined(x: np.ndarray, places: np.ndarray, src: np.ndarray, op: str) -> np.ndarray:
    """A copy of `x` with each element of `src` at, or joined to the one at, its place in flat memory."""
    if op == "set":
        out = x.copy()
        out.reshape(-1)[places] = src
        return out
    out = x.astype(np.float32, order="C") if _is_narrow(x.dtype) else x.copy()
    src = np.broadcast_to(src, places.shape).astype(out.dtype, copy=False)
    JOINED_BY[op].at(out.reshape(-1), places.reshape(-1), src.reshape(-1))
    return out.astype(x.dtype, copy=False)
