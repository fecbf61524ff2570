"""`gradcheck` passes right derivatives and finds wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau.autograd import Function, gradcheck, gradgradcheck
from flambeau.autograd.gradcheck import GradcheckError


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


class WrongSquare(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return g * ctx.saved_tensors[0] * 2.1


@pytest.mark.parametrize("fast", [False, True])
def test_right_derivatives_pass(fast: bool) -> None:
    torch.manual_seed(0)
    inputs = (double(3, 4), double(4, 2))

    def several(a: torch.Tensor, b: torch.Tensor) -> Any:
        return (a @ b).exp().sum(0), (a * 2).sin(), a > 0

    assert gradcheck(several, inputs, fast_mode=fast)
    assert gradgradcheck(several, inputs, fast_mode=fast)
    assert gradgradcheck(several, inputs, gen_non_contig_grad_outputs=True, fast_mode=fast)


@pytest.mark.parametrize("fast", [False, True])
def test_wrong_derivatives_are_found(fast: bool) -> None:
    x = double(3)
    with pytest.raises(
        GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"
    ):
        gradcheck(WrongSquare.apply, (x,), fast_mode=fast)
    assert not gradcheck(WrongSquare.apply, (x,), fast_mode=fast, raise_exception=False)
    with pytest.raises(GradcheckError):  # a part cut off by detach
        gradcheck(lambda x: (x * x).detach() + x, (x,), fast_mode=fast)


def test_wrong_second_derivatives_are_found() -> None:
    class Cube(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return g * 3 * ctx.saved_tensors[0].detach() ** 2

    x = double(2)
    assert gradcheck(Cube.apply, (x,))
    with pytest.raises(GradcheckError):
        gradgradcheck(Cube.apply, (x,))


def test_complex_functions() -> None:
    z = torch.randn(3, dtype=torch.complex128, requires_grad=True)
    assert gradcheck(lambda z: z * z.conj() * z.exp(), (z,))
    assert gradgradcheck(lambda z: (z * z).abs(), (z,))
    assert gradcheck(lambda z: z.real * 2, (z,), fast_mode=True)


def test_what_it_demands_of_inputs() -> None:
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, (torch.ones(2),))
    with pytest.raises(RuntimeError, match="stride 0"):
        gradcheck(
            lambda x: x * 2, (torch.ones(1, dtype=torch.float64).expand(3).requires_grad_(),)
        )
    with pytest.warns(UserWarning, match="not a double precision"):
        gradcheck(lambda x: x * 2, (torch.ones(2, requires_grad=True),), eps=1e-2, atol=1e-2)
    with pytest.raises(NotImplementedError, match="check_batched_grad"):
        gradcheck(lambda x: x, (double(2),), check_batched_grad=True)


def test_gradients_of_a_wrong_form_are_found() -> None:
    class Constant(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return torch.ones_like(g)

    with pytest.raises(GradcheckError, match="not multiplied by grad_output"):
        gradcheck(Constant.apply, (double(2),))


def test_an_unstable_backward_is_found() -> None:
    calls = []

    class Drifting(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            return g * (1 + 1e-6 * len(calls))

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Drifting.apply, (double(2),))
    assert gradcheck(Drifting.apply, (double(2),), nondet_tol=1e-3)
