"""Adding rows at positions: repeated ones, in order, any width and layout."""

from __future__ import annotations

import numpy as np
import pytest

from flambeau.kernels import rows

from . import support
from .conftest import RUNNABLE


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("width", [1, 3, 16, 64, 70, 130])
@pytest.mark.parametrize("turned", [False, True])
def test_adds(target, dtype: str, width: int, turned: bool) -> None:
    rng = np.random.default_rng(width)
    index = rng.integers(0, 9, 50)
    source = (rng.standard_normal((width, 50)).T if turned else rng.standard_normal((50, width))) * 9
    source, out = source.astype(dtype), (rng.standard_normal((9, width)) * 9).astype(dtype)
    expected = out.copy()
    np.add.at(expected, index, source)

    def build(module):
        return rows.emit_add(module, "k", 9, width, 50, support.operand(source), support.operand(out))

    support.run(build, index, source, out, target=target)
    support.close(out, expected.astype(np.float64), 1e-6)


def test_equal_for_any_number_of_threads(thread_count: int) -> None:
    rng = np.random.default_rng(0)
    index, source = rng.integers(0, 40, 3000), rng.standard_normal((3000, 200)).astype("float32")
    expected, out = np.zeros((40, 200), "float32"), np.zeros((40, 200), "float32")
    for j, row in enumerate(index):
        expected[row] += source[j]

    def build(module):
        return rows.emit_add(module, "k", 40, 200, 3000, support.operand(source), support.operand(out))

    support.run(build, index, source, out, checked=False, pool=thread_count > 1)
    assert np.array_equal(out, expected) and RUNNABLE
