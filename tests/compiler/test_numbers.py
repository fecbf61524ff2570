"""Numbers that change from call to call become inputs: arguments, attributes, globals, counters."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from compiler_helpers import assert_close

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn

BETA = 0.0


def follows(f: Callable[..., Any], calls: list[tuple], traces: int) -> Any:
    """`f` compiled gives what it gives eagerly in each of the calls, traced so many times."""
    g = torch.compile(f, fullgraph=True)
    for arguments in calls:
        found, wanted = g(*arguments), f(*arguments)
        assert_close(found, wanted)
        assert found.dtype is wanted.dtype
    assert g.traces == traces
    return g


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_float_arguments(dtype: str) -> None:
    x = torch.linspace(-1, 1, 5).to(getattr(torch, dtype))
    follows(lambda x, s: x * s + s / 2 - (1 - s) ** 2, [(x, k * 0.37) for k in range(20)], 2)


def test_whole_numbers() -> None:
    def f(x: Any, n: int, m: int) -> Any:
        return x * n + (n % 3) * (m // 2) - n

    for x in (torch.ones(3), torch.arange(3)):
        follows(f, [(x, k, 2 * k + 1) for k in range(20)], 2)


def test_infinities_and_signed_zeros() -> None:
    f = follows(lambda x, s: x / s, [(torch.ones(2), s) for s in (1.0, 2.0, 0.0, -0.0, math.inf, -math.inf)], 2)
    assert f(torch.ones(2), -0.0).tolist() == [-math.inf] * 2
    assert all(map(math.isnan, f(torch.ones(2), math.nan).tolist()))


def test_decisions_are_guards() -> None:
    def f(x: Any, step: int) -> Any:
        if step % 10 == 0:
            return x * 2
        return x / (1 - 0.9**step)

    follows(f, [(torch.ones(2), k) for k in range(1, 40)], 3)


def test_numbers_that_shapes_and_constants_need_are_traced_each() -> None:
    def repeated(x: Any, n: int) -> Any:
        for _ in range(n):
            x = x * 1.5
        return x

    x = torch.arange(6.0)
    for f in (
        repeated,
        lambda x, n: x[:n].sum(),
        lambda x, n: x.reshape(n, -1) * 1,
        lambda x, n: x * math.sqrt(n),
        lambda x, n: x + torch.full((2,), float(n)).sum(),
        lambda x, n: x + len(f"{n}"),
        lambda x, n: x + {1: 5, 2: 6, 3: 7}[n],
    ):
        g = torch.compile(f, fullgraph=True)
        for k in (1, 2, 3, 2, 1):
            assert_close(g(x, k), f(x, k))


def test_a_caught_refusal_is_no_answer() -> None:
    def f(x: Any, n: int) -> Any:
        try:
            return x * float(n)
        except Exception:
            return x * 0

    follows(f, [(torch.ones(2), k) for k in range(1, 5)], 5)


def test_gradients() -> None:
    g = torch.compile(lambda x, s: (x * s).pow(2).sum(), fullgraph=True)
    for k in range(1, 6):
        x = torch.ones(3, requires_grad=True)
        g(x, k / 2).backward()
        assert x.grad is not None and x.grad.tolist() == [2 * (k / 2) ** 2] * 3
    assert g.traces == 2


def test_numbers_in_results_and_containers() -> None:
    g = torch.compile(lambda x, o: {"y": x * o["s"], "next": o["s"] + 1, "list": [o["s"], 7]}, fullgraph=True)
    for k in range(4):
        found = g(torch.ones(1), {"s": float(k)})
        assert found["y"].item() == k and found["next"] == k + 1.0 and found["list"] == [k, 7]
        assert type(found["next"]) is float
    assert g.traces == 2


def test_draws_that_depend_on_a_number() -> None:
    g = torch.compile(lambda x, p: F.dropout(x, p))
    for p in (0.0, 0.25, 0.5, 1.0, 0.25):
        torch.manual_seed(0)
        found = g(torch.ones(50), p)
        torch.manual_seed(0)
        assert torch.equal(found, F.dropout(torch.ones(50), p))


def test_globals_attributes_and_entries() -> None:
    global BETA
    thing, options, weights, local = SimpleNamespace(t=0.0), {"k": 0.0}, [1.0, 0.0], 0.0
    g = torch.compile(lambda x: x * BETA + thing.t + options["k"] * 2 + weights[1] - local, fullgraph=True)
    for k in range(12):
        BETA = thing.t = options["k"] = weights[1] = local = k / 4
        assert g(torch.ones(1)).item() == k / 4 * 4
    assert g.traces == 2
    BETA = 3  # of another type
    assert g(torch.ones(1)).item() == 3 + 3 * local - local + local
    BETA = 0.0


def test_a_learning_rate_of_one_s_own() -> None:
    w, schedule = torch.ones(3, requires_grad=True), {"lr": 0.1}

    @torch.compile(fullgraph=True)
    def step(x: Any) -> Any:
        loss = (w * x).pow(2).sum()
        (grad,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            w.sub_(grad * schedule["lr"])
        return loss

    wanted = 1.0
    for _ in range(10):
        step(torch.ones(3))
        wanted -= 2 * wanted * schedule["lr"]
        schedule["lr"] *= 0.9
        assert abs(w[0].item() - wanted) < 1e-6
    assert step.traces == 2


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls, self.share = 0, 1.0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.share *= 0.5
        return x * self.calls + self.share


def test_counters() -> None:
    model, state = Counting(), {"step": 0, "m": torch.zeros(2)}

    def adam(x: Any) -> Any:
        state["step"] += 1
        state["m"] = state["m"] * 0.9 + x * 0.1
        return state["m"] / (1 - 0.9 ** state["step"])

    f, g = torch.compile(model), torch.compile(adam)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(1, 12):
            assert f(torch.ones(1)).item() == k + 0.5**k
            assert abs(g(torch.ones(2))[0].item() - 1) < 1e-6
    assert model.calls == 11 and state["step"] == 11
    assert f._compiled.traces == 3 and g.traces == 3


def test_a_counter_that_decides() -> None:
    state = {"n": 0}

    def f(x: Any) -> Any:
        state["n"] += 1
        return x * 2 if state["n"] % 4 == 0 else x

    g = torch.compile(f)
    assert [g(torch.ones(1)).item() for _ in range(12)] == [1, 1, 1, 2] * 3
    assert state["n"] == 12


def test_dynamic_false_specialises() -> None:
    f = torch.compile(lambda x, s: x * s, dynamic=False, fullgraph=True)
    for k in range(4):
        assert f(torch.ones(1), float(k)).item() == k
    assert f.traces == 4


def test_dynamic_true_begins_with_inputs() -> None:
    f = torch.compile(lambda x, s: x * s, dynamic=True, fullgraph=True)
    for k in range(4):
        assert f(torch.ones(1), float(k)).item() == k
    assert f.traces == 1


def test_numbers_of_an_optimizer_that_the_function_sets() -> None:
    w = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=1.0)

    def step(x: Any, lr: float) -> Any:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    g, wanted = torch.compile(step), 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in (0, 1, 2, 1, 3, 1):
            optimizer.param_groups[0]["lr"] = 9.0
            g(torch.ones(1), k / 8)
            wanted -= k / 8
            assert w.item() == wanted and optimizer.param_groups[0]["lr"] == k / 8


def test_numbers_of_an_optimizer_that_the_function_reads() -> None:
    w = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=1.0)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    @torch.compile(fullgraph=True)
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss, optimizer.param_groups[0]["lr"], loss * optimizer.param_groups[0]["lr"]

    for k in range(8):
        loss, lr, product = step(torch.ones(1))
        assert lr == 0.5**k and abs(product.item() - loss.item() * lr) < 1e-6
        schedule.step()
    assert step.traces <= 4


def test_what_cannot_be_traced_is_not_tried_for_ever() -> None:
    f = torch.compile(lambda x, k: x * x.sum().item() + k)
    g = torch.compile(lambda x, k, log=[]: log.append(k) or x + k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(30):
            assert f(torch.ones(k + 1), k / 2)[0].item() == k + 1 + k / 2
            assert g(torch.ones(1), k / 2).item() == 1 + k / 2
    assert f.traces <= 16 and g.traces <= 16
