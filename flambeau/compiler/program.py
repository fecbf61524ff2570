"""A traced program that can be called: inputs are gathered, the code runs, effects take place."""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from time import perf_counter_ns
from typing import Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.modes import modes
from flambeau.autograd.node import FREED_MESSAGE, Node, OutputOf
from flambeau.compiler.autotune import tuned
from flambeau.compiler.backends.cpu import Executable
from flambeau.compiler.graph import Graph, Value, extracted
from flambeau.compiler.graph import Node as GraphNode
from flambeau.compiler.guards import World, hooks_of
from flambeau.compiler.passes import simplified
from flambeau.compiler.schedule import Schedule
from flambeau.compiler.trace import (
    DETACHED,
    Argument,
    Captured,
    GradientOf,
    HostArray,
    HostNumber,
    Result,
    Same,
    Symbol,
    Tangent,
    Trace,
    Tracer,
    map_tensors,
    map_tree,
)
from flambeau.core.memory import address
from flambeau.core.state import state
from flambeau.core.switches import exact_convolutions
from flambeau.tensor.tensor import Tensor, wrap

#: Executables of this process by the hash of their graphs.
_executables: dict[Any, Executable] = {}


def executable(graph: Graph, written: dict[int, int], tune: bool = False) -> Executable:
    """The native form of a graph; equal graphs share it. `tune`: the fastest of several schedules."""
    exact = exact_convolutions()
    key = (graph.key(), tuple(sorted(written.items())), tune, exact)
    found = _executables.get(key)
    if found is None:
        simple = simplified(graph)
        if tune and not exact:
            found = tuned(simple, written, _try)
        else:
            found = Executable(simple, written, schedule=Schedule(winograd=not exact))
        _executables[key] = found
    return found


def _try(code: Executable) -> None:
    """Runs a program on zeros."""
    run_once(code, [np.zeros(v.shape, v.dtype) for v in code.graph.inputs])


