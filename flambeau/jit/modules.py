"""The classes of scripted modules. Only those that a program derives from one are: `script` gives modules as they are."""

from __future__ import annotations

from typing import Any

from flambeau.nn.module import Module


class ScriptModule(Module):
    """A module, as older programs write those that are to be scripted; it runs as Python."""

    @property
    def original_name(self) -> str:
        """The name of its class."""
        return type(self).__name__

    def save(self, f: Any, **options: Any) -> None:
        """Raises `NotImplementedError`, as `flambeau.jit.save`."""
        from flambeau.jit import save

        save(self, f)


class RecursiveScriptModule(ScriptModule):
    """What PyTorch's `script` makes."""


class TopLevelTracedModule(ScriptModule):
    """What PyTorch's `trace` makes."""


TracedModule = TopLevelTracedModule


class ScriptFunction:
    """What PyTorch's `script` makes of a function."""
