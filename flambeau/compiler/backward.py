"""Gradients of a program's results: the backward pass, traced and compiled as a program of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.modes import enable_grad, modes
from flambeau.autograd.node import FREED_MESSAGE, Node, OutputOf
from flambeau.compiler.executables import executable, run_once
from flambeau.compiler.graph import Graph, Value
from flambeau.compiler.graph import Node as GraphNode
from flambeau.compiler.results import Returned
from flambeau.compiler.sources import (
    Argument,
    Captured,
    Container,
    GivenNumber,
    HostNumber,
    Tangent,
)
from flambeau.compiler.symbols import Symbol
from flambeau.compiler.trees import leaves as leaves_of
from flambeau.compiler.trees import map_tensors
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import Untraceable
from flambeau.tensor.views import Copied

if TYPE_CHECKING:
    from flambeau.compiler.program import Program
    from flambeau.compiler.trace import Tracer


class Backward:
    """The part of a program that computes gradients of its arguments and parameters.

    Attributes:
        leaves: arguments, tensors from outside, or results that are leaves.
        roots: for each result with a gradient, its number among the trace's `new` ones.
        graph: from tangents and residuals to the gradients that are not None.
        residuals: for each, ("input", k) or ("output", k) of the forward program.
        found: for each leaf, the number of its gradient among the graph's outputs, or -1.
        needs: for each leaf, the roots on whose gradients its own depends.
    """

    def __init__(self) -> None:
        self.leaves: list[Any] = []
        self.roots: list[int] = []
        self.graph: Graph | None = None
        self.residuals: list[tuple[str, int]] = []
        self.found: list[int] = []
        self.needs: list[frozenset[int]] = []
        self.tangents: list[Value] = []
        self.values: list[Value | None] = []
        self.forward: set[GraphNode] = set()  # the nodes that were recorded before
        self.tune = False
        self.freed = False  # the program ran the backward pass itself

    @property
    def wanted(self) -> list[Value]:
        """The gradients that there are."""
        return [v for v in self.values if v is not None]


def trace_backward(tracer: Tracer, returned: Returned) -> Backward | None:
    """Records the backward pass of what a function returned, from symbolic gradients."""
    if not modes.grad_enabled:
        return None
    # A view of something else gets its history when it is taken again at each call.
    made = Backward()
    made.roots = [k for k, t in enumerate(returned.new) if t.requires_grad and t._fresh_node() is not None]
    if not made.roots:
        return None
    roots = [returned.new[k] for k in made.roots]
    count = len(tracer.graph.nodes)
    made.forward = set(tracer.graph.nodes)
    leaves = _leaves([t._edge() for t in roots])
    tangents = []
    for k, root in enumerate(roots):
        symbol = tracer.input(Tangent(k), tracer.symbol_of(root))
        tangents.append(wrap(tracer.fresh(symbol.storage.value)))
        made.tangents.append(symbol.storage.value)
    hooks = [(leaf._extra, leaf._extra.hooks) for leaf in leaves if leaf._extra is not None]
    for extra, _ in hooks:
        extra.hooks = None  # they run when the gradient arrives, at each call
    try:
        found = engine.run_backward(
            [t._edge() for t in roots],
            tangents,
            keep_graph=True,
            create_graph=False,
            targets=leaves,
        )
    except RuntimeError as error:
        if FREED_MESSAGE not in str(error):
            raise
        # The program itself has run the backward pass, as training steps do.
        del tracer.graph.nodes[count:]
        del tracer.graph.inputs[-len(roots) :], tracer.trace.sources[-len(roots) :]
        made.freed = True
        return made
    finally:
        for extra, held in hooks:
            extra.hooks = held
    for leaf in leaves:
        owner = _owner(tracer, returned, leaf)
        if owner is not None:
            grad = found.get(id(leaf))
            made.leaves.append(owner)
            made.values.append(None if grad is None else tracer.value_of(grad))
    made.needs = _needs(tracer, made)
    return made


def _needs(tracer: Tracer, made: Backward) -> list[frozenset[int]]:
    """For each gradient, the tangents that lead to it."""
    none: frozenset[int] = frozenset()
    reach: dict[Value, frozenset[int]] = {v: frozenset((k,)) for k, v in enumerate(made.tangents)}
    for node in tracer.graph.nodes:
        if node not in made.forward:
            needs = none.union(*(reach.get(v, none) for v in node.values))
            reach.update(dict.fromkeys(node.outputs, needs))
    return [none if v is None else reach.get(v, none) for v in made.values]


def _owner(tracer: Tracer, returned: Returned, leaf: Tensor) -> Any:
    """Where the gradient of a leaf goes; `None` for one that ends with the call."""
    if not isinstance(leaf._array, Symbol) or id(leaf) in tracer.arguments:
        return tracer.owner(leaf)
    if leaf._extra is not None and leaf._extra.hooks:
        raise Untraceable("a hook of a tensor that the function makes")
    return returned.described(leaf)


def _leaves(edges: Sequence[Any]) -> list[Tensor]:
    """The leaf tensors that a backward pass from these edges reaches."""
    found: dict[int, Tensor] = {}
    seen: set[int] = set()
    waiting = list(edges)
    while waiting:
        edge = waiting.pop()
        if type(edge) is OutputOf:
            edge = edge.node
        if edge is None or id(edge) in seen:
            continue
        seen.add(id(edge))
        if isinstance(edge, Node):
            waiting += edge.edges
        else:
            found[id(edge)] = edge
    return list(found.values())


class Call:
    """A call of a program, to be made again without it where its gradients are to be differentiated."""

    __slots__ = ("arguments", "leaves", "program", "versions")

    def __init__(self, program: Program, arguments: tuple[tuple, dict], leaves: list[Tensor]):
        self.program, self.arguments, self.leaves = program, arguments, leaves
        self.versions = [0 if t._changes is None else t._changes[0] for t in leaves]

    def gradients(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """The gradients of the leaves, with a history: from a call of the function, uncompiled.

        Raises `RuntimeError` where another call would do something else, or would not be without consequences.
        """
        program, trace = self.program, self.program.trace
        described = leaves_of(trace.results)
        places = [
            next((k for k, x in enumerate(described) if x is trace.new[root]), -1) for root in program.roots
        ]
        same = self.versions == [t._version_number() for t in self.leaves]
        if not same or not program.is_repeatable or -1 in places or any(type(x) is Container for x in described):
            raise RuntimeError(
                "flambeau.compile: the backward pass of a compiled function that draws random numbers, or that changes "
                "tensors or other objects, cannot be differentiated again (create_graph=True); call the function "
                "uncompiled for that."
            )
        with enable_grad():
            twins: dict[int, Tensor] = {}
            args, kwargs = map_tensors(self.arguments, lambda t: twins.setdefault(id(t), _twin(t)))
            self._check_apart(twins)
            results = leaves_of(program.function(*args, **kwargs))
            outputs = [(results[k], g) for k, g in zip(places, grads, strict=True) if g is not None]
            return engine.grad(
                [t for t, _ in outputs],
                [twins.get(id(t), t) for t in self.leaves],
                [g for _, g in outputs],
                create_graph=True,
                allow_unused=True,
            )

    def _check_apart(self, twins: dict[int, Tensor]) -> None:
        """Arguments that are made of the captured tensors would get gradients for these twice."""
        captured = {id(t): t for t in self.leaves if id(t) not in twins}
        given = _leaves([t._edge() for t in twins.values()])
        if any(t._fresh_node() is not None for t in captured.values()) or any(id(t) in captured for t in given):
            raise RuntimeError(
                "flambeau.compile: the backward pass of a compiled function whose arguments depend on tensors that it "
                "uses besides cannot be differentiated again (create_graph=True); call the function uncompiled for that."
            )


def _twin(tensor: Tensor) -> Tensor:
    """An argument anew, whose gradient goes on to it: so that gradients can end at the argument."""
    if not tensor.requires_grad:
        return tensor
    made = tensor.as_subclass(type(tensor))
    made._node, made._view, made._requires_grad = Copied(tensor._edge()), None, True
    return made


class CompiledBackward(Node):
    """The backward pass of a compiled function, compiled too."""

    __slots__ = ("call", "graph", "number_of_outputs", "plan", "saved", "versions")

    def __init__(self, edges: tuple, plan: Backward, saved: list[np.ndarray], versions: list, call: Call):
        super().__init__(edges)
        self.call = call
        self.plan, self.saved, self.versions = plan, saved, versions
        self.number_of_outputs = len(plan.roots)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return self.number_of_outputs

    def release(self) -> None:
        self.saved, self.call = [], None  # type: ignore[assignment]

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        for tensor, version in self.versions:
            if tensor._version_number() != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: a tensor of shape {list(tensor.shape)} is at version "
                    f"{tensor._version_number()}; expected version {version} instead."
                )
        graph = self.plan.graph
        if graph is None or len(self.saved) != len(self.plan.residuals):
            raise RuntimeError(FREED_MESSAGE)
        if modes.grad_enabled:
            return self.call.gradients(grads)
        code = executable(graph, {}, self.plan.tune)
        tangents = [
            np.zeros(v.shape, v.dtype) if g is None else np.ascontiguousarray(g._array)
            for g, v in zip(grads, graph.inputs, strict=False)
        ]
        found = run_once(code, [*tangents, *self.saved])
        if any(g is None for g in grads):
            arrived = {k for k, g in enumerate(grads) if g is not None}
            return [
                None if k < 0 or arrived.isdisjoint(needs) else wrap(found[k])
                for k, needs in zip(self.plan.found, self.plan.needs, strict=True)
            ]
        return [None if k < 0 else wrap(found[k]) for k in self.plan.found]


def attach(
    program: Program,
    arguments: Sequence[Tensor],
    inputs: list[np.ndarray],
    outputs: list[np.ndarray],
    made: list[Tensor],
    call: tuple[tuple, dict],
) -> None:
    """Gives the new results their history."""
    plan = program.backward
    assert plan is not None
    leaves = []
    for leaf in plan.leaves:
        if type(leaf) is Captured:
            leaves.append(leaf.tensor)
        elif type(leaf) is Argument:
            leaves.append(arguments[leaf.position])
        else:
            leaves.append(made[program.trace.new.index(leaf)])
    saved, versions, sources = [], [], program.trace.sources
    for kind, k in plan.residuals:
        if kind == "output":
            saved.append(outputs[k])
            continue
        saved.append(inputs[k])
        source = sources[k]
        known = type(source)
        if known is Captured or known is Argument:
            tensor = source.tensor if known is Captured else arguments[source.position]
            versions.append((tensor, 0 if tensor._changes is None else tensor._changes[0]))
        elif known is HostNumber or known is GivenNumber:
            saved[-1] = inputs[k].copy()
    edges = tuple([t._edge() for t in leaves])
    node = CompiledBackward(edges, plan, saved, versions, Call(program, call, leaves))
    for slot, k in enumerate(plan.roots):
        tensor = made[k]
        tensor._node = node if len(plan.roots) == 1 else OutputOf(node, slot)
        tensor._requires_grad = True
