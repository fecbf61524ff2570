"""Norms over dimensions: norm, dist."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import dtypes
from flambeau.core.shapes import reduced_shape, wrap_dims
from flambeau.ops import on_kernels
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state


def _root(total: Tensor, p: float) -> Tensor:
    """`total ** (1 / p)` with gradient 0 where `total` is 0, as PyTorch's norms have it."""
    flat = total == 0
    inside = total.masked_fill(flat, 1)
    root = inside.sqrt() if p == 2 else inside ** (1 / p)
    # A negative order of a zero element gives an infinite total, whose root is 0 by itself.
    return root.masked_fill(flat, 0 if p > 0 else math.inf)


def vector_norm_of(x: Tensor, p: float, dims: Any, keepdim: bool) -> Tensor:
    """The `p`-norm of real or complex numbers over `dims`; squares of half-precision numbers are summed in single."""
    if x.dtype in (dtypes.float16, dtypes.bfloat16) and p not in (0, math.inf, -math.inf):
        return vector_norm_of(x.float(), p, dims, keepdim).to(x.dtype)
    if p == 0:
        return x.abs().masked_fill(x != 0, 1).sum(dims, keepdim)  # a count, whose gradient is 0
    if p == 2:
        if not state.busy and not (modes.grad_enabled and x.requires_grad):
            total = on_kernels.fold("sum of squares", x._array, dims)
            if total is not None:
                return wrap(np.sqrt(total.reshape(reduced_shape(x._array.shape, dims, keepdim))))
        squares = (x * x.conj()).real if x.is_complex() else x * x
        return _root(squares.sum(dims, keepdim), 2)
    size = x.abs()
    if p == math.inf:
        return size.amax(dims, keepdim)
    if p == -math.inf:
        return size.amin(dims, keepdim)
    if p == 1:
        return size.sum(dims, keepdim)
    if 0 < p < 1:  # the slope of |x|^p is infinite at 0; as in PyTorch zeros take no gradient
        zero = size == 0
        return _root((size.masked_fill(zero, 1) ** p).masked_fill(zero, 0).sum(dims, keepdim), p)
    return _root((size**p).sum(dims, keepdim), p)


@operator
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """The `p`-norm over `dim` (all by default): (sum |x|^p)^(1/p); "fro" is 2, inf the largest."""
    expect_tensor(input, "norm")
    if p == "nuc":
        return _nuclear(input if dtype is None else input.to(dtype), dim, keepdim, out)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"only valid string values are 'fro', 'nuc', found {p}")
    x = input if dtype is None else input.to(dtype)
    if x.dtype.kind < dtypes.FLOATING:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.tensor_type}"
        )
    order = 2.0 if p in ("fro", None) else float(p)
    result = vector_norm_of(x, order, wrap_dims(dim, x.ndim), keepdim)
    return result if out is None else out.resize_(result.shape).copy_(result)


def _nuclear(x: Tensor, dim: Any, keepdim: bool, out: Tensor | None) -> Tensor:
    from flambeau.ops.equations import linalg_matrix_norm

    if dim is None and x.ndim != 2:
        raise RuntimeError("norm: p='nuc' is of matrices: give the two dimensions by dim=")
    result = linalg_matrix_norm(x, "nuc", (0, 1) if dim is None else dim, keepdim)
    return result if out is None else out.resize_(result.shape).copy_(result)


@operator
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The `p`-norm of `input - other`, broadcast."""
    return norm(input - other, p)
