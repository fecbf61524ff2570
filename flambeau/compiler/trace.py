"""Tracing: a Python function, run once on symbols, becomes a graph.

While a `Tracer` is installed, operators record themselves with it. Tensors hold symbols (`symbols.py`); the graph has
no writes, and Python sees memory as it always does.
"""

from __future__ import annotations

import builtins
import gc
import os
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flambeau.compiler.graph import Value, constant, make_node
from flambeau.compiler.layouts import is_dense, strides_of
from flambeau.compiler.numbers import Number, dtype_beside, is_number
from flambeau.compiler.results import Returned
from flambeau.compiler.sources import (
    Argument,
    Captured,
    Check,
    GivenNumber,
    GradientOf,
    HostArray,
    HostNumber,
    Tangent,
    Trace,
)
from flambeau.compiler.symbols import Storage, Symbol
from flambeau.compiler.views import Step, stand_in, view_put
from flambeau.core.dtypes import FROM_NUMPY
from flambeau.core.generator import Generator
from flambeau.core.locks import Guarded
from flambeau.core.state import set_tracer, state
from flambeau.ops.table import PRIMITIVES, Primitive
from flambeau.tensor import tensor as tensors
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import Untraceable, concrete


class Tracer:
    """Records what operators do while it is installed (see `tracing`)."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.graph = self.trace.graph
        self.storages: dict[int, Storage] = {}  # by the id of the array in memory
        self.grads: dict[int, tuple[Tensor, Tensor | None]] = {}  # by the id of the tensor
        self.grad_inputs: dict[int, Tensor | None] = {}
        self.arguments: dict[int, int] = {}  # the id of a traced argument -> its position
        self.real_arguments: list[Tensor] = []
        self.outside: dict[int, Captured] = {}  # tensors from elsewhere, by their id
        self.new: dict[int, Tensor] = {}  # tensors made while tracing
        self.numbers: dict[Hashable, Symbol] = {}
        self.seen_guards: set[Hashable] = set()
        self.symbols: list[weakref.ref[Symbol]] = []
        self.varying: list[weakref.ref[Number]] = []
        self.refusals: list[str] = []
        self.touched: list[_Before] = []
        self.cut: set[int] = set()  # tensors whose history begins outside
        self.keep: list[Any] = []  # keeps ids from being used again

    # Symbols ------------------------------------------------------------------------------------

    def symbol(self, storage: Storage, like: Any, steps: tuple[Step, ...] = ()) -> Symbol:
        made = Symbol(storage, like.shape, like.dtype, getattr(like, "strides", None), steps)
        self.symbols.append(weakref.ref(made))
        return made

    def fresh(self, value: Value, strides: tuple[int, ...] | None = None) -> Symbol:
        """A symbol for new memory that holds `value`."""
        made = Symbol(Storage(value, strides=strides), value.shape, value.dtype, strides)
        self.symbols.append(weakref.ref(made))
        return made

    def whole(self, storage: Storage) -> Symbol:
        """A symbol for all of a piece of new memory."""
        return Symbol(storage, storage.value.shape, storage.value.dtype, storage.strides)

    def input(self, source: Any, array: Any) -> Symbol:
        """A symbol for a new input of the program."""
        value = self.graph.add_input(array.shape, array.dtype)
        self.trace.sources.append(source)
        storage = Storage(value, source=value.input)
        return self.symbol(storage, array)

    def argument(self, tensor: Tensor, position: int) -> Tensor:
        """The tensor by which the traced function knows an argument."""
        array = tensor._array
        storage = self.storages.get(id(array))
        if storage is None:
            storage = self.storages[id(array)] = self.input(Argument(position), array).storage
        made = wrap(self.symbol(storage, array))
        made._requires_grad, made._extra = tensor.requires_grad, tensor._extra
        if type(tensor) is not Tensor:
            made = made.as_subclass(type(tensor))
        if tensor._node is not None:
            self.cut.add(id(made))
        self.arguments[id(made)] = position
        self.keep += [made, array]
        return made

    def stand_ins(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors by which the function knows its arguments: one for one that is given twice."""
        made: dict[int, Tensor] = {}
        for position, tensor in enumerate(tensors):
            self.real_arguments.append(tensor)
            if id(tensor) not in made:
                made[id(tensor)] = self.argument(tensor, position)
        return [made[id(t)] for t in tensors]

    def symbol_of(self, tensor: Tensor) -> Symbol:
        """The symbol of a tensor, which becomes an input or a constant where it has an array."""
        array = tensor._array
        if isinstance(array, Symbol):
            return array
        storage = self.storages.get(id(array))
        if id(tensor) in self.new:
            if storage is None:
                storage = self.storages[id(array)] = Storage(constant(array.copy()))
                self.keep += [tensor, array]
        elif storage is None or id(tensor) not in self.outside:
            source = self.captured(tensor)
            if storage is None:
                if array.dtype.hasobject:
                    raise Untraceable("an array of objects")
                storage = self.storages[id(array)] = self.input(source, array).storage
            elif storage.source >= 0:
                self.trace.same.append((source, self.trace.sources[storage.source]))
        return self.symbol(storage, array)

    def captured(self, tensor: Tensor) -> Captured:
        """What stands for a tensor of outside in the trace. While tracing, it has no history."""
        found = self.outside.get(id(tensor))
        if found is None:
            found = self.outside[id(tensor)] = Captured(tensor)
            self.trace.captured.append(found)
            self.keep += [tensor, tensor._array]
            self.touched.append(_Before(tensor))
            if (tensor._node is not None or tensor._view is not None) and _has_history(tensor):
                self.cut.add(id(tensor))
                tensor._requires_grad = True
                tensor._node = tensor._view = None
        return found

    def begins_outside(self, tensor: Tensor) -> bool:
        """Whether a tensor has a history that the function does not know."""
        return id(tensor) in self.cut

    def owner(self, tensor: Tensor) -> Argument | Captured:
        """The source that a tensor, not made by the program itself, is."""
        position = self.arguments.get(id(tensor))
        return self.captured(tensor) if position is None else Argument(position)

    def read(self, symbol: Symbol) -> Value:
        """The value that a symbol shows now."""
        storage, steps = symbol.storage, symbol.steps
        if not steps:
            return storage.value
        key = tuple((s[0].name, s[1], tuple(sorted(s[2].items()))) for s in steps)
        found = storage.known.get(key)
        if found is None:
            before = Symbol(storage, (), symbol.dtype, (), steps[:-1])
            primitive, rest, attributes = steps[-1]
            found = self.graph.call(primitive, self.read(before), *rest, **attributes)
            storage.known[key] = found
        return found

    def value_of(self, x: Any) -> Any:
        return self.read(self.symbol_of(x)) if isinstance(x, Tensor) else x

    # What the seam calls ------------------------------------------------------------------------

    def record(
        self, primitive: Primitive, inputs: Sequence[Any], attributes: dict[str, Any]
    ) -> Any:
        """The symbol (or symbols) of a call."""
        if primitive.random:
            raise Untraceable(f"{primitive.name} of computed values")
        if primitive.view:
            return self.view(primitive, inputs, attributes)
        values = [self.value_of(x) for x in inputs]
        if self.varying and (is_number(values) or is_number(attributes)):
            values = self._with_numbers(values, attributes)
        node = make_node(primitive, values, attributes)
        self.graph.nodes.append(node)
        if primitive.outputs == 1:
            return self.fresh(node.outputs[0], strides_of(node, inputs))
        return tuple(map(self.fresh, node.outputs))

    def _with_numbers(self, values: list[Any], attributes: dict[str, Any]) -> list[Any]:
        """`values` with inputs of the program in the place of numbers that vary."""
        if is_number(attributes) or any(is_number(x) and type(x) is not Number for x in values):
            raise self.refused("an attribute of an operator")
        dtypes = [x.dtype for x in values if isinstance(x, Value)]
        made = []
        for x in values:
            if type(x) is Number:
                symbol = self.numbers.get(id(x))
                if symbol is None:
                    symbol = self.numbers[id(x)] = self.input(GivenNumber(x.read), np.zeros(()))
                    self.keep.append(x)
                dtype = dtype_beside(x, dtypes)
                x = self.graph.call(PRIMITIVES["to_copy"], symbol.storage.value, dtype=FROM_NUMPY[dtype])
            made.append(x)
        return made

    def note_number(self, number: Number) -> None:
        self.varying.append(weakref.ref(number))

    def guard_number(self, condition: Callable[[Sequence[Any]], Any], value: Any) -> Any:
        """`value`, which `condition` gives again at each call that the program is for."""
        self.trace.number_guards.append((condition, value))
        return value

    def refused(self, why: str) -> Untraceable:
        """The error for a number whose value is asked for; it is raised again where it was caught."""
        self.refusals.append(why)
        return Untraceable(why)

    def view(
        self, primitive: Primitive, inputs: Sequence[Any], attributes: dict[str, Any]
    ) -> Symbol:
        base = self.symbol_of(inputs[0])
        specs = stand_in(base.shape, base.strides, base.dtype)
        try:
            shown = primitive.compute(specs, *inputs[1:], **attributes)
        except (ValueError, TypeError, IndexError):
            primitive.explain([specs, *inputs[1:]], attributes)
            raise
        step = (primitive, tuple(inputs[1:]), attributes)
        made = self.symbol(base.storage, shown, (*base.steps, step))
        made.offset = base.offset + tensors.address(shown) - tensors.address(specs)
        return made

    def constant(self, tensor: Tensor) -> Tensor:
        """`tensor`, made by the program itself, as new memory at each call."""
        return wrap(self.fresh(constant(tensor._array)))

    def host_number(self, read: Callable[[], float]) -> Tensor:
        key = _identity(read)
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = self.input(HostNumber(read), np.zeros(()))
            self.keep.append(read)
        return wrap(found)

    def host_array(
        self, read: Callable[[], np.ndarray], shape: Sequence[int], dtype: np.dtype
    ) -> Symbol:
        if _holds_number(read):
            raise self.refused("a draw")
        made = self.input(
            HostArray(read), stand_in(tuple(shape), (0,) * len(shape), np.dtype(dtype))
        )
        # The array is new at each call: writing to it changes nothing outside.
        return self.fresh(made.storage.value)

    def verify(self, tensor: Tensor, check: Callable[[np.ndarray], None]) -> None:
        """Has `check` look at a tensor before each call, if it shows an input that the program has not changed."""
        symbol = self.symbol_of(tensor)
        value = symbol.storage.value
        if value.input >= 0 and not isinstance(self.trace.sources[value.input], Tangent):
            self.trace.checks.append(Check(self.trace.sources[value.input], symbol.steps, check))

    def guard(self, condition: Callable[[], Any], value: Any) -> None:
        if self.varying and (type(value) is Number or _holds_number(condition)):
            raise self.refused("a condition")
        if isinstance(value, Tensor):
            raise Untraceable("a condition on a tensor's value")
        key = _identity(condition)
        if key not in self.seen_guards:
            self.seen_guards.add(key)
            self.keep.append(condition)
            self.trace.guards.append((condition, value))

    def snapshot(self, tensor: Tensor) -> Symbol:
        symbol = self.symbol_of(tensor)
        return self.fresh(self.read(symbol), symbol.strides if is_dense(symbol) else None)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        symbol = self.symbol_of(tensor)
        if any(s == 0 and n > 1 for s, n in zip(symbol.strides, symbol.shape, strict=True)):
            raise RuntimeError(tensors.SHARED_ELEMENTS)
        new = self.value_of(value)
        if symbol.steps:
            new = self.graph.call(view_put, symbol.storage.value, new, steps=symbol.steps)
        symbol.storage.set(new)

    def grad_of(self, tensor: Tensor) -> Tensor | None:
        """The `.grad` of a tensor as the program sees it."""
        held = self.grads.get(id(tensor))
        if held is not None:
            return held[1]
        if id(tensor) in self.grad_inputs:
            return self.grad_inputs[id(tensor)]
        self.keep.append(tensor)
        position = self.arguments.get(id(tensor))
        if isinstance(tensor._array, Symbol) and position is None:
            return None
        owner = self.owner(tensor)
        grad = (tensor if position is None else self.real_arguments[position])._grad
        self.trace.had_gradient.append((owner, grad is not None))
        found = None
        if grad is not None:
            array = grad._array
            storage = self.storages.get(id(array))
            if storage is None:
                storage = self.input(GradientOf(owner), array).storage
                self.storages[id(array)] = storage
            found = wrap(self.symbol(storage, array))
            found._requires_grad = grad._requires_grad
            self.keep += [grad, array]
        self.grad_inputs[id(tensor)] = found
        return found

    def grad_input(self, source: GradientOf) -> Tensor | None:
        """The tensor by which the function knows a gradient that was there before the call."""
        for held in self.grad_inputs.values():
            if held is not None and self.trace.sources[held._array.storage.source] is source:
                return held
        return None

    def set_grad(self, tensor: Tensor, value: Tensor | None) -> None:
        if id(tensor) in self.cut:
            raise Untraceable("a backward pass through history from outside the function")
        self.keep.append(tensor)
        self.grads.pop(id(tensor), None)  # the order is that of the last assignments
        self.grads[id(tensor)] = (tensor, value)

    def enter_module(self, module: Any) -> None:
        """Notes a module that the program runs: its settings become guards."""
        if id(module) not in self.seen_guards:
            self.seen_guards.add(id(module))
            self.trace.modules.append(module)

    # The end ------------------------------------------------------------------------------------

    def finish(self, returned: Returned) -> Trace:
        """Closes the graph: its outputs are results, memory written to, and gradients."""
        trace, graph = self.trace, self.graph
        trace.results = returned.finish()
        for storage in {id(s): s for s in self.storages.values()}.values():
            if storage.written and storage.source >= 0:
                trace.writes.append(storage.source)
                graph.outputs.append(storage.value)
        for tensor, value in self.grads.values():
            if isinstance(tensor._array, Symbol) and id(tensor) not in self.arguments:
                continue  # a tensor of the program's own
            if value is not None and not isinstance(value._array, Symbol):
                raise Untraceable("a real tensor assigned to .grad")
            if value is not None and value is self.grad_inputs.get(id(tensor)):
                continue
            trace.gradients.append((self.owner(tensor), value is not None))
            if value is not None:
                graph.outputs.append(self.value_of(value))
        if any(before.tensor._node is not None for before in self.touched) or any(
            t._node is not None for t in self.keep if id(t) in self.arguments
        ):
            raise Untraceable("a tensor of outside that takes the program's history")
        if any(before.tensor._requires_grad is not before.wants() for before in self.touched) or any(
            t._requires_grad is not self.real_arguments[self.arguments[id(t)]].requires_grad
            for t in self.keep
            if id(t) in self.arguments
        ):
            raise Untraceable("a change of what requires a gradient")
        self._check_overlaps()
        return trace

    def drop_unread_inputs(self) -> None:
        """Inputs that nothing reads go, so that programs which differ in them only are equal."""
        trace, graph = self.trace, self.graph
        read = {v for n in graph.nodes for v in n.values} | set(graph.outputs)
        read.update(graph.inputs[k] for k in trace.writes)
        kept = [
            k
            for k, (value, source) in enumerate(zip(graph.inputs, trace.sources, strict=True))
            if value in read or isinstance(source, (Tangent, HostArray))
        ]
        numbers = {k: n for n, k in enumerate(kept)}
        graph.inputs = [graph.inputs[k] for k in kept]
        for number, value in enumerate(graph.inputs):
            value.input = number
        trace.sources = [trace.sources[k] for k in kept]
        trace.writes = [numbers[k] for k in trace.writes]

    def _check_overlaps(self) -> None:
        """Two inputs on one memory are two storages here: neither may be written."""
        arrays = [
            s.tensor._array
            if isinstance(s, Captured)
            else self.real_arguments[s.position]._array
            if isinstance(s, Argument)
            else None
            for s in self.trace.sources
        ]
        for written in self.trace.writes:
            a = arrays[written]
            for k, b in enumerate(arrays):
                if (
                    a is not None
                    and b is not None
                    and k != written
                    and np.may_share_memory(a, b)
                ):
                    raise Untraceable("a change in place of memory that another tensor shares")

    def forget(self) -> None:
        """Drops everything but the trace, so that what is still alive has leaked."""
        self.storages, self.grads, self.grad_inputs, self.new, self.outside = {}, {}, {}, {}, {}
        self.keep, self.numbers, self.arguments = [], {}, {}

    def leaked(self) -> bool:
        """Whether symbols outlive the trace, in attributes or lists of the program."""
        made = [*self.symbols, *self.varying]
        if any(r() is not None for r in made):
            gc.collect()
        return any(r() is not None for r in made)

    def roll_back(self) -> None:
        """Undoes what tracing did to tensors from outside."""
        for before in self.touched:
            before.put_back()


