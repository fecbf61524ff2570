"""Results that share memory with each other, with arguments, captured tensors or gradients share it as in eager execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from compiler_helpers import assert_close

import flambeau as torch


def compiled(f: Callable[..., Any]) -> Any:
    return torch.compile(f, fullgraph=True)


def test_views_of_a_result_share_its_memory_and_version() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return y, y[0], y.t(), y.detach()

    for _ in range(2):
        y, row, turned, detached = compiled(f)(torch.ones(2, 2))
        row.add_(1)
        turned[0, 1] = 9
        assert y.tolist() == detached.tolist() == [[3, 3], [9, 2]]
        assert y._version == row._version == turned._version == 2
        assert row._base is y and turned.stride() == (1, 2)


@pytest.mark.parametrize("changed", ["view", "base", "none"])
def test_gradients_through_views_that_change_in_place(changed: str) -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return y, y[0]

    def run(g: Callable[..., Any]) -> tuple[Any, ...]:
        x = torch.arange(4.0).reshape(2, 2).requires_grad_()
        y, row = g(x)
        if changed == "view":
            row.mul_(3)
        elif changed == "base":
            y.mul_(x)
        ((y * y).sum() + row.sum() * 5).backward()
        return y, row, x.grad

    g = compiled(f)
    for _ in range(2):
        for found, wanted in zip(run(g), run(f), strict=True):
            assert_close(found, wanted)


def test_parts_of_memory_that_is_not_returned() -> None:
    g = compiled(lambda x: (x * 2).chunk(2))
    for _ in range(2):
        x = torch.ones(4, requires_grad=True)
        a, b = g(x)
        assert a._version == b._version and b.storage_offset() == 2
        (a * b).sum().backward()
        assert x.grad is not None and x.grad.tolist() == [4, 4, 4, 4]


def test_strides_are_those_of_eager_results() -> None:
    def f(x: Any, w: Any) -> Any:
        return (x @ w).t(), x.t() * 2, x.expand(3, 2, 3), (x * 2).view(-1), x.sum(0).expand(2, 3)

    x, w = torch.randn(2, 3), torch.randn(3, 4)
    g = compiled(f)
    for _ in range(2):
        for found, wanted in zip(g(x, w), f(x, w), strict=True):
            assert_close(found, wanted)
            assert found.stride() == wanted.stride()


def test_a_gradient_that_is_returned_is_the_gradient() -> None:
    w = torch.ones(3, requires_grad=True)

    def f(x: Any, afresh: bool) -> Any:
        if afresh:
            w.grad = None
        (x * w).sum().backward()
        return w.grad

    g = compiled(f)
    assert g(torch.ones(3), True) is w.grad
    assert g(torch.ones(3), True) is w.grad
    assert g(torch.ones(3), False) is w.grad
    assert w.grad.tolist() == [2, 2, 2]


def test_leaves_that_the_function_makes() -> None:
    def f(x: Any) -> Any:
        w = torch.ones(3, requires_grad=True)
        return w, (w * x).sum()

    g = compiled(f)
    for _ in range(2):
        w, loss = g(torch.full((3,), 2.0))
        assert w.is_leaf and w.requires_grad
        loss.backward()
        assert w.grad is not None and w.grad.tolist() == [2, 2, 2]


def test_a_gradient_penalty() -> None:
    layer = torch.nn.Linear(3, 1)

    def f(x: Any) -> Any:
        x = x.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
        return ((slope.norm(2, dim=1) - 1) ** 2).mean()

    g, x = compiled(f), torch.randn(4, 3)
    for _ in range(2):
        found = torch.autograd.grad(g(x), layer.weight)[0]
        assert_close(found, torch.autograd.grad(f(x), layer.weight)[0])


def test_a_leaf_and_its_class() -> None:
    f = compiled(lambda x: torch.nn.Parameter(x * 2))
    for _ in range(2):
        made = f(torch.ones(2))
        assert isinstance(made, torch.nn.Parameter) and made.is_leaf and made.requires_grad


def test_arguments_that_are_parameters_are_parameters() -> None:
    f = compiled(lambda x: x * 2 if isinstance(x, torch.nn.Parameter) else x * 3)
    x = torch.ones(2, requires_grad=True)
    assert [f(torch.nn.Parameter(torch.ones(2)))[0].item(), f(x)[0].item()] == [2, 3]


def test_gradients_of_arguments() -> None:
    def f(x: Any, y: Any) -> Any:
        loss = ((x - y) ** 2).sum()
        loss.backward()
        return loss

    g, x = compiled(f), torch.ones(2, requires_grad=True)
    for k in range(1, 4):
        g(x, torch.zeros(2))
        assert x.grad is not None and x.grad.tolist() == [2 * k] * 2
    x.grad = None
    g(x, torch.zeros(2))
    assert x.grad.tolist() == [2, 2]


def test_a_backward_pass_that_leaves_the_function() -> None:
    f = torch.compile(lambda x: (x * x).sum().backward())
    w = torch.ones(2, requires_grad=True)
    f(torch.ones(2, requires_grad=True))
    with pytest.warns(UserWarning, match="history from outside"):
        f(w * 3)
    assert w.grad is not None and w.grad.tolist() == [18, 18]


# Gradients of gradients -------------------------------------------------------------------------------


def test_double_backward_through_a_compiled_function() -> None:
    layer = torch.nn.Linear(3, 3, dtype=torch.float64)

    def f(x: Any, y: Any) -> Any:
        return {"a": layer(x).tanh() * y.detach(), "b": (x * y).sum()}

    def penalty(g: Callable[..., Any]) -> tuple[Any, ...]:
        start = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3).requires_grad_()
        out = g(start * 2, start.exp())
        (slope,) = torch.autograd.grad(out["a"].sum() + out["b"] ** 2, start, create_graph=True)
        layer.zero_grad()
        (slope**2).sum().backward()
        return slope, start.grad, layer.weight.grad, layer.bias.grad

    g = compiled(f)
    for _ in range(2):
        for found, wanted in zip(penalty(g), penalty(f), strict=True):
            assert_close(found, wanted)


def test_gradcheck_and_functional_derivatives() -> None:
    f = compiled(lambda x: (x.sin() * x).sum(0))
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(f, x) and torch.autograd.gradgradcheck(f, x)
    found = torch.func.grad(lambda x: f(x).sum())(x.detach())
    assert_close(found, (x.cos() * x + x.sin()).detach())
    assert_close(torch.autograd.functional.hessian(lambda v: (f(v) ** 2).sum(), x[:, 0]),
                 torch.autograd.functional.hessian(lambda v: ((v.sin() * v).sum(0) ** 2).sum(), x[:, 0]))  # fmt: skip


def test_double_backward_where_arguments_depend_on_what_is_captured() -> None:
    w = torch.ones(2, requires_grad=True)
    f = compiled(lambda x: (x * w).sum())
    with pytest.raises(RuntimeError, match="depend on tensors that it uses besides"):
        torch.autograd.grad(f(w * 3), w, create_graph=True)


def test_mapping_inside() -> None:
    f = compiled(lambda x: torch.func.vmap(lambda row: (row * 2).sum())(x))
    assert f(torch.ones(3, 2)).tolist() == [4, 4, 4]


def test_leaves_and_others() -> None:
    f = compiled(lambda x: x * 2 if x.is_leaf else x * 3)
    x = torch.ones(1, requires_grad=True)
    assert [f(x).item(), f(x * 1).item(), f(x).item()] == [2, 3, 2]


def test_hooks_on_saved_tensors() -> None:
    f, seen = torch.compile(lambda x: (x * x).exp().sum()), []
    x = torch.ones(3, requires_grad=True)

    def pack(t: Any) -> Any:
        seen.append(t.shape)
        return t

    f(x)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        f(x).backward()
    assert seen
