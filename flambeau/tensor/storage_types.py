"""The type names of memory in old programs: `FloatStorage([1, 2])`, `isinstance(s, LongStorage)`."""

from __future__ import annotations

from typing import Any

from flambeau.core.dtypes import DTYPES, dtype, from_numpy_dtype
from flambeau.tensor.storage import TypedStorage, UntypedStorage
from flambeau.tensor.tensor import Tensor


class StorageType(type):
    """A class whose instances are the memories of elements of one dtype."""

    dtype: dtype

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, TypedStorage) and other.dtype is cls.dtype

    def __call__(cls, *data: Any, wrap_storage: UntypedStorage | None = None) -> TypedStorage:
        """Memory for a number of elements (not initialised), for a list of them, or of a given storage."""
        if len(data) > 1:
            raise TypeError(f"{cls.__name__}(): takes a size or a sequence, but got {len(data)} arguments")
        return TypedStorage(*data, wrap_storage=wrap_storage, dtype=cls.dtype)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _make(of: dtype) -> StorageType:
    name = f"{of.tensor_type}Storage"
    doc = f"The memory of tensors of {of}; called with a size or with numbers, makes one."
    return StorageType(name, (), {"dtype": of, "__doc__": doc, "__module__": "torch"})


#: `FloatStorage` and the other names.
STORAGES: dict[str, Any] = {
    kind.__name__: kind
    for kind in map(_make, DTYPES.values())
    if not kind.__name__.startswith(("UInt", "ComplexHalf", "Float8", "Bits", "Float4"))
}
STORAGES["Storage"] = STORAGES["FloatStorage"]


def storage_type(self: Tensor) -> StorageType:
    """The class of this tensor's memory: `FloatStorage` and so on."""
    return STORAGES[f"{from_numpy_dtype(self._array.dtype).tensor_type}Storage"]


Tensor.storage_type = storage_type  # type: ignore[attr-defined]
