"""Solutions of linear equations, inverses, determinants: the primitives."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from flambeau.core.dtypes import FROM_NUMPY
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor.tensor import Tensor


class LinAlgError(RuntimeError):
    """A matrix that has no factorization, inverse or solution of the kind that is asked for."""


def _adjoint(x: Tensor) -> Tensor:
    return x.transpose(-2, -1).conj()


def first_of(bad: np.ndarray) -> str:
    """`(Batch element 3): `, where a stack of matrices has a bad one; nothing for one matrix."""
    return f"(Batch element {int(np.flatnonzero(bad)[0])}): " if bad.ndim else ""


# Any matrix ---------------------------------------------------------------------------------------


def _solve_array(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(
            f"linalg.solve: {first_of(_singular(a))}The solver failed because the input matrix is singular."
        ) from error


def _singular(a: np.ndarray) -> np.ndarray:
    """Which matrices have no inverse, as elimination finds it."""
    bad = np.zeros(a.shape[:-2], bool)
    for place in np.ndindex(a.shape[:-2]):
        try:
            np.linalg.inv(a[place])
        except np.linalg.LinAlgError:
            bad[place] = True
    return bad


def _solve_rule(a: Spec, b: Spec) -> Spec:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise RuntimeError(f"linalg.solve: A must be batches of square matrices, got the shape {list(a.shape)}")
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({a.shape[-2]}x{a.shape[-1]} "
            f"and {b.shape[-2]}x{b.shape[-1]})"
        )
    return Spec((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a.dtype)


def _solve_a(g: Tensor, A: Tensor, out: Tensor) -> Tensor:
    return (-(_solve(_adjoint(A), g) @ _adjoint(out))).sum_to_size(A._array.shape)


_solve = Primitive(
    "linalg_solve",
    "A B",
    _solve_array,
    rule=_solve_rule,
    derivative={
        "A": _solve_a,
        "B": lambda g, A, B_shape: _solve(_adjoint(A), g).sum_to_size(B_shape),
    },
)


def solve_matrix(a: Tensor, b: Tensor) -> Tensor:
    """X of A X = B: (*, n, n) and (*, n, k) -> (*, n, k); the stacks broadcast."""
    return _solve(a, b)


def _solve_or_nan_array(a: np.ndarray, b: np.ndarray, info: np.ndarray) -> np.ndarray:
    if not info.any():
        with contextlib.suppress(np.linalg.LinAlgError):  # where LAPACK's elimination rounds otherwise
            return np.linalg.solve(a, b)
    return np.full((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), np.nan, b.dtype)


#: As `solve_matrix`; NaN if `info`, from elimination, is not 0 for one of the matrices.
solve_or_nan = Primitive(
    "linalg_solve_ex",
    "A B info",
    _solve_or_nan_array,
    rule=lambda a, b, info: _solve_rule(a, b),
    derivative={
        "A": lambda g, A, info, out: (-(solve_or_nan(_adjoint(A), g, info) @ _adjoint(out))).sum_to_size(A.shape),
        "B": lambda g, A, B_shape, info: solve_or_nan(_adjoint(A), g, info).sum_to_size(B_shape),
    },
)

# Triangles ----------------------------------------------------------------------------------------


def _triangle_array(a: np.ndarray, b: np.ndarray, upper: bool, left: bool, unitriangular: bool) -> np.ndarray:
    if not left:  # X A = B is A^T X^T = B^T
        swapped = _triangle_array(a.swapaxes(-1, -2), b.swapaxes(-1, -2), not upper, True, unitriangular)
        return np.ascontiguousarray(swapped.swapaxes(-1, -2))
    a = np.triu(a) if upper else np.tril(a)
    n = a.shape[-1]
    if unitriangular:
        a = a.copy()
        a[..., range(n), range(n)] = 1
    try:
        return np.linalg.solve(a, b).astype(np.result_type(a, b), copy=False)
    except np.linalg.LinAlgError:  # a zero on the diagonal: infinities, as substitution gives them
        return _substituted(a, b, upper)


def _substituted(a: np.ndarray, b: np.ndarray, upper: bool) -> np.ndarray:
    n = a.shape[-1]
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:])
    out = np.array(np.broadcast_to(b, shape))
    for i in range(n - 1, -1, -1) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        inner = (a[..., i, known, None] * out[..., known, :]).sum(-2)
        out[..., i, :] = (out[..., i, :] - inner) / a[..., i, i, None]
    return out


def _masked(x: Tensor, upper: bool, unitriangular: bool) -> Tensor:
    step = 1 if unitriangular else 0
    return x.triu(step) if upper else x.tril(-step)


def _triangle_b(
    g: Tensor, A: Tensor, B_shape: Any, upper: bool, left: bool, unitriangular: bool
) -> Tensor:
    back = _triangle(_adjoint(A), g, upper=not upper, left=left, unitriangular=unitriangular)
    return back.sum_to_size(B_shape)


def _triangle_a(g: Tensor, A: Tensor, out: Tensor, upper: bool, left: bool, unitriangular: bool) -> Tensor:
    back = _triangle(_adjoint(A), g, upper=not upper, left=left, unitriangular=unitriangular)
    product = back @ _adjoint(out) if left else _adjoint(out) @ back
    return -_masked(product, upper, unitriangular).sum_to_size(A._array.shape)


def _triangle_rule(a: Spec, b: Spec, upper: bool, left: bool, unitriangular: bool) -> Spec:
    return Spec((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), b.dtype)


_triangle = Primitive(
    "linalg_solve_triangular",
    "A B",
    _triangle_array,
    rule=_triangle_rule,
    derivative={"A": _triangle_a, "B": _triangle_b},
)


def solve_triangle(
    a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X of A X = B, or of X A = B, for the upper or lower triangle of A; its diagonal may count as ones."""
    return _triangle(a, b, upper=upper, left=left, unitriangular=unitriangular)


