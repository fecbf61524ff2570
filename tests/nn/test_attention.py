"""Attention by one kernel and by its composition: equal results, derivatives, masks, layouts, memory."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.autograd import gradcheck, gradgradcheck

attention = importlib.import_module("flambeau.nn.functional.attention")


@pytest.fixture(params=["kernel", "composition"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    least = 1 if request.param == "kernel" else 1 << 60
    monkeypatch.setattr(attention, "_WORTH_A_KERNEL", least)
    monkeypatch.setattr(attention, "_WORTH_MAKING_AGAIN", least)
    return str(request.param)


def _inputs(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in shapes]


def _expected(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: np.ndarray | None, scale: float) -> np.ndarray:
    a, b, c = (x.detach().numpy() for x in (q, k, v))
    scores = np.exp(a @ b.swapaxes(-1, -2) * scale) * (1 if seen is None else seen)
    total = scores.sum(-1, keepdims=True)
    return scores / np.where(total == 0, 1, total) @ c


def test_values_with_and_without_masks(way: str) -> None:
    q, k, v = _inputs((2, 3, 12, 5), (2, 3, 9, 5), (2, 3, 9, 7))
    seen = np.random.default_rng(0).random((12, 9)) < 0.6
    seen[3] = False
    scale = 1 / math.sqrt(5)
    for mask, expected in (
        (None, _expected(q, k, v, None, scale)),
        (torch.from_numpy(seen), _expected(q, k, v, seen, scale)),
        (torch.from_numpy(np.where(seen, 0.0, -np.inf)), _expected(q, k, v, seen, scale)),
    ):
        np.testing.assert_allclose(F.scaled_dot_product_attention(q, k, v, mask).detach().numpy(), expected, rtol=1e-10)
    causal = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3).detach().numpy()
    np.testing.assert_allclose(causal, _expected(q, k, v, np.tri(12, 9), 0.3), rtol=1e-10)


def test_derivatives(way: str) -> None:
    q, k, v = _inputs((2, 9, 3), (2, 4, 3), (1, 4, 2))
    mask = torch.tensor([[True, True, False, True]] * 8 + [[False] * 4])
    for options in ({}, {"is_causal": True}, {"attn_mask": mask}, {"scale": -0.7}):
        f = lambda q, k, v, options=options: F.scaled_dot_product_attention(q, k, v, **options)
        assert gradcheck(f, (q, k, v))
        assert gradgradcheck(f, (q, k, v))


def test_compiled_equals_eager(way: str) -> None:
    def step(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> tuple:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, mask) + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return (out, *torch.autograd.grad((out * out).sum(), (q, k, v)))

    inputs = _inputs((2, 20, 3, 6), (2, 20, 3, 6), (2, 20, 3, 6))
    mask = torch.rand(20, 20) < 0.7
    for a, b in zip(step(*inputs, mask), torch.compile(step, fullgraph=True)(*inputs, mask), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_the_result_lies_as_the_queries_do(way: str) -> None:
    q, k, v = _inputs((2, 16, 3, 8), (2, 16, 3, 8), (2, 16, 3, 8))
    if way == "kernel":
        turned = [x.transpose(1, 2) for x in (q, k, v)]
        assert F.scaled_dot_product_attention(*turned).transpose(1, 2).is_contiguous()
    assert F.scaled_dot_product_attention(*(x.transpose(1, 2).contiguous() for x in (q, k, v))).is_contiguous()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_halves(way: str, dtype: str) -> None:
    q, k, v = (x.detach() for x in _inputs((2, 16, 8), (2, 10, 8), (2, 10, 8)))
    out = F.scaled_dot_product_attention(*(x.to(getattr(torch, dtype)) for x in (q, k, v)))
    assert out.dtype is getattr(torch, dtype)
    np.testing.assert_allclose(out.double().numpy(), F.scaled_dot_product_attention(q, k, v).numpy(), atol=0.03)


def test_gradient_of_a_mask() -> None:
    q, k, v, mask = _inputs((2, 40, 3), (2, 400, 3), (2, 400, 2), (40, 400))
    F.scaled_dot_product_attention(q, k, v, mask).sum().backward()
    assert mask.grad is not None and mask.grad.shape == mask.shape


def test_multi_head_attention_without_weights(way: str) -> None:
    layer = nn.MultiheadAttention(12, 3, dtype=torch.float64)
    q, k = _inputs((16, 2, 12), (10, 2, 12))
    padding = torch.zeros(2, 10, dtype=torch.bool)
    padding[1, 7:] = True
    mask = torch.randn(16, 10, dtype=torch.float64)
    for options in ({}, {"key_padding_mask": padding}, {"attn_mask": mask, "key_padding_mask": padding}):
        with_weights, weights = layer(q, k, k, **options)
        without, none = layer(q, k, k, need_weights=False, **options)
        assert weights is not None and none is None
        np.testing.assert_allclose(without.detach().numpy(), with_weights.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_no_scores_in_memory() -> None:
    import tracemalloc

    q, k, v = (torch.randn(1, 2, 2048, 8, requires_grad=True) for _ in range(3))
    F.scaled_dot_product_attention(q, k, v).sum().backward()
    tracemalloc.start()
    F.scaled_dot_product_attention(q, k, v).sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2048 * 2048 * 4  # the scores of one head
