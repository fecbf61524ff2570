"""Linear equations, inverses, determinants, powers and norms of matrices, as users call them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes, wrap_dim, wrap_dims
from flambeau.ops.decompositions import (
    adjoint,
    constant_of,
    lu_packed,
    order_of,
    real_dtype,
    rows_taken,
    svd_of,
)
from flambeau.ops.factorizations import check_matrix, linalg_operator
from flambeau.ops.norm import vector_norm_of
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.required import required
from flambeau.ops.results import named_result
from flambeau.ops.solvers import (
    LinAlgError,
    determinant_of,
    first_of,
    inverse_of,
    inverse_or_nan,
    pseudo_inverse_of,
    slogdet_of,
    solve_matrix,
    solve_or_nan,
    solve_triangle,
)
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import need_value

SolveEx = named_result("linalg_solve_ex", "result", "info")
InvEx = named_result("linalg_inv_ex", "inverse", "info")
Slogdet = named_result("linalg_slogdet", "sign", "logabsdet")
OldSlogdet = named_result("slogdet", "sign", "logabsdet")
Lstsq = named_result("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
TriangularSolve = named_result("triangular_solve", "solution", "cloned_coefficient")

# Equations ----------------------------------------------------------------------------------------


def _is_vector(A: Tensor, B: Tensor) -> bool:
    """Whether B stands for vectors: one, or a stack with the shape of A's."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and B._array.shape == A._array.shape[:-1])


def _check_same_dtype(A: Tensor, B: Tensor, name: str) -> None:
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {A.dtype.tensor_type} and B of "
            f"type {B.dtype.tensor_type} instead"
        )


@linalg_operator
def linalg_solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of A X = B (or X A = B), (*, n, n) and (*, n, k) or (*, n) -> as B. Raises `LinAlgError` for singular A."""
    check_matrix(A, "linalg.solve", square=True)
    return _solution(A, B, left, solve_matrix)


def _solution(A: Tensor, B: Tensor, left: bool, solve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """X of A X = B or X A = B, given what solves the former for matrices."""
    _check_same_dtype(A, B, "linalg.solve")
    if _is_vector(A, B):
        if not left:
            raise RuntimeError(
                "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this "
                "case linalg.solve is equivalent to B / A.squeeze(-1)"
            )
        return solve(A, B.unsqueeze(-1)).squeeze(-1)
    return solve(A, B) if left else adjoint(solve(adjoint(A), adjoint(B)))


def _pivot_info(A: Tensor, check: bool, name: str) -> Tensor:
    info = lu_packed(A.detach(), pivot=True)[2]
    return required(info, info, partial(_check_singular, name)) if check else info


def _check_singular(name: str, bad: np.ndarray) -> None:
    if bad.any():
        raise LinAlgError(f"{name}: {first_of(bad)}The input matrix is singular.")


@linalg_operator
def linalg_solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """(X, info): `info` is 0, or the place of the zero that elimination met; X is then NaN."""
    check_matrix(A, "linalg.solve_ex", square=True)
    info = _pivot_info(A, check_errors, "torch.linalg.solve_ex")
    return SolveEx(_solution(A, B, left, lambda a, b: solve_or_nan(a, b, info)), info)


@linalg_operator
def linalg_solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X of A X = B (or X A = B) for triangular A; with `unitriangular` its diagonal counts as ones."""
    check_matrix(A, "linalg.solve_triangular", square=True)
    _check_same_dtype(A, B, "linalg.solve_triangular")
    return solve_triangle(A, B, upper=upper, left=left, unitriangular=unitriangular)


@operator(out=True)
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Tensor, Tensor]:
    """(X, A) with A X = b (or A^T X = b) for triangular A."""
    matrix, side = (A.transpose(-2, -1), not upper) if transpose else (A, upper)
    return TriangularSolve(solve_triangle(matrix, b, upper=side, unitriangular=unitriangular), A.clone())


