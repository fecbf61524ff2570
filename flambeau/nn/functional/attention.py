"""Attention. Vaswani et al., 2017."""

from __future__ import annotations

import math

from flambeau import ops
from flambeau.core import dtypes
from flambeau.ops import where
from flambeau.ops.random import dropout
from flambeau.ops.reduce import softmax
from flambeau.tensor import Tensor


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(query @ key.T * scale + mask) @ value: (*, L, E), (*, S, E), (*, S, V) -> (*, L, V).

    A bool mask lets through where it is true. Vaswani et al., 2017.
    """
    if attn_mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if enable_gqa:
        repeats = query.size(-3) // key.size(-3)
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    root = math.sqrt(factor) if factor > 0 else None
    if root is not None:
        scores = ops.matmul(query * root, (key * root).transpose(-2, -1))
    else:
        scores = ops.matmul(query, key.transpose(-2, -1)) * factor
    if is_causal:
        rows, columns = ops.arange(query.size(-2)).unsqueeze(1), ops.arange(key.size(-2))
        attn_mask = rows >= columns
    if attn_mask is not None:
        if attn_mask.dtype is dtypes.bool_:
            scores = where(attn_mask, scores, -math.inf)
        else:
            scores = scores + attn_mask
    weights = softmax(scores, -1)
    if attn_mask is not None and attn_mask.dtype is dtypes.bool_:
        weights = weights.masked_fill(~attn_mask.any(-1, keepdim=True), 0)
    return ops.matmul(dropout(weights, dropout_p, dropout_p > 0), value)
