"""The order of elements along a dimension: flipping, rolling, turning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.shapes import as_shape, wrap_dim, wrap_dims
from flambeau.ops.joining import cat
from flambeau.ops.parts import take_slice
from flambeau.ops.shape import contiguous_copy, reshape, transpose
from flambeau.ops.table import Kernel, Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor

_flip = Primitive(
    "flip",
    "input",
    lambda x, dims: np.flip(x, dims).copy(),
    rule=lambda x, dims: Spec(x.shape, x.dtype),
    derivative={"input": lambda g, dims: _flip(g, dims=dims)},
    lowering=Kernel("flip"),
)


@operator
def flip(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """The order of elements reversed along `dims`; a copy."""
    wanted = as_shape(axes if dims is None else (dims,))
    return _flip(input, dims=wrap_dims(wanted, input.ndim) if wanted else ())


@operator
def fliplr(input: Tensor) -> Tensor:
    """The order of the columns reversed; a copy. Raises `RuntimeError` below 2 dims."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@operator
def flipud(input: Tensor) -> Tensor:
    """The order of the rows reversed; a copy. Raises `RuntimeError` for a 0-dim tensor."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@operator
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The plane of `dims` turned by `k` quarters from the first dimension towards the second; a copy.

    Raises `RuntimeError` unless `dims` are two different dimensions of a tensor of at least two.
    """
    rank = input.ndim
    if len(dims) != 2:
        raise RuntimeError(
            f"expected total rotation dims == 2, but got dims = {len(dims)}"
        )
    if rank < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {rank}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == rank:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    a, b = (wrap_dim(d, rank) for d in dims)
    k %= 4
    if k == 0:
        return contiguous_copy(input)
    if k == 2:
        return flip(input, a, b)
    return transpose(flip(input, b if k == 1 else a), a, b)


@operator
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements shifted along `dims`; what leaves at the end enters at the start."""
    shifts = int(shifts) if isinstance(shifts, np.integer) else shifts
    dims = int(dims) if isinstance(dims, np.integer) else dims
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if not isinstance(shifts, int) and len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return reshape(roll(reshape(input, -1), shifts, 0), input.shape)
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(shifts) != len(dims):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    out = input
    for shift, dim in zip(shifts, dims, strict=True):
        dim = wrap_dim(dim, input.ndim)
        size = input._array.shape[dim] if input.ndim else 1
        start = -shift % size if size else 0
        if start:
            out = cat([take_slice(out, dim, start, size), take_slice(out, dim, 0, start)], dim)
    return out.clone() if out is input else out
