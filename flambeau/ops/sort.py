"""Sorting and order statistics: sort, argsort, msort, topk, kthvalue, median.

Positions come from one primitive, `sort_positions`; the values are gathered at them, so that each operator
differentiates through `gather`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dim
from flambeau.ops.ordering import order
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.results import named_result
from flambeau.ops.table import Kernel, Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, wrap

SortResult = named_result("sort", "values", "indices")
TopkResult = named_result("topk", "values", "indices")
KthvalueResult = named_result("kthvalue", "values", "indices")
MedianResult = named_result("median", "values", "indices")
NanmedianResult = named_result("nanmedian", "values", "indices")


#: The stable order along `dim`, or the `first` places of it; NaN counts as the largest.
_sort_positions = Primitive(
    "sort_positions",
    "input",
    lambda x, dim, descending, first=None: order(x, descending, first, dim),
    rule=lambda x, dim, descending, first=None: Spec(
        x.shape if first is None else (*x.shape[:dim], first, *x.shape[dim + 1 :]), np.dtype(np.int64)
    ),
    lowering=Kernel("sort"),
)


def _order(input: Tensor, dim: int, descending: bool, first: int | None = None) -> Tensor:
    if input.is_complex():
        raise RuntimeError("sort(): complex numbers have no order; sort input.abs() or input.real")
    if input.ndim == 0:
        return wrap(np.zeros((), np.int64))
    return _sort_positions(input, dim=dim, descending=descending, first=first)


@operator(out=True)
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> tuple[Tensor, Tensor]:
    """(values, indices) in order along `dim`; equal elements keep their order, NaN is the largest."""
    expect_tensor(input, "sort")
    dim = wrap_dim(dim, input.ndim)
    indices = _order(input, dim, descending)
    return SortResult(input.gather(dim, indices), indices)


@operator
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """The positions that put `input` in order along `dim`."""
    expect_tensor(input, "argsort")
    return _order(input, wrap_dim(dim, input.ndim), descending)


@operator(out=True)
def msort(input: Tensor) -> Tensor:
    """The values in ascending order along the first dimension."""
    return input.clone() if input.ndim == 0 else sort(input, 0)[0]


@operator(out=True)
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Tensor, Tensor]:
    """The `k` largest (or smallest) elements along `dim`: (values, indices).

    Raises `RuntimeError` where the dimension has fewer than `k`.
    """
    expect_tensor(input, "topk")
    dim = wrap_dim(dim, input.ndim)
    if not 0 <= k <= (input._array.shape[dim] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    indices = _order(input, dim, largest, k)
    return TopkResult(input.gather(dim, indices), indices)


def _one_of_order(input: Tensor, indices: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """The elements at `indices` (1 along `dim`), and those positions."""
    values = input.gather(dim, indices)
    if keepdim or input.ndim == 0:
        return values, indices
    return values.squeeze(dim), indices.squeeze(dim)


@operator(out=True)
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    """The `k`-th smallest element (from 1) along `dim`: (values, indices)."""
    expect_tensor(input, "kthvalue")
    dim = wrap_dim(dim, input.ndim)
    if not 1 <= k <= (input._array.shape[dim] if input.ndim else 1):
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(dim))
    indices = _order(input, dim, False, k)
    if input.ndim:
        indices = indices.narrow(dim, k - 1, 1)
    return KthvalueResult(*_one_of_order(input, indices, dim, keepdim))


def _evenly(g: Tensor, middle: Tensor, input: Tensor) -> Tensor:
    """`g` in equal parts for all elements that are the median."""
    equal = ((input == middle) | (input.isnan() & middle.isnan())).to(g.dtype)
    return g * equal / equal.sum()


#: `middle`, the median of all of `input`.
_spread = Primitive(
    "median", "middle input", lambda middle, input: middle, rule=lambda middle, input: middle,
    derivative={"input": _evenly},
)  # fmt: skip


def _median(input: Tensor, dim: int | None, keepdim: bool, ignore_nan: bool, kind: Any) -> Any:
    if dim is None:
        if input._array.size == 0:
            return input.new_full((), math.nan if input.is_floating_point() else 0)
        middle = _median(input.detach().reshape(-1), 0, False, ignore_nan, kind)[0]
        return _spread(middle, input)
    dim = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        return kind(input.clone(), wrap(np.zeros((), np.int64)))
    size = input._array.shape[dim]
    if size == 0:
        raise IndexError(f"median(): Expected reduction dim {dim} to have non-zero size.")
    if not _may_have_nan(input):
        indices = _order(input, dim, False, (size + 1) // 2).narrow(dim, (size - 1) // 2, 1)
        return kind(*_one_of_order(input, indices, dim, keepdim))
    order = _order(input, dim, False)
    middle = input.new_full((), (size - 1) // 2, dtype=dtypes.int64)
    missing = input.isnan().sum(dim, keepdim=True)
    # NaN sorts last: among the others the middle lies lower; for `median` any NaN is the answer.
    present = ((size - missing).clamp(min=1) - 1) // 2
    first_nan = (size - missing).clamp(max=size - 1)
    middle = present if ignore_nan else (missing > 0).long() * (first_nan - middle) + middle
    shape = list(input._array.shape)
    shape[dim] = 1
    indices = order.gather(dim, middle.expand(shape))
    return kind(*_one_of_order(input, indices, dim, keepdim))


def _may_have_nan(input: Tensor) -> bool:
    """Whether a NaN is among the elements, as far as they are known."""
    array = input._array
    known = isinstance(array, np.ndarray)
    return input.is_floating_point() and not (known and not np.isnan(array).any())


@operator(out=True)
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the middle elements; with `dim` (values, indices). A NaN anywhere is the answer."""
    return _median(input, dim, keepdim, False, MedianResult)


@operator(out=True)
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` without regard to NaN; NaN only where there is nothing else."""
    return _median(input, dim, keepdim, True, NanmedianResult)
