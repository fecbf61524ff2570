"""`ops.aten`: the operators under the names that PyTorch's own library has for them.

`ops.aten.add`, `ops.aten.add.Tensor` and `ops.aten.add.default` are all `flambeau.add`: one operator here
takes what the overloads of that name take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.ops.parts import slice_along
from flambeau.ops.table import OPERATORS

#: What is an operator there but no function of `torch`.
_MORE: dict[str, Callable[..., Any]] = {"slice": slice_along}


class Overloads:
    """An operator that is also found under the names of its overloads."""

    def __init__(self, name: str, function: Callable[..., Any]):
        self.__name__ = name
        self.__doc__ = function.__doc__
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __getattr__(self, overload: str) -> Callable[..., Any]:
        if overload.startswith("__"):
            raise AttributeError(overload)
        return self._function

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='aten.{self.__name__}')>"


def __getattr__(name: str) -> Overloads:
    function = _MORE.get(name) or OPERATORS.get(name)
    if function is None:
        raise AttributeError(f"'_OpNamespace' 'aten' object has no attribute '{name}'")
    found = globals()[name] = Overloads(name, function)
    return found
