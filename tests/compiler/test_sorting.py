"""Sorting and order statistics in compiled programs: native, and equal to eager and to NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from compiler_helpers import check

import flambeau as torch
from flambeau.compiler.explain import programs_of

DTYPES = ["bool", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


def _numbers(*shape: int, dtype: str = "float32") -> torch.Tensor:
    """Numbers of which some are equal, and NaN where there is one."""
    found = (torch.randn(*shape) * 3).round()
    if dtype.startswith("float"):
        found.view(-1)[::11] = float("nan")
    return found.to(getattr(torch, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("descending", [False, True])
def test_sort_of_any_dtype(dtype: str, descending: bool) -> None:
    x = _numbers(7, 40, 3, dtype=dtype)
    for dim in (0, 1, 2):
        check(lambda x, d=dim: torch.sort(x, d, descending, stable=True), x, gradients=False)
        check(lambda x, d=dim: x.argsort(d, descending), x, gradients=False)
        check(lambda x, d=dim: x.topk(2, d, descending), x, gradients=False)


@pytest.mark.parametrize("dim", [0, 1])
def test_gradients(dim: int) -> None:
    x = torch.randn(6, 5)
    check(lambda x: x.sort(dim)[0], x)
    check(lambda x: x.topk(3, dim)[0], x)
    check(lambda x: x.kthvalue(2, dim)[0], x)
    check(lambda x: x.median(dim)[0], x)
    check(lambda x: x.median(), x)
    check(lambda x: x.msort() * x, x)
    check(lambda x: x.quantile(0.3, dim), x)


def test_order_statistics() -> None:
    x = _numbers(9, 33)
    for f in (torch.median, torch.nanmedian):
        check(lambda x, f=f: f(x, 1), x, gradients=False)
        check(lambda x, f=f: f(x, 0, keepdim=True), x, gradients=False)
    check(lambda x: x.kthvalue(4, 0, True), x, gradients=False)
    check(lambda x: x.topk(0), x, gradients=False)
    check(lambda x: x.topk(33, largest=False), x, gradients=False)
    check(lambda x: x.sort(), torch.tensor(3.0), gradients=False)
    check(lambda x: x.sort(), torch.zeros(0), gradients=False)
    check(lambda x: x.sort(0), torch.randn(1, 4), gradients=False)


def test_of_parts_of_tensors() -> None:
    x = torch.randn(8, 6, 10)
    check(lambda x: x[1:, ::2].transpose(0, 2).sort(1), x, gradients=False)
    check(lambda x: x.expand(3, 8, 6, 10).topk(2, 1), x, gradients=False)
    check(lambda x: (x * 2).permute(2, 0, 1).argsort(0), x, gradients=False)


@pytest.mark.parametrize("shape", [(40, 700), (3, 9000), (70_000,)])
def test_long_rows(shape: tuple) -> None:
    x = _numbers(*shape)
    expected = np.argsort(x.numpy(), -1, kind="stable")
    compiled = torch.compile(lambda x: (x.argsort(), x.topk(5, largest=False)[1], x.topk(100, largest=False)[1]), fullgraph=True)
    for found, count in zip(compiled(x), (shape[-1], 5, 100), strict=True):
        assert np.array_equal(found.numpy(), expected[..., :count])


def test_nothing_is_left_to_the_host() -> None:
    x = torch.randn(5, 60)
    compiled = torch.compile(lambda x: (*x.sort(), *x.topk(3), x.median(1)[0], x.kthvalue(2)[0]), fullgraph=True)
    compiled(x)
    (program,) = programs_of(compiled)
    assert not [step for step in program.steps if step.node is not None]