@linalg_operator
def linalg_lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X of A X = B (or X A = B, or with A^H) from what `linalg.lu_factor(A)` gave."""
    check_matrix(LU, "linalg.lu_solve", square=True)
    if not left:
        flipped = B.transpose(-2, -1).conj()
        return linalg_lu_solve(LU, pivots, flipped, adjoint=not adjoint).transpose(-2, -1).conj()
    order = order_of(pivots, m=LU._array.shape[-1], back=adjoint)
    if adjoint:
        back = LU.transpose(-2, -1).conj()
        inner = solve_triangle(back, B, upper=False)
        inner = solve_triangle(back, inner, upper=True, unitriangular=True)
        return rows_taken(inner, order)
    batch = broadcast_shapes(B._array.shape[:-2], order._array.shape[:-1])
    rows = rows_taken(B.expand(*batch, *B._array.shape[-2:]), order.expand(*batch, order._array.shape[-1]))
    inner = solve_triangle(LU, rows, upper=False, unitriangular=True)
    return solve_triangle(LU, inner, upper=True)


@operator(out=True)
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """As `linalg.lu_solve`."""
    return linalg_lu_solve(LU_data, LU_pivots, b)


@operator(out=True)
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X of A X = B, where A = L L^H (or L^H L with `upper`)."""
    first = solve_triangle(adjoint(L) if upper else L, B, upper=False)
    return solve_triangle(L if upper else adjoint(L), first, upper=True)


@operator(out=True)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """A^-1, where A = L L^H (or L^H L with `upper`)."""
    check_matrix(L, "cholesky_inverse", square=True)
    return cholesky_solve(wrap(np.eye(L._array.shape[-1], dtype=L._array.dtype)), L, upper)


@linalg_operator
def linalg_lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The X that makes |A X - B| smallest: (solution, residuals, rank, singular values).

    The residuals are given where A has full rank and more rows than columns, the singular values by the drivers
    that compute them ("gelsd", "gelss").
    """
    check_matrix(A, "torch.linalg.lstsq")
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError("torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    m, n = A._array.shape[-2:]
    vector = _is_vector(A, B)
    right = B.unsqueeze(-1) if vector else B
    values = _singular_values(A, hermitian=False)
    tolerance = _tolerance(values, None, rcond, size=max(m, n))
    rank = _rank(values, tolerance)
    solution = _pseudo_inverse(A, tolerance) @ right
    empty = A.new_empty(0, dtype=A.dtype.to_real())
    residuals = empty
    if m > n and driver != "gels":
        need_value("linalg.lstsq of a driver whose residuals are left out where the rank is not full")
    if m > n and (driver == "gels" or (rank._array == n).all()):
        difference = A @ solution - right
        residuals = (difference * difference.conj()).sum(-2)
        residuals = residuals.real if residuals.is_complex() else residuals
    return Lstsq(
        solution.squeeze(-1) if vector else solution,
        residuals,
        rank if driver != "gels" else wrap(np.empty(0, np.int64)),
        values if driver in ("gelsd", "gelss") else empty,
    )


# Inverses -----------------------------------------------------------------------------------------


@linalg_operator
def linalg_inv(A: Tensor) -> Tensor:
    """A^-1, (*, n, n). Raises `LinAlgError` for a singular matrix."""
    check_matrix(A, "linalg.inv", square=True)
    return inverse_of(A)


@linalg_operator
def linalg_inv_ex(A: Tensor, *, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """(A^-1, info): `info` is 0, or the place of the zero that elimination met; the inverse is then NaN."""
    check_matrix(A, "linalg.inv_ex", square=True)
    info = _pivot_info(A, check_errors, "torch.linalg.inv_ex")
    return InvEx(inverse_or_nan(A, info), info)


@operator(out=True)
def inverse(input: Tensor) -> Tensor:
    """As `linalg.inv`."""
    return linalg_inv(input)


def _pseudo_inverse(A: Tensor, tolerance: Tensor, hermitian: bool = False) -> Tensor:
    return pseudo_inverse_of(A, tolerance, hermitian=hermitian) if A._array.size else adjoint(A)


def _tolerance_array(values: np.ndarray, atol: Any, rtol: Any, size: int) -> np.ndarray:
    if rtol is None:
        given = atol is not None and np.any(np.asarray(atol) > 0)
        rtol = 0.0 if given else size * np.finfo(values.dtype).eps
    relative = np.asarray(rtol * values.max(-1, initial=0.0))
    return relative if atol is None else np.asarray(np.maximum(atol, relative))


#: Singular values up to this count as 0: max(atol, rtol * largest), (*, k) -> (*).
_tolerance = Primitive("singular_tolerance", "values atol? rtol?", _tolerance_array)


def _singular_values_array(x: np.ndarray, hermitian: bool) -> np.ndarray:
    if hermitian:
        return np.sort(np.abs(np.linalg.eigvalsh(x)), -1)[..., ::-1]
    return np.linalg.svd(x, compute_uv=False)


#: The singular values, falling, (*, m, n) -> (*, min(m, n)), as numbers to compare with: they have no derivative.
_singular_values = Primitive(
    "singular_values",
    "input",
    _singular_values_array,
    rule=lambda x, hermitian: Spec((*x.shape[:-2], min(x.shape[-2:])), real_dtype(x.dtype)),
)

#: How many of the values, (*, k), are above the tolerance, (*).
_rank = Primitive(
    "count_above",
    "values tolerance",
    lambda values, tolerance: np.asarray((values > np.asarray(tolerance)[..., None]).sum(-1), np.int64),
)


@linalg_operator
def linalg_pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """The Moore-Penrose inverse, (*, m, n) -> (*, n, m); singular values up to max(atol, rtol * largest) count as 0."""
    check_matrix(A, "linalg.pinv", square=hermitian)
    if not A._array.size:
        return adjoint(A)
    values = _singular_values(A, hermitian=hermitian)
    tolerance = _tolerance(values, atol, rtol if rcond is None else rcond, size=max(A._array.shape[-2:]))
    return _pseudo_inverse(A, tolerance, hermitian)


@operator
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """As `linalg.pinv`."""
    return linalg_pinv(input, rcond)


@linalg_operator
def linalg_matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values are above max(atol, rtol * largest), (*)."""
    check_matrix(A, "linalg.matrix_rank", square=hermitian)
    values = _singular_values(A, hermitian=hermitian)
    if tol is None:
        tol = _tolerance(values, atol, rtol, size=max(A._array.shape[-2:]))
    return _rank(values, tol)


