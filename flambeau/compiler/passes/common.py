"""Common subexpressions: of equal nodes, one stays."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from flambeau.compiler.graph import Graph, Node, Value


def merge_common(graph: Graph) -> Graph:
    """The graph in which each primitive runs once on the same inputs and attributes."""
    known: dict[Hashable, tuple[Value, ...]] = {}

    def replace(new: Graph, node: Node, inputs: tuple) -> Any:
        try:
            key = (node.primitive.name, tuple(map(_same, inputs)), frozen(node.attributes))
            found = known.get(key)
        except TypeError:  # an attribute that does not hash
            return None
        if found is None:
            found = known[key] = new.again(node, inputs)
        return found

    return graph.replaced(replace)


def _same(x: Any) -> Hashable:
    if not isinstance(x, Value):
        return type(x), x
    number = x.number
    if number is None or x.shape:
        return id(x)
    return x.dtype.str, number.tobytes()


def frozen(x: Any) -> Hashable:
    if isinstance(x, dict):
        return tuple((k, frozen(v)) for k, v in sorted(x.items()))
    if isinstance(x, (tuple, list)):
        return tuple(map(frozen, x))
    if isinstance(x, Value):
        return id(x)
    hash(x)
    return type(x), x
