"""Settings of the compiler under PyTorch's names, as modules that know which names there are."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


class Settings(ModuleType):
    """A module of settings: only what is there can be set; `aliases` are other names of some."""

    _aliases: dict[str, str]

    def __setattr__(self, name: str, value: Any) -> None:
        name = self.__dict__.get("_aliases", {}).get(name, name)
        if not name.startswith("_") and name not in self.__dict__:
            raise AttributeError(f"{self.__name__.replace('flambeau', 'torch', 1)}.{name} does not exist")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        aliases = self.__dict__.get("_aliases", {})
        if name in aliases:
            return self.__dict__[aliases[name]]
        raise AttributeError(f"{self.__name__.replace('flambeau', 'torch', 1)}.{name} does not exist")

    def patch(self, changes: Any = None, value: Any = None, **named: Any) -> _Patch:
        """Other settings for a while: `with config.patch(name=value)`, or a decorator of a function.

        Takes a name and a value, a dictionary, or keywords.
        """
        if isinstance(changes, str):
            named = {changes: value}
        elif changes is not None:
            named = {**changes, **named}
        for name in named:
            getattr(self, name)
        return _Patch(self, named)

    def to_dict(self) -> dict[str, Any]:
        """The settings by their names."""
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    shallow_copy_dict = get_config_copy = to_dict


class _Patch(contextlib.ContextDecorator):
    def __init__(self, settings: Settings, changes: dict[str, Any]):
        self.settings, self.changes = settings, changes
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        self._before.append({name: getattr(self.settings, name) for name in self.changes})
        for name, value in self.changes.items():
            setattr(self.settings, name, value)

    def __exit__(self, *error: object) -> None:
        for name, value in self._before.pop().items():
            setattr(self.settings, name, value)


# When compiled functions compile --------------------------------------------------------------------

STANCES = (
    "default", "eager_then_compile", "aot_eager_then_compile", "force_eager", "eager_on_recompile",
    "fail_on_recompile",
)  # fmt: skip


class Stance:
    """What compiled functions do; see `flambeau.compiler.set_stance`."""

    def __init__(self) -> None:
        self.name = "default"


stance = Stance()


class set_stance:
    """When compiled functions compile, from now on; or inside `with`, or in the function that it decorates.

    Args:
        name: "default"; "force_eager": never, functions run as they are; "eager_on_recompile": what is compiled is used,
            other calls run eagerly; "fail_on_recompile": other calls are errors; "eager_then_compile": at the second call.
        skip_guard_eval_unsafe: accepted: guards are looked at all the same.
        force_backend: "eager" is "force_eager".

    Raises:
        RuntimeError: for another name.
    """

    def __init__(self, name: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None):
        if name not in STANCES:
            raise RuntimeError(f"invalid torch.compile stance 'DynamoStance(stance={name!r})'")
        if force_backend not in (None, "inductor", "eager", "aot_eager"):
            raise NotImplementedError(f"torch.compiler.set_stance(force_backend={force_backend!r}): there is one backend")
        self.name = "force_eager" if force_backend in ("eager", "aot_eager") else name
        self._before = stance.name
        stance.name = self.name

    def __enter__(self) -> None:
        stance.name = self.name

    def __exit__(self, *error: object) -> None:
        stance.name = self._before

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        stance.name = self._before  # it is a decorator: nothing changes before the function is called

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.inside():
                return function(*args, **kwargs)

        return call

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """For the time of a call."""
        before, stance.name = stance.name, self.name
        try:
            yield
        finally:
            stance.name = before
