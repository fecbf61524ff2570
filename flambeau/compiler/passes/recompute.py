"""Store or compute again: what is cheap to make of what is there anyway is made again where it is read.

Fusion puts a node with those that it reads. So the factors of a backward pass, (1 - s) s of a sigmoid or a gradient
times the scale of its channel, would be computed early, written and read again, though s or the gradient is
written too. Where every reader can compute such a value for itself, and that moves fewer bytes, it does.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.compiler.graph import Graph, Node, Value
from flambeau.compiler.passes.group import Group

_CHEAP = {
    "add", "sub", "mul", "neg", "relu", "threshold_backward", "where", "to_copy", "maximum", "minimum", "abs",
    "gt", "lt", "ge", "le", "eq", "ne", "logical_not", "logical_and", "logical_or",
}  # fmt: skip
_MOST_NODES = 4  # that are computed again for one value
_TAKE_IN = ("pointwise", "reduce", "slab")
_LARGE = 1 << 12  # bytes; less does not matter


def recompute(graph: Graph, groups: Sequence[Group]) -> list[Group]:
    """The groups (changed, as is the graph), with cheap values moved into those that read them."""
    _Recompute(graph, groups).run()
    return [g for g in groups if g.nodes]


class _Recompute:
    def __init__(self, graph: Graph, groups: Sequence[Group]):
        self.graph, self.groups = graph, groups
        self.users = graph.users()
        self.kept = set(graph.outputs)
        self.group = {node: group for group in groups for node in group.nodes}
        self.before: dict[Node, list[Node]] = {}  # new nodes, by the one that they stand in front of

    def run(self) -> None:
        for group in self.groups:
            if group.kind != "view":
                for value in reversed(group.outputs):
                    self._move(group, value)
        if self.before:
            old, self.graph.nodes = self.graph.nodes, []
            for node in old:
                self.graph.nodes += self.before.get(node, ())
                if node in self.group:
                    self.graph.nodes.append(node)

    def _move(self, group: Group, value: Value) -> None:
        """Has the readers of an output compute it, if that is possible and pays."""
        if value in self.kept or value.nbytes < _LARGE:
            return
        cone = self._cone(group, value)
        readers = {self.group[u]: None for u in self.users.get(value, ())}
        if not cone or not readers:
            return
        inside = {n.outputs[0] for n in cone}
        needed = dict.fromkeys(v for n in cone for v in n.values if v not in inside and v.constant is None)
        saved, more = value.nbytes, 0
        for reader in readers:
            if reader is group or reader.kind not in _TAKE_IN:
                return
            there = set(reader.inputs)
            saved += value.nbytes
            new = [v for v in needed if v not in there]
            more += sum(v.nbytes for v in new)
            if sum(v.shape == value.shape for v in new) > 1:
                return  # it would read from more places than now
        if more > saved:
            return
        for reader in readers:
            self._give(reader, value, cone)
        self._drop(group, value)

    def _cone(self, group: Group, value: Value) -> list[Node]:
        """The cheap nodes that make a value of what the group reads or writes, in order; none if there are others."""
        found: list[Node] = []
        stops = {*group.outputs} - {value}

        def collect(v: Value) -> bool:
            node = v.node
            if v in stops or self.group.get(node) is not group or node in found:
                return True
            if node.primitive.name not in _CHEAP or len(node.outputs) > 1 or len(found) >= _MOST_NODES:
                return False
            if not all(collect(x) for x in node.values):
                return False
            found.append(node)
            return True

        return found if collect(value) and len(found) <= _MOST_NODES else []

    def _give(self, reader: Group, value: Value, cone: Sequence[Node]) -> None:
        """Puts copies of the nodes into a group, where they make the value that it read."""
        new: dict[Value, Value] = {}
        copies = []
        for node in cone:
            inputs = tuple(new.get(x, x) if isinstance(x, Value) else x for x in node.inputs)
            (out,) = node.outputs
            copy = Node(node.primitive, inputs, node.attributes, [out.spec])
            new[out] = copy.outputs[0]
            copies.append(copy)
            for x in copy.values:
                self.users.setdefault(x, []).append(copy)
            self.group[copy] = reader
        mine = [u for u in self.users[value] if self.group[u] is reader]
        for user in mine:
            user.inputs = tuple(new[value] if x is value else x for x in user.inputs)
        self.users[new[value]] = mine
        self.users[value] = [u for u in self.users[value] if u not in mine]
        first = min(mine, key=reader.nodes.index)
        self.before.setdefault(first, []).extend(copies)
        reader.nodes[:0] = copies

    def _drop(self, group: Group, value: Value) -> None:
        """Takes out of a group what nobody reads any more."""
        group.outputs.remove(value)
        waiting = [value]
        while waiting:
            node = waiting.pop().node
            if node is None or self.group.get(node) is not group:
                continue
            if any(self.users.get(v) or v in self.kept for v in node.outputs):
                continue
            group.nodes.remove(node)
            del self.group[node]
            for v in node.values:
                self.users[v] = [u for u in self.users[v] if u is not node]
                waiting.append(v)
