"""Joining tensors, and repeating one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import as_shape, wrap_dim
from flambeau.ops.padding import constant_pad_nd
from flambeau.ops.parts import take_slice
from flambeau.ops.pointwise import result_dtype
from flambeau.ops.shape import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    contiguous_copy,
    expand,
    reshape,
    unsqueeze,
)
from flambeau.ops.table import Kernel, Primitive, Spec, operator, write_out
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import is_tracing, need_value


def _cat_rule(*specs: Any, dim: int) -> Spec:
    shape = list(specs[0].shape)
    shape[dim] = sum(s.shape[dim] for s in specs)
    return Spec(shape, specs[0].dtype)


_cat = Primitive(
    "cat",
    "tensors*",
    lambda *arrays, dim: np.concatenate(arrays, dim),
    rule=_cat_rule,
    derivative={"tensors": lambda g, tensors_shape, position, dim: _cat_part(g, tensors_shape, position, dim)},
    lowering=Kernel("cat"),
)


def _cat_part(g: Tensor, shapes: Sequence[Any], index: int, dim: int) -> Tensor:
    start = sum(s[dim] for s in shapes[:index])
    return take_slice(g, dim, start, start + shapes[index][dim])


def _several(function: str, tensors: Any) -> tuple[Tensor, ...]:
    """A sequence of tensors as a tuple. Raises `TypeError` for anything else."""
    if isinstance(tensors, Tensor):
        raise TypeError(f"{function}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    tensors = tuple(tensors)
    for place, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            kind = type(x).__name__
            raise TypeError(f"expected Tensor as element {place} in argument 0, but got {kind}")
    return tensors


@operator(method=False, out=True, aliases=("concat", "concatenate"))
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after another along `dim`. Empty 1-dim tensors are left out, as in PyTorch."""
    dim = dim if axis is None else axis
    tensors = _several("cat", tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    if any(x.ndim == 0 for x in tensors):
        raise RuntimeError(
            f"zero-dimensional tensor (at position {[x.ndim for x in tensors].index(0)}) cannot be concatenated"
        )
    common = tensors[0].dtype
    if any(x.dtype is not common for x in tensors):
        common = result_dtype(*tensors)
    full = [x for x in tensors if x._array.shape != (0,)] or list(tensors[:1])
    rank = full[0].ndim
    dim = wrap_dim(dim, rank)
    for i, x in enumerate(full[1:], 1):
        if x.ndim != rank:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {rank} and {x.ndim}")
        for d, (a, b) in enumerate(zip(full[0]._array.shape, x._array.shape, strict=True)):
            if a != b and d != dim:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {a} but got "
                    f"size {b} for tensor number {i} in the list."
                )
    return _cat(*[x if x.dtype is common else x.to(common) for x in full], dim=dim)


def _stacked_arrays(*arrays: np.ndarray, dim: int) -> np.ndarray:
    if not arrays[0].flags.c_contiguous:  # the order of the parts' dimensions in memory is kept
        return np.concatenate([np.expand_dims(x, dim) for x in arrays], dim)
    shape = list(arrays[0].shape)
    shape.insert(dim, len(arrays))
    out = np.empty(shape, arrays[0].dtype)
    before = (slice(None),) * dim
    for place, x in enumerate(arrays):
        out[(*before, place)] = x
    return out


#: What `cat` of unsqueezed tensors gives, in one step: the short path of eager calls.
_stack = Primitive(
    "stack",
    "tensors*",
    _stacked_arrays,
    derivative={"tensors": lambda g, position, dim: g.select(dim, position)},
)


