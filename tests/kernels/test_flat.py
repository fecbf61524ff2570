"""Chains over arrays of any length: every dtype, width and number of threads."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from flambeau.core.memory import address
from flambeau.kernels import flat, jit
from flambeau.kernels.element import element_of
from flambeau.kernels.language import Module
from flambeau.kernels.target import Target

NODES = (("input", 0), ("input", 1), ("mul", 0, 1), ("sub", 2, 0), ("abs", 1))
LENGTHS = (1, 2, 15, 16, 17, 63, 64, 65, 129, 1000, 4099)


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16", "float16", "int32", "int64"])
def test_any_length(name: str, target: Target) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    element, module = element_of(dtype), Module(target)
    flat.emit(module, "flat", [element] * 2, [element] * 2, NODES, (3, 4))
    driver = jit.load(module).function("flat", 4)
    rng = np.random.default_rng(0)
    for count in LENGTHS:
        x, y = (rng.integers(-9, 9, count).astype(dtype) for _ in range(2))
        for threads in (1, 2, 3):
            out, size = (np.full(count + 8, 7, dtype) for _ in range(2))
            table = np.array([*map(address, (x, y, out, size)), count], np.int64)
            for thread in range(threads):
                driver(address(table), 0, thread, threads)
            assert np.array_equal(out[:count], x * y - x) and np.array_equal(size[:count], abs(y))
            assert (out[count:] == 7).all() and (size[count:] == 7).all()


def test_threads_and_a_result_in_an_argument_s_memory(thread_count: int) -> None:
    chain = flat.Chain((("input", 0), ("exp", 0)), (1,), [np.dtype("f4")], [np.dtype("f4")])
    x = np.linspace(-3, 3, 100_001, dtype=np.float32)
    expected, out = np.exp(x), np.empty_like(x)
    for _ in range(20):
        chain(x, out)
        np.testing.assert_allclose(out, expected, 3e-7)
    chain(x, x)
    assert np.array_equal(x, out)
