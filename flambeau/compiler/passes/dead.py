"""Dead code: nodes whose results nobody reads go."""

from __future__ import annotations

from flambeau.compiler.graph import Graph


def drop_dead(graph: Graph) -> Graph:
    """The graph without nodes that no output needs. Inputs stay: they are the program's signature."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.outputs):
            kept.append(node)
            needed.update(node.values)
    graph.nodes = kept[::-1]
    return graph
