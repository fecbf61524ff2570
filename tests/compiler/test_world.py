"""The Python around a compiled function: what it reads may change, and what it changes is changed at every call."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import random
import signal
import threading
import time
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compiler_helpers import assert_close

import flambeau as torch
from flambeau import nn

FACTOR = 2.0
FACTORS = [2.0]


def scaled(x: Any) -> Any:
    return x * FACTOR * FACTORS[0]


def plus(x: Any) -> Any:
    return x + 1


class Scale(nn.Module):
    scale = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.factors, self.options, self.part = [2.0], {"k": 2.0}, SimpleNamespace(z=2.0)

    def forward(self, x: Any) -> Any:
        return x * self.factors[0] * self.options["k"] * self.part.z * self.scale


@dataclass
class Pair:
    a: Any
    b: Any = None


def one(f: Any) -> float:
    return float(f(torch.ones(3))[0])


def set_global(name: str, value: Any) -> None:
    globals()[name] = value


def test_what_closures_and_globals_hold() -> None:
    numbers, options, thing, array = [2.0], {"k": 2.0}, SimpleNamespace(z=2.0), np.full(1, 2.0)

    def inner(x: Any) -> Any:
        return x * thing.z

    changes: list[tuple[Callable[[Any], Any], Callable[[], None]]] = [
        (lambda x: x * numbers[0], partial(numbers.__setitem__, 0, 3.0)),
        (lambda x: x * options["k"], partial(options.__setitem__, "k", 3.0)),
        (lambda x: inner(x), partial(setattr, thing, "z", 3.0)),
        (lambda x: x * float(array[0]), partial(array.fill, 3.0)),
        (lambda x: scaled(x) / 2, partial(set_global, "FACTOR", 3.0)),
        (lambda x: scaled(x) / 3, partial(FACTORS.__setitem__, 0, 3.0)),
        (lambda x: plus(x) + x - x, partial(set_global, "plus", lambda x: x + 2)),
    ]
    before = FACTOR, FACTORS[0], plus
    try:
        for f, change in changes:
            compiled = torch.compile(f, fullgraph=True)
            assert one(compiled) == 2
            change()
            assert one(compiled) == 3
    finally:
        set_global("FACTOR", before[0])
        FACTORS[0] = before[1]
        set_global("plus", before[2])


def test_attributes_of_arguments_and_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    thing, model = SimpleNamespace(z=2.0), Scale()
    f, g = torch.compile(lambda x, t: x * t.z), torch.compile(model)
    assert f(torch.ones(1), thing) == 2 and one(g) == 16
    thing.z, model.factors[0] = 3.0, 4.0
    assert f(torch.ones(1), thing) == 3 and one(g) == 32
    model.options["k"] = model.part.z = 1.0
    assert one(g) == 8
    monkeypatch.setattr(Scale, "scale", 1.0)
    assert one(g) == 4
    model.forward = lambda x: x * 7  # type: ignore[method-assign]
    assert one(g) == 7


def test_default_arguments_and_the_default_dtype() -> None:
    def f(x: Any, k: float = 2.0) -> Any:
        return x * k, torch.ones(1)

    g, x = torch.compile(f), torch.ones(1)
    assert g(x)[0] == 2
    f.__defaults__ = (3.0,)
    assert g(x)[0] == 3 and g(x)[1].dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert g(x)[1].dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_hooks_that_come_and_go() -> None:
    layer, x = nn.Linear(3, 3), torch.randn(2, 3)
    f = torch.compile(layer)
    f(x)
    handle = layer.register_forward_hook(lambda m, i, out: out * 2)
    assert_close(f(x), layer(x))
    handle.remove()
    assert_close(f(x), layer(x))


@pytest.mark.parametrize("whole", [False, True])
def test_hooks_of_leaves_run_once(whole: bool) -> None:
    layer, x, calls = nn.Linear(3, 3), torch.randn(2, 3), []
    if whole:

        def step() -> None:
            layer.zero_grad()
            layer(x).sum().backward()

        f = torch.compile(step)
    else:
        compiled = torch.compile(layer)

        def f() -> None:
            layer.zero_grad()
            compiled(x).sum().backward()

    f()
    wanted = layer.weight.grad.clone()  # type: ignore[union-attr]
    layer.weight.register_hook(lambda g: g * 2)
    for _ in range(3):
        f()
        assert_close(layer.weight.grad, 2 * wanted)
    layer.weight.register_hook(lambda g: calls.append(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            f()
    assert len(calls) == 3


def test_changes_of_python_objects_happen_at_every_call() -> None:
    log: list[int] = []
    count, number = [0], 0

    def f(x: Any, out: list[Any]) -> Any:
        nonlocal number
        number += 1
        count[0] += 1
        log.append(number)
        return x + number

    def fill(x: Any, out: list[Any]) -> Any:
        out.append(1)
        return x + 1

    g, h, out = torch.compile(f), torch.compile(fill), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [g(torch.zeros(1), out).item() for _ in range(4)] == [1, 2, 3, 4]
        for _ in range(3):
            h(torch.zeros(1), out)
    assert count == [4] and log == [1, 2, 3, 4] and out == [1, 1, 1]


def test_what_is_set_up_at_the_first_call() -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table: Any = None

        def forward(self, x: Any) -> Any:
            if self.table is None:
                self.table = torch.arange(3.0)
            return x + self.table

    f = torch.compile(Cached(), fullgraph=True)
    for _ in range(3):
        assert f(torch.zeros(3)).tolist() == [0, 1, 2]
    assert f._compiled.traces == 2


def test_random_numbers_of_python_and_printing(capsys: pytest.CaptureFixture) -> None:
    def f(x: Any) -> Any:
        print("called")
        return x * 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for draw in (random.random, np.random.rand):
            random.seed(0)
            np.random.seed(0)
            g = torch.compile(lambda x, draw=draw: x * draw())
            found = [g(torch.ones(1, dtype=torch.float64)).item() for _ in range(3)]
            random.seed(0)
            np.random.seed(0)
            assert found == [draw() for _ in range(3)]
        h = torch.compile(f)
        for _ in range(3):
            h(torch.ones(1))
    assert capsys.readouterr().out == "called\n" * 3


def test_trees() -> None:
    f = torch.compile(lambda p: Pair(p.a + p.b, OrderedDict(z=p.a * 2)), fullgraph=True)
    for k in range(3):
        found = f(Pair(torch.ones(2) * k, torch.ones(2)))
        assert type(found) is Pair and found.a.tolist() == [k + 1, k + 1]
        assert type(found.b) is OrderedDict and found.b["z"].tolist() == [2 * k, 2 * k]
    assert f.traces == 1
    same = torch.compile(lambda a, b, c: (a is b, b is c, a + b + c))
    x, y = torch.ones(1), torch.ones(1)
    assert same(x, x, y)[:2] == (True, False) and same(x, y, y)[:2] == (False, True)


def test_nothing_is_kept_of_calls_that_run_eagerly() -> None:
    f = torch.compile(lambda x, s, k: x + k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(60):
            f(torch.ones(1), {k}, SimpleNamespace(k=k) and k)
            f(torch.ones(1), bytearray(b"ab"), k)
    assert len(f._kept) < 40 and len(f._eager_keys) < 40


def test_copies_and_pickles() -> None:
    model, x = nn.Linear(3, 2), torch.randn(4, 3)
    f = torch.compile(model)
    wanted = f(x)
    other, loaded = copy.deepcopy(f), pickle.loads(pickle.dumps(f))
    with torch.no_grad():
        model.weight.zero_()
    assert_close(other(x), wanted)
    assert_close(loaded(x), wanted)
    assert_close(f(x), model(x))


def test_threads_trace_one_at_a_time_while_others_run() -> None:
    model, errors, over = nn.Linear(5, 3), [], threading.Event()

    def eager() -> None:
        try:
            while not over.is_set():
                x = torch.randn(4, 5)
                y = model(x)
                assert isinstance(y._array, np.ndarray)
                y.sum().backward()
        except Exception as error:
            errors.append(error)

    def compiled(n: int) -> None:
        try:
            f = torch.compile(lambda x: model(x).tanh())
            for k in range(3):
                x = torch.randn(n + k, 5)
                assert_close(f(x), model(x).tanh())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=compiled, args=(n,)) for n in (1, 4, 7)]
    bystander = threading.Thread(target=eager)
    for t in (bystander, *threads):
        t.start()
    for t in threads:
        t.join()
    over.set()
    bystander.join()
    assert not errors


def test_autocast_is_of_its_thread() -> None:
    seen = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = torch.ones(2, 2)
        assert (x @ x).dtype is torch.bfloat16
        thread = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        thread.start()
        thread.join()
    assert seen == [torch.float32]


def test_inference_mode() -> None:
    f = torch.compile(lambda x: x * 2)
    with torch.inference_mode():
        assert f(torch.ones(2)).is_inference()
    assert not f(torch.ones(2)).is_inference()


def test_attributes_that_nothing_reads_may_change() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = nn.Linear(3, 1)
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
            self.step, self.losses, self.scale = 0, [], 1.0

        def train(self, x: Any) -> Any:
            self.optimizer.zero_grad()  # `step` is also the name of a counter
            loss = self.model(x).sum() * self.scale
            loss.backward()
            self.optimizer.step()
            return loss

    trainer, x = Trainer(), torch.ones(2, 3)
    f = torch.compile(trainer.train, fullgraph=True)
    for _ in range(5):
        trainer.losses.append(f(x).item())
        trainer.step += 1
    assert f.traces <= 2
    before = f(x).item()
    trainer.scale = 0.0
    assert f(x).item() == 0 != before


def test_a_state_dict_that_is_loaded_in_the_middle() -> None:
    def training() -> tuple[Any, Any, Any]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.AdamW([model.weight], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        return model, optimizer, step

    (model, optimizer, step), (twin, other, function) = training(), training()
    compiled, x = torch.compile(function, fullgraph=True), torch.randn(4, 3)
    for k in range(10):
        assert_close(step(x), compiled(x))
        assert_close(model.weight, twin.weight)
        for o, m in ((optimizer, model), (other, twin)):
            if k == 3:
                saved = copy.deepcopy(o.state_dict())
                o.load_state_dict(saved)
            if k == 6:
                o.add_param_group({"params": [m.bias], "lr": 0.01})


def test_gradients_that_somebody_holds_are_theirs() -> None:
    """Two compiled steps of equal graphs share their code, and the table of what it reads and writes."""
    held = []
    steps = []
    for _ in range(2):
        model = nn.Linear(3, 2)

        def step(x: Any, model: Any = model) -> Any:
            model.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            return loss

        steps.append((model, torch.compile(step, fullgraph=True)))
    for k in range(6):
        for model, compiled in steps:
            compiled(torch.full((4, 3), float(k)))
            held += [(p.grad.numpy(), p.grad.numpy().copy()) for p in model.parameters()]  # type: ignore[union-attr]
    assert all(np.array_equal(a, b) for a, b in held)


def test_gradients_of_tensors_between_are_retained() -> None:
    def f(x: Any) -> Any:
        y = (x * 2).split(2)[0]
        y.retain_grad()
        loss = (y * 3).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        return y.grad

    assert torch.compile(f, fullgraph=True)(torch.ones(3, requires_grad=True)).tolist() == [6, 6]


def test_a_tensor_that_is_returned_twice_is_one_tensor() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return y, {"again": y}, x

    x = torch.ones(2, requires_grad=True)
    first, more, same = torch.compile(f, fullgraph=True)(x)
    assert first is more["again"] and same is x and first.requires_grad
    first.sum().backward()
    assert x.grad.tolist() == [2, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_another_thread_computes() -> None:
    layer, over = torch.compile(nn.Linear(64, 64)), threading.Event()
    x = torch.randn(256, 64)
    layer(x)

    def work() -> None:
        while not over.is_set():
            layer(x)
            torch.rand(100)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if not child:
                layer(x)
                torch.rand(100)
                os._exit(0)
            deadline = time.monotonic() + 60
            while not (ended := os.waitpid(child, os.WNOHANG))[0]:
                if time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
                time.sleep(0.002)
            assert ended[1] == 0
    finally:
        over.set()
        thread.join()


def test_iterators_of_outside_are_not_used_up() -> None:
    numbers = iter([1.0, 2.0, 3.0])
    squares = (n * n for n in range(1, 4))
    f = torch.compile(lambda x: x * next(numbers) + next(squares))
    with pytest.warns(UserWarning, match="iterator"):
        assert [f(torch.ones(1)).item() for _ in range(3)] == [2, 6, 12]


def test_objects_of_unusual_classes() -> None:
    class Stubborn(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            raise TypeError("this class stays as it is")

    class Thing(metaclass=Stubborn):
        __slots__ = ("__dict__", "a")

        def __init__(self) -> None:
            self.a, self.z = 2.0, 3.0

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not to be compared")

        __hash__ = None  # type: ignore[assignment]

        @property
        def both(self) -> float:
            return self.a * self.z

    thing = Thing()
    f = torch.compile(lambda x: x * thing.both, fullgraph=True)
    assert f(torch.ones(1)) == 6
    thing.a = 3.0
    assert f(torch.ones(1)) == 9
    thing.z = 1.0
    assert f(torch.ones(1)) == 3
    assert "__getattribute__" not in vars(Thing)


def test_methods_of_many_instances() -> None:
    class Scaled:
        def __init__(self, k: float) -> None:
            self.w, self.k = torch.full((2,), k), k

        @torch.compile(fullgraph=True)
        def scale(self, x: Any) -> Any:
            return x * self.w + self.k

    things = [Scaled(float(k)) for k in range(20)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            for k, thing in enumerate(things):
                assert thing.scale(torch.ones(2)).tolist() == [2 * k, 2 * k]
    assert things[3].scale.traces == 1 and things[3].scale.__name__ == "scale"
    assert Scaled(3.0).scale(torch.ones(2)).tolist() == [6, 6]  # nobody else has it
    twin = copy.deepcopy([things[4], things[4].scale])
    twin[0].k = 0.0
    assert twin[1](torch.ones(2)).tolist() == [4, 4] and things[4].scale(torch.ones(2)).tolist() == [8, 8]
    del twin
    gone = [weakref.ref(thing) for thing in things]
    del thing, things
    gc.collect()
    assert all(r() is None for r in gone) and not vars(Scaled)["scale"]._methods
