"""What dense tensors answer when they are asked as sparse ones, and the older products of sparse matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import device as devices
from flambeau.ops.joining import cat, stack
from flambeau.ops.ranges import arange
from flambeau.ops.sparse import SparseTensor
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor

_NAMES = {
    devices.strided: "Strided",
    devices.sparse_coo: "Sparse",
    devices.sparse_csr: "SparseCsr",
    devices.sparse_csc: "SparseCsc",
}
#: What each method needs; sparse tensors that have it define it themselves.
_NEEDED = {
    "coalesce": "sparse coordinate tensor",
    "is_coalesced": "sparse coordinate tensor",
    "indices": "sparse coordinate tensor",
    "values": "sparse tensor",
    "crow_indices": "sparse row compressed tensor",
    "col_indices": "sparse row compressed tensor",
    "ccol_indices": "sparse column compressed tensor",
    "row_indices": "sparse column compressed tensor",
}
_UNAVAILABLE = ("_indices", "_values", "_nnz", "sparse_resize_", "sparse_resize_and_clear_", "resize_as_sparse_")


def _refused(name: str, needed: str) -> Callable[..., Any]:
    def method(self: Tensor) -> Any:
        raise RuntimeError(f"{name} expected {needed} layout but got {_NAMES[self.layout]}")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Raises `RuntimeError`: it is of a {needed}."
    return method


def _unavailable(name: str) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"Could not run 'aten::{name}' with arguments from the 'CPU' backend: the tensor is not sparse"
        )

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Raises `NotImplementedError`: it is of sparse tensors."
    return method


for _name, _kind in _NEEDED.items():
    operator(_refused(_name, _kind), function_name=False)
for _name in _UNAVAILABLE:
    operator(_unavailable(_name), function_name=False)


@operator(function_name=False)
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """The tensor itself, in `dtype` if given: it is dense already."""
    return self if dtype is None else self.to(dtype)


@operator(function_name=False)
def sparse_dim(self: Tensor) -> int:
    """How many dimensions are sparse: none."""
    return 0


@operator(function_name=False)
def dense_dim(self: Tensor) -> int:
    """How many dimensions are dense: all."""
    return self.ndim


# Copies of the parts of sparse tensors ------------------------------------------------------------


def _copied(name: str) -> Callable[..., Any]:
    def call(input: Tensor) -> Tensor:
        return getattr(input, name)().clone()

    call.__name__ = call.__qualname__ = name + "_copy"
    call.__doc__ = f"A copy of `Tensor.{name}`."
    return call


for _name in ("values", "indices", "crow_indices", "col_indices", "ccol_indices", "row_indices"):
    operator(_copied(_name), method=False, out=True)


# Older products -----------------------------------------------------------------------------------


@operator(method=False, out=True)
def dsmm(input: Tensor, mat2: Tensor) -> Tensor:
    """A sparse matrix times a dense one: dense."""
    return input @ mat2


@operator(method=False, out=True, aliases=("hsmm",))
def hspmm(mat1: Tensor, mat2: Tensor) -> SparseTensor:
    """A sparse matrix times a dense one, as a sparse tensor of whole rows: one sparse dimension, one dense."""
    if not mat1.is_sparse:
        raise RuntimeError(f"hspmm: expected a sparse matrix as the first factor, but got layout {mat1.layout}")
    x = mat1.coalesce()  # type: ignore[attr-defined]
    rows = x.indices()[0].unique()
    product = (x @ mat2).index_select(0, rows)
    return SparseTensor(rows.unsqueeze(0), product, (mat1.shape[0], mat2.shape[1]), coalesced=True)


@operator(out=True, aliases=("saddmm",))
def sspaddmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> SparseTensor:
    """`beta * input + alpha * mat1 @ mat2` of sparse `input` and `mat1` and dense `mat2`, sparse."""
    if not input.is_sparse or not mat1.is_sparse:
        raise RuntimeError("tensor.sspaddmm(...) can only be called on sparse tensors")
    x, product = input.coalesce(), hspmm(mat1, mat2)  # type: ignore[attr-defined]
    rows, columns = product.indices()[0], product.shape[1]
    places = stack([rows.repeat_interleave(columns), arange(columns).repeat(len(rows))])
    return SparseTensor(
        cat([x.indices(), places], 1), cat([x.values() * beta, product.values().reshape(-1) * alpha]), input.shape
    )


@operator(out=True)
def smm(input: Tensor, mat2: Tensor) -> SparseTensor:
    """A sparse matrix times a dense one, as a sparse tensor of the elements of all rows that `input` has."""
    nothing = SparseTensor(
        arange(0).reshape(1, 0).repeat(2, 1), mat2.new_zeros(0), (input.shape[0], mat2.shape[1]), coalesced=True
    )
    return sspaddmm(nothing, input, mat2)
