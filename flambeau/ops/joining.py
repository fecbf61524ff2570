"""Joining tensors, and repeating one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.core.shapes import as_shape, wrap_dim
from flambeau.ops.parts import take_slice
from flambeau.ops.pointwise import expect_tensor, result_dtype
from flambeau.ops.shape import expand, reshape, unsqueeze
from flambeau.ops.table import Kernel, Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor


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


@operator(method=False, out=True, aliases=("concat", "concatenate"))
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after another along `dim`. Empty 1-dim tensors are left out, as in PyTorch."""
    dim = dim if axis is None else axis
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    for x in tensors:
        expect_tensor(x, "cat", "tensors")
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


@operator(method=False, out=True)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, of equal shape, along a new dimension `dim`."""
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, x in enumerate(tensors):
        if x._array.shape != tensors[0]._array.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 "
                f"and {list(x.shape)} at entry {i}"
            )
    dim = wrap_dim(dim, tensors[0].ndim + 1)
    return cat([unsqueeze(x, dim) for x in tensors], dim)


@operator(function_name=False)
def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """The tensor copied `repeats[i]` times along each dimension (new ones in front)."""
    counts = as_shape(repeats)
    if len(counts) < self.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    shape = (1,) * (len(counts) - self.ndim) + tuple(self._array.shape)
    interleaved = reshape(self, [m for n in shape for m in (1, n)])
    expanded = expand(interleaved, [m for c, n in zip(counts, shape, strict=True) for m in (c, n)])
    return reshape(
        expanded.clone(memory_format=devices.contiguous_format),
        [c * n for c, n in zip(counts, shape, strict=True)],
    )


@operator
def tile(input: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, with missing counts in front taken as 1."""
    counts = as_shape(dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)
