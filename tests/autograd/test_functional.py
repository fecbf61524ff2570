"""Jacobians, Hessians and products, in `autograd.functional`, `func` and forward mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import func, nn
from flambeau.autograd import forward_ad, functional


def numbers(*shape: int) -> torch.Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64)


X, Y = numbers(3), numbers(2, 3)


def pair(a: torch.Tensor, b: torch.Tensor) -> Any:
    return b @ a.exp(), a.sum() * b[0]


def scalar(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (b @ a.exp()).sin().sum()


def differences(function: Any, x: torch.Tensor, eps: float = 1e-6) -> np.ndarray:
    """The Jacobian of a function of one tensor by central differences."""
    columns = []
    for k in range(x.numel()):
        step = np.zeros(x.numel())
        step[k] = eps
        move = torch.tensor(step).view(x.shape)
        columns.append(((function(x + move) - function(x - move)) / (2 * eps)).numpy())
    first = np.stack(columns, -1)
    return first.reshape(*first.shape[:-1], *x.shape)


def close(a: Any, b: Any) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), 1e-5, 1e-7))


# autograd.functional --------------------------------------------------------------------------


def test_jacobian_and_hessian() -> None:
    (dx, dy), (ex, ey) = functional.jacobian(pair, (X, Y))
    assert close(dx, differences(lambda a: pair(a, Y)[0], X))
    assert close(dy, differences(lambda b: pair(X, b)[0], Y))
    assert close(ex, differences(lambda a: pair(a, Y)[1], X))
    assert close(ey, differences(lambda b: pair(X, b)[1], Y))
    second = functional.hessian(scalar, (X, Y))
    gradient = func.grad(scalar, argnums=(0, 1))
    assert close(second[0][1], differences(lambda b: gradient(X, b)[0], Y))
    assert close(second[1][1], differences(lambda b: gradient(X, b)[1], Y))


def test_products_agree_with_the_jacobian() -> None:
    matrix = functional.jacobian(lambda a: pair(a, Y)[0], X)
    v, u = numbers(2), numbers(3)
    assert close(functional.vjp(lambda a: pair(a, Y)[0], X, v)[1], v @ matrix)
    assert close(functional.jvp(lambda a: pair(a, Y)[0], X, u)[1], matrix @ u)
    second = functional.hessian(lambda a: scalar(a, Y), X)
    assert close(functional.vhp(lambda a: scalar(a, Y), X, u)[1], u @ second)
    assert close(functional.hvp(lambda a: scalar(a, Y), X, u)[1], second @ u)


def test_create_graph_connects_to_the_inputs() -> None:
    x = X.clone().requires_grad_()
    functional.jacobian(lambda a: a**3, x, create_graph=True).sum().backward()
    assert close(x.grad, 6 * X)
    assert not functional.jacobian(lambda a: a**3, x).requires_grad


def test_what_functional_refuses() -> None:
    with pytest.raises(RuntimeError, match="v can only be None"):
        functional.vjp(pair, (X, Y))
    with pytest.raises(RuntimeError, match="invalid size"):
        functional.jvp(lambda a: a, X, torch.ones(2))
    with pytest.raises(TypeError, match="must be either a Tensor or a tuple of Tensors"):
        functional.jacobian(pair, [X, Y])
    with pytest.raises(
        RuntimeError, match="Output 0 of the user-provided function is independent of input 1"
    ):
        functional.jacobian(lambda a, b: a * 2, (X, Y), strict=True)
    with pytest.raises(RuntimeError, match="should return a single Tensor"):
        functional.hvp(pair, (X, Y), (X, Y))
    assert functional.jacobian(lambda a: torch.ones(2), X).tolist() == [[0.0] * 3] * 2


# func -----------------------------------------------------------------------------------------


def test_gradients_nest() -> None:
    third = func.grad(func.grad(func.grad(lambda v: v**4)))
    assert third(torch.tensor(2.0)).item() == 48.0
    assert not third(torch.tensor(2.0)).requires_grad


def test_arguments_trees_and_aux() -> None:
    by_a, by_b = func.grad(lambda a, b: (b @ a).sum(), argnums=(0, 1))(X, Y)
    assert close(by_a, Y.sum(0)) and close(by_b, X.expand(2, 3))
    found, aux = func.grad(lambda d: ((d["w"] * d["b"]).sum(), d["w"]), has_aux=True)(
        {"w": X, "b": X * 2}
    )
    assert close(found["w"], X * 2) and close(found["b"], X) and close(aux, X)
    found, value = func.grad_and_value(lambda a: (a**2).sum())(X)
    assert close(found, 2 * X) and close(value, (X**2).sum())


def test_results_connect_to_tensors_outside() -> None:
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    func.grad(lambda a: (w * a**2).sum())(X).sum().backward()
    assert close(w.grad, 2 * X)
    with torch.no_grad():
        assert not func.grad(lambda a: (w * a).sum())(X).requires_grad


def test_vjp_jvp_linearize() -> None:
    output, back = func.vjp(pair, X, Y)
    v = (numbers(2), numbers(3))
    assert close(output[0], pair(X, Y)[0])
    by_x, by_y = back(v)
    again, _ = back(v)
    wanted = functional.vjp(pair, (X, Y), v)[1]
    assert close(by_x, wanted[0]) and close(by_y, wanted[1]) and close(again, by_x)
    _, moved = func.jvp(pair, (X, Y), (X, Y))
    wanted = functional.jvp(pair, (X, Y), (X, Y))[1]
    assert close(moved[0], wanted[0]) and close(moved[1], wanted[1])
    output, move = func.linearize(lambda a: a**2, X)
    assert close(move(X), 2 * X * X) and close(output, X**2)


def test_jacobians_both_ways() -> None:
    def wide(a: torch.Tensor) -> torch.Tensor:
        return torch.cat([a, a**2, a.exp()])

    wanted = differences(wide, X)
    assert close(func.jacrev(wide)(X), wanted) and close(func.jacfwd(wide)(X), wanted)
    assert close(
        func.hessian(lambda a: (a**3).sum())(X), 6 * X * torch.eye(3, dtype=torch.float64)
    )


def test_per_sample_gradients() -> None:
    layer = nn.Linear(3, 2).double()
    parameters = {k: p.detach() for k, p in layer.named_parameters()}
    batch, target = numbers(4, 3), numbers(4, 2)

    def loss(p: Any, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return ((func.functional_call(layer, p, (x,)) - t) ** 2).sum()

    found = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(parameters, batch, target)
    for i in range(4):
        single = func.grad(loss)(parameters, batch[i], target[i])
        assert close(found["weight"][i], single["weight"])


def test_vmap_dimensions_and_trees() -> None:
    batch = numbers(4, 3)
    assert close(func.vmap(torch.dot, in_dims=(0, None))(batch, X), batch @ X)
    assert close(torch.vmap(lambda a: a * 2, out_dims=1)(batch), (batch * 2).t())
    found = func.vmap(lambda a, b: {"s": a + b, "n": [a.sum()]}, in_dims=(0, 1))(
        batch, batch.t()
    )
    assert close(found["s"], 2 * batch) and close(found["n"][0], batch.sum(1))
    assert close(func.vmap(func.vmap(lambda a: a + 1))(batch), batch + 1)
    assert func.vmap(lambda a: a.sum())(torch.zeros(0, 3)).shape == (0,)
    x = batch.clone().requires_grad_()
    func.vmap(lambda a: (a**2).sum())(x).sum().backward()
    assert close(x.grad, 2 * batch)


def test_vmap_and_random_numbers() -> None:
    batch = numbers(4, 3)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        func.vmap(lambda a: a + torch.rand(3))(batch)
    same = func.vmap(lambda a: torch.rand(1), randomness="same")(batch)
    different = func.vmap(lambda a: torch.rand(1), randomness="different")(batch)
    assert (
        len(set(same.flatten().tolist())) == 1 and len(set(different.flatten().tolist())) == 4
    )


def test_what_vmap_refuses() -> None:
    batch = numbers(4, 3)
    for call, text in (
        (
            lambda: func.vmap(torch.dot)(batch, X),
            r"same size in the mapped dimension, got sizes \[4, 3\]",
        ),
        (lambda: func.vmap(lambda a: 3)(batch), "must only return Tensors, got type"),
        (lambda: func.vmap(lambda: 3)(), "got no inputs"),
        (lambda: func.vmap(torch.sum, in_dims=5)(batch), "Got in_dim=5 for some input"),
        (
            lambda: func.vmap(torch.sum, in_dims=None)(batch),
            "expected `in_dims` to be int or a",
        ),
        (lambda: func.vmap(torch.dot, in_dims=(0,))(batch, batch), "in_dims is not compatible"),
        (lambda: func.vmap(lambda a, b: a)(batch, 3), "cannot vmap over non-Tensor arguments"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_functional_call_leaves_the_module_as_it_was() -> None:
    layer = nn.Linear(3, 2).double()
    before = layer.weight
    zero = func.functional_call(layer, {"weight": before * 0, "bias": before[:, 0] * 0}, (X,))
    assert zero.tolist() == [0.0, 0.0] and layer.weight is before
    with pytest.raises(RuntimeError, match="Missing key"):
        func.functional_call(layer, {"weight": before}, (X,), strict=True)


def test_ensembles() -> None:
    layers = [nn.Linear(3, 2).double() for _ in range(3)]
    parameters, buffers = func.stack_module_state(layers)
    assert parameters["weight"].shape == (3, 2, 3) and parameters["weight"].requires_grad
    results = func.vmap(
        lambda p, b, x: func.functional_call(layers[0], (p, b), (x,)), in_dims=(0, 0, None)
    )(parameters, buffers, X)
    assert close(results[2].detach(), layers[2](X).detach())


# Forward mode ---------------------------------------------------------------------------------


def test_dual_numbers() -> None:
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(X, torch.ones(3, dtype=torch.float64))
        primal, tangent = forward_ad.unpack_dual((dual**2).sum())
        assert close(primal, (X**2).sum()) and close(tangent, (2 * X).sum())
        assert forward_ad.unpack_dual(X).tangent is None
        with pytest.raises(RuntimeError, match="Nested forward mode"):
            forward_ad.enter_dual_level()
    with pytest.raises(RuntimeError, match="no level exists"):
        forward_ad.make_dual(X, X)
