"""A compiled module: calls run the program, everything else is the module's own."""

from __future__ import annotations

from os import PathLike
from typing import Any

from flambeau.nn.module import Module


class OptimizedModule(Module):
    """What `flambeau.compile(module)` returns; the module is `_orig_mod`."""

    def __init__(self, module: Module, compiled: Any):
        super().__init__()
        self._orig_mod = module
        object.__setattr__(self, "_compiled", compiled)
        self.training = module.training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def explain(self, html: str | PathLike[str] | None = None) -> str:
        """See `CompiledFunction.explain`."""
        return self._compiled.explain(html)

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name == "_orig_mod":
            return modules["_orig_mod"]
        return getattr(modules["_orig_mod"], name)