# Inverses and determinants ------------------------------------------------------------------------


def _inverse_array(x: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(
            f"linalg.inv: {first_of(_singular(x))}The diagonal element {zero_pivot(x)} is zero, the inversion could "
            "not be completed because the input matrix is singular."
        ) from error


def zero_pivot(x: np.ndarray) -> int:
    """The first zero on the diagonal that elimination meets, from 1, in the first singular matrix of a stack."""
    from flambeau.ops.decompositions import _lu_array

    info = _lu_array(x, True)[2]
    bad = info[info > 0]
    return int(bad.flat[0]) if bad.size else x.shape[-1]


def _inverse_derivative(g: Tensor, out: Tensor) -> Tensor:
    back = _adjoint(out)
    return -(back @ g @ back)


#: A^-1
inverse_of = Primitive(
    "linalg_inv",
    "input",
    _inverse_array,
    rule=lambda x: Spec(x.shape, x.dtype),
    derivative={"input": _inverse_derivative},
)


def _inverse_or_nan_array(x: np.ndarray, info: np.ndarray) -> np.ndarray:
    if not info.any():
        with contextlib.suppress(np.linalg.LinAlgError):
            return np.linalg.inv(x)
    return np.full_like(x, np.nan)


#: As `inverse_of`; NaN if `info`, from elimination, is not 0 for one of the matrices.
inverse_or_nan = Primitive(
    "linalg_inv_ex",
    "input info",
    _inverse_or_nan_array,
    rule=lambda x, info: Spec(x.shape, x.dtype),
    derivative={"input": _inverse_derivative},
)


def _cofactors_array(x: np.ndarray) -> np.ndarray:
    """conj(det A) A^-H, which exists also where the inverse does not."""
    det = np.linalg.det(x)
    if np.all(np.abs(det) > 1e-6 * np.abs(x).max(initial=0.0) ** x.shape[-1]):
        return (det[..., None, None] * np.linalg.inv(x)).conj().swapaxes(-1, -2)
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    others = np.stack([np.delete(s, i, -1).prod(-1) for i in range(n)], -1) if n else s
    turn = (np.linalg.det(u) * np.linalg.det(vh)).conj()
    return (turn[..., None, None] * (u * others[..., None, :]) @ vh).astype(x.dtype, copy=False)


def _cofactors_derivative(g: Tensor, input: Tensor) -> Tensor:
    # This is the conjugate of h = det(A) A^-T, so the gradient is J_h^H conj(g), where
    # J_h^H g = conj(det) (<A^-T, g> A^-H - A^-H g^T A^-H).
    inverse = inverse_of(input)
    back, det, g = _adjoint(inverse), determinant_of(input).conj(), g.conj()
    inner = (back * g).sum((-2, -1))
    return det[..., None, None] * (inner[..., None, None] * back - back @ g.transpose(-2, -1) @ back)


_cofactors = Primitive(
    "linalg_cofactors",
    "input",
    _cofactors_array,
    rule=lambda x: Spec(x.shape, x.dtype),
    derivative={"input": _cofactors_derivative},
)

#: The determinant, (*, n, n) -> (*)
determinant_of = Primitive(
    "linalg_det",
    "input",
    lambda x: np.asarray(np.linalg.det(x), x.dtype),
    rule=lambda x: Spec(x.shape[:-2], x.dtype),
    derivative={"input": lambda g, input: g[..., None, None] * _cofactors(input)},
)


def _slogdet_derivative(g: Any, out: Any, input: Tensor) -> Tensor:
    g_sign, g_log = g
    factor = g_log
    if input.is_complex():
        factor = g_log.to(input.dtype) - 1j * (g_sign.conj() * out[0]).imag
    return factor[..., None, None] * _adjoint(inverse_of(input))


#: The determinant's sign (or phase) and the logarithm of its size.
slogdet_of = Primitive(
    "linalg_slogdet",
    "input",
    lambda x: tuple(
        np.asarray(part, kind) for part, kind in zip(np.linalg.slogdet(x), (x.dtype, x.real.dtype), strict=True)
    ),
    rule=lambda x: (Spec(x.shape[:-2], x.dtype), Spec(x.shape[:-2], FROM_NUMPY[x.dtype].to_real().numpy)),
    derivative={"input": _slogdet_derivative},
    outputs=2,
)


def _pinv_derivative(g: Tensor, out: Tensor, input: Tensor) -> Tensor:
    """Golub and Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems, 1973."""
    m, n = input._array.shape[-2:]
    p, ph, gh = out, _adjoint(out), _adjoint(g)
    if m <= n:
        k = gh @ p
        kph = k @ ph
        return -_adjoint(p @ k) + kph - (input @ p) @ kph + (ph @ p) @ (gh - k @ input)
    k = p @ gh
    phk = ph @ k
    return -_adjoint(k @ p) + (gh - input @ k) @ p @ ph + phk - (phk @ p) @ input


def _pinv_array(x: np.ndarray, tolerance: np.ndarray, hermitian: bool) -> np.ndarray:
    """Singular values of at most `tolerance`, (*), count as 0."""
    if hermitian:
        values, vectors = np.linalg.eigh(x)
        keep = np.abs(values) > tolerance[..., None]
        inverse = np.divide(1, values, out=np.zeros_like(values), where=keep)
        return (vectors * inverse[..., None, :]) @ vectors.conj().swapaxes(-1, -2)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    inverse = np.divide(1, s, out=np.zeros_like(s), where=s > tolerance[..., None])
    return (vh.conj().swapaxes(-1, -2) * inverse[..., None, :]) @ u.conj().swapaxes(-1, -2)


#: The Moore-Penrose pseudo-inverse, (*, m, n) -> (*, n, m).
pseudo_inverse_of = Primitive(
    "linalg_pinv",
    "input tolerance",
    _pinv_array,
    rule=lambda x, tolerance, hermitian: Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype),
    derivative={"input": _pinv_derivative},
)
