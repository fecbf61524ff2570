"""Reductions over any axes, of any layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.kernels import call, reduce
from flambeau.kernels.reduce import Reduction
from flambeau.kernels.target import Target, named

from . import support
from .conftest import RUNNABLE

SQUARES = (("input", 0), ("mul", 0, 0), ("constant", 1.0, "float32"), ("gt", 0, 2))


def _reduce(
    name: str, x: np.ndarray, axes: tuple[int, ...], nodes, reductions, outputs
) -> None:
    def build(module):
        ends = [support.operand(o) for o in outputs]
        return reduce.emit(
            module, "k", x.shape, axes, [support.operand(x)], ends, nodes, reductions
        )

    support.run(build, x, *outputs, target=named(name))


@pytest.mark.parametrize("name", RUNNABLE)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_axes(name: str, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=4)))
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    order = data.draw(st.permutations(range(len(shape))))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    stored = rng.standard_normal([shape[i] for i in order]).astype(np.float32)
    x = stored.transpose(np.argsort(order))
    left = x.sum(axes).shape
    total, largest, squares = (np.zeros(left, np.float32) for _ in range(3))
    some = np.zeros(left, np.bool_)
    kinds = [Reduction("sum", 0), Reduction("max", 0), Reduction("sum", 1), Reduction("any", 3)]
    _reduce(name, x, axes, SQUARES, kinds, [total, largest, squares, some])
    wide = x.astype(np.float64)
    np.testing.assert_allclose(total, wide.sum(axes), rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(largest, x.max(axes))
    np.testing.assert_allclose(squares, (wide * wide).sum(axes), rtol=1e-5)
    np.testing.assert_array_equal(some, (x > 1).any(axes))


@pytest.mark.parametrize(
    "shape,axis", [((1000,), 0), ((33, 5), 1), ((5, 700), 1), ((70, 40), 0)]
)
def test_positions_of_extremes(target: Target, shape: tuple[int, ...], axis: int) -> None:
    x = np.random.default_rng(0).standard_normal(shape).round(1).astype(np.float32)
    at_max, at_min = (np.zeros(x.sum(axis).shape, np.int64) for _ in range(2))
    kinds = [Reduction("argmax", 0), Reduction("argmin", 0)]
    _reduce(target.name, x, (axis,), (("input", 0),), kinds, [at_max, at_min])
    np.testing.assert_array_equal(at_max, x.argmax(axis))
    np.testing.assert_array_equal(at_min, x.argmin(axis))


def test_nan_is_kept(target: Target) -> None:
    x = np.ones((4, 50), np.float32)
    x[1, 3] = np.nan
    x[2, 49] = np.nan
    out, at = np.zeros(4, np.float32), np.zeros(4, np.int64)
    kinds = [Reduction("max", 0), Reduction("argmax", 0)]
    _reduce(target.name, x, (1,), (("input", 0),), kinds, [out, at])
    assert np.isnan(out).tolist() == [False, True, True, False]
    assert at.tolist() == [0, 3, 49, 0]


def test_long_sums_are_accurate() -> None:
    x = np.full(3_000_000, 0.1, np.float32)
    out = np.zeros((), np.float32)
    call.reduction((("input", 0),), [x], [Reduction("sum", 0)], (0,), [out])
    assert abs(float(out) / (3e6 * float(np.float32(0.1))) - 1) < 1e-6


def test_epilogue_reads_extras() -> None:
    x = np.random.default_rng(0).standard_normal((8, 6, 9, 9)).astype(np.float32)
    scale = np.arange(6, dtype=np.float32)
    out = np.zeros(6, np.float32)
    epilogue = (("reduced", 0), ("input", 0), ("mul", 0, 1))
    call.reduction(
        (("input", 0),), [x], [Reduction("sum", 0)], (0, 2, 3), [out], epilogue, (2,), [scale]
    )
    np.testing.assert_allclose(out, x.sum((0, 2, 3)) * scale, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axes", [(0, 1), (0,), (1,)])
def test_same_result_on_any_number_of_threads(axes: tuple[int, ...]) -> None:
    from flambeau.kernels import threads

    x = np.random.default_rng(3).standard_normal((2048, 300)).astype(np.float32)
    before, seen = threads.get_num_threads(), []
    for count in (1, 2, 3, 4, 1):
        threads.set_num_threads(count)
        out = np.zeros(x.sum(axes).shape, np.float32)
        call.reduction((("input", 0),), [x], [Reduction("sum", 0)], axes, [out])
        seen.append(out)
    threads.set_num_threads(before)
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])
