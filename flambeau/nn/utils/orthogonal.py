"""Matrices that stay orthogonal while they are trained (Lezcano-Casado and Martínez-Rubio, 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau import linalg, ops
from flambeau.nn.module import Module
from flambeau.nn.utils.parametrize import register_parametrization
from flambeau.tensor import Tensor

__all__ = ["orthogonal"]

_MAPS = ("matrix_exp", "cayley", "householder")


def _columns_are_orthonormal(q: Tensor) -> bool:
    """Whether `q.mH @ q` is the identity, but for rounding."""
    rows, columns = q.shape[-2:]
    identity = ops.eye(columns, dtype=q.dtype)
    return bool(ops.allclose(q.mH @ q, identity, atol=10 * rows * float(np.finfo(q._array.dtype).eps)))


def _orthonormalised(a: Tensor) -> Tensor:
    """The orthonormal factor of `a`, with the signs that leave an orthonormal `a` as it is."""
    reflections, tau = ops.geqrf(a)
    q = linalg.householder_product(reflections, tau)
    return q * reflections.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    """A matrix with orthonormal columns (rows, if it is wide) from one of any values.

    With `base`, the matrix moves away from there: then it can be assigned to under every map.
    """

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool):
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.size(-2) < x.size(-1)
        x = x.mT if wide else x
        rows, columns = x.shape[-2:]
        if self.orthogonal_map == "householder":
            lower = x.tril(-1)
            q = linalg.householder_product(lower, 2 / (1 + (lower * lower).sum(-2)))
            q = q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            lower = x.tril()
            if rows != columns:
                lower = ops.cat([lower, lower.new_zeros((*lower.shape[:-1], rows - columns))], -1)
            skew = lower - lower.mH
            if self.orthogonal_map == "matrix_exp":
                q = ops.matrix_exp(skew)
            else:
                identity = ops.eye(rows, dtype=x.dtype)
                q = linalg.solve(identity - 0.5 * skew, identity + 0.5 * skew)
            q = q[..., :columns]
        if hasattr(self, "base") and self.base is not None:
            q = self.base @ q
        return q.mT if wide else q

    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}."
            )
        given, wide = q, q.size(-2) < q.size(-1)
        q = q.mT if wide else q
        rows, columns = q.shape[-2:]
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                    "use_trivialization=False."
                )
            reflections, tau = ops.geqrf(q)
            diagonal = reflections.diagonal(dim1=-2, dim2=-1)
            diagonal.sign_()
            diagonal[tau == 0.0] *= -1
            return reflections.mT if wide else reflections
        if rows != columns:
            more = ops.randn((*q.shape[:-1], rows - columns), dtype=q.dtype)
            q = _orthonormalised(ops.cat([q, more], -1))
        else:
            q = q.clone() if _columns_are_orthonormal(q) else _orthonormalised(q)
        self.base = q
        start = ops.zeros_like(given)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1)
        return start


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keeps a matrix, or a batch of them, orthogonal: its columns, or its rows if it is wide, are orthonormal.

    Args:
        module: whose parameter.
        name: which one.
        orthogonal_map: from any matrix to an orthogonal one: "matrix_exp" (the default for square and complex
            matrices), "cayley" or "householder" (the default for others).
        use_trivialization: move away from the value that is there, or is assigned (costs a product).

    Raises:
        ValueError: for a vector, an unknown map, and Householder products of complex numbers.
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True)
    return module
