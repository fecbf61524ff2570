"""Sums, products and extremes of any shape against NumPy's in double precision."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.kernels import folds, jit
from flambeau.kernels.element import element_of
from flambeau.kernels.language import Module
from flambeau.kernels.target import Target

DTYPES = {n: np.dtype(getattr(ml_dtypes, n, n)) for n in ("float32", "float64", "bfloat16", "float16", "int32", "int64")}
REFERENCES = {
    "sum": lambda x, axis: x.sum(axis), "prod": lambda x, axis: x.prod(axis), "max": lambda x, axis: x.max(axis),
    "min": lambda x, axis: x.min(axis), "sum of squares": lambda x, axis: (x * x).sum(axis),
    "sum of magnitudes": lambda x, axis: abs(x).sum(axis),
}  # fmt: skip
TOLERANCES = {"float32": 2e-6, "float64": 1e-13, "bfloat16": 1e-2, "float16": 2e-3, "int32": 0, "int64": 0}


def _values(shape: tuple[int, ...], name: str) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    if name.startswith("int"):
        return rng.integers(-3, 4, shape).astype(DTYPES[name])
    return rng.uniform(0.9, 1.1, shape).astype(DTYPES[name])


def _check(out: np.ndarray, x: np.ndarray, fold: str, axis: int, name: str) -> None:
    wide = x.astype(np.int64 if name.startswith("int") else np.float64)
    expected = REFERENCES[fold](wide, axis)
    if name == "int32":
        expected = expected.astype(np.int32)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.astype(expected.dtype), expected, TOLERANCES[name] * (1 + 9 * (fold == "prod")))


@pytest.mark.parametrize("fold", folds.FOLDS)
@pytest.mark.parametrize("name", DTYPES)
@settings(max_examples=12, deadline=None)
@given(count=st.integers(1, 5), length=st.integers(1, 700))
def test_rows(fold: str, name: str, count: int, length: int) -> None:
    x = _values((count, min(length, 80) if fold == "prod" else length), name)
    out = np.full(count, 7, x.dtype)
    folds.rows(fold, x, out)
    _check(out, x, fold, 1, name)


@pytest.mark.parametrize("fold", folds.FOLDS)
@pytest.mark.parametrize("name", DTYPES)
@settings(max_examples=12, deadline=None)
@given(outer=st.integers(1, 3), count=st.integers(1, 300), width=st.integers(1, 150))
def test_columns(fold: str, name: str, outer: int, count: int, width: int) -> None:
    x = _values((outer, min(count, 80) if fold == "prod" else count, width), name)
    out = np.full((outer, width), 7, x.dtype)
    if folds.columns(fold, x, out):
        _check(out, x, fold, 1, name)
    else:
        assert (out == 7).all()


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_long_rows_go_in_pieces_and_keep_their_digits(name: str, thread_count: int) -> None:
    x = np.full((3, 3 * folds.PIECE + 77), 0.1, DTYPES[name])
    out = np.empty(3, DTYPES[name])
    folds.rows("sum", x, out)
    again = out.copy()
    folds.rows("sum", x, again)
    assert out.tobytes() == again.tobytes()
    np.testing.assert_allclose(out.astype(float), x.astype(float).sum(1), 1e-2 if name == "bfloat16" else 6e-7)


def test_extremes_keep_nan_and_infinity() -> None:
    x = np.zeros((4, 100), np.float32)
    x[0, 77], x[1, 99], x[2] = np.nan, np.nan, -np.inf
    out = np.empty(4, np.float32)
    folds.rows("max", x, out)
    np.testing.assert_array_equal(out, [np.nan, np.nan, -np.inf, 0])


@pytest.mark.parametrize("rows", [True, False])
def test_vectors_of_every_width(rows: bool, target: Target) -> None:
    x, element = _values((3, 40, 37), "float32"), element_of("float32")
    module = Module(target)
    (folds.emit_rows if rows else folds.emit_columns)(module, "fold", "sum", element, element)
    run = jit.load(module).function("fold", 4)
    out = np.empty((3, 40) if rows else (3, 37), np.float32)
    block = 4 * target.lanes(4)
    numbers = [120, 37, 37, 1] if rows else [3 * -(-37 // block), 40, 37, -(-37 // block)]
    table = np.array([x.ctypes.data, out.ctypes.data, *numbers], np.int64)
    for thread in range(2):
        run(table.ctypes.data, 0, thread, 2)
    _check(out, x, "sum", 2 if rows else 1, "float32")
