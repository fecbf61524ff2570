"""What programs ask of `torch.jit`. TorchScript makes Python programs fast and carries them elsewhere.

Here scripted and traced functions stay the Python that they are, which computes the same; `flambeau.compile` is what
makes them fast. Files of TorchScript are not there, neither written nor read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, NoReturn, TypeVar

__all__ = [
    "Attribute", "Final", "Future", "annotate", "enable_onednn_fusion", "export", "fork", "freeze", "fuser", "ignore",
    "interface", "is_scripting", "is_tracing", "isinstance", "load", "optimize_for_inference", "optimized_execution",
    "save", "script", "script_if_tracing", "script_method", "set_fusion_strategy", "trace", "trace_module", "unused",
    "wait",
]  # fmt: skip

T = TypeVar("T")


def script(obj: T, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> T:
    """A function, a class or a module, as it is: Python runs it."""
    return obj


def trace(func: T, example_inputs: Any = None, *args: Any, **kwargs: Any) -> T:
    """A function or a module, as it is. Unlike PyTorch's, its branches are taken anew at each call."""
    return func


def trace_module(mod: T, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> T:
    """See `trace`."""
    return mod


def freeze(mod: Any, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Any:
    """A module in evaluation mode, as it is.

    Raises:
        RuntimeError: for one in training mode.
    """
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Call .eval() first.")
    return mod


def optimize_for_inference(mod: Any, other_methods: Any = None) -> Any:
    """See `freeze`."""
    return freeze(mod.eval())


def save(m: Any, f: Any, _extra_files: Any = None) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.jit.save is not there: TorchScript files hold programs; save a state_dict")


def load(f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.jit.load is not there: TorchScript files hold programs; load a state_dict")


def is_scripting() -> bool:
    """False"""
    return False


def is_tracing() -> bool:
    """False"""
    return False


def _unchanged(fn: T) -> T:
    """The function, as it is: nothing is scripted."""
    return fn


export = script_method = script_if_tracing = interface = _overload = _overload_method = _unchanged


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """A function, as it is; or a decorator that leaves one so."""
    return drop if callable(drop) else _unchanged


unused = ignore


def annotate(the_type: Any, the_value: T) -> T:
    """The value."""
    return the_value


class Attribute:
    """A value with a type for TorchScript: the value."""

    def __new__(cls, value: Any, type: Any) -> Any:
        return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether `obj` is of a type; of `List[T]` and the like, whether all in it are of theirs."""
    import builtins
    import typing

    kinds = target_type if builtins.isinstance(target_type, tuple) else (target_type,)
    return any(_fits(obj, kind, typing, builtins.isinstance) for kind in kinds)


def _fits(obj: Any, kind: Any, typing: Any, check: Callable[[Any, Any], bool]) -> bool:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any:
        return True
    if origin is None:
        return check(obj, type(None) if kind is None else kind)
    if not check(origin, type):  # Optional and Union
        return any(_fits(obj, part, typing, check) for part in parts)
    if not check(obj, origin):
        return False
    if origin is dict:
        return all(_fits(k, parts[0], typing, check) and _fits(v, parts[1], typing, check) for k, v in obj.items())
    if origin is tuple:
        return len(obj) == len(parts) and all(_fits(o, p, typing, check) for o, p in zip(obj, parts, strict=True))
    return all(_fits(o, parts[0], typing, check) for o in obj)


class Future(Generic[T]):
    """The result of `fork`, which is there at once."""

    def __init__(self, value: T):
        self._value = value

    def wait(self) -> T:
        """The result."""
        return self._value

    def value(self) -> T:
        """The result."""
        return self._value

    def done(self) -> bool:
        """True"""
        return True


def fork(func: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """Calls a function; `wait` gives its result. As in PyTorch outside TorchScript, the call runs at once."""
    return Future(func(*args, **kwargs))


def wait(future: Future[T]) -> T:
    """The result of `fork`."""
    return future.wait()


def set_fusion_strategy(strategy: Any) -> Any:
    """Does nothing: no scripts are fused."""
    return strategy


def enable_onednn_fusion(enabled: bool) -> None:
    """Does nothing: no scripts are fused."""


class _Block:
    """A block in which a switch of TorchScript is set, which decides nothing."""

    def __init__(self, value: Any = None):
        self.value = value

    def __enter__(self) -> None:
        return None

    def __exit__(self, *raised: object) -> None:
        return None


fuser = optimized_execution = _Block


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("annotations", "modules"):
        return importlib.import_module(f"flambeau.jit.{name}")
    if name in ("ScriptModule", "RecursiveScriptModule", "TracedModule", "TopLevelTracedModule", "ScriptFunction"):
        return getattr(importlib.import_module("flambeau.jit.modules"), name)
    raise AttributeError(f"module 'flambeau.jit' has no attribute {name!r}")