class Backward:
    """The part of a program that computes gradients of its arguments and parameters.

    Attributes:
        leaves: positions of arguments, or tensors from outside.
        roots: for each result with a gradient, its number among the results.
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


def trace_backward(tracer: Tracer, results: Any) -> Backward | None:
    """Records the backward pass of what a function returned, from symbolic gradients."""
    if not modes.grad_enabled:
        return None
    tensors: list[Tensor] = []
    map_tensors(results, tensors.append)
    # A view of a tensor from outside gets its history when it is taken again at each call.
    roots = list(
        {
            id(t): t
            for t in tensors
            if t.requires_grad
            and t._node is not None
            and isinstance(t._array, Symbol)
            and t._array.storage.source < 0
        }.values()
    )
    if not roots:
        return None
    made = Backward()
    for tensor in tensors:
        tracer.value_of(tensor)  # views among the results are part of the forward program
    count = len(tracer.graph.nodes)
    made.forward = set(tracer.graph.nodes)
    leaves = _leaves([t._edge() for t in roots])
    tangents = []
    for k, root in enumerate(roots):
        symbol = tracer.input(Tangent(k), tracer.symbol_of(root))
        tangents.append(wrap(tracer.fresh(symbol.storage.value)))
        made.tangents.append(symbol.storage.value)
    ids = {id(t): k for k, t in enumerate(tensors)}
    made.roots = [ids[id(t)] for t in roots]
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
        grad = found.get(id(leaf))
        made.leaves.append(tracer.arguments.get(id(leaf), leaf))
        made.values.append(None if grad is None else tracer.value_of(grad))
    return made


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


class Program:
    """One traced and compiled specialisation of a function."""

    def __init__(
        self,
        trace: Trace,
        backward: Backward | None,
        arguments: Sequence[Tensor],
        kept_gradients: dict[Any, Tensor],
        tune: bool = False,
    ):
        self.trace, self.backward, self.tune = trace, backward, tune
        #: The gradients of the run before, by their owner; all programs of a function share them.
        self.kept_gradients = kept_gradients
        self.guards = trace.guards
        self.world = World()
        graph = self._split(trace.graph, backward)
        count = len(graph.outputs)
        self.written = {}
        results_and_more = count - self.residual_count
        gradients = sum(has for _, has in trace.gradients)
        first_write = results_and_more - gradients - len(trace.writes)
        self.first_write, self.first_gradient = first_write, first_write + len(trace.writes)
        for k, source in enumerate(trace.writes):
            self.written[first_write + k] = source
        self.graph = graph
        self.code = executable(graph, self.written, tune)
        if backward is not None:
            backward.tune = tune
        self._bind(arguments)

    def _split(self, graph: Graph, backward: Backward | None) -> Graph:
        """The forward graph; what the backward one needs becomes further outputs."""
        self.residual_count = 0
        if backward is None or backward.freed:
            return graph
        forward = [n for n in graph.nodes if n in backward.forward]
        after = [n for n in graph.nodes if n not in backward.forward]
        tangents = set(backward.tangents)
        made = set(v for n in forward for v in n.outputs)
        inputs = [v for v in graph.inputs if v not in tangents]
        wanted = backward.wanted
        inner = {v for n in after for v in n.outputs}
        read = dict.fromkeys(v for n in after for v in n.values if v not in inner)
        read.update(dict.fromkeys(v for v in wanted if v not in inner))
        residuals = [v for v in read if v not in tangents and v.constant is None]
        outputs = list(graph.outputs)
        for value in residuals:
            if value in made:
                backward.residuals.append(("output", len(outputs)))
                outputs.append(value)
                self.residual_count += 1
            else:
                backward.residuals.append(("input", inputs.index(value)))
        backward.graph = extracted(after, [*backward.tangents, *residuals], wanted)
        numbers = iter(range(len(wanted)))
        backward.found = [-1 if v is None else next(numbers) for v in backward.values]
        self.trace.sources = [s for s in self.trace.sources if not isinstance(s, Tangent)]
        return extracted(forward, inputs, outputs)

    def _bind(self, arguments: Sequence[Tensor]) -> None:
        """Sorts the inputs by where they come from."""
        self.arguments: list[tuple[int, int]] = []
        self.captured: list[Tensor] = []
        self.captured_slots: list[int] = []
        self.held: list[np.ndarray] = []
        self.flags: list[tuple[Tensor, bool, tuple]] = []
        self.gradients_read: list[tuple[int, Tensor, tuple, np.dtype]] = []
        self.draws: list[tuple[int, Any]] = []
        reads: list[Any] = []
        number_slots: list[int] = []
        self.specs: list[Any] = []
        for slot, source in enumerate(self.trace.sources):
            match source:
                case Argument(position):
                    self.arguments.append((slot, position))
                case Captured(tensor):
                    self.captured.append(tensor)
                    self.captured_slots.append(slot)
                    array = tensor._array
                    self.held.append(array)
                    self.specs.append((array.shape, array.dtype, array.strides))
                    self.flags.append((tensor, tensor._requires_grad, hooks_of(tensor)))
                case GradientOf(owner):
                    grad = owner._grad._array
                    self.gradients_read.append((slot, owner, grad.shape, grad.dtype))
                case HostNumber(read):
                    reads.append(read)
                    number_slots.append(slot)
                case HostArray(read):
                    self.draws.append((slot, read))
        watched = {id(tensor) for tensor, _, _ in self.flags}
        for owner, _ in self.trace.gradients:
            if isinstance(owner, Tensor) and id(owner) not in watched:
                self.flags.append((owner, owner._requires_grad, hooks_of(owner)))
        slots = {id(source): slot for slot, source in enumerate(self.trace.sources)}
        self.checks = [(slots[id(c.source)], c) for c in self.trace.checks if id(c.source) in slots]
        self.reads, self.number_slots = reads, number_slots
        self.numbers = np.zeros(max(len(reads), 1))
        sources = self.trace.sources
        self.changed = [
            sources[w].tensor for w in self.trace.writes if isinstance(sources[w], Captured)
        ]
        self.changed_arguments = [
            sources[w].position for w in self.trace.writes if isinstance(sources[w], Argument)
        ]
        self.changed_gradients = [
            sources[w].owner for w in self.trace.writes if isinstance(sources[w], GradientOf)
        ]
        self.result_specs = [(v.shape, v.dtype) for v in self.graph.outputs]
        self.result_count = self.first_write

    # Guards -------------------------------------------------------------------------------------

    def fits(self) -> bool:
        """Whether the program is still right for the world as it is."""
        for condition, value in self.guards:
            if condition() != value:
                return False
        for tensor, requires_grad, hooks in self.flags:
            if tensor._requires_grad is not requires_grad:
                return False
            if tensor._extra is not None and hooks_of(tensor) != hooks:
                return False
        held = self.held
        for k, tensor in enumerate(self.captured):
            array = tensor._array
            if array is not held[k]:
                if (array.shape, array.dtype, array.strides) != self.specs[k]:
                    return False
                held[k] = array
        for _, owner, shape, dtype in self.gradients_read:
            grad = owner._grad
            if grad is None or grad._array.shape != shape or grad._array.dtype != dtype:
                return False
        return self.world.hold()

    # Running ------------------------------------------------------------------------------------

    def __call__(self, arguments: Sequence[Tensor]) -> Any:
        """Runs the program; the results as the function would have returned them."""
        with self.code.lock:
            if state.watcher is None:
                return self._run(arguments)
            start = perf_counter_ns()
            results = self._run(arguments)
            state.watcher("flambeau::compiled", [t._array for t in arguments], start, perf_counter_ns())
            return results

    def _run(self, arguments: Sequence[Tensor]) -> Any:
        code = self.code
        staged: list[tuple[np.ndarray, np.ndarray]] = []
        inputs: list[np.ndarray] = [None] * len(self.trace.sources)  # type: ignore[list-item]
        for slot, position in self.arguments:
            inputs[slot] = arguments[position]._array
        for slot, array in zip(self.captured_slots, self.held, strict=True):
            inputs[slot] = array
        for slot, owner, _, _ in self.gradients_read:
            inputs[slot] = owner._grad._array
        numbers = self.numbers
        for k, read in enumerate(self.reads):
            numbers[k] = read()
        for k, slot in enumerate(self.number_slots):
            inputs[slot] = numbers[k : k + 1].reshape(())
        for slot, read in self.draws:
            inputs[slot] = read()
        for slot, check in self.checks:
            check(inputs[slot])
        first, table, arrays = code.inputs, code.table, code.arrays
        for k, array in enumerate(inputs):
            if arrays[first + k] is array:
                continue
            if not array.flags.c_contiguous:
                ordered = np.ascontiguousarray(array)
                staged.append((array, ordered))
                inputs[k] = array = ordered
            arrays[first + k] = array
            table[first + k] = address(array)

        outputs = self._outputs(inputs)
        first = code.outputs
        for k, array in enumerate(outputs):
            if arrays[first + k] is not array:
                arrays[first + k] = array
                table[first + k] = address(array)
        code.run()
        for original, ordered in staged:
            original[...] = ordered
        for k in range(self.first_write):
            arrays[first + k] = None  # results belong to the caller alone
        return self._finish(arguments, inputs, outputs)

    def _outputs(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The arrays that the program writes: new ones, its inputs, gradients that are kept."""
        outputs = []
        gradient = 0
        kept = [k for k, (_, has) in enumerate(self.trace.gradients) if has]
        for k, (shape, dtype) in enumerate(self.result_specs):
            if k < self.first_write:
                outputs.append(np.empty(shape, dtype))
            elif k < self.first_gradient:
                outputs.append(inputs[self.written[k]])
            elif gradient < len(kept):
                outputs.append(self._gradient_memory(kept[gradient], k, shape, dtype))
                gradient += 1
            else:
                outputs.append(np.empty(shape, dtype))
        return outputs

    def _gradient_memory(self, k: int, number: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory for a gradient, output `number`: last time's, if nobody but its owner holds it."""
        owner = self.trace.gradients[k][0]
        if isinstance(owner, int):
            array = np.empty(shape, dtype)
            self.kept_gradients[owner] = wrap(array)
            return array
        kept = self.kept_gradients.get(id(owner))
        if kept is not None and kept._array.shape == shape and kept._array.dtype == dtype:
            # References: the dictionary's and `kept`, the call, and the owner's `.grad`.
            own = 3 + (owner._grad is kept)
            # The array's: the tensor, the call, and the table's list where it was this program's last.
            in_table = self.code.arrays[self.code.outputs + number] is kept._array
            if getrefcount(kept) == own and getrefcount(kept._array) == 2 + in_table:
                return kept._array
        del kept
        self.kept_gradients.pop(id(owner), None)
        array = np.empty(shape, dtype)
        self.kept_gradients[id(owner)] = wrap(array)
        return array

    def _finish(
        self, arguments: Sequence[Tensor], inputs: list[np.ndarray], outputs: list[np.ndarray]
    ) -> Any:
        for tensor in self.changed:
            tensor._bump()
        for position in self.changed_arguments:
            arguments[position]._bump()
        for owner in self.changed_gradients:
            owner._grad._bump()
        for owner, has in self.trace.gradients:
            key = owner if isinstance(owner, int) else id(owner)
            target = arguments[owner] if isinstance(owner, int) else owner
            target._grad = self.kept_gradients[key] if has else None
        tensors: list[Tensor] = []
        made: dict[int, Tensor] = {}  # a tensor that is returned twice is one tensor

        def result(x: Any) -> Any:
            if id(x) in made:
                tensor = made[id(x)]
            elif isinstance(x, Result):
                tensor = wrap(outputs[x.output])
                if modes.inference:
                    tensor._own_extra().inference = True
            elif isinstance(x, Same):
                tensor = arguments[x.position] if x.tensor is None else x.tensor
                tensor = tensor.detach() if x.steps == DETACHED else replay(tensor, x.steps)
            else:
                return x
            tensors.append(tensor)
            made[id(x)] = tensor
            return tensor

        results = map_tree(self.trace.results, result)
        if self.backward is not None:
            attach(self, arguments, inputs, outputs, tensors)
        return results


# Gradients of results -------------------------------------------------------------------------------


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


def replay(tensor: Tensor, steps: Sequence[Any]) -> Tensor:
    """Takes view steps from a tensor."""
    for primitive, rest, attributes in steps:
        tensor = primitive(tensor, *rest, **attributes)
    return tensor


def run_once(code: Executable, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Runs a program on arrays; new arrays with its outputs."""
    outputs = [np.empty(v.shape, v.dtype) for v in code.graph.outputs]
    with code.lock:
        for first, arrays in ((code.inputs, inputs), (code.outputs, outputs)):
            for k, array in enumerate(arrays):
                array = array if array.flags.c_contiguous else np.ascontiguousarray(array)
                code.arrays[first + k] = array
                code.table[first + k] = address(array)
        code.run()
        for k in range(code.inputs, code.constants):
            code.arrays[k] = None
        for k in range(code.outputs, len(code.arrays)):
            code.arrays[k] = None
    return outputs


def attach(
    program: Program,
    arguments: Sequence[Tensor],
    inputs: list[np.ndarray],
    outputs: list[np.ndarray],
    tensors: list[Tensor],
) -> None:
    """Gives the results their history."""
    plan = program.backward
    assert plan is not None
    leaves = [arguments[leaf] if isinstance(leaf, int) else leaf for leaf in plan.leaves]
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
            case Captured(tensor):
                versions.append((tensor, tensor._version_number()))
            case HostNumber(_):
                saved[-1] = inputs[k].copy()
    node = CompiledBackward(tuple(t._edge() for t in leaves), plan, saved, versions)
    for slot, k in enumerate(plan.roots):
        tensor = tensors[k]
        tensor._node = node if len(plan.roots) == 1 else OutputOf(node, slot)
        tensor._requires_grad = True
