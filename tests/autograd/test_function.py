"""`autograd.Function`: what users write, and what it answers to mistakes."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau.autograd import Function, gradcheck, gradgradcheck
from flambeau.autograd.function import once_differentiable


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


class Exp(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        result = x.exp()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        (result,) = ctx.saved_tensors
        return g * result


class Scaled(Function):
    @staticmethod
    def forward(x: torch.Tensor, factor: float = 2.0) -> torch.Tensor:
        return x * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None]:
        return g * ctx.factor, None


class Passing(Function):
    """Returns its input as it is; the gradient grows fivefold."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return g * 5


def test_first_and_second_order() -> None:
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(Exp.apply, (x,)) and gradgradcheck(Exp.apply, (x,))


def test_its_node() -> None:
    y = Exp.apply(leaf(1.0))
    assert y.grad_fn.name() == "ExpBackward" and repr(y).endswith("grad_fn=<ExpBackward>)")
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.grad_fn.saved_tensors  # noqa: B018


def test_setup_context_and_keywords() -> None:
    x = leaf(1.0)
    Scaled.apply(x).sum().backward()
    Scaled.apply(x, factor=5.0).sum().backward()
    assert x.grad.item() == 7.0


def test_other_arguments_and_several_results() -> None:
    seen = {}

    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, k: int, y: torch.Tensor) -> Any:
            ctx.k = k
            ctx.set_materialize_grads(False)
            seen["needs"] = ctx.needs_input_grad
            return x * k, y + 1, "text", x > 1

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            seen["grads"] = [g is None for g in grads]
            return grads[0] * ctx.k, None, None

    x = leaf(1.0, 2.0)
    product, shifted, text, mask = Two.apply(x, 3, torch.ones(2))
    assert text == "text" and shifted.requires_grad and not mask.requires_grad
    product.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert seen == {"needs": (True, False, False), "grads": [False, True, True, True]}


def test_missing_gradients_arrive_as_zeros() -> None:
    class Pair(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> Any:
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return 2 * a + 3 * b

    x = leaf(1.0)
    Pair.apply(x)[1].sum().backward()
    assert x.grad.item() == 3.0


def faulty(result: Any) -> None:
    class Faulty(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, k: int) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> Any:
            return result

    Faulty.apply(leaf(1.0, 2.0), 1).sum().backward()


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (torch.ones(2), r"returned an incorrect number of gradients \(expected 2, got 1\)"),
        ((torch.ones(2), None, torch.ones(2)), r"\(expected 2, got 3\)"),
        ((torch.ones(2), 1), "a gradient different than None at position 2"),
        (
            (torch.ones(3), None),
            r"invalid gradient at index 0 - got \[3\] but expected shape compatible with \[2\]",
        ),
        ((3, None), r"expected Variable or None \(got int\)"),
    ],
)
def test_wrong_gradients(result: Any, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        faulty(result)


def test_gradients_are_fitted_to_their_inputs() -> None:
    faulty((torch.ones(2), None, None, None))  # more are fine while they are None
    faulty((torch.ones(4, 2, dtype=torch.float64), None))  # summed and cast


def test_changing_an_input_in_place() -> None:
    class Double(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, forget: bool = False) -> torch.Tensor:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x.clone() if forget else x

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> Any:
            return g * 2, None

    x = leaf(1.0, 2.0)
    y = x * 1
    assert Double.apply(y, False) is y
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    y = x * 1
    Double.apply(y[:1], False)
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 3.0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        Double.apply(x, False)
    with pytest.raises(RuntimeError, match="marked as dirty during the forward"):
        Double.apply(x * 1, True)


def test_an_input_returned_as_it_is() -> None:
    x = leaf(1.0)
    y = Passing.apply(x)
    assert y is not x and y._is_view()
    y.sum().backward()
    assert x.grad.item() == 5.0
    with pytest.raises(RuntimeError, match="created inside a custom Function"):
        Passing.apply(x).add_(1)


def test_results_without_gradient() -> None:
    class Split(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> Any:
            constant = x * 2
            ctx.mark_non_differentiable(constant)
            return constant, x * 3

        @staticmethod
        def backward(ctx: Any, of_constant: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
            return g * 3

    x = leaf(1.0)
    constant, y = Split.apply(x)
    y.sum().backward()
    assert not constant.requires_grad and x.grad.item() == 3.0


def test_once_differentiable() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(3.0)
    Square.apply(x).sum().backward()
    assert x.grad.item() == 6.0
    (g,) = torch.autograd.grad((Square.apply(x) * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        g.sum().backward()


def test_mistakes() -> None:
    class SavesNumber(Passing):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(3)
            return x * 2

    with pytest.raises(
        TypeError, match="can only save variables, but argument 0 is of type int"
    ):
        SavesNumber.apply(leaf(1.0))
    with pytest.raises(NotImplementedError, match="forward function"):
        Function.apply(leaf(1.0))
    with pytest.warns(DeprecationWarning), pytest.raises(RuntimeError, match="Legacy"):
        Exp()(leaf(1.0))


def test_no_recording_without_gradients() -> None:
    with torch.no_grad():
        assert Exp.apply(leaf(1.0)).grad_fn is None
    assert Exp.apply(torch.ones(1)).grad_fn is None
    made = torch.autograd.Variable(torch.ones(1), requires_grad=True)
    assert made.requires_grad and isinstance(made, torch.autograd.Variable)


def test_a_function_that_knows_only_its_forward_derivative() -> None:
    import flambeau.autograd.forward_ad as forward

    class Exponential(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.result = x.exp()
            return ctx.result

        @staticmethod
        def jvp(ctx: Any, t: torch.Tensor) -> torch.Tensor:
            return t * ctx.result

    x, t = torch.tensor([0.5, 1.0]), torch.tensor([2.0, 3.0])
    with forward.dual_level():
        tangent = forward.unpack_dual(Exponential.apply(forward.make_dual(x, t))).tangent
    torch.testing.assert_close(tangent, t * x.exp())
    with pytest.raises(NotImplementedError, match="backward or vjp"):
        Exponential.apply(x.requires_grad_()).sum().backward()
