"""Factorizations as users call them: `linalg.cholesky`, `lu`, `qr`, `eigh`, `eig`, `svd` and their kind.

All take stacks of matrices, (*, m, n), float or complex, and give PyTorch's named results. What a matrix lacks
(positive definiteness, an inverse) raises `LinAlgError`; the `_ex` forms give a number instead, `info`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.ops.decompositions import (
    adjoint,
    cholesky_lower,
    constant_of,
    eig_of,
    eigh_of,
    lu_packed,
    permutation_of,
    qr_tall,
    real_dtype,
    svd_of,
)
from flambeau.ops.joining import cat
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.required import required
from flambeau.ops.results import named_result
from flambeau.ops.solvers import LinAlgError, first_of
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, wrap

#: Registers a function of `flambeau.linalg`, which is neither a method nor a name of the package's own.
linalg_operator = operator(method=False, function_name=False, out=True)

CholeskyEx = named_result("linalg_cholesky_ex", "L", "info")
LUFactor = named_result("linalg_lu_factor", "LU", "pivots")
LUFactorEx = named_result("linalg_lu_factor_ex", "LU", "pivots", "info")
LU = named_result("linalg_lu", "P", "L", "U")
LUUnpack = named_result("lu_unpack", "P", "L", "U")
QR = named_result("linalg_qr", "Q", "R")
OldQR = named_result("qr", "Q", "R")
Geqrf = named_result("geqrf", "a", "tau")
Eigh = named_result("linalg_eigh", "eigenvalues", "eigenvectors")
Eig = named_result("linalg_eig", "eigenvalues", "eigenvectors")
SVD = named_result("linalg_svd", "U", "S", "Vh")
OldSVD = named_result("svd", "U", "S", "V")


def check_matrix(x: Tensor, name: str, square: bool = False) -> None:
    """Raises the error of `name` for what is no stack of matrices of floating-point or complex numbers."""
    expect_tensor(x, name)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    m, n = x._array.shape[-2:]
    if square and m != n:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {m} by {n} matrices")
    if x.dtype.kind < dtypes.FLOATING:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype.tensor_type}"
        )
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {x.dtype.tensor_type}")


# Cholesky -----------------------------------------------------------------------------------------


def _cholesky(input: Tensor, upper: bool, name: str, check: bool) -> tuple[Tensor, Tensor]:
    check_matrix(input, name, square=True)
    lower, info = cholesky_lower(adjoint(input) if upper else input)
    if check:
        lower = required(lower, info, partial(_check_minors, name))
    return (adjoint(lower) if upper else lower), info


def _check_minors(name: str, info: np.ndarray) -> None:
    if info.any():
        raise LinAlgError(
            f"{name}: {first_of(info)}The factorization could not be completed because the input is not "
            f"positive-definite (the leading minor of order {info[info > 0].flat[0]} is not positive-definite)."
        )


@linalg_operator
def linalg_cholesky(input: Tensor, *, upper: bool = False) -> Tensor:
    """L of A = L L^H, lower triangular (or L^H), for Hermitian positive-definite A, of which one triangle is read."""
    return _cholesky(input, upper, "linalg.cholesky", True)[0]


@linalg_operator
def linalg_cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """(L, info): `info` is 0, or the order of the leading minor that is not positive-definite."""
    return CholeskyEx(*_cholesky(input, upper, "linalg.cholesky_ex", check_errors))


@operator(out=True)
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """As `linalg.cholesky`."""
    return _cholesky(input, upper, "cholesky", True)[0]


# LU -----------------------------------------------------------------------------------------------


@linalg_operator
def linalg_lu_factor_ex(
    input: Tensor, *, pivot: bool = True, check_errors: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """(LU, pivots, info): L and U in one matrix, the row each row was swapped with (from 1), the first zero pivot."""
    check_matrix(input, "linalg.lu_factor_ex")
    packed, pivots, info = lu_packed(input, pivot=pivot)
    if check_errors:
        packed = required(packed, info, partial(_check_pivots, "linalg.lu_factor_ex"))
    return LUFactorEx(packed, pivots, info)


def _check_pivots(name: str, bad: np.ndarray) -> None:
    if bad.any():
        raise LinAlgError(
            f"{name}: {first_of(bad)}U[{bad[bad > 0].flat[0]},{bad[bad > 0].flat[0]}] is zero and using it on "
            "lu_solve would result in a division by zero. If you still want to perform the factorization, consider "
            "calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )


@linalg_operator
def linalg_lu_factor(A: Tensor, *, pivot: bool = True) -> tuple[Tensor, Tensor]:
    """(LU, pivots) for `linalg.lu_solve`. Raises `LinAlgError` where U has a zero on its diagonal."""
    check_matrix(A, "linalg.lu_factor")
    packed, pivots, info = lu_packed(A, pivot=pivot)
    return LUFactor(required(packed, info, partial(_check_pivots, "torch.linalg.lu_factor")), pivots)


def _unpacked(packed: Tensor, pivots: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    m, n = packed._array.shape[-2:]
    k = min(m, n)
    kind = packed._array.dtype
    lower = packed[..., :k].tril(-1) + wrap(np.eye(m, k, dtype=kind))
    permutation = _permutation_matrix(pivots, m=m, kind=kind)
    return permutation, lower, packed[..., :k, :].triu()


def _permutation_array(pivots: np.ndarray, m: int, kind: np.dtype) -> np.ndarray:
    order = permutation_of(pivots, m)
    matrix = np.zeros((*order.shape[:-1], m, m), kind)
    np.put_along_axis(matrix, order[..., None, :], 1, axis=-2)
    return matrix


#: P of A = P L U, (*, m, m), from the swaps of rows, (*, k).
_permutation_matrix = Primitive(
    "permutation_matrix",
    "pivots",
    _permutation_array,
    rule=lambda pivots, m, kind: Spec((*pivots.shape[:-1], m, m), kind),
)


@linalg_operator
def linalg_lu(A: Tensor, *, pivot: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """(P, L, U) with A = P L U; P is empty without `pivot`."""
    check_matrix(A, "linalg.lu")
    packed, pivots, _ = lu_packed(A, pivot=pivot)
    permutation, lower, upper = _unpacked(packed, pivots)
    return LU(permutation if pivot else permutation.new_empty(0), lower, upper)


@operator(method=False, out=True)
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """(P, L, U) of what `linalg.lu_factor` gave; what is not asked for is empty."""
    if LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
        )
    permutation, lower, upper = _unpacked(LU_data, LU_pivots)
    empty = LU_data.new_empty(0)
    return LUUnpack(
        permutation if unpack_pivots else empty, *((lower, upper) if unpack_data else (empty, empty))
    )


@operator
def lu(input: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """(LU, pivots), and with `get_infos` the place of the first zero pivot."""
    check_matrix(input, "lu")
    packed, pivots, info = lu_packed(input, pivot=pivot)
    return (packed, pivots, info) if get_infos else (packed, pivots)


# QR -----------------------------------------------------------------------------------------------


def _qr(A: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    check_matrix(A, "linalg.qr")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    m, n = A._array.shape[-2:]
    if m < n and mode != "r":
        # Of a wide matrix the square block on the left has the same Q; the rest of R follows from it.
        q, square = qr_tall(A[..., :m], complete=False)
        return q, cat([square, adjoint(q) @ A[..., m:]], -1)
    q, r = qr_tall(A, complete=mode == "complete")
    return q, r


@linalg_operator
def linalg_qr(A: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """(Q, R) with A = Q R: Q has min(m, n) orthonormal columns, or m ("complete"), or is left out ("r")."""
    q, r = _qr(A.detach() if mode == "r" else A, mode)
    if mode == "r":
        if A.requires_grad:
            raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to require gradients.")
        return QR(A.new_empty(0), r)
    return QR(q, r)


@operator(out=True)
def qr(input: Tensor, some: bool = True) -> tuple[Tensor, Tensor]:
    """As `linalg.qr`, reduced with `some`."""
    return OldQR(*_qr(input, "reduced" if some else "complete"))


@operator(out=True)
def geqrf(input: Tensor) -> tuple[Tensor, Tensor]:
    """R above the diagonal and Householder vectors below it, and their factors: what LAPACK's geqrf gives."""
    check_matrix(input, "geqrf")
    return Geqrf(*_reflections(input))


