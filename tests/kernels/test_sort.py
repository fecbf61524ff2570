"""Places in order against NumPy's stable sort: every dtype, both directions, ties, NaN, networks and digits."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from flambeau.kernels import jit, sort, topk
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.sort import Sorting
from flambeau.kernels.target import named

from . import support

DTYPES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "bfloat16", "float32",
    "float64",
]  # fmt: skip


def expected(x: np.ndarray, descending: bool) -> np.ndarray:
    """The stable order along the last dimension, NaN as the largest."""
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        x = x.astype(np.float32)
    ranks = np.unique(x.ravel(), return_inverse=True)[1].reshape(x.shape)  # NaN is the last of all, and one
    return np.argsort(-ranks if descending else ranks, -1, kind="stable")


def numbers(shape: tuple, dtype: str, seed: int = 0) -> np.ndarray:
    """Numbers of which some are equal, and the special ones."""
    rng = np.random.default_rng(seed)
    if dtype in ("float16", "bfloat16", "float32", "float64"):
        found = np.round(rng.standard_normal(shape) * 8, 1)
        special = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e-30]
        places = rng.integers(0, found.size, 40)
        found.flat[places] = rng.choice(special, 40)
        return found.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    bounds = np.iinfo(dtype)
    found = rng.integers(0, 2, shape) * rng.integers(bounds.min, bounds.max, shape, dtype, endpoint=True)
    return found.astype(dtype)


def order(x: np.ndarray, descending: bool = False, first: int | None = None, **options) -> np.ndarray:
    """Runs the kernel along the last dimension."""
    first = x.shape[-1] if first is None else first
    out = np.empty((*x.shape[:-1], first), np.int64)

    def build(module):
        return sort.emit(module, "k", Sorting(x.shape, descending, first), support.operand(x), support.operand(out))

    support.run(build, x, out, **options)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("length", [1, 2, 10, 33])
def test_short_rows(target, dtype: str, descending: bool, length: int) -> None:
    x = numbers((19, length), dtype)
    assert np.array_equal(order(x, descending, target=target), expected(x, descending))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("descending", [False, True])
def test_long_rows(target, dtype: str, descending: bool) -> None:
    x = numbers((2, 3000), dtype)
    assert np.array_equal(order(x, descending, target=target), expected(x, descending))


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "int64", "float64"])
def test_very_long_rows(target, dtype: str) -> None:
    x = numbers((2, 70_001), dtype)
    assert np.array_equal(order(x, True, target=target, checked=False), expected(x, True))


@pytest.mark.parametrize("length", [9, 700, 70_000])
def test_checked_and_only_the_first(length: int) -> None:
    x = numbers((3, length), "float32")
    first = length // 3
    assert np.array_equal(order(x, first=first), expected(x, False)[:, :first])


@pytest.mark.parametrize("length", [12, 600])
def test_along_other_dimensions(target, length: int) -> None:
    x = numbers((length, 5, 11), "float32")
    columns = np.moveaxis(x, 0, -1)
    assert np.array_equal(order(columns, target=target), expected(columns, False))
    part = np.swapaxes(x, 0, 1)[:, ::2][..., ::3].swapaxes(1, 2)
    assert np.array_equal(order(part, target=target), expected(part, False))


@pytest.mark.parametrize("shape", [(5, 40), (40, 20), (2, 70_000)])
def test_equal_for_any_number_of_threads(thread_count: int, shape: tuple) -> None:
    x = numbers(shape, "float32")
    assert np.array_equal(order(x, checked=False, pool=thread_count > 1), expected(x, False))


def test_networks_sort() -> None:
    """Every network of some lengths on zeros and ones, which decide for all numbers."""
    for length in range(1, 10):
        patterns = np.array([[(n >> b) & 1 for b in range(length)] for n in range(1 << length)], np.int32)
        assert np.array_equal(order(patterns), expected(patterns, False))


def test_code_for_another_processor() -> None:
    for length in (20, 3000, 100_000):
        for dtype in ("float16", "float64"):
            module = Module(named("neon"))
            operands = Operand(dtype, (length, 1)), Operand("int64", (length, 1))
            sort.emit(module, "sort", Sorting((3, length), False, length), *operands)
            topk.emit(module, "topk", Sorting((3, length), False, 5), *operands)
            assert jit.compile_object(module.text(), module.target)


def first_of(x: np.ndarray, k: int, descending: bool, **options) -> np.ndarray:
    out = np.empty((*x.shape[:-1], k), np.int64)

    def build(module):
        return topk.emit(module, "k", Sorting(x.shape, descending, k), support.operand(x), support.operand(out))

    support.run(build, x, out, **options)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("k", [1, 7, 30])
def test_the_first_few(target, dtype: str, descending: bool, k: int) -> None:
    x = numbers((5, 2503), dtype)
    assert np.array_equal(first_of(x, k, descending, target=target), expected(x, descending)[:, :k])


@pytest.mark.parametrize("k", [3, 100])
def test_the_first_few_of_very_long_rows(thread_count: int, k: int) -> None:
    x = numbers((2, 70_001), "float32")
    assert np.array_equal(first_of(x, k, True, checked=False, pool=thread_count > 1), expected(x, True)[:, :k])


def test_the_first_few_of_equal_and_of_ordered_numbers() -> None:
    for x in (np.zeros(3000, "float32"), np.full(3000, np.nan, "float32"), np.arange(3000), -np.arange(3000)):
        x = x.astype("float32")[None]
        for k in (5, 40):
            assert np.array_equal(first_of(x, k, False), expected(x, False)[:, :k])
    columns = numbers((1500, 3, 2), "float32").transpose(1, 2, 0)
    assert np.array_equal(first_of(columns, 4, True), expected(columns, True)[..., :4])


@pytest.mark.parametrize("length", [40, 3000, 70_000])
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_whole_numbers_near_each_other_and_far_apart(target, dtype: str, length: int) -> None:
    """Those within 32 bits take a short way."""
    rng = np.random.default_rng(length)
    for low, high in ((0, 1000), (10**18, 10**18 + (1 << 32)), (5, 6 + (1 << 32)), (0, (1 << 63) - 1)):
        x = rng.integers(low, high, (2, length)).astype(dtype)
        x[:, 7], x[:, 30] = low, high - 1
        for descending in (False, True):
            assert np.array_equal(order(x, descending, target=target, checked=length == 40), expected(x, descending))
