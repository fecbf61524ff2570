"""Distances and norms of vectors."""

from __future__ import annotations

from typing import Any

from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops import where
from flambeau.tensor import Tensor


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; each norm counts at least `eps`."""
    common = dtypes.promote_types(x1.dtype, x2.dtype)
    if common.kind < dtypes.FLOATING:
        raise RuntimeError("expected common dtype to be floating point, yet common dtype is " + common.name)
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
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)

def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divided by its p-norm over `dim`, at least `eps`."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    result = input / norm
    return result if out is None else out.copy_(result)
