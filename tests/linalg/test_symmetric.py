"""Factorizations of symmetric matrices: solutions against NumPy's, pivots where they are known, and the errors."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch


def matrices(n: int, kind: str) -> np.ndarray:
    """Two symmetric matrices, or Hermitian ones; every second has zeros on its diagonal."""
    rng = np.random.default_rng(n)
    a = rng.standard_normal((2, n, n))
    if kind != "real":
        a = a + 1j * rng.standard_normal((2, n, n))
    a = a + (a.conj() if kind == "hermitian" else a).swapaxes(-1, -2)
    a[1, range(n), range(n)] = 0
    return a


@pytest.mark.parametrize("kind", ["real", "complex", "hermitian"])
@pytest.mark.parametrize("n", [2, 3, 7, 20])
def test_factors_solve_equations(n: int, kind: str) -> None:
    a = matrices(n, kind)
    b = np.random.default_rng(n).standard_normal((2, n, 3)).astype(a.dtype)
    hermitian = kind == "hermitian"
    lower, pivots = torch.linalg.ldl_factor(torch.tensor(np.tril(a)), hermitian=hermitian)
    found = torch.linalg.ldl_solve(lower, pivots, torch.tensor(b), hermitian=hermitian)
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(a, b), rtol=1e-8, atol=1e-9)
    assert not lower.triu(1).any()


def test_right_sides_broadcast_against_factors() -> None:
    a = matrices(4, "real")[1]
    b = np.random.default_rng(0).standard_normal((5, 4, 2))
    found = torch.linalg.ldl_solve(*torch.linalg.ldl_factor(torch.tensor(a)), torch.tensor(b))
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(a, b), rtol=1e-9)


def test_a_zero_diagonal_takes_a_block_of_two() -> None:
    lower, pivots = torch.linalg.ldl_factor(torch.tensor([[0.0, 2.0], [2.0, 0.0]]))
    assert pivots.tolist() == [-2, -2] and lower.tolist() == [[0, 0], [2, 0]]


def test_singular_matrices_are_told() -> None:
    zeros = torch.zeros(2, 3, 3)
    assert torch.linalg.ldl_factor_ex(zeros).info.tolist() == [1, 1]
    with pytest.raises(torch.linalg.LinAlgError, match=r"Batch element 0\): D\[1,1\] is zero"):
        torch.linalg.ldl_factor(zeros)


def test_there_is_no_derivative() -> None:
    a = torch.eye(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="derivative for aten::linalg_ldl_factor_ex is not implemented"):
        torch.linalg.ldl_factor(a)[0].sum().backward()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.eye(3), torch.ones(2).int(), torch.ones(3, 1)), "got pivots with shape"),
        ((torch.eye(3), torch.ones(3), torch.ones(3, 1)), "Expected pivots to be integers. Got Float"),
        ((torch.eye(3), torch.ones(3).int(), torch.ones(2, 1)), "Incompatible matrix sizes"),
        ((torch.eye(3), torch.ones(3).int(), torch.ones(3, 1).double()), "found b of type Double"),
        ((torch.ones(2, 3), torch.ones(2).int(), torch.ones(2, 1)), "must be batches of square matrices"),
    ],
    ids=range(5),
)
def test_what_does_not_fit_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        torch.linalg.ldl_solve(*arguments)
