"""The memory under a tensor, as `untyped_storage()` and `storage()` show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.core.dtypes import dtype, from_numpy_dtype, get_default_dtype
from flambeau.tensor.tensor import Tensor, address, wrap


class UntypedStorage:
    """The bytes that a tensor, and all of its views, lie in; or a number of new ones, or those of a list."""

    def __init__(self, memory: Any = 0, *, device: Any = None):
        devices.check_device(device)
        self._memory = _memory_of(memory, np.dtype(np.uint8))

    device = devices.CPU
    is_cuda = False

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._memory.nbytes

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return address(self._memory) if self._memory.size else 0

    def element_size(self) -> int:
        """1: the elements are bytes."""
        return 1

    def _bytes(self) -> np.ndarray:
        return self._memory.reshape(-1).view(np.uint8)

    def __getitem__(self, index: Any) -> Any:
        found = self._bytes()[index]
        return UntypedStorage(found) if isinstance(index, slice) else int(found)

    def __iter__(self) -> Iterator[int]:
        return iter(self._bytes().tolist())

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return self._bytes().tolist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self.data_ptr() == other.data_ptr()

    def __hash__(self) -> int:
        return hash(self.data_ptr())

    def __repr__(self) -> str:
        rows = "".join(f" {b}\n" for b in self)
        return f"{rows}[torch.storage.UntypedStorage(device=cpu) of size {len(self)}]"


class TypedStorage(UntypedStorage):
    """The elements that a tensor, and all of its views, lie in; or new ones: a number of them, or those of a list.

    `wrap_storage`: the bytes to take as elements of `dtype`.
    """

    def __init__(
        self, memory: Any = 0, *, wrap_storage: UntypedStorage | None = None, dtype: dtype | None = None,
        device: Any = None, _internal: bool = False,
    ):  # fmt: skip
        devices.check_device(device)
        stored = (dtype or get_default_dtype()).numpy
        self._memory = _memory_of(memory, stored) if wrap_storage is None else wrap_storage._bytes().view(stored)

    @property
    def dtype(self) -> dtype:
        return from_numpy_dtype(self._memory.dtype)

    def size(self) -> int:
        """The number of elements."""
        return self._memory.size

    __len__ = size

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._memory.dtype.itemsize

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._memory)

    def __getitem__(self, index: Any) -> Any:
        return wrap(self._memory.reshape(-1))[index].tolist()  # type: ignore[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def tolist(self) -> list[Any]:
        """The elements as numbers."""
        return self._memory.reshape(-1).tolist()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._memory.reshape(-1)[index] = value

    def fill_(self, value: Any) -> TypedStorage:
        """Sets all elements to a number."""
        self._memory[...] = value
        return self

    def copy_(self, source: TypedStorage, non_blocking: bool | None = None) -> TypedStorage:
        """Takes over the elements of another storage of as many."""
        self._memory.reshape(-1)[...] = source._memory.reshape(-1)
        return self

    def clone(self) -> TypedStorage:
        """A copy, in memory of its own."""
        return TypedStorage(self._memory.reshape(-1).copy())

    def __repr__(self) -> str:
        rows = "".join(f" {x}\n" for x in self)
        return f"{rows}[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {len(self)}]"


def _memory_of(given: Any, stored: np.dtype) -> np.ndarray:
    """An array as it is; new memory for a number of elements, or for a sequence of them."""
    if isinstance(given, np.ndarray):
        return given
    return np.empty(given, stored) if isinstance(given, int) else np.array(list(given), stored)


def _whole(tensor: Tensor) -> np.ndarray:
    """The memory of a tensor; of one that is no part of a gapless array, its elements alone."""
    memory = tensor._memory()
    if memory is None:
        base = tensor._root()._array
        memory = base.T if base.T.flags.c_contiguous else np.ascontiguousarray(base)
    return memory


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that this tensor lies in, as bytes."""
    return UntypedStorage(_whole(self))


def storage(self: Tensor) -> TypedStorage:
    """The memory that this tensor lies in, as elements."""
    return TypedStorage(_whole(self))


Tensor.untyped_storage = untyped_storage  # type: ignore[attr-defined]
Tensor.storage = Tensor._typed_storage = storage  # type: ignore[attr-defined]
