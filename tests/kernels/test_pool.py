"""Pooling against windows in NumPy, in every layout."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flambeau.kernels import pool
from flambeau.kernels.pool import Pooling
from flambeau.kernels.target import Target

from . import support
from .test_conv import LAYOUTS

CASES = {
    "halves": Pooling(3, 5, (8, 40), (4, 20), (2, 2), (2, 2)),
    "rounded up": Pooling(17, 3, (23, 23), (12, 12), (2, 2), (2, 2)),
    "overlapping": Pooling(2, 20, (9, 12), (5, 6), (3, 3), (2, 2), (1, 1)),
    "uneven": Pooling(2, 4, (11, 13), (11, 4), (3, 2), (1, 3), (1, 0)),
    "gaps": Pooling(2, 3, (6, 6), (2, 2), (2, 2), (3, 3)),
    "all": Pooling(1, 1, (5, 5), (1, 1), (5, 5), (5, 5)),
}


def _windows(shape: Pooling, row: int, column: int) -> list[tuple[int, int]]:
    top = row * shape.stride[0] - shape.padding[0]
    left = column * shape.stride[1] - shape.padding[1]
    return [
        (y, x)
        for y in range(top, top + shape.kernel[0])
        for x in range(left, left + shape.kernel[1])
        if 0 <= y < shape.in_size[0] and 0 <= x < shape.in_size[1]
    ]


def _cells(shape: Pooling) -> itertools.product:
    return itertools.product(range(shape.out_size[0]), range(shape.out_size[1]))


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("case", sorted(CASES))
def test_maximum(target: Target, case: str, layout: str) -> None:
    shape, lay, at = CASES[case], LAYOUTS[layout], support.operand
    rng = np.random.default_rng(0)
    x = rng.standard_normal((shape.batch, shape.channels, *shape.in_size)).round(1)
    x = x.astype(np.float32)
    x[0, 0, 1, 1] = np.nan
    size = (shape.batch, shape.channels, *shape.out_size)
    g = rng.standard_normal(size).astype(np.float32)
    best, where = np.zeros(size, np.float32), np.zeros(size, np.int64)
    dx = np.zeros_like(x)
    for row, column in _cells(shape):
        places = _windows(shape, row, column)
        values = np.stack([x[:, :, y, c] for y, c in places])
        pick = np.where(np.isnan(values), np.inf, values).argmax(0)
        best[:, :, row, column] = np.take_along_axis(values, pick[None], 0)[0]
        flat = np.array([y * shape.in_size[1] + c for y, c in places])
        where[:, :, row, column] = flat[pick]
        for k, (y, c) in enumerate(places):
            dx[:, :, y, c] += g[:, :, row, column] * (pick == k)

    x, g = lay(x), lay(g)
    out, positions = lay(np.zeros(size, np.float32)), lay(np.zeros(size, np.int64))
    support.run(
        lambda m: pool.emit_max(m, "k", shape, at(x), [at(out), at(positions)]),
        x, out, positions, target=target, checked=False,
    )  # fmt: skip
    np.testing.assert_array_equal(out, best)
    np.testing.assert_array_equal(positions, where)
    back = lay(np.full_like(x, 7))
    support.run(
        lambda m: pool.emit_max_backward(m, "k", shape, at(g), at(positions), at(back)),
        g, positions, back, target=target, checked=False,
    )  # fmt: skip
    np.testing.assert_allclose(back, dx, atol=1e-6)


@pytest.mark.parametrize("include_padding,divisor", [(True, None), (False, None), (True, 3)])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("case", sorted(CASES))
def test_average(
    target: Target, case: str, layout: str, include_padding: bool, divisor: int | None
) -> None:
    shape, lay, at = CASES[case], LAYOUTS[layout], support.operand
    rng = np.random.default_rng(0)
    x = rng.standard_normal((shape.batch, shape.channels, *shape.in_size)).astype(np.float32)
    size = (shape.batch, shape.channels, *shape.out_size)
    g = rng.standard_normal(size).astype(np.float32)
    mean, dx = np.zeros(size), np.zeros(x.shape)
    counts = [shape.window_sizes(dim, include_padding) for dim in (0, 1)]
    for row, column in _cells(shape):
        count = divisor or counts[0][row] * counts[1][column]
        for y, c in _windows(shape, row, column):
            mean[:, :, row, column] += x[:, :, y, c] / count
            dx[:, :, y, c] += g[:, :, row, column] / count

    x, g = lay(x), lay(g)
    out, back = lay(np.zeros(size, np.float32)), lay(np.full_like(x, 7))
    options = include_padding, divisor
    support.run(
        lambda m: pool.emit_average(m, "k", shape, at(x), at(out), *options),
        x, out, target=target, checked=False,
    )  # fmt: skip
    np.testing.assert_allclose(out, mean, atol=1e-6)
    support.run(
        lambda m: pool.emit_average_backward(m, "k", shape, at(g), at(back), *options),
        g, back, target=target, checked=False,
    )  # fmt: skip
    np.testing.assert_allclose(back, dx, atol=1e-6)