@linalg_operator
def linalg_tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map of tensors: its first `ind` dimensions are rows, the others columns."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    shape = A._array.shape
    if math.prod(shape[:ind]) != math.prod(shape[ind:]):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(shape[ind:])} != {math.prod(shape[:ind])}"
        )
    size = math.prod(shape[:ind])
    return linalg_inv(A.reshape(size, size)).reshape(*shape[ind:], *shape[:ind])


@linalg_operator
def linalg_tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X of tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first."""
    if dims is not None:
        moved = wrap_dims(tuple(dims), A.ndim)
        A = A.movedim(moved, tuple(range(A.ndim - len(moved), A.ndim)))
    shape = A._array.shape[B.ndim :]
    if math.prod(shape) != B._array.size:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {math.prod(shape)} != {B._array.size}"
        )
    size = B._array.size
    return linalg_solve(A.reshape(size, size), B.reshape(size)).reshape(shape)


# Determinants -------------------------------------------------------------------------------------


@linalg_operator
def linalg_det(A: Tensor) -> Tensor:
    """The determinant, (*, n, n) -> (*)."""
    check_matrix(A, "linalg.det", square=True)
    return determinant_of(A)


@operator
def det(input: Tensor) -> Tensor:
    """The determinant, (*, n, n) -> (*)."""
    return linalg_det(input)


@linalg_operator
def linalg_slogdet(A: Tensor) -> tuple[Tensor, Tensor]:
    """(sign, logarithm of the size) of the determinant."""
    check_matrix(A, "linalg.slogdet", square=True)
    return Slogdet(*slogdet_of(A))


@operator(out=True)
def slogdet(input: Tensor) -> tuple[Tensor, Tensor]:
    """As `linalg.slogdet`."""
    return OldSlogdet(*linalg_slogdet(input))


@operator
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant, NaN where that is negative."""
    check_matrix(input, "logdet", square=True)
    sign, size = slogdet_of(input)
    if input.is_complex():
        return sign.log() + size
    return size.masked_fill(sign == -1, math.nan)


# Powers and functions -----------------------------------------------------------------------------


