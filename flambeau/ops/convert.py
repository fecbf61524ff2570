"""Changing dtype, copying, and memory formats."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.core import dtypes
from flambeau.core.dtypes import COMPLEX, FROM_NUMPY, dtype
from flambeau.ops.table import Elementwise, Kernel, Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state


def _cast_array(x: np.ndarray, dtype: dtype) -> np.ndarray:
    stored = dtype.numpy
    if x.dtype.kind == "W" and x.dtype != stored:  # complex32, which NumPy knows little of
        x = x.astype(np.complex64)
    if x.dtype.kind == "c" and dtype.kind != COMPLEX:
        x = x.real if stored.kind != "b" else x
    if x.dtype.kind in "fV" and stored.kind == "u":
        return x.astype(np.int64).astype(stored)  # negative numbers wrap, as in C on x86
    return x.astype(stored)


_cast = Primitive(
    "to_copy",
    "input",
    _cast_array,
    rule=lambda x, dtype: Spec(x.shape, dtype.numpy),
    derivative={"input": lambda g, input_dtype: g.to(input_dtype)},
    lowering=Elementwise(lambda k, x, dtype: k.cast(x, dtype)),
)


def _duplicate(x: np.ndarray, order: str) -> np.ndarray:
    return x.copy(order=order)


_clone = Primitive(
    "clone",
    "input",
    _duplicate,
    rule=lambda x, order: Spec(x.shape, x.dtype),
    derivative={"input": lambda g: g},
    lowering=Elementwise(lambda k, x, order: x),
)


def _is_dense(array: Any) -> bool:
    """Whether the elements fill their memory without gaps or overlaps, in any order of dimensions."""
    expected = array.dtype.itemsize
    for step, size in sorted(zip(array.strides, array.shape, strict=True), key=lambda p: (p[0], p[1])):
        if size == 1:
            continue
        if step != expected:
            return False
        expected *= size
    return True


@operator
def clone(input: Tensor, *, memory_format: devices.memory_format = devices.preserve_format) -> Tensor:
    """A copy of `input` with its strides (of a dense one), which passes gradients on."""
    if memory_format in (devices.channels_last, devices.channels_last_3d):
        return _channels_last(input, copy=True)
    array = input._array
    row_major = not state.busy and array.flags.c_contiguous
    preserve = not row_major and memory_format is devices.preserve_format and _is_dense(array)
    return _clone(input, order="K" if preserve else "C")


def _channels_last(input: Tensor, copy: bool) -> Tensor:
    rank = input.ndim
    if rank not in (4, 5):
        raise RuntimeError(f"required rank 4 tensor to use channels_last format, got {rank} dimensions")
    order = (0, *range(2, rank), 1)
    back = (0, rank - 1, *range(1, rank - 1))
    moved = input.permute(order)
    return (clone(moved, memory_format=devices.contiguous_format) if copy else contiguous(moved)).permute(back)


def is_contiguous(
    self: Tensor, memory_format: devices.memory_format = devices.contiguous_format
) -> bool:
    """Whether the elements lie in memory one after another in row-major (or `memory_format`) order."""
    array = self._array
    if memory_format in (devices.channels_last, devices.channels_last_3d):
        rank = 4 if memory_format is devices.channels_last else 5
        if array.ndim != rank:
            return False
        order = (0, *range(2, rank), 1)
        return _row_major([array.shape[i] for i in order], [array.strides[i] for i in order], array.dtype.itemsize)
    return _row_major(array.shape, array.strides, array.dtype.itemsize)


def _row_major(shape: Any, strides: Any, step: int) -> bool:
    if 0 in shape:
        return True
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


operator(is_contiguous, function_name=False)


@operator(function_name=False)
def contiguous(
    self: Tensor, memory_format: devices.memory_format = devices.contiguous_format
) -> Tensor:
    """This tensor if it is contiguous, else a contiguous copy."""
    if is_contiguous(self, memory_format):
        return self
    return clone(self, memory_format=memory_format)


@operator(function_name=False)
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """This tensor with another dtype: `to(dtype)`, `to(device, dtype)`, `to(other)`.

    Also `non_blocking`, `copy`, `memory_format`. Returns `self` where nothing changes (unless `copy`).
    """
    kwargs.pop("non_blocking", None)
    copy = kwargs.pop("copy", False)
    memory_format = kwargs.pop("memory_format", None)
    wanted, where = kwargs.pop("dtype", None), kwargs.pop("device", None)
    other = kwargs.pop("other", None)
    if kwargs:
        raise TypeError(f"to() received an invalid combination of arguments: {sorted(kwargs)}")
    for position, a in enumerate(args):
        if isinstance(a, (dtype, type)):
            wanted = a
        elif isinstance(a, Tensor):
            other = a
        elif isinstance(a, (str, devices.device)) or (isinstance(a, int) and position == 0):
            where = a
        elif isinstance(a, bool):
            copy = a if position == len(args) - 1 and position > 1 else copy
        elif a is not None:
            raise TypeError(f"to() received an invalid argument of type {type(a).__name__}")
    if other is not None:
        wanted = other.dtype
    if where is not None:
        devices.check_device(where)
    result = self
    if wanted is not None:
        wanted = dtypes.as_dtype(wanted)
        if self._array.dtype != wanted.numpy:
            result = _cast(self, dtype=wanted)
    if memory_format in (devices.channels_last, devices.channels_last_3d):
        if not is_contiguous(result, memory_format):
            return clone(result, memory_format=memory_format)
    elif memory_format is devices.contiguous_format:
        result = contiguous(result)
    return clone(result) if copy and result is self else result


def _method(name: str, d: dtype) -> None:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return to(self, d, memory_format=memory_format)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"This tensor as {d}."
    operator(convert, name=name, function_name=False)


for _name, _dtype in {
    "bool": dtypes.bool_, "byte": dtypes.uint8, "char": dtypes.int8, "short": dtypes.int16,
    "int": dtypes.int32, "long": dtypes.int64, "half": dtypes.float16, "bfloat16": dtypes.bfloat16,
    "float": dtypes.float32, "double": dtypes.float64, "cfloat": dtypes.complex64,
    "cdouble": dtypes.complex128,
}.items():  # fmt: skip
    _method(_name, _dtype)
if "chalf" in dtypes.ALIASES:
    _method("chalf", dtypes.ALIASES["chalf"])


@operator(function_name=False)
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor with the dtype of `other`."""
    return to(self, other.dtype)


