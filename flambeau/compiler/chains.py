"""Pointwise functions of tensors as expressions of kernels, for eager operators that run them on arrays of any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.compiler.backends.expressions import Builder, Element, add_primitive
from flambeau.compiler.graph import Graph, Value
from flambeau.compiler.passes import simplified
from flambeau.compiler.trace import Tracer, tracing
from flambeau.kernels.expression import Nodes
from flambeau.tensor.tensor import Tensor, wrap

_LENGTH = 5  # of the arrays that stand in: any that is not 1


def chain_of(function: Callable[..., Any], count: int, dtype: np.dtype) -> tuple[Nodes, tuple[int, ...]]:
    """The expression of a function of `count` tensors of one shape and dtype, and which nodes are its results.

    Raises `NotImplementedError` where it is not pointwise throughout.
    """
    graph, results = _traced(function, count, dtype)
    builder = Builder()
    elements: dict[Value, Element] = {v: builder.input(v.input, v.dtype) for v in graph.inputs}

    def element(x: Any) -> Any:
        if not isinstance(x, Value):
            return x
        if x not in elements:
            if x.number is None:
                raise NotImplementedError("a chain reads numbers and its arguments only")
            elements[x] = builder.number(x.number.item(), x.dtype)
        return elements[x]

    for node in graph.nodes:
        if not node.primitive.pointwise:
            raise NotImplementedError(f"{node.primitive.name} is not pointwise")
        elements[node.outputs[0]] = add_primitive(builder, node, [element(x) for x in node.inputs])
    found = [element(v) for v in graph.outputs]
    if any(v.shape != (_LENGTH,) or e.dtype != r for v, e, r in zip(graph.outputs, found, results, strict=True)):
        raise NotImplementedError("a result of another shape")
    return tuple(builder.nodes), tuple(e.position for e in found)


def _traced(function: Callable[..., Any], count: int, dtype: np.dtype) -> tuple[Graph, list[np.dtype]]:
    """The simplified graph of a function, and the dtypes of its results."""
    tracer = Tracer()
    arguments = [wrap(np.zeros(_LENGTH, dtype)) for _ in range(count)]
    try:
        with tracing(tracer):
            results = function(*tracer.stand_ins(arguments))
            tensors: list[Tensor] = [results] if isinstance(results, Tensor) else list(results)
            values = [tracer.value_of(t) for t in tensors]
            tracer.graph.outputs += values
    finally:
        tracer.roll_back()
    return simplified(tracer.graph), [v.dtype for v in values]
