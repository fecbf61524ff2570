"""Reductions and what is made of them in one kernel: softmax, normalisations, any layout, size and dtype."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.kernels import slabs
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import named

from . import support
from .conftest import RUNNABLE

SOFTMAX = (
    ("input", 0), ("reduce", "max", 0), ("sub", 0, 1), ("exp", 2), ("reduce", "sum", 3), ("div", 3, 4),
)  # fmt: skip


def _run(name, arrays, outputs, nodes, results, axes, **options):
    shape = np.broadcast_shapes(*(a.shape for a in arrays))

    def operand(a: np.ndarray) -> Operand:
        return support.operand(a, shape)

    def build(module):
        ends = [Operand(o.dtype.name, tuple(0 if n == 1 else s for n, s in zip(o.shape, support.operand(o).strides, strict=True))) for o in outputs]
        return slabs.emit(module, "k", shape, axes, [operand(a) for a in arrays], ends, nodes, results)

    return support.run(build, *arrays, *outputs, target=named(name), **options)


@pytest.mark.parametrize("name", RUNNABLE)
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 300), dtype=st.sampled_from(["float32", "float64"]))
def test_softmax(name: str, rows: int, columns: int, dtype: str) -> None:
    rng = np.random.default_rng(rows * columns)
    x = (rng.standard_normal((rows, columns)) * 4).astype(dtype)
    out, total = np.full_like(x, 7), np.full((rows, 1), 7, dtype)
    _run(name, [x], [out, total], SOFTMAX, (5, 4), (1,))
    e = np.exp(x - x.max(1, keepdims=True), dtype=np.float64)
    support.close(out, e / e.sum(1, keepdims=True), 2e-6 if dtype == "float32" else 1e-14)
    support.close(total, e.sum(1, keepdims=True), 2e-6 if dtype == "float32" else 1e-14)


def _normalisation(count: int) -> tuple:
    """x (0), weight (1), bias (2): normalised, scaled, shifted; the mean is node 5, the result the last."""
    return (
        ("input", 0), ("input", 1), ("input", 2), ("constant", float(count), "float32"),
        ("reduce", "sum", 0), ("div", 4, 3), ("sub", 0, 5), ("mul", 6, 6), ("reduce", "sum", 7), ("div", 8, 3),
        ("constant", 1e-5, "float32"), ("add", 9, 10), ("rsqrt", 11), ("mul", 6, 12), ("mul", 13, 1), ("add", 14, 2),
    )  # fmt: skip


@pytest.mark.parametrize("layout", ["channels first", "channels last", "batch last"])
def test_channels_of_a_batch(target, layout: str) -> None:
    order = {"channels first": (0, 1, 2, 3), "channels last": (0, 2, 3, 1), "batch last": (1, 2, 3, 0)}[layout]
    rng = np.random.default_rng(0)
    shape = (18, 3, 5, 7)

    def laid_out(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))

    x = laid_out(rng.standard_normal(shape).astype("float32"))
    weight, bias = (rng.standard_normal((1, 3, 1, 1)).astype("float32") for _ in range(2))
    out, mean = laid_out(np.full(shape, 7, "float32")), np.full((1, 3, 1, 1), 7, "float32")
    _run(target.name, [x, weight, bias], [out, mean], _normalisation(18 * 35), (15, 5), (0, 2, 3), checked=layout != "x")
    expected_mean = x.mean((0, 2, 3), keepdims=True, dtype=np.float64)
    variance = x.var((0, 2, 3), keepdims=True, dtype=np.float64)
    support.close(out, (x - expected_mean) / np.sqrt(variance + 1e-5) * weight + bias, 3e-6)
    support.close(mean, expected_mean, 3e-6)


def test_any_number_of_threads(thread_count: int) -> None:
    x = np.random.default_rng(1).standard_normal((300, 130)).astype("float32")
    out, total = np.zeros_like(x), np.zeros((300, 1), "float32")
    _run(RUNNABLE[-1], [x], [out, total], SOFTMAX, (5, 4), (1,), checked=False, pool=thread_count > 1)
    e = np.exp(x - x.max(1, keepdims=True))
    support.close(out, e / e.sum(1, keepdims=True), 2e-6)


def test_halves_and_bools(target) -> None:
    rng = np.random.default_rng(2)
    x, seen = rng.standard_normal((5, 70)).astype("float16"), rng.random((5, 70)) < 0.5
    nodes = (
        ("input", 0), ("input", 1), ("constant", 0.0, "float16"), ("where", 1, 0, 2), ("reduce", "sum", 3),
        ("reduce", "any", 1), ("sub", 3, 4), ("where", 5, 6, 2),
    )  # fmt: skip
    out, any_seen = np.zeros((5, 70), "float16"), np.zeros((5, 1), bool)
    _run(target.name, [x, seen], [out, any_seen], nodes, (7, 5), (1,))
    wide = np.where(seen, x.astype(np.float64), 0)
    support.close(out, wide - wide.sum(1, keepdims=True), 2e-3)
    assert np.array_equal(any_seen, seen.any(1, keepdims=True))
