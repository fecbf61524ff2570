"""Random programs: operators, shapes, views, changes in place, broadcasting; compiled equals eager."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import flambeau as torch

_POINTWISE = ["relu", "tanh", "sigmoid", "exp", "neg", "abs", "sin", "square"]


def program(seed: int) -> tuple[Any, list[Any]]:
    """A function of a few tensors that does the same random things whenever it is called."""
    dtype = random.Random(seed).choice([torch.float32, torch.float64])

    def f(*inputs: Any) -> list[Any]:
        choose = random.Random(seed * 7919 + 1)
        alive = [x * 1 for x in inputs]
        for _ in range(choose.randint(4, 14)):
            alive.append(_step(choose, alive))
        return [x.sum(0) if x.ndim and choose.random() < 0.3 else x + 0 for x in alive[-4:]]

    generator = random.Random(seed + 13)
    shapes = [
        tuple(generator.choice([1, 2, 3, 5, 17]) for _ in range(generator.randint(1, 4)))
        for _ in range(generator.randint(1, 3))
    ]
    return f, [torch.randn(*s, dtype=dtype) for s in shapes]


def _step(choose: random.Random, alive: list[Any]) -> Any:
    x = choose.choice(alive)
    kind = choose.choice(
        [
            "pointwise",
            "binary",
            "binary",
            "reduce",
            "view",
            "view",
            "inplace",
            "matmul",
            "compare",
            "cat",
        ]
    )
    if kind == "pointwise":
        return getattr(x.clamp(-3, 3), choose.choice(_POINTWISE))()
    if kind == "binary":
        y = choose.choice(alive)
        if not _broadcasts(x, y):
            y = choose.uniform(-2, 2)
        return getattr(
            torch, choose.choice(["add", "sub", "mul", "maximum" if _is(y) else "add"])
        )(x, y)
    if kind == "reduce" and x.ndim:
        dims = choose.sample(range(x.ndim), choose.randint(1, x.ndim))
        return getattr(torch, choose.choice(["sum", "mean", "amax"]))(
            x, dims, keepdim=choose.random() < 0.5
        )
    if kind == "view" and x.ndim:
        return _view(choose, x)
    if kind == "inplace":
        target = _view(choose, x) if x.ndim and choose.random() < 0.6 else x
        if target.ndim and any(
            s == 0 and n > 1 for s, n in zip(target.stride(), target.shape, strict=True)
        ):
            return x + 1
        choose.choice(
            [
                lambda t: t.mul_(0.5),
                lambda t: t.add_(1),
                lambda t: t.neg_(),
                lambda t: t.zero_(),
            ]
        )(target)
        return target
    if kind == "matmul" and x.ndim >= 2:
        return (x @ x.transpose(-1, -2)).tanh()
    if kind == "compare":
        return torch.where(x > 0, x, x * 0.1)
    if kind == "cat" and x.ndim:
        return torch.cat([x, x * 2], choose.randrange(x.ndim)) if x.numel() < 2000 else x
    return x + 1


def _view(choose: random.Random, x: Any) -> Any:
    dim = choose.randrange(x.ndim)
    return choose.choice(
        [
            lambda: x.transpose(dim, choose.randrange(x.ndim)),
            lambda: x.reshape(-1),
            lambda: x.unsqueeze(dim),
            lambda: x.narrow(dim, 0, choose.randint(1, x.shape[dim])),
            lambda: x[..., :: choose.randint(1, 3)],
            lambda: x.select(dim, choose.randrange(x.shape[dim])),
            lambda: x.expand(2, *x.shape) if x.ndim < 4 else x.flatten(),
            lambda: x.flatten(),
        ]
    )()


def _is(y: Any) -> bool:
    return isinstance(y, torch.Tensor)


def _broadcasts(x: Any, y: Any) -> bool:
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs) and x.numel() * y.numel() < 10**6


def run_seed(seed: int) -> None:
    f, inputs = program(seed)
    try:
        leaves = [x.clone().requires_grad_() for x in inputs]
        total = sum(r.sum() for r in f(*leaves) if r.requires_grad)
        if _is(total):
            total.backward()
    except RuntimeError as error:  # a program that changes in place what its backward needs
        assert "inplace" in str(error), seed
        with torch.no_grad():
            compare(f, inputs, seed)
    else:
        compare(f, inputs, seed)


def compare(f: Any, inputs: list[Any], seed: int) -> None:
    """Results and gradients of `f`, eager and compiled."""
    compiled = torch.compile(f, fullgraph=True)
    ours = [x.clone().requires_grad_() for x in inputs]
    theirs = [x.clone().requires_grad_() for x in inputs]
    limit = 1e-11 if inputs[0].dtype is torch.float64 else 2e-5
    wanted, found = f(*theirs), compiled(*ours)
    for results in (wanted, found):
        total = sum((r * r).mean() for r in results if r.requires_grad and r.numel())
        if _is(total):
            total.backward()
    pairs = [*zip(wanted, found, strict=True)]
    pairs += [(a.grad, b.grad) for a, b in zip(theirs, ours, strict=True) if a.grad is not None]
    for k, (a, b) in enumerate(pairs):
        x, y = a.detach().numpy(), b.detach().numpy()
        assert x.shape == y.shape and x.dtype == y.dtype, (seed, k)
        finite = np.isfinite(x)
        scale = max(float(np.abs(x[finite]).max(initial=0.0)), 1.0)
        assert np.array_equal(finite, np.isfinite(y)), (seed, k)
        error = float(np.abs(x[finite] - y[finite]).max(initial=0.0))
        assert error <= limit * scale, f"seed {seed}, result {k}: {error} of {scale}"


@pytest.mark.parametrize("block", range(6))
def test_random_programs(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        run_seed(seed)


@pytest.mark.slow
def test_many_random_programs() -> None:
    for seed in range(1000, 3000):
        run_seed(seed)
