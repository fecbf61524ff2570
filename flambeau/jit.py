"""What programs ask of `torch.jit`. There is no TorchScript; `flambeau.compile` is what makes programs fast."""

from collections.abc import Callable
from typing import Any, NoReturn


def script(obj: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.jit.script is not there: torch.compile makes a module or a function fast")


def trace(func: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.jit.trace is not there: torch.compile makes a module or a function fast")


def load(f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.jit.load is not there: TorchScript files hold programs; load a state_dict")


def is_scripting() -> bool:
    """False"""
    return False


def is_tracing() -> bool:
    """False"""
    return False


def ignore(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as it is: nothing is scripted."""
    return fn


def export(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as it is: nothing is scripted."""
    return fn
