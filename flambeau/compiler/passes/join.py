"""Horizontal fusion: pointwise groups that compute the same of different tensors become one.

An optimizer's update is the same expression for every parameter. Its groups depend on nothing but their own
gradient and state, so that they can be one kernel that goes through all parameters (`kernels/joined.py`): code for
one, one barrier, and small parameters share a vector unit's time evenly among threads.

Groups join only where waiting for each other costs nothing. What is *last* is read by other last groups only, so
nobody waits for it. If it is small as well it may wait for anything; if it is large, it would leave the cache while
others work, so it joins only others of its *stretch*, in which nothing else happens that touches much memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from flambeau.compiler.graph import Graph, Value
from flambeau.compiler.passes.common import frozen
from flambeau.compiler.passes.group import Group, in_order, producers

_SMALL = 1 << 16  # bytes that may leave the cache: reading them again takes a few microseconds
_FEWEST_NUMBERS = 4  # single numbers that are worth gathering in a vector
_TRANSPARENT = ("view", "pointwise")


def join(graph: Graph, groups: Sequence[Group]) -> list[Group]:
    """The groups in a valid order, those that can be one put into a group of kind "joined"."""
    found = _Join(graph, groups).run()
    return in_order(graph, found) if len(found) < len(groups) else list(groups)


def signature(group: Group) -> Hashable | None:
    """What a pointwise group computes, whatever the names and sizes of its tensors; `None` if it has no name.

    An operand is as large as the group's results, or one number.
    """
    shape = group.outputs[0].shape
    made: dict[Value, tuple] = {}
    read: dict[Value, tuple] = {}

    def name(x: Any) -> Hashable:
        if not isinstance(x, Value):
            return type(x), x
        if x in made:
            return made[x]
        if x not in read:
            if x.number is not None:
                read[x] = "constant", x.dtype.name, x.number.tobytes()
            elif x.shape != shape and x.size != 1:
                raise TypeError("an operand that is neither whole nor one number")
            else:
                read[x] = "read", len(read), x.dtype.name, x.shape == shape
        return read[x]

    try:
        text = []
        for node in group.nodes:
            operands = tuple(map(name, node.inputs))
            for value in node.outputs:
                made[value] = "made", len(made), value.dtype.name
            text.append((node.primitive.name, operands, frozen(node.attributes)))
        return not shape, tuple(text), tuple(made[v] for v in group.outputs)
    except TypeError:
        return None


class _Join:
    def __init__(self, graph: Graph, groups: Sequence[Group]):
        self.graph, self.groups = graph, groups
        self.index = {node: k for k, node in enumerate(graph.nodes)}
        self.producers = producers(groups)
        self.readers: dict[Group, list[Group]] = {g: [] for g in groups}
        for group, before in self.producers.items():
            for maker in before:
                self.readers[maker].append(group)
        self.bit = {group: 1 << k for k, group in enumerate(groups)}
        self.before = self._all_before()

    def run(self) -> list[Group]:
        """The groups, some of them joined, in no order."""
        joined = {g: g for g in self.groups}
        for alike in self._alike():
            members = self._independent(alike)
            if len(members) >= (_FEWEST_NUMBERS if members[0].outputs[0].size == 1 else 2):
                whole = self._one(members)
                joined.update(dict.fromkeys(members, whole))
        return list(dict.fromkeys(joined.values()))

    def _alike(self) -> Iterable[list[Group]]:
        """Groups that compute the same and need not wait for each other for long."""
        stretch, found = 0, defaultdict(list)
        small = defaultdict(list)
        last = self._last()
        for group in self.groups:
            size = touched(group)
            if group not in last:
                stretch += group.kind != "view" and size > _SMALL
                continue
            name = signature(group) if group.kind == "pointwise" else None
            if name is None:
                stretch += group.kind not in _TRANSPARENT and size > _SMALL
            elif size <= _SMALL:
                small[name].append(group)
            elif not self.readers[group]:
                found[name, stretch].append(group)
        for (name, _), large in reversed(found.items()):
            large += small.pop(name, [])
        return [*small.values(), *found.values()]

    def _last(self) -> set[Group]:
        """Groups that only pointwise groups read, of which nobody else reads anything."""
        found: set[Group] = set()
        for group in reversed(self.groups):
            if all(r in found for r in self.readers[group]) and group.kind in _TRANSPARENT:
                found.add(group)
        return found

    # Who waits for whom -----------------------------------------------------------------------------

    def _all_before(self) -> dict[Group, int]:
        """For each group those that must run before it, as bits."""
        found: dict[Group, int] = {}
        for group in self.groups:
            found[group] = 0
            for maker in self.producers[group]:
                found[group] |= self.bit[maker] | found[maker]
        return found

    def _independent(self, alike: Sequence[Group]) -> list[Group]:
        """Those of the groups that do not wait for each other, nor through others that are joined already."""
        members: list[Group] = []
        bits = before = 0
        for group in alike:
            if not (before & self.bit[group] or self.before[group] & bits):
                members.append(group)
                bits |= self.bit[group]
                before |= self.before[group]
        return members

    def _one(self, members: list[Group]) -> Group:
        """The members as one group; whoever waits for one waits for all."""
        bits = sum(self.bit[g] for g in members)
        before = 0
        for group in members:
            before |= self.before[group]
        for group, waits in self.before.items():
            if waits & bits:
                self.before[group] = waits | bits | before
        for group in members:
            self.before[group] = before
        nodes = sorted((n for g in members for n in g.nodes), key=self.index.__getitem__)
        outputs = [v for g in members for v in g.outputs]
        return Group("joined", nodes, outputs, members=members)


def touched(group: Group) -> int:
    """How many bytes a group reads and writes."""
    return sum(v.nbytes for v in (*group.inputs, *group.outputs))
