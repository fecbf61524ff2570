"""Parameters that are computed from others at every use.

A module with a parametrised tensor becomes an instance of a class made for it, in which the tensor
is a property; what it is computed from stands in `module.parametrizations`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from flambeau.autograd import no_grad
from flambeau.nn.module import Module
from flambeau.nn.modules.container import ModuleDict, ModuleList
from flambeau.nn.parameter import Parameter
from flambeau.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


class _Cache:
    """The tensors computed inside `cached`, by module and name."""

    depth = 0
    values: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Inside, every parametrised tensor is computed once."""
    _Cache.depth += 1
    try:
        yield
    finally:
        _Cache.depth -= 1
        if _Cache.depth == 0:
            _Cache.values.clear()


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, applied one after the other to what is stored.

    Args:
        modules: the parametrisations.
        original: the tensor before.
        unsafe: allow them to change dtype and shape.

    Raises:
        ValueError: if they return no tensor, or one of another dtype or shape.
    """

    original: Tensor

    def __init__(
        self, modules: Sequence[Module], original: Tensor, unsafe: bool = False
    ) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            stored: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        stored = module.right_inverse(stored)
                    except NotImplementedError:
                        continue  # this parametrisation cannot be inverted: keep the values
        if not isinstance(stored, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(stored).__name__}"
            )
        self.is_tensor = isinstance(stored, Tensor)
        self.ntensors = 1 if self.is_tensor else len(stored)
        if self.is_tensor:
            if stored.dtype != dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {dtype}\nright_inverse(original).dtype: {stored.dtype}"
                )
            original.data = stored.data
            _register(self, "original", original)
        else:
            self._store_parts(stored, original)
        if not unsafe:
            check_result(self(), shape, dtype)

    def _store_parts(self, parts: Sequence[Any], original: Tensor) -> None:
        for number, part in enumerate(parts):
            if not isinstance(part, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                    f"tuple...). Got element {number} of the sequence with type "
                    f"{type(part).__name__}."
                )
            if isinstance(original, Parameter):
                part = Parameter(part.detach(), original.requires_grad)
            part.requires_grad_(original.requires_grad)
            _register(self, f"original{number}", part)

    def _stored(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    @no_grad()
    def right_inverse(self, value: Tensor) -> None:
        """Stores what gives `value`, as far as the parametrisations can be inverted.

        Raises:
            RuntimeError: if one has no `right_inverse`.
            ValueError: if what it returns does not fit what is stored.
        """
        found: Any = value
        for module in reversed(list(self)):
            if not hasattr(module, "right_inverse"):
                raise RuntimeError(
                    f"parametrization {type(module).__name__} does not implement right_inverse."
                )
            found = module.right_inverse(found)
        if self.is_tensor:
            if not isinstance(found, Tensor):
                raise ValueError(
                    f"`right_inverse` should return a tensor. Got {type(found).__name__}"
                )
            found = [found]
        if not isinstance(found, Sequence):
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors. Got {type(found).__name__}."
            )
        if len(found) != self.ntensors:
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. "
                f"Got a sequence of length {len(found)}."
            )
        for number, (stored, new) in enumerate(zip(self._stored(), found, strict=True)):
            if stored.dtype != new.dtype:
                raise ValueError(
                    f"Tensor {number} returned by `right_inverse` has dtype {new.dtype} while "
                    f"`original{'' if self.is_tensor else number}` has dtype {stored.dtype}"
                )
            stored.data = new.data

    def forward(self) -> Tensor:
        first, *others = self
        x = first(*self._stored())
        for module in others:
            x = module(x)
        return x


def check_result(found: Any, shape: Any, dtype: Any) -> None:
    """Raises `ValueError` unless `found` is a tensor of this shape and dtype."""
    if not isinstance(found, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(found).__name__}.")
    for what, before, after in (("dtype", dtype, found.dtype), ("shape", shape, found.shape)):
        if before != after:
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, unless "
                f"`unsafe` flag is enabled.\nunparametrized {what}: {before}\n"
                f"parametrized {what}: {after}"
            )


def _refuse_pickling(self: Module) -> NoReturn:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict()."
    )


def _deepcopied(self: Module, memo: dict[int, Any]) -> Module:
    if id(self) not in memo:
        replica = memo[id(self)] = object.__new__(type(self))
        replica.__dict__ = copy.deepcopy(self.__dict__, memo)
    return memo[id(self)]


def _give_class_of_its_own(module: Module) -> None:
    """Makes the module an instance of a new subclass, which can have properties."""
    kind = type(module)
    members: dict[str, Any] = {"__getstate__": _refuse_pickling}
    if not hasattr(kind, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopied
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), members)  # type: ignore[assignment]


def _give_property(module: Module, name: str) -> None:
    def get(self: Module) -> Tensor:
        parametrization = self.parametrizations[name]
        if not _Cache.depth:
            return parametrization()
        key = (id(self), name)
        if key not in _Cache.values:
            _Cache.values[key] = parametrization()
        return _Cache.values[key]

    def set(self: Module, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, set))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Computes a tensor of the module by `parametrization` from now on; returns the module.

    Args:
        module: whose tensor.
        tensor_name: a parameter or buffer.
        parametrization: computes it; a `right_inverse` lets it be assigned to.
        unsafe: allow another dtype or shape.

    Raises:
        ValueError: if there is no such tensor, or the result does not fit.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        existing = module.parametrizations[tensor_name]
        before = getattr(module, tensor_name)
        if not unsafe:
            check_result(parametrization(before), before.shape, before.dtype)
            if hasattr(parametrization, "right_inverse"):
                inverse = parametrization.right_inverse(before)
                check_result(inverse, before.shape, before.dtype)
        existing.append(parametrization)
        existing.unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    stored = ParametrizationList([parametrization], original, unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _give_class_of_its_own(module)
        module.parametrizations = ModuleDict()
    _give_property(module, tensor_name)
    module.parametrizations[tensor_name] = stored
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has a parametrisation (of this tensor)."""
    parametrizations = module._modules.get("parametrizations")
    if not isinstance(parametrizations, ModuleDict):
        return False
    if tensor_name is None:
        return len(parametrizations) > 0
    return tensor_name in parametrizations


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Makes a parametrised tensor an ordinary one again; returns the module.

    Args:
        module: whose tensor.
        tensor_name: which one.
        leave_parametrized: keep its present value, instead of what it was computed from.

    Raises:
        ValueError: if it is not parametrised, or was computed from several tensors that would
            be left.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    stored = module.parametrizations[tensor_name]
    with no_grad():
        value = getattr(module, tensor_name)
    if stored.is_tensor:
        original = stored.original
        if leave_parametrized:
            original.data = value.data
    elif leave_parametrized:
        trained = any(part.requires_grad for part in stored._stored())
        original = Parameter(value.detach()) if trained else value.detach()
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class without parametrisations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives one module's parametrisations, with what they compute from, to another."""
    if not is_parametrized(from_module):
        return to_module
    sources = from_module.parametrizations
    for name in list(sources) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in sources[name]:
            register_parametrization(to_module, name, parametrization)
        target = to_module.parametrizations[name]
        if sources[name].is_tensor:
            target.original = sources[name].original
        else:
            for number, part in enumerate(sources[name]._stored()):
                setattr(target, f"original{number}", part)
    return to_module
