"""Tracing: a Python function, run once on symbols, becomes a graph.

A `Symbol` stands where a tensor has its NumPy array. It names a `Storage`, the program's idea of a
piece of memory, and the view steps that lead to the part it shows. Writing in place gives the storage
a new value; reading takes the steps from the value that the storage has by then. So the graph has no
writes, and Python sees memory as it always does.
"""

from __future__ import annotations

import builtins
import copy
import gc
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from flambeau.compiler.graph import Graph, Node, Value, constant, make_node
from flambeau.compiler.views import Step, contiguous_strides, stand_in, view_put
from flambeau.core.locks import Guarded
from flambeau.core.state import set_tracer, state
from flambeau.ops.table import Primitive
from flambeau.tensor import tensor as tensors
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import Untraceable


class Storage:
    """Memory of the traced program: its present value, and what views of it were already read."""

    __slots__ = ("known", "source", "value", "written")

    def __init__(self, value: Value, source: int = -1):
        self.value = value
        self.source = source  # the input that this memory is, or -1
        self.written = False
        self.known: dict[Hashable, Value] = {}

    def set(self, value: Value) -> None:
        self.value = value
        self.written = True
        self.known.clear()


class Symbol:
    """What a traced tensor holds instead of an array."""

    __slots__ = ("__weakref__", "dtype", "offset", "shape", "steps", "storage", "strides")

    def __init__(
        self,
        storage: Storage,
        shape: tuple[int, ...],
        dtype: np.dtype,
        strides: tuple[int, ...] | None = None,
        steps: tuple[Step, ...] = (),
    ):
        self.storage, self.steps = storage, steps
        self.offset = 0  # bytes from the first element of the memory
        self.shape, self.dtype = tuple(shape), dtype
        self.strides = (
            contiguous_strides(self.shape, dtype.itemsize) if strides is None else strides
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise Untraceable("the values of a tensor as a NumPy array")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Untraceable(f"the array's attribute {name!r}")

    def _refuse(self, *args: Any) -> Any:
        raise Untraceable("arithmetic on the values of a tensor outside its operators")

    __getitem__ = __setitem__ = __add__ = __sub__ = __mul__ = __truediv__ = _refuse
    __iadd__ = __radd__ = __rsub__ = __rmul__ = __lt__ = __gt__ = _refuse


# What a traced program takes and gives -----------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """An input that is tensor number `position` of the call's arguments."""

    position: int


@dataclass(frozen=True, eq=False)
class Captured:
    """An input that is a tensor which the program found elsewhere: a parameter, a buffer."""

    tensor: Tensor


@dataclass(frozen=True, eq=False)
class GradientOf:
    """An input that is the `.grad` of a tensor (of an argument, if `tensor` is an `int`)."""

    owner: Any


@dataclass(frozen=True, eq=False)
class HostNumber:
    """An input that is a number read at each call."""

    read: Callable[[], float]


@dataclass(frozen=True, eq=False)
class HostArray:
    """An input that is an array made at each call: random numbers, in the program's order."""

    read: Callable[[], np.ndarray]


@dataclass(frozen=True, eq=False)
class Tangent:
    """An input of a backward program: the gradient of result number `position`."""

    position: int


@dataclass
class Check:
    """`check` sees what the views `steps` show of an input, and raises an error if it is wrong."""

    source: Any
    steps: tuple
    check: Callable[[np.ndarray], None]

    def __call__(self, array: np.ndarray) -> None:
        for primitive, rest, attributes in self.steps:
            array = primitive.compute(array, *rest, **attributes)
        self.check(array)


@dataclass
class Trace:
    """A traced program and how it meets the world.

    Attributes:
        graph: its outputs are first the results, then `writes`, then `gradients`.
        sources: for each input of the graph, where it comes from.
        results: what the function returned, with a `Result` or `Same` in each tensor's place.
        writes: positions of inputs whose memory takes the value of the next outputs.
        gradients: (owner, whether a value follows): what becomes of each `.grad`.
        guards: (condition, value) pairs that must hold for the program to be used again.
        checks: what looks at the elements of inputs before each call.
    """

    graph: Graph = field(default_factory=Graph)
    sources: list[Any] = field(default_factory=list)
    results: Any = None
    writes: list[int] = field(default_factory=list)
    gradients: list[tuple[Any, bool]] = field(default_factory=list)
    guards: list[tuple[Callable[[], Any], Any]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    modules: list[Any] = field(default_factory=list)


# The tracer ----------------------------------------------------------------------------------------


class Tracer:
    """Records what operators do while it is installed (see `tracing`)."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.graph = self.trace.graph
        self.storages: dict[int, Storage] = {}  # by the id of the array in memory
        self.grads: dict[int, tuple[Any, Tensor | None]] = {}  # by the id of the tensor
        self.grad_inputs: dict[int, Tensor | None] = {}
        self.arguments: dict[int, int] = {}  # the id of a traced argument -> its position
        self.real_arguments: list[Tensor] = []
        self.new: dict[int, Tensor] = {}  # tensors made while tracing
        self.numbers: dict[Hashable, Symbol] = {}
        self.seen_guards: set[Hashable] = set()
        self.symbols: list[weakref.ref[Symbol]] = []
        self.touched: list[tuple[Tensor, Any, bool, Any, int]] = []
        self.results: dict[int, Any] = {}  # by the id of the tensor
        self.keep: list[Any] = []  # keeps ids from being used again

    # Symbols ------------------------------------------------------------------------------------

    def symbol(self, storage: Storage, like: Any, steps: tuple[Step, ...] = ()) -> Symbol:
        made = Symbol(storage, like.shape, like.dtype, getattr(like, "strides", None), steps)
        self.symbols.append(weakref.ref(made))
        return made

    def fresh(self, value: Value, strides: tuple[int, ...] | None = None) -> Symbol:
        """A symbol for new memory that holds `value`."""
        made = Symbol(Storage(value), value.shape, value.dtype, strides)
        self.symbols.append(weakref.ref(made))
        return made

    def input(self, source: Any, array: Any) -> Symbol:
        """A symbol for a new input of the program."""
        value = self.graph.add_input(array.shape, array.dtype)
        self.trace.sources.append(source)
        storage = Storage(value, source=value.input)
        return self.symbol(storage, array)

    def argument(self, tensor: Tensor, position: int) -> Tensor:
        """The tensor by which the traced function knows an argument."""
        made = wrap(self.input(Argument(position), tensor._array))
        made._requires_grad, made._extra = tensor.requires_grad, tensor._extra
        self.arguments[id(made)] = position
        self.storages[id(tensor._array)] = made._array.storage
        self.keep += [made, tensor._array]
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
        if storage is None:
            if id(tensor) in self.new:
                storage = Storage(constant(array.copy()))
            else:
                if tensor._node is not None and tensor._requires_grad and self._records():
                    raise Untraceable("a tensor with history from outside the program")
                storage = self.input(Captured(tensor), array).storage
                if array.dtype.hasobject:
                    raise Untraceable("an array of objects")
            self.storages[id(array)] = storage
            self.keep += [tensor, array]
            self.touched.append(
                (
                    tensor,
                    tensor._node,
                    tensor._requires_grad,
                    tensor._changes,
                    tensor._version_number(),
                )
            )
        return self.symbol(storage, array)

    def _records(self) -> bool:
        from flambeau.autograd.modes import modes

        return modes.grad_enabled

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
        node = make_node(primitive, values, attributes)
        self.graph.nodes.append(node)
        if primitive.outputs == 1:
            return self.fresh(node.outputs[0], _strides_of(node, inputs))
        return tuple(map(self.fresh, node.outputs))

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
        if isinstance(value, Tensor):
            raise Untraceable("a condition on a tensor's value")
        key = _identity(condition)
        if key not in self.seen_guards:
            self.seen_guards.add(key)
            self.keep.append(condition)
            self.trace.guards.append((condition, value))

    def snapshot(self, tensor: Tensor) -> Symbol:
        symbol = self.symbol_of(tensor)
        return self.fresh(self.read(symbol), symbol.strides if _dense(symbol) else None)

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
        real = tensor if position is None else self.real_arguments[position]
        grad = real._grad
        if position is None:
            self.trace.guards.append((lambda: real._grad is None, grad is None))
        elif grad is not None:
            raise Untraceable("an argument that has a gradient already")
        found = None
        if grad is not None:
            array = grad._array
            storage = self.storages.get(id(array))
            if storage is None:
                storage = self.input(GradientOf(real), array).storage
                self.storages[id(array)] = storage
            found = wrap(self.symbol(storage, array))
            found._requires_grad = grad._requires_grad
            self.keep += [grad, array]
        self.grad_inputs[id(tensor)] = found
        return found

    def set_grad(self, tensor: Tensor, value: Tensor | None) -> None:
        self.keep.append(tensor)
        self.grads.pop(id(tensor), None)  # the order is that of the last assignments
        self.grads[id(tensor)] = (tensor, value)

    def enter_module(self, module: Any) -> None:
        """Notes a module that the program runs: its settings become guards."""
        if id(module) not in self.seen_guards:
            self.seen_guards.add(id(module))
            self.trace.modules.append(module)

    # The end ------------------------------------------------------------------------------------

    def finish(self, results: Any) -> Trace:
        """Closes the graph: its outputs are results, memory written to, and gradients."""
        trace, graph = self.trace, self.graph
        trace.results = map_tensors(results, self._result)
        for storage in {id(s): s for s in self.storages.values()}.values():
            if storage.written and storage.source >= 0:
                trace.writes.append(storage.source)
                graph.outputs.append(storage.value)
        for tensor, value in self.grads.values():
            position = self.arguments.get(id(tensor))
            if isinstance(tensor._array, Symbol) and position is None:
                continue  # a tensor of the program's own
            owner = tensor if position is None else position
            if value is not None and not isinstance(value._array, Symbol):
                raise Untraceable("a real tensor assigned to .grad")
            if value is not None and value is self.grad_inputs.get(id(tensor)):
                continue
            trace.gradients.append((owner, value is not None))
            if value is not None:
                graph.outputs.append(self.value_of(value))
        for tensor, node, _, _, _ in self.touched:
            if tensor._node is not node:
                raise Untraceable("a tensor of outside that takes the program's history")
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

    def _result(self, tensor: Tensor) -> Any:
        if id(tensor) not in self.results:
            self.results[id(tensor)] = self._new_result(tensor)
        return self.results[id(tensor)]

    def _new_result(self, tensor: Tensor) -> Any:
        position = self.arguments.get(id(tensor))
        if position is not None:
            return Same(None, position)
        if not isinstance(tensor._array, Symbol):
            return Same(tensor, -1)
        symbol = tensor._array
        if symbol.storage.source >= 0:
            return self._shown(symbol)
        if tensor._retains():
            raise Untraceable("a result that retains its gradient")
        self.graph.outputs.append(self.value_of(tensor))
        return Result(len(self.graph.outputs) - 1, tensor.requires_grad)

    def _shown(self, symbol: Symbol) -> Any:
        """A result that shares memory with an argument or a tensor of outside."""
        source = self.trace.sources[symbol.storage.source]
        if isinstance(source, Argument):
            return Same(None, source.position, symbol.steps or DETACHED)
        if isinstance(source, Captured):
            return Same(source.tensor, -1, symbol.steps or DETACHED)
        raise Untraceable("a result that shares memory with a gradient")

    def _check_overlaps(self) -> None:
        """Two inputs on one memory are two storages here: neither may be written."""
        arrays = [
            (
                s.tensor._array
                if isinstance(s, Captured)
                else self.real_arguments[s.position]._array
            )
            if isinstance(s, (Captured, Argument))
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
        self.storages, self.grads, self.grad_inputs, self.new = {}, {}, {}, {}
        self.keep, self.numbers, self.arguments, self.results = [], {}, {}, {}

    def leaked(self) -> bool:
        """Whether symbols outlive the trace, in attributes or lists of the program."""
        if any(r() is not None for r in self.symbols):
            gc.collect()
        return any(r() is not None for r in self.symbols)

    def roll_back(self) -> None:
        """Undoes what tracing did to tensors from outside."""
        for tensor, node, requires_grad, counter, version in self.touched:
            tensor._node, tensor._requires_grad = node, requires_grad
            if counter is not None:
                counter[0] = version
            else:
                tensor._changes = None


@dataclass(frozen=True)
class Result:
    """In a trace's results: output number `output`; whether it requires a gradient."""

    output: int
    requires_grad: bool


@dataclass(frozen=True, eq=False)
class Same:
    """In a trace's results: a tensor of outside, or argument number `position`, or a view of it."""

    tensor: Tensor | None
    position: int
    steps: Any = ()


#: Instead of view steps: the tensor itself, without history.
DETACHED = "detached"


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

    hook = register_hook(enter)
    builtins.print = refuse_to_print
    tensors._new = note_new  # tensors made by the program are not its inputs
    set_tracer(tracer)
    try:
        yield tracer
    finally:
        set_tracer(None)
        tensors._new, builtins.print = make, show
        hook.remove()


# Trees of results ----------------------------------------------------------------------------------


def map_tensors(tree: Any, f: Callable[[Tensor], Any]) -> Any:
    """`tree`, of tuples, lists and dictionaries, with `f` of each tensor in its place."""
    if isinstance(tree, Tensor):
        return f(tree)
    return map_tree(tree, lambda x: f(x) if isinstance(x, Tensor) else x)


def map_tree(tree: Any, f: Callable[[Any], Any]) -> Any:
    """`tree` with `f` of each leaf in its place."""
    if isinstance(tree, tuple):
        parts = [map_tree(x, f) for x in tree]
        if type(tree) is tuple:
            return tuple(parts)
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if isinstance(tree, list):
        return [map_tree(x, f) for x in tree]
    if isinstance(tree, dict):
        parts = {k: map_tree(v, f) for k, v in tree.items()}
        if type(tree) is dict:
            return parts
        made = copy.copy(tree)
        made.update(parts)
        return made
    if is_record(tree):
        made = copy.copy(tree)
        for part in fields(tree):
            object.__setattr__(made, part.name, map_tree(getattr(tree, part.name), f))
        return made
    return f(tree)


def is_record(x: Any) -> bool:
    """Whether a value is an instance of a user's dataclass."""
    return is_dataclass(x) and not isinstance(x, (type, Result, Same))


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree."""
    found: list[Any] = []
    map_tree(tree, found.append)
    return found


# Helpers ---------------------------------------------------------------------------------------------


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


def _dense(symbol: Symbol) -> bool:
    step = symbol.dtype.itemsize
    for stride, size in sorted(zip(symbol.strides, symbol.shape, strict=True)):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def _strides_of(node: Node, inputs: Sequence[Any]) -> tuple[int, ...] | None:
    """The strides that NumPy gives a result, where they may not be row-major ones."""
    arrays = [x._array for x in inputs if isinstance(x, Tensor)]
    out, attributes = node.outputs[0], node.attributes
    if all(
        tuple(a.strides) == contiguous_strides(tuple(a.shape), a.dtype.itemsize) for a in arrays
    ):
        return None
    if node.primitive.pointwise and attributes.get("order") != "C":
        return _allocated(
            [stand_in(tuple(a.shape), tuple(a.strides), a.dtype) for a in arrays], out
        )
    if node.primitive.name == "cat":
        return _allocated([stand_in(out.shape, tuple(a.strides), a.dtype) for a in arrays], out)
    if (
        getattr(node.primitive.lowering, "family", "") == "reduce"
        and attributes["dims"] is not None
    ):
        (a,) = arrays
        dims = attributes["dims"]
        if attributes["keepdim"]:
            shape = tuple(1 if d in dims else n for d, n in enumerate(a.shape))
            return _allocated([stand_in(shape, tuple(a.strides), a.dtype)], out)
        kept = [d for d in range(len(a.shape)) if d not in dims]
        part = stand_in(
            tuple(a.shape[d] for d in kept), tuple(a.strides[d] for d in kept), a.dtype
        )
        return _allocated([part], out)
    return None


def _allocated(arrays: Sequence[np.ndarray], out: Value) -> tuple[int, ...] | None:
    """The strides of what NumPy allocates for a result of these arrays."""
    if len(out.shape) < 2:
        return None
    iterator = np.nditer(
        [*arrays, None],
        ["zerosize_ok", "refs_ok"],
        [*(["readonly"] for _ in arrays), ["writeonly", "allocate"]],
        op_dtypes=[*(a.dtype for a in arrays), out.dtype],
        order="K",
    )
    made = iterator.operands[-1]
    return made.strides if made.shape == out.shape else None


def where_it_failed(error: BaseException) -> str:
    """`file:line` of the user's innermost line that led to `error`."""
    import os

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    place = "an unknown place"
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not name.startswith(package):
            place = f"{name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def warn_eager(why: str, place: str) -> None:
    """The one warning for a program that runs eagerly."""
    warnings.warn(
        f"flambeau.compile: {why} cannot be traced ({place}); this function runs eagerly. Use "
        "fullgraph=True to make this an error.",
        UserWarning,
        stacklevel=4,
    )


__all__ = ["Trace", "Tracer", "Untraceable", "map_tensors", "sys", "tracing"]
