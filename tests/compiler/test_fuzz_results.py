"""Random programs of views and changes in place: results share memory, history and identity as in eager execution.

What a program returns is changed in place afterwards, and then differentiated.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch

Tensors = list[Any]


def _row(t: Any, u: Any, k: int) -> Any:
    return t[k % t.shape[0]] if t.ndim else t.unsqueeze(0)


def _without_gradient(t: Any, u: Any, k: int) -> Any:
    with torch.no_grad():
        return t * 3


def _first_row(t: Any, u: Any, k: int) -> Any:
    t[0:1] = 0.5
    return t


#: Functions of two tensors and a number.
STEPS: tuple[Callable[[Any, Any, int], Any], ...] = (
    lambda t, u, k: t * 2 + 1,
    lambda t, u, k: t.tanh(),
    lambda t, u, k: t + u if t.shape == u.shape else t + u.sum(),
    lambda t, u, k: t.t() if t.ndim == 2 else t.unsqueeze(0),
    lambda t, u, k: t[1:] if t.shape and t.shape[0] > 1 else t * 1,
    _row,
    lambda t, u, k: t.reshape(-1),
    lambda t, u, k: t.unsqueeze(0).expand(2, *t.shape),
    lambda t, u, k: t.detach(),
    lambda t, u, k: t.narrow(0, 0, 1) if t.ndim else t,
    lambda t, u, k: t.sum(0) if t.ndim else t,
    lambda t, u, k: t.permute(*range(t.ndim)[::-1]),
    lambda t, u, k: t.clone(),
    _without_gradient,
    lambda t, u, k: t.mul_(1.5),
    lambda t, u, k: t.add_(u.sum()),
    _first_row,
    lambda t, u, k: t.copy_(t.detach() * 2),
)


def program(seed: int) -> Callable[..., Tensors]:
    """A function of three tensors that returns some of those that it makes, or of its arguments."""
    r = random.Random(seed)
    plan = [(r.choice(STEPS), r.randrange(50), r.randrange(50), r.randrange(4)) for _ in range(r.randrange(2, 8))]
    returned = [r.randrange(3 + len(plan)) for _ in range(r.randrange(1, 4))]

    def f(*arguments: Any) -> Tensors:
        tensors = [*arguments]
        for step, a, b, k in plan:
            tensors.append(step(tensors[a % len(tensors)], tensors[b % len(tensors)], k))
        return [tensors[k] for k in returned]

    return f


def story(f: Callable[..., Tensors], seed: int) -> Tensors:
    """All that can be seen of some calls of `f`, of changes of what it returns, and of gradients."""
    torch.manual_seed(seed)
    x, y, w, leaf = (torch.randn(4, 3, dtype=torch.float64) for _ in range(4))
    w.requires_grad_(seed % 2 == 0)
    leaf.requires_grad_()
    if seed % 3 == 0:
        x.requires_grad_()
    seen: Tensors = []
    for _ in range(3):
        given = leaf * 1 if seed % 3 == 1 else x
        try:
            results = f(given, y, w)
        except (RuntimeError, IndexError, ValueError) as error:
            seen += [type(error), given.detach().clone(), y.clone()]
            continue
        everything = [*results, given, y, w]
        seen.append([(t.requires_grad, [t is other for other in everything]) for t in results])
        seen += [t.detach().clone() for t in results]
        _change(results, seed, seen)
        seen += [t.detach().clone() for t in everything]
        _differentiate(results, [p for p in (leaf, w, x) if p.is_leaf], seen)
        x = x.detach().clone().requires_grad_(x.requires_grad)
        y = y.detach().clone()
    return seen


def _change(results: Tensors, seed: int, seen: Tensors) -> None:
    for k, t in enumerate(results):
        try:
            if (seed + k) % 4 == 0:
                t.mul_(2)
            elif (seed + k) % 4 == 1:
                with torch.no_grad():
                    t.add_(1)
        except RuntimeError:
            seen.append("refused")


def _differentiate(results: Tensors, leaves: Tensors, seen: Tensors) -> None:
    weighed = [
        (t * torch.linspace(1, 2, t.numel(), dtype=t.dtype).reshape(t.shape)).sum() for t in results if t.requires_grad
    ]
    if weighed:
        sum(weighed).backward()  # type: ignore[attr-defined]
        seen += [None if p.grad is None else p.grad.clone() for p in leaves]
    for p in leaves:
        p.grad = None


@pytest.mark.parametrize("first", range(0, 150, 25))
def test_results_of_random_programs(first: int) -> None:
    compiled = 0
    for seed in range(first, first + 25):
        f = program(seed)
        try:
            wanted = story(f, seed)
        except RuntimeError:  # a saved tensor was changed: compiled programs keep their own
            continue
        g = torch.compile(f)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = story(g, seed)
        compiled += bool(g.programs)
        assert len(found) == len(wanted), seed
        for k, (a, b) in enumerate(zip(found, wanted, strict=True)):
            if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
                assert a.shape == b.shape and torch.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True), (seed, k)
            else:
                assert a == b, (seed, k)
    assert compiled > 8
