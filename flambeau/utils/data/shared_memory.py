"""Sending batches between processes: the tensors go through shared memory, not through the pipe.

Every message is one pickle in which tensors and arrays are placeholders; their bytes lie in one
block of shared memory that sender and receiver map. On Linux the block is an anonymous file
(`memfd`) whose descriptor travels with the message: it has no name, so nothing can be left behind,
whoever is killed. Elsewhere it is a named block that the receiver unlinks at once.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.tensor import Tensor

__all__ = ["receive", "send"]

_HAS_ANONYMOUS_FILES = hasattr(os, "memfd_create")
#: Below this size bytes are cheaper in the pipe, which never fills with messages this small.
_SMALL = 4096
_ALIGNMENT = 64


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


class _Pickler(pickle.Pickler):
    """Leaves the contents of tensors and arrays out, and lists them in `arrays`."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self.arrays: list[np.ndarray] = []
        self.size = 0

    def persistent_id(self, thing: Any) -> Any:
        if type(thing) is Tensor and not thing.requires_grad and not thing.is_sparse:
            return ("tensor", *self._placed(thing.detach().numpy(force=True)), str(thing.dtype))
        if type(thing) is np.ndarray and not thing.dtype.hasobject:
            return ("array", *self._placed(thing), "")
        return None

    def _placed(self, array: np.ndarray) -> tuple[int, Any, tuple[int, ...]]:
        offset = self.size
        self.arrays.append(array)
        self.size = _aligned(offset + array.nbytes)
        return offset, array.dtype, array.shape


class _Unpickler(pickle.Unpickler):
    """Puts tensors and arrays on the shared memory that `block` maps."""

    def __init__(self, stream: io.BytesIO, block: Any) -> None:
        super().__init__(stream)
        self.block = block

    def persistent_load(self, place: Any) -> Any:
        kind, offset, dtype, shape, _ = place
        array = np.ndarray(shape, dtype, self.block, offset)
        return array if kind == "array" else ops.from_numpy(array)


def send(connection: Connection, message: Any) -> None:
    """Sends `message` so that `receive` gets its tensors without another copy."""
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(message)
    text = stream.getbuffer()
    text_offset = pickler.size
    total = text_offset + text.nbytes
    if total <= _SMALL:
        connection.send((bytes(text), _packed(pickler.arrays, text_offset), None))
        return
    if _HAS_ANONYMOUS_FILES:
        descriptor = os.memfd_create("flambeau-batch")
        os.ftruncate(descriptor, total)
        _write(descriptor, pickler.arrays, text, text_offset)
        connection.send((text_offset, total, None))
        reduction.send_handle(connection, descriptor, None)
        os.close(descriptor)
        return
    block, name = _named_block(total)
    _fill(memoryview(block), pickler.arrays)
    memoryview(block)[text_offset:total] = text
    connection.send((text_offset, total, name))


def receive(connection: Connection) -> Any:
    """A message sent by `send`. Raises `EOFError` if the sender is gone."""
    first, second, handle = connection.recv()
    if isinstance(first, bytes):
        return _Unpickler(io.BytesIO(first), bytearray(second)).load()
    text_offset, total = first, second
    block = _received_block(connection, handle, total)
    text = io.BytesIO(memoryview(block)[text_offset:total])
    return _Unpickler(text, block).load()


def _packed(arrays: list[np.ndarray], size: int) -> bytes:
    packed = bytearray(size)
    _fill(memoryview(packed), arrays)
    return bytes(packed)


def _fill(block: memoryview, arrays: list[np.ndarray]) -> None:
    offset = 0
    for array in arrays:
        if array.nbytes:
            np.ndarray(array.shape, array.dtype, block, offset)[...] = array
        offset = _aligned(offset + array.nbytes)


def _write(descriptor: int, arrays: list[np.ndarray], text: memoryview, end: int) -> None:
    """Writes the arrays, and the text at `end`. The system makes pages for what is written faster
    than for what is touched in a mapping."""
    offset = 0
    for array in arrays:
        if array.nbytes:
            flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            _write_at(descriptor, memoryview(flat), offset)
        offset = _aligned(offset + array.nbytes)
    _write_at(descriptor, text, end)


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    written = 0
    while written < data.nbytes:
        written += os.pwrite(descriptor, data[written:], offset + written)


def _named_block(size: int) -> tuple[Any, str]:
    """A block of shared memory that has a name."""
    from multiprocessing import resource_tracker, shared_memory

    named = shared_memory.SharedMemory(create=True, size=size)
    # The receiver unlinks it, so the sender's tracker need not.
    resource_tracker.unregister(named._name, "shared_memory")  # type: ignore[attr-defined]
    return named.buf, named.name


def _received_block(connection: Connection, name: str | None, size: int) -> Any:
    if name is None:
        descriptor = reduction.recv_handle(connection)
        try:
            return mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
    from multiprocessing import shared_memory

    named = shared_memory.SharedMemory(name=name)
    named.unlink()
    # The buffer belongs to the mapping; arrays on it must keep the mapping from closing.
    return np.frombuffer(named.buf, np.uint8).view(_Mapped)._holding(named)


class _Mapped(np.ndarray):
    """The bytes of a named block, which stays mapped as long as an array on them lives."""

    _named: Any = None

    def _holding(self, named: Any) -> _Mapped:
        self._named = named
        return self
