"""Trees: dictionaries, lists and tuples of tensors and other leaves, nested in any way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def leaves_of(tree: Any) -> list[Any]:
    """The leaves, from left to right."""
    return list(_walk(tree))


def _walk(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from _walk(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from _walk(value)
    else:
        yield tree


def with_leaves(tree: Any, leaves: Iterable[Any]) -> Any:
    """A tree of the same form with other leaves."""
    return _fill(tree, iter(leaves))


def _fill(tree: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(tree, dict):
        return type(tree)((key, _fill(value, leaves)) for key, value in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[_fill(value, leaves) for value in tree])
    if isinstance(tree, (tuple, list)):
        return type(tree)([_fill(value, leaves) for value in tree])
    return next(leaves)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `function` applied to each leaf."""
    return with_leaves(tree, map(function, leaves_of(tree)))


def spread(prefix: Any, tree: Any) -> list[Any] | None:
    """One value for each leaf of `tree`, from a tree that may stop higher up; `None` where it
    misfits.

    `spread(0, (x, {"a": y}))` is `[0, 0]`, as is `spread((0, 0), ...)`.
    """
    if isinstance(tree, dict) and isinstance(prefix, dict):
        if tree.keys() != prefix.keys():
            return None
        parts = [spread(prefix[key], tree[key]) for key in tree]
    elif isinstance(tree, (tuple, list)) and isinstance(prefix, (tuple, list)):
        if len(tree) != len(prefix):
            return None
        parts = [spread(p, t) for p, t in zip(prefix, tree, strict=True)]
    elif isinstance(prefix, (dict, tuple, list)):
        return None
    else:
        return [prefix] * len(leaves_of(tree))
    found = []
    for part in parts:
        if part is None:
            return None
        found += part
    return found
