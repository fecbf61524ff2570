"""Which attributes of users' objects a traced function reads, and methods of objects that may go."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any


class Reads:
    """Inside, which attributes of the objects of some classes are read."""

    def __init__(self, classes: Iterable[type]):
        self._classes = list(classes)
        self._found: dict[int, set[str]] = {}

    def of(self, thing: Any) -> set[str]:
        """The names of the attributes that were read."""
        found = self._found.get(id(thing), set())
        return found.union(vars(thing)) if "__dict__" in found and not isinstance(thing, layers()) else found

    def __enter__(self) -> Reads:
        self._before = [(cls, vars(cls).get("__getattribute__")) for cls in self._classes]
        for cls, _ in self._before:
            type.__setattr__(cls, "__getattribute__", self._noting(cls.__getattribute__))
        return self

    def _noting(self, read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        found = self._found

        def note(thing: Any, name: str) -> Any:
            found.setdefault(id(thing), set()).add(name)
            return read(thing, name)

        return note

    def __exit__(self, *error: object) -> None:
        for cls, before in reversed(self._before):
            if before is None:
                type.__delattr__(cls, "__getattribute__")
            else:
                type.__setattr__(cls, "__getattribute__", before)


def layers() -> tuple[type, ...]:
    from flambeau.nn.module import Module

    return (Module,)


class Method:
    """A function bound to an instance that may go: `gone` is called then."""

    def __init__(self, function: Callable[..., Any], instance: Any, gone: Callable[..., Any]):
        self.function = function
        self.instance = weakref.ref(instance, lambda _: gone())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        instance = self.instance()
        if instance is None:
            raise ReferenceError("the object of which a compiled method is called again is gone")
        return self.function(instance, *args, **kwargs)


class Bound:
    """A compiled method while somebody has it: it keeps its instance."""

    __slots__ = ("__self__", "__wrapped__")

    def __init__(self, compiled: Any, instance: Any):
        self.__wrapped__, self.__self__ = compiled, instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__name__", "__qualname__"):
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __reduce__(self) -> tuple:
        return getattr, (self.__self__, self.__name__)  # the method of what the instance is copied to