def _has_history(tensor: Tensor) -> bool:
    with concrete():
        return tensor.requires_grad and tensor._fresh_node() is not None


class _Before:
    """What tracing may change of a tensor from outside."""

    __slots__ = ("changes", "node", "requires_grad", "tensor", "version", "view")

    def __init__(self, tensor: Tensor):
        self.tensor, self.node, self.view = tensor, tensor._node, tensor._view
        self.requires_grad, self.changes, self.version = tensor._requires_grad, tensor._changes, tensor._version_number()

    def wants(self) -> bool:
        """Whether it required a gradient; while tracing also views say so themselves."""
        view = self.view
        return self.requires_grad or (view is not None and view.differentiable and view.base._requires_grad)

    def put_back(self) -> None:
        tensor = self.tensor
        tensor._node, tensor._view, tensor._requires_grad = self.node, self.view, self.requires_grad
        if self.changes is None:
            tensor._changes = None
        else:
            self.changes[0] = self.version


_one_at_a_time = Guarded(threading.RLock)


@contextmanager
def tracing(tracer: Tracer) -> Iterator[Tracer]:
    """Inside, operators of this thread record themselves with `tracer`; one thread traces at a time."""
    from flambeau.nn.hooks import register_module_forward_pre_hook

    if state.tracer is not None:
        raise RuntimeError("a program is being traced already")
    with _one_at_a_time.lock:
        yield from _traced(tracer, register_module_forward_pre_hook)


