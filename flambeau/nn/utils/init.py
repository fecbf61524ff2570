"""Making a module without drawing its initial values."""

from __future__ import annotations

from typing import Any, TypeVar

from flambeau.core.generator import default_generator
from flambeau.nn.module import Module

__all__ = ["skip_init"]

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """`module_cls(*args, **kwargs)` whose values are arbitrary; no random numbers are consumed.

    Raises:
        RuntimeError: if it is no module class.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    before = default_generator.get_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        default_generator.set_state(before)
