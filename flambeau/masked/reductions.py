"""Reductions over `dim` (one dimension, several, or all) of the elements that `mask` picks."""

from __future__ import annotations

import math
from typing import Any

from flambeau import ops
from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dims
from flambeau.ops.norm import vector_norm_of
from flambeau.tensor.tensor import Tensor

Dims = int | tuple[int, ...] | None


def filled(input: Tensor, mask: Tensor | None, value: Any) -> Tensor:
    """`input` with `value` where the mask is False; of the shape of `input`, to which the mask broadcasts."""
    if mask is None:
        return input
    if mask.dtype is not dtypes.bool_:
        mask = mask.bool()
    return input.masked_fill(~mask.expand(input.shape), value)


def largest_of(dtype: Any, negative: bool) -> Any:
    """What is never smaller (or never larger) than any number of `dtype`."""
    if dtype.kind >= dtypes.FLOATING:
        return -math.inf if negative else math.inf
    if dtype is dtypes.bool_:
        return not negative
    info = dtypes.iinfo(dtype)
    return info.min if negative else info.max


def _sum_dtype(input: Tensor, dtype: Any) -> Any:
    if dtype is not None:
        return dtype
    return dtypes.int64 if input.dtype.kind < dtypes.FLOATING else input.dtype


def _dims(input: Tensor, dim: Dims) -> tuple[int, ...]:
    return () if dim == () else wrap_dims(dim, input.ndim)


def _count(input: Tensor, dims: tuple[int, ...], keepdim: bool, mask: Tensor | None) -> Tensor:
    ones = input.new_ones(input.shape, dtype=dtypes.int64)
    return _sum(filled(ones, mask, 0), dims, keepdim)


def _sum(x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    return x.sum(dims, keepdim) if dims else x.clone()


def sum(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The sum; 0 of no elements."""
    x = input.to(_sum_dtype(input, dtype))
    return _sum(filled(x, mask, 0), _dims(input, dim), keepdim)


def prod(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The product; 1 of no elements."""
    x = filled(input.to(_sum_dtype(input, dtype)), mask, 1)
    for d in sorted(_dims(input, dim), reverse=True):
        x = x.prod(d, keepdim)
    return x


def amax(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The largest element; minus infinity (or the smallest number) of none."""
    x = input if dtype is None else input.to(dtype)
    x = filled(x, mask, largest_of(x.dtype, True))
    dims = _dims(input, dim)
    return x.amax(dims, keepdim) if dims else x.clone()


def amin(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The smallest element; infinity (or the largest number) of none."""
    x = input if dtype is None else input.to(dtype)
    x = filled(x, mask, largest_of(x.dtype, False))
    dims = _dims(input, dim)
    return x.amin(dims, keepdim) if dims else x.clone()


def argmax(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The place of the largest element, as a number of the input's dtype, as PyTorch gives it."""
    x = input if dtype is None else input.to(dtype)
    return filled(x, mask, largest_of(x.dtype, True)).argmax(dim, keepdim).to(x.dtype)


def argmin(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The place of the smallest element, as a number of the input's dtype, as PyTorch gives it."""
    x = input if dtype is None else input.to(dtype)
    return filled(x, mask, largest_of(x.dtype, False)).argmin(dim, keepdim).to(x.dtype)


def mean(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The mean; NaN of no elements."""
    x = input if dtype is None else input.to(dtype)
    if x.dtype.kind < dtypes.FLOATING:
        raise ValueError(
            f"mean input dtype must be either floating point or complex, got {x.dtype}; give a floating-point dtype="
        )
    dims = _dims(input, dim)
    return _sum(filled(x, mask, 0), dims, keepdim) / _count(input, dims, keepdim, mask)


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The lower median along `dim`; NaN of no elements."""
    x = input if dtype is None else input.to(dtype)
    if x.dtype.kind != dtypes.FLOATING:
        raise ValueError(f"median input dtype must be floating point, got {x.dtype}")
    if x.ndim == 0:
        return filled(x, mask, math.nan).clone()
    if mask is not None and bool(x.isnan().any()):
        raise ValueError("median expects no fully masked out rows, use torch.nanmedian on what holds NaN")
    return filled(x, mask, math.nan).nanmedian(dim, keepdim)[0]


def norm(
    input: Tensor, ord: float | None = 2.0, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The norm of order `ord`; 0 of no elements, infinity for a negative order."""
    x = input if dtype is None else input.to(dtype)
    order = 2.0 if ord is None else float(ord)
    x = filled(x, mask, math.inf if order < 0 else 0)
    dims = _dims(input, dim)
    return vector_norm_of(x, order, dims, keepdim) if dims else vector_norm_of(x.unsqueeze(-1), order, (x.ndim,), False)


def var(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The variance, over the count less `correction` (1 if `unbiased` or not said)."""
    if unbiased is not None and correction is not None:
        raise RuntimeError("only one of unbiased and correction may be given")
    less = correction if correction is not None else 0 if unbiased is False else 1
    kind = dtype or (input.dtype if input.dtype.kind >= dtypes.FLOATING else dtypes.float32)
    x = input.to(kind)
    dims = _dims(input, dim)
    count = _count(input, dims, True, mask)
    centred = filled(x - _sum(filled(x, mask, 0), dims, True) / count, mask, 0)
    squares = centred * centred.conj() if x.is_complex() else centred * centred
    total = _sum(squares, dims, keepdim)
    kept = _count(input, dims, keepdim, mask)
    return (total / (kept - less).clamp(min=0)).to(total.dtype)


def std(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The root of `var`."""
    found = var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask)
    return found.sqrt()


def logsumexp(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The logarithm of the sum of exponentials; minus infinity of no elements."""
    kind = dtype or (input.dtype if input.dtype.kind >= dtypes.FLOATING else dtypes.get_default_dtype())
    x = filled(input.to(kind), mask, -math.inf)
    dims = _dims(input, dim)
    if not dims:
        return input.clone() if mask is None and dtype is None else x.clone()
    return ops.logsumexp(x, dims, keepdim)
