"""Concatenation without copies: values that are joined are written where the whole wants them.

The parts of a `cat` are given places in its memory before their kernels are made. So the steps of a
recurrent network write their outputs into the sequence, and pieces of a gradient into the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.compiler.backends.place import Place, whole
from flambeau.compiler.graph import Graph, Node, Value
from flambeau.compiler.passes.group import Group

#: Groups whose kernels write results with any strides.
_FLEXIBLE = ("pointwise", "joined", "matmul")
_MOST_DIMENSIONS = 3  # images are laid out by what convolutions want


def destinations(graph: Graph, groups: Sequence[Group]) -> dict[Value, Place]:
    """For values that are parts of larger ones, where in these they lie."""
    makers = {value: group for group in groups for value in group.outputs}
    outputs = set(graph.outputs)
    found: dict[Value, Place] = {}
    for group in reversed(groups):
        if not is_cat(group):
            continue
        (node,) = group.nodes
        (joined,) = node.outputs
        for value, place in parts_of(node, found.get(joined, whole(joined))):
            source = _unseen(value, place)
            if source is None:
                continue
            made, where = source
            maker = makers.get(made)
            fits = maker is not None and (maker.kind in _FLEXIBLE or is_cat(maker))
            if fits and made not in outputs and made not in found:
                found[made] = where
    return found


def is_cat(group: Group) -> bool:
    return group.kind == "copies" and group.nodes[0].primitive.name == "cat"


def parts_of(node: Node, joined: Place) -> list[tuple[Value, Place]]:
    """What a `cat` joins, and where each goes in the result."""
    found, start, dim = [], 0, node.attributes["dim"]
    for value in node.values:
        found.append((value, joined.part(dim, start, value.shape[dim])))
        start += value.shape[dim]
    return found


def _unseen(value: Value, place: Place) -> tuple[Value, Place] | None:
    """What a value is a view of, and where that must lie for the view to lie at `place`.

    Only views that add or drop dimensions of size 1 are followed.
    """
    while value.node is not None and value.node.primitive.name == "view":
        (base,) = value.node.values
        if [n for n in base.shape if n != 1] != [n for n in value.shape if n != 1]:
            return None
        steps = iter([s for n, s in zip(value.shape, place.strides, strict=True) if n != 1])
        strides = [next(steps) if n != 1 else 1 for n in base.shape]
        value, place = base, Place(place.root, place.offset, base.shape, tuple(strides))
    if value.node is None or len(value.shape) > _MOST_DIMENSIONS:
        return None
    return value, place
