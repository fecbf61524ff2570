"""Assembly: long sums that are really one piece of work.

A sum of slices' gradients, each zero outside its slice, is their concatenation: the backward pass of `chunk`,
`unbind` and of indexing gives every piece a whole array of zeros with the piece in it, and adds these.

A sum of products is one product of concatenated matrices: A B + C D = [A C] [B; D]. The gradient of a weight
that is used in every step of a recurrent network is such a sum, and that of a bias a sum of sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.compiler.graph import Graph, Node, Value, constant
from flambeau.ops.table import PRIMITIVES

_FEWEST = 4  # products or sums that are worth putting together


def assemble(graph: Graph) -> Graph:
    """The graph in which sums of disjoint slices and of products are put together."""
    return graph.replaced(_Assembly(graph).replace)


class _Assembly:
    def __init__(self, graph: Graph):
        self.users = graph.users()
        self.index = {node: k for k, node in enumerate(graph.nodes)}
        self.kept = set(graph.outputs)
        self.new: dict[Value, Any] = {}  # what stands for a value in the new graph

    def replace(self, graph: Graph, node: Node, inputs: tuple) -> Any:
        for old, new in zip(node.inputs, inputs, strict=True):
            if isinstance(old, Value):
                self.new[old] = new
        if not _is_sum(node) or self._is_part_of_a_sum(node):
            return None
        terms = self._terms(node)
        pieces = [v for v in terms if self._is_piece(v)]
        whole, taken = None, set()
        for dim in range(len(node.outputs[0].shape)):
            row = _apart([v for v in pieces if v not in taken], dim)
            if len(row) < 2:
                continue
            joined = self._join(graph, row, dim)
            whole = joined if whole is None else graph.call(PRIMITIVES["add"], whole, joined)
            taken.update(row)
        products = self._products(terms)
        if products:
            product = self._one_product(graph, products)
            whole = product if whole is None else graph.call(PRIMITIVES["add"], whole, product)
            taken.update(products)
        for sums in self._sums(terms):
            total = self._one_sum(graph, sums)
            whole = total if whole is None else graph.call(PRIMITIVES["add"], whole, total)
            taken.update(sums)
        if whole is None:
            return None
        for value in terms:
            if value not in taken:
                whole = graph.call(PRIMITIVES["add"], self.new[value], whole)
        return whole

    def _is_part_of_a_sum(self, node: Node) -> bool:
        (out,) = node.outputs
        users = self.users.get(out, ())
        return out not in self.kept and len(users) == 1 and _is_sum(users[0])

    def _terms(self, node: Node) -> list[Value]:
        """What a tree of additions adds, in its order."""
        found: list[Value] = []
        waiting = list(reversed(node.values))
        while waiting:
            value = waiting.pop()
            if value.node is not None and _is_sum(value.node) and self._is_part_of_a_sum(value.node):
                waiting += reversed(value.node.values)
            else:
                found.append(value)
        return found

    def _is_piece(self, value: Value) -> bool:
        node = value.node
        return (
            node is not None
            and node.primitive.name == "slice_backward"
            and value not in self.kept
            and len(self.users[value]) == 1
            and set(node.attributes["steps"]) == {1}
        )

    def _products(self, terms: list[Value]) -> list[Value]:
        """The products of a sum that are better done as one, in the order in which they were made."""
        found = []
        for value in terms:
            node = value.node
            if node is None or node.primitive.name != "mm" or len(value.shape) != 2:
                continue
            (rows, depth), columns = node.values[0].shape, value.shape[1]
            cheap = depth * (rows + columns) <= rows * columns
            if cheap and value not in self.kept and len(self.users[value]) == 1:
                found.append(value)
        return sorted(found, key=self._age) if len(found) >= _FEWEST else []

    def _age(self, product: Value) -> int:
        """When what a product multiplies by was made."""
        assert product.node is not None
        right = product.node.values[1].node
        return self.index[right] if right is not None else -1

    def _one_product(self, graph: Graph, products: list[Value]) -> Value:
        """[A C ...] [B; D; ...]."""
        nodes = [p.node for p in products if p.node is not None]
        lefts, rights = ([self.new[n.values[side]] for n in nodes] for side in (0, 1))
        if all(_is_turned(v) for v in lefts):
            bases = [v.node.values[0] for v in lefts]
            left = graph.call(PRIMITIVES["permute"], _stacked(graph, bases), dims=(1, 0))
        else:
            left = graph.call(PRIMITIVES["cat"], *lefts, dim=1)
        return graph.call(PRIMITIVES["mm"], left, _stacked(graph, rights))

    def _sums(self, terms: list[Value]) -> list[list[Value]]:
        """The terms that are sums over the first dimension of arrays of one shape.

        Only of factors, since these are put together for a product. Backward passes make the last step's first:
        turned around, they lie as the steps do.
        """
        alike: dict[tuple[int, ...], list[Value]] = {}
        for value in reversed(terms):
            node = _sum_behind(value)
            if node is None or value in self.kept or len(self.users[value]) > 1:
                continue
            if self._is_factor(node.values[0]):
                alike.setdefault(node.values[0].shape, []).append(value)
        return [sums for sums in alike.values() if len(sums) >= _FEWEST]

    def _is_factor(self, value: Value) -> bool:
        """Whether a matrix is multiplied by another."""
        users = self.users[value]
        return any(n.primitive.name == "mm" for u in users for n in (u, *self.users.get(u.outputs[0], ())))

    def _one_sum(self, graph: Graph, sums: list[Value]) -> Value:
        summed = [self.new[node.values[0]] for v in sums if (node := _sum_behind(v)) is not None]
        layers = [graph.call(PRIMITIVES["view"], x, size=(1, *x.shape)) for x in summed]
        stack = graph.call(PRIMITIVES["cat"], *layers, dim=0)
        total = graph.call(PRIMITIVES["sum"], stack, dims=(0, 1), keepdim=True)
        return graph.call(PRIMITIVES["view"], total, size=sums[0].shape)

    def _join(self, graph: Graph, row: list[Value], dim: int) -> Value:
        """The slices along a dimension, with zeros where none lies."""
        shape, parts, end = row[0].shape, [], 0

        def gap(upto: int) -> None:
            if upto > end:
                size = (*shape[:dim], upto - end, *shape[dim + 1 :])
                parts.append(constant(np.broadcast_to(np.zeros((), row[0].dtype), size)))

        for value in row:
            assert value.node is not None
            start, stop = _range(value, dim)
            gap(start)
            parts.append(self.new[value.node.values[0]])
            end = stop
        gap(shape[dim])
        return graph.call(PRIMITIVES["cat"], *parts, dim=dim)


def _is_turned(value: Value) -> bool:
    node = value.node
    return node is not None and node.primitive.name == "permute" and len(value.shape) == 2


def _stacked(graph: Graph, matrices: list[Value]) -> Value:
    """Matrices below each other. Equal ones are stacked first, as recurrent networks stack them."""
    columns = matrices[0].shape[1]
    if len({m.shape for m in matrices}) > 1:
        return graph.call(PRIMITIVES["cat"], *matrices, dim=0)
    layers = [graph.call(PRIMITIVES["view"], m, size=(1, *m.shape)) for m in matrices]
    stack = graph.call(PRIMITIVES["cat"], *layers, dim=0)
    return graph.call(PRIMITIVES["view"], stack, size=(len(matrices) * matrices[0].shape[0], columns))


def _is_sum(node: Node) -> bool:
    """Whether this adds two values of its own shape and dtype."""
    out = node.outputs[0]
    return (
        node.primitive.name == "add"
        and len(node.values) == 2
        and all(v.shape == out.shape and v.dtype == out.dtype for v in node.values)
    )


def _sum_behind(value: Value) -> Node | None:
    """The node that sums over the first dimension, of which a value is all."""
    node = value.node
    if node is not None and node.primitive.name == "view":
        node = node.values[0].node
    if node is None or node.primitive.name != "sum" or node.attributes["dims"] != (0,):
        return None
    return node if node.outputs[0].dtype == node.values[0].dtype else None


def _range(piece: Value, dim: int) -> tuple[int, int]:
    assert piece.node is not None
    start = piece.node.attributes["starts"][dim]
    return start, start + piece.node.values[0].shape[dim]


def _apart(pieces: list[Value], dim: int) -> list[Value]:
    """Pieces, first to last, that are whole in every other dimension and do not overlap."""
    shape = pieces[0].shape if pieces else ()
    whole = [
        p
        for p in pieces
        if p.node is not None
        and all(n == m for d, (n, m) in enumerate(zip(p.node.values[0].shape, shape, strict=True)) if d != dim)
    ]  # fmt: skip
    found: list[Value] = []
    for piece in sorted(whole, key=lambda p: _range(p, dim)):
        if not found or _range(piece, dim)[0] >= _range(found[-1], dim)[1]:
            found.append(piece)
    return found