@operator(method=False, out=True)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, of equal shape, along a new dimension `dim`."""
    tensors = _several("stack", tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, x in enumerate(tensors):
        if x._array.shape != tensors[0]._array.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 "
                f"and {list(x.shape)} at entry {i}"
            )
    dim = wrap_dim(dim, tensors[0].ndim + 1)
    if not is_tracing() and all(x._array.dtype is tensors[0]._array.dtype for x in tensors):
        return _stack(*tensors, dim=dim)
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def _stacked(name: str, prepare: Any, dim: Any, doc: str, aliases: tuple = ()) -> Any:
    """`hstack` and its kind: `prepare` gives every tensor enough dimensions, then they are joined."""

    def call(tensors: Sequence[Tensor]) -> Tensor:
        tensors = tuple(tensors)
        if not tensors:
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        parts = tuple(map(prepare, tensors))
        return cat(parts, dim(parts[0]) if callable(dim) else dim)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return operator(call, method=False, out=True, aliases=aliases)


hstack = _stacked(
    "hstack", atleast_1d, lambda first: 0 if first.ndim == 1 else 1, "The tensors side by side."
)
vstack = _stacked("vstack", atleast_2d, 0, "The tensors one under the other.", ("row_stack",))
dstack = _stacked("dstack", atleast_3d, 2, "The tensors one behind the other, along the third dimension.")
column_stack = _stacked(
    "column_stack",
    lambda x: x if x.ndim > 1 else reshape(x, (x._array.size, 1)),
    1,
    "The tensors side by side; vectors and numbers are columns.",
)


@operator(function_name=False)
def repeat(self: Tensor, *counts: Any, repeats: Any = None) -> Tensor:
    """The tensor copied `repeats[i]` times along each dimension (new ones in front)."""
    counts = as_shape(counts if repeats is None else (repeats,))
    if len(counts) < self.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    shape = (1,) * (len(counts) - self.ndim) + tuple(self._array.shape)
    interleaved = reshape(self, [m for n in shape for m in (1, n)])
    expanded = expand(interleaved, [m for c, n in zip(counts, shape, strict=True) for m in (c, n)])
    return reshape(contiguous_copy(expanded), [c * n for c, n in zip(counts, shape, strict=True)])


@operator
def tile(input: Tensor, *counts: Any, dims: Any = None) -> Tensor:
    """As `repeat`, with missing counts in front taken as 1."""
    counts = as_shape(counts if dims is None else (dims,))
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


@operator
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element of `dim` (of the flattened tensor, if `None`) `repeats` times, one after another.

    repeats: an int, or a tensor of counts, one an element. With one argument, a tensor of counts, gives
        the number of each element that many times. output_size: the sum of the counts, where known.
    """
    if repeats is None:
        _check_repeats(input)
        need_value("repeat_interleave() with a tensor of counts")
        return wrap(np.repeat(np.arange(input._array.size), input._array))
    if dim is None:
        input, dim = reshape(input, -1), 0
    dim = wrap_dim(dim, input.ndim)
    input = input if input.ndim else reshape(input, 1)
    shape = tuple(input._array.shape)
    if isinstance(repeats, Tensor):
        _check_repeats(repeats)
        if repeats._array.size == 1 and shape[dim] != 1:
            repeats = expand(reshape(repeats, 1), shape[dim])
        if repeats._array.size != shape[dim]:
            raise RuntimeError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = "
                f"{repeats._array.size} and input.size({dim}) = {shape[dim]}"
            )
        places = _places_of(repeats, output_size)
        return input.index_select(dim, places)
    count = int(repeats)
    if count < 0:
        raise RuntimeError("Repeats must be non-negative")
    if output_size is not None and output_size != count * shape[dim]:
        raise RuntimeError(
            f"repeat_interleave: Invalid output_size, expected {count * shape[dim]} but got {output_size}"
        )
    spread = expand(unsqueeze(input, dim + 1), (*shape[: dim + 1], count, *shape[dim + 1 :]))
    return reshape(contiguous_copy(spread), (*shape[:dim], shape[dim] * count, *shape[dim + 1 :]))


def _places_of(repeats: Tensor, output_size: int | None) -> Tensor:
    """The number of each element, as many times as `repeats` says; there are `output_size`, if given."""
    if is_tracing() and output_size is not None:
        ends = repeats.long().cumsum(0)
        return (wrap(np.arange(output_size)[:, None]) >= ends).sum(1)
    places = repeat_interleave(repeats)
    if output_size is not None and output_size != places._array.size:
        raise RuntimeError("allocated size does not match required size")
    return places


def _check_repeats(repeats: Tensor) -> None:
    if repeats.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        kind = repeats.dtype.tensor_type
        raise NotImplementedError(f"\"repeat_interleave_cpu\" not implemented for '{kind}'")
    array = repeats._array
    if isinstance(array, np.ndarray) and array.size and array.min() < 0:
        raise RuntimeError("repeats can not be negative")


@operator(method=False)
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors (of at most 2 dims; vectors are rows) along its diagonal, 0 elsewhere."""
    for place, x in enumerate(tensors):
        if x.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                f"Input {place} has {x.ndim} dimensions"
            )
    if not tensors:
        return wrap(np.zeros((1, 0), dtypes.get_default_dtype().numpy))
    blocks = [atleast_2d(x) for x in tensors]
    width = sum(x._array.shape[1] for x in blocks)
    rows, start = [], 0
    for x in blocks:
        stop = start + x._array.shape[1]
        rows.append(constant_pad_nd(x, (start, width - stop)))
        start = stop
    return cat(rows)


@operator(method=False)
def _chunk_cat(tensors: Sequence[Tensor], dim: int, num_chunks: int, *, out: Tensor | None = None) -> Tensor:
    """Each tensor cut into `num_chunks` along `dim` (filled up with zeros), flattened from there on, and
    all joined: (..., num_chunks, sum of the chunks' sizes).
    """
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("_chunk_cat expects a non-empty input tensor list")
    if num_chunks < 1:
        raise RuntimeError("_chunk_cat expects positive num_chunks")
    dim = wrap_dim(dim, tensors[0].ndim)
    parts = []
    for x in tensors:
        shape = tuple(x._array.shape)
        size = -(-shape[dim] // num_chunks)
        pad = [0] * (2 * (len(shape) - dim))
        pad[-1] = size * num_chunks - shape[dim]
        parts.append(reshape(constant_pad_nd(x, pad), (*shape[:dim], num_chunks, size * math.prod(shape[dim + 1 :]))))
    joined = cat(parts, dim + 1)
    return joined if out is None else write_out(out, joined, "_chunk_cat")
