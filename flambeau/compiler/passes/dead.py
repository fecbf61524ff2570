"""Dead code: nodes whose results nobody reads go."""

from __future__ import annotations

from collections.abc import Iterable

from flambeau.compiler.graph import Graph, Value


def drop_dead(graph: Graph, also: Iterable[Value] = ()) -> Graph:
    """The graph without nodes that no output (or value of `also`) needs. Inputs stay."""
    needed = {*graph.outputs, *also}
    kept = []
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.outputs):
            kept.append(node)
            needed.update(node.values)
    graph.nodes = kept[::-1]
    return graph
