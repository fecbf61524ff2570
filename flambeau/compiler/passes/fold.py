"""Constant folding: what depends on constants only is computed once, at compile time."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.compiler.graph import Graph, Node, Value, constant

_LARGEST = 1 << 20  # elements; larger constants cost more memory than time


def fold_constants(graph: Graph) -> Graph:
    """The graph in which nodes of constants alone have become constants."""
    return graph.replaced(_folded)


def _folded(graph: Graph, node: Node, inputs: tuple) -> Any:
    if node.primitive.random or any(v.size > _LARGEST for v in node.outputs):
        return None
    arrays = []
    for x in inputs:
        if isinstance(x, Value):
            if x.constant is None:
                return None
            x = np.asarray(x.constant, order="C")  # a copy has been simplified away, perhaps
        arrays.append(x)
    with np.errstate(all="ignore"):
        results = node.primitive.compute(*arrays, **node.attributes)
    results = results if isinstance(results, tuple) else (results,)
    return tuple(constant(np.array(r)) for r in results)
