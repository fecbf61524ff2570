"""Extreme eigenvalues: against NumPy's, with and without a second matrix, and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch


def symmetric(m: int, seed: int = 0) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((m, m))
    return a + a.T


def positive(m: int) -> np.ndarray:
    b = np.random.default_rng(7).standard_normal((m, m))
    return b @ b.T / m + np.eye(m)


def check(a: np.ndarray, b: np.ndarray | None, values: Any, vectors: Any, largest: bool) -> None:
    """That these are the extreme pairs of A x = e B x, in order."""
    known = np.linalg.eigvals(np.linalg.solve(np.eye(len(a)) if b is None else b, a)).real
    known = np.sort(known)[::-1] if largest else np.sort(known)
    e, x = values.numpy(), vectors.numpy()
    np.testing.assert_allclose(e, known[: len(e)], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a @ x, (x if b is None else b @ x) * e, atol=1e-4)


@pytest.mark.parametrize("method", ["ortho", "basic"])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("generalized", [False, True])
@pytest.mark.parametrize("k", [1, 4])
def test_pairs(k: int, generalized: bool, largest: bool, method: str) -> None:
    a, b = symmetric(40), positive(40) if generalized else None
    begin = np.random.default_rng(1).standard_normal((40, k))
    found = torch.lobpcg(
        torch.tensor(a), k, None if b is None else torch.tensor(b), torch.tensor(begin), largest=largest, method=method
    )
    check(a, b, *found, largest)


def test_more_vectors_than_asked_for_sparse_ones_and_stacks() -> None:
    a = symmetric(30)
    check(a, None, *torch.lobpcg(torch.tensor(a), 2, n=5), True)
    check(a, None, *torch.lobpcg(torch.tensor(a).to_sparse(), 2), True)
    values, vectors = torch.lobpcg(torch.tensor(np.stack([a, 2 * a])), 2)
    assert values.shape == (2, 2) and vectors.shape == (2, 30, 2)
    np.testing.assert_allclose(values[1].numpy(), 2 * values[0].numpy(), rtol=1e-9)


def test_a_preconditioner_saves_steps() -> None:
    a = np.diag(np.arange(1.0, 101.0) ** 2) + 0.1 * symmetric(100)
    begin = torch.tensor(np.random.default_rng(1).standard_normal((100, 2)))
    steps = []
    for inverse in (None, torch.tensor(np.diag(1 / np.diag(a)))):
        seen: list[int] = []
        torch.lobpcg(
            torch.tensor(a), X=begin, iK=inverse, largest=False, tracker=lambda w, seen=seen: seen.append(w.ivars["istep"])
        )
        steps.append(seen[-1])
    assert steps[1] < steps[0]


def test_a_tracker_may_stop() -> None:
    def stop(work: Any) -> None:
        assert work.ivars["istep"] == 1 and work.tvars["rerr"].shape == (1,)
        work.bvars["force_stop"] = True

    torch.lobpcg(torch.tensor(symmetric(30)), tracker=stop)
    seen: list[int] = []
    torch.lobpcg(torch.tensor(symmetric(30)), niter=3, tracker=lambda w: seen.append(w.ivars["istep"]))
    assert seen == [1, 2, 3]


def test_gradients_are_those_of_all_pairs() -> None:
    begin = torch.tensor(np.random.default_rng(1).standard_normal((12, 2)))
    weights = torch.tensor(np.random.default_rng(2).standard_normal((12, 2)))
    grads = []
    for find in (
        lambda a: torch.lobpcg(a, X=begin, tol=1e-12),
        lambda a: [t[..., [-1, -2]] for t in torch.linalg.eigh((a + a.mT) / 2)],
    ):
        a = torch.tensor(symmetric(12), requires_grad=True)
        values, vectors = find(a)
        vectors = vectors * vectors.detach()[0].sign()
        (values.prod() + (vectors * weights).sum()).backward()
        grads.append(a.grad.numpy())
    np.testing.assert_allclose(grads[0], grads[1], atol=1e-8)


def test_what_does_not_fit_is_refused() -> None:
    a = torch.tensor(symmetric(12))
    with pytest.raises(ValueError, match=r"rows \(=12\) is smaller than 3 x .* \(=5\)"):
        torch.lobpcg(a, 5)
    with pytest.raises(AssertionError, match="A must be square"):
        torch.lobpcg(a[:, :3])
    with pytest.raises(ValueError, match="'ortho' or 'basic'"):
        torch.lobpcg(a, method="other")
    with pytest.raises(ValueError, match="backward with B != I"):
        torch.lobpcg(a.requires_grad_(), B=torch.eye(12, dtype=torch.float64))[0].sum().backward()