@operator(function_name=False)
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """This tensor: it is on the CPU."""
    return to(self, memory_format=memory_format)


@operator(function_name=False)
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """Raises `NotImplementedError`: tensors live on the CPU."""
    return to(self, device if device is not None else "cuda")


@operator(name="type", function_name=False)
def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name, as `torch.FloatTensor`; or this tensor as `dtype` (a dtype or such a name)."""
    if dtype is None:
        return f"torch.{self.dtype.tensor_type}Tensor"
    if isinstance(dtype, str):
        title = dtype.rpartition(".")[2].removesuffix("Tensor")
        for d in dtypes.DTYPES.values():
            if d.tensor_type == title:
                return to(self, d)
        raise ValueError(f"invalid type: '{dtype}'")
    if isinstance(dtype, dtypes.dtype):
        return to(self, dtype)
    return to(self, dtype.dtype)


@operator(function_name=False)
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrites this tensor with `src`, broadcast and cast. Raises `RuntimeError` if it does not fit."""
    if not isinstance(src, Tensor):
        src = wrap(np.asarray(src))
    if src._array.shape != self._array.shape:
        try:
            src = src.expand(self.shape)
        except RuntimeError:
            raise RuntimeError(
                f"The size of tensor a ({list(self.shape)}) must match the size of tensor b "
                f"({list(src.shape)}): copy_ broadcasts its source only"
            ) from None
    if src._array.dtype != self._array.dtype:
        src = to(src, FROM_NUMPY[self._array.dtype])
    return self._assign(src)


__all__ = ["Kernel", "clone", "contiguous", "copy_", "is_contiguous", "to"]
