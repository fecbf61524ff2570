"""Batch normalisation of few numbers, on arrays, beside its composition of operators."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn import functional as F
from flambeau.ops import channels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(64, 12), (4, 6, 5, 5), (3, 7, 11), (64, 1)])
@pytest.mark.parametrize("affine", [True, False])
def test_arrays_and_operators_agree(shape: tuple[int, ...], affine: bool, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, rng, found = getattr(torch, dtype), np.random.default_rng(0), []
    values = [rng.standard_normal(s) for s in (shape, shape[1], shape[1], shape)]
    for few in (1 << 30, 0):
        monkeypatch.setattr(channels, "WORTH_A_PROGRAM", few)
        x, weight, bias, g = (torch.tensor(v).to(kind).requires_grad_() for v in values)
        mean, variance = torch.zeros(shape[1], dtype=kind), torch.ones(shape[1], dtype=kind)
        y = F.batch_norm(x, mean, variance, *((weight, bias) if affine else (None, None)), training=True)
        y.backward(g.detach())
        found.append([y.detach(), x.grad, mean, variance, *([weight.grad, bias.grad] if affine else [])])
    tolerance = 1e-5 if dtype == "float32" else 1e-11
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, tolerance, tolerance)


def test_derivatives() -> None:
    x, weight, bias = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((6, 3), (3,), (3,)))

    def normalised(*t: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(t[0], None, None, t[1], t[2], True)

    assert gradcheck(normalised, (x, weight, bias)) and gradgradcheck(normalised, (x, weight, bias))


def test_running_moments_are_changed_in_place() -> None:
    layer, x = torch.nn.BatchNorm1d(5), torch.randn(40, 5)
    kept, version = layer.running_mean, layer.running_mean._version
    layer(x)
    assert layer.running_mean is kept and kept._version > version
    assert torch.allclose(kept, 0.1 * x.mean(0)) and torch.allclose(layer.running_var, 0.9 + 0.1 * x.var(0))
