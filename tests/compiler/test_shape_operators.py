"""The shape and index operators, compiled, compute what eager computes, and so do their gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from compiler_helpers import check

import flambeau as torch

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
from shape_cases import CASES, VECTOR


@pytest.mark.parametrize("name", CASES)
def test_compiled_equals_eager(name: str) -> None:
    function, shapes = CASES[name]
    torch.manual_seed(1)
    check(lambda *a: function(*a) * 2, *[torch.rand(*s) + 0.5 for s in shapes])


def test_positions_as_arguments() -> None:
    """Where the indices are inputs of the program, they differ from call to call."""
    x, index = torch.randn(4, 3), torch.tensor([[0, 2, 1], [3, 0, 0]])
    check(lambda x, i: torch.scatter(x, 0, i, 2.0) + x.gather(0, i).sum(), x, index)
    check(lambda x, i: torch.scatter_reduce(x, 0, i, x[:2] * 2, "amax"), x, index)
    check(lambda x, i: torch.take(x, i) * 2, x, index)
    check(lambda x, i: x.index_fill(0, i, 1.5) * 2, x, VECTOR)
    check(lambda x, i: torch.isin(i, i[:1]) * x[:2], x, index)
    check(lambda x, m: torch.masked_scatter(x, m, x * 2), x, x > 0)


def test_writing_through_views() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y.as_strided((2, 2), (4, 1), 1).add_(1)
        y.diagonal().mul_(3)
        y.view(2, 6)[:, ::2].zero_()
        y.t()[1].fill_(7)
        return y

    check(f, torch.randn(3, 4))


def test_writing_where_a_mask_is_true() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y[y > 0] = 1.5
        y[y < -1] = x[0, 0]
        return y

    check(f, torch.randn(3, 4))


def test_as_strided_of_memory_that_was_overwritten_by_one_number() -> None:
    """The value of such memory is one element, seen many times."""

    def f(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        y = x * 1
        y.copy_(w * 3)
        part = y.as_strided((2, 2), (1, 4))
        part.mul_(2)
        return y * part.sum()

    check(f, torch.randn(4, 3), torch.randn(()))
