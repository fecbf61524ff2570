"""Names of things for error messages."""

from __future__ import annotations

from flambeau.tensor import Tensor

__all__ = ["typename"]


def typename(thing: object) -> str:
    """The type's name as PyTorch spells it: `torch.FloatTensor`, `int`, `package.module.Class`."""
    if isinstance(thing, Tensor):
        return thing.type()
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    module = named.__module__ or ""
    return named.__qualname__ if module in ("", "builtins") else f"{module}.{named.__qualname__}"
