"""Other tensors in the places where a program found its own are read anew, if they are alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from compiler_helpers import assert_close

import flambeau as torch
from flambeau import nn

STATE = torch.ones(3)


def test_globals_cells_attributes_and_containers() -> None:
    global STATE
    thing, several, named, cell = SimpleNamespace(t=STATE), [STATE, STATE + 1], {"t": STATE}, STATE
    f = torch.compile(
        lambda x: x * STATE + thing.t * 10 + several[1] * 100 + named["t"] * 1000 + cell * 1e4, fullgraph=True
    )
    f(torch.ones(3))
    f.programs.clear()  # they are five tensors from here on
    for k in range(5):
        STATE, thing.t, several[1] = (torch.full((3,), float(k + n)) for n in range(3))
        named["t"], cell = torch.full((3,), float(k + 3)), torch.full((3,), float(k + 4))
        wanted = k + (k + 1) * 10 + (k + 2) * 100 + (k + 3) * 1000 + (k + 4) * 1e4
        assert f(torch.ones(3)).tolist() == [wanted] * 3
    assert f.traces == 2


def test_gradients_reach_the_tensor_that_is_there_now() -> None:
    w = torch.ones(3, requires_grad=True)
    f = torch.compile(lambda x: (x * w).sum(), fullgraph=True)
    for k in range(4):
        w = torch.full((3,), float(k), requires_grad=True)
        f(torch.full((3,), 2.0)).backward()
        assert w.grad is not None and w.grad.tolist() == [2, 2, 2]
    assert f.traces == 1


def test_tensors_with_history_from_outside() -> None:
    w, y = torch.ones(3, requires_grad=True), torch.ones(3)
    f = torch.compile(lambda x: (x * y).sum(), fullgraph=True)
    for k in range(1, 4):
        y, w.grad = w * k, None
        f(torch.ones(3)).backward()
        assert w.grad is not None and w.grad.tolist() == [k] * 3
        assert y.grad_fn is not None


def test_a_tensor_of_another_kind_is_traced_anew() -> None:
    t = torch.ones(3)
    f = torch.compile(lambda x: x * t, fullgraph=True)
    others = torch.ones(1), torch.ones(3, dtype=torch.float64), torch.ones(3, requires_grad=True)
    for t in (torch.ones(3), *others):
        found = f(torch.ones(3))
        assert_close(found, torch.ones(3) * t)
        assert found.requires_grad == t.requires_grad
    assert f.traces == 4


def test_two_places_with_one_tensor() -> None:
    a = b = torch.zeros(3)

    def f(x: Any) -> Any:
        a.add_(x)
        return b * 2

    g = torch.compile(f, fullgraph=True)
    assert g(torch.ones(3)).tolist() == [2, 2, 2]
    b = torch.ones(3)  # no longer what is added to
    assert g(torch.ones(3)).tolist() == [2, 2, 2]
    a = torch.zeros(3)
    assert g(torch.ones(3)).tolist() == [2, 2, 2]
    b = a
    assert g(torch.ones(3)).tolist() == [4, 4, 4]


def test_a_parameter_that_its_optimizer_still_knows_as_another() -> None:
    layer = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)

    @torch.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = layer(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    step(torch.ones(1, 2))
    step(torch.ones(1, 2))
    layer.weight = nn.Parameter(torch.zeros(1, 2))
    step(torch.ones(1, 2))
    assert layer.weight.tolist() == [[0, 0]]  # nobody updates it
    assert layer.weight.grad is not None and layer.weight.grad.tolist() == [[1, 1]]


def test_a_captured_tensor_given_as_an_argument() -> None:
    w = torch.ones(4)

    def f(x: Any) -> Any:
        x.add_(1)
        return w.sum()

    for first, second in (((torch.zeros(4)), w), (w, torch.zeros(4)), (torch.zeros(2), w[:2])):
        w.fill_(1)
        g = torch.compile(f)
        g(first)
        w.fill_(1)
        if second.shape != w.shape:
            with pytest.warns(UserWarning, match="shares"):
                found = g(second)
        else:
            found = g(second)
        assert found == w.sum() and torch.equal(second, torch.full_like(second, 2 if second is w else second[0].item()))


def test_arguments_that_overlap_at_a_later_call() -> None:
    def f(a: Any, b: Any) -> Any:
        a.add_(1)
        return b * 2

    g, x = torch.compile(f), torch.ones(6)
    g(torch.ones(3), torch.ones(3))
    assert g(x[:3], x[3:]).tolist() == [2, 2, 2]  # they do not overlap
    assert g.traces == 1
    with pytest.warns(UserWarning, match="shares"):
        assert g(x[1:4], x[3:]).tolist() == [4, 2, 2]


def test_nothing_is_kept_of_tensors_that_were_replaced() -> None:
    import gc
    import weakref

    w = torch.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        loss = (x * w).sum()
        loss.backward()
        return loss

    g = torch.compile(f, fullgraph=True)
    gone = []
    for _ in range(4):
        w = torch.ones(3, requires_grad=True)
        g(torch.ones(3))
        gone.append(weakref.ref(w))
    gc.collect()
    assert [r() is None for r in gone] == [True, True, True, False]
    assert len(g._kept_gradients) == 1 and g.traces == 1
