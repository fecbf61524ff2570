"""Questions about tensors and their dtypes, as functions; and methods that are functions too."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import dtype
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.pointwise import result_dtype as common_dtype
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor


@operator(method=False)
def is_tensor(obj: Any, /) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


@operator(method=False)
def is_storage(obj: Any, /) -> bool:
    """Whether an object is the memory of a tensor, as `Tensor.untyped_storage()` gives it."""
    from flambeau.tensor.storage import UntypedStorage

    return isinstance(obj, UntypedStorage)


def _as_function(name: str) -> None:
    method = getattr(Tensor, name)

    def call(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        expect_tensor(input, name)
        return getattr(input, name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`Tensor.{name}` as a function. {method.__doc__ or ''}".strip()
    operator(call, method=False)


for _name in (
    "detach", "detach_", "fill_", "get_device", "is_complex", "is_conj", "is_floating_point", "is_inference",
    "is_neg", "is_signed", "numel", "resize_as_", "zero_",
):  # fmt: skip
    _as_function(_name)


@operator
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero. Raises `RuntimeError` if there are more or none."""
    if input._array.size != 1:
        many = "more than one value" if input._array.size else "no values"
        raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous")
    return bool(input)


@operator
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return input.shape == other.shape


@operator
def is_distributed(input: Tensor) -> bool:
    """Whether the tensor is spread over processes: none is."""
    expect_tensor(input, "is_distributed")
    return False


@operator(method=False)
def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype of arithmetic on two tensors or numbers."""
    return common_dtype(tensor1, tensor2)


@operator(method=False)
def typename(obj: Any, /) -> str:
    """The name of an object's type with its module; of a tensor, as `torch.FloatTensor`."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", "") or ""
    return kind.__qualname__ if module in ("", "builtins") else f"{module}.{kind.__qualname__}"


# Hashing ------------------------------------------------------------------------------------------


def _hashed(x: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    wide = x.astype(np.float64).view(np.uint64) if x.dtype.kind in "fV" else x.astype(np.int64).view(np.uint64)
    return np.asarray(np.bitwise_xor.reduce(wide, axis=dims, keepdims=keepdim))


def _hash_rule(x: Spec, dims: tuple[int, ...], keepdim: bool) -> Spec:
    from flambeau.core.shapes import reduced_shape

    return Spec(reduced_shape(x.shape, dims, keepdim), np.dtype(np.uint64))


_hash = Primitive("hash_tensor", "input", _hashed, rule=_hash_rule)


@operator(out=True)
def hash_tensor(input: Tensor, dim: Any = (), *, keepdim: bool = False, mode: int = 0) -> Tensor:
    """The bits of the elements (as float64 or int64) over `dim` (all, if empty), joined by exclusive or.

    A uint64 tensor; `mode` 0 is the only one.
    """
    from flambeau.core.shapes import wrap_dims

    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if input.dtype.kind == dtypes.COMPLEX:
        raise NotImplementedError(f"\"xor_sum_cpu\" not implemented for '{input.dtype.tensor_type}'")
    return _hash(input, dims=wrap_dims(dim, input.ndim), keepdim=keepdim)
