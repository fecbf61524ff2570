"""What programs ask of `torch.fx`: graphs of Python programs are not there; `flambeau.compile` makes its own."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


def wrap(fn_or_name: T) -> T:
    """The function, as it is: tracers here look into every function."""
    return fn_or_name


def symbolic_trace(root: Any, concrete_args: Any = None) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.fx.symbolic_trace is not there: torch.compile makes a module or a function fast")


class _Absent:
    """A part of a graph of a Python program. Nothing is one; making one raises `NotImplementedError`."""

    def __init__(self, *args: Any, **kwargs: Any):
        raise NotImplementedError(f"torch.fx.{type(self).__name__} is not there: Flambeau has no torch.fx")


class Proxy(_Absent):
    """A value that records what is done with it."""


class Node(_Absent):
    """A step of a graph."""


class Graph(_Absent):
    """Steps, one after another."""


class GraphModule(_Absent):
    """A module made from a graph."""


class Tracer(_Absent):
    """What makes a graph from a module."""


class Interpreter(_Absent):
    """What runs a graph step by step."""


class Transformer(Interpreter):
    """What makes a graph from a graph."""
