"""Methods that few programs need: element-wise Python functions, old names, memory that processes share."""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.core import shared
from flambeau.core.shapes import Size, as_shape
from flambeau.ops.creation import stored_number, tensor
from flambeau.ops.shape import reshape
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor, address, legacy_array, wrap
from flambeau.tensor.tracing import need_value

# Python functions of each element -----------------------------------------------------------------


def _mapped(name: str, self: Tensor, function: Callable[..., Any], others: tuple[Tensor, ...]) -> Tensor:
    need_value(f"{name}()")
    if self.requires_grad or any(o.requires_grad for o in others):
        raise TypeError(f"cannot call {name}() on Tensors that require grad. Use {name}() on .data")
    rows = [np.broadcast_to(o._array, self._array.shape).reshape(-1).tolist() for o in others]
    values = [function(*v) for v in zip(self._array.reshape(-1).tolist(), *rows, strict=True)]
    made = np.array([stored_number(v, self.dtype) for v in values], self._array.dtype)
    return self._assign(wrap(made.reshape(self._array.shape)))


@operator(function_name=False)
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Overwrites each element `x` with `callable(x)`. Slow: a Python call an element."""
    return _mapped("apply_", self, callable, ())


@operator(function_name=False)
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Overwrites each element `x` with `callable(x, y)`, `y` the one of `tensor`, which broadcasts."""
    return _mapped("map_", self, callable, (tensor,))


@operator(function_name=False)
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Overwrites each element with `callable` of it and those of `x` and `y`, which broadcast."""
    return _mapped("map2_", self, callable, (x, y))


# Old names ----------------------------------------------------------------------------------------


@operator(function_name=False)
def new(self: Tensor, *data: Any, device: Any = None) -> Tensor:
    """A tensor of this dtype from sizes (not initialised) or from values, as the legacy constructors."""
    devices.check_device(device)
    if len(data) == 1 and not isinstance(data[0], (int, Tensor, Size)):
        return tensor(data[0], dtype=self.dtype)
    return wrap(legacy_array(data, self._array.dtype))


@operator(function_name=False)
def resize(self: Tensor, *sizes: Any) -> Tensor:
    """`reshape` to as many elements (deprecated in PyTorch)."""
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    return reshape(self, as_shape(sizes))


@operator(function_name=False)
def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """`reshape` to the shape of `tensor` (deprecated in PyTorch)."""
    warnings.warn("non-inplace resize_as is deprecated", UserWarning, stacklevel=2)
    return reshape(self, tensor.shape)


@operator(function_name=False)
def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What a module's parameter `self` becomes when `load_state_dict` meets `other`."""
    return other.detach() if assign else self.copy_(other).detach()


@operator(function_name=False)
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both show the same memory in the same shape and strides."""
    same = self.shape == tensor.shape and self.stride() == tensor.stride()
    return same and self.data_ptr() == tensor.data_ptr() and self.dtype is tensor.dtype


@operator(function_name=False)
def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions in the order in which they lie in memory, the one with the largest steps first."""
    strides = self.stride()
    order = tuple(sorted(range(self.ndim), key=lambda d: -strides[d]))
    if ambiguity_check:
        repeated = len({s for s, n in zip(strides, self.shape, strict=True) if n > 1})
        if repeated < sum(n > 1 for n in self.shape) or 1 in self.shape:
            raise RuntimeError(
                "The tensor does not have unique dim order, or cannot map to exact one of the given memory "
                "formats."
            )
    return order


def _array_wrap(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    """What NumPy's functions give for a tensor: a tensor."""
    return wrap(np.asarray(array))


Tensor.__array_wrap__ = _array_wrap  # type: ignore[attr-defined]
Tensor.__reversed__ = lambda self: self.flip(0) if self.ndim else self  # type: ignore[attr-defined]
Tensor.__nonzero__, Tensor.__long__ = Tensor.__bool__, Tensor.__int__  # type: ignore[attr-defined]
Tensor.name = property(lambda self: None)  # type: ignore[attr-defined]
Tensor.const_data_ptr = Tensor.data_ptr  # type: ignore[attr-defined]


# Memory that processes share ----------------------------------------------------------------------


def _shared(root: Tensor) -> bool:
    memory = root._array
    while isinstance(memory, np.ndarray):
        memory = memory.base
    return isinstance(memory, memoryview) and isinstance(memory.obj, mmap.mmap)


@operator(function_name=False)
def is_shared(self: Tensor) -> bool:
    """Whether forked processes see changes of each other in this memory."""
    return isinstance(self._array, np.ndarray) and _shared(self._root())


@operator(function_name=False)
def share_memory_(self: Tensor) -> Tensor:
    """Moves the elements to memory that forked processes share. Views made before keep the old memory."""
    need_value("share_memory_()")
    root, array = self._root(), self._array
    if _shared(root) or not array.size:
        return self
    step = array.dtype.itemsize
    begin = address(root._array)
    room = step + sum((n - 1) * s for n, s in zip(root._array.shape, root._array.strides, strict=True))
    memory = np.frombuffer(shared.block(room), np.uint8)

    def moved(x: np.ndarray) -> np.ndarray:
        return np.ndarray(x.shape, x.dtype, memory, address(x) - begin, x.strides)

    there = moved(root._array)
    there[...] = root._array
    here = moved(array)
    root._array, self._array = there, here
    return self


# Names that PyTorch has removed -------------------------------------------------------------------

_REMOVED = {
    "eig": "torch.linalg.eig", "symeig": "torch.linalg.eigh", "lstsq": "torch.linalg.lstsq",
    "solve": "torch.linalg.solve", "matrix_rank": "torch.linalg.matrix_rank",
}  # fmt: skip


def _removed(name: str, instead: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"This function was deprecated since version 1.9 and is now removed. `torch.{name}` is replaced by `{instead}`, "
            "whose arguments and results differ."
        )

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Raises `RuntimeError`: removed from PyTorch; see `{instead}`."
    return call


for _name, _instead in _REMOVED.items():
    operator(_removed(_name, _instead), method=_name != "matrix_rank")


@operator(function_name=False)
def reinforce(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Raises `RuntimeError`: removed from PyTorch; see `torch.distributions`."""
    raise RuntimeError("reinforce() was removed. Use torch.distributions instead.")


# Devices that are not here ------------------------------------------------------------------------


@operator(function_name=False)
def xpu(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Raises `AssertionError`: there is no such device."""
    raise AssertionError("Torch not compiled with XPU enabled")


@operator(function_name=False)
def mtia(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Raises `AssertionError`: there is no such device."""
    raise AssertionError("Torch not compiled with MTIA enabled.")


@operator(function_name=False)
def ipu(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Raises `RuntimeError`: there is no such device."""
    raise RuntimeError("PyTorch is not linked with support for ipu devices")


@operator(function_name=False)
def to_mkldnn(self: Tensor, dtype: Any = None) -> Any:
    """Raises `NotImplementedError`: there is one layout of dense tensors here, which the kernels read."""
    raise NotImplementedError("to_mkldnn: there are no tensors of MKL-DNN's layouts here, nor are they needed")
