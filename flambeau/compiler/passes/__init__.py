"""Passes over the graph, one file each. `simplified` runs those that every backend wants."""

from __future__ import annotations

from flambeau.compiler.graph import Graph
from flambeau.compiler.passes.assemble import assemble
from flambeau.compiler.passes.common import merge_common
from flambeau.compiler.passes.dead import drop_dead
from flambeau.compiler.passes.decompose import decompose
from flambeau.compiler.passes.fold import fold_constants
from flambeau.compiler.passes.simplify import simplify
from flambeau.compiler.passes.views_last import views_last

#: Whether every pass is followed by the verifier; tests switch it on.
verifying = False


def simplified(graph: Graph) -> Graph:
    """The graph after all passes that do not depend on a backend."""
    for run in (
        drop_dead, decompose, simplify, views_last, assemble, fold_constants, merge_common, drop_dead,
    ):
        graph = run(graph)
        if verifying:
            graph.verify()
    return graph
