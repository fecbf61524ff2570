"""Trees of containers come apart and together."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest

from flambeau.utils import _pytree as trees

Pair = namedtuple("Pair", "left right")
TREES: dict[str, Any] = {
    "leaf": 1, "list": [1, (2, 3)], "dict": {"b": 1, "a": [2, {}]}, "named": Pair(1, [2]), "ordered": OrderedDict(x=1),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_there_and_back(name: str) -> None:
    leaves, spec = trees.tree_flatten(TREES[name])
    assert leaves == sorted(leaves)
    assert trees.tree_unflatten(leaves, spec) == TREES[name]
    assert spec.num_leaves == len(leaves)
    assert trees.tree_structure(TREES[name]) == spec


def test_maps() -> None:
    assert trees.tree_map(lambda x, y: x + y, {"a": [1, 2]}, {"a": [10, 20]}) == {"a": [11, 22]}
    assert trees.tree_map_only(int, lambda x: -x, [1, "a"]) == [-1, "a"]
    assert trees.tree_all(bool, [1, 1]) and not trees.tree_any(bool, [0, 0])
    assert trees.tree_leaves([(1, 2)], is_leaf=lambda x: isinstance(x, tuple)) == [(1, 2)]


def test_kinds_of_ones_own() -> None:
    class Box:
        def __init__(self, inside: Any):
            self.inside = inside

    trees.register_pytree_node(Box, lambda b: ([b.inside], None), lambda v, _: Box(*v))
    assert trees.tree_map(lambda x: x + 1, Box(1)).inside == 2
    with pytest.raises(ValueError, match="has length 1"):
        trees.tree_unflatten([1], trees.tree_structure([1, 2]))
