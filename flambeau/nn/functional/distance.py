"""Distances and norms of vectors."""

from __future__ import annotations

import itertools
import math
from typing import Any

from flambeau import ops
from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops import where
from flambeau.tensor import Tensor


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; each norm counts at least `eps`."""
    common = dtypes.promote_types(x1.dtype, x2.dtype)
    if common.kind < dtypes.FLOATING:
        raise RuntimeError(
            "expected common dtype to be floating point, yet common dtype is " + common.name
        )
    shape = broadcast_shapes(x1.shape, x2.shape)
    a, b = x1.to(common).expand(shape), x2.to(common).expand(shape)
    norms = [_safe_norm(x, dim, eps) for x in (a, b)]
    return ((a / norms[0]) * (b / norms[1])).sum(dim)


def _safe_norm(x: Tensor, dim: int, eps: float) -> Tensor:
    """The 2-norm along `dim`, at least `eps`; its gradient is that of the norm wherever there is one."""
    squares = (x * x).sum(dim, keepdim=True)
    zero = squares == 0
    norm = where(zero, 0, where(zero, 1, squares).sqrt())
    return norm + (norm.detach().clamp(min=eps) - norm.detach())


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of `x1 - x2 + eps` over the last dimension."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def vector_norm(x: Tensor, p: float, dim: Any, keepdim: bool = False) -> Tensor:
    """The p-norm along `dim`; where it is 0, its derivative is 0 too."""
    size = x.abs()
    if p == math.inf:
        return size.amax(dim, keepdim)
    if p == -math.inf:
        return size.amin(dim, keepdim)
    if p == 0:
        return where(size == 0, 0, 1 + 0 * size).sum(dim, keepdim)
    if p == 1:
        return size.sum(dim, keepdim)
    if p == 2:
        squares = size * size if x.is_complex() else x * x
    total = (squares if p == 2 else size**p).sum(dim, keepdim)
    zero = total == 0
    safe = where(zero, 1, total)
    return where(zero, 0, safe.sqrt() if p == 2 else safe ** (1 / p))


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances of all pairs of rows: `(N, D)` to `(N (N - 1) / 2)`."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    pairs = list(itertools.combinations(range(input.size(0)), 2))
    first = ops.tensor([i for i, _ in pairs], dtype=dtypes.int64)
    second = ops.tensor([j for _, j in pairs], dtype=dtypes.int64)
    difference = input.index_select(0, first) - input.index_select(0, second)
    return vector_norm(difference, p, -1)


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divided by its p-norm over `dim`, at least `eps`."""
    norm = vector_norm(input, p, dim, True).clamp_min(eps)
    result = input / norm
    return result if out is None else out.copy_(result)
