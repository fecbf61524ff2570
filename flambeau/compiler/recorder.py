"""Tracing: the program runs once on symbols, and the operators that it calls are recorded.

Each tensor met on the way is a symbol, or a real tensor of which the recorder keeps a symbol beside it.
Symbols point into a storage, whose value changes when the program writes in place; a view reads the
storage's present value through its steps. So the graph stays free of side effects, and what is left at the
end (parameters, buffers, gradients that were changed) is written back after each run.
"""

from __future__ import annotations

import sys
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.compiler.values import Graph, Value, put
from flambeau.core.shapes import contiguous_strides
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import Untraceable


class Storage:
    """Memory of the traced program: a value that in-place changes replace."""

    __slots__ = ("changed", "value", "version")

    def __init__(self, value: Value):
        self.value = value
        self.version = 0
        self.changed = False


class Symbol:
    """What a tensor holds in place of an array while its program is traced."""

    __slots__ = ("__weakref__", "_seen", "_value", "dtype", "shape", "steps", "storage")

    def __init__(self, storage: Storage, shape: Sequence[int], dtype: np.dtype, steps: tuple = ()):
        self.storage = storage
        self.shape = tuple(shape)
        self.dtype = dtype
        #: (primitive, attributes) that lead from the storage's value to this view.
        self.steps = steps
        self._seen = -1
        self._value: Value | None = None

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
    def strides(self) -> tuple[int, ...]:
        return tuple(s * self.dtype.itemsize for s in contiguous_strides(self.shape))

    def __getattr__(self, name: str) -> Any:
        raise Untraceable(f"an array's {name!r} was asked for")


