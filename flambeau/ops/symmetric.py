"""Factorizations of symmetric and Hermitian matrices that need not be positive-definite: `linalg.ldl_factor`, `ldl_solve`.

A = L D L^T (or L D L^H), where D has blocks of one or two rows on its diagonal. Which rows are swapped and where a
block of two is taken follows Bunch and Kaufman, Some stable methods for calculating inertia and solving symmetric
linear systems (1977), as LAPACK's sytrf and hetrf do for the lower triangle.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops.decompositions import INT32
from flambeau.ops.factorizations import check_matrix, linalg_operator
from flambeau.ops.required import required
from flambeau.ops.results import named_result
from flambeau.ops.solvers import LinAlgError, first_of
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor.tensor import Tensor

LDLFactor = named_result("linalg_ldl_factor", "LD", "pivots")
LDLFactorEx = named_result("linalg_ldl_factor_ex", "LD", "pivots", "info")

#: What a diagonal element must be of the greatest beside it: no elements grow faster than with this share.
_SHARE = (1 + math.sqrt(17)) / 8


def _size(x: np.ndarray) -> Any:
    """How large numbers count when a pivot is sought: of complex ones |re| + |im|, as in LAPACK."""
    return np.abs(x.real) + np.abs(x.imag) if np.iscomplexobj(x) else np.abs(x)


def _choose(a: np.ndarray, k: int, hermitian: bool) -> tuple[int, int]:
    """The row that becomes the pivot of step `k`, and whether it takes one row of D or two."""
    own = abs(a[k, k].real) if hermitian else _size(a[k, k])
    if k == len(a) - 1:
        return k, 1
    below = _size(a[k + 1 :, k])
    row = k + 1 + int(below.argmax())
    greatest = below.max()
    if own >= _SHARE * greatest:
        return k, 1
    beside = _size(np.concatenate([a[row, k:row], a[row + 1 :, row]])).max()
    if own >= _SHARE * greatest * (greatest / beside):
        return k, 1
    other = abs(a[row, row].real) if hermitian else _size(a[row, row])
    return row, 1 if other >= _SHARE * beside else 2


def _swap(a: np.ndarray, k: int, i: int, j: int, hermitian: bool) -> None:
    """Swaps rows and columns `i < j` of the symmetric rest from `k` on, of which the lower triangle is kept."""
    a[j + 1 :, [i, j]] = a[j + 1 :, [j, i]]
    column, row = a[i + 1 : j, i].copy(), a[j, i + 1 : j].copy()
    a[i + 1 : j, i], a[j, i + 1 : j] = (row.conj(), column.conj()) if hermitian else (row, column)
    if hermitian:
        a[j, i] = a[j, i].conj()
    a[i, i], a[j, j] = a[j, j], a[i, i]
    a[[i, j], k:i] = a[[j, i], k:i]


def _factor(a: np.ndarray, pivots: np.ndarray, hermitian: bool) -> int:
    """L and D in place of one matrix, and where they came from; 0, or the first zero on D's diagonal, from 1."""
    n, info, k = len(a), 0, 0
    while k < n:
        if hermitian:
            a[k, k] = a[k, k].real
        largest = max(_size(a[k, k]), _size(a[k + 1 :, k]).max(initial=0))
        if largest == 0 or np.isnan(largest):
            info, pivots[k] = info or k + 1, k + 1
            k += 1
            continue
        row, width = _choose(a, k, hermitian)
        last = k + width - 1
        if row != last:
            _swap(a, k, last, row, hermitian)
        if hermitian:
            a[last, last] = a[last, last].real
        block, left = a[k : last + 1, k : last + 1], a[last + 1 :, k : last + 1]
        if width == 2:
            block = block.copy()
            block[0, 1] = block[1, 0].conj() if hermitian else block[1, 0]
        scaled = left / block[0, 0] if width == 1 else np.linalg.solve(block.T, left.T).T
        a[last + 1 :, last + 1 :] -= scaled @ (left.conj().T if hermitian else left.T)
        a[last + 1 :, k : last + 1] = scaled
        pivots[k : last + 1] = row + 1 if width == 1 else -(row + 1)
        k += width
    return info


