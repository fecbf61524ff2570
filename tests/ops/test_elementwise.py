"""Activations as kernels: the same as their operators, of any length, dtype and derivative."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradgradcheck
from flambeau.nn import functional as F
from flambeau.ops import elementwise

ACTIVATIONS: dict[str, Callable] = {
    "gelu": F.gelu, "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "mish": F.mish,
    "softplus": lambda x: F.softplus(x, 2.0, 3.0), "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": lambda x: F.elu(x, 0.7), "selu": F.selu,
    "celu": lambda x: F.celu(x, 0.5), "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.7), "relu6": F.relu6,
    "logsigmoid": F.logsigmoid, "softshrink": lambda x: F.softshrink(x, 0.3), "hardshrink": lambda x: F.hardshrink(x, 0.3),
    "tanhshrink": F.tanhshrink, "softsign": F.softsign,
}  # fmt: skip
TOLERANCES = {"float32": 3e-6, "float64": 1e-13}


def _both_ways(name: str, dtype: str, count: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Values, gradients and the node's name by the kernel, then by the operators."""
    found = []
    values = np.random.default_rng(count).standard_normal(count) * 4
    values[:5] = [0.0, -0.0, 3.5, -3.5, 30.0]
    for fewest in (1, 1 << 40):
        monkeypatch.setattr(elementwise, "CHAINED", fewest)
        x = torch.tensor(values).to(getattr(torch, dtype)).requires_grad_()
        y = ACTIVATIONS[name](x)
        y.backward(torch.linspace(-1, 1, count).to(x.dtype))
        found.append((y.detach().double().numpy(), x.grad.double().numpy(), y.grad_fn.name()))
    return found


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_kernels_and_operators_agree(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (5, 64, 1003):
        (value, gradient, _), (expected, slope, _) = _both_ways(name, dtype, count, monkeypatch)
        np.testing.assert_allclose(value, expected, TOLERANCES[dtype], TOLERANCES[dtype])
        np.testing.assert_allclose(gradient, slope, TOLERANCES[dtype], TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_width_numbers_are_rounded_once(dtype: str) -> None:
    x = torch.linspace(-4, 4, 2001).to(getattr(torch, dtype))
    for name in ("gelu", "silu", "mish", "elu"):
        assert torch.equal(ACTIVATIONS[name](x), ACTIVATIONS[name](x.float()).to(x.dtype))


@pytest.mark.parametrize("name", ["gelu", "silu", "elu", "hardswish"])
def test_second_derivatives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "CHAINED", 1)
    x = torch.tensor([-3.7, -1.2, -0.3, 0.4, 1.9, 3.3], dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(ACTIVATIONS[name], (x,))


def test_what_does_not_lie_in_order_takes_the_operators() -> None:
    x = torch.randn(60, 50).t()
    assert torch.allclose(F.gelu(x), F.gelu(x.contiguous()), atol=1e-6)
    assert not F.gelu(torch.randn(1000, dtype=torch.complex64).real[::2]).isnan().any()


def test_inference_mode_and_programs() -> None:
    x = torch.randn(2000)
    with torch.inference_mode():
        assert F.silu(x).is_inference()
    compiled = torch.compile(lambda x: F.silu(x) * 2, fullgraph=True)
    assert torch.allclose(compiled(x), F.silu(x) * 2, atol=1e-6)


def test_a_changed_input_is_noticed() -> None:
    x = (torch.randn(1000, requires_grad=True) * 1).requires_grad_()
    y = F.silu(x)
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("count", [40, 1000])
def test_half_width_numbers_meet_numbers_unrounded(dtype: str, count: int) -> None:
    """As in PyTorch: products and quotients by a number take it as it is, sums round it first."""
    kind = getattr(torch, dtype)
    x = torch.linspace(-3, 3, count).to(kind)
    assert torch.equal(x * 0.7, (x.float() * 0.7).to(kind)) and torch.equal(x / 0.7, (x.float() / 0.7).to(kind))
    assert torch.equal(x + 0.3, (x.float() + torch.tensor(0.3).to(kind).float()).to(kind))
    assert torch.equal(0.7 / x, x.reciprocal() * 0.7)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "sqrt", "rsqrt", "erf", "log", "sin", "sign", "reciprocal"])
def test_functions_and_derivatives_of_long_tensors(name: str, dtype: str) -> None:
    """Those of long tensors are kernels, those of short ones are not."""
    found = []
    for pieces in (1, 100):
        x = torch.linspace(0.1, 3, 70_000).to(getattr(torch, dtype)).requires_grad_()
        for part in x.chunk(pieces if pieces == 1 else 700):
            getattr(part, name)().sum().backward()
        found.append((torch.cat([getattr(p, name)() for p in x.detach().chunk(pieces)]).double(), x.grad.double()))
    (value, slope), (expected, gradient) = found
    tolerance = {"float32": 1e-6, "float64": 1e-13, "bfloat16": 0.02}[dtype]
    assert torch.allclose(value, expected, tolerance, tolerance)
    assert torch.allclose(slope, gradient, tolerance, tolerance)


def test_arguments_by_name() -> None:
    for count in (10, 1000):
        x = torch.linspace(-3, 3, count)
        assert torch.equal(F.softplus(input=x, beta=2.0), F.softplus(x, 2.0))
        assert torch.equal(F.softplus(x, threshold=1.0), F.softplus(x, 1.0, 1.0))
        with pytest.raises(TypeError, match="unexpected keyword argument 'approx'"):
            F.gelu(x, approx="tanh")
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'input'"):
            F.gelu()
