"""The graph of a traced program: primitives applied to values, in the order they were recorded.

Values never change: what a program does in place, the tracer has turned into new values. A node's
inputs are values, Python numbers, or `None`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from flambeau.ops.table import Primitive, Spec


class Value:
    """An array of the program: an input, a constant, or output `slot` of a node.

    Attributes:
        shape, dtype: what is known of it.
        node: what computes it; `None` for inputs and constants.
        constant: the array of a constant.
        input: the position among the program's inputs, or -1.
    """

    __slots__ = ("constant", "dtype", "input", "node", "shape", "slot")

    def __init__(
        self,
        shape: Sequence[int],
        dtype: np.dtype,
        node: Node | None = None,
        slot: int = 0,
        constant: np.ndarray | None = None,
        input: int = -1,
    ):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.node, self.slot, self.constant, self.input = node, slot, constant, input

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def spec(self) -> Spec:
        return Spec(self.shape, self.dtype)

    @property
    def number(self) -> Any:
        """The one number that fills a constant, or `None`."""
        if self.constant is None or not self.constant.size:
            return None
        if any(self.constant.strides) and self.constant.size > 1:
            return None
        return self.constant.reshape(-1)[0] if self.constant.ndim else self.constant[()]


Operand = Any  # a Value, a Python number, or None


class Node:
    """One call of a primitive."""

    __slots__ = ("attributes", "inputs", "outputs", "primitive")

    def __init__(
        self,
        primitive: Primitive,
        inputs: Sequence[Operand],
        attributes: dict[str, Any],
        specs: Sequence[Spec | Value],
    ):
        self.primitive = primitive
        self.inputs = tuple(inputs)
        self.attributes = attributes
        self.outputs = tuple(Value(s.shape, s.dtype, self, k) for k, s in enumerate(specs))

    @property
    def values(self) -> list[Value]:
        """The inputs that are values."""
        return [x for x in self.inputs if isinstance(x, Value)]


class Graph:
    """A program: inputs, nodes in a valid order, and the values that it gives."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.outputs: list[Value] = []

    def add_input(self, shape: Sequence[int], dtype: np.dtype) -> Value:
        value = Value(shape, dtype, input=len(self.inputs))
        self.inputs.append(value)
        return value

    def call(self, primitive: Primitive, *inputs: Operand, **attributes: Any) -> Any:
        """Adds a node; its result, or a tuple of them."""
        node = make_node(primitive, inputs, attributes)
        self.nodes.append(node)
        return node.outputs[0] if primitive.outputs == 1 else node.outputs

    def again(self, node: Node, inputs: Sequence[Operand]) -> tuple[Value, ...]:
        """Adds a node of another graph with other inputs; its results."""
        if all(map(_are_alike, inputs, node.inputs)):
            made = Node(node.primitive, inputs, node.attributes, node.outputs)
        else:
            made = make_node(node.primitive, inputs, node.attributes)
        self.nodes.append(made)
        return made.outputs

    def replaced(self, replace: Callable[[Graph, Node, tuple], Any]) -> Graph:
        """A new graph, node by node.

        `replace(graph, node, inputs)` gives the value (or the values of all outputs) that stand for
        a node whose inputs have become `inputs`, or `None` to keep the node.
        """
        new = Graph()
        known: dict[Value, Value] = {}
        for value in self.inputs:
            known[value] = new.add_input(value.shape, value.dtype)
        for node in self.nodes:
            inputs = tuple(known.get(x, x) if isinstance(x, Value) else x for x in node.inputs)
            found = replace(new, node, inputs)
            if found is None:
                found = new.again(node, inputs)
            outputs = found if isinstance(found, tuple) else (found,)
            known.update(zip(node.outputs, outputs, strict=True))
        new.outputs = [known.get(v, v) for v in self.outputs]
        return new

    # Reading --------------------------------------------------------------------------------------

    def users(self) -> dict[Value, list[Node]]:
        """The nodes that read each value."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.values:
                found.setdefault(value, []).append(node)
        return found

    def text(self) -> str:
        """The program, one node a line; equal programs have equal texts."""
        names: dict[Value, str] = {}
        lines = []
        for k, value in enumerate(self.inputs):
            names[value] = f"in{k}"
            lines.append(f"in{k}: {describe(value)}")
        for node in self.nodes:
            arguments = ", ".join(_operand(x, names) for x in node.inputs)
            attributes = "".join(f", {k}={_attribute(v)}" for k, v in node.attributes.items())
            for value in node.outputs:
                names[value] = f"%{len(names)}"
            left = ", ".join(f"{names[v]}: {describe(v)}" for v in node.outputs)
            lines.append(f"{left} = {node.primitive.name}({arguments}{attributes})")
        outputs = ", ".join(_operand(v, names) for v in self.outputs)
        return "\n".join([*lines, f"return {outputs}"])

    def key(self) -> str:
        """A hash by which equal programs are found."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def verify(self) -> None:
        """Raises `AssertionError` unless every value is made before it is used, by one node, with
        the shape and dtype that its primitive's rule gives.
        """
        known = set(self.inputs)
        for node in self.nodes:
            for value in node.values:
                made = value.constant is not None or value in known
                assert made, f"{node.primitive.name} reads a value that is not made before it"
            specs = specs_of(node.primitive, node.inputs, node.attributes)
            for value, spec in zip(node.outputs, specs, strict=True):
                assert value.node is node and value not in known
                assert (value.shape, value.dtype) == (spec.shape, spec.dtype), (
                    f"{node.primitive.name} gives {spec}, the graph says {describe(value)}"
                )
                known.add(value)
        for value in self.outputs:
            assert value.constant is not None or value in known, "an output is never made"