def _factor_arrays(x: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    packed = np.tril(x)
    pivots, info = np.zeros(x.shape[:-1], np.int32), np.zeros(x.shape[:-2], np.int32)
    for place in np.ndindex(x.shape[:-2]):
        info[place] = _factor(packed[place], pivots[place], hermitian and np.iscomplexobj(x))
    return np.tril(packed), pivots, info


def _solve_one(ld: np.ndarray, pivots: np.ndarray, x: np.ndarray, hermitian: bool) -> None:
    """X of A X = B in place of B, from the factors of A: through L, D and L^T (or L^H)."""
    n = len(ld)
    # Where blocks begin, how wide they are, and the row that was swapped with their last.
    blocks, k = [], 0
    while k < n:
        width = 1 if pivots[k] > 0 else 2
        blocks.append((k, k + width, abs(int(pivots[k])) - 1))
        k += width
    for start, stop, row in blocks:
        x[[stop - 1, row]] = x[[row, stop - 1]]
        x[stop:] -= ld[stop:, start:stop] @ x[start:stop]
        if stop - start == 1:
            x[start] /= ld[start, start]
        else:
            block = ld[start:stop, start:stop].copy()
            block[0, 1] = block[1, 0].conj() if hermitian else block[1, 0]
            x[start:stop] = np.linalg.solve(block, x[start:stop])
    for start, stop, row in reversed(blocks):
        lower = ld[stop:, start:stop]
        x[start:stop] -= (lower.conj() if hermitian else lower).T @ x[stop:]
        x[[stop - 1, row]] = x[[row, stop - 1]]


def _solve_arrays(ld: np.ndarray, pivots: np.ndarray, b: np.ndarray, hermitian: bool) -> np.ndarray:
    batch = np.broadcast_shapes(ld.shape[:-2], b.shape[:-2])
    out = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
    factors = np.broadcast_to(ld, (*batch, *ld.shape[-2:]))
    rows = np.broadcast_to(pivots, (*batch, pivots.shape[-1]))
    for place in np.ndindex(batch):
        _solve_one(factors[place], rows[place], out[place], hermitian and np.iscomplexobj(ld))
    return out


def _no_derivative(name: str) -> Any:
    def derivative(g: Any) -> Any:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return derivative


_ldl = Primitive(
    "linalg_ldl_factor_ex",
    "input",
    _factor_arrays,
    rule=lambda x, hermitian: (Spec(x.shape, x.dtype), Spec(x.shape[:-1], INT32), Spec(x.shape[:-2], INT32)),
    derivative={"input": _no_derivative("linalg_ldl_factor_ex")},
    outputs=3,
)
_ldl_solve = Primitive(
    "linalg_ldl_solve",
    "LD pivots B",
    _solve_arrays,
    rule=lambda ld, pivots, b, hermitian: Spec(
        (*broadcast_shapes(ld.shape[:-2], b.shape[:-2]), *b.shape[-2:]), b.dtype
    ),
    derivative={"LD": _no_derivative("linalg_ldl_solve"), "B": _no_derivative("linalg_ldl_solve")},
)


def _factored(A: Tensor, hermitian: bool, check: bool, name: str) -> tuple[Tensor, Tensor, Tensor]:
    if isinstance(A, Tensor) and A.ndim >= 2 and A.dtype in (dtypes.float16, dtypes.bfloat16):
        raise NotImplementedError(f"\"ldl_factor_kernel_cpu\" not implemented for '{A.dtype.tensor_type}'")
    check_matrix(A, "torch.linalg.ldl_factor_ex", square=True)
    packed, pivots, info = _ldl(A, hermitian=hermitian)
    if check:
        packed = required(packed, info, partial(_check_diagonal, name))
    return packed, pivots, info


def _check_diagonal(name: str, bad: np.ndarray) -> None:
    if bad.any():
        row = bad[bad > 0].flat[0]
        raise LinAlgError(f"{name}: {first_of(bad)}D[{row},{row}] is zero, and ldl_solve would divide by it.")


@linalg_operator
def linalg_ldl_factor(A: Tensor, *, hermitian: bool = False) -> tuple[Tensor, Tensor]:
    """(LD, pivots) of symmetric A, or Hermitian A, of which the lower triangle is read, for `linalg.ldl_solve`.

    `LD`, (*, n, n), holds D on its diagonal (and, of a block of two, beneath) and L below. `pivots`, (*, n) int32,
    holds the row, from 1, that each was swapped with; two equal negative numbers are of a block of two, whose
    second row was swapped. Raises `LinAlgError` where D has a zero.
    """
    packed, pivots, _ = _factored(A, hermitian, True, "torch.linalg.ldl_factor")
    return LDLFactor(packed, pivots)


@linalg_operator
def linalg_ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """(LD, pivots, info): as `linalg.ldl_factor`; `info` is 0, or the first zero row of D, from 1."""
    return LDLFactorEx(*_factored(A, hermitian, check_errors, "torch.linalg.ldl_factor_ex"))


@linalg_operator
def linalg_ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X of A X = B, (*, n, k), from the factors of A that `linalg.ldl_factor` gave; the stacks broadcast."""
    name = "torch.linalg.ldl_solve"
    check_matrix(LD, name, square=True)
    if B.ndim < 2:
        raise RuntimeError(f"{name}: B must have at least 2 dimensions, but got {B.ndim}")
    (n, k), (rows, columns) = LD.shape[-2:], B.shape[-2:]
    if n != rows:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {n} by {k} but each b matrix is {rows} by {columns}"
        )
    if pivots.shape != LD.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots.shape)} instead"
        )
    if pivots.dtype.kind >= dtypes.FLOATING or pivots.dtype is dtypes.bool:
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {pivots.dtype.tensor_type}")
    if B.dtype is not LD.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {B.dtype.tensor_type} and A of type "
            f"{LD.dtype.tensor_type} instead."
        )
    return _ldl_solve(LD, pivots, B, hermitian=hermitian)
