"""Horizontal fusion: what joins, what must not, and that nothing changes by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adversary
import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.compiler import executables
from flambeau.compiler.backends import cpu
from flambeau.compiler.backends import groups as lowering
from flambeau.compiler.backends.kinds import kind_of
from flambeau.compiler.graph import Graph, Value
from flambeau.compiler.passes.fuse import fuse
from flambeau.compiler.passes.group import Group
from flambeau.compiler.passes.join import join, signature
from flambeau.ops.table import PRIMITIVES

F32 = np.dtype(np.float32)
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"amsgrad": True, "weight_decay": 0.01},
    "AdamW": {},
    "NAdam": {},
    "RAdam": {},
    "Adamax": {},
    "Adagrad": {},
    "Adadelta": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Rprop": {},
    "ASGD": {},
    "Adafactor": {},
}


def call(graph: Graph, name: str, *inputs: Any, **attributes: Any) -> Any:
    return graph.call(PRIMITIVES[name], *inputs, **attributes)


def joined_of(graph: Graph) -> list[list[Group]]:
    """The members of the groups that were joined."""
    found = join(graph, fuse(graph, kind_of))
    made: set[Value] = set(graph.inputs)
    for group in found:  # everything is made before it is read
        assert all(v in made for v in group.inputs if v.constant is None)
        made.update(v for n in group.nodes for v in n.outputs)
    return [g.members for g in found if g.kind == "joined"]


def updates(graph: Graph, shapes: list[tuple[int, ...]], rate: Value) -> None:
    """p - rate * g for parameters of these shapes."""
    for shape in shapes:
        p, g = graph.add_input(shape, F32), graph.add_input(shape, F32)
        graph.outputs.append(call(graph, "sub", p, call(graph, "mul", g, rate)))


# Which groups join ------------------------------------------------------------------------------------


def test_updates_of_any_shape_join() -> None:
    graph = Graph()
    updates(graph, [(3, 4), (5,), (300, 200), ()], graph.add_input((), F32))
    (members,) = joined_of(graph)
    assert len(members) == 3  # a number by itself is another thing: every operand is one
    assert len({signature(m) for m in members}) == 1


def test_other_expressions_do_not_join() -> None:
    graph = Graph()
    x, y, z = (graph.add_input((n,), F32) for n in (3, 4, 5))
    graph.outputs = [call(graph, "add", x, 1.0), call(graph, "add", y, 2.0), call(graph, "exp", z)]
    assert joined_of(graph) == []


def test_what_depends_on_each_other_does_not_join() -> None:
    """Directly, and through groups that were joined before."""
    graph = Graph()
    a, b = graph.add_input((4, 6), F32), graph.add_input((4, 6), F32)
    first = call(graph, "exp", a)
    second = call(graph, "sin", call(graph, "permute", first, dims=(1, 0)))
    third = call(graph, "sin", b)
    fourth = call(graph, "exp", call(graph, "permute", third, dims=(1, 0)))
    graph.outputs = [first, second, third, fourth]
    assert len(joined_of(graph)) == 1  # both pairs would wait for each other


def test_large_results_between_others_stay_where_they_are() -> None:
    """They would be gone from the cache; nothing waits for a small one."""
    graph = Graph()
    small = [graph.add_input((10,), F32) for _ in range(2)]
    large = [graph.add_input((400, 400), F32) for _ in range(2)]
    for s, x in zip(small, large, strict=True):
        product = call(graph, "mm", x, x)
        graph.outputs += [call(graph, "sin", s), call(graph, "exp", product), product]
    (members,) = joined_of(graph)
    assert [m.outputs[0].shape for m in members] == [(10,), (10,)]


def test_what_others_wait_for_does_not_join() -> None:
    graph = Graph()
    for n in (10, 20):
        x = graph.add_input((n, 30), F32)
        graph.outputs.append(call(graph, "mm", call(graph, "exp", x), graph.add_input((30, 5), F32)))
    assert joined_of(graph) == []


# That nothing changes ---------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Switches joining off."""

    def switch() -> None:
        monkeypatch.setattr(lowering, "join", lambda graph, groups: groups)
        monkeypatch.setattr(executables, "_executables", {})

    return switch


