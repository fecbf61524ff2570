"""Running sums: along rows and across them, every width, dtype and instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.kernels import scan
from flambeau.kernels.element import element_of
from flambeau.kernels.target import named

from . import support
from .conftest import RUNNABLE


def _check(name: str, x: np.ndarray, dim: int, product: bool = False, **options) -> None:
    out = np.full_like(x, 7)
    support.run(
        lambda module: scan.emit(module, "k", x.shape, dim, element_of(x.dtype.name), product), x, out, target=named(name),
        **options,
    )  # fmt: skip
    running = np.cumprod if product else np.cumsum
    expected = running(x.astype(np.float64) if x.dtype.kind == "f" else x, dim, None if x.dtype.kind == "f" else x.dtype).astype(x.dtype)
    if x.dtype == np.float64:  # which are added up in another order
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    elif x.dtype == np.float32:
        np.testing.assert_allclose(out, expected, rtol=2e-7, atol=1e-9)
    else:
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("name", RUNNABLE)
@settings(max_examples=25, deadline=None)
@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=3), place=st.integers(0, 2),
    dtype=st.sampled_from(["float32", "float64", "int64", "int32"]),
)  # fmt: skip
def test_any_shape(name: str, shape: list[int], place: int, dtype: str) -> None:
    rng = np.random.default_rng(sum(shape))
    _check(name, (rng.standard_normal(shape) * 9).astype(dtype), place % len(shape))


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_products(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 50), (40, 3, 17), (5,)):
        x = rng.uniform(0.8, 1.25, shape).astype(dtype) if dtype != "int64" else rng.integers(-2, 3, shape)
        for dim in range(len(shape)):
            _check(name, x, dim, True)


def test_any_number_of_threads(thread_count: int) -> None:
    x = np.random.default_rng(0).standard_normal((70, 50, 33)).astype("float32")
    for dim in range(3):
        _check(RUNNABLE[-1], x, dim, checked=False, pool=thread_count > 1)


def test_long_sums_keep_their_digits() -> None:
    _check(RUNNABLE[-1], np.full(1 << 20, 0.1, np.float32), 0, checked=False)
