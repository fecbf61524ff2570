"""Views last: what is computed of a view is computed of what it is a view of, and viewed then.

A linear layer on sequences is a product of two-dimensional matrices, seen with more dimensions, plus a bias. Added
before the view, the bias is the product's epilogue; so are activations, and gradients of biases become equal sums.
"""

from __future__ import annotations

from typing import Any

from flambeau.compiler.graph import Graph, Node, Value
from flambeau.compiler.passes.simplify import viewed


def views_last(graph: Graph) -> Graph:
    """The graph in which pointwise operators and sums of views are views of them, where all operands allow it."""

    def replace(new: Graph, node: Node, inputs: tuple) -> Any:
        if node.primitive.name == "view":
            return viewed(new, inputs[0], node.outputs[0].shape)
        if node.primitive.name == "sum":
            return _summed(new, node, inputs[0])
        return _computed(new, node, inputs) if node.primitive.pointwise else None

    return graph.replaced(replace)


def _computed(graph: Graph, node: Node, inputs: tuple) -> Value | None:
    """A pointwise operator of the bases. Other operands may only have dimensions that base and view share."""
    shape = node.outputs[0].shape
    bases = {base.shape for x in inputs if (base := _base(x)) is not None and x.shape == shape}
    if len(bases) != 1:
        return None
    (before,) = bases
    same = _same_last(before, shape)
    operands = []
    for x in inputs:
        if isinstance(x, Value):
            base = _base(x)
            if base is not None and (base.shape, x.shape) == (before, shape):
                x = base
            else:
                kept = _without_leading_ones(x.shape)
                if len(kept) > same:
                    return None
                x = viewed(graph, x, kept)
        operands.append(x)
    return viewed(graph, graph.call(node.primitive, *operands, **node.attributes), shape)


def _summed(graph: Graph, node: Node, x: Value) -> Value | None:
    """A sum over all dimensions in which base and view differ, and no other."""
    base, dims = _base(x), node.attributes["dims"]
    if base is None or dims is None:
        return None
    kept = len(x.shape) - len(dims)
    if sorted(dims) != list(range(len(dims))) or kept > _same_last(base.shape, x.shape):
        return None
    leading = tuple(range(len(base.shape) - kept))
    if not leading:
        return None
    total = graph.call(node.primitive, base, **(node.attributes | {"dims": leading}))
    return viewed(graph, total, node.outputs[0].shape)


def _base(x: Any) -> Value | None:
    """What this is a view of, if that has other dimensions: some of size 1 alone make no difference to a kernel."""
    if not isinstance(x, Value) or x.node is None or x.node.primitive.name != "view":
        return None
    (base,) = x.node.inputs
    return None if _without_ones(base.shape) == _without_ones(x.shape) else base


def _same_last(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """How many of the last dimensions are the same."""
    count = 0
    while count < min(len(a), len(b)) and a[-1 - count] == b[-1 - count]:
        count += 1
    return count


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [n for n in shape if n != 1]


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    first = next((k for k, n in enumerate(shape) if n != 1), len(shape))
    return shape[first:]
