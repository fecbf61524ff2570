"""Hooks of tensors and nodes: their order, what they replace, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau.autograd.graph import register_multi_grad_hook


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


def test_the_order_of_hooks() -> None:
    log: list[Any] = []
    x = leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: log.append("first"))
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.grad_fn.register_prehook(lambda grads: log.append(("before node", grads[0].tolist())))
    y.grad_fn.register_hook(lambda out, into: log.append(("after node", out[0].tolist())))
    x.register_hook(lambda g: log.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("accumulated", p.grad.tolist())))
    y.sum().backward()
    assert log == [
        "first",
        ("before node", [10.0, 10.0]),
        ("after node", [20.0, 20.0]),
        "leaf",
        ("accumulated", [20.0, 20.0]),
    ]
    assert y.grad.tolist() == [10.0, 10.0]  # what the hooks left


def test_a_hook_replaces_the_gradient_and_can_be_removed() -> None:
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g * 3)
    (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.item() == 8.0


def test_hooks_that_break_the_gradient() -> None:
    for hook, error in ((lambda g: torch.ones(3), RuntimeError), (lambda g: 3, TypeError)):
        y = leaf(1.0) * 1
        y.register_hook(hook)
        with pytest.raises(error, match="hook"):
            y.sum().backward()
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        torch.ones(1).register_hook(print)
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        torch.ones(1).retain_grad()


def test_a_retained_gradient_follows_changes_in_place() -> None:
    seen = []
    x = leaf(1.0, 2.0)
    a = x + 1
    a.retain_grad()
    a.register_hook(lambda g: seen.append(("before", g.tolist())))
    a.mul_(2)
    a.register_hook(lambda g: seen.append(("after", g.tolist())))
    (a * 5).sum().backward()
    assert a.grad.tolist() == [5.0, 5.0]
    assert seen == [("after", [5.0, 5.0]), ("before", [10.0, 10.0])]


def test_hooks_of_the_accumulating_node() -> None:
    x = leaf(1.0)
    node = x.expand_as(x).grad_fn.next_functions[0][0]
    assert node.variable is x
    seen = []
    node.register_prehook(lambda grads: (grads[0] * 2,))
    node.register_hook(lambda out, into: seen.append(into[0].item()))
    (x * 3).sum().backward()
    assert x.grad.item() == 6.0 and seen == [6.0]


def test_a_hook_on_several_tensors() -> None:
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    seen = []
    handle = register_multi_grad_hook(
        [a, b, c], lambda grads: seen.append([None if g is None else g.item() for g in grads])
    )
    (a * b).sum().backward()
    (a * b * c).sum().backward()
    handle.remove()
    (a * b).sum().backward()
    assert seen == [[2.0, 1.0, None], [6.0, 3.0, 2.0]]
    with register_multi_grad_hook([a, b], lambda g: seen.append("any"), mode="any"):
        (a * b).sum().backward()
    assert seen[2:] == ["any"]


def test_numpy_where_nothing_is_recorded() -> None:
    """Under `no_grad`, and while a tensor is packed, a tensor that wants gradients gives its array."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.no_grad():
        assert x.numpy().tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="detach"):
        x.numpy()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().copy(), torch.from_numpy):
        y = x * x
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2, 4]
