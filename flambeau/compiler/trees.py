"""Trees of tuples, lists, dictionaries and dataclasses: what programs take and return."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

from flambeau.tensor.tensor import Tensor


def map_tensors(tree: Any, f: Callable[[Tensor], Any]) -> Any:
    """`tree`, of tuples, lists and dictionaries, with `f` of each tensor in its place."""
    if isinstance(tree, Tensor):
        return f(tree)
    return map_tree(tree, lambda x: f(x) if isinstance(x, Tensor) else x)


def map_tree(tree: Any, f: Callable[[Any], Any]) -> Any:
    """`tree` with `f` of each leaf in its place."""
    if isinstance(tree, tuple):
        parts = [map_tree(x, f) for x in tree]
        if type(tree) is tuple:
            return tuple(parts)
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if isinstance(tree, list):
        return [map_tree(x, f) for x in tree]
    if isinstance(tree, dict):
        parts = {k: map_tree(v, f) for k, v in tree.items()}
        if type(tree) is dict:
            return parts
        made = copy.copy(tree)
        made.update(parts)
        return made
    if is_record(tree):
        made = copy.copy(tree)
        for part in fields(tree):
            object.__setattr__(made, part.name, map_tree(getattr(tree, part.name), f))
        return made
    return f(tree)


def is_record(x: Any) -> bool:
    """Whether a value is an instance of a user's dataclass."""
    return is_dataclass(x) and not isinstance(x, type)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree."""
    found: list[Any] = []
    map_tree(tree, found.append)
    return found
