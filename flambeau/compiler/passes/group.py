"""Groups: nodes that run together, and the order in which groups run."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flambeau.compiler.graph import Graph, Node, Value


@dataclass(eq=False)
class Group:
    """Nodes that run together. `kind` names the backend's way of running them.

    Attributes:
        nodes: in a valid order; for a reduction the prologue, then the reduction itself.
        outputs: the values that leave the group.
        notes: why it is as it is, for `explain()`.
        members: of a "joined" group, the groups of which it is made.
    """

    kind: str
    nodes: list[Node]
    outputs: list[Value] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    members: list[Group] = field(default_factory=list)

    @property
    def inputs(self) -> list[Value]:
        """What the group reads from outside, each once."""
        inside = {v for n in self.nodes for v in n.outputs}
        found = dict.fromkeys(v for n in self.nodes for v in n.values if v not in inside)
        return list(found)


def producers(groups: Iterable[Group]) -> dict[Group, list[Group]]:
    """For each group those that make what it reads."""
    maker = {node: group for group in groups for node in group.nodes}
    found: dict[Group, list[Group]] = {}
    for group in groups:
        makers = dict.fromkeys(maker[v.node] for n in group.nodes for v in n.values if v.node in maker)
        makers.pop(group, None)
        found[group] = list(makers)
    return found


def in_order(graph: Graph, groups: Sequence[Group]) -> list[Group]:
    """The groups such that everything is made before it is read, near to the program's own order.

    Raises `AssertionError` if there is no such order.
    """
    index = {node: k for k, node in enumerate(graph.nodes)}
    makers = producers(groups)
    missing = {group: len(before) for group, before in makers.items()}
    readers: dict[Group, list[Group]] = {group: [] for group in groups}
    for group, before in makers.items():
        for maker in before:
            readers[maker].append(group)
    place = {group: (max(index[n] for n in group.nodes), k) for k, group in enumerate(groups)}
    ready = [(*place[g], g) for g in groups if not missing[g]]
    heapq.heapify(ready)
    order = []
    while ready:
        *_, group = heapq.heappop(ready)
        order.append(group)
        for reader in readers[group]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, (*place[reader], reader))
    if len(order) != len(groups):
        raise AssertionError("the groups wait for each other")
    return order
