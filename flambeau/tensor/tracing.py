"""The seam between eager execution and the compiler: is a program being traced, and what may it do?

The compiler installs a tracer in `state.tracer`. While one is there, operators record themselves in its
graph instead of computing. The floors above use the functions here and never the tracer itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.state import set_tracer, state

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor


class Untraceable(Exception):
    """Raised inside a traced program where it needs a value that only running it would give."""


def is_tracing() -> bool:
    """Whether operators are being recorded rather than computed."""
    return bool(state.busy) and state.tracer is not None


@contextlib.contextmanager
def concrete() -> Iterator[None]:
    """Inside, operators compute for real even while a program is traced.

    For state that outlives the traced program, such as an optimizer's moments.
    """
    tracer = state.tracer
    set_tracer(None)
    try:
        yield
    finally:
        set_tracer(tracer)


def host_number(read: Callable[[], float]) -> Any:
    """A number that `read` gives anew at each call: a float, or a 0-dim float64 symbol while tracing."""
    return read() if state.tracer is None else state.tracer.host_number(read)


def verify(tensor: Tensor, check: Callable[[np.ndarray], None]) -> None:
    """Has `check` look at a tensor's elements, and raise if they are wrong: now, or before each call of the program that
    is being traced, as far as the program is given them.
    """
    if state.tracer is None:
        check(tensor._array)
    else:
        state.tracer.verify(tensor, check)


def guard(condition: Callable[[], Any]) -> Any:
    """The value of `condition`; while tracing, another value at a later call traces the program again."""
    value = condition()
    if state.tracer is not None:
        state.tracer.guard(condition, value)
    return value


def need_value(why: str) -> None:
    """Raises `Untraceable` while tracing: `why` names what asks for a tensor's values."""
    if state.tracer is not None:
        raise Untraceable(why)
