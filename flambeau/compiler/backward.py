"""Gradients of a program's results: the backward pass, traced and compiled as a program of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.modes import modes
from flambeau.autograd.node import FREED_MESSAGE, Node, OutputOf
from flambeau.compiler.executables import executable, run_once
from flambeau.compiler.graph import Graph, Value
from flambeau.compiler.graph import Node as GraphNode
from flambeau.compiler.results import Returned
from flambeau.compiler.sources import Argument, Captured, GivenNumber, HostNumber, Tangent
from flambeau.compiler.symbols import Symbol
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import Untraceable

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
    """

    def __init__(self) -> None:
        self.leaves: list[Any] = []
        self.roots: list[int] = []
        self.graph: Graph | None = None
        self.residuals: list[tuple[str, int]] = []
        self.found: list[int] = []
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
    return made


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


class CompiledBackward(Node):
    """The backward pass of a compiled function, compiled too."""

    __slots__ = ("graph", "number_of_outputs", "plan", "saved", "versions")

    def __init__(self, edges: tuple, plan: Backward, saved: list[np.ndarray], versions: list):
        super().__init__(edges)
        self.plan, self.saved, self.versions = plan, saved, versions
        self.number_of_outputs = len(plan.roots)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return self.number_of_outputs

    def release(self) -> None:
        self.saved = []

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        if modes.grad_enabled:
            raise RuntimeError(
                "flambeau.compile: the backward pass of a compiled function cannot be "
                "differentiated again (create_graph=True); call the function uncompiled for that."
            )
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
        code = executable(graph, {}, self.plan.tune)
        tangents = [
            np.zeros(v.shape, v.dtype) if g is None else np.ascontiguousarray(g._array)
            for g, v in zip(grads, graph.inputs, strict=False)
        ]
        found = run_once(code, [*tangents, *self.saved])
        return [None if k < 0 else wrap(found[k]) for k in self.plan.found]


def attach(
    program: Program,
    arguments: Sequence[Tensor],
    inputs: list[np.ndarray],
    outputs: list[np.ndarray],
    made: list[Tensor],
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
    saved, versions = [], []
    for kind, k in plan.residuals:
        if kind == "output":
            saved.append(outputs[k])
            continue
        saved.append(inputs[k])
        source = program.trace.sources[k]
        match source:
            case Argument(position):
                versions.append((arguments[position], arguments[position]._version_number()))
            case Captured():
                versions.append((source.tensor, source.tensor._version_number()))
            case HostNumber() | GivenNumber():
                saved[-1] = inputs[k].copy()
    node = CompiledBackward(tuple(t._edge() for t in leaves), plan, saved, versions)
    for slot, k in enumerate(plan.roots):
        tensor = made[k]
        tensor._node = node if len(plan.roots) == 1 else OutputOf(node, slot)
        tensor._requires_grad = True
