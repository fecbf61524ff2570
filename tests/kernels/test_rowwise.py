"""Expressions with reductions over rows of any length, every width and dtype."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from flambeau.core.memory import address
from flambeau.kernels import jit, rowwise
from flambeau.kernels.element import element_of
from flambeau.kernels.language import Module
from flambeau.kernels.target import Target

PLACE, ROW, COLUMN, ONE = rowwise.PLACE, rowwise.ROW, rowwise.COLUMN, rowwise.ONE
LENGTHS = (1, 2, 7, 8, 16, 17, 63, 64, 65, 100, 300)
TOLERANCES = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 0.03, "float16": 4e-3}


@pytest.mark.parametrize("name", TOLERANCES)
def test_softmax_and_its_gradient(name: str) -> None:
    dtype, tolerance = np.dtype(getattr(ml_dtypes, name, name)), TOLERANCES[name]
    place = [(dtype, PLACE)]
    forward = rowwise.Rowwise(rowwise.SOFTMAX, (5,), place, place)
    backward = rowwise.Rowwise(rowwise.SOFTMAX_GRADIENT, (5,), place * 2, place)
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        x, g = (rng.standard_normal((3, length)).astype(dtype) for _ in range(2))
        out, slope = np.empty_like(x), np.empty_like(x)
        forward(3, length, x, out)
        e = np.exp(x.astype(float) - x.astype(float).max(1, keepdims=True))
        expected = e / e.sum(1, keepdims=True)
        np.testing.assert_allclose(out.astype(float), expected, atol=tolerance)
        backward(3, length, g, out, slope)
        y, h = out.astype(float), g.astype(float)
        np.testing.assert_allclose(slope.astype(float), y * (h - (h * y).sum(1, keepdims=True)), atol=tolerance)


def test_every_kind_of_operand(target: Target) -> None:
    nodes = (
        ("input", 0), ("input", 1), ("input", 2), ("input", 3), ("length",), ("mul", 0, 2), ("sub", 5, 1),
        ("reduce", "sum", 6), ("div", 7, 4), ("add", 6, 8), ("mul", 9, 3), ("reduce", "max", 10),
    )  # fmt: skip
    f32 = element_of("float32")
    module = Module(target)
    inputs, outputs = [(f32, kind) for kind in (PLACE, ROW, COLUMN, ONE)], [(f32, PLACE), (f32, ROW)]
    rowwise.emit(module, "rowwise", inputs, outputs, nodes, (10, 11))
    run = jit.load(module).function("rowwise", 4)
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        x, each, column, one = (rng.standard_normal(s).astype("f4") for s in ((5, length), 5, length, 1))
        out, top = np.full((5, length), 7, "f4"), np.full(5, 7, "f4")
        table = np.array([*map(address, (x, each, column, one, out, top)), 5, length], np.int64)
        for thread in range(2):
            run(address(table), 0, thread, 2)
        inner = x * column - each[:, None]
        expected = (inner + inner.sum(1, keepdims=True) / length) * one
        np.testing.assert_allclose(out, expected, 1e-4, 1e-5)
        np.testing.assert_allclose(top, expected.max(1), 1e-4, 1e-5)


def test_any_number_of_threads(thread_count: int) -> None:
    place = [(np.dtype("f4"), PLACE)]
    kernel = rowwise.Rowwise(rowwise.LOG_SOFTMAX, (6,), place, place)
    x = np.random.default_rng(0).standard_normal((200, 777)).astype("f4")
    out = np.empty_like(x)
    for _ in range(10):
        kernel(200, 777, x, out)
    z = x.astype(float)
    np.testing.assert_allclose(out, z - np.log(np.exp(z).sum(1, keepdims=True)), atol=1e-5)
