"""A traced program that can be called: inputs are gathered, the code runs, effects take place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, is_
from sys import getrefcount
from time import perf_counter_ns
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.compiler.backward import Backward, attach
from flambeau.compiler.executables import executable
from flambeau.compiler.graph import Graph, extracted
from flambeau.compiler.guards import World, hooks_of
from flambeau.compiler.numbers import Given, may_vary
from flambeau.compiler.sources import (
    Argument,
    Captured,
    Container,
    GivenNumber,
    GradientOf,
    HostArray,
    HostNumber,
    Result,
    Shown,
    Tangent,
    Trace,
)
from flambeau.compiler.trees import containers, fill, map_tree
from flambeau.core.state import state
from flambeau.tensor.tensor import Tensor, address, wrap

_array, _requires_grad, _extra = map(attrgetter, ("_array", "_requires_grad", "_extra"))


class Program:
    """One traced and compiled specialisation of a function."""

    def __init__(
        self,
        trace: Trace,
        backward: Backward | None,
        function: Callable[..., Any],
        arguments: Sequence[Tensor],
        world: World,
        kept_gradients: dict[Any, Tensor],
        tune: bool = False,
    ):
        self.trace, self.backward, self.tune, self.function = trace, backward, tune, function
        #: The gradients of the run before, by their owner; all programs of a function share them.
        self.kept_gradients = kept_gradients
        self.guards = trace.guards
        self.world = world
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
        trace, sources = self.trace, self.trace.sources
        self.arguments: list[tuple[int, int]] = []
        self.captured_slots: list[tuple[int, int]] = []
        self.gradients_read: list[tuple[int, Any, tuple, np.dtype]] = []
        self.draws: list[tuple[int, Any]] = []
        self.given: list[tuple[int, Any]] = []
        reads: list[Any] = []
        number_slots: list[int] = []
        #: The tensors of outside, their arrays, and what another in such a place must be like.
        self.captured = [c.tensor for c in trace.captured]
        self.requires_grad = [*map(_requires_grad, self.captured)]
        self.hooks = [*map(hooks_of, self.captured)]
        self.hooked = any(self.hooks)
        numbers = {c: k for k, c in enumerate(trace.captured)}
        for slot, source in enumerate(sources):
            match source:
                case Argument(position):
                    self.arguments.append((slot, position))
                case Captured():
                    self.captured_slots.append((slot, numbers[source]))
                case GradientOf(owner):
                    grad = _tensor(owner, arguments)._grad._array
                    self.gradients_read.append((slot, owner, grad.shape, grad.dtype))
                case HostNumber(read):
                    reads.append(read)
                    number_slots.append(slot)
                case GivenNumber(read):
                    self.given.append((slot, read))
                case HostArray(read):
                    self.draws.append((slot, read))
        slots = {id(source): slot for slot, source in enumerate(sources)}
        self.checks = [(slots[id(c.source)], c) for c in trace.checks if id(c.source) in slots]
        self.reads = reads
        self.numbers = np.zeros(max(len(reads), 1))
        self.result_specs = [(v.shape, v.dtype) for v in self.graph.outputs]
        self.written_slots = frozenset(trace.writes)
        self.leaf_positions = [o.position for o, _ in trace.gradients if isinstance(o, Argument)]
        self.writes_arguments = any(isinstance(sources[w], Argument) for w in trace.writes)
        self.had_gradient = [(owner, had) for owner, had in trace.had_gradient if isinstance(owner, Captured)]
        #: What writing moves the versions of.
        self.bumped = [s for s in (sources[w] for w in trace.writes) if isinstance(s, (Captured, Argument, GradientOf))]
        self.is_rare = bool(
            trace.environment is not None or trace.number_guards or trace.places or self.leaf_positions or trace.same
            or self.writes_arguments or len(self.had_gradient) < len(trace.had_gradient)
        )  # fmt: skip
        #: The inputs, those filled in that do not change from call to call.
        self.settled: list[np.ndarray] = [None] * len(sources)  # type: ignore[list-item]
        for k, slot in enumerate(number_slots):
            self.settled[slot] = self.numbers[k : k + 1].reshape(())
        self._hold([*map(_array, self.captured)])
        self.specs = [(a.shape, a.dtype, a.strides) for a in self.held]

    def _hold(self, arrays: list[np.ndarray]) -> None:
        """Takes the arrays of the tensors of outside, and notes which pieces of memory the program writes to."""
        self.held = arrays
        for slot, k in self.captured_slots:
            self.settled[slot] = arrays[k]
        slots = self.written_slots
        self.written_owners = {id(_memory(arrays[k])) for slot, k in self.captured_slots if slot in slots}

    # Guards -------------------------------------------------------------------------------------

    def fits(self, arguments: Sequence[Tensor], numbers: Sequence[Any] = ()) -> bool:
        """Whether the program is still right for the world as it is, and these numbers."""
        for condition, value in self.guards:
            if condition() != value:
                return False
        moved = self.world.moved()
        if moved is None or (moved and not self._rebind(moved, arguments)):
            return False
        captured = self.captured
        if [*map(_requires_grad, captured)] != self.requires_grad:
            return False
        if (self.hooked or any(map(_extra, captured))) and [*map(hooks_of, captured)] != self.hooks:
            return False
        if not all(map(is_, map(_array, captured), self.held)) and not self._takes_arrays():
            return False
        for owner, had in self.had_gradient:
            if (owner.tensor._grad is not None) is not had:
                return False
        for _, owner, shape, dtype in self.gradients_read:
            grad = _tensor(owner, arguments)._grad
            if grad is None or grad._array.shape != shape or grad._array.dtype != dtype:
                return False
        if self.written_owners:
            for _, position in self.arguments:
                array = arguments[position]._array
                if id(array if array.base is None else array.base) in self.written_owners:
                    return self._apart(arguments) and self._rest_fits(arguments, numbers)
        return not self.is_rare or self._rest_fits(arguments, numbers)

    def _rest_fits(self, arguments: Sequence[Tensor], numbers: Sequence[Any]) -> bool:
        """The conditions that few programs have."""
        trace = self.trace
        if trace.environment is not None and not trace.environment.holds():
            return False
        if (trace.number_guards or trace.places) and not self._numbers_fit(numbers):
            return False
        for owner, had in trace.had_gradient:
            if (_tensor(owner, arguments)._grad is not None) is not had:
                return False
        for position in self.leaf_positions:
            if arguments[position]._node is not None:
                return False
        for a, b in trace.same:
            if _tensor(a, arguments)._array is not _tensor(b, arguments)._array:
                return False
        return not self.writes_arguments or self._apart(arguments)

    def _takes_arrays(self) -> bool:
        """Takes the arrays that the tensors of outside have now, if they are like those of before."""
        arrays = [*map(_array, self.captured)]
        if [(a.shape, a.dtype, a.strides) for a in arrays] != self.specs:
            return False
        self._hold(arrays)
        return True

    def _numbers_fit(self, numbers: Sequence[Any]) -> bool:
        """Whether numbers lead where those led for which the program was traced."""
        try:
            if any(type(p.read()) is not kind or not may_vary(p.read()) for p, kind in self.trace.places):
                return False
            numbers = self._numbers(numbers)
            return all(condition(numbers) == value for condition, value in self.trace.number_guards)
        except (ArithmeticError, LookupError, ValueError):
            return False

    def _numbers(self, numbers: Sequence[Any]) -> Sequence[Any]:
        """The numbers of a call, those of arguments first."""
        places = self.trace.places
        return [*numbers, *(p.read() for p, _ in places)] if places else numbers

    def _rebind(self, moved: dict[int, tuple[Tensor, Tensor]], arguments: Sequence[Tensor]) -> bool:
        """Takes the tensors that now stand where others were found, if they are of the same kind."""
        now = list(self.captured)
        for k, tensor in enumerate(self.captured):
            if id(tensor) in moved:
                now[k] = new = moved[id(tensor)][1]
                array = new._array
                if type(new) is not type(tensor) or new._sparse or not isinstance(array, np.ndarray):
                    return False
                if (array.shape, array.dtype, array.strides) != self.specs[k]:
                    return False
                if (new._requires_grad, hooks_of(new)) != (self.requires_grad[k], self.hooks[k]):
                    return False
        if len({*map(id, now)}) < len(now):
            return False  # two have become one
        arrays = [id(t._array) for t in (*now, *arguments)]
        before = [id(a) for a in (*self.held, *(t._array for t in arguments))]
        if [*map(arrays.index, arrays)] != [*map(before.index, before)]:
            return False
        for old, _ in moved.values():
            self.kept_gradients.pop(id(old), None)
        for captured, tensor in zip(self.trace.captured, now, strict=True):
            captured.tensor = tensor
        self.captured = now
        self.world.accept(moved)
        return True

    def _apart(self, arguments: Sequence[Tensor]) -> bool:
        """Whether memory that the program writes to is not also that of another input."""
        given = [arguments[position]._array for _, position in self.arguments]
        owners = [id(_memory(a)) for a in given]
        if self.written_owners.isdisjoint(owners):
            if not self.writes_arguments:
                return True
            if len({*owners}) == len(owners) and not {id(_memory(a)) for a in self.held} & {*owners}:
                return True
        arrays = [(slot, a) for (slot, _), a in zip(self.arguments, given, strict=True)]
        arrays += [(slot, self.held[k]) for slot, k in self.captured_slots]
        return not any(
            slot != other and np.may_share_memory(a, b)
            for slot, a in arrays
            if slot in self.written_slots
            for other, b in arrays
        )

    # Running ------------------------------------------------------------------------------------

    @property
    def is_repeatable(self) -> bool:
        """Whether another call changes nothing and gives the same."""
        trace = self.trace
        return not (self.draws or trace.writes or trace.gradients or trace.stores or trace.contents or trace.places)

    @property
    def roots(self) -> list[int]:
        """Which of the new results have gradients."""
        return [] if self.backward is None else self.backward.roots

    def __call__(
        self, arguments: Sequence[Tensor], numbers: Sequence[Any] = (), call: tuple[tuple, dict] = ((), {})
    ) -> Any:
        """Runs the program; the results as the function would have returned them.

        `call`: the arguments as the function takes them.
        """
        with self.code.lock:
            if state.watcher is None:
                return self._run(arguments, numbers, call)
            start = perf_counter_ns()
            results = self._run(arguments, numbers, call)
            state.watcher("flambeau::compiled", [t._array for t in arguments], start, perf_counter_ns())
            return results

    def _run(self, arguments: Sequence[Tensor], given: Sequence[Any], call: tuple[tuple, dict]) -> Any:
        code = self.code
        staged: list[tuple[np.ndarray, np.ndarray]] = []
        inputs = self.settled.copy()
        for slot, position in self.arguments:
            inputs[slot] = arguments[position]._array
        for slot, owner, _, _ in self.gradients_read:
            inputs[slot] = _tensor(owner, arguments)._grad._array
        numbers = self.numbers
        for k, read in enumerate(self.reads):
            numbers[k] = read()
        if self.trace.places:
            given = self._numbers(given)
        for slot, read in self.given:
            inputs[slot] = np.asarray(read(given), np.float64)
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
                if k in self.written_slots:
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
        return self._finish(arguments, inputs, outputs, given, call)

    def _outputs(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The arrays that the program writes: new ones, its inputs, gradients that are kept."""
        outputs = [np.empty(shape, dtype) for shape, dtype in self.result_specs[: self.first_write]]
        outputs += [inputs[slot] for slot in self.trace.writes]
        for owner, has in self.trace.gradients:
            if has:
                shape, dtype = self.result_specs[len(outputs)]
                outputs.append(self._gradient_memory(owner, len(outputs), shape, dtype))
        outputs += [np.empty(shape, dtype) for shape, dtype in self.result_specs[len(outputs) :]]
        return outputs

    def _gradient_memory(
        self, owner: Argument | Captured, number: int, shape: tuple[int, ...], dtype: np.dtype
    ) -> np.ndarray:
        """Memory for a gradient, output `number`: last time's, if nobody but its owner holds it."""
        if isinstance(owner, Argument):
            array = np.empty(shape, dtype)
            self.kept_gradients[owner] = wrap(array)
            return array
        tensor = owner.tensor
        kept = self.kept_gradients.get(id(tensor))
        if kept is not None and kept._array.shape == shape and kept._array.dtype == dtype:
            # References: the dictionary's and `kept`, the call, and the owner's `.grad`.
            own = 3 + (tensor._grad is kept)
            # The array's: the tensor, the call, and the table's list where it was this program's last.
            in_table = self.code.arrays[self.code.outputs + number] is kept._array
            if getrefcount(kept) == own and getrefcount(kept._array) == 2 + in_table:
                return kept._array
        del kept
        self.kept_gradients.pop(id(tensor), None)
        array = np.empty(shape, dtype)
        self.kept_gradients[id(tensor)] = wrap(array)
        return array

    def _finish(
        self,
        arguments: Sequence[Tensor],
        inputs: list[np.ndarray],
        outputs: list[np.ndarray],
        given: Sequence[Any],
        call: tuple[tuple, dict],
    ) -> Any:
        trace = self.trace
        for source in self.bumped:
            if type(source) is Captured:
                source.tensor._bump()
            elif type(source) is Argument:
                arguments[source.position]._bump()
            else:
                _tensor(source.owner, arguments)._grad._bump()  # type: ignore[union-attr]
        kept = self.kept_gradients
        for owner, has in trace.gradients:
            if type(owner) is Captured:
                target = owner.tensor
                target._grad = kept[id(target)] if has else None
            else:
                arguments[owner.position]._grad = kept[owner] if has else None
        made = [_result(r, outputs[r.output]) for r in trace.new]
        if self.backward is not None:
            attach(self, arguments, inputs, outputs, made, call)
        results = trace.results
        if type(results) is Result and not trace.stores and not trace.contents:
            return made[0]
        known: dict[int, Tensor] = dict(zip(map(id, trace.new), made, strict=True))

        given_containers: list[Any] = []

        def result(x: Any) -> Any:
            if type(x) is Shown and id(x) not in known:  # a tensor that is returned twice is one tensor
                of = x.of
                if type(of) is GradientOf:
                    base = _tensor(of.owner, arguments)._grad
                else:
                    base = known[id(of)] if type(of) is Result else _tensor(of, arguments)
                known[id(x)] = base if x.steps is None else replay(base, x.steps, x.tracked)
            if type(x) is Given:
                return x.read(given)
            if type(x) is Container:
                if not given_containers:
                    given_containers.extend(containers(call))
                return given_containers[x.number]
            return known[id(x)] if type(x) in (Result, Shown) else x

        for place, value in trace.stores:
            place.repeat(result(value))
        for container, content in [(result(c), map_tree(content, result)) for c, content in trace.contents]:
            fill(container, content)
        return map_tree(results, result)


def _memory(array: np.ndarray) -> Any:
    """What owns the memory of an array."""
    return array if array.base is None else array.base


def _tensor(source: Argument | Captured, arguments: Sequence[Tensor]) -> Tensor:
    return source.tensor if type(source) is Captured else arguments[source.position]  # type: ignore[union-attr]


def _result(described: Result, array: np.ndarray) -> Tensor:
    """A new tensor, as a result of the program."""
    if described.order is not None:
        array = array.transpose(np.argsort(described.order))
    tensor = wrap(array)
    if described.kind is not Tensor:
        tensor = tensor.as_subclass(described.kind)
    tensor._requires_grad = described.leaf
    if modes.inference:
        tensor._own_extra().inference = True
    return tensor


def replay(tensor: Tensor, steps: Sequence[Any], tracked: bool) -> Tensor:
    """Takes view steps from a tensor, or from it without history."""
    if not steps or not (tracked or not tensor.requires_grad):
        tensor = tensor.detach()
    for primitive, rest, attributes in steps:
        tensor = primitive(tensor, *rest, **attributes)
    return tensor
