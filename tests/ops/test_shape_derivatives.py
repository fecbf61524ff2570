"""First and second derivatives of the shape and index operators, against finite differences."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

sys.path.insert(0, str(Path(__file__).parent))
from shape_cases import CASES, COMPLEX


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name: str) -> None:
    function, shapes = CASES[name]
    torch.manual_seed(1)
    inputs = [(torch.rand(*s, dtype=torch.float64) + 0.5).requires_grad_() for s in shapes]
    assert gradcheck(lambda *a: function(*a) ** 2, inputs)
    assert gradgradcheck(lambda *a: function(*a) ** 3, inputs)


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_derivatives(name: str) -> None:
    function, shape = COMPLEX[name]
    torch.manual_seed(1)
    x = torch.randn(*shape, dtype=torch.complex128, requires_grad=True)
    assert gradcheck(function, [x])
    assert gradgradcheck(lambda a: function(a) * function(a), [x])


def product_with_zeros(reduce_zeros: tuple[int, ...]) -> Any:
    x = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    src = torch.tensor([7.0, 11.0, 13.0, 17.0], dtype=torch.float64)
    for place in reduce_zeros:
        src[place] = 0
    return x.requires_grad_(), src.requires_grad_()


@pytest.mark.parametrize("zeros", [(0,), (0, 1), (0, 2), (3,)])
def test_products_of_zeros_have_the_product_of_the_others(zeros: tuple[int, ...]) -> None:
    x, src = product_with_zeros(zeros)
    index = torch.tensor([0, 0, 1, 1])
    assert gradcheck(lambda a, b: torch.scatter_reduce(a, 0, index, b, "prod"), (x, src))


def test_the_gradient_of_an_extremum_is_shared() -> None:
    x = torch.tensor([1.0, 5.0], requires_grad=True)
    src = torch.tensor([5.0, 5.0, 0.0], requires_grad=True)
    torch.scatter_reduce(x, 0, torch.tensor([1, 1, 0]), src, "amax").sum().backward()
    assert x.grad.tolist() == pytest.approx([1, 1 / 3])
    assert src.grad.tolist() == pytest.approx([1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("operator", ["scatter", "index_put", "index_copy", "index_fill", "masked_scatter"])
def test_what_was_overwritten_leaks_no_nan(operator: str) -> None:
    """An infinite gradient at an overwritten place is no part of the input's gradient."""
    x = torch.ones(3, requires_grad=True)
    index, value = torch.tensor([1]), torch.tensor([2.0])
    out = {
        "scatter": lambda: torch.scatter(x, 0, index, value),
        "index_put": lambda: torch.index_put(x, (index,), value),
        "index_copy": lambda: torch.index_copy(x, 0, index, value),
        "index_fill": lambda: torch.index_fill(x, 0, index, 2.0),
        "masked_scatter": lambda: torch.masked_scatter(x, torch.tensor([False, True, False]), value),
    }[operator]()
    out.backward(torch.tensor([1.0, float("inf"), float("nan")]))
    assert x.grad[:2].tolist() == [1.0, 0.0]
    assert x.grad[2].isnan()


def test_as_strided_of_overlapping_windows_adds_up() -> None:
    x = torch.arange(6.0, dtype=torch.float64).requires_grad_()
    windows = torch.as_strided(x, (4, 3), (1, 1))
    windows.sum().backward()
    assert x.grad.tolist() == [1, 2, 3, 3, 2, 1]


def test_a_change_through_as_strided_reaches_the_base() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        y = x * 1
        y.as_strided((3,), (5,)).mul_(x[0, :3])
        return y**2

    assert gradcheck(f, torch.rand(3, 4, dtype=torch.float64, requires_grad=True))
