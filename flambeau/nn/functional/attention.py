"""Attention. Vaswani et al., 2017."""

from __future__ import annotations

import math
from typing import Any

from flambeau import ops
from flambeau.autograd import grad, is_grad_enabled
from flambeau.autograd.function import Function
from flambeau.core import dtypes
from flambeau.core.state import state
from flambeau.nn.functional.padding import pad
from flambeau.ops import attention as kernels
from flambeau.ops import where
from flambeau.ops.matmul import linear
from flambeau.ops.random import dropout
from flambeau.ops.reduce import softmax
from flambeau.tensor import Tensor

#: Pairs of a query and a key, of all heads, from which on attention is one kernel; fewer queries leave its vectors empty.
_WORTH_A_KERNEL = 1 << 14
#: In a compiled training step: making the scores again for the backward pass costs more time than keeping so few.
_WORTH_MAKING_AGAIN = 1 << 22
_FEW_QUERIES = 8
_WIDEST = 256


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(query @ key.T * scale + mask) @ value: (*, L, E), (*, S, E), (*, S, V) -> (*, L, V).

    A bool mask lets through where it is true; a query that nothing is let through to gets zeros. Without dropout, the
    scores of large attentions are never in memory. Vaswani et al., 2017.
    """
    if attn_mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if enable_gqa:
        repeats = query.size(-3) // key.size(-3)
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    if attn_mask is not None and attn_mask.dtype is dtypes.bool_:
        attn_mask = _as_added(~attn_mask, query.dtype)
    if dropout_p == 0 and _fits_a_kernel(query, key, value, attn_mask):
        turned = query.ndim == 4 and query.stride(1) < query.stride(2)  # the result lies as the queries do
        return _in_one_pass(query, key, value, attn_mask, factor, is_causal, turned)
    return _composed(query, key, value, attn_mask, factor, is_causal, dropout_p)


def _composed(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, causal: bool, dropout_p: float = 0.0
) -> Tensor:
    """Attention of products and a softmax; `mask` is added to the scores."""
    root = math.sqrt(scale) if scale > 0 else None
    if root is not None:
        scores = ops.matmul(query * root, (key * root).transpose(-2, -1))
    else:
        scores = ops.matmul(query, key.transpose(-2, -1)) * scale
    if causal:
        rows, columns = ops.arange(query.size(-2)).unsqueeze(1), ops.arange(key.size(-2))
        scores = where(rows >= columns, scores, -math.inf)
    if mask is not None:
        scores = scores + mask
    weights = softmax(scores, -1) if mask is None else _softmax_or_nothing(scores)
    return ops.matmul(dropout(weights, dropout_p, dropout_p > 0), value)


def _softmax_or_nothing(scores: Tensor) -> Tensor:
    """Softmax along the last dimension; zeros for a query that sees nothing."""
    nothing = (scores == -math.inf).all(-1, keepdim=True)
    return softmax(scores.masked_fill(nothing, 0), -1).masked_fill(nothing, 0)


def _fits_a_kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether the kernel can have this attention, and is worth its call."""
    if min(query.ndim, key.ndim, value.ndim) < 3 or query.size(-2) < _FEW_QUERIES or state.autocast is not None:
        return False
    alike = query.dtype is key.dtype is value.dtype and query.dtype.is_floating_point
    if not alike or max(query.size(-1), value.size(-1)) > _WIDEST or (mask is not None and mask.requires_grad):
        return False
    if query.size(-1) != key.size(-1) or key.size(-2) != value.size(-2) or value.numel() == 0:
        return False
    trains = is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    least = _WORTH_MAKING_AGAIN if trains and state.tracer is not None else _WORTH_A_KERNEL
    return query.numel() // max(query.size(-1), 1) * key.size(-2) >= least


def _in_one_pass(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, causal: bool, turned: bool
) -> Tensor:
    """Attention by the kernel; `turned`: the dimension before the queries lies behind them in memory."""
    dtype = query.dtype
    if dtype.itemsize < 4:
        query, key, value = query.float(), key.float(), value.float()
    mask = None if mask is None else mask.detach().to(query.dtype)
    if is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad):
        out = _Attention.apply(query, key, value, mask, scale, causal, turned)
    else:
        out, _ = kernels.attention(query, key, value, mask, scale=scale, causal=causal, turned=turned)
    out = out.transpose(-3, -2) if turned else out
    return out if out.dtype is dtype else out.to(dtype)