def constant(array: np.ndarray) -> Value:
    """A constant value; one filled with a single number takes no memory."""
    array = np.asarray(array)
    if array.size > 1 and (array == array.flat[0]).all():
        array = np.broadcast_to(np.asarray(array.flat[0], array.dtype), array.shape)
    return Value(array.shape, array.dtype, constant=array)


def make_node(
    primitive: Primitive, inputs: Sequence[Operand], attributes: dict[str, Any]
) -> Node:
    """A node whose outputs have the specs that the primitive's rule gives."""
    return Node(primitive, inputs, attributes, specs_of(primitive, inputs, attributes))


def specs_of(
    primitive: Primitive, inputs: Iterable[Operand], attributes: dict[str, Any]
) -> tuple[Spec, ...]:
    specs = [x.spec if isinstance(x, Value) else x for x in inputs]
    found = primitive.rule(*specs, **attributes)
    return (found,) if primitive.outputs == 1 else tuple(found)


def _are_alike(a: Operand, b: Operand) -> bool:
    """Whether a primitive's rule gives the same for both."""
    if a is b:
        return True
    return isinstance(a, Value) and isinstance(b, Value) and a.shape == b.shape and a.dtype == b.dtype


def describe(value: Value) -> str:
    """A value's dtype and shape, as `f4[2, 3]`."""
    return f"{value.dtype.str[1:]}[{', '.join(map(str, value.shape))}]"


def _operand(x: Operand, names: dict[Value, str]) -> str:
    if not isinstance(x, Value):
        return repr(x)
    if x.constant is None:
        return names[x]
    if (number := x.number) is not None:
        return f"{describe(x)}({number!r})"
    content = hashlib.sha256(np.ascontiguousarray(x.constant).tobytes()).hexdigest()
    return f"{describe(x)}(sha256:{content[:24]})"


def _attribute(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_attribute, value))})"
    if isinstance(value, dict):
        return str({k: _attribute(v) for k, v in value.items()})
    return repr(value)


def extracted(
    nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value]
) -> Graph:
    """A graph of its own that computes `outputs` from `inputs` by (some of) these nodes."""
    new = Graph()
    known = {value: new.add_input(value.shape, value.dtype) for value in inputs}
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if any(v in needed and v not in known for v in node.outputs):
            kept.append(node)
            needed.update(node.values)
    for node in reversed(kept):
        arguments = [known.get(x, x) if isinstance(x, Value) else x for x in node.inputs]
        made = make_node(node.primitive, arguments, node.attributes)
        new.nodes.append(made)
        for old, value in zip(node.outputs, made.outputs, strict=True):
            known.setdefault(old, value)
    new.outputs = [known.get(v, v) for v in outputs]
    return new
