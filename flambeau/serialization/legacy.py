"""PyTorch's format before version 1.6: five pickles one after the other, then the storages."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.serialization.allowed import check_identity
from flambeau.serialization.storage import Storage, swap_bytes

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_LENGTH = 8


def load(
    data: bytes,
    name: str,
    unpickle: Callable[[bytes, Callable[[Any], Any], int], tuple[Any, int]],
    place: Callable[[Storage], Storage],
) -> Any:
    """The object in `data`, the whole of a legacy file.

    Arguments:
        name: the file's name, for messages.
        unpickle: reads the pickle at a position.
        place: moves a storage to the device that the caller wants.
    """
    try:
        magic, position = unpickle(data, _no_storage, 0)
    except Exception as error:
        raise RuntimeError(_not_a_checkpoint(data, name)) from error
    if magic != _MAGIC:
        raise RuntimeError(_not_a_checkpoint(data, name))
    version, position = unpickle(data, _no_storage, position)
    if version != _VERSION:
        raise RuntimeError(f"{name} is in legacy format {version!r}; only {_VERSION} is known")
    system, position = unpickle(data, _no_storage, position)
    little = not isinstance(system, dict) or system.get("little_endian", True)

    # Storages stand behind the pickle that refers to them, so that tensors are made over
    # memory that is filled afterwards.
    storages: dict[str, Storage] = {}

    def persistent_load(identity: Any) -> Storage:
        if isinstance(identity, tuple) and identity and identity[0] == "module":
            return identity[1]
        kind, key, location, length = check_identity(identity)
        width = kind.dtype.itemsize if kind.dtype else 1
        claimed = sum(len(known.data) for known in storages.values())
        if key not in storages:
            if claimed + length * width > len(data):
                raise RuntimeError(
                    f"{name} is cut short or damaged: its storages need at least "
                    f"{claimed + length * width} bytes, the file has {len(data)}"
                )
            empty = np.zeros(length * width, np.uint8)
            storages[key] = place(Storage(empty, kind.dtype, location))
        whole = storages[key]
        view = identity[5] if len(identity) > 5 else None
        if view is None:
            return Storage(whole.data, kind.dtype, whole.location)
        return _part(whole, view, width, kind.dtype)

    result, position = unpickle(data, persistent_load, position)
    keys, position = unpickle(data, _no_storage, position)
    if not isinstance(keys, list) or set(map(str, keys)) != set(storages):
        raise RuntimeError(f"{name} is damaged: its list of storages does not fit")
    for key in keys:
        position = _fill(storages[str(key)], str(key), data, position, name, bool(little))
    return result


def _part(whole: Storage, view: Any, width: int, kind: Any) -> Storage:
    """A storage that is a run of elements of another."""
    if not (isinstance(view, tuple) and len(view) == 3):
        raise pickle.UnpicklingError("a view of a storage needs a key, an offset and a length")
    _, offset, length = view
    if type(offset) is not int or type(length) is not int or min(offset, length) < 0:
        raise pickle.UnpicklingError("a view of a storage reaches outside it")
    data = whole.data[offset * width : (offset + length) * width]
    if len(data) != length * width:
        raise pickle.UnpicklingError("a view of a storage reaches outside it")
    return Storage(data, kind, whole.location)


def _fill(
    storage: Storage, key: str, data: bytes, position: int, name: str, little: bool
) -> int:
    """Copies a storage's bytes from the file; the position behind them."""
    order = "little" if little else "big"
    length = int.from_bytes(data[position : position + _LENGTH], order)  # type: ignore[arg-type]
    position += _LENGTH
    count = len(storage.data)
    width = storage.dtype.itemsize if storage.dtype else 1
    if length * width != count:
        raise RuntimeError(
            f"{name} is damaged: storage {key} should hold {count // width} elements, the "
            f"file says {length}"
        )
    if position + count > len(data):
        raise RuntimeError(
            f"{name} is cut short: storage {key} has {max(0, len(data) - position)} of "
            f"{count} bytes"
        )
    storage.data[:] = np.frombuffer(data, np.uint8, count, position)
    if order != sys.byteorder:
        swap_bytes(storage.data, storage.dtype)
    return position + count


def _no_storage(identity: Any) -> Any:
    raise pickle.UnpicklingError("a storage stands where none may")


def _not_a_checkpoint(data: bytes, name: str) -> str:
    if data[257:262] == b"ustar" or b"ustar" in data[:512]:
        return (
            f"{name} is in PyTorch's oldest format, a tar archive; load it in PyTorch and save "
            "it again"
        )
    return f"{name} is no checkpoint: it is neither a zip archive nor a PyTorch pickle"
