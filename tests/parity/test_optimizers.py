"""Every optimizer with every argument follows PyTorch's over a hundred steps in float64."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

CASES: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"lr": 0.05}, {"lr": 0.05, "momentum": 0.9}, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "maximize": True},
    ],
    "Adam": [{}, {"amsgrad": True, "weight_decay": 0.1, "lr": 0.02}, {"betas": (0.8, 0.95), "eps": 1e-6, "maximize": True}],
    "AdamW": [{}, {"amsgrad": True, "weight_decay": 0.1}, {"maximize": True}],
    "NAdam": [{}, {"weight_decay": 0.1, "momentum_decay": 0.01}, {"weight_decay": 0.1, "decoupled_weight_decay": True}, {"maximize": True}],
    "RAdam": [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled_weight_decay": True}, {"maximize": True}],
    "Adamax": [{}, {"weight_decay": 0.1, "betas": (0.8, 0.9)}, {"maximize": True}],
    "Adadelta": [{}, {"rho": 0.8, "weight_decay": 0.1, "lr": 0.5}, {"maximize": True}],
    "Adagrad": [{}, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}, {"maximize": True}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True, "weight_decay": 0.1}, {"alpha": 0.8, "momentum": 0.5}, {"centered": True, "maximize": True}],
    "Rprop": [{}, {"etas": (0.4, 1.3), "step_sizes": (1e-5, 1)}, {"maximize": True}],
    "ASGD": [{}, {"lambd": 0.01, "alpha": 0.6, "t0": 10, "weight_decay": 0.1}, {"maximize": True}],
    "Adafactor": [{}, {"lr": 0.05, "weight_decay": 0.1, "beta2_decay": -0.5, "d": 2.0}, {"eps": (1e-4, 1e-2), "maximize": True}],
    "LBFGS": [{"lr": 0.1}, {"max_iter": 5, "history_size": 3, "line_search_fn": "strong_wolfe"}],
    "Muon": [{}, {"lr": 0.01, "momentum": 0.8, "nesterov": False, "weight_decay": 0.05}],
}  # fmt: skip
#: Muon orthogonalises in bfloat16, whose products PyTorch rounds in another order.
TOLERANCE = {"Muon": 2e-3}
ALL = [(name, index) for name, cases in CASES.items() for index in range(len(cases))]


def problem(M: Any, matrices_only: bool) -> tuple[list[Any], Any]:
    """Parameters of several shapes, and a bumpy loss with a minimum."""
    random = np.random.default_rng(0)
    shapes = [(4, 3), (5, 5)] if matrices_only else [(4, 3), (5,), (2, 3, 2), ()]
    parameters = [M.from_numpy(np.asarray(random.normal(size=s))).requires_grad_() for s in shapes]

    def loss() -> Any:
        return sum(((p - 0.3) ** 2).sum() + 0.3 * (3 * p).sin().sum() for p in parameters)

    return parameters, loss


def run(M: Any, name: str, options: dict[str, Any], steps: int, state: Any = None, start: Any = None) -> tuple[list[Any], Any]:
    parameters, loss = problem(M, name == "Muon")
    if start is not None:
        with M.no_grad():
            for p, value in zip(parameters, start, strict=True):
                p.copy_(M.from_numpy(value))
    groups: Any = parameters
    if name not in ("LBFGS", "Muon"):
        groups = [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.01}]
    optimizer = getattr(M.optim, name)(groups, **options)
    if state is not None:
        optimizer.load_state_dict(state)

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(steps):
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    return [p.detach().numpy().copy() for p in parameters], optimizer


@pytest.mark.parametrize(("name", "index"), ALL)
def test_hundred_steps(name: str, index: int) -> None:
    options = CASES[name][index]
    expected, _ = run(torch, name, options, 100)
    found, _ = run(flambeau, name, options, 100)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE.get(name, 1e-6), atol=1e-9)


@pytest.mark.parametrize(("name", "index"), ALL)
def test_states_move_between_the_frameworks(name: str, index: int) -> None:
    """Ten steps in one framework, its state through a file, ten more in the other."""
    options = CASES[name][index]
    expected, _ = run(torch, name, options, 20)
    for first, second in ((torch, flambeau), (flambeau, torch)):
        middle, optimizer = run(first, name, options, 10)
        file = io.BytesIO()
        first.save(optimizer.state_dict(), file)
        file.seek(0)
        found, _ = run(second, name, options, 10, second.load(file), middle)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=TOLERANCE.get(name, 1e-6), atol=1e-9)


@pytest.mark.parametrize(("name", "index"), [case for case in ALL if case[0] != "LBFGS"])
def test_compiled_steps(name: str, index: int) -> None:
    options = CASES[name][index]
    expected, _ = run(flambeau, name, options, 30)
    parameters, loss = problem(flambeau, name == "Muon")
    groups: Any = parameters if name == "Muon" else [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.01}]
    optimizer = getattr(flambeau.optim, name)(groups, **options)

    @flambeau.compile
    def step() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value

    for _ in range(30):
        step()
    for a, b in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-7, atol=1e-9)