def _reflections_array(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    packed, factors = np.linalg.qr(x, mode="raw")
    return np.ascontiguousarray(packed.swapaxes(-1, -2)), factors


_reflections = Primitive(
    "geqrf",
    "input",
    _reflections_array,
    rule=lambda x: (Spec(x.shape, x.dtype), Spec((*x.shape[:-2], min(x.shape[-2:])), x.dtype)),
    outputs=2,
)


@linalg_operator
def linalg_householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first n columns of the product of Householder reflections I - tau v v^H, v below the diagonal of A."""
    check_matrix(A, "linalg.householder_product")
    m, n = A._array.shape[-2:]
    if m < n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if n < tau._array.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    start = constant_of(A, np.broadcast_to(np.eye(m, n, dtype=A._array.dtype), A._array.shape))
    return _reflected(A, tau, start, range(tau._array.shape[-1] - 1, -1, -1), False)


def _reflected(A: Tensor, tau: Tensor, other: Tensor, order: Any, conjugate: bool) -> Tensor:
    """`other` under the reflections in the given order, from the left."""
    m = A._array.shape[-2]
    for i in order:
        one = np.zeros((m, 1), A._array.dtype)
        one[i] = 1
        below = wrap((np.arange(m) > i).astype(real_dtype(A._array.dtype))[:, None])
        v = A[..., i : i + 1] * below + wrap(one)
        factor = tau[..., i, None, None]
        other = other - (factor.conj() if conjugate else factor) * (v @ (adjoint(v) @ other))
    return other


@operator(out=True)
def orgqr(input: Tensor, input2: Tensor) -> Tensor:
    """As `linalg.householder_product`."""
    return linalg_householder_product(input, input2)


@operator(out=True)
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q times `other` (or `other` times Q, or with Q^H), Q the product of all m reflections of `input` and `tau`."""
    check_matrix(input, "ormqr")
    count = range(tau._array.shape[-1])
    # Q = H_1 ... H_k, so Q X goes through the last reflection first, Q^H X through the first.
    if left:
        return _reflected(input, tau, other, count if transpose else count[::-1], transpose)
    turned = _reflected(input, tau, adjoint(other), count[::-1] if transpose else count, not transpose)
    return adjoint(turned)


# Eigenvalues --------------------------------------------------------------------------------------


@linalg_operator
def linalg_eigh(A: Tensor, UPLO: str = "L") -> tuple[Tensor, Tensor]:
    """(eigenvalues, eigenvectors) of Hermitian A, real and rising; one triangle, "L" or "U", is read."""
    check_matrix(A, "linalg.eigh", square=True)
    side = UPLO.upper() if isinstance(UPLO, str) else ""
    if side not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return Eigh(*eigh_of(A, UPLO=side))


@linalg_operator
def linalg_eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of Hermitian A, real and rising, (*, n)."""
    return linalg_eigh(A, UPLO)[0]


@linalg_operator
def linalg_eig(A: Tensor) -> tuple[Tensor, Tensor]:
    """(eigenvalues, eigenvectors) of A, complex, in no order; the vectors have length 1."""
    check_matrix(A, "linalg.eig", square=True)
    return Eig(*eig_of(A))


@linalg_operator
def linalg_eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of A, complex, (*, n), in no order."""
    return linalg_eig(A)[0]


# Singular values ----------------------------------------------------------------------------------


@linalg_operator
def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> tuple[Tensor, ...]:
    """(U, S, Vh) with A = U diag(S) Vh, S falling; with `full_matrices` U and Vh are square."""
    check_matrix(A, "linalg.svd")
    if driver is not None:
        raise RuntimeError("torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.")
    return SVD(*svd_of(A, full_matrices=full_matrices))


@linalg_operator
def linalg_svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of A, falling, (*, min(m, n))."""
    return linalg_svd(A, False, driver=driver)[1]


@operator(out=True)
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) with A = U diag(S) V^H; U and V are square without `some`, and zeros without `compute_uv`."""
    check_matrix(input, "svd")
    m, n = input._array.shape[-2:]
    if not compute_uv:
        s = linalg_svdvals(input)
        batch = input._array.shape[:-2]
        return OldSVD(input.new_zeros((*batch, m, m)), s, input.new_zeros((*batch, n, n)))
    u, s, vh = svd_of(input, full_matrices=not some)
    return OldSVD(u, s, adjoint(vh))


def randomized_range(A: Tensor, q: int, niter: int, M: Tensor | None) -> Tensor:
    """Orthonormal columns, (*, m, q), that nearly span A's (Halko, Martinsson and Tropp, 2009, algorithm 4.4)."""
    from flambeau.ops.random import randn

    n = A._array.shape[-1]
    draws = randn(n, q, dtype=A.dtype)

    def times(x: Tensor) -> Tensor:
        return A @ x - (M @ x if M is not None else 0)

    def back(x: Tensor) -> Tensor:
        return adjoint(A) @ x - (adjoint(M) @ x if M is not None else 0)

    found = linalg_qr(times(draws))[0]
    for _ in range(niter):
        found = linalg_qr(back(found))[0]
        found = linalg_qr(times(found))[0]
    return found


@operator(method=False)
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V), the `q` largest singular values of A (less M) and their vectors, by random projections."""
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    m, n = A._array.shape[-2:]
    shift = M.expand(A._array.shape) if M is not None else None
    if m < n:
        A, shift = adjoint(A), adjoint(shift) if shift is not None else None
    basis = randomized_range(A, q, niter, shift)
    u, s, vh = svd_of(adjoint(basis) @ (A if shift is None else A - shift), full_matrices=False)
    u, v = basis @ u, adjoint(vh)
    return (v, s, u) if m < n else (u, s, v)


@operator(method=False)
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) of `svd_lowrank` for A, (*, samples, features), less the mean of its rows: principal components."""
    m, n = A._array.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


