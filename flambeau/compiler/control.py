"""What programs tell a compiler: leave this function alone, start afresh; and what they ask it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from flambeau.tensor.tracing import Untraceable, is_tracing


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """A function, or a module, that is never compiled: a program that calls it runs eagerly.

    Args:
        fn: what to leave alone; left out, `disable(...)` is a decorator.
        recursive: accepted: what it calls runs as it does.
        reason: for the warning.
    """
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)
    if hasattr(fn, "forward") and not isinstance(fn, type):
        fn.forward = disable(fn.forward, recursive, reason=reason)
        return fn

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if is_tracing():
            raise Untraceable(reason or f"{getattr(fn, '__name__', fn)}, for which torch.compiler.disable asks")
        return fn(*args, **kwargs)

    return call


def is_compiling() -> bool:
    """Whether operators are being recorded for a program rather than computed."""
    return is_tracing()


def is_dynamo_compiling() -> bool:
    """See `is_compiling`."""
    return is_tracing()


def is_exporting() -> bool:
    """False: programs are not exported."""
    return False


def allow_in_graph(fn: Any) -> Any:
    """The function, as it is: whatever it calls is recorded."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function, as it is: numbers that it gives while a program is traced are constants of the program."""
    return fn


def reset() -> None:
    """Does nothing: what is known of a compiled function is kept in that function, and goes with it."""


def cudagraph_mark_step_begin() -> None:
    """Does nothing: results of a compiled program own their memory."""


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The backends that `compile` knows."""
    return ["inductor"]


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    yield


def set_stance(stance: str = "default", **options: Any) -> Any:
    """When compiled functions compile. Only "default" is there.

    Raises:
        NotImplementedError: for another.
    """
    if stance != "default":
        raise NotImplementedError(
            f"torch.compiler.set_stance({stance!r}) is not there: torch.compile(..., disable=True) runs eagerly"
        )
    return _eager()


