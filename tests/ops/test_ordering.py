"""Stable orders by whole numbers: as NumPy's stable sort gives them, for every dtype that has an order."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from flambeau.ops.ordering import order

DTYPES = ["float32", "float16", "bfloat16", "float64", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "bool"]


def _numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    x = (rng.standard_normal(shape) * 50).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    if x.dtype.kind in "fV":
        x.reshape(-1)[::7], x.reshape(-1)[::11] = 0, -0.0
        for step, special in ((13, np.nan), (17, np.inf), (19, -np.inf), (23, -np.nan)):
            x.reshape(-1)[::step] = special
    return x


@pytest.mark.parametrize("shape", [(1,), (5000,), (3, 1000), (7, 11, 33), (2000, 2), (0, 4)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_order(dtype: str, shape: tuple[int, ...]) -> None:
    x = _numbers(dtype, shape)
    wide = x.astype(np.float64 if x.dtype.kind in "fVb" else object if dtype == "uint64" else np.int64)
    ascending = np.argsort(wide, -1, kind="stable")
    backwards = shape[-1] - 1 - np.flip(np.argsort(np.flip(wide, -1), -1, kind="stable"), -1)
    for descending, expected in ((False, ascending), (True, backwards)):
        assert np.array_equal(order(x, descending), expected)
        for first in (0, 1, shape[-1] // 2):
            found = order(x, descending, first)
            assert found.dtype == np.int64 and np.array_equal(found, expected[..., :first])


def test_integers_too_far_apart_for_the_short_way() -> None:
    x = np.array([2**62, -(2**62), 0, 5] * 500)
    assert np.array_equal(order(x), np.argsort(x, kind="stable"))
    large = np.array([2**64 - 1, 0, 2**63, 1] * 500, np.uint64)
    assert np.array_equal(order(large), np.argsort(large, kind="stable"))
