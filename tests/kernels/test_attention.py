"""Attention without scores in memory, and its gradients: sizes, masks, layouts, dtypes, instruction sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.kernels import attention, threads
from flambeau.kernels.attention import Attention
from flambeau.kernels.target import named

from . import support
from .conftest import RUNNABLE

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


def _reference(q, k, v, mask, causal, scale, g):
    """The result, the sums' logarithms and the gradients, in double precision with all scores."""
    q, k, v, g = (x.astype(np.float64) for x in (q, k, v, g))
    scores = q @ k.swapaxes(-1, -2) * scale
    if mask is not None:
        scores = scores + mask
    if causal:
        scores = np.where(np.arange(q.shape[-2])[:, None] >= np.arange(k.shape[-2]), scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    top = np.where(np.isneginf(top), 0, top)
    weights = np.exp(scores - top)
    total = weights.sum(-1, keepdims=True)
    none = total == 0
    weights = np.where(none, 0, weights / np.where(none, 1, total))
    logarithms = np.where(none, 0, top + np.log(np.where(none, 1, total)))[..., 0]
    of_weights = g @ v.swapaxes(-1, -2)
    of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdims=True)) * scale
    turned = of_scores.swapaxes(-1, -2)
    return weights @ v, logarithms, of_scores @ k, turned @ q, weights.swapaxes(-1, -2) @ g


def _check(name, q, k, v, mask, causal, scale=0.4, checked=True, pool=False) -> None:
    batch, dtype = q.shape[:-2], q.dtype
    shape = Attention(batch, q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1], scale, causal)
    rng = np.random.default_rng(5)
    out = np.full((*batch, shape.queries, shape.value_width), 77, dtype)
    total = np.full((*batch, shape.queries), 77, dtype)
    g = rng.standard_normal(out.shape).astype(dtype)
    expected = _reference(q, k, v, mask, causal, scale, g)
    masks = [] if mask is None else [mask]

    def run(emit, *arrays) -> None:
        def build(module):
            operands = [support.operand(a) for a in arrays]
            return emit(module, "k", shape, *operands[:3], *([None] if mask is None else []), *operands[3:])

        support.run(build, *arrays, target=named(name), checked=checked, pool=pool)

    run(attention.emit_forward, q, k, v, *masks, out, total)
    inner = (g * out).sum(-1).astype(dtype)
    of_query, of_key, of_value = (np.full(x.shape, 77, dtype) for x in (q, k, v))
    run(attention.emit_query_gradient, q, k, v, *masks, total, g, inner, of_query)
    run(attention.emit_key_value_gradient, q, k, v, *masks, total, g, inner, of_key, of_value)
    for actual, right in zip((out, total, of_query, of_key, of_value), expected, strict=True):
        # Where there is one key the gradient of its score is 0: a difference of two numbers around 1.
        assert np.abs(actual - right).max() <= TOLERANCE[dtype.name] * max(1, np.abs(right).max())


def _inputs(rng, batch, queries, keys, width, value_width, dtype):
    sizes = ((queries, width), (keys, width), (keys, value_width))
    return [rng.standard_normal((*batch, *s)).astype(dtype) for s in sizes]


@pytest.mark.parametrize("name", RUNNABLE)
@settings(max_examples=12, deadline=None)
@given(
    queries=st.integers(1, 90), keys=st.integers(1, 150), width=st.integers(1, 20), value_width=st.integers(1, 20),
    causal=st.booleans(), masked=st.booleans(), dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_any_shape(
    name: str, queries: int, keys: int, width: int, value_width: int, causal: bool, masked: bool, dtype: str
) -> None:
    rng = np.random.default_rng(queries * keys * width)
    mask = rng.standard_normal((1, queries, keys)).astype(dtype) if masked else None
    if mask is not None:
        mask[rng.random(mask.shape) < 0.3] = -np.inf
    _check(name, *_inputs(rng, (1,), queries, keys, width, value_width, dtype), mask, causal)


def test_strided_matrices_and_batches(target) -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 33, 3, 8)).astype("float32").swapaxes(1, 2) for _ in range(3))
    mask = np.broadcast_to(rng.standard_normal((2, 1, 1, 33)).astype("float32"), (2, 3, 33, 33))
    _check(target.name, q, k, v, None, False)
    _check(target.name, q, k, np.broadcast_to(v[:, :1], v.shape), mask, True, checked=False)


def test_any_number_of_threads(thread_count: int) -> None:
    rng = np.random.default_rng(1)
    name = RUNNABLE[-1]
    _check(name, *_inputs(rng, (2, 3), 100, 70, 16, 24, "float32"), None, True, checked=False, pool=thread_count > 1)
    assert threads.get_num_threads() == thread_count


def test_large_scores_do_not_overflow() -> None:
    rng = np.random.default_rng(2)
    q, k, v = _inputs(rng, (1,), 20, 130, 4, 4, "float64")
    _check(RUNNABLE[-1], q * 40, k * 40, v, None, False, scale=1.0)
