"""`ops.aten`: the operators under the names that PyTorch's own library has for them.

`ops.aten.add`, `ops.aten.add.Tensor` and `ops.aten.add.default` are all `flambeau.add`: one operator here
takes what the overloads of that name take.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from flambeau.ops.parts import slice_along

#: What is an operator there but no function of `torch`.
_MORE: dict[str, Callable[..., Any]] = {"slice": slice_along}
#: Where operators stand that begin so, and where the others are sought.
_PREFIXES = {"linalg_": "linalg", "fft_": "fft", "special_": "special"}
_PLACES = ("", "nn.direct", "nn.functional")


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
    function = _MORE.get(name) or _function(name)
    if function is None:
        raise AttributeError(f"'_OpNamespace' 'aten' object has no attribute '{name}'")
    found = globals()[name] = Overloads(name, function)
    return found


def _function(name: str) -> Callable[..., Any] | None:
    """The function of that name, which `torch` has in one of several places."""
    for prefix, place in _PREFIXES.items():
        if name.startswith(prefix):
            return _function_of(place, name.removeprefix(prefix))
    if name.startswith("__"):
        return None
    found = (_function_of(place, name) for place in _PLACES)
    return next((f for f in found if f is not None), None)


def _function_of(place: str, name: str) -> Callable[..., Any] | None:
    found = getattr(importlib.import_module(f"flambeau.{place}".rstrip(".")), name, None)
    return found if callable(found) and not inspect.isclass(found) else None
