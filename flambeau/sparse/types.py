"""The type names of old programs: `torch.sparse.FloatTensor(positions, values, size)`."""

from __future__ import annotations

from typing import Any

from flambeau.core.dtypes import dtype
from flambeau.ops.sparse import sparse_coo_tensor
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.types import TYPES as DENSE_TYPES


class _SparseType(type):
    """A class whose instances are the sparse tensors of one dtype."""

    dtype: dtype

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, Tensor) and bool(other.is_sparse) and other.dtype is cls.dtype

    def __call__(cls, *data: Any, device: Any = None) -> Any:
        if data and isinstance(data[0], Tensor):
            return sparse_coo_tensor(*data, dtype=cls.dtype, device=device)
        size = data[0] if len(data) == 1 and not isinstance(data[0], int) else data or (0,)
        return sparse_coo_tensor(tuple(size), dtype=cls.dtype, device=device)

    def __str__(cls) -> str:
        return f"torch.sparse.{cls.__name__}"


def _make(name: str, of: dtype) -> _SparseType:
    doc = f"Sparse tensors of {of}; called with positions, values and a size, makes one."
    return _SparseType(name, (), {"dtype": of, "__doc__": doc, "__module__": "torch.sparse"})


#: `FloatTensor` and the other names.
TYPES = {name: _make(name, kind.dtype) for name, kind in DENSE_TYPES.items()}
