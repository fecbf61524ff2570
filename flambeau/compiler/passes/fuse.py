"""Fusion: which nodes become one kernel.

Pointwise nodes of one shape join where one reads another. A pointwise expression that only a reduction
reads becomes the reduction's prologue. Reductions over the same dimensions of one shape, and what is made of
them and into them, become a slab: one pass over memory. A node may join only if no path leads from the group
out to another kernel and back in. Views are no kernels: whoever reads one reads its memory with other strides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flambeau.compiler.graph import Graph, Node, Value
from flambeau.compiler.passes.group import Group, in_order

_MOST_NODES = 48
_MOST_BUFFERS = 24


def fuse(
    graph: Graph,
    kind_of: Callable[[Node], str],
    takes_epilogue: Callable[[Node, int], bool] = lambda node, outputs: False,
    slab_axes: Callable[[Node], tuple[int, ...] | None] = lambda node: None,
) -> list[Group]:
    """The graph's nodes in groups, in an order in which they can run.

    Args:
        graph: the program.
        kind_of: "view", "pointwise", "reduce", or any other name for nodes that run alone.
        takes_epilogue: whether a node's kernel can finish its elements by an expression with so
            many results.
        slab_axes: the dimensions over which a reduction may be part of a slab, or `None`.
    """
    return _Fusion(graph, kind_of, takes_epilogue, slab_axes).run()


class _Fusion:
    def __init__(
        self,
        graph: Graph,
        kind_of: Callable[[Node], str],
        takes_epilogue: Callable[[Node, int], bool],
        slab_axes: Callable[[Node], tuple[int, ...] | None],
    ):
        self.graph, self.takes_epilogue, self.slab_axes = graph, takes_epilogue, slab_axes
        self.kind = {node: kind_of(node) for node in graph.nodes}
        self.index = {node: k for k, node in enumerate(graph.nodes)}
        self.users = graph.users()
        self.kept = set(graph.outputs)
        self.group: dict[Node, Group] = {}

    def run(self) -> list[Group]:
        self._prologues()
        for node in self.graph.nodes:
            if node in self.group:
                continue
            self.group[node] = Group(self.kind[node], [node])
            if self.kind[node] == "pointwise":
                self._join_producers(node)
        self._epilogues()
        self._slabs()
        self._untangle()
        groups = list(dict.fromkeys(self.group.values()))
        for group in groups:
            # What takes an epilogue comes first; for the rest the program's order is valid.
            finished = group.kind not in ("pointwise", "reduce", "slab")
            group.nodes.sort(
                key=lambda n, late=finished: (
                    late and self.kind[n] == "pointwise",
                    self.index[n],
                )
            )
            group.outputs = self._leaving(group)
        return in_order(self.graph, groups)

    # Prologues of reductions ----------------------------------------------------------------------

    def _prologues(self) -> None:
        """Gives each reduction the pointwise nodes that nobody else reads."""
        for node in self.graph.nodes:
            if self.kind[node] != "reduce":
                continue
            group = self.group[node] = Group("reduce", [node])
            shape = node.values[0].shape
            waiting = [node]
            while waiting:
                for value in waiting.pop().values:
                    maker = value.node
                    if maker is not None and self._belongs(maker, group, shape):
                        group.nodes.append(maker)
                        self.group[maker] = group
                        waiting.append(maker)

    def _belongs(self, maker: Node, group: Group, shape: tuple[int, ...]) -> bool:
        (value, *_) = maker.outputs
        return (
            self.kind[maker] == "pointwise"
            and maker not in self.group
            and value.shape == shape
            and value not in self.kept
            and all(self.group.get(user) is group for user in self.users.get(value, ()))
        )

    # Epilogues -------------------------------------------------------------------------------------

    def _epilogues(self) -> None:
        """Gives a product or convolution the pointwise group that alone reads it."""
        for node in self.graph.nodes:
            value = node.outputs[0]
            readers = {id(g): g for g in (self.group[u] for u in self.users.get(value, ()))}
            if len(readers) != 1 or value in self.kept or len(node.outputs) != 1:
                continue
            (after,) = readers.values()
            mine = self.group[node]
            if after.kind != "pointwise" or after.nodes[0].outputs[0].shape != value.shape:
                continue
            if any(p is after for p in self._producers(mine)):
                continue  # it needs something of the group that it would finish
            results = len(self._leaving(after))
            if not self.takes_epilogue(node, results) or self._would_cycle(mine, after):
                continue
            for joined in after.nodes:
                self.group[joined] = mine
            mine.nodes += after.nodes

    # Slabs -----------------------------------------------------------------------------------------

    def _slabs(self) -> None:
        """Lets each reduction grow into a slab, where that saves a pass over all elements."""
        for node in self.graph.nodes:
            group = self.group[node]
            if self.kind[node] != "reduce" or group.kind != "reduce":
                continue
            axes = self.slab_axes(node)
            if axes is None:
                continue
            shape = node.values[0].shape
            joined = self._grown(group, shape, axes)
            if any(self.kind[n] == "reduce" or n.outputs[0].shape == shape for _, nodes in joined for n in nodes):
                group.kind = "slab"
                continue
            for other, nodes in joined:
                for n in nodes:
                    self.group[n] = other
                group.nodes = [n for n in group.nodes if n not in nodes]

    def _grown(
        self, group: Group, shape: tuple[int, ...], axes: tuple[int, ...]
    ) -> list[tuple[Group, list[Node]]]:
        """Takes in the neighbours that go over the same slabs; returns them with their nodes."""
        row = tuple(1 if d in axes else n for d, n in enumerate(shape))
        joined: list[tuple[Group, list[Node]]] = []
        refused: set[int] = set()
        while True:
            near = [*self._producers(group), *self._readers(group)]
            other = next((g for g in near if id(g) not in refused and self._alike(g, shape, row, axes)), None)
            if other is None:
                return joined
            if self._too_large(group, other) or self._would_cycle(group, other):
                refused.add(id(other))
                continue
            joined.append((other, list(other.nodes)))
            for n in other.nodes:
                self.group[n] = group
            group.nodes += other.nodes
            refused.clear()  # what stood between may have gone

    def _alike(
        self, group: Group, shape: tuple[int, ...], row: tuple[int, ...], axes: tuple[int, ...]
    ) -> bool:
        """Whether a group goes over slabs of this shape, or over one number a slab."""
        if group.kind == "pointwise":
            return group.nodes[0].outputs[0].shape in (shape, row)
        if group.kind != "reduce":
            return False
        reduces = [n for n in group.nodes if self.kind[n] == "reduce"]
        return all(n.values[0].shape == shape and self.slab_axes(n) == axes for n in reduces)

    def _readers(self, group: Group) -> Iterable[Group]:
        found = {}
        for node in group.nodes:
            for value in node.outputs:
                for user in self.users.get(value, ()):
                    reader = self.group[user]
                    if reader is not group:
                        found[id(reader)] = reader
        return found.values()

    # Chains -----------------------------------------------------------------------------------------

    def _join_producers(self, node: Node) -> None:
        shape = node.outputs[0].shape
        for value in node.values:
            if value.node is None:
                continue
            mine, other = self.group[node], self.group[value.node]
            if other is mine or other.kind != "pointwise" or value.shape != shape:
                continue
            if self._too_large(mine, other) or self._would_cycle(mine, other):
                continue
            for joined in mine.nodes:
                self.group[joined] = other
            other.nodes += mine.nodes

    def _too_large(self, a: Group, b: Group) -> bool:
        if len(a.nodes) + len(b.nodes) > _MOST_NODES:
            return True
        both = Group("pointwise", a.nodes + b.nodes)
        return len(both.inputs) > _MOST_BUFFERS

    def _would_cycle(self, a: Group, b: Group) -> bool:
        """Whether a path leads from one group to the other through a third."""
        return self._leads(b, a) or self._leads(a, b)

    def _leads(self, source: Group, target: Group) -> bool:
        first = min(self.index[n] for n in source.nodes)
        waiting = [p for p in self._producers(target) if p is not source]
        seen: set[int] = set()
        while waiting:
            group = waiting.pop()
            if group is source:
                return True
            if id(group) in seen or max(self.index[n] for n in group.nodes) < first:
                continue
            seen.add(id(group))
            waiting += self._producers(group)
        return False

    def _producers(self, group: Group) -> Iterable[Group]:
        found = {}
        for node in group.nodes:
            for value in node.values:
                maker = self.group.get(value.node) if value.node is not None else None
                if maker is not None and maker is not group:
                    found[id(maker)] = maker
        return found.values()

    # Circles ----------------------------------------------------------------------------------------

    def _untangle(self) -> None:
        """Takes groups apart until none waits for itself.

        Joining looks for paths only as far back as its own first node, which keeps it quick in deep networks but
        misses a path through an older group that has grown.
        """
        while circle := self._circle():
            first = min((n for g in circle for n in g.nodes), key=self.index.__getitem__)
            group = self.group[first]
            others = {n for g in circle if g is not group for n in g.nodes}
            waits = self._depending(group.nodes, others)
            if group.kind == "pointwise":
                late = Group("pointwise", [n for n in group.nodes if n in waits])
                group.nodes = [n for n in group.nodes if n not in waits]
                self.group.update(dict.fromkeys(late.nodes, late))
            else:
                self.group.update({n: Group(self.kind[n], [n]) for n in group.nodes})

    def _circle(self) -> list[Group]:
        """Groups of which each reads the next, and the last the first; none if there are none."""
        done: set[Group] = set()
        for start in dict.fromkeys(self.group.values()):
            path: dict[Group, None] = {}
            waiting = [(start, iter(self._producers(start)))] if start not in done else []
            path.update(dict.fromkeys(g for g, _ in waiting))
            while waiting:
                group, makers = waiting[-1]
                maker = next(makers, None)
                if maker is None:
                    waiting.pop()
                    path.pop(group)
                    done.add(group)
                elif maker in path:
                    circle = list(path)
                    return circle[circle.index(maker) :]
                elif maker not in done:
                    path[maker] = None
                    waiting.append((maker, iter(self._producers(maker))))
        return []

    def _depending(self, nodes: Iterable[Node], others: set[Node]) -> set[Node]:
        """Which of the nodes need what the others make."""
        known: dict[Node, bool] = {}
        oldest = min(self.index[n] for n in others)
        for node in sorted(nodes, key=self.index.__getitem__):
            waiting = [node]
            while waiting:
                here = waiting[-1]
                makers = [v.node for v in here.values if v.node is not None and self.index[v.node] >= oldest]
                unknown = [m for m in makers if m not in known and m not in others]
                if unknown:
                    waiting += unknown
                    continue
                known[here] = any(m in others or known[m] for m in makers)
                waiting.pop()
        return {n for n in nodes if known[n]}

    # The end ----------------------------------------------------------------------------------------

    def _leaving(self, group: Group) -> list[Value]:
        return [
            value
            for node in group.nodes
            for value in node.outputs
            if value in self.kept
            or any(self.group[u] is not group for u in self.users.get(value, ()))
            or (len(node.outputs) > 1)
        ]
