"""Norms under their older names."""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.ops import equations
from flambeau.ops.norm import norm
from flambeau.tensor import Tensor


def _deprecated(name: str, instead: str) -> None:
    warnings.warn(
        f"at::{name} is deprecated and it is just left for JIT compatibility. It will be removed in a future PyTorch "
        f"release. Please use `{instead}` instead",
        stacklevel=3,
    )


def _returned(result: Tensor, out: Tensor | None) -> Tensor:
    return result if out is None else out.resize_(result.shape).copy_(result)  # type: ignore[attr-defined]


def frobenius_norm(input: Tensor, dim: Any, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The square root of the sum of squares over `dim`, at most two dimensions; over all where it is empty."""
    _deprecated("frobenius_norm", "linalg.vector_norm(A, 2., dim, keepdim)")
    dims = [dim] if isinstance(dim, int) else list(dim)
    if len(dims) > 2:
        raise RuntimeError(f"Expected at most 2 dimensions, but got {len(dims)} dimensions instead.")
    return _returned(equations.linalg_vector_norm(input, 2.0, dims or None, keepdim), out)


def nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The sum of the singular values of matrices that lie in two dimensions, the last ones by default."""
    _deprecated("nuclear_norm", "linalg.matrix_norm(A, 'nuc', dim, keepdim)")
    if isinstance(dim, bool):  # nuclear_norm(input, keepdim)
        dim, keepdim = (-2, -1), dim
    return _returned(equations.linalg_matrix_norm(input, "nuc", tuple(dim), keepdim), out)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The `pow`-norm over all dimensions but `dim`, which all stay, of size 1; -1: over all, a scalar."""
    if dim == -1:
        return norm(v, pow)
    if not 0 <= dim < v.ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [-1, {v.ndim - 1}], but got {dim})")
    return norm(v, pow, [d for d in range(v.ndim) if d != dim], True) if v.ndim > 1 else v.abs()


def native_norm(
    input: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The norm of a sparse tensor's values. Raises `NotImplementedError` for dense tensors, as PyTorch does."""
    if not input.is_sparse:
        raise NotImplementedError(
            "Could not run 'aten::native_norm' with arguments from the 'CPU' backend: it is for sparse tensors only"
        )
    if dim not in (None, (), []) or keepdim:
        raise RuntimeError("native_norm currently only supports full reductions")
    return norm(input.coalesce().values(), p, dtype=dtype)  # type: ignore[attr-defined]
