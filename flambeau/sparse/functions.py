"""Functions of sparse tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.ops import sparse as forms
from flambeau.tensor import Tensor
from flambeau.tensor.tensor import wrap


def mm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """(m, k) x (k, n) of which one at least is sparse; gradients keep the pattern of what is sparse.

    Sparse with dense gives dense, sparse with sparse gives sparse. Raises `RuntimeError` for shapes that do not fit.
    """
    if not (forms.is_sparse(mat1) or forms.is_sparse(mat2)):
        return mat1 @ mat2
    return forms.matmul(mat1, mat2)


def addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * mat + alpha * (mat1 @ mat2)` with `mat1` sparse."""
    return mat * beta + mm(mat1, mat2) * alpha


def sum(input: Tensor, dim: Any = None, dtype: Any = None) -> Tensor:
    """The sum of all elements, or over the dimensions `dim`; sparse as long as a sparse dimension is left."""
    return forms.total(input.to_sparse(), dim, dtype)  # type: ignore[attr-defined]


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Softmax along `dim` over the elements that are there: others count as minus infinity."""
    x = input if dtype is None else input.to(dtype)
    return forms.softmax(x.to_sparse(), dim)  # type: ignore[attr-defined]


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`."""
    x = input if dtype is None else input.to(dtype)
    return forms.softmax(x.to_sparse(), dim, logarithm=True)  # type: ignore[attr-defined]


def sampled_addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """`beta * input + alpha * (mat1 @ mat2)` at the positions of the CSR matrix `input` only."""
    if not isinstance(input, forms.Compressed):
        raise RuntimeError("sampled_addmm: expected the first argument to be a CSR matrix")
    rows, columns = input.to_sparse_coo()._indices_.unbind(0)
    products = (mat1.index_select(0, rows) * mat2.t().index_select(0, columns)).sum(1)  # type: ignore[attr-defined]
    return input._with_values(input._values_ * beta + products * alpha)


def spdiags(diagonals: Tensor, offsets: Tensor, shape: Any, layout: Any = None) -> Tensor:
    """A sparse matrix with the rows of `diagonals` along the diagonals `offsets`.

    Row `i` holds, at `j`, the element in column `j` of diagonal `offsets[i]`.
    """
    lines = diagonals.reshape(1, -1) if diagonals.ndim == 1 else diagonals
    rows, columns = int(shape[0]), int(shape[1])
    places, kept = [], []
    for k, offset in enumerate(offsets.reshape(-1).tolist()):
        column = np.arange(max(offset, 0), min(lines.shape[1], columns, rows + offset))
        places.append(np.stack([column - offset, column]))
        kept.append(k * lines.shape[1] + column)
    at = wrap(np.concatenate(kept).astype(np.int64))
    made = forms.SparseTensor(
        wrap(np.concatenate(places, 1).astype(np.int64)), lines.reshape(-1).index_select(0, at), (rows, columns)  # type: ignore[attr-defined]
    )
    return made if layout in (None, devices.sparse_coo) else made.to_sparse(layout=layout)


class check_sparse_tensor_invariants:
    """PyTorch's switch for checks of positions; here they are always made."""

    def __init__(self, enable: bool = True):
        self.enabled = enable

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None

    @staticmethod
    def is_enabled() -> bool:
        """Always."""
        return True

    @staticmethod
    def enable() -> None:
        """They are."""

    @staticmethod
    def disable() -> None:
        """Leaves them on: they cost little."""
