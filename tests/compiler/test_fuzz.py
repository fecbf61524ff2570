"""Random programs: operators, shapes, views, changes in place, broadcasting; compiled equals eager."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F

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
            "chunk",
            "network",
            "network",
            "choose",
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
    if kind == "chunk" and x.ndim:
        dim = choose.randrange(x.ndim)
        parts = x.chunk(choose.randint(2, 5), dim)
        weighted = [p * (k + 1) for k, p in enumerate(parts)]
        choose.shuffle(weighted)
        return torch.cat(weighted, dim)
    if kind == "network" and x.ndim and x.numel() < 20_000:
        return _layer(choose, x)
    if kind == "choose" and x.ndim:
        return _chosen(choose, x)
    return x + 1


def _values(choose: random.Random, like: Any, *shape: int) -> Any:
    """Numbers that the program makes itself: the same each time it is called."""
    count = int(np.prod(shape))
    seed = choose.randrange(1000)
    return (torch.arange(count, dtype=like.dtype) * (seed + 1)).sin().reshape(shape) * 0.5


def _layer(choose: random.Random, x: Any) -> Any:
    """A layer of a network over whatever shape `x` has."""
    x = x.clamp(-3, 3)
    last = x.shape[-1]
    name = choose.choice(["softmax", "log_softmax", "norm", "linear", "conv", "pool", "attention", "recurrent"])
    dim = choose.randrange(x.ndim)
    if name in ("softmax", "log_softmax"):
        return getattr(F, name)(x, dim)
    if name == "norm":
        return F.layer_norm(x, (last,), _values(choose, x, last), _values(choose, x, last))
    if name == "linear":
        out = choose.choice([1, 3, 8, 17, 40])
        return F.linear(x, _values(choose, x, out, last), _values(choose, x, out)).relu()
    if name == "attention":
        q = x.reshape(1, 1, -1, last)
        return F.scaled_dot_product_attention(q, q * 0.5, q + 1) if q.shape[2] < 100 else x
    if name == "recurrent" and last < 50:
        w = _values(choose, x, last, last)
        h = x.reshape(-1, last)[:1] * 0
        steps = []
        for row in x.reshape(-1, last)[:5].unbind(0):
            h = torch.tanh(h @ w.t() + row)
            steps.append(h)
        return torch.cat(steps)
    channels = choose.choice([1, 2, 3, 8])
    flat = x.reshape(-1)
    side = choose.choice([3, 5, 8])
    batch = flat.shape[0] // (channels * side * side)
    if not 1 <= batch <= 70:
        return x
    images = flat[: batch * channels * side * side].reshape(batch, channels, side, side)
    if name == "pool":
        pool = choose.choice([F.max_pool2d, F.avg_pool2d])
        return pool(images, choose.choice([2, 3]), choose.choice([1, 2]), padding=choose.choice([0, 1]))
    out, kernel = choose.choice([1, 4, 16, 20]), choose.choice([1, 3])
    weight = _values(choose, x, out, channels, kernel, kernel)
    stride, padding = choose.choice([1, 2]), choose.choice([0, 1, 2])
    return F.conv2d(images, weight, _values(choose, x, out), stride, padding).relu()


def _chosen(choose: random.Random, x: Any) -> Any:
    """Elements by their place, their order, or running totals."""
    dim = choose.randrange(x.ndim)
    places = torch.tensor([choose.randrange(x.shape[dim]) for _ in range(choose.randint(1, 6))])
    name = choose.choice(["index_select", "gather", "cumsum", "flip", "roll", "tril", "index"])
    if name == "index_select":
        return x.index_select(dim, places)
    if name == "gather":
        shape = [1] * x.ndim
        shape[dim] = -1
        sizes = list(x.shape)
        sizes[dim] = len(places)
        return x.gather(dim, places.reshape(shape).expand(sizes))
    if name == "cumsum":
        return x.clamp(-2, 2).cumsum(dim) / x.shape[dim]
    if name == "flip":
        return x.flip(dim)
    if name == "roll":
        return x.roll(choose.randint(-3, 3), dim)
    if name == "tril" and x.ndim >= 2:
        return x.tril(choose.randint(-1, 1))
    return x[places % x.shape[0]]


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
    torch.set_num_threads(1 + seed % 4)
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
    """Results and gradients of `f`, eager and compiled.

    Where a single-precision program amplifies roundings, compiled must be as near to the exact results (the
    program in double precision) as eager is.
    """
    single = inputs[0].dtype is torch.float32
    limit = 2e-5 if single else 1e-11
    wanted, found = evaluated(f, inputs), evaluated(torch.compile(f, fullgraph=True), inputs)
    exact: list[Any] | None = None
    for k, (x, y) in enumerate(zip(wanted, found, strict=True)):
        assert x.shape == y.shape and x.dtype == y.dtype, (seed, k)
        finite = np.isfinite(x)
        scale = max(float(np.abs(x[finite]).max(initial=0.0)), 1.0)
        assert np.array_equal(finite, np.isfinite(y)), (seed, k)
        error = float(np.abs(x[finite] - y[finite]).max(initial=0.0))
        if error > limit * scale and single:
            exact = exact or evaluated(f, [v.double() for v in inputs])
            error = float(np.abs(exact[k] - y)[finite].max())
            limit = limit + 3 * float(np.abs(exact[k] - x)[finite].max()) / scale
        assert error <= limit * scale, f"seed {seed}, result {k}: {error} of {scale}"


def evaluated(f: Any, inputs: list[Any]) -> list[np.ndarray]:
    """The results of `f`, then the gradients of its inputs."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    results = f(*leaves)
    total = sum((r * r).mean() for r in results if r.requires_grad and r.numel())
    if _is(total):
        total.backward()
    gradients = [x.grad for x in leaves if x.grad is not None]
    return [r.detach().numpy() for r in (*results, *gradients)]


@pytest.mark.parametrize("block", range(6))
def test_random_programs(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        run_seed(seed)


@pytest.mark.slow
def test_many_random_programs() -> None:
    for seed in range(1000, 3000):
        run_seed(seed)
