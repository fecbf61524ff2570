"""Comparing compiled programs with eager ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

import flambeau as torch
from flambeau import nn


def assert_close(a: Any, b: Any, what: str = "") -> None:
    """Equal to 1e-5 of the scale in f32, 1e-12 in f64; exactly for other dtypes."""
    x, y = a.detach().numpy(), b.detach().numpy()
    assert (x.shape, x.dtype) == (y.shape, y.dtype), what
    if x.dtype.kind != "f":
        assert np.array_equal(x, y), what
        return
    limit = {8: 1e-12, 4: 1e-5, 2: 2e-3}[x.dtype.itemsize]
    finite = np.isfinite(x)
    assert np.array_equal(finite, np.isfinite(y)), what
    assert np.array_equal(x[~finite], y[~finite], equal_nan=True), what
    scale = float(np.abs(x[finite]).max(initial=0.0)) or 1.0
    error = float(np.abs(x[finite] - y[finite]).max(initial=0.0))
    assert error <= limit * max(scale, 1e-3), f"{what}: error {error} of scale {scale}"


def check(f: Callable[..., Any], *inputs: Any, gradients: bool = True) -> None:
    """`f` compiled gives what it gives eagerly, and the same gradients of its inputs."""
    compiled = torch.compile(f, fullgraph=True)

    def run(g: Callable[..., Any], grad: bool) -> tuple[list[Any], list[Any]]:
        own = [
            x.detach().clone().requires_grad_(grad and x.is_floating_point())
            if isinstance(x, torch.Tensor)
            else x
            for x in inputs
        ]
        results = g(*own)
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        grads: list[Any] = []
        if grad:
            total = sum(
                (r * torch.linspace(0.5, 1.5, r.numel(), dtype=r.dtype).reshape(r.shape)).sum()
                for r in results
                if r.requires_grad
            )
            if isinstance(total, torch.Tensor):
                total.backward()
            grads = [x.grad for x in own if isinstance(x, torch.Tensor)]
        return results, grads

    for grad in (False, True) if gradients else (False,):
        for _ in range(2):  # traced, then run again
            wanted, wanted_grads = run(f, grad)
            found, found_grads = run(compiled, grad)
            for k, (a, b) in enumerate(zip(wanted, found, strict=True)):
                assert a.requires_grad == b.requires_grad
                assert_close(a, b, f"result {k}")
            for k, (a, b) in enumerate(zip(wanted_grads, found_grads, strict=True)):
                assert (a is None) == (b is None), f"gradient {k}"
                if a is not None:
                    assert_close(a, b, f"gradient {k}")


def training_pair(
    model: nn.Module, make_step: Callable[[nn.Module], tuple[Callable, Any]]
) -> tuple[tuple, tuple]:
    """A step run eagerly and its compiled twin on a copy: (step, model, optimizer) of each."""
    twin = copy.deepcopy(model)
    step, optimizer = make_step(model)
    other, other_optimizer = make_step(twin)
    return (step, model, optimizer), (
        torch.compile(other, fullgraph=True), twin, other_optimizer,
    )  # fmt: skip


def assert_same_state(a: tuple, b: tuple, limit: float = 1e-5) -> None:
    """Parameters, buffers, gradients and optimizer state agree."""
    _, model, optimizer = a
    _, twin, other = b
    pairs = list(zip(model.named_parameters(), twin.parameters(), strict=True))
    for (name, p), q in pairs:
        close(p, q, limit, name)
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            close(p.grad, q.grad, limit, f"{name}.grad")
        for key, value in optimizer.state[p].items():
            close(value, other.state[q][key], limit, f"{name}: {key}")
    for (name, x), y in zip(model.named_buffers(), twin.buffers(), strict=True):
        close(x, y, limit, name)


def close(a: Any, b: Any, limit: float, what: str) -> None:
    if a is None or not isinstance(a, torch.Tensor):
        assert a is b or a == b, what
        return
    x, y = np.asarray(a.detach().numpy()), np.asarray(b.detach().numpy())
    scale = max(float(np.abs(x).max(initial=0.0)), 1e-3)  # sums that cancel
    error = float(np.abs(x - y).max(initial=0.0))
    assert error <= limit * scale, f"{what}: error {error} of scale {scale}"
