"""The graph of a traced program: values, and the nodes that make them.

A graph is value-semantic: nodes never change their inputs. What a program does in place has become a new
value by the time it is here, and an effect at the end (see `recorder`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from flambeau.ops.table import Primitive, Spec


class Value:
    """An array that the program will have: an input, a constant, or a result of a node."""

    __slots__ = ("constant", "dtype", "node", "number", "shape")

    def __init__(
        self,
        number: int,
        shape: Sequence[int],
        dtype: np.dtype,
        node: Node | None = None,
        constant: np.ndarray | None = None,
    ):
        self.number = number
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.node = node
        self.constant = constant

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def spec(self) -> Spec:
        return Spec(self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"%{self.number}"


class Node:
    """One call of a primitive. Inputs are values, Python numbers or `None`."""

    __slots__ = ("attributes", "inputs", "outputs", "primitive")

    def __init__(self, primitive: Primitive, inputs: Sequence[Any], attributes: dict[str, Any]):
        self.primitive = primitive
        self.inputs = tuple(inputs)
        self.attributes = attributes
        self.outputs: tuple[Value, ...] = ()

    @property
    def values(self) -> list[Value]:
        return [x for x in self.inputs if isinstance(x, Value)]

    def __str__(self) -> str:
        outs = ", ".join(f"{o}: {o.dtype}{list(o.shape)}" for o in self.outputs)
        arguments = [repr(x) for x in self.inputs]
        arguments += [f"{k}={v!r}" for k, v in self.attributes.items()]
        return f"{outs} = {self.primitive.name}({', '.join(arguments)})"


class Graph:
    """Values and nodes in the order in which they were made."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self.count = 0
        self._known: dict[Any, tuple[Value, ...]] = {}

    def new_value(self, shape: Sequence[int], dtype: np.dtype, node: Node | None = None) -> Value:
        self.count += 1
        return Value(self.count, shape, dtype, node)

    def input(self, shape: Sequence[int], dtype: np.dtype) -> Value:
        """A value that is given at each call."""
        value = self.new_value(shape, dtype)
        self.inputs.append(value)
        return value

    def constant(self, array: np.ndarray) -> Value:
        """A value that is the same at each call."""
        value = self.new_value(array.shape, array.dtype)
        value.constant = np.array(array, order="C", copy=True)
        return value

    def call(self, primitive: Primitive, inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
        """The result of a primitive; an equal call made before is not made again."""
        key = _key(primitive, inputs, attributes)
        if key is not None and key in self._known:
            found = self._known[key]
            return found[0] if primitive.outputs == 1 else found
        node = Node(primitive, inputs, attributes)
        specs = [x.spec if isinstance(x, Value) else x for x in inputs]
        made = primitive.rule(*specs, **attributes)
        rows = (made,) if primitive.outputs == 1 else made
        node.outputs = tuple(self.new_value(s.shape, s.dtype, node) for s in rows)
        self.nodes.append(node)
        if key is not None:
            self._known[key] = node.outputs
        return node.outputs[0] if primitive.outputs == 1 else node.outputs

    def needed(self, results: Iterable[Value]) -> list[Node]:
        """The nodes that lead to `results`, in order."""
        wanted: set[int] = set()
        stack = [v.node for v in results if v.node is not None]
        while stack:
            node = stack.pop()
            if id(node) in wanted:
                continue
            wanted.add(id(node))
            stack += [v.node for v in node.values if v.node is not None]
        return [n for n in self.nodes if id(n) in wanted]

    def __str__(self) -> str:
        lines = [f"input {v}: {v.dtype}{list(v.shape)}" for v in self.inputs]
        return "\n".join([*lines, *map(str, self.nodes)])


def _key(primitive: Primitive, inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """What tells a call from others; `None` where it cannot be compared."""
    try:
        key = (
            primitive.name,
            tuple(("%", x.number) if isinstance(x, Value) else (type(x), x) for x in inputs),
            tuple((k, type(v), v) for k, v in attributes.items()),
        )
        hash(key)
    except TypeError:
        return None
    return key


def put(primitive: Primitive, attributes: dict[str, Any]) -> Primitive:
    """The primitive that overwrites the part of an array of which `primitive` is a view."""
    found = _PUTS.get(primitive.name)
    if found is None:
        def compute(x: np.ndarray, part: np.ndarray, **where: Any) -> np.ndarray:
            out = x.copy()
            primitive.compute(out, **where)[...] = part
            return out

        found = _PUTS[primitive.name] = Primitive(
            f"{primitive.name}_put", "input part", compute, rule=lambda x, part, **where: x
        )
    return found


_PUTS: dict[str, Primitive] = {}
Read = Callable[[], Any]
