"""Functions along a dimension of the elements that `mask` picks; what stands at the others does not matter."""

from __future__ import annotations

import math
from typing import Any

from flambeau import ops
from flambeau.core import dtypes
from flambeau.masked.reductions import filled
from flambeau.ops.norm import vector_norm_of
from flambeau.tensor.tensor import Tensor


def _typed(input: Tensor, dtype: Any) -> Tensor:
    return input if dtype is None else input.to(dtype)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running sums."""
    return filled(input, mask, 0).cumsum(dim, dtype=dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running products."""
    return filled(input, mask, 1).cumprod(dim, dtype=dtype)


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Shares that sum to 1; NaN where nothing is picked."""
    return filled(_typed(input, dtype), mask, -math.inf).softmax(dim)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The logarithms of `softmax`."""
    return filled(_typed(input, dtype), mask, -math.inf).log_softmax(dim)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """`softmax` of the negative elements."""
    return ops.softmax(-filled(_typed(input, dtype), mask, math.inf), dim)


def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """Divides by the norm along `dim`, which is at least `eps`; 0 where nothing is picked."""
    x = filled(_typed(input, dtype), mask, 0)
    order = float(ord)
    weighed = filled(x, mask, math.inf) if order < 0 else x
    axis = (dim % x.ndim,) if x.ndim else (0,)
    size = vector_norm_of(weighed if x.ndim else weighed.unsqueeze(0), order, axis, True)
    size = size if x.ndim else size.squeeze(0)
    return x / size.clamp(min=eps)


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The logarithm of the sum of two exponentials, of which a mask may leave one out."""
    a, b = _typed(input, dtype), _typed(other, dtype)
    if a.dtype.kind < dtypes.FLOATING or b.dtype.kind < dtypes.FLOATING:
        raise ValueError(f"logaddexp is of floating-point numbers, got {a.dtype} and {b.dtype}")
    return ops.logaddexp(filled(a, input_mask, -math.inf), filled(b, other_mask, -math.inf))
