"""Simplifications that change no number: views of views, copies, casts to the same dtype, x * 1."""

from __future__ import annotations

from typing import Any

from flambeau.compiler.graph import Graph, Node, Value
from flambeau.ops.table import PRIMITIVES


def simplify(graph: Graph) -> Graph:
    """The graph with nodes replaced by simpler ones."""
    return graph.replaced(_simpler)


def _simpler(graph: Graph, node: Node, inputs: tuple) -> Any:
    rule = _RULES.get(node.primitive.name)
    found = rule(graph, node, inputs) if rule is not None else None
    return _unexpanded(graph, node, inputs) if found is None and node.primitive.pointwise else found


def _unexpanded(graph: Graph, node: Node, inputs: tuple) -> Any:
    """A pointwise operator of what was expanded: broadcasting does that, and of fewer elements it does less."""
    small = tuple(_base(x) for x in inputs)
    if all(a is b for a, b in zip(small, inputs, strict=True)):
        return None
    shape = node.outputs[0].shape
    result = graph.call(node.primitive, *small, **node.attributes)
    return result if result.shape == shape else graph.call(PRIMITIVES["expand"], result, size=shape)


def _base(x: Any) -> Any:
    """What a value was expanded from."""
    while isinstance(x, Value) and x.node is not None and x.node.primitive.name == "expand":
        x = x.node.inputs[0]
    return x


def viewed(graph: Graph, x: Value, shape: tuple[int, ...]) -> Value:
    """A value with another shape: a view of what it is itself a view of, or that if it has the shape."""
    while x.node is not None and x.node.primitive.name == "view":
        x = x.node.inputs[0]
    return x if x.shape == shape else graph.call(PRIMITIVES["view"], x, size=shape)


def _view(graph: Graph, node: Node, inputs: tuple) -> Any:
    return viewed(graph, inputs[0], node.outputs[0].shape)


def _permute(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    dims = tuple(node.attributes["dims"])
    while x.node is not None and x.node.primitive.name == "permute":
        before = x.node.attributes["dims"]
        dims, x = tuple(before[d] for d in dims), x.node.inputs[0]
    if dims == tuple(range(len(dims))):
        return x
    swapped = (*range(len(dims) - 2), len(dims) - 1, len(dims) - 2)
    if dims == swapped and x.node is not None and x.node.primitive.name == "mm":
        # (A B)' = B' A': the product comes out in order, and nobody has to turn it.
        a, b = x.node.inputs
        if len(a.shape) == len(b.shape) == len(dims):
            turned = [graph.call(node.primitive, m, dims=dims) for m in (b, a)]
            return graph.call(x.node.primitive, *(_untwisted(graph, m) for m in turned))
    return graph.call(node.primitive, x, dims=dims) if x is not inputs[0] else None


def _untwisted(graph: Graph, value: Value) -> Value:
    """A permuted value, or what it was permuted from if both cancel."""
    node = value.node
    assert node is not None
    found = _permute(graph, node, node.inputs)
    return value if found is None else found


def _expand(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    return x if x.shape == tuple(node.attributes["size"]) else None


def _slice(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    whole = node.outputs[0].shape == x.shape
    return x if whole and set(node.attributes["steps"]) <= {1} else None


def _copy(graph: Graph, node: Node, inputs: tuple) -> Any:
    return inputs[0]  # values never change, so copies are the values themselves


def _cast(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    return x if x.dtype == node.outputs[0].dtype else None


def _is(x: Any, number: float) -> bool:
    if isinstance(x, Value):
        x = x.number
        if x is None:
            return False
    return bool(x == number)


def _fits(x: Any, node: Node) -> bool:
    return isinstance(x, Value) and (x.shape, x.dtype) == (
        node.outputs[0].shape,
        node.outputs[0].dtype,
    )


def _mul(graph: Graph, node: Node, inputs: tuple) -> Any:
    a, b = inputs
    if _is(b, 1) and _fits(a, node):
        return a
    if _is(a, 1) and _fits(b, node):
        return b
    return None


def _div(graph: Graph, node: Node, inputs: tuple) -> Any:
    a, b = inputs
    return a if _is(b, 1) and _fits(a, node) else None


def _add(graph: Graph, node: Node, inputs: tuple) -> Any:
    # x + (-0.0) is x for every x; x + 0.0 loses only the sign of -0.0, which nothing later divides by
    # unless the program did so itself: left alone.
    a, b = inputs
    if node.outputs[0].dtype.kind in "iu":
        if _is(b, 0) and _fits(a, node):
            return a
        if _is(a, 0) and _fits(b, node):
            return b
    return None


def _sum(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    dims = node.attributes["dims"]
    if dims is None:
        return None
    if all(x.shape[d] == 1 for d in dims) and node.outputs[0].dtype == x.dtype:
        return graph.call(PRIMITIVES["view"], x, size=node.outputs[0].shape)
    return None


_RULES: dict[str, Any] = {
    "view": _view, "permute": _permute, "expand": _expand, "slice": _slice, "clone": _copy,
    "to_copy": _cast, "mul": _mul, "div": _div, "add": _add, "sum": _sum,
}  # fmt: skip