class Recorder:
    """Records one run of a program; see `flambeau.tensor.tracing` for what operators ask of it."""

    def __init__(self) -> None:
        self.graph = Graph()
        #: Inputs that are real arrays at each call: (value, function that reads the array).
        self.captured: list[tuple[Value, Callable[[], np.ndarray]]] = []
        #: Inputs that are made at each call, in order: (value, function, whether it is a number).
        self.hosted: list[tuple[Value, Callable[[], Any], bool]] = []
        self.guards: list[tuple[Callable[[], Any], Any]] = []
        self.shadows: dict[int, tuple[Any, Storage, Tensor]] = {}
        self.grads: dict[int, tuple[Tensor, Tensor | None]] = {}
        self.grads_before: dict[int, tuple[Tensor, Tensor | None]] = {}
        self.made: list[weakref.ref[Tensor]] = []
        self.readers: dict[int, Callable[[], np.ndarray]] = {}

    # What operators call ------------------------------------------------------------------------

    def record(self, primitive: Primitive, inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
        """The symbol (or symbols) for the result of a primitive."""
        if primitive.view:
            source = self.symbol_of(inputs[0])
            spec = primitive.rule(Spec(source.shape, source.dtype), *inputs[1:], **attributes)
            return Symbol(source.storage, spec.shape, spec.dtype, (*source.steps, (primitive, attributes)))
        values = [self.value_of(x) if isinstance(x, Tensor) else x for x in inputs]
        made = self.graph.call(primitive, values, attributes)
        if primitive.outputs == 1:
            return self.symbol(made)
        return tuple(map(self.symbol, made))

    def symbol(self, value: Value) -> Symbol:
        return Symbol(Storage(value), value.shape, value.dtype)

    def constant(self, tensor: Tensor) -> Tensor:
        """A tensor made from nothing but its arguments."""
        if isinstance(tensor._array, Symbol):
            return tensor
        tensor._array = self.symbol(self.graph.constant(tensor._array))
        return tensor

    def host_number(self, read: Callable[[], float]) -> Tensor:
        """A number that `read` gives anew at each call, as a 0-dim float64 tensor."""
        value = self.graph.input((), np.dtype(np.float64))
        self.hosted.append((value, read, True))
        return wrap(self.symbol(value))

    def host_array(self, read: Callable[[], np.ndarray], shape: Sequence[int], dtype: np.dtype) -> Symbol:
        """An array that `read` gives anew at each call: random draws."""
        value = self.graph.input(shape, dtype)
        self.hosted.append((value, read, False))
        return self.symbol(value)

    def guard(self, condition: Callable[[], Any], value: Any) -> None:
        """The trace holds only while `condition` gives `value`."""
        self.guards.append((condition, value))

    def snapshot(self, tensor: Tensor) -> Symbol:
        """The present contents of `tensor`, whatever becomes of it."""
        return self.symbol(self.value_of(tensor))

    def write(self, tensor: Tensor, value: Tensor) -> None:
        """Overwrites `tensor`, and with it everything that shares its memory."""
        target = self.symbol_of(tensor)
        new = self.value_of(value)
        present = [target.storage.value]
        for primitive, attributes in target.steps[:-1]:
            present.append(self.graph.call(primitive, [present[-1]], attributes))
        for (primitive, attributes), before in zip(
            reversed(target.steps), reversed(present[: len(target.steps)]), strict=True
        ):
            if primitive.name == "view":
                new = self.graph.call(primitive, [new], {"size": before.shape})
            elif primitive.name == "permute":
                back = tuple(int(i) for i in np.argsort(attributes["dims"]))
                new = self.graph.call(primitive, [new], {"dims": back})
            elif primitive.name == "expand":
                raise Untraceable("an expanded tensor is changed in place")
            else:
                new = self.graph.call(put(primitive, attributes), [before, new], attributes)
        target.storage.value = new
        target.storage.version += 1
        target.storage.changed = True

    # Gradients ----------------------------------------------------------------------------------

    def grad_of(self, tensor: Tensor) -> Tensor | None:
        """`tensor.grad` as the traced program sees it."""
        key = id(tensor)
        if key in self.grads:
            return self.grads[key][1]
        real = tensor._grad
        if isinstance(tensor._array, np.ndarray):
            self.guard(lambda: tensor._grad is None, real is None)
            if real is not None:
                self.readers[id(real._array)] = lambda: tensor._grad._array  # type: ignore[union-attr]
        return real

    def set_grad(self, tensor: Tensor, grad: Tensor | None) -> None:
        """`tensor.grad = grad`, to be done after each run."""
        if not isinstance(tensor._array, np.ndarray):
            tensor._grad = grad
            return
        key = id(tensor)
        self.grads_before.setdefault(key, (tensor, tensor._grad))
        self.grads[key] = (tensor, grad)

    # Values -------------------------------------------------------------------------------------

    def symbol_of(self, tensor: Tensor) -> Symbol:
        """The symbol of a tensor; for a real one, of the shadow that stands for it."""
        array = tensor._array
        if isinstance(array, Symbol):
            return array
        view = tensor._view
        root = tensor if view is None else view.base
        storage = self.shadow(root)
        steps = []
        if view is not None:
            for function, rest, attributes in view.steps:
                if not isinstance(function, Primitive) or rest:
                    raise Untraceable("a view of a captured tensor cannot be followed")
                steps.append((function, attributes))
        return Symbol(storage, array.shape, array.dtype, tuple(steps))

    def shadow(self, root: Tensor) -> Storage:
        """The storage that stands for a real tensor's memory."""
        array = root._array
        if isinstance(array, Symbol):
            return array.storage
        found = self.shadows.get(id(array))
        if found is None:
            if root._node is not None:
                raise Untraceable("a tensor with a history from outside is used")
            value = self.graph.input(array.shape, array.dtype)
            storage = Storage(value)
            found = self.shadows[id(array)] = (array, storage, root)
            self.captured.append((value, self.readers.get(id(array)) or (lambda: root._array)))
        return found[1]

    def value_of(self, tensor: Tensor) -> Value:
        """The present value of a tensor."""
        symbol = self.symbol_of(tensor)
        storage = symbol.storage
        if symbol._value is not None and symbol._seen == storage.version:
            return symbol._value
        value = storage.value
        for primitive, attributes in symbol.steps:
            value = self.graph.call(primitive, [value], attributes)
        symbol._seen, symbol._value = storage.version, value
        return value

    def changed_tensors(self) -> list[tuple[Tensor, Value, Value]]:
        """Real tensors that were written to: the tensor, the input it was, and its final value."""
        return [
            (root, self._input_of(storage), storage.value)
            for _, storage, root in self.shadows.values()
            if storage.changed
        ]

    def _input_of(self, wanted: Storage) -> Value:
        for (value, _), (_, storage, _) in zip(self.captured, self.shadows.values(), strict=True):
            if storage is wanted:
                return value
        raise AssertionError("a shadow has no input")


def blame(error: BaseException) -> str:
    """The file and line of the user's program from which `error` was raised."""
    here = __file__.rsplit("compiler", 1)[0]
    frames = traceback.extract_tb(error.__traceback__ if error.__traceback__ else sys.exc_info()[2])
    for frame in reversed(frames):
        if not frame.filename.startswith(here) and not frame.filename.startswith("<"):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "unknown line"
