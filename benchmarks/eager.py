"""Small eager calls, Flambeau beside PyTorch in one process, on 10 elements with and without gradients.

    python benchmarks/eager.py
"""

from __future__ import annotations

import math
from typing import Any

import torch
from _timing import median_us

import flambeau

CALLS = {
    "a + a": lambda t, a, m: a + a,
    "a * 2": lambda t, a, m: a * 2,
    "relu": lambda t, a, m: t.relu(a),
    "sum": lambda t, a, m: a.sum(),
    "matmul": lambda t, a, m: m @ m,
    "a[2:4]": lambda t, a, m: a[2:4],
    "view": lambda t, a, m: a.view(2, 5),
}


def chain(t: Any, a: Any, m: Any) -> None:
    """Ten calls and their backward pass."""
    x = a
    for _ in range(4):
        x = (x * 2 + a).relu() if x is a else x * 0.5 + a
    (x[2:8] * 3).view(2, 3).sum().backward()


def lenet_step(t: Any) -> Any:
    """A training step of LeNet on 16 pictures of 3x32x32, uncompiled."""
    t.manual_seed(0)
    nn = t.nn
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    optimizer = t.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x, y = t.randn(16, 3, 32, 32), t.randint(0, 10, (16,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def main() -> None:
    torch.set_num_threads(1)
    rows: list[tuple[str, Any, bool]] = []
    for name, call in CALLS.items():
        rows += [(name, call, False), (name + ", grad", call, True)]
    rows.append(("add_", lambda t, a, m: a.add_(1), False))
    rows.append(("10 calls and backward", chain, True))
    print(f"{'call':24}{'Flambeau, us':>14}{'PyTorch, us':>14}{'ratio':>8}")
    ratios = []
    for name, call, grad in rows:
        times = []
        for t in (flambeau, torch):
            a = t.randn(10, requires_grad=grad)
            m = t.randn(10, 10, requires_grad=grad)
            times.append(median_us(lambda t=t, a=a, m=m: call(t, a, m), 2000))  # type: ignore[misc]
        ratios.append(times[0] / times[1])
        print(f"{name:24}{times[0]:14.2f}{times[1]:14.2f}{ratios[-1]:8.2f}")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"geometric mean {mean:.2f}, largest {max(ratios):.2f}")
    for threads in (1, 2):
        times = []
        for t in (flambeau, torch):
            t.set_num_threads(threads)
            times.append(median_us(lenet_step(t), 50))
        print(f"LeNet step, {threads} threads{times[0]:17.0f}{times[1]:14.0f}{times[0] / times[1]:8.2f}")


if __name__ == "__main__":
    main()
