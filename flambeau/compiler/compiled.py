"""`flambeau.compile`: a function or module that traces itself at its first call and then runs natively."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.modes import modes
from flambeau.autograd.node import FREED_MESSAGE, Node, OutputOf
from flambeau.compiler.program import Program
from flambeau.compiler.recorder import Recorder, Symbol, blame
from flambeau.compiler.values import Value
from flambeau.core.state import set_tracer, state
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import Untraceable

#: Programs that one compiled function keeps, for different shapes and settings.
MOST_PROGRAMS = 16


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable = "cpu",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """A compiled form of a function, a module, or a whole training step.

    At the first call, and again for other shapes, dtypes, modes or constants, the program runs once on
    symbols; from then on one native program does what it did, with the same results. What cannot be traced
    runs eagerly, with one warning that names the line.

    fullgraph: raise `RuntimeError` instead of running eagerly.
    backend: "cpu" (also "inductor", PyTorch's default) or "eager", which runs the program as it is.
    mode: "default", "reduce-overhead" or "max-autotune": accepted, one schedule is known.
    dynamic, options: only `None`, `False` and no options.
    """
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options,
            disable=disable,
        )  # fmt: skip
    if not callable(model):
        raise RuntimeError(f"flambeau.compile takes a function or a module, got {type(model).__name__}")
    if mode not in (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"):
        raise RuntimeError(f"unrecognized mode={mode!r}, one of default, reduce-overhead, max-autotune")
    if mode is not None and options is not None:
        raise RuntimeError("either mode or options can be specified, but both can't be specified at the same time.")
    if options:
        raise RuntimeError(f"unexpected optimization options {sorted(options)}: none is known")
    if dynamic:
        raise NotImplementedError("compile(dynamic=True): each shape gets a program of its own")
    if backend not in ("cpu", "inductor", "eager", "aot_eager"):
        raise RuntimeError(f"invalid backend {backend!r}: one of 'cpu' (or 'inductor'), 'eager'")
    if disable or backend in ("eager", "aot_eager"):
        return model
    from flambeau.nn.module import Module

    if isinstance(model, Module):
        model.forward = Compiled(model.forward, fullgraph, model)  # type: ignore[method-assign]
        return model
    made = Compiled(model, fullgraph)
    functools.update_wrapper(made, model)
    return made


class Compiled:
    """A function with the programs that its calls have been traced to."""

    def __init__(self, function: Callable[..., Any], fullgraph: bool, module: Any = None):
        self.function = function
        self.fullgraph = fullgraph
        self.module = module
        self.traces: dict[Any, list[Trace]] = {}
        self.gave_up: dict[Any, bool] = {}
        self.warned = False

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.tracer is not None:  # inside another program that is being traced
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        key = (_key((args, kwargs), tensors), modes.grad_enabled, modes.inference)
        for trace in self.traces.get(key, ()):
            if trace.holds():
                return trace.run(tensors)
        if key in self.gave_up:
            return self.function(*args, **kwargs)
        count = sum(map(len, self.traces.values()))
        if count >= MOST_PROGRAMS:
            self._warn(
                f"{self._name()} has been traced {count} times, for different shapes or settings: further "
                "ones run eagerly"
            )
            self.gave_up[key] = True
            return self.function(*args, **kwargs)
        try:
            trace = Trace(self.function, args, kwargs, tensors, self.module)
        except Untraceable as e:
            if self.fullgraph:
                raise RuntimeError(f"{self._name()} cannot be traced as a whole: {e}\n  at {blame(e)}") from e
            self._warn(f"{self._name()} runs eagerly: {e}\n  at {blame(e)}")
            self.gave_up[key] = True
            return self.function(*args, **kwargs)
        self.traces.setdefault(key, []).append(trace)
        return trace.run(tensors)

    def _name(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__name__)

    def _warn(self, text: str) -> None:
        if not self.warned:
            self.warned = True
            warnings.warn(text, UserWarning, stacklevel=3)

    def explain(self) -> str:
        """The graphs of the programs so far, their kernels, and what runs outside of them and why."""
        parts = [t.explain() for traces in self.traces.values() for t in traces]
        return "\n\n".join(parts) if parts else "not called yet"


def _key(tree: Any, tensors: list[Tensor]) -> Any:
    """What tells calls apart: tensors by shape, dtype and strides, the rest by value."""
    if isinstance(tree, Tensor):
        tensors.append(tree)
        array = tree._array
        return (array.shape, array.dtype.str, array.strides, tree.requires_grad)
    if isinstance(tree, (list, tuple)):
        return (type(tree), *[_key(x, tensors) for x in tree])
    if isinstance(tree, dict):
        return ("dict", *[(k, _key(v, tensors)) for k, v in tree.items()])
    try:
        hash(tree)
    except TypeError:
        return id(tree)
    return (type(tree), tree)


def _mapped(tree: Any, function: Callable[[Tensor], Any]) -> Any:
    """`tree` with every tensor replaced."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, tuple):
        items = [_mapped(x, function) for x in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [_mapped(x, function) for x in tree]
    if isinstance(tree, dict):
        return {k: _mapped(v, function) for k, v in tree.items()}
    return tree


class Trace:
    """One traced run of a function, its guards, and the program made of it."""

    def __init__(
        self, function: Callable[..., Any], args: tuple, kwargs: dict, tensors: Sequence[Tensor], module: Any
    ):
        self.recorder = recorder = Recorder()
        self.arguments: list[Value] = []
        stand_ins: dict[int, Tensor] = {}
        self.leaves: list[tuple[Tensor, int]] = []  # symbolic leaf arguments, with their number
        layouts: dict[int, tuple[int, ...]] = {}

        def stand_in(t: Tensor) -> Tensor:
            made = stand_ins.get(id(t))
            if made is None:
                value = recorder.graph.input(t._array.shape, t._array.dtype)
                made = stand_ins[id(t)] = wrap(recorder.symbol(value))
                made._requires_grad = t.requires_grad
                self.arguments.append(value)
                self.leaves.append((made, len(self.arguments) - 1))
                layouts[value.number] = tuple(s // t._array.itemsize for s in t._array.strides)
            return made

        self.distinct = [i for i, t in enumerate(tensors) if not any(t is u for u in tensors[:i])]
        self.watched = Watched(function, module)
        set_tracer(recorder)
        before = modes.grad_enabled
        try:
            result = function(*_mapped(args, stand_in), **_mapped(kwargs, stand_in))
            self._finish(result)
        finally:
            modes.grad_enabled = before
            set_tracer(None)
            self._undo()
        for value, read in recorder.captured:
            array = read()
            layouts[value.number] = tuple(s // array.itemsize for s in array.strides)
        self.watched.settle()
        self._build(layouts)

    # Tracing ------------------------------------------------------------------------------------

    def _finish(self, result: Any) -> None:
        """Takes stock at the end of the traced run: results, writes, gradients, the backward pass."""
        recorder = self.recorder
        self.results: list[Value] = []
        self.histories: list[str] = []  # of each result: "none", "live" or "freed"
        roots: list[Tensor] = []

        def note(t: Tensor) -> Any:
            if not isinstance(t._array, Symbol) and id(t._array) not in recorder.shadows:
                return _Same(t)
            for made, number in self.leaves:
                if made is t and not t._array.storage.changed:
                    return _Argument(number)
            if isinstance(t._array, np.ndarray):
                return _Same(t)
            self.results.append(recorder.value_of(t))
            history = "none"
            if t._node is not None:
                history = "freed" if _is_freed(t) else "live"
                if history == "live":
                    roots.append(t)
            self.histories.append(history)
            return _Result(len(self.results) - 1)

        self.tree = _mapped(result, note)
        self.updates = recorder.changed_tensors()
        for made, number in self.leaves:
            if made._array.storage.changed:
                self.updates.append((made, self.arguments[number], made._array.storage.value))
        self.written_arguments = {id(m): n for m, n in self.leaves if m._array.storage.changed}
        self.grads: list[tuple[Tensor, Value | None]] = []
        for tensor, grad in recorder.grads.values():
            if grad is None:
                self.grads.append((tensor, None))
            elif isinstance(grad._array, Symbol):
                self.grads.append((tensor, recorder.value_of(grad)))
            elif tensor._grad is not grad:
                raise Untraceable("a gradient is set to a tensor from outside the program")
        self.backward: Any = None
        if roots:
            self._trace_backward(roots)

    def _trace_backward(self, roots: list[Tensor]) -> None:
        """Traces the gradients of the results for the leaves: the program of the backward pass."""
        recorder = self.recorder
        found: dict[int, Tensor] = {}
        seen: set[int] = set()
        stack = [t._node.node if type(t._node) is OutputOf else t._node for t in roots]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            for edge in node.edges:
                if edge is None:
                    continue
                if type(edge) is OutputOf:
                    stack.append(edge.node)
                elif isinstance(edge, Node):
                    stack.append(edge)
                else:
                    found[id(edge)] = edge
        leaves = list(found.values())
        first = len(recorder.graph.inputs)
        seeds = []
        for t in roots:
            value = recorder.graph.input(t._array.shape, t._array.dtype)
            seeds.append(wrap(recorder.symbol(value)))
        grads = engine.run_backward(
            [t._edge() for t in roots], seeds, keep_graph=True, create_graph=False, targets=leaves
        )
        outs = [grads.get(id(leaf)) for leaf in leaves]
        self.backward = Backward(
            leaves=[self._leaf(leaf) for leaf in leaves],
            seeds=recorder.graph.inputs[first:],
            outputs=[None if g is None else recorder.value_of(g) for g in outs],
        )

    def _leaf(self, leaf: Tensor) -> Any:
        for made, number in self.leaves:
            if made is leaf:
                return number
        return leaf

    def _undo(self) -> None:
        """Puts real tensors back as they were before the trace."""
        for tensor, grad in self.recorder.grads_before.values():
            tensor._grad = grad

    # Building -----------------------------------------------------------------------------------

    def _build(self, layouts: dict[int, tuple[int, ...]]) -> None:
        recorder, graph = self.recorder, self.recorder.graph
        residuals: list[Value] = []
        if self.backward is not None:
            residuals = self.backward.residuals(graph, [*self.results, *(v for _, _, v in self.updates)])
        inputs = [*self.arguments, *(v for v, _ in recorder.captured), *(v for v, _, _ in recorder.hosted)]
        self.grad_values = [v for _, v in self.grads if v is not None]
        self.program = Program(
            graph, inputs, [*self.results, *self.grad_values, *residuals],
            [(before, after) for _, before, after in self.updates], layouts,
        )  # fmt: skip
        if self.backward is not None:
            self.backward.build(graph, residuals)
        self.residual_count = len(residuals)
        self.numbers = [np.zeros(()) if is_number else None for _, _, is_number in recorder.hosted]
        self.expected = [
            (read, read().shape, read().dtype, read().strides) for _, read in recorder.captured
        ]

    def explain(self) -> str:
        """What the program is made of."""
        units = self.program.units
        native = sum(len(u.steps) for u in units)
        lines = [
            f"{len(self.program.lowering.nodes)} operators in {native} kernels, "
            f"{len(self.program.segments)} segments, arena {self.program.arena_bytes / 2**20:.2f} MiB"
        ]
        for unit in units:
            out = ", ".join(f"{v.dtype}{list(v.shape)}" for v in unit.outputs)
            taken = [n.primitive.name for n in unit.fused if n is not unit.node]
            text = f"  {unit.node.primitive.name:24} {out}"
            if taken:
                text += f"  with {', '.join(reversed(taken))}"
            if unit.host:
                text += f"  (on the host: {unit.why})"
            lines.append(text)
        return "\n".join(lines)

    # Running ------------------------------------------------------------------------------------

    def holds(self) -> bool:
        """Whether everything that the trace took for granted is still so."""
        if not self.watched.unchanged():
            return False
        for condition, value in self.recorder.guards:
            if condition() != value:
                return False
        for read, shape, dtype, strides in self.expected:
            array = read()
            if array.shape != shape or array.dtype != dtype or array.strides != strides:
                return False
        return True

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """One call: reads the inputs, runs the program, does what is left to do."""
        given = [tensors[i] for i in self.distinct]
        arrays = [t._array for t in given]
        arrays += [read() for _, read in self.recorder.captured]
        for (_, read, is_number), number in zip(self.recorder.hosted, self.numbers, strict=True):
            if is_number:
                number[()] = read()  # type: ignore[index]
                arrays.append(number)  # type: ignore[arg-type]
            else:
                arrays.append(np.ascontiguousarray(read()))
        made = self.program(arrays)
        count = len(self.results)
        for tensor, before, _ in self.updates:
            number = self.written_arguments.get(id(tensor))
            target = tensor if number is None else given[number]
            if number is not None:
                target._check_inplace()
            target._bump()
            del before
        grads = iter(made[count : count + len(self.grad_values)])
        for tensor, value in self.grads:
            tensor._grad = None if value is None else wrap(next(grads))
        results = [wrap(a) for a in made[:count]]
        if modes.inference:
            for r in results:
                r._own_extra().inference = True
        if self.backward is not None and modes.grad_enabled:
            self.backward.attach(
                [r for r, h in zip(results, self.histories, strict=True) if h == "live"],
                made[len(made) - self.residual_count :] if self.residual_count else [],
                given,
            )
        for r, history in zip(results, self.histories, strict=True):
            if history == "freed":
                r._node, r._requires_grad = FreedNode(()), True
        return _filled(self.tree, results, given)


class _Result(int):
    """Marks where result number n stands in what the function returned."""


class _Argument(int):
    """Marks where argument number n was returned as it came."""


class _Same:
    """Marks a tensor from outside that was returned as it is."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


def _filled(tree: Any, results: Sequence[Tensor], arguments: Sequence[Tensor]) -> Any:
    if isinstance(tree, _Result):
        return results[tree]
    if isinstance(tree, _Argument):
        return arguments[tree]
    if isinstance(tree, _Same):
        return tree.tensor
    if isinstance(tree, tuple):
        items = [_filled(x, results, arguments) for x in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [_filled(x, results, arguments) for x in tree]
    if isinstance(tree, dict):
        return {k: _filled(v, results, arguments) for k, v in tree.items()}
    return tree


def _is_freed(tensor: Tensor) -> bool:
    """Whether a backward pass has already gone through the history of `tensor`."""
    from flambeau.ops.table import FREED

    seen: set[int] = set()
    node = tensor._node.node if type(tensor._node) is OutputOf else tensor._node
    stack = [node]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if getattr(node, "saved", None) is FREED:
            return True
        for edge in node.edges:
            if type(edge) is OutputOf:
                stack.append(edge.node)
            elif isinstance(edge, Node):
                stack.append(edge)
    return False


class FreedNode(Node):
    """The history of a result whose backward pass the compiled program has run itself."""

    __slots__ = ()

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        raise RuntimeError(FREED_MESSAGE)

    def name(self) -> str:
        return "CompiledFunctionBackward"


class Backward:
    """The backward program of a compiled function, and how it joins the graph of each call."""

    def __init__(self, leaves: list[Any], seeds: list[Value], outputs: list[Value | None]):
        self.leaves, self.seeds, self.outputs = leaves, seeds, outputs

    def residuals(self, graph: Any, forward_results: Sequence[Value]) -> list[Value]:
        """What the forward program must keep for this one: values that do not depend on the seeds."""
        seeds = {v.number for v in self.seeds}
        late: set[int] = set(seeds)
        nodes = graph.needed([v for v in self.outputs if v is not None])
        for node in nodes:
            if any(v.number in late for v in node.values):
                late.update(o.number for o in node.outputs)
        found: dict[int, Value] = {}
        for node in nodes:
            if any(o.number in late for o in node.outputs):
                for v in node.values:
                    if v.number not in late and v.constant is None:
                        found[v.number] = v
        for v in self.outputs:
            if v is not None and v.number not in late and v.constant is None:
                found[v.number] = v
        return list(found.values())

    def build(self, graph: Any, residuals: Sequence[Value]) -> None:
        """Compiles it, with the residuals and the seeds as its inputs."""
        cut = _Cut(graph, residuals)
        outputs = [v for v in self.outputs if v is not None]
        self.program = Program(cut, [*residuals, *self.seeds], outputs, [], {})  # type: ignore[arg-type]

    def attach(self, results: list[Tensor], residuals: list[np.ndarray], given: Sequence[Tensor]) -> None:
        """Gives the results of a call their history."""
        edges = tuple(
            (given[leaf] if isinstance(leaf, int) else leaf)._edge() for leaf in self.leaves
        )
        if all(e is None for e in edges):
            return
        node = CompiledBackward(edges, self, residuals, len(results))
        for slot, r in enumerate(results):
            r._requires_grad = True
            r._node = node if len(results) == 1 else OutputOf(node, slot)


class _Cut:
    """A graph in which the residuals are inputs."""

    def __init__(self, graph: Any, residuals: Sequence[Value]):
        self.graph = graph
        self.known = {v.number for v in residuals}

    def needed(self, results: Sequence[Value]) -> list[Any]:
        wanted: set[int] = set()
        stack = [v for v in results if v.number not in self.known]
        while stack:
            value = stack.pop()
            node = value.node
            if node is None or id(node) in wanted:
                continue
            wanted.add(id(node))
            stack += [v for v in node.values if v.number not in self.known]
        return [n for n in self.graph.nodes if id(n) in wanted]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.graph, name)


class CompiledBackward(Node):
    """The backward of one call of a compiled function."""

    __slots__ = ("backward", "count", "kept")

    def __init__(self, edges: tuple, backward: Backward, kept: list[np.ndarray], count: int):
        super().__init__(edges)
        self.backward, self.kept, self.count = backward, kept, count

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return self.count

    def name(self) -> str:
        return "CompiledFunctionBackward"

    def release(self) -> None:
        self.kept = None  # type: ignore[assignment]

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        if self.kept is None:
            raise RuntimeError(FREED_MESSAGE)
        if modes.grad_enabled:
            raise NotImplementedError(
                "a compiled function's backward pass cannot be differentiated again: call the function "
                "itself, uncompiled, for create_graph=True"
            )
        seeds = [
            np.zeros(s.shape, s.dtype) if g is None else np.ascontiguousarray(g._array).reshape(s.shape)
            for g, s in zip(grads, self.backward.seeds, strict=True)
        ]
        made = iter(self.backward.program([*self.kept, *seeds]))
        return [None if v is None else wrap(next(made)) for v in self.backward.outputs]


class Watched:
    """Python values that a trace took as constants: modes and settings of modules, globals, closures."""

    _SIMPLE = (bool, int, float, str, type(None), tuple)

    def __init__(self, function: Callable[..., Any], module: Any):
        from flambeau.nn.module import Module

        found: list[Any] = [] if module is None else [module]
        self.slots: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[Any, Any]] = []
        inner = getattr(function, "__func__", function)
        owner = getattr(function, "__self__", None)
        if isinstance(owner, Module):
            found.append(owner)
        elif owner is not None and hasattr(owner, "__dict__"):
            found += [v for v in vars(owner).values() if isinstance(v, Module)]
            self._watch(vars(owner))
        for cell in getattr(inner, "__closure__", None) or ():
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            if isinstance(content, Module):
                found.append(content)
            if isinstance(content, self._SIMPLE) or isinstance(content, Module):
                self.cells.append((cell, content))
        code, scope = getattr(inner, "__code__", None), getattr(inner, "__globals__", {})
        for name in code.co_names if code is not None else ():
            if name in scope:
                if isinstance(scope[name], Module):
                    found.append(scope[name])
                if isinstance(scope[name], (*self._SIMPLE, Module)):
                    self.slots.append((scope, name, scope[name]))
        if isinstance(function, Module):
            found.append(function)
        seen: set[int] = set()
        self.modules = [
            m for top in found for m in top.modules() if id(m) not in seen and not seen.add(id(m))  # type: ignore[func-returns-value]
        ]

    def _watch(self, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            if isinstance(value, self._SIMPLE):
                self.slots.append((attributes, name, value))

    def settle(self) -> None:
        """Notes the values as the trace left them."""
        for m in self.modules:
            self._watch(m.__dict__)
            for part in (m._parameters, m._buffers, m._modules):
                self.slots += [(part, name, value) for name, value in part.items()]

    def unchanged(self) -> bool:
        for slots, name, value in self.slots:
            now = slots.get(name)
            if now is not value and not (isinstance(value, self._SIMPLE) and now == value and type(now) is type(value)):
                return False
        return all(cell.cell_contents is content for cell, content in self.cells)
