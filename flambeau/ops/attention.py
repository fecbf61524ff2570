"""Attention in one pass over queries and keys, and its gradients: primitives on the kernels.

The scores never are in memory (`kernels/attention.py`). `nn/functional/attention.py` says when that pays, and has the
derivative; its composition of products and softmax is what these primitives compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.ops.table import Kernel, Primitive, Spec

Array = np.ndarray


def batch_of(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The batch dimensions of matrices of these shapes, broadcast."""
    return np.broadcast_shapes(*(tuple(s)[:-2] for s in shapes))


def result_shape(query: Sequence[int], key: Sequence[int], value: Sequence[int], turned: bool) -> tuple[int, ...]:
    """(*batch, queries, value width); turned, the last dimension of the batch stands behind the queries."""
    batch, queries, width = batch_of(query, key, value), query[-2], value[-1]
    return (*batch[:-1], queries, batch[-1], width) if turned else (*batch, queries, width)


def shape_of(query: Sequence[int], key: Sequence[int], value: Sequence[int], scale: float, causal: bool) -> Any:
    """The kernel's description of an attention of matrices of these shapes."""
    from flambeau.kernels.attention import Attention

    batch = batch_of(query, key, value)
    return Attention(batch, query[-2], key[-2], query[-1], value[-1], scale, causal)


def _spread(batch: tuple[int, ...], *matrices: Array) -> list[Array]:
    return [np.broadcast_to(m, (*batch, *m.shape[-2:])) for m in matrices]


def _prepared(query: Array, key: Array, value: Array, mask: Array | None, scale: float, causal: bool) -> Any:
    shape = shape_of(query.shape, key.shape, value.shape, scale, causal)
    if mask is not None:
        mask = np.broadcast_to(mask, (*shape.batch, shape.queries, shape.keys))
    return shape, _spread(shape.batch, query, key, value), mask


def _forward(
    query: Array, key: Array, value: Array, mask: Array | None, scale: float, causal: bool, turned: bool
) -> tuple[Array, Array]:
    from flambeau.kernels import call

    shape, (query, key, value), mask = _prepared(query, key, value, mask, scale, causal)
    out = np.empty(result_shape(query.shape, key.shape, value.shape, turned), query.dtype)
    total = np.empty((*shape.batch, shape.queries), query.dtype)
    call.attend(query, key, value, mask, np.swapaxes(out, -3, -2) if turned else out, total, shape)
    return out, total


def _query_gradient(
    query: Array, key: Array, value: Array, mask: Array | None, total: Array, gradient: Array, inner: Array,
    scale: float, causal: bool,
) -> Array:  # fmt: skip
    from flambeau.kernels import call

    shape, (query, key, value), mask = _prepared(query, key, value, mask, scale, causal)
    out = np.empty((*shape.batch, *query.shape[-2:]), query.dtype)
    call.attend_query_gradient(query, key, value, mask, total, gradient, inner, out, shape)
    return out


def _key_value_gradient(
    query: Array, key: Array, value: Array, mask: Array | None, total: Array, gradient: Array, inner: Array,
    scale: float, causal: bool,
) -> tuple[Array, Array]:  # fmt: skip
    from flambeau.kernels import call

    shape, (query, key, value), mask = _prepared(query, key, value, mask, scale, causal)
    of_key = np.empty((*shape.batch, *key.shape[-2:]), query.dtype)
    of_value = np.empty((*shape.batch, *value.shape[-2:]), query.dtype)
    call.attend_key_value_gradient(query, key, value, mask, total, gradient, inner, of_key, of_value, shape)
    return of_key, of_value


#: The result, and the logarithm of the sum of exp(score) of each query (*batch, queries).
attention = Primitive(
    "attention",
    "query key value mask?",
    _forward,
    rule=lambda q, k, v, mask, scale, causal, turned: (
        Spec(result_shape(q.shape, k.shape, v.shape, turned), q.dtype),
        Spec((*batch_of(q.shape, k.shape, v.shape), q.shape[-2]), q.dtype),
    ),
    lowering=Kernel("attention", ("forward",)),
    outputs=2,
)
#: The gradients, each with the batch dimensions of the result. `gradient` is that of the result (*batch, queries,
#: width), `inner` the sum over the width of that times the result.
query_gradient = Primitive(
    "attention_query_gradient",
    "query key value mask? total gradient inner",
    _query_gradient,
    rule=lambda q, k, v, mask, total, g, inner, scale, causal: Spec((*g.shape[:-2], *q.shape[-2:]), q.dtype),
    lowering=Kernel("attention", ("query",)),
)
key_value_gradient = Primitive(
    "attention_key_value_gradient",
    "query key value mask? total gradient inner",
    _key_value_gradient,
    rule=lambda q, k, v, mask, total, g, inner, scale, causal: (
        Spec((*g.shape[:-2], *k.shape[-2:]), q.dtype),
        Spec((*g.shape[:-2], *v.shape[-2:]), q.dtype),
    ),
    lowering=Kernel("attention", ("key value",)),
    outputs=2,
)
