"""Parameters and buffers: the tensors that a module owns, initialised or not yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from flambeau import ops
from flambeau.tensor import Tensor

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


def _share(cls: type[Any], data: Tensor, requires_grad: bool) -> Any:
    """A leaf of type `cls` on the memory of `data`."""
    shared = data.detach().as_subclass(cls)
    shared.requires_grad_(requires_grad)
    return shared


class Parameter(Tensor):
    """A tensor that becomes one of a module's parameters when it is assigned to it.

    Args:
        data: the values (shared, not copied); an empty tensor if `None`.
        requires_grad: whether autograd differentiates by it, whatever `no_grad` says.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = ops.empty(0)
        return _share(cls, data, requires_grad)

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        """All is done by `__new__`."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Hooks are left behind: they refer to code, not to values.
        return type(self), (self.data, self.requires_grad)


class _BufferType(type(Tensor)):  # type: ignore[misc]
    """Lets a lazy buffer count as a `Buffer`, though it becomes a plain tensor."""

    def __instancecheck__(cls, instance: object) -> bool:
        return type.__instancecheck__(cls, instance) or (
            cls is Buffer and isinstance(instance, UninitializedBuffer)
        )


class Buffer(Tensor, metaclass=_BufferType):
    """A tensor that becomes one of a module's buffers when it is assigned to it.

    Args:
        data: the values (shared, not copied); an empty tensor if `None`.
        persistent: whether the module's `state_dict` holds it.
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            data = ops.empty(0)
        buffer = _share(cls, data, data.requires_grad)
        buffer.persistent = persistent
        return buffer

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        """All is done by `__new__`."""


class UninitializedTensorMixin:
    """What lazy parameters and buffers share: no shape until `materialize` gives one."""

    cls_to_become: type[Tensor]

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Turns this very object into an ordinary (not yet filled) tensor of `shape`."""
        placeholder = self.data  # type: ignore[attr-defined]
        self.data = ops.empty(
            tuple(shape),
            device=placeholder.device if device is None else device,
            dtype=placeholder.dtype if dtype is None else dtype,
        )
        self.__class__ = self.cls_to_become  # type: ignore[assignment]

    @property
    def shape(self) -> NoReturn:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> NoReturn:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling "
            "`module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.requires_grad,)  # type: ignore[attr-defined]


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first `forward` of a lazy module will tell."""

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        data = ops.empty(0, device=device, dtype=dtype)
        return _share(cls, data, requires_grad)

    def __init__(
        self, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        """All is done by `__new__`."""

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape the first `forward` of a lazy module will tell."""

    cls_to_become = Tensor
    persistent: bool

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        data = ops.empty(0, device=device, dtype=dtype)
        buffer = _share(cls, data, requires_grad)
        buffer.persistent = persistent
        return buffer

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        """All is done by `__new__`."""


def is_lazy(param: object) -> bool:
    """Whether `param` is a parameter or buffer that has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)
