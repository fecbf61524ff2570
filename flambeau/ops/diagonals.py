"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dim
from flambeau.ops.arithmetic import where
from flambeau.ops.creation import finish
from flambeau.ops.parts import _diagonal_backward, diagonal
from flambeau.ops.shape import contiguous_copy, reshape
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor, wrap


@operator(out=True)
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices whose diagonal (`offset` above the main one) is the last dimension of `input`, 0 elsewhere.

    dim1, dim2: where the dimensions of the matrices are put. Raises `RuntimeError` if they are one.
    """
    rank = input.ndim + 1
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    *batch, count = input._array.shape
    size = list(batch)
    for d in sorted((a, b)):
        size.insert(d, count + abs(offset))
    return _diagonal_backward(input, size=tuple(size), offset=offset, dim1=a, dim2=b)


@operator(out=True)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector `input` on its diagonal; of a matrix, the diagonal (a copy)."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return contiguous_copy(input.diagonal(diagonal))


@operator
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the elements of `input`, flattened, on its diagonal."""
    return diag_embed(reshape(input, -1), offset)


@operator
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return diagonal(input).sum()


def _triangle(lower: bool, rows: int, columns: int, offset: int) -> np.ndarray:
    return np.tri(rows, columns, offset, dtype=bool) if lower else ~np.tri(rows, columns, offset - 1, dtype=bool)


def _triangular(lower: bool, name: str) -> Any:
    def call(input: Tensor, diagonal: int = 0) -> Tensor:
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        rows, columns = input._array.shape[-2:]
        kept = _triangle(lower, rows, columns, int(diagonal))
        return where(wrap(kept), input, wrap(np.zeros((), input._array.dtype)))

    side = "above" if lower else "below"
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`input` with 0 {side} the diagonal that lies `diagonal` above the main one."
    return operator(call, inplace=True, out=True)


tril = _triangular(True, "tril")
triu = _triangular(False, "triu")


def _indices(lower: bool, name: str) -> Any:
    def call(
        row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None,
        layout: devices.layout | None = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        if row < 0 or col < 0:
            which = "row" if row < 0 else "col"
            raise RuntimeError(f"{which} must be non-negative, got{min(row, col)}")
        d = dtypes.as_dtype(dtypes.int64 if dtype is None else dtype)
        if d not in (dtypes.int32, dtypes.int64):
            raise RuntimeError(f"\"{name}\" not implemented for '{d.tensor_type}'")
        places = np.stack(np.nonzero(_triangle(lower, row, col, offset)))
        return finish(places.astype(d.numpy), device=device, layout=layout)

    side = "lower" if lower else "upper"
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"(2, count): rows and columns of the {side} triangle of a `row` x `col` matrix."
    return operator(call, method=False)


tril_indices = _indices(True, "tril_indices")
triu_indices = _indices(False, "triu_indices")


@operator(function_name=False)
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Writes a number on the main diagonal, in place; with `wrap` of a tall matrix, again below it."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    shape = tuple(self._array.shape)
    if self.ndim > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    count = min(shape)
    places = np.arange(count)
    grid = [places] * self.ndim
    if wrap and self.ndim == 2 and shape[0] > shape[1] + 1:
        flat = np.arange(0, shape[0] * shape[1], shape[1] + 1)
        grid = list(np.unravel_index(flat, shape))
    self[tuple(_tensor(g) for g in grid)] = fill_value  # type: ignore[index]
    return self


def _tensor(array: np.ndarray) -> Tensor:
    return wrap(array)