def trained(optimizer: str, options: dict[str, Any], compiled: bool) -> tuple[list[np.ndarray], list[str]]:
    """Parameters and state after some steps, and the notes of what was joined."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 300), nn.ReLU(), nn.Linear(300, 150), nn.LayerNorm(150), nn.Linear(150, 7))
    made = getattr(torch.optim, optimizer)(model.parameters(), **options)
    x, y = torch.randn(9, 40), torch.randn(9, 7)

    def gradients() -> None:
        made.zero_grad()
        (model(x) - y).square().mean().backward()

    def step() -> None:
        gradients()
        made.step()

    run = torch.compile(step, fullgraph=True) if compiled else step
    for _ in range(4):
        run()
    program = run if compiled else made._program
    codes = [p.code for programs in program.programs.values() for p in programs]
    notes = [note for code in codes for s in code.steps if s.group is not None for note in s.group.notes]
    state = [v for p in model.parameters() for v in made.state[p].values() if isinstance(v, torch.Tensor)]
    return [t.detach().numpy().copy() for t in (*model.parameters(), *state)], notes


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "step"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_has_one_update(optimizer: str, compiled: bool, alone: Callable[[], None]) -> None:
    """For all parameters, with the bits of an update for each."""
    found, notes = trained(optimizer, OPTIMIZERS[optimizer], compiled)
    if optimizer != "Adafactor":  # matrices and vectors are updated by different formulas, with sums between
        assert any(note.startswith("8 tensors in one kernel") for note in notes), notes
    alone()
    wanted, none = trained(optimizer, OPTIMIZERS[optimizer], compiled)
    assert not any("in one kernel" in note for note in none)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("forwards", [False, True])
def test_threads_meet_before_and_after(forwards: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever thread is late, an update sees all gradients and the next step all updates."""
    monkeypatch.setattr(executables, "_executables", {})
    wanted, _ = trained("Adam", {}, True)
    monkeypatch.setattr(executables, "_executables", {})
    monkeypatch.setattr(cpu, "emit_driver", adversary.emit_driver(4, forwards))
    found, _ = trained("Adam", {}, True)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_threads_change_nothing(threads: int) -> None:
    wanted, _ = trained("Adam", {}, True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found, _ = trained("Adam", {}, True)
    finally:
        torch.set_num_threads(before)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_members_that_read_what_others_write() -> None:
    """Both sums are of the old numbers, though both are written in place."""
    a, b = torch.arange(6.0), torch.arange(6.0) * 10

    @torch.compile(fullgraph=True)
    def swap(a: torch.Tensor, b: torch.Tensor) -> None:
        old = a.clone()
        a.add_(b)
        b.add_(old)

    for _ in range(2):
        wanted = (a + b, b + a)
        swap(a, b)
        assert torch.equal(a, wanted[0]) and torch.equal(b, wanted[1])


def test_members_that_share_a_number_that_is_written() -> None:
    """A number that one member changes is read by the others as it was."""
    count, tensors = torch.tensor(1.0), [torch.ones(5), torch.ones(700), torch.ones(3, 4)]

    @torch.compile(fullgraph=True)
    def step(count: torch.Tensor, *tensors: torch.Tensor) -> None:
        for t in tensors:
            t.add_(count)
        count.add_(count)

    for wanted in (2.0, 4.0, 8.0):
        step(count, *tensors)
        assert all((t == wanted).all() for t in tensors) and count == wanted


def test_results_that_lie_otherwise_have_kernels_of_their_own() -> None:
    """A transposed operand cannot be gone through in one row."""

    @torch.compile(fullgraph=True)
    def f(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return a * 2 + 1, b.t() * 2 + 1, c * 2 + 1

    a, b, c = torch.randn(30, 40), torch.randn(50, 60), torch.randn(7)
    for found, x in zip(f(a, b, c), (a, b.t(), c), strict=True):
        assert torch.equal(found, x * 2 + 1)
    assert "2 tensors in one kernel; 1 by themselves, as their memory lies" in f.explain()


def test_explain_says_what_was_joined() -> None:
    @torch.compile(fullgraph=True)
    def f(*tensors: torch.Tensor) -> list[torch.Tensor]:
        return [t.exp() for t in tensors]

    f(*(torch.randn(n) for n in (3, 30, 300)))
    assert "joined: exp -> f4[3], f4[30], f4[300]  (3 tensors in one kernel)" in f.explain()
