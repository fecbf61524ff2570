"""What changes between calls is seen: modules, parameters, flags, memory."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from compiler_helpers import assert_close

import flambeau as torch
from flambeau import nn


def test_replaced_and_frozen_parts() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    f = torch.compile(lambda x: model(x).sum())
    x = torch.randn(5, 3)
    assert_close(f(x), model(x).sum())
    model[1] = nn.Tanh()
    assert_close(f(x), model(x).sum())
    model[0].weight.requires_grad_(False)
    f(x).backward()
    assert model[0].weight.grad is None and model[2].weight.grad is not None
    model[2].weight = nn.Parameter(torch.ones(2, 4))
    assert_close(f(x), model(x).sum())


def test_new_memory_of_a_parameter() -> None:
    layer = nn.Linear(3, 4)
    f = torch.compile(lambda x: layer(x))
    x = torch.randn(5, 3)
    f(x)
    layer.weight.data = torch.randn(4, 3)
    assert_close(f(x), layer(x))
    layer.load_state_dict(nn.Linear(3, 4).state_dict())
    assert_close(f(x), layer(x))
    assert f.traces == 1


def test_settings_of_modules() -> None:
    drop = nn.Dropout(0.0)
    f = torch.compile(lambda x: drop(x))
    x = torch.ones(100)
    assert f(x).sum() == 100
    drop.p = 1.0
    assert f(x).sum() == 0
    drop.eval()
    assert f(x).sum() == 100


def test_gradient_modes() -> None:
    f = torch.compile(lambda x: x * 2)
    x = torch.ones(2, requires_grad=True)
    assert f(x).requires_grad
    with torch.no_grad():
        assert not f(x).requires_grad
    with torch.inference_mode():
        f(x)


def test_results_that_are_arguments_or_views_of_them() -> None:
    w = torch.arange(6.0).reshape(2, 3)
    f = torch.compile(lambda x: (x, x[1], w, w.t(), x + 1), fullgraph=True)
    x = torch.zeros(2, 2)
    same, view, outer, turned, new = f(x)
    assert same is x and outer is w
    view.add_(1)
    assert x[1].tolist() == [1, 1] and new.sum() == 4
    turned[0, 0] = 9
    assert w[0, 0] == 9


def test_containers() -> None:
    f = torch.compile(lambda d, k=2: {"sum": d["a"] + d["b"][0], "k": k, "list": [d["a"] * k]})
    a, b = torch.ones(2), torch.arange(2.0)
    found = f({"a": a, "b": [b]}, k=3)
    assert (
        found["sum"].tolist() == [1, 2]
        and found["k"] == 3
        and found["list"][0].tolist() == [3, 3]
    )


def test_a_changed_attribute_makes_it_eager() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[int] = []

        def forward(self, x: Any) -> Any:
            self.calls.append(1)
            return x + len(self.calls)

    model = Counting()
    f = torch.compile(lambda x: model(x))
    assert f(torch.zeros(1)).item() == 1  # perhaps it only sets something up
    with pytest.warns(UserWarning, match="the length of a list"):
        assert f(torch.zeros(1)).item() == 2
    assert f(torch.zeros(1)).item() == 3


def test_noncontiguous_arguments() -> None:
    f = torch.compile(lambda x: (x * 2).sum(0), fullgraph=True)
    x = torch.randn(6, 8)
    for view in (x, x.t(), x[::2], x[:, 1:5], x.expand(2, 6, 8)):
        assert_close(f(view), (view * 2).sum(0))


def test_threads_may_call_one_program() -> None:
    f = torch.compile(lambda x: (x @ x.t()).relu().sum(1))
    inputs = [torch.randn(17, 9) for _ in range(4)]
    wanted = [(x @ x.t()).relu().sum(1) for x in inputs]
    f(inputs[0])
    errors: list[Exception] = []

    def work(k: int) -> None:
        try:
            for _ in range(50):
                assert_close(f(inputs[k]), wanted[k])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


def test_results_are_freed() -> None:
    f = torch.compile(lambda x: x + 1)
    refs = []
    for _ in range(5):
        refs.append(weakref.ref(f(torch.ones(1000))))
    gc.collect()
    assert all(r() is None for r in refs)


def test_the_same_program_gives_the_same_bits() -> None:
    x, w = torch.randn(64, 3, 9, 9), torch.randn(8, 3, 3, 3)
    f = torch.compile(lambda x, w: torch.conv2d(x, w).tanh().sum((0, 2, 3)))
    first = f(x, w)
    assert all(torch.equal(f(x, w), first) for _ in range(20))
