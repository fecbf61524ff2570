"""Trees of tuples, lists, dictionaries and dataclasses: what programs take and return."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
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


def containers(tree: Any) -> Iterator[Any]:
    """The lists, dictionaries and records of a tree, always in the same order."""
    if isinstance(tree, (list, dict)) or is_record(tree):
        yield tree
    if isinstance(tree, (tuple, list, dict)) or is_record(tree):
        content = tree if isinstance(tree, tuple) else content_of(tree)
        for x in content.values() if isinstance(content, dict) else content:
            yield from containers(x)


def content_of(container: Any) -> Any:
    """What a list, dictionary or record holds, as a list or a dictionary."""
    if isinstance(container, list):
        return list(container)
    if isinstance(container, dict):
        return dict(container)
    return {part.name: getattr(container, part.name) for part in fields(container)}


def fill(container: Any, content: Any) -> None:
    """Makes a list, dictionary or record hold something else."""
    if isinstance(container, list):
        container[:] = content
    elif isinstance(container, dict):
        container.clear()
        container.update(content)
    else:
        for name, value in content.items():
            if getattr(container, name) is not value:
                object.__setattr__(container, name, value)


def marked(tree: Any, marks: dict[int, Any]) -> Any:
    """`tree` with marks in the place of some of its containers, which are given by their ids."""
    if id(tree) in marks:
        return marks[id(tree)]
    if isinstance(tree, (tuple, list, dict)) or is_record(tree):
        parts = [x for x in containers(tree) if id(x) in marks]
        if parts:
            return _marked(tree, marks)
    return tree


def _marked(tree: Any, marks: dict[int, Any]) -> Any:
    if isinstance(tree, tuple):
        inner = [marked(x, marks) for x in tree]
        return tuple(inner) if type(tree) is tuple else type(tree)(*inner)
    if isinstance(tree, list):
        return [marked(x, marks) for x in tree]
    made = copy.copy(tree)
    fill(made, {k: marked(x, marks) for k, x in content_of(tree).items()})
    return made


def is_record(x: Any) -> bool:
    """Whether a value is an instance of a user's dataclass."""
    return is_dataclass(x) and not isinstance(x, type)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree."""
    found: list[Any] = []
    map_tree(tree, found.append)
    return found
