"""Decomposition: primitives that fuse better as several smaller ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.compiler.graph import Graph, Node, Value, constant
from flambeau.core.dtypes import FROM_NUMPY, float32
from flambeau.ops.table import PRIMITIVES

_MOST_CLASSES = 2048  # up to here, comparing with every position beats looking positions up


def decompose(graph: Graph) -> Graph:
    """The graph in which softmax, mean, and look-ups along short dimensions are made of simple parts."""

    def replace(new: Graph, node: Node, inputs: tuple) -> Any:
        rule = _RULES.get(node.primitive.name)
        return rule(new, node, inputs) if rule is not None else None

    return graph.replaced(replace)


def _dims(x: Value, dims: Any) -> tuple[int, ...]:
    return tuple(range(len(x.shape))) if dims is None else tuple(dims)


def _mean(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    if x.dtype.kind not in "f" or x.dtype.itemsize < 4:
        return None
    dims = _dims(x, node.attributes["dims"])
    total = graph.call(PRIMITIVES["sum"], x, dims=dims, keepdim=node.attributes["keepdim"])
    count = int(np.prod([x.shape[d] for d in dims], dtype=np.int64))
    return graph.call(PRIMITIVES["div"], total, count) if count else None


def _exponentials(graph: Graph, x: Value, dim: int) -> tuple[Value, Value, Value]:
    """x less its largest, the exponentials of that, and their sum."""
    top = graph.call(PRIMITIVES["amax"], x, dims=(dim,), keepdim=True)
    z = graph.call(PRIMITIVES["sub"], x, top)
    e = graph.call(PRIMITIVES["exp"], z)
    return z, e, graph.call(PRIMITIVES["sum"], e, dims=(dim,), keepdim=True)


def _softmax(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    if x.dtype.itemsize < 4 or not x.size:
        return None
    _, e, total = _exponentials(graph, x, node.attributes["dim"])
    return graph.call(PRIMITIVES["div"], e, total)


def _log_softmax(graph: Graph, node: Node, inputs: tuple) -> Any:
    (x,) = inputs
    if x.dtype.itemsize < 4 or not x.size:
        return None
    z, _, total = _exponentials(graph, x, node.attributes["dim"])
    return graph.call(PRIMITIVES["sub"], z, graph.call(PRIMITIVES["log"], total))


def _positions(graph: Graph, x: Value, index: Value, dim: int, most: float = math.inf) -> Value | None:
    """Where position `dim` of x's elements is the index, if that is worth comparing."""
    shape = x.shape
    if not shape or index.shape[dim] != 1 or shape[dim] > most:
        return None
    if any(a != b for d, (a, b) in enumerate(zip(index.shape, shape, strict=True)) if d != dim):
        return None
    line = [1] * len(shape)
    line[dim] = shape[dim]
    return graph.call(
        PRIMITIVES["eq"],
        constant(np.arange(shape[dim], dtype=index.dtype).reshape(line)),
        index,
    )


def _gather(graph: Graph, node: Node, inputs: tuple) -> Any:
    x, index = inputs
    dim = node.attributes["dim"]
    if not node.attributes.get("within"):  # the kernel says which index is not
        return None
    here = _positions(graph, x, index, dim, _MOST_CLASSES)
    if here is None or x.dtype.kind not in "f":
        return None
    zero = constant(np.zeros((), x.dtype))
    picked = graph.call(PRIMITIVES["where"], here, x, zero)
    return graph.call(PRIMITIVES["sum"], picked, dims=(dim,), keepdim=True)


def _scatter_add(graph: Graph, node: Node, inputs: tuple) -> Any:
    x, index, source = inputs
    if not node.attributes.get("within"):
        return None
    # All of a result that begins with zeros is written anyway.
    zeros = x.number is not None and x.number == 0
    here = _positions(graph, x, index, node.attributes["dim"], math.inf if zeros else _MOST_CLASSES)
    if here is None or source.shape != index.shape:
        return None
    zero = constant(np.zeros((), x.dtype))
    placed = graph.call(PRIMITIVES["where"], here, source, zero)
    if zeros:
        return placed
    return graph.call(PRIMITIVES["add"], x, placed)


def _in_single(graph: Graph, node: Node, inputs: tuple) -> Any:
    """A convolution or pooling of halves: computed in float32, and rounded at the end, as halves are stored."""
    out = node.outputs[0]
    if len(node.outputs) > 1 or out.dtype.itemsize != 2 or out.dtype.kind not in "fV":
        return None
    cast = PRIMITIVES["to_copy"]
    wide = [
        graph.call(cast, x, dtype=float32)
        if isinstance(x, Value) and x.dtype.itemsize == 2 and x.dtype.kind in "fV"
        else x
        for x in inputs
    ]
    result = graph.call(node.primitive, *wide, **node.attributes)
    return graph.call(cast, result, dtype=FROM_NUMPY[out.dtype])


_RULES: dict[str, Any] = {
    "mean": _mean, "softmax": _softmax, "log_softmax": _log_softmax, "gather": _gather,
    "scatter_add": _scatter_add, "convolution": _in_single, "convolution_input": _in_single,
    "convolution_weight": _in_single, "avg_pool": _in_single, "avg_pool_backward": _in_single,
    "max_pool_backward": _in_single,
}  # fmt: skip
