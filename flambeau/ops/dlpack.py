"""DLPack: memory shared with other libraries' arrays.

NumPy speaks the protocol for us, but knows no bfloat16: such memory travels as uint16, and the dtype in
the capsule is rewritten. (https://dmlc.github.io/dlpack/latest/c_api.html)
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.core import dtypes
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import need_value

_UNSIGNED, _BFLOAT = 1, 4  # codes of kinds of numbers
#: Where the description of the array begins in each kind of capsule, by its name.
_BEGIN = {b"dltensor": 0, b"dltensor_versioned": 32}
_CODE = 20  # within that description: after the address, the device and the rank


def _code_of(capsule: Any) -> Any:
    """The byte that holds the kind of the numbers in a capsule."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    name = api.PyCapsule_GetName(capsule)
    if name not in _BEGIN:
        raise RuntimeError(
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, "
            "so you might have already constructed a tensor from it once."
        )
    return ctypes.c_uint8.from_address(api.PyCapsule_GetPointer(capsule, name) + _BEGIN[name] + _CODE)


def _export(self: Tensor, **options: Any) -> Any:
    need_value("__dlpack__()")
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if self.dtype is not dtypes.bfloat16:
        return self._array.__dlpack__(**options)
    capsule = self._array.view(np.uint16).__dlpack__(**options)
    _code_of(capsule).value = _BFLOAT
    return capsule


def _dlpack(
    self: Tensor,
    *,
    stream: Any = -1,
    max_version: tuple[int, int] | None = None,
    dl_device: Any = None,
    copy: bool | None = None,
) -> Any:
    """A capsule with this tensor's memory (a copy's, if `copy`). Raises `BufferError` with a gradient."""
    options = {"max_version": max_version} if max_version is not None else {}
    return _export(self.clone() if copy else self, **options)


Tensor.__dlpack__ = _dlpack  # type: ignore[attr-defined]
Tensor.__dlpack_device__ = lambda self: (1, 0)  # type: ignore[attr-defined]  # the CPU


@operator(method=False)
def to_dlpack(tensor: Tensor) -> Any:
    """A capsule with the memory of `tensor`, for another library's `from_dlpack`."""
    return _export(tensor)


class _Exporter:
    """Hands a capsule to NumPy."""

    def __init__(self, capsule: Any):
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@operator(method=False)
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory (with `copy`, on a copy) of another library's array, or of a capsule.

    Raises `RuntimeError` for memory of another device.
    """
    devices.check_device(device)
    capsule = ext_tensor
    if hasattr(ext_tensor, "__dlpack__"):
        kind, _ = ext_tensor.__dlpack_device__()
        if int(kind) != 1:
            raise RuntimeError(f"from_dlpack(): the memory is on a device of kind {int(kind)}, not the CPU")
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 0))
        except TypeError:  # the protocol's first version knows no such argument
            capsule = ext_tensor.__dlpack__()
    code = _code_of(capsule)
    brain_float = code.value == _BFLOAT
    if brain_float:
        code.value = _UNSIGNED
    array = np.from_dlpack(_Exporter(capsule))
    made = wrap(array.view(dtypes.bfloat16.numpy) if brain_float else array)
    return made.clone() if copy else made
