"""Attention with functions for scores and masks, beside the same scores and masks as tensors."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn.attention import SDPBackend, sdpa_kernel
from flambeau.nn.attention.flex_attention import (
    AuxRequest,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    noop_mask,
    or_masks,
)
from flambeau.nn.functional import scaled_dot_product_attention


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 6, 8).unbind(0)
    return q, k, v


def causal(b: torch.Tensor, h: torch.Tensor, q_idx: torch.Tensor, kv_idx: torch.Tensor) -> torch.Tensor:
    return q_idx >= kv_idx


def near(b: torch.Tensor, h: torch.Tensor, q_idx: torch.Tensor, kv_idx: torch.Tensor) -> torch.Tensor:
    return (q_idx - kv_idx).abs() < 2


def test_masks() -> None:
    q, k, v = tensors()
    found = flex_attention(q, k, v, block_mask=create_block_mask(causal, None, None, 6, 6))
    torch.testing.assert_close(found, scaled_dot_product_attention(q, k, v, is_causal=True))
    both = create_mask(and_masks(causal, near), None, None, 6, 6)
    either = create_mask(or_masks(causal, near), 1, 1, 6, 6)
    ones = torch.ones(6, 6, dtype=torch.bool)
    assert torch.equal(both[0, 0], ones.tril() & ones.triu(-1))
    assert torch.equal(either[0, 0], ones.tril(1))
    assert create_mask(noop_mask, 2, 3, 4, 5).shape == (2, 3, 4, 5)


def test_scores() -> None:
    q, k, v = tensors()
    slopes = torch.rand(4)

    def linear_bias(score, b, h, q_idx, kv_idx):  # type: ignore[no-untyped-def]
        return score + slopes[h] * (kv_idx - q_idx)

    places = torch.arange(6)
    bias = slopes[:, None, None] * (places - places[:, None])
    expected = scaled_dot_product_attention(q, k, v, bias)
    torch.testing.assert_close(flex_attention(q, k, v, linear_bias), expected)
    out, lse = flex_attention(q, k, v, linear_bias, return_lse=True)
    torch.testing.assert_close(out, expected)
    scores = q @ k.transpose(-1, -2) / 8**0.5 + bias
    torch.testing.assert_close(lse, scores.logsumexp(-1))
    _, more = flex_attention(q, k, v, linear_bias, return_aux=AuxRequest(max_scores=True))
    torch.testing.assert_close(more.max_scores, scores.amax(-1))


def test_gradients_and_shared_keys() -> None:
    q, k, v = tensors()
    q.requires_grad_()
    found = flex_attention(q, k[:, :2], v[:, :2], lambda score, b, h, i, j: score * 0.5, enable_gqa=True)
    scaled = scaled_dot_product_attention(
        q, k[:, :2], v[:, :2], scale=0.5 / 8**0.5, enable_gqa=True
    )
    torch.testing.assert_close(found, scaled)
    torch.testing.assert_close(*(torch.autograd.grad(x.square().sum(), q)[0] for x in (found, scaled)))
    with pytest.raises(ValueError, match="same number of heads"):
        flex_attention(q, k[:, :2], v[:, :2])


def test_a_block_mask_tells_of_its_blocks() -> None:
    mask = create_block_mask(causal, None, None, 256, 256)
    assert mask.to_dense().tolist() == [[[[1, 0], [1, 1]]]]
    assert mask.sparsity() == 25
    assert "sparsity=25.00%" in repr(mask)


def test_a_query_that_sees_nothing_gets_zeros() -> None:
    q, k, v = tensors()
    blind = create_block_mask(lambda b, h, i, j: (i > 0) & (j >= 0), None, None, 6, 6)
    with np.errstate(divide="ignore"):
        out, lse = flex_attention(q, k, v, lambda score, *places: score, blind, return_lse=True)
    assert not out[:, :, 0].any() and not out.isnan().any() and lse[0, 0, 0] == -float("inf")


def test_the_kernel_may_be_named() -> None:
    q, k, v = tensors()
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        out = scaled_dot_product_attention(q, k, v)
    assert torch.equal(out, scaled_dot_product_attention(q, k, v))
    with pytest.raises(AssertionError), sdpa_kernel("flash"):  # type: ignore[arg-type]
        pass
