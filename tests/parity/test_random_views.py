"""Random programs of views, indices and changes in place: values and gradients are PyTorch's."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

VIEWS = ["slice", "select", "permute", "view", "diagonal", "as_strided", "unsqueeze", "squeeze", "unfold"]
CHANGES = ["mul", "add", "zero", "copy", "fill", "set", "masked_fill", "mul by tensor"]


def view_of(x: Any, kind: str, rng: random.Random) -> Any:
    """A view of `x` of this kind, or `x` where there is none."""
    shape, rank = tuple(x.shape), x.ndim
    if kind == "unsqueeze":
        return x.unsqueeze(rng.randint(0, rank))
    if kind == "squeeze":
        return x.squeeze()
    if rank == 0:
        return x
    dim = rng.randrange(rank)
    if kind == "slice":
        return x[(slice(None),) * dim + (slice(rng.randint(0, shape[dim]), None, rng.choice([1, 2])),)]
    if kind == "permute":
        return x.permute(rng.sample(range(rank), rank))
    if 0 in shape:
        return x
    if kind == "select":
        return x.select(dim, rng.randrange(shape[dim]))
    if kind == "unfold":
        return x.unfold(dim, 2, 2) if shape[dim] > 1 else x
    if kind == "as_strided":
        return x.as_strided((2,), (rng.choice([1, 2]),)) if x.numel() > 3 else x
    if rank == 1:
        return x
    if kind == "diagonal":
        return x.diagonal(rng.choice([0, 1]), 0, 1)
    return x.view(shape[0] * shape[1], *shape[2:]) if x.is_contiguous() else x


def change(x: Any, kind: str, w: Any) -> None:
    """Overwrites `x` in a way of this kind."""
    if kind == "mul":
        x.mul_(-1.5)
    elif kind == "add":
        x.add_(w * 2)
    elif kind == "zero":
        x.zero_()
    elif kind == "copy":
        x.copy_(w * 3)
    elif kind == "fill":
        x.fill_(1.25)
    elif kind == "set" and x.ndim and x.shape[0]:
        x[0] = w
    elif kind == "masked_fill":
        x.masked_fill_(x > 0.5, 0.25)
    elif kind == "mul by tensor":
        x.mul_(w)


def run(module: Any, seed: int) -> list[np.ndarray]:
    """The base after a program, and the gradients of its inputs."""
    rng, numbers = random.Random(seed), np.random.RandomState(seed)
    x = module.from_numpy(numbers.randn(*[rng.randint(1, 4) for _ in range(rng.randint(1, 3))])).requires_grad_()
    w = module.tensor(0.7, dtype=module.float64, requires_grad=True)
    views = [x * 1]
    for _ in range(rng.randint(2, 8)):
        x_seen = rng.choice(views)
        if rng.random() < 0.6:
            views.append(view_of(x_seen, rng.choice(VIEWS), rng))
        else:
            change(x_seen, rng.choice(CHANGES), w)
    total = sum((v * v).sum() * (k + 1) for k, v in enumerate(views)) + w * 0 + x.sum() * 0
    total.backward()
    return [views[0].detach().numpy(), x.grad.numpy(), w.grad.numpy()]


@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_views_and_changes_in_place(start: int) -> None:
    for seed in range(start, start + 100):
        for ours, theirs in zip(run(flambeau, seed), run(torch, seed), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=f"program {seed}")


def random_key(shape: list[int], rng: random.Random, numbers: np.random.RandomState) -> list[Any]:
    """An index of a tensor of `shape`: numbers, slices, `None`, `...`, arrays of positions and masks."""
    key: list[Any] = []
    d = 0
    while d < len(shape) and rng.random() < 0.85:
        n, r = shape[d], rng.random()
        if r < 0.1:
            key.append(None)
            continue
        if r < 0.15 and Ellipsis not in [k for k in key if not isinstance(k, np.ndarray)]:
            key.append(Ellipsis)
            continue
        if r < 0.4:
            bounds = [rng.choice([None, rng.randint(-n - 1, n + 1)]) for _ in range(2)]
            key.append(slice(*bounds, rng.choice([None, 1, 2])))
        elif r < 0.6:
            key.append(rng.randint(-n, n - 1))
        elif r < 0.85:
            key.append(numbers.randint(-n, n, rng.choice([(), (1,), (2,), (2, 1), (3,)])))
        else:
            rank = rng.randint(1, min(2, len(shape) - d))
            key.append(numbers.rand(*shape[d : d + rank]) > 0.5)
            d += rank - 1
        d += 1
    return key


def index(module: Any, seed: int) -> list[Any]:
    """What an index shows, with the gradient; or the base after writing there; or the error."""
    rng, numbers = random.Random(seed), np.random.RandomState(seed)
    shape = [rng.randint(1, 4) for _ in range(rng.randint(1, 4))]
    base = numbers.randn(*shape)
    raw = random_key(shape, rng, numbers)
    key = tuple(module.from_numpy(np.asarray(k)) if isinstance(k, np.ndarray) else k for k in raw)
    x = module.from_numpy(base).requires_grad_()
    y = x * 1
    try:
        if seed % 2:
            shown = y[key]
            shown.backward(module.from_numpy(np.asarray(numbers.randn(*shown.shape))))
            return [shown.detach().numpy(), x.grad.numpy()]
        y[key] = 3.5
        (y * module.from_numpy(numbers.randn(*shape))).sum().backward()
        return [y.detach().numpy(), x.grad.numpy()]
    except (IndexError, RuntimeError) as e:
        return [type(e).__name__]


@pytest.mark.parametrize("start", range(0, 2000, 200))
def test_indices(start: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(start, start + 200):
            ours, theirs = index(flambeau, seed), index(torch, seed)
            assert len(ours) == len(theirs), f"index {seed}: {ours} and {theirs}"
            for a, b in zip(ours, theirs, strict=True):
                if isinstance(a, str):
                    assert a == b, f"index {seed}"
                else:
                    assert a.shape == b.shape, f"index {seed}"
                    np.testing.assert_allclose(a, b, err_msg=f"index {seed}")
