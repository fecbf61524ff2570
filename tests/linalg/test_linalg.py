"""Linear algebra: against NumPy and SciPy, first and second derivatives, stacks, edge cases, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import flambeau as torch
from flambeau import linalg
from flambeau.autograd import gradcheck, gradgradcheck

RANDOM = np.random.default_rng(0)


def matrices(*shape: int, complex_: bool = False) -> np.ndarray:
    x = RANDOM.normal(size=shape)
    return x + 1j * RANDOM.normal(size=shape) if complex_ else x


def hermitian(x: np.ndarray) -> np.ndarray:
    return x @ x.conj().swapaxes(-1, -2) + np.eye(x.shape[-1])


def H(x: torch.Tensor) -> torch.Tensor:
    return x @ x.mH + torch.eye(x.shape[-1], dtype=x.dtype)


#: A function of a square matrix that is fit for differentiating: free phases and signs cancel.
SMOOTH: dict[str, Callable[[torch.Tensor], Any]] = {
    "cholesky": lambda x: linalg.cholesky(H(x)),
    "cholesky upper": lambda x: linalg.cholesky(H(x), upper=True),
    "det": linalg.det,
    "slogdet": lambda x: linalg.slogdet(x)[1],
    "logdet": lambda x: torch.logdet(H(x)).abs(),
    "inv": linalg.inv,
    "pinv": linalg.pinv,
    "pinv tall": lambda x: linalg.pinv(x[..., :2]),
    "pinv wide": lambda x: linalg.pinv(x[..., :2, :]),
    "solve": lambda x: linalg.solve(x, x[..., :2] ** 2),
    "solve right": lambda x: linalg.solve(x, x[..., :2, :] ** 2, left=False),
    "solve vector": lambda x: linalg.solve(x, x[..., 0]),
    "triangular": lambda x: linalg.solve_triangular(x, x * 2, upper=True),
    "triangular right": lambda x: linalg.solve_triangular(x, x * 2, upper=False, left=False, unitriangular=True),
    "eigh": lambda x: (linalg.eigh(H(x))[0], linalg.eigh(H(x))[1].abs()),
    "eigvals": lambda x: linalg.eigvals(x).abs().sum(-1),
    "eig": lambda x: linalg.eig(x)[1].abs().sum((-2, -1)),
    "svd": lambda x: (linalg.svd(x)[1], linalg.svd(x)[0].abs(), linalg.svd(x)[2].abs()),
    "svd tall": lambda x: linalg.svd(x[..., :2], full_matrices=False)[0].abs(),
    "svd wide": lambda x: linalg.svd(x[..., :2, :], full_matrices=False)[2].abs(),
    "qr": lambda x: linalg.qr(x),
    "qr tall": lambda x: linalg.qr(x[..., :2]),
    "qr wide": lambda x: linalg.qr(x[..., :2, :]),
    "lu": lambda x: linalg.lu(x)[1:],
    "lu tall": lambda x: linalg.lu(x[..., :2])[1:],
    "lu wide": lambda x: linalg.lu(x[..., :2, :])[1:],
    "lu solve": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x * x),
    "lu solve adjoint": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x * x, adjoint=True),
    "lu solve right": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x * x, left=False),
    "cholesky solve": lambda x: torch.cholesky_solve(x, linalg.cholesky(H(x))),
    "lstsq": lambda x: linalg.lstsq(x[..., :2], x[..., 2:])[0],
    "matrix_exp": linalg.matrix_exp,
    "matrix_power": lambda x: linalg.matrix_power(x, 5),
    "matrix_power negative": lambda x: linalg.matrix_power(x, -2),
    "norm nuc": lambda x: linalg.matrix_norm(x, "nuc"),
    "norm 2": lambda x: linalg.matrix_norm(x, 2),
    "norm inf": lambda x: linalg.matrix_norm(x, float("inf")),
    "norm 3": lambda x: linalg.vector_norm(x, 3, dim=-1),
    "cond": linalg.cond,
    "cross": lambda x: linalg.cross(x, x * x + 1),
    "vecdot": lambda x: linalg.vecdot(x, x * x),
    "multi_dot": lambda x: linalg.multi_dot([x[..., :2].reshape(-1, 2), x.reshape(-1, 2).mT[:, :3], x.reshape(-1, 3)[:3]]),
    "householder": lambda x: linalg.householder_product(x, x[..., 0] / 4),
    "ormqr": lambda x: torch.ormqr(x, x[..., 0] / 4, x * x),
    "tensorsolve": lambda x: linalg.tensorsolve(x.reshape(-1, 3)[:3], x.reshape(-1)[:3]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["real", "complex"])
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name: str, dtype: str) -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(2, 3, 3)) + 0.5 * np.eye(3)
    if dtype == "complex":
        x = x + 1j * random.normal(size=x.shape)
    tensor = torch.from_numpy(x).requires_grad_()

    def function(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = SMOOTH[name](x)
        return tuple(result) if isinstance(result, tuple) else (result,)

    assert gradcheck(function, (tensor,), atol=1e-4)
    assert gradgradcheck(function, (tensor,), atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_values(complex_: bool) -> None:
    x = matrices(2, 3, 4, 4, complex_=complex_)
    t, h = torch.from_numpy(x), torch.from_numpy(hermitian(x))
    pairs = [
        (linalg.det(t), np.linalg.det(x)),
        (linalg.inv(t), np.linalg.inv(x)),
        (linalg.slogdet(t)[1], np.linalg.slogdet(x)[1]),
        (linalg.cholesky(h), np.linalg.cholesky(hermitian(x))),
        (linalg.eigvalsh(h), np.linalg.eigvalsh(hermitian(x))),
        (linalg.svdvals(t), np.linalg.svd(x, compute_uv=False)),
        (linalg.pinv(t[..., :2]), np.linalg.pinv(x[..., :2])),
        (linalg.matrix_rank(t), np.linalg.matrix_rank(x)),
        (linalg.matrix_power(t, 3), np.linalg.matrix_power(x, 3)),
        (linalg.cond(t), np.linalg.cond(x)),
        (linalg.cond(t, 1), np.linalg.cond(x, 1)),
        (torch.kron(t[0, 0], t[0, 1]), np.kron(x[0, 0], x[0, 1])),
        (torch.tensordot(t, t, ([0, 1], [0, 1])), np.tensordot(x, x, ([0, 1], [0, 1]))),
        (torch.inner(t[0], t[1]), np.inner(x[0], x[1])),
        (torch.vdot(t[0, 0, 0], t[0, 0, 1]), np.vdot(x[0, 0, 0], x[0, 0, 1])),
    ]
    for found, expected in pairs:
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-10)
    for place in np.ndindex(2, 3):
        np.testing.assert_allclose(linalg.matrix_exp(t)[place].numpy(), scipy.linalg.expm(x[place]), rtol=1e-9)
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
            found = linalg.matrix_norm(t, order)[place].numpy()
            np.testing.assert_allclose(found, np.linalg.norm(x[place], order), rtol=1e-9)


@pytest.mark.parametrize("shape", [(5, 5), (70, 70), (6, 3), (3, 6), (80, 40), (40, 80), (2, 3, 4, 5), (0, 3, 3), (3, 0)])
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...]) -> None:
    for complex_ in (False, True):
        x = matrices(*shape, complex_=complex_)
        t = torch.from_numpy(x)
        p, lower, upper = linalg.lu(t)
        np.testing.assert_allclose((p @ lower @ upper).numpy(), x, atol=1e-10)
        q, r = linalg.qr(t)
        np.testing.assert_allclose((q @ r).numpy(), x, atol=1e-10)
        np.testing.assert_allclose(r.triu().numpy(), r.numpy())
        u, s, vh = linalg.svd(t, full_matrices=False)
        np.testing.assert_allclose((u * s.unsqueeze(-2) @ vh).numpy(), x, atol=1e-10)


def test_lu_takes_the_rows_that_lapack_takes() -> None:
    x = matrices(40, 40)
    packed, pivots = linalg.lu_factor(torch.from_numpy(x))
    expected, swaps = scipy.linalg.lu_factor(x)
    np.testing.assert_allclose(packed.numpy(), expected, atol=1e-12)
    np.testing.assert_array_equal(pivots.numpy(), swaps + 1)


def test_householder_vectors() -> None:
    x = torch.from_numpy(matrices(5, 3))
    packed, tau = torch.geqrf(x)
    q = linalg.householder_product(packed, tau)
    np.testing.assert_allclose((q @ packed[:3].triu()).numpy(), x.numpy(), atol=1e-12)
    whole = linalg.qr(x, mode="complete")[0]
    np.testing.assert_allclose(torch.ormqr(packed, tau, x, transpose=True).numpy(), (whole.mT @ x).numpy(), atol=1e-12)


def test_low_rank() -> None:
    x = torch.from_numpy(matrices(30, 3) @ matrices(3, 20))
    u, s, v = torch.svd_lowrank(x, q=4)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), x.numpy(), atol=1e-10)
    u, s, v = torch.pca_lowrank(x, q=3)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), (x - x.mean(0)).numpy(), atol=1e-10)


def test_singular_determinants_have_gradients() -> None:
    x = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-12)


@pytest.mark.parametrize(
    "equation",
    ["ij,jk->ik", "ij,jk", "bij,bjk->bik", "ii->i", "ii", "ij->ji", "ij,ij->", "i,j->ij", "...ij,...jk->...ik", "ijk,ilm,njm,nlk->", "iij,j->i", "ij,kl->ijkl", "ab,bc,cd->ad"],
)  # fmt: skip
def test_einsum(equation: str) -> None:
    random = np.random.default_rng(1)
    sizes = dict.fromkeys("ijklmnabcd", 3)
    parts = [[*part.replace("...", "__")] for part in equation.partition("->")[0].split(",")]
    operands = [random.normal(size=[2 if c == "_" else sizes[c] for c in part]) for part in parts]
    tensors = [torch.from_numpy(x).requires_grad_() for x in operands]
    np.testing.assert_allclose(torch.einsum(equation, *tensors).detach().numpy(), np.einsum(equation, *operands), atol=1e-10)
    assert gradcheck(lambda *xs: torch.einsum(equation, *xs), tuple(tensors))


def test_einsum_of_numbers_and_broadcasting() -> None:
    x, y = torch.randn(3, 1), torch.randn(4, 5)
    np.testing.assert_allclose(
        torch.einsum(x, [0, 1], y, [1, 2], [0, 2]).numpy(), torch.einsum("ab,bc->ac", x, y).numpy()
    )
    np.testing.assert_allclose(torch.einsum("ab,bc->ac", x, y).numpy(), (x.expand(3, 4) @ y).numpy(), rtol=1e-5)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.0, float("inf")])
def test_cdist(p: float) -> None:
    from scipy.spatial.distance import cdist

    x, y = matrices(2, 5, 3), matrices(2, 4, 3)
    found = torch.cdist(torch.from_numpy(x), torch.from_numpy(y), p)
    kind = {0.0: "hamming", float("inf"): "chebyshev"}.get(p, "minkowski")
    extra = {"p": p} if kind == "minkowski" else {}
    for i in range(2):
        expected = cdist(x[i], y[i], kind, **extra) * (3 if p == 0 else 1)
        np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-9)
    if p >= 1:
        a, b = torch.from_numpy(x).requires_grad_(), torch.from_numpy(y).requires_grad_()
        assert gradcheck(lambda a, b: torch.cdist(a, b, p), (a, b))


def test_distances_to_itself_have_no_nan_in_their_gradients() -> None:
    for rows in (3, 30):
        x = torch.randn(rows, 4, requires_grad=True)
        torch.cdist(x, x).sum().backward()
        assert x.grad.isfinite().all()


def test_info_instead_of_errors() -> None:
    bad = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    assert linalg.cholesky_ex(bad).info.item() == 2
    singular = torch.ones(2, 2)
    assert linalg.inv_ex(singular).info.item() == 2
    assert linalg.lu_factor_ex(singular).info.item() == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linalg.inv(torch.ones(2, 3)), RuntimeError, "must be batches of square matrices, but they are 2 by 3"),
        (lambda: linalg.inv(torch.ones(2)), RuntimeError, "at least 2 dimensions"),
        (lambda: linalg.inv(torch.ones(2, 2)), linalg.LinAlgError, "diagonal element 2 is zero"),
        (lambda: linalg.inv(torch.ones(2, 2, dtype=torch.int64)), RuntimeError, "floating point or complex"),
        (lambda: linalg.cholesky(torch.tensor([[[1.0]], [[-1.0]]])), linalg.LinAlgError, r"\(Batch element 1\).*order 1"),
        (lambda: linalg.solve(torch.zeros(2, 2), torch.ones(2)), linalg.LinAlgError, "input matrix is singular"),
        (lambda: linalg.lu_factor(torch.zeros(2, 2)), RuntimeError, r"U\[1,1\] is zero"),
        (lambda: linalg.matrix_norm(torch.ones(2, 2), 5), RuntimeError, "Order 5 not supported"),
        (lambda: linalg.eigh(torch.ones(2, 2), "X"), RuntimeError, "'L' or 'U'"),
        (lambda: torch.einsum("ij,jk->il", torch.ones(2, 2), torch.ones(2, 2)), RuntimeError, "output subscript l"),
        (lambda: torch.einsum("ij", torch.ones(2)), RuntimeError, "number of subscripts"),
        (lambda: torch.einsum("ij,jk", torch.ones(2, 3), torch.ones(4, 2)), RuntimeError, "does not broadcast"),
        (lambda: torch.tensordot(torch.ones(2, 3), torch.ones(2, 3), 1), RuntimeError, "contracted dimensions"),
        (lambda: torch.cdist(torch.ones(2, 3), torch.ones(2, 4)), RuntimeError, "same number of columns"),
        (lambda: linalg.cross(torch.ones(2), torch.ones(2)), RuntimeError, "must have length 3"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
