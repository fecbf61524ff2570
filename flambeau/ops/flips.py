"""The order of elements along a dimension: flipping, rolling, turning."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core.shapes import as_shape, wrap_dim, wrap_dims
from flambeau.ops.joining import cat
from flambeau.ops.parts import take_slice
from flambeau.ops.shape import reshape
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
def flip(input: Tensor, *dims: Any) -> Tensor:
    """The order of elements reversed along `dims`; a copy."""
    wanted = as_shape(dims)
    return _flip(input, dims=wrap_dims(wanted, input.ndim) if wanted else ())


@operator
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements shifted along `dims`; what leaves at the end enters at the start."""
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
