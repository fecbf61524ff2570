"""Sending tensors to other processes: their memory is shared, and a descriptor of it travels."""

from __future__ import annotations

import mmap
from multiprocessing import reduction
from typing import Any

import numpy as np

from flambeau.core import shared
from flambeau.nn.parameter import Parameter
from flambeau.tensor.tensor import Tensor, address, wrap


def _memory_of(tensor: Tensor) -> mmap.mmap | None:
    """The shared memory that a tensor lies in."""
    memory: Any = tensor._root()._array
    while isinstance(memory, np.ndarray):
        memory = memory.base
    return memory.obj if isinstance(memory, memoryview) and isinstance(memory.obj, mmap.mmap) else None


def _reduced(tensor: Tensor) -> tuple:
    """How a tensor is pickled for another process. Its memory is shared from now on, as in PyTorch."""
    if tensor._node is not None:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
            "crossing process boundaries.  If you just want to transfer the data, call detach() on the tensor before "
            "serializing (e.g., putting it on the queue)."
        )
    if not tensor._sparse and tensor._array.size:
        holder = tensor.data if isinstance(tensor, Parameter) else tensor
        holder.share_memory_()
        if holder is not tensor:
            tensor.data = holder
    memory = None if tensor._sparse else _memory_of(tensor)
    descriptor = None if memory is None else shared.descriptor_of(memory)
    if memory is None or descriptor is None:
        return tensor.__reduce_ex__(2)
    array = tensor._array
    start = address(array) - address(np.frombuffer(memory, np.uint8))
    place = (len(memory), start, array.shape, array.strides, array.dtype)
    return _rebuilt, (type(tensor), reduction.DupFd(descriptor), place, tensor.requires_grad)


def _rebuilt(kind: type, duplicate: Any, place: tuple, requires_grad: bool) -> Any:
    size, start, shape, strides, dtype = place
    memory = np.frombuffer(shared.opened(duplicate.detach(), size), np.uint8)
    tensor = wrap(np.ndarray(shape, dtype, memory, start, strides))
    if issubclass(kind, Parameter):
        return kind(tensor, requires_grad)  # type: ignore[call-arg]
    return tensor.requires_grad_(requires_grad)


def register() -> None:
    """Lets Python's queues, pipes and processes send tensors so."""
    for kind in (Tensor, Parameter):
        reduction.ForkingPickler.register(kind, _reduced)


def get_all_sharing_strategies() -> set[str]:
    """`{"file_descriptor"}`"""
    return {"file_descriptor"}


def get_sharing_strategy() -> str:
    """`"file_descriptor"`"""
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Memory is shared by descriptors; the wish for names ("file_system") is met by the same: nothing is left behind.

    Raises:
        ValueError: for a strategy that PyTorch does not know.
    """
    if new_strategy not in ("file_descriptor", "file_system"):
        raise ValueError(f"unknown sharing strategy {new_strategy!r}")