def _traced(tracer: Tracer, register_hook: Callable[..., Any]) -> Iterator[Tracer]:
    make, show = tensors._new, builtins.print
    seeds = {name: getattr(Generator, name) for name in ("manual_seed", "seed", "set_state")}

    def note_new(cls: type) -> Any:
        made = make(cls)
        if state.tracer is tracer:
            tracer.new[id(made)] = made
        return made

    def refuse_to_print(*args: Any, **options: Any) -> None:
        if state.tracer is tracer:
            raise Untraceable("print()")
        show(*args, **options)

    def enter(module: Any, _: Any) -> None:
        if state.tracer is tracer:
            tracer.enter_module(module)

    def refused(name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if state.tracer is tracer:
                raise Untraceable(f"{name}() of a random generator")
            return seeds[name](*args)

        return call

    hook = register_hook(enter)
    for name in seeds:
        setattr(Generator, name, refused(name))
    builtins.print = refuse_to_print
    tensors._new = note_new  # tensors made by the program are not its inputs
    set_tracer(tracer)
    try:
        yield tracer
    finally:
        set_tracer(None)
        tensors._new, builtins.print = make, show
        hook.remove()
        for name, method in seeds.items():
            setattr(Generator, name, method)


def _identity(function: Callable[..., Any]) -> Hashable:
    """Equal for functions that compute the same: the same code over the same things."""
    code = getattr(function, "__code__", None)
    if code is None:
        return id(function)
    cells = []
    for cell in getattr(function, "__closure__", None) or ():
        held = cell.cell_contents
        if callable(held) and getattr(held, "__closure__", None) is not None:
            cells.append(_identity(held))
        elif isinstance(held, (int, float, str, bool, type(None))):
            cells.append((type(held), held))
        else:
            cells.append(id(held))
    return code, tuple(cells)


def _holds_number(function: Callable[..., Any]) -> bool:
    """Whether a function that is called later reads a number that varies."""
    for cell in getattr(function, "__closure__", None) or ():
        held = cell.cell_contents
        if type(held) is Number or (callable(held) and _holds_number(held)):
            return True
    return False


def where_it_failed(error: BaseException, function: Any) -> str:
    """`file:line` of the user's innermost line that led to `error`, or else where the function is defined."""
    place = f"in {type(function).__name__}"
    for code in (getattr(f, "__code__", None) for f in (getattr(function, "forward", None), function)):
        if code is not None and not code.co_filename.startswith(_PACKAGE):
            place = f"{code.co_filename}:{code.co_firstlineno}"
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith((_PACKAGE, _STANDARD)) or "site-packages" in code.co_filename:
            place = f"{code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD = os.path.dirname(os.__file__) + os.sep