@linalg_operator
def linalg_matrix_power(A: Tensor, n: int) -> Tensor:
    """A times itself `n` times; of the inverse where `n` is negative."""
    check_matrix(A, "linalg.matrix_power", square=True)
    if n < 0:
        return linalg_matrix_power(linalg_inv(A), -n)
    if n == 0:
        return constant_of(A, np.eye(A._array.shape[-1], dtype=A._array.dtype))
    result: Tensor | None = None
    square = A
    while n:
        if n & 1:
            result = square if result is None else result @ square
        n >>= 1
        if n:
            square = square @ square
    assert result is not None
    return result.clone() if result is A else result


@operator(out=True)
def matrix_power(input: Tensor, n: int) -> Tensor:
    """As `linalg.matrix_power`."""
    return linalg_matrix_power(input, n)


#: The coefficients of the Padé approximant of degree 13, and the norm up to which it is exact in float64
#: (Higham, The scaling and squaring method for the matrix exponential revisited, 2005).
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_PADE_NORM = 5.371920351148152


def _exponential(x: np.ndarray) -> np.ndarray:
    if not x.size:
        return x.copy()
    wide = x.astype(np.result_type(x.dtype, np.float64))
    norms = np.abs(wide).sum(-2).max(-1)
    halvings = np.maximum(0, np.ceil(np.log2(np.maximum(norms, 1e-300) / _PADE_NORM))).astype(int)
    halvings = np.where(np.isfinite(norms), halvings, 0)
    a = wide / (2.0**halvings)[..., None, None]
    one = np.eye(x.shape[-1])
    b = _PADE
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    out = np.linalg.solve(even - odd, even + odd)
    for step in range(int(halvings.max(initial=0))):
        out = np.where((halvings > step)[..., None, None], out @ out, out)
    return out.astype(x.dtype)


def _exponential_derivative(g: Tensor, input: Tensor) -> Tensor:
    """The block of exp([[A^H, g], [0, A^H]]) above the diagonal (Mathias, 1996)."""
    from flambeau.ops.joining import cat

    n = input._array.shape[-1]
    back = adjoint(input)
    top = cat([back, g], -1)
    bottom = cat([g.new_zeros(g._array.shape), back], -1)
    return _exponential_of(cat([top, bottom], -2))[..., :n, n:]


_exponential_of = Primitive(
    "linalg_matrix_exp",
    "input",
    _exponential,
    rule=lambda x: Spec(x.shape, x.dtype),
    derivative={"input": _exponential_derivative},
)


@linalg_operator
def linalg_matrix_exp(A: Tensor) -> Tensor:
    """The exponential of a matrix, sum A^k / k!, (*, n, n)."""
    check_matrix(A, "linalg.matrix_exp", square=True)
    return _exponential_of(A)


@operator
def matrix_exp(input: Tensor) -> Tensor:
    """As `linalg.matrix_exp`."""
    return linalg_matrix_exp(input)


# Norms --------------------------------------------------------------------------------------------


