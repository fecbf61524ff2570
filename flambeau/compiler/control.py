"""What programs tell a compiler: leave this function alone, start afresh; and what they ask it."""

from __future__ import annotations

import functools
from typing import Any

from flambeau.tensor.tracing import Untraceable, is_tracing


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None, wrapping: bool = True) -> Any:
    """A function, or a module, that is never compiled: a program that calls it runs eagerly.

    Args:
        fn: what to leave alone; left out, `disable(...)` is a decorator.
        recursive: accepted: what it calls runs as it does.
        reason: for the warning.
        wrapping: accepted.
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
    """Forgets all programs: compiled functions are traced anew at their next calls."""
    from flambeau.compiler.compiled import EVERY

    for function in list(EVERY):
        function.reset()


def cudagraph_mark_step_begin() -> None:
    """Does nothing: results of a compiled program own their memory."""


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The backends that `compile` knows."""
    return ["inductor"]


def get_default_backend() -> str:
    """The backend that `compile` takes where it is told none."""
    return "inductor"


def nested_compile_region(fn: Any = None, **options: Any) -> Any:
    """The function, as it is: equal parts of programs share their kernels anyway."""
    return fn if fn is not None else nested_compile_region
