"""Guards: what must be as it was when a program was traced, for the program to be run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any

from flambeau.tensor.tensor import Tensor

_SIMPLE = (int, float, str, bool, complex, bytes, type(None))


def is_simple(value: Any) -> bool:
    """Whether a value is a plain constant, compared by value."""
    if isinstance(value, tuple):
        return all(map(is_simple, value))
    return isinstance(value, _SIMPLE)


class Settings:
    """Entries of dictionaries (of modules, of a function's globals) and what they were."""

    def __init__(self) -> None:
        self.entries: list[tuple[dict, Any, Any]] = []
        self.sizes: list[tuple[dict, int]] = []

    def add_modules(self, modules: Iterable[Any]) -> None:
        """The simple attributes, the members and the hooks of modules."""
        for module in modules:
            attributes = module.__dict__
            self.entries += [(attributes, k, v) for k, v in attributes.items() if is_simple(v)]
            for members in (module._parameters, module._buffers, module._modules):
                self.entries += [(members, k, v) for k, v in members.items()]
                self.sizes.append((members, len(members)))

    def add_function(self, function: Callable[..., Any]) -> None:
        """The simple constants among the globals that a function names."""
        function = getattr(function, "__func__", function)
        code, names = (
            getattr(function, "__code__", None),
            getattr(function, "__globals__", None),
        )
        if code is None or names is None:
            return
        for name in _names(code):
            if name in names and is_simple(names[name]):
                self.entries.append((names, name, names[name]))

    def hold(self) -> bool:
        """Whether everything is as it was."""
        for entries, key, value in self.entries:
            now = entries.get(key, self)
            if now is not value and (
                type(now) is not type(value) or isinstance(value, Tensor) or now != value
            ):
                return False
        return all(len(entries) == size for entries, size in self.sizes)


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _names(inner)
    return found


def closure_guards(function: Callable[..., Any]) -> list[tuple[Callable[[], Any], Any]]:
    """Conditions on the simple constants that a function closes over, and on which objects it does."""
    function = getattr(function, "__func__", function)
    guards = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if is_simple(value):
            guards.append((lambda cell=cell: cell.cell_contents, value))
        else:
            guards.append((lambda cell=cell: id(cell.cell_contents), id(value)))
    return guards


def modules_of(function: Callable[..., Any], arguments: Iterable[Any]) -> list[Any]:
    """The modules that a function can reach by its closure, its globals and its arguments."""
    from flambeau.nn.module import Module

    plain = getattr(function, "__func__", function)
    held = [getattr(function, "__self__", None), *arguments]
    for cell in getattr(plain, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:
            continue
    names = getattr(plain, "__globals__", {})
    if (code := getattr(plain, "__code__", None)) is not None:
        held += [names[n] for n in _names(code) if n in names]
    found: dict[int, Any] = {}
    for thing in held:
        if isinstance(thing, Module):
            found.update((id(m), m) for m in thing.modules())
    return list(found.values())
