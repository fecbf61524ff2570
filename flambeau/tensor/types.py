"""The type names of old programs: `FloatTensor(2, 3)`, `isinstance(t, LongTensor)`."""

from __future__ import annotations

from typing import Any

from flambeau.core.dtypes import DTYPES, dtype, set_default_dtype
from flambeau.tensor.tensor import Tensor, legacy_array, wrap


class TensorType(type):
    """A class whose instances are the tensors of one dtype."""

    dtype: dtype

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, Tensor) and other.dtype is cls.dtype

    def __call__(cls, *data: Any, device: Any = None) -> Tensor:
        return wrap(legacy_array(data, cls.dtype.numpy))

    def __str__(cls) -> str:
        return f"torch.{cls.__name__}"


def _make(of: dtype) -> TensorType:
    name = f"{of.tensor_type}Tensor"
    doc = f"Tensors of {of}; called with sizes or values, makes one."
    return TensorType(name, (), {"dtype": of, "__doc__": doc, "__module__": "torch"})


#: `FloatTensor` and the other names.
TYPES = {
    kind.__name__: kind for kind in map(_make, DTYPES.values()) if "UInt" not in kind.__name__
}


def set_default_tensor_type(t: Any, /) -> None:
    """Sets the default dtype by a type or its name: `FloatTensor`, `"torch.DoubleTensor"` (deprecated)."""
    name = t if isinstance(t, str) else str(t)
    kind = TYPES.get(name.rpartition(".")[2])
    if kind is None or name.startswith("torch.cuda"):
        raise TypeError(f"invalid type object: {name!r} is no type of CPU tensors")
    set_default_dtype(kind.dtype)
