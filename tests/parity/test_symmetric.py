"""The factors and pivots of `linalg.ldl_factor` beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


@pytest.mark.parametrize("kind", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 11, 70])
def test_factors_are_pytorchs(n: int, hermitian: bool, kind: str) -> None:
    rng = np.random.default_rng(n)
    for _ in range(4):
        a = rng.standard_normal((3, n, n))
        if kind == "complex128":
            a = a + 1j * rng.standard_normal((3, n, n))
        a[1, range(n), range(n)] = 0
        a = a.astype(kind)
        theirs = torch.linalg.ldl_factor_ex(torch.tensor(a), hermitian=hermitian)
        ours = flambeau.linalg.ldl_factor_ex(flambeau.tensor(a), hermitian=hermitian)
        assert ours.pivots.tolist() == theirs.pivots.tolist()
        assert ours.info.tolist() == theirs.info.tolist()
        tolerance = 2e-3 if kind == "float32" else 1e-9
        np.testing.assert_allclose(ours.LD.numpy(), theirs.LD.numpy(), rtol=tolerance, atol=tolerance)
