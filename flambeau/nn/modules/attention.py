"""Multi-head attention. Vaswani et al., "Attention Is All You Need", 2017."""

from __future__ import annotations

import math
from typing import Any

from flambeau import ops
from flambeau.core import dtypes
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.modules.linear import NonDynamicallyQuantizableLinear
from flambeau.nn.parameter import Parameter
from flambeau.tensor import Tensor

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention of several heads: (L, N, E), (S, N, K), (S, N, V) -> (L, N, E); batch first as asked.

    Args:
        embed_dim: E, split evenly among the heads.
        num_heads: how many heads.
        dropout: probability with which attention weights are dropped in training.
        bias: whether the projections have biases.
        add_bias_kv, add_zero_attn: one more key and value, learned or zero.
        kdim, vdim: K and V, E if left out.
        batch_first: whether N comes first.
    """

    __constants__ = ["batch_first"]

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                f"num_heads={num_heads} instead"
            )
        options = {"device": device, "dtype": dtype}
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")
        if self._qkv_same_embed_dim:
            self.in_proj_weight = Parameter(ops.empty((3 * embed_dim, embed_dim), **options))
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = Parameter(ops.empty((embed_dim, embed_dim), **options))
            self.k_proj_weight = Parameter(ops.empty((embed_dim, self.kdim), **options))
            self.v_proj_weight = Parameter(ops.empty((embed_dim, self.vdim), **options))
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = Parameter(ops.empty(3 * embed_dim, **options))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **options)
        if add_bias_kv:
            self.bias_k = Parameter(ops.empty((1, 1, embed_dim), **options))
            self.bias_v = Parameter(ops.empty((1, 1, embed_dim), **options))
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            init.xavier_uniform_(self.q_proj_weight)
            init.xavier_uniform_(self.k_proj_weight)
            init.xavier_uniform_(self.v_proj_weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        if self.bias_k is not None:
            init.xavier_normal_(self.bias_k)
        if self.bias_v is not None:
            init.xavier_normal_(self.bias_v)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """The attended values, and the attention weights where `need_weights` ((N, L, S), or with heads).

        Masks that are bool shut out where true; floats are added to the scores.
        """
        if query.ndim not in (2, 3):
            raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor")
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        batched = query.ndim == 3
        if not batched:
            query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        length, batch, width = query.shape
        if width != self.embed_dim:
            raise AssertionError(f"was expecting embedding dimension of {self.embed_dim}, but got {width}")
        if self._qkv_same_embed_dim:
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases: Any = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        mask = _as_added(attn_mask, q.dtype)
        padding = _as_added(key_padding_mask, q.dtype)
        if self.bias_k is not None and self.bias_v is not None:
            k = ops.cat([k, self.bias_k.repeat(1, batch, 1)])
            v = ops.cat([v, self.bias_v.repeat(1, batch, 1)])
            mask, padding = _one_more(mask), _one_more(padding)
        heads = (-1, batch * self.num_heads, self.head_dim)
        q, k, v = (x.reshape(heads).transpose(0, 1) for x in (q, k, v))  # (N * heads, length, head_dim)
        if self.add_zero_attn:
            zeros = k.new_zeros((k.size(0), 1, self.head_dim))
            k, v = ops.cat([k, zeros], 1), ops.cat([v, zeros], 1)
            mask, padding = _one_more(mask), _one_more(padding)
        source = k.size(1)
        scores = ops.matmul(q * math.sqrt(1.0 / self.head_dim), k.transpose(1, 2))
        if mask is not None:
            wanted = (length, source) if mask.ndim == 2 else (batch * self.num_heads, length, source)
            if tuple(mask.shape) != wanted:
                raise RuntimeError(
                    f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be {wanted}."
                )
            scores = scores + mask
        if padding is not None:
            scores = scores.reshape(batch, self.num_heads, length, source) + padding.reshape(batch, 1, 1, source)
            scores = scores.reshape(-1, length, source)
        attention = F.softmax(scores, -1)
        if self.dropout > 0:
            attention = F.dropout(attention, self.dropout, self.training)
        out = ops.matmul(attention, v).transpose(0, 1).reshape(length * batch, self.embed_dim)
        out = self.out_proj(out).reshape(length, batch, -1)
        shown: Tensor | None = None
        if need_weights:
            shown = attention.reshape(batch, self.num_heads, length, source)
            if average_attn_weights:
                shown = shown.mean(1)
            if not batched:
                shown = shown.squeeze(0)
        if not batched:
            return out.squeeze(1), shown
        return (out.transpose(0, 1) if self.batch_first else out), shown


def _as_added(mask: Tensor | None, dtype: dtypes.dtype) -> Tensor | None:
    """A mask to add to scores: bools become 0 and -inf."""
    if mask is None or mask.dtype is not dtypes.bool_:
        return mask
    return ops.zeros(mask.shape, dtype=dtype).masked_fill(mask, -math.inf)


def _one_more(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else F.pad(mask, (0, 1))