@linalg_operator
def linalg_vector_norm(
    x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(sum |x|^ord)^(1/ord) over `dim`, all by default; the largest or smallest size for an infinite `ord`."""
    expect_tensor(x, "linalg.vector_norm")
    x = _typed(x, dtype, "linalg.vector_norm")
    dims = tuple(range(x.ndim)) if dim is None else (wrap_dims(dim, x.ndim) if dim != () else ())
    return vector_norm_of(x, float(ord), dims or tuple(range(x.ndim)), keepdim)


def _typed(x: Tensor, dtype: Any, name: str) -> Tensor:
    if x.dtype.kind < dtypes.FLOATING:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype.tensor_type}")
    return x if dtype is None else x.to(dtype)


@linalg_operator
def linalg_matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of the matrices in two dimensions.

    "fro": the root of the sum of squares; "nuc": the sum of the singular values; 2, -2: the largest, smallest
    singular value; 1, -1, inf, -inf: the largest, smallest sum of sizes of a column (1) or row (inf).
    """
    expect_tensor(A, "linalg.matrix_norm")
    if A.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    A = _typed(A, dtype, "linalg.matrix_norm")
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    rows, columns = (wrap_dim(d, A.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError("linalg.matrix_norm: dims must be different.")
    if ord == "fro":
        return vector_norm_of(A, 2.0, (rows, columns), keepdim)
    if ord == "nuc" or ord in (2, -2):
        values = svd_of(A.movedim((rows, columns), (-2, -1)), full_matrices=False)[1]
        found = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord == 2 else values.amin(-1)
        if keepdim:
            for place in sorted((rows, columns)):
                found = found.unsqueeze(place)
        return found
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    summed, over = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = A.abs().sum(summed, True)
    found = sums.amax(over, True) if ord > 0 else sums.amin(over, True)
    return found if keepdim else found.squeeze((rows, columns))


@linalg_operator
def linalg_norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A vector or a matrix norm, as `ord` and the number of dimensions say; without `ord` the root of the squares."""
    expect_tensor(A, "linalg.norm")
    if ord is None:
        return linalg_vector_norm(A, 2, dim, keepdim, dtype=dtype)
    dims = (dim,) if isinstance(dim, int) else dim
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}"
        )
    if dims is None and A.ndim not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D."
        )
    if isinstance(ord, str) or (A.ndim if dims is None else len(dims)) == 2:
        return linalg_matrix_norm(A, ord, (0, 1) if dims is None else dims, keepdim, dtype=dtype)
    return linalg_vector_norm(A, ord, dims, keepdim, dtype=dtype)


@linalg_operator
def linalg_cond(A: Tensor, p: Any = None) -> Tensor:
    """|A| |A^-1|, how much a solution may change with its right-hand side; infinite for singular A."""
    check_matrix(A, "linalg.cond", square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        values = svd_of(A, full_matrices=False)[1]
        return values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
    inverse, info = linalg_inv_ex(A)
    found = linalg_matrix_norm(A, p) * linalg_matrix_norm(inverse, p)
    return found.masked_fill(info != 0, math.inf)


# Products -----------------------------------------------------------------------------------------


@linalg_operator
def linalg_multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, in the order of the fewest multiplications; the ends may be vectors."""
    if len(tensors) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(tensors)))
    chain = list(tensors)
    first, last = chain[0].ndim == 1, chain[-1].ndim == 1
    if first:
        chain[0] = chain[0].unsqueeze(0)
    if last:
        chain[-1] = chain[-1].unsqueeze(-1)
    for place, matrix in enumerate(chain):
        if matrix.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {place} must be 2D but got {tensors[place].ndim}D")
    sizes = [matrix._array.shape[0] for matrix in chain] + [chain[-1]._array.shape[1]]
    result = _chained(chain, _best_splits(sizes), 0, len(chain) - 1)
    result = result.squeeze(0) if first else result
    return result.squeeze(-1) if last else result


def _best_splits(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of a chain (Cormen et al., Introduction to Algorithms, section 15.2)."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    splits: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            tries = {k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)}
            splits[i, j] = min(tries, key=lambda k: tries[k])
            cost[i, j] = tries[splits[i, j]]
    return splits


def _chained(chain: Sequence[Tensor], splits: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return chain[i]
    k = splits[i, j]
    return _chained(chain, splits, i, k) @ _chained(chain, splits, k + 1, j)


@operator(method=False)
def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """As `linalg.multi_dot`."""
    chain = matrices[0] if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else matrices
    if len(chain) == 1:
        return chain[0]
    return linalg_multi_dot(chain, out=out)


@linalg_operator
def linalg_vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum of conj(x) y along `dim`, broadcast."""
    return (x.conj() * y).sum(dim)


@linalg_operator
def linalg_matmul(input: Tensor, other: Tensor) -> Tensor:
    """As `flambeau.matmul`."""
    return input @ other


@linalg_operator
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, as a view."""
    return A.diagonal(offset, dim1, dim2)


@linalg_operator
def linalg_vander(x: Tensor, N: int | None = None) -> Tensor:
    """(*, n) -> (*, n, N): the powers 0 to N - 1 of each element."""
    count = (x._array.shape[-1] if x.ndim else 1) if N is None else N
    if count < 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1. Got {count - 1}")
    if x.dtype.kind < dtypes.FLOATING:
        x = x.to(dtypes.int64)
    x = x if x.ndim else x.unsqueeze(0)
    ones = x.new_ones((*x._array.shape, 1))
    if count == 1:
        return ones
    from flambeau.ops.joining import cat

    powers = x.unsqueeze(-1).expand(*x._array.shape, count - 1).cumprod(-1)
    return cat([ones, powers], -1)


