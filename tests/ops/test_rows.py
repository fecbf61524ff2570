"""Softmax and layer normalisation by kernels: the same as by operators, of any shape, dtype and derivative."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradgradcheck
from flambeau.nn import functional as F
from flambeau.nn.functional.normalization import _layers
from flambeau.ops import rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "rank"), [((8, 70), 1), ((4, 5, 33), 1), ((3, 4, 6, 10), 2), ((600,), 1)])
@pytest.mark.parametrize("affine", ["weight and bias", "weight", "neither"])
def test_layer_norm(shape: tuple[int, ...], rank: int, dtype: str, affine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, rng, inner = getattr(torch, dtype), np.random.default_rng(0), shape[len(shape) - rank :]
    values = [rng.standard_normal(s) for s in (shape, inner, inner, shape)]
    found = []
    for fewest in (1, 1 << 40):
        monkeypatch.setattr(rows, "CHAINED", fewest)
        x, weight, bias, g = (torch.tensor(v).to(kind).requires_grad_() for v in values)
        given = {"weight and bias": (weight, bias), "weight": (weight, None), "neither": (None, None)}[affine]
        y = F.layer_norm(x, inner, *given)
        y.backward(g.detach())
        found.append([y.detach(), x.grad, *(t.grad for t in given if t is not None)])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, 1e-5 if dtype == "float32" else 1e-11, 1e-5 if dtype == "float32" else 1e-11)


def test_second_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHAINED", 1)
    x, weight, bias = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((3, 5), (5,), (5,)))
    assert gradgradcheck(lambda *t: F.layer_norm(t[0], (5,), t[1], t[2]), (x, weight, bias))
    assert gradgradcheck(lambda t: t.softmax(-1), (x,)) and gradgradcheck(lambda t: t.log_softmax(-1), (x,))


def test_programs_have_its_parts() -> None:
    x, weight = torch.randn(20, 64), torch.randn(64)
    compiled = torch.compile(lambda x, w: F.layer_norm(x, (64,), w), fullgraph=True)
    assert torch.allclose(compiled(x, weight), _layers(x, weight, None, 1, 1e-5), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_softmax_along_any_dimension(dtype: str) -> None:
    x = torch.randn(6, 40, 50).to(getattr(torch, dtype))
    for dim in range(3):
        wide = x.double()
        expected = (wide - wide.logsumexp(dim, keepdim=True)).exp()
        assert torch.allclose(x.softmax(dim).double(), expected, 1e-5 if dtype == "float32" else 0.02, 1e-6)
        assert torch.allclose(x.log_softmax(dim).double().exp(), expected, 1e-5 if dtype == "float32" else 0.05, 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(64, 10), (3, 1000), (1, 700)])
def test_cross_entropy(shape: tuple[int, int], reduction: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, found = np.random.default_rng(0), []
    values, classes = rng.standard_normal(shape) * 3, torch.tensor(rng.integers(0, shape[1], shape[0]))
    for fewest in (1, 1 << 40):
        monkeypatch.setattr(rows, "CHAINED", fewest)
        x = torch.tensor(values).to(getattr(torch, dtype)).requires_grad_()
        loss = F.cross_entropy(x, classes, reduction=reduction)
        (loss * 1.7).backward(retain_graph=True)
        loss.backward()
        found.append((loss.detach(), x.grad))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, 1e-5 if dtype == "float32" else 1e-11, 1e-6 if dtype == "float32" else 1e-12)


def test_cross_entropy_of_ignored_and_weighted_classes() -> None:
    x, classes = torch.randn(64, 20, dtype=torch.float64, requires_grad=True), torch.arange(64) % 20
    some = classes.masked_fill(classes == 3, -100)
    kept = some >= 0
    assert torch.allclose(F.cross_entropy(x, some), F.cross_entropy(x[kept], classes[kept]))
    assert torch.allclose(F.cross_entropy(x, classes, torch.ones(20, dtype=torch.float64)), F.cross_entropy(x, classes))
    assert gradgradcheck(lambda x: F.cross_entropy(x, classes), (x,))
