"""Factorizations of matrices, (*, m, n), each a primitive: Cholesky, LU, QR, eigenvalues, singular values.

Derivatives follow Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008), with conjugates where numbers are complex; those of LU of matrices that are not square
split the matrix into a square block and the rest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core.dtypes import FROM_NUMPY
from flambeau.ops.solvers import solve_matrix, solve_triangle
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor.tensor import Tensor, wrap

INT32 = np.dtype(np.int32)


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the sizes of numbers of `dtype`."""
    return FROM_NUMPY[dtype].to_real().numpy


def complex_dtype(dtype: np.dtype) -> np.dtype:
    """The complex numbers with parts of `dtype`."""
    return np.result_type(dtype, np.complex64)


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose, (*, m, n) -> (*, n, m)."""
    return x.transpose(-2, -1).conj()


def constant_of(x: Tensor, array: np.ndarray) -> Tensor:
    """`array`, of the shape of `x`, as a result that does not depend on `x` but has its place in the graph."""
    return x.masked_fill(wrap(np.ones(x._array.shape, bool)), 0) + wrap(array)


def _diagonal_matrix(x: Tensor) -> Tensor:
    return x.diag_embed()


def _halved_diagonal(x: Tensor) -> Tensor:
    """`x` with half of its diagonal, which a sum with its adjoint would count twice."""
    return x - 0.5 * _diagonal_matrix(x.diagonal(0, -2, -1))


def _differences(values: Tensor) -> Tensor:
    """`values[j] - values[i]` at (i, j), and 1 on the diagonal, so that it may be divided by."""
    count = values._array.shape[-1]
    return values.unsqueeze(-2) - values.unsqueeze(-1) + wrap(np.eye(count, dtype=values._array.dtype))


# Cholesky -----------------------------------------------------------------------------------------


def _cholesky_array(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L of each matrix, and 0 or the order of the first leading minor that is not positive."""
    try:
        return np.linalg.cholesky(x), np.zeros(x.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        out, info = np.empty_like(x), np.zeros(x.shape[:-2], np.int32)
        for place in np.ndindex(x.shape[:-2]):
            out[place], info[place] = _cholesky_columns(x[place])
        return out, info


def _cholesky_columns(x: np.ndarray) -> tuple[np.ndarray, int]:
    """Column by column, up to the one that fails."""
    out = np.tril(x)
    for j in range(len(x)):
        pivot = out[j, j].real - (np.abs(out[j, :j]) ** 2).sum()
        if not pivot > 0:
            return out, j + 1
        out[j, j] = np.sqrt(pivot)
        out[j + 1 :, j] = (out[j + 1 :, j] - out[j + 1 :, :j] @ out[j, :j].conj()) / out[j, j]
    return out, 0


def _cholesky_derivative(g: Any, out: Any) -> Tensor:
    lower = out[0]
    inner = _halved_diagonal((adjoint(lower) @ g[0]).tril())
    # L^-H inner L^-1, made Hermitian as the input is
    left = solve_triangle(adjoint(lower), inner, upper=True)
    whole = solve_triangle(lower, left, upper=False, left=False)
    return (whole + adjoint(whole)) * 0.5


#: A = L L^H of the lower triangle of A: (L, info).
cholesky_lower = Primitive(
    "linalg_cholesky_ex",
    "input",
    _cholesky_array,
    rule=lambda x: (Spec(x.shape, x.dtype), Spec(x.shape[:-2], INT32)),
    derivative={"input": _cholesky_derivative},
    outputs=2,
)

# LU -----------------------------------------------------------------------------------------------

_BLOCK = 32


def _lu_array(x: np.ndarray, pivot: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """LU packed into one matrix, the row each step swapped with (from 1), and 0 or the first zero pivot (from 1)."""
    out = np.array(x, order="C")
    m, n = x.shape[-2:]
    steps = min(m, n)
    pivots = np.empty((*x.shape[:-2], steps), np.int32)
    info = np.zeros(x.shape[:-2], np.int32)
    count = math.prod(x.shape[:-2])
    flat, rows, first = out.reshape(count, m, n), pivots.reshape(count, steps), info.reshape(count)
    every = np.arange(count)
    for start in range(0, steps, _BLOCK):
        stop = min(start + _BLOCK, steps)
        for j in range(start, stop):
            column = flat[:, j:, j]
            size = np.abs(column.real) + np.abs(column.imag) if column.dtype.kind == "c" else np.abs(column)
            chosen = j + size.argmax(1) if pivot else np.full(len(flat), j)
            rows[:, j] = chosen + 1
            flat[every, j], flat[every, chosen] = flat[every, chosen], flat[every, j].copy()
            top = flat[:, j, j]
            first[(top == 0) & (first == 0)] = j + 1
            below = flat[:, j + 1 :, j]
            np.divide(below, top[:, None], out=below, where=(top != 0)[:, None])
            flat[:, j + 1 :, j + 1 : stop] -= below[:, :, None] * flat[:, j, None, j + 1 : stop]
        if stop < n:
            triangle = np.tril(flat[:, start:stop, start:stop], -1) + np.eye(stop - start, dtype=x.dtype)
            flat[:, start:stop, stop:] = np.linalg.solve(triangle, flat[:, start:stop, stop:])
            flat[:, stop:, stop:] -= flat[:, stop:, start:stop] @ flat[:, start:stop, stop:]
    return out, pivots, info


def permutation_of(pivots: np.ndarray, m: int) -> np.ndarray:
    """The rows in the order that swaps leave them in, (*, m): row i of P^T A is row `permutation[i]` of A."""
    order = np.broadcast_to(np.arange(m), (*pivots.shape[:-1], m)).copy()
    count = math.prod(pivots.shape[:-1])
    flat, swaps = order.reshape(count, m), pivots.reshape(count, pivots.shape[-1])
    every = np.arange(count)
    for j in range(pivots.shape[-1]):
        other = swaps[:, j] - 1
        flat[every, j], flat[every, other] = flat[every, other], flat[every, j].copy()
    return order


#: `permutation_of` swaps, or with `back` the order that undoes it, (*, k) -> (*, m).
order_of = Primitive(
    "order_of_pivots",
    "pivots",
    lambda pivots, m, back: np.argsort(permutation_of(pivots, m), axis=-1) if back else permutation_of(pivots, m),
    rule=lambda pivots, m, back: Spec((*pivots.shape[:-1], m), np.dtype(np.int64)),
)


def rows_taken(x: Tensor, order: Tensor) -> Tensor:
    """`x` with its rows in the given order, (*, m)."""
    shape = order._array.shape
    places = order.unsqueeze(-1).expand(*shape, x._array.shape[-1])
    return x.expand(*shape[:-1], *x._array.shape[-2:]).gather(-2, places)


def _lu_derivative(g: Any, out: Any) -> Tensor:
    packed, pivots, g = out[0], out[1], g[0]
    m, n = packed._array.shape[-2:]
    k = min(m, n)
    lower = packed[..., :k].tril(-1) + wrap(np.eye(m, k, dtype=packed._array.dtype))
    upper = packed[..., :k, :].triu()
    g_lower, g_upper = g[..., :k].tril(-1), g[..., :k, :].triu()
    square_lower, square_upper = lower[..., :k, :], upper[..., :k]
    rest = None
    if m > n:  # L2 = B2 U^-1
        rest = solve_triangle(adjoint(square_upper), g_lower[..., k:, :], upper=False, left=False)
        g_upper = g_upper - adjoint(lower[..., k:, :]) @ rest
    elif n > m:  # U2 = L^-1 B2
        rest = solve_triangle(adjoint(square_lower), g_upper[..., k:], upper=True, unitriangular=True)
        g_lower = g_lower - rest @ adjoint(upper[..., k:])
    inner = (adjoint(square_lower) @ g_lower[..., :k, :]).tril(-1) + (
        g_upper[..., :k] @ adjoint(square_upper)
    ).triu()
    whole = solve_triangle(adjoint(square_lower), inner, upper=True, unitriangular=True)
    whole = solve_triangle(adjoint(square_upper), whole, upper=False, left=False)
    if rest is not None:
        from flambeau.ops.joining import cat

        whole = cat([whole, rest], -2 if m > n else -1)
    return rows_taken(whole, order_of(pivots, m=m, back=True))


#: P^T A = L U, packed into one matrix, with the swaps of rows: (LU, pivots, info).
lu_packed = Primitive(
    "linalg_lu_factor_ex",
    "input",
    _lu_array,
    rule=lambda x, pivot: (
        Spec(x.shape, x.dtype),
        Spec((*x.shape[:-2], min(x.shape[-2:])), INT32),
        Spec(x.shape[:-2], INT32),
    ),
    derivative={"input": _lu_derivative},
    outputs=3,
)

# QR -----------------------------------------------------------------------------------------------


def _qr_array(x: np.ndarray, complete: bool) -> tuple[np.ndarray, np.ndarray]:
    q, r = np.linalg.qr(x, mode="complete" if complete else "reduced")
    return q, r


def _qr_rule(x: Spec, complete: bool) -> tuple[Spec, Spec]:
    *batch, m, n = x.shape
    k = m if complete else min(m, n)
    return Spec((*batch, m, k), x.dtype), Spec((*batch, k, n), x.dtype)


def _qr_derivative(g: Any, out: Any, input_shape: Any, complete: bool) -> Tensor:
    (q, r), (g_q, g_r) = out, g
    m, n = input_shape[-2:]
    if m < n or (complete and m > n):
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    inner = (g_r @ adjoint(r) - adjoint(q) @ g_q).triu()
    both = inner + adjoint(inner)
    diagonal = both.diagonal(0, -2, -1)
    both = both - 0.5 * _diagonal_matrix(diagonal)
    return solve_triangle(adjoint(r), q @ both + g_q, upper=False, left=False)


#: A = Q R with orthonormal columns in Q, for matrices at least as tall as wide: (Q, R).
qr_tall = Primitive(
    "linalg_qr",
    "input",
    _qr_array,
    rule=_qr_rule,
    derivative={"input": _qr_derivative},
    outputs=2,
)

# Eigenvalues --------------------------------------------------------------------------------------


def _eigh_derivative(g: Any, out: Any) -> Tensor:
    values, vectors = out
    g_values, g_vectors = g
    inner = adjoint(vectors) @ g_vectors / _differences(values)
    inner = inner - _diagonal_matrix(inner.diagonal(0, -2, -1)) + _diagonal_matrix(g_values)
    return vectors @ inner @ adjoint(vectors)


#: A = V diag(w) V^H of a Hermitian matrix, of which one triangle is read: (w, V), w real and rising.
eigh_of = Primitive(
    "linalg_eigh",
    "input",
    lambda x, UPLO: tuple(np.linalg.eigh(x, UPLO)),
    rule=lambda x, UPLO: (Spec(x.shape[:-1], real_dtype(x.dtype)), Spec(x.shape, x.dtype)),
    derivative={"input": _eigh_derivative},
    outputs=2,
)


def _eig_array(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not np.isfinite(x).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    values, vectors = np.linalg.eig(x)
    kind = complex_dtype(x.dtype)
    return values.astype(kind, copy=False), vectors.astype(kind, copy=False)


def _eig_derivative(g: Any, out: Any, input_dtype: Any) -> Tensor:
    values, vectors = out
    g_values, g_vectors = g
    inner = adjoint(vectors) @ g_vectors
    # Vectors have length 1, so a change along themselves is none.
    along = inner.diagonal(0, -2, -1).real.to(inner.dtype)
    inner = (inner - adjoint(vectors) @ vectors * along.unsqueeze(-2)) / _differences(values).conj()
    inner = inner - _diagonal_matrix(inner.diagonal(0, -2, -1)) + _diagonal_matrix(g_values)
    whole = solve_matrix(adjoint(vectors), inner @ adjoint(vectors))
    return whole if input_dtype.is_complex else whole.real


#: A = V diag(w) V^-1, complex: (w, V), columns of V of length 1.
eig_of = Primitive(
    "linalg_eig",
    "input",
    _eig_array,
    rule=lambda x: (Spec(x.shape[:-1], complex_dtype(x.dtype)), Spec(x.shape, complex_dtype(x.dtype))),
    derivative={"input": _eig_derivative},
    outputs=2,
)

# Singular values ----------------------------------------------------------------------------------


def _svd_rule(x: Spec, full_matrices: bool) -> tuple[Spec, Spec, Spec]:
    *batch, m, n = x.shape
    k = min(m, n)
    wide, tall = (n, m) if full_matrices else (k, k)
    return (
        Spec((*batch, m, tall), x.dtype),
        Spec((*batch, k), real_dtype(x.dtype)),
        Spec((*batch, wide, n), x.dtype),
    )


def _svd_derivative(g: Any, out: Any, full_matrices: bool) -> Tensor:
    u, s, vh = out
    g_u, g_s, g_vh = g
    k = s._array.shape[-1]
    if full_matrices:
        u, g_u, vh, g_vh = u[..., :k], g_u[..., :k], vh[..., :k, :], g_vh[..., :k, :]
    v = adjoint(vh)
    of_u, of_v = adjoint(u) @ g_u, adjoint(g_vh @ v)
    apart = _differences(s * s)
    inner = (of_u - adjoint(of_u)) / apart * s.unsqueeze(-2) + s.unsqueeze(-1) * (
        (of_v - adjoint(of_v)) / apart
    )
    inner = inner - _diagonal_matrix(inner.diagonal(0, -2, -1)) + _diagonal_matrix(g_s)
    if u.is_complex():
        # A common phase of a pair of vectors is free; what is left turns one against the other.
        phase = of_u.diagonal(0, -2, -1).imag / s
        inner = inner + _diagonal_matrix(phase) * 1j
    whole = u @ inner @ vh
    if u._array.shape[-2] > k:
        whole = whole + (g_u - u @ of_u) / s.unsqueeze(-2) @ vh
    if vh._array.shape[-1] > k:
        whole = whole + u @ ((g_vh - g_vh @ v @ vh) / s.unsqueeze(-1))
    return whole


#: A = U diag(s) V^H, s falling: (U, s, V^H).
svd_of = Primitive(
    "linalg_svd",
    "input",
    lambda x, full_matrices: tuple(np.linalg.svd(x, full_matrices=full_matrices)),
    rule=_svd_rule,
    derivative={"input": _svd_derivative},
    outputs=3,
)
