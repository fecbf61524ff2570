"""Numbers that change from call to call, as inputs of a traced program instead of constants.

A `Number` stands for an argument, an attribute or a global while a function is traced. Arithmetic gives others, computed
by Python at each call as eager execution would; where one meets a tensor it is an input of the graph; a comparison becomes
a guard. Whatever else needs the value raises `Untraceable`: then the function is traced for the value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import Untraceable

if TYPE_CHECKING:
    from flambeau.compiler.trace import Tracer

Read = Callable[[Sequence[Any]], Any]
_MOST = 2**53  # whole numbers up to this are exact in double precision


class Given:
    """A number that each call computes from those that it is given."""

    __slots__ = ("read",)

    def __init__(self, read: Read):
        self.read = read


class Number:
    """A number of the call; see the module.

    Attributes:
        now: what it is while the function is traced.
        read: computes it from the numbers that a call is given.
    """

    __slots__ = ("__weakref__", "now", "read", "tracer")

    def __init__(self, tracer: Tracer, now: Any, read: Read):
        self.tracer, self.now, self.read = tracer, now, read
        tracer.note_number(self)

    @property
    def __class__(self) -> Any:  # for `isinstance(x, float)` in the code that is traced
        return type(self.now)

    def _with(self, other: Any, compute: Callable[[Any, Any], Any], turned: bool = False) -> Any:
        read = self.read
        if type(other) is Number:
            now, given = other.now, other.read
        elif type(other) in (int, float, bool):
            now, given = other, _constant(other)
        else:
            return NotImplemented  # a tensor knows what to do
        if turned:
            return self._made(compute(now, self.now), lambda numbers: compute(given(numbers), read(numbers)))
        return self._made(compute(self.now, now), lambda numbers: compute(read(numbers), given(numbers)))

    def _made(self, now: Any, read: Read) -> Any:
        if type(now) not in (int, float):
            raise Untraceable("a number that is no longer real")
        return Number(self.tracer, now, read)

    def _compared(self, other: Any, compare: Callable[[Any, Any], Any]) -> Any:
        read = self.read
        if type(other) is Number:
            now, given = other.now, other.read
        elif type(other) in (int, float, bool):
            now, given = other, _constant(other)
        else:
            return NotImplemented
        return self.tracer.guard_number(lambda numbers: compare(read(numbers), given(numbers)), compare(self.now, now))

    def __bool__(self) -> bool:
        read = self.read
        return self.tracer.guard_number(lambda numbers: bool(read(numbers)), bool(self.now))

    def __neg__(self) -> Any:
        read = self.read
        return self._made(-self.now, lambda numbers: -read(numbers))

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        read = self.read
        return self._made(abs(self.now), lambda numbers: abs(read(numbers)))

    def __float__(self) -> Any:
        raise self.tracer.refused("float() of a number that changes")

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise self.tracer.refused("the value of a number that changes")

    __int__ = __index__ = __round__ = __trunc__ = __floor__ = __ceil__ = __complex__ = _refuse
    __hash__ = __format__ = __str__ = __repr__ = __array__ = __reduce_ex__ = _refuse  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(self.now, name):
            raise AttributeError(name)
        raise self.tracer.refused(f"{name} of a number that changes")


def _bind_operators() -> None:
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
        compute = getattr(operator, name)
        setattr(Number, f"__{name}__", lambda self, other, f=compute: self._with(other, f))
        setattr(Number, f"__r{name}__", lambda self, other, f=compute: self._with(other, f, turned=True))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        compare = getattr(operator, name)
        setattr(Number, f"__{name}__", lambda self, other, f=compare: self._compared(other, f))


_bind_operators()


def _constant(value: Any) -> Read:
    return lambda numbers: value


def may_vary(value: Any) -> bool:
    """Whether a number can be an input: exact in double precision."""
    return type(value) is float or (type(value) is int and -_MOST < value < _MOST)


def is_number(value: Any) -> bool:
    """Whether a value is a `Number`, or holds one."""
    if type(value) is Number:
        return True
    if type(value) in (tuple, list):
        return any(map(is_number, value))
    return type(value) is dict and any(map(is_number, value.values()))


def dtype_beside(number: Number, dtypes: Sequence[np.dtype]) -> np.dtype:
    """The dtype that a number takes in an operation with arrays of these dtypes."""
    kinds = "fVc" if type(number.now) is float else "fVciu"
    known = [d for d in dtypes if d.kind in kinds]
    if not known:
        raise Untraceable("a number that decides the dtype of a result")
    if len({*dtypes}) > 1:
        raise Untraceable("a number between several dtypes")
    return known[0]


__all__ = ["Given", "Number", "Tensor", "dtype_beside", "is_number", "may_vary"]
