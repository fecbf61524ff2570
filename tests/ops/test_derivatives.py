"""Every derivative that a primitive has, first and second, against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck


def double(*shape: int, low: float = -2, high: float = 2) -> torch.Tensor:
    return (torch.rand(*shape, dtype=torch.float64) * (high - low) + low).requires_grad_()


def positive(*shape: int) -> torch.Tensor:
    return double(*shape, low=0.2, high=2)


INDEX = torch.tensor([[0, 2, 1], [3, 0, 0]])
UNARY = {
    "exp": double, "exp2": double, "expm1": double, "log": positive, "log2": positive, "log10": positive,
    "log1p": positive, "sqrt": positive, "rsqrt": positive, "sin": double, "cos": double, "tan": positive,
    "atan": double, "sinh": double, "cosh": double, "tanh": double, "asinh": double, "sigmoid": double,
    "erf": double, "erfc": double, "neg": double, "abs": double, "reciprocal": positive, "square": double,
    "relu": double, "frac": double,
}  # fmt: skip
CASES: dict[str, tuple[Callable[..., Any], Callable[[], tuple]]] = {
    "add": (lambda a, b: torch.add(a, b, alpha=3), lambda: (double(3, 4), double(4))),
    "sub": (torch.sub, lambda: (double(3, 1), double(4))),
    "mul": (torch.mul, lambda: (double(3, 4), double(3, 1))),
    "div": (torch.div, lambda: (double(3, 4), positive(4))),
    "pow": (torch.pow, lambda: (positive(3, 4), double(4))),
    "pow number": (lambda a: a**3, lambda: (double(4),)),
    "maximum": (torch.maximum, lambda: (double(3, 4), double(3, 4))),
    "atan2": (torch.atan2, lambda: (positive(3), positive(3))),
    "where": (lambda a, b: torch.where(torch.tensor([True, False, True]), a, b), lambda: (double(2, 3), double(3))),
    "clamp": (lambda a: a.clamp(-1, 1), lambda: (double(9),)),
    "lerp": (torch.lerp, lambda: (double(4), double(4), double(4))),
    "to": (lambda a: (a.float() * 1).double(), lambda: (double(3),)),
    "view": (lambda a: a.view(4, 3) ** 2, lambda: (double(3, 4),)),
    "permute": (lambda a: a.permute(2, 0, 1) ** 2, lambda: (double(2, 3, 4),)),
    "expand": (lambda a: a.expand(2, 3, 4) ** 2, lambda: (double(3, 1),)),
    "slice": (lambda a: a[1:, ::2] ** 2, lambda: (double(3, 5),)),
    "select": (lambda a: a[1, -1] ** 2, lambda: (double(3, 5),)),
    "diagonal": (lambda a: a.diagonal(1) ** 2, lambda: (double(3, 4),)),
    "unfold": (lambda a: a.unfold(1, 3, 2) ** 2, lambda: (double(2, 7),)),
    "cat": (lambda a, b: torch.cat([a, b, a], 1) ** 2, lambda: (double(2, 3), double(2, 1))),
    "stack": (lambda a, b: torch.stack([a, b], 1) ** 2, lambda: (double(3), double(3))),
    "flip": (lambda a: a.flip(0, 1) ** 2, lambda: (double(2, 3),)),
    "roll": (lambda a: a.roll(1, 1) ** 2, lambda: (double(2, 3),)),
    "repeat": (lambda a: a.repeat(2, 3) ** 2, lambda: (double(2, 3),)),
    "constant_pad_nd": (lambda a: torch.constant_pad_nd(a, (1, 2, -1, 1), 3.0) ** 2, lambda: (double(3, 3),)),
    "sum": (lambda a: a.sum(1) ** 2, lambda: (double(3, 4),)),
    "mean": (lambda a: a.mean((0, 2), keepdim=True) ** 2, lambda: (double(2, 3, 4),)),
    "prod": (lambda a: a.prod(1), lambda: (double(3, 4),)),
    "amax": (lambda a: a.amax(1) ** 2, lambda: (double(3, 4),)),
    "max": (lambda a: a.max(1).values ** 2, lambda: (double(3, 4),)),
    "var": (lambda a: a.var(1), lambda: (double(3, 4),)),
    "std": (lambda a: a.std(0), lambda: (double(3, 4),)),
    "logsumexp": (lambda a: a.logsumexp(1), lambda: (double(3, 4),)),
    "softmax": (lambda a: a.softmax(1), lambda: (double(3, 4),)),
    "log_softmax": (lambda a: a.log_softmax(0), lambda: (double(3, 4),)),
    "cumsum": (lambda a: a.cumsum(1) ** 2, lambda: (double(3, 4),)),
    "cumprod": (lambda a: a.cumprod(1), lambda: (positive(3, 4),)),
    "matmul": (torch.matmul, lambda: (double(2, 3, 4), double(4, 2))),
    "bmm": (torch.bmm, lambda: (double(2, 3, 4), double(2, 4, 2))),
    "addmm": (lambda c, a, b: torch.addmm(c, a, b, beta=2, alpha=3), lambda: (double(2), double(3, 4), double(4, 2))),
    "index": (lambda a: a[torch.tensor([0, 2, 0])] ** 2, lambda: (double(3, 4),)),
    "index mask": (lambda a: a[torch.tensor([True, False, True])] ** 2, lambda: (double(3, 4),)),
    "index_put": (
        lambda a, v: a.index_put((torch.tensor([0, 2]),), v) ** 2, lambda: (double(3, 4), double(2, 4)),
    ),
    "gather": (lambda a: a.gather(0, INDEX) ** 2, lambda: (double(4, 3),)),
    "scatter_add": (lambda a, b: a.scatter_add(0, INDEX, b) ** 2, lambda: (double(4, 3), double(2, 3))),
    "masked_fill": (
        lambda a: a.masked_fill(torch.tensor([True, False, True]), 2.0) ** 2, lambda: (double(2, 3),),
    ),
    "prelu": (torch.prelu, lambda: (double(2, 3, 4), positive(3))),
    "conv1d": (lambda x, w: torch.conv1d(x, w, stride=2, padding=1), lambda: (double(1, 2, 7), double(3, 2, 3))),
    "conv3d": (torch.conv3d, lambda: (double(1, 1, 3, 4, 3), double(2, 1, 2, 2, 2))),
    "conv_transpose2d": (
        lambda x, w: torch.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1),
        lambda: (double(1, 2, 3, 3), double(2, 2, 3, 3)),
    ),
    "in place": (lambda a, b: (a * 1).mul_(b).add_(a), lambda: (double(3), double(3))),
    "in place view": (lambda a, b: _write_view(a, b), lambda: (double(3, 4), double(4))),
}  # fmt: skip


def _write_view(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    x = a * 1
    x[1].mul_(b)
    x[:, 0] = b[0]
    return x * x


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    torch.manual_seed(0)
    function = getattr(torch, name)
    inputs = (UNARY[name](2, 3),)
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("name", CASES)
def test_derivative(name: str) -> None:
    torch.manual_seed(0)
    function, make = CASES[name]
    inputs = make()
    if name == "to":
        assert gradcheck(function, inputs, eps=1e-3, atol=1e-3)
        return
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("relu", "rsqrt", "sigmoid", "erf", "erfc", "frac", "neg")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unary_values(name: str, dtype: str) -> None:
    torch.manual_seed(0)
    x = UNARY[name](50).detach().to(getattr(torch, dtype))
    formula = getattr(np, {"atan": "arctan", "asinh": "arcsinh"}.get(name, name))
    expected = formula(x.numpy().astype(np.float64))
    tolerance = 3e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(getattr(torch, name)(x).numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_of_complex_numbers(transposed: bool) -> None:
    x = torch.randn(1, 2, 6, dtype=torch.complex128, requires_grad=True)
    w = torch.randn(2, 2, 3, dtype=torch.complex128, requires_grad=True)
    call = torch.conv_transpose1d if transposed else torch.conv1d
    assert torch.autograd.gradcheck(lambda a, b: call(a, b, stride=2), (x, w))
    assert torch.autograd.gradgradcheck(lambda a, b: call(a, b, stride=2), (x, w))


@pytest.mark.parametrize("name", ["logaddexp", "exp2", "lerp"])
def test_more_of_complex_numbers(name: str) -> None:
    a, b = (torch.randn(3, dtype=torch.complex128, requires_grad=True) for _ in range(2))
    if name == "exp2":
        assert torch.autograd.gradcheck(torch.exp2, a)
    elif name == "lerp":
        assert torch.autograd.gradcheck(lambda x, y: torch.lerp(x, y, 0.3 + 0.4j), (a, b))
    else:
        assert torch.autograd.gradcheck(torch.logaddexp, (a, b))
        np.testing.assert_allclose(
            torch.logaddexp(a, b).detach().exp().numpy(), (a.exp() + b.exp()).detach().numpy(), rtol=1e-12
        )


def test_products_of_whole_numbers_take_whole_factors() -> None:
    a = torch.tensor([[1, 2], [3, 4]])
    found = torch.baddbmm(a[None], a[None], a[None], beta=2.9, alpha=1.5)
    assert found.dtype is torch.int64 and found[0].tolist() == (2 * a + a @ a).tolist()
    assert torch.nn.functional.hardtanh(a, 1.5, 3.5).tolist() == [[1, 2], [3, 3]]
