"""`load`: objects from files in PyTorch's formats, running nothing that the files hold."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

import flambeau
from flambeau.core.device import device
from flambeau.serialization import legacy
from flambeau.serialization.allowed import StorageType, check_identity, find_allowed
from flambeau.serialization.archive import ArchiveReader
from flambeau.serialization.storage import Storage, swap_bytes
from flambeau.serialization.unpickler import Allowed, SafeUnpickler

MapLocation = device | str | Mapping[str, str] | Callable[[Any, str], Any] | None


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
) -> Any:
    """Reads what `save`, or PyTorch, wrote to the file `f`.

    Arguments:
        f: a path, or a file open for reading bytes, with `seek`.
        map_location: where storages of other devices go: a device, a mapping from the file's
            device names, or a function of a storage and its device name.
        weights_only: the default, `True`, builds tensors and plain data and nothing else.
            `False` runs Python's unpickler, and so any code that the file holds.
        mmap: whether to map the tensors from the file instead of reading them.

    Raises:
        FileNotFoundError: where there is no such file.
        RuntimeError: for a file that is cut short, damaged, or no checkpoint.
        pickle.UnpicklingError: for a pickle that is damaged or names what is not allowed.
    """
    if pickle_module is not None:
        raise NotImplementedError("load(pickle_module=…): only Python's own pickle works")
    safe = weights_only is None or bool(weights_only)
    if isinstance(f, (str, os.PathLike)):
        path = Path(f)
        with path.open("rb") as file:
            return _load(file, str(path), path if mmap else None, map_location, safe)
    if not (hasattr(f, "read") and hasattr(f, "seek")):
        raise AttributeError(
            f"expected 'f' to be a path or a file with 'read' and 'seek', got "
            f"{type(f).__name__}"
        )
    if mmap:
        raise ValueError("f must be a file name in order to use the mmap argument")
    return _load(f, getattr(f, "name", None) or "the file", None, map_location, safe)


def _load(
    file: IO[bytes], name: str, mapped: Path | None, map_location: MapLocation, safe: bool
) -> Any:
    start = file.tell()
    head = file.read(4)
    if not head:
        raise EOFError(f"{name} is empty: there is nothing to load")
    if head == b"PK\x03\x04":
        file = _from(file, start)
        archive = ArchiveReader(file, name, mapped)
        if archive.has("constants.pkl"):
            raise NotImplementedError(
                f"{name} is a TorchScript program; save the module's state_dict() in PyTorch "
                "and load that"
            )
        return _load_archive(archive, map_location, safe)
    if mapped is not None:
        raise RuntimeError(f"{name} is not in the zip format, so it cannot be mapped")
    file.seek(start)
    data = file.read()
    return legacy.load(data, name, _unpickler(safe), _placer(map_location))


def _from(file: IO[bytes], start: int) -> IO[bytes]:
    """The file from `start` on, as zip archives count positions."""
    if start == 0:
        return file
    file.seek(start)
    return io.BytesIO(file.read())


def _load_archive(archive: ArchiveReader, map_location: MapLocation, safe: bool) -> Any:
    foreign_order = archive.has("byteorder") and (
        bytes(archive.read("byteorder")) != sys.byteorder.encode()
    )
    place = _placer(map_location)
    storages: dict[str, Storage] = {}

    def persistent_load(identity: Any) -> Storage:
        kind, key, location, length = check_identity(identity)
        if key not in storages:
            record = f"data/{key}"
            data = archive.map(record) if archive.path else archive.read(record)
            _check_length(archive.name, key, data, kind, length)
            if foreign_order:
                swap_bytes(data, kind.dtype)
            storages[key] = place(Storage(data, kind.dtype, location))
        found = storages[key]
        return Storage(found.data, kind.dtype, found.location)

    if not archive.has("data.pkl"):
        raise RuntimeError(f"{archive.name} is damaged: it has no record data.pkl")
    pickled = bytes(archive.read("data.pkl"))
    return _unpickler(safe)(pickled, persistent_load, 0)[0]


def _check_length(
    name: str, key: str, data: np.ndarray, kind: StorageType, length: int
) -> None:
    width = kind.dtype.itemsize if kind.dtype else 1
    if len(data) != length * width:
        raise RuntimeError(
            f"{name} is damaged: storage {key} should hold {length} elements of {width} "
            f"bytes, its record has {len(data)} bytes"
        )


def _placer(map_location: MapLocation) -> Callable[[Storage], Storage]:
    """What moves a storage, as read, to where `map_location` wants it."""

    def place(storage: Storage) -> Storage:
        wanted: Any = storage.location
        if callable(map_location) and not isinstance(map_location, type):
            moved = map_location(storage, storage.location)
            if isinstance(moved, Storage):
                return Storage(moved.data, moved.dtype, "cpu")
        elif isinstance(map_location, Mapping):
            wanted = map_location.get(storage.location, storage.location)
        elif map_location is not None:
            wanted = map_location
        if device(str(wanted)).type != "cpu":
            raise RuntimeError(
                f"Attempting to deserialize object on the device {wanted}, but Flambeau "
                "computes on the CPU. Use load with map_location='cpu' to map your storages "
                "to the CPU."
            )
        return Storage(storage.data, storage.dtype, "cpu")

    return place


# the two unpicklers ------------------------------------------------------------------------

#: Reads a pickle at a position: its object, and the position behind it.
Unpickle = Callable[[bytes, Callable[[Any], Any], int], tuple[Any, int]]


def _unpickler(safe: bool) -> Unpickle:
    return _unpickle_safely if safe else _unpickle_trusting


def _unpickle_safely(
    data: bytes, persistent_load: Callable[[Any], Any], position: int
) -> tuple[Any, int]:
    machine = SafeUnpickler(data, find_allowed, persistent_load, position)
    return machine.load(), machine.position


def _unpickle_trusting(
    data: bytes, persistent_load: Callable[[Any], Any], position: int
) -> tuple[Any, int]:
    stream = io.BytesIO(data)
    stream.seek(position)
    unpickler = _TrustingUnpickler(stream)
    unpickler.persistent_load = persistent_load  # type: ignore[method-assign]
    return unpickler.load(), stream.tell()


class _TrustingUnpickler(pickle.Unpickler):
    """Python's unpickler, with PyTorch's names read as Flambeau's."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            found = find_allowed(module, name)
        except pickle.UnpicklingError:
            return super().find_class(_translate(module), name)
        return found.call if isinstance(found, Allowed) else found


def _translate(module: str) -> str:
    if module == "torch" or module.startswith("torch."):
        return flambeau.__name__ + module.removeprefix("torch")
    return module
