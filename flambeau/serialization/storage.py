"""The memory of tensors as files hold it: flat, named by an element type, shared by views."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core.dtypes import DTYPES, dtype

#: PyTorch's storage class names, such as `FloatStorage`, and the element type each holds.
STORAGE_DTYPES: dict[str, dtype] = {f"{d.tensor_type}Storage": d for d in DTYPES.values()}

#: Element types newer than PyTorch's storage classes; their tensors name the type themselves.
WITHOUT_STORAGE_CLASS = frozenset({"uint16", "uint32", "uint64"})

for _name in WITHOUT_STORAGE_CLASS:
    STORAGE_DTYPES.pop(f"{DTYPES[_name].tensor_type}Storage", None)


class Storage:
    """A flat run of bytes, with its element type where the file tells it.

    Attributes:
        data: the bytes, as an array of `uint8`.
        dtype: the element type; `None` for PyTorch's untyped storages.
        location: the device that the file names, as `cpu` or `cuda:0`.
    """

    def __init__(self, data: np.ndarray, dtype: dtype | None, location: str = "cpu"):
        self.data = data
        self.dtype = dtype
        self.location = location

    def __len__(self) -> int:
        return len(self.data) // (self.dtype.itemsize if self.dtype else 1)

    def __repr__(self) -> str:
        kind = self.dtype.name if self.dtype else "untyped"
        return f"<storage of {len(self)} elements, {kind}, on {self.location}>"

    def cpu(self) -> Storage:
        """This storage on the CPU, where all of them are."""
        return Storage(self.data, self.dtype, "cpu")

    def view(
        self, kind: dtype, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> np.ndarray:
        """The elements at `offset` with this size and stride, sharing the storage's memory.

        Raises `ValueError` where they would reach outside the storage.
        """
        _check_integers("size", size)
        _check_integers("stride", stride)
        _check_integers("offset", (offset,))
        if len(size) != len(stride):
            raise ValueError(f"size has {len(size)} numbers, stride {len(stride)}")
        if len(size) > 64:
            raise ValueError(f"{len(size)} dimensions are more than an array may have")
        available = len(self.data) // kind.itemsize
        if math.prod(size) == 0:
            if math.prod(max(n, 1) for n in size) > 2**62:
                raise ValueError("the size overflows")
            return np.empty(size, kind.numpy)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= available:
            raise ValueError(
                f"a tensor of size {list(size)}, stride {list(stride)} and offset {offset} "
                f"needs {last + 1} elements, its storage holds {available}"
            )
        if kind.name == "bool":  # a byte above 1 is no NumPy bool
            np.not_equal(self.data, 0, out=self.data.view(np.bool_))
        strides = tuple(step * kind.itemsize for step in stride)
        return np.ndarray(size, kind.numpy, self.data, offset * kind.itemsize, strides)


def _check_integers(what: str, numbers: Any) -> None:
    if not isinstance(numbers, tuple):
        raise ValueError(f"a tensor's {what} must be a tuple, not a {type(numbers).__name__}")
    for number in numbers:
        if type(number) is not int or not 0 <= number < 2**62:
            raise ValueError(f"a tensor's {what} must be numbers from zero up")


def swap_bytes(data: np.ndarray, kind: dtype | None) -> None:
    """Turns elements written by a machine of the other byte order around, in place."""
    if kind is None:
        raise NotImplementedError(
            "an untyped storage written by a machine of the other byte order cannot be read"
        )
    width = kind.itemsize // 2 if kind.is_complex else kind.itemsize
    data.view(f"u{width}").byteswap(inplace=True)
