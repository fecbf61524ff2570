"""Results of several tensors with names, as `torch.return_types`."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any


class NamedResult(tuple):
    """A tuple of results whose items also have names; see `named_result`."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __new__(cls, *items: Any) -> Any:
        if len(items) == 1 and len(cls._fields) > 1:
            items = tuple(items[0])
        return tuple.__new__(cls, items)

    @classmethod
    def _make(cls, items: Iterable[Any]) -> Any:
        return tuple.__new__(cls, items)

    def __repr__(self) -> str:
        rows = ",\n".join(f"{n}={x!r}" for n, x in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{rows})"

    def __reduce__(self) -> tuple:
        return _rebuild, (type(self).__name__, tuple(self))


#: Every type of named results, by the operator's name.
RETURN_TYPES: dict[str, type[NamedResult]] = {}


def named_result(name: str, *fields: str) -> type[NamedResult]:
    """The type of the results of operator `name`, with the given names for its items."""
    members: dict[str, Any] = {"__slots__": (), "_fields": fields}
    for place, field in enumerate(fields):
        members[field] = property(operator.itemgetter(place))
    made = RETURN_TYPES[name] = type(name, (NamedResult,), members)
    return made


def _rebuild(name: str, items: tuple) -> NamedResult:
    return RETURN_TYPES[name](*items)
