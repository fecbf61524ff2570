"""Lazy modules: layers that learn their input width from the first input."""

from __future__ import annotations

from typing import Any

from flambeau.nn.module import Module
from flambeau.nn.parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Stands before a layer class: `class LazyLinear(LazyModuleMixin, Linear)`.

    The first call runs `initialize_parameters` with the arguments of `forward`, after which the
    object is an ordinary `cls_to_become`.
    """

    cls_to_become: type[Module] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        module: Any = self
        self._load_hook = module.register_load_state_dict_pre_hook(_materialize_from)
        self._initialize_hook = module.register_forward_pre_hook(
            _infer_parameters, with_kwargs=True
        )

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        # Members without a shape are saved as they are: they cannot be detached.
        module: Any = self
        for name, member in module._persistent_members().items():
            destination[prefix + name] = (
                member if is_lazy(member) or keep_vars else member.detach()
            )

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materializes the parameters for the arguments of `forward`."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer still has no shape."""
        module: Any = self
        members = (*module._parameters.values(), *module._buffers.values())
        return any(is_lazy(member) for member in members)


def _materialize_from(module: Any, state_dict: Any, prefix: str, *_: Any) -> None:
    """Before loading: members without a shape take that of the value to be loaded."""
    for name, member in module._persistent_members().items():
        value = state_dict.get(prefix + name)
        if value is not None and is_lazy(member) and not is_lazy(value):
            member.materialize(value.shape)


def _infer_parameters(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Before the first forward: gives the parameters their shapes, then steps aside."""
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
    module._initialize_hook.remove()
    module._load_hook.remove()
    del module._initialize_hook, module._load_hook
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become