class _Attention(Function):
    """The kernel in the graph of autograd: its backward pass computes the scores anew."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, causal: bool, turned: bool
    ) -> Tensor:
        out, total = kernels.attention(query, key, value, mask, scale=scale, causal=causal, turned=turned)
        ctx.save_for_backward(query, key, value, mask, out, total)
        ctx.options = scale, causal, turned
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value, mask, out, total = ctx.saved_tensors
        scale, causal, turned = ctx.options
        if turned:
            out, gradient = out.transpose(-3, -2), gradient.transpose(-3, -2)
        matrices, wanted = (query, key, value), ctx.needs_input_grad[:3]
        grads: list[Any] = [None, None, None]
        if is_grad_enabled():  # to be differentiated again
            leaves = [x for x, w in zip(matrices, wanted, strict=True) if w]
            found = iter(grad(_composed(*matrices, mask, scale, causal), leaves, gradient, create_graph=True))
            grads = [next(found) if w else None for w in wanted]
        else:
            inputs = *matrices, mask, total, gradient, (gradient * out).sum(-1)
            if wanted[0]:
                grads[0] = kernels.query_gradient(*inputs, scale=scale, causal=causal)
            if wanted[1] or wanted[2]:
                grads[1:] = kernels.key_value_gradient(*inputs, scale=scale, causal=causal)
            grads = [g.sum_to_size(x.shape) if w else None for g, x, w in zip(grads, matrices, wanted, strict=True)]
        return *grads, None, None, None, None


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `MultiheadAttention` computes: `(L, N, E)`, `(S, N, K)`, `(S, N, V)` to `(L, N, E)`.

    Args:
        query, key, value: batched, or without the batch dimension N.
        embed_dim_to_check: E, as the caller expects it.
        num_heads: how many heads share E.
        in_proj_weight, in_proj_bias: the projections of query, key and value on each other.
        bias_k, bias_v: one more key and value.
        add_zero_attn: one more key and value of zeros.
        dropout_p: the probability of dropping attention weights.
        out_proj_weight, out_proj_bias: the projection of the result.
        training: whether to drop.
        key_padding_mask: `(N, S)`: true, or added, at padding.
        need_weights: return the attention weights too.
        attn_mask: `(L, S)` or `(N * heads, L, S)`: true, or added, where a step may not look.
        use_separate_proj_weight: take the three matrices that follow.
        q_proj_weight, k_proj_weight, v_proj_weight: instead of `in_proj_weight`.
        static_k, static_v: `(N * heads, S, E / heads)`: what is projected already.
        average_attn_weights: average the weights over the heads.
        is_causal: whether `attn_mask` is the causal one.

    Raises:
        AssertionError, RuntimeError: for shapes that do not fit.
    """
    batched = _check_batched(query, key, value, key_padding_mask)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    if width != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}"
        )
    head_width = width // num_heads
    if head_width * num_heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        weights = in_proj_weight.chunk(3)  # type: ignore[union-attr]
    biases: Any = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    mask = _as_added(attn_mask, q.dtype)
    padding = _as_added(key_padding_mask, q.dtype)
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value")
        k = ops.cat([k, bias_k.repeat(1, batch, 1)])
        v = ops.cat([v, bias_v.repeat(1, batch, 1)])
        mask, padding = _with_one_more(mask), _with_one_more(padding)

    def by_head(x: Tensor) -> Tensor:  # (steps, N, E) to (N * heads, steps, E / heads)
        return x.reshape(x.size(0), batch * num_heads, head_width).transpose(0, 1)

    q = by_head(q)
    k = by_head(k) if static_k is None else static_k
    v = by_head(v) if static_v is None else static_v
    if add_zero_attn:
        zeros = k.new_zeros((k.size(0), 1, head_width))
        k, v = ops.cat([k, zeros], 1), ops.cat([v, zeros], 1)
        mask, padding = _with_one_more(mask), _with_one_more(padding)

    source = k.size(1)
    if mask is not None:
        wanted = (length, source)
        if mask.ndim == 3:
            wanted = (batch * num_heads, length, source)
        if tuple(mask.shape) != wanted:
            raise RuntimeError(
                f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be {wanted}."
            )
    if padding is not None:
        if tuple(padding.shape) != (batch, source):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, source)}, but got {padding.shape}"
            )
        padding = padding.reshape(batch, 1, 1, source).expand(-1, num_heads, -1, -1).reshape(batch * num_heads, 1, source)
        mask = padding if mask is None else mask + padding
    attention = None
    if need_weights or (dropout_p > 0 and training) or not _fits_a_kernel(q, k, v, mask):
        scores = ops.matmul(q * math.sqrt(1.0 / head_width), k.transpose(1, 2))
        attention = softmax(scores if mask is None else scores + mask, -1)
        if dropout_p > 0:
            attention = dropout(attention, dropout_p, training)
        out = ops.matmul(attention, v).transpose(0, 1)
    else:
        out = _in_one_pass(q, k, v, mask, math.sqrt(1.0 / head_width), False, True).transpose(0, 1)
    out = out.reshape(length * batch, width)
    out = linear(out, out_proj_weight, out_proj_bias).reshape(length, batch, out_proj_weight.size(0))
    shown: Tensor | None = None
    if attention is not None and need_weights:
        shown = attention.reshape(batch, num_heads, length, source)
        shown = shown.mean(1) if average_attn_weights else shown
        shown = shown if batched else shown.squeeze(0)
    return out if batched else out.squeeze(1), shown


def _check_batched(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None
) -> bool:
    """Whether there is a batch dimension. Raises `AssertionError` if the inputs disagree."""
    if query.ndim not in (2, 3):
        raise AssertionError(
            "query should be unbatched 2D or batched 3D tensor but received "
            f"{query.ndim}-D query tensor"
        )
    kind = "batched" if query.ndim == 3 else "unbatched"
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise AssertionError(
            f"For {kind} ({query.ndim}-D) `query`, expected `key` and `value` to be "
            f"{query.ndim}-D but found {key.ndim}-D and {value.ndim}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.ndim != query.ndim - 1:
        raise AssertionError(
            f"For {kind} ({query.ndim}-D) `query`, expected `key_padding_mask` to be `None` or "
            f"{query.ndim - 1}-D but found {key_padding_mask.ndim}-D tensor instead"
        )
    if tuple(key.shape[:-1]) != tuple(value.shape[:-1]):
        raise AssertionError(
            f"key's sequence and batch dims {key.shape[:-1]} do not match value's "
            f"{value.shape[:-1]}"
        )
    return query.ndim == 3


def _as_added(mask: Tensor | None, dtype: dtypes.dtype) -> Tensor | None:
    """A mask to add to scores: bools become 0 and minus infinity."""
    if mask is None or mask.dtype is not dtypes.bool_:
        return mask
    return ops.zeros(mask.shape, dtype=dtype).masked_fill(mask, -math.inf)


def _with_one_more(mask: Tensor | None) -> Tensor | None:
    """A mask that lets through one more key."""
    return None if mask is None else pad(mask, (0, 1))
