"""Gradient modes: whether operators record themselves for a backward pass. One mode a
thread.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from flambeau.core.state import add_busy

F = TypeVar("F", bound=Callable[..., Any])


class _Modes(threading.local):
    grad_enabled = True
    inference = False
    #: Pairs (pack, unpack) of `saved_tensors_hooks`, innermost last.
    saved_hooks: tuple = ()
    #: The error that entering `saved_tensors_hooks` raises, if it is forbidden.
    hooks_disabled: str | None = None
    #: The backward pass that runs in this thread (`engine.Task`).
    task: Any = None


modes = _Modes()


def is_grad_enabled() -> bool:
    """Whether operators on tensors that require gradients are recorded."""
    return modes.grad_enabled


def is_inference_mode_enabled() -> bool:
    """Whether `inference_mode` is on in this thread."""
    return modes.inference


class _Mode:
    """A context manager that is a decorator too (of functions and of generator functions)."""

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, *exc: object) -> None:
        raise NotImplementedError

    def _clone(self) -> _Mode:
        return type(self)()

    def __call__(self, function: F) -> F:
        if _is_generator(function):

            @functools.wraps(function)
            def steps(*args: Any, **kwargs: Any) -> Any:
                running = function(*args, **kwargs)
                reply = None
                while True:
                    with self._clone():
                        try:
                            item = running.send(reply)
                        except StopIteration as stop:
                            return stop.value
                    reply = yield item

            return steps  # type: ignore[return-value]

        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with self._clone():
                return function(*args, **kwargs)

        return within  # type: ignore[return-value]


def _is_generator(function: Callable) -> bool:
    code = getattr(function, "__code__", None)
    return bool(code and code.co_flags & 0x20)


class set_grad_enabled(_Mode):
    """Sets gradient recording to `mode`, at once, and back at the end of a `with` block."""

    def __init__(self, mode: bool):
        self.before = modes.grad_enabled
        self.mode = bool(mode)
        modes.grad_enabled = self.mode

    def _clone(self) -> _Mode:
        return set_grad_enabled(self.mode)

    def __call__(self, function: F) -> F:
        modes.grad_enabled = self.before  # a decorator changes nothing until the function runs
        return super().__call__(function)

    def __enter__(self) -> None:
        modes.grad_enabled = self.mode

    def __exit__(self, *exc: object) -> None:
        modes.grad_enabled = self.before


class _Switch(_Mode):
    enabled = False

    def __init__(self) -> None:
        self.stack: list[bool] = []

    def __new__(cls, function: Callable | None = None) -> Any:
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()
        return made(function)  # used as a bare decorator: @no_grad

    def __enter__(self) -> None:
        self.stack.append(modes.grad_enabled)
        modes.grad_enabled = self.enabled

    def __exit__(self, *exc: object) -> None:
        modes.grad_enabled = self.stack.pop()


class no_grad(_Switch):
    """Operators inside are not recorded: `with no_grad():` or `@no_grad()`."""


class enable_grad(_Switch):
    """Operators inside are recorded, also within `no_grad`."""

    enabled = True


class inference_mode(_Mode):
    """As `no_grad`, and what is computed inside can never take part in a backward pass."""

    def __new__(cls, mode: bool | Callable = True) -> Any:
        made = super().__new__(cls)
        if isinstance(mode, bool):
            return made
        made.__init__(True)
        return made(mode)

    def __init__(self, mode: bool = True):
        self.mode = mode
        self.stack: list[tuple[bool, bool]] = []

    def _clone(self) -> _Mode:
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.stack.append((modes.grad_enabled, modes.inference))
        modes.inference = self.mode
        add_busy(1)
        modes.grad_enabled = not self.mode

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        modes.grad_enabled, modes.inference = self.stack.pop()
        add_busy(-1)
