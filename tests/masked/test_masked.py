"""Masked reductions: NumPy's masked arrays, what no elements give, gradients that do not leak."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau import masked
from flambeau.autograd import gradcheck

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 5))
MASK = RANDOM.random((4, 5)) < 0.8
MASK[0] = True
MASK[3] = False


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "amax", "amin", "var", "std", "argmax", "argmin"])
def test_equal_numpy(name: str) -> None:
    array = np.ma.array(X, mask=~MASK)[:3]
    theirs = getattr(array, name.removeprefix("a") if name in ("amax", "amin") else name)
    options = {"ddof": 1} if name in ("var", "std") else {}
    found = getattr(masked, name)(torch.from_numpy(X[:3]), 1, mask=torch.from_numpy(MASK[:3]))
    np.testing.assert_allclose(found.numpy(), np.asarray(theirs(axis=1, **options)), rtol=1e-12)


def test_no_elements() -> None:
    x, mask = torch.from_numpy(X), torch.from_numpy(MASK)
    found = {name: getattr(masked, name)(x, 1, mask=mask)[3].item() for name in ("sum", "prod", "amax", "amin", "logsumexp")}
    assert found == {"sum": 0, "prod": 1, "amax": -np.inf, "amin": np.inf, "logsumexp": -np.inf}
    assert masked.mean(x, 1, mask=mask)[3].isnan()


def test_norms_and_shares() -> None:
    x, mask = torch.from_numpy(X[:3]), torch.from_numpy(MASK[:3])
    gone = np.where(MASK[:3], X[:3], 0)
    np.testing.assert_allclose(masked.norm(x, 2.0, 1, mask=mask).numpy(), np.linalg.norm(gone, axis=1))
    shares = masked.softmax(x, 1, mask=mask).numpy()
    np.testing.assert_allclose(shares.sum(1), 1)
    assert not shares[~MASK[:3]].any()
    np.testing.assert_allclose(masked.log_softmax(x, 1, mask=mask).exp().numpy(), shares)
    np.testing.assert_allclose(masked.softmin(-x, 1, mask=mask).numpy(), shares)
    np.testing.assert_allclose(masked.cumsum(x, 1, mask=mask).numpy(), gone.cumsum(1))
    np.testing.assert_allclose(masked.median(x, 1, mask=mask).numpy(), [np.sort(r[m])[(m.sum() - 1) // 2] for r, m in zip(X[:3], MASK[:3], strict=True)])


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "var", "logsumexp", "softmax", "normalize"])
def test_gradients_are_of_the_picked_elements(name: str) -> None:
    x = torch.from_numpy(X[:3].copy()).requires_grad_()
    mask = torch.from_numpy(MASK[:3])
    order = (2.0, 1) if name == "normalize" else (1,)
    assert gradcheck(lambda x: getattr(masked, name)(x, *order, mask=mask), (x,))
    spoilt = torch.from_numpy(np.where(MASK[:3], X[:3], np.nan)).requires_grad_()
    result = getattr(masked, name)(spoilt, *order, mask=mask)
    result.nansum().backward()
    assert not spoilt.grad[~mask].any() and spoilt.grad.isfinite().all()
