"""Small questions and switches of `torch.serialization`: byte order, maps of files, devices, types of storages."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import pickletools
import re
import tempfile
from collections.abc import Callable, Iterator
from enum import Enum
from typing import IO, Any

from flambeau.serialization.archive import ArchiveReader
from flambeau.tensor.storage import TypedStorage
from flambeau.tensor.types import TYPES

__all__ = [
    "LoadEndianness", "SourceChangeWarning", "check_module_version_greater_or_equal", "default_restore_location",
    "get_crc32_options", "get_default_load_endianness", "get_default_mmap_options",
    "get_unsafe_globals_in_checkpoint", "location_tag", "mkdtemp", "normalize_storage_type", "register_package",
    "set_crc32_options", "set_default_load_endianness", "set_default_mmap_options", "skip_data",
    "storage_to_tensor_type", "validate_cuda_device", "validate_hpu_device",
]  # fmt: skip


class SourceChangeWarning(Warning):
    """The source of a pickled class has changed. Nothing warns of it here: no source is kept in files."""


class LoadEndianness(Enum):
    """The order of bytes in a file that does not tell it."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


def get_default_load_endianness() -> LoadEndianness | None:
    """None: files that do not tell their byte order are read in this machine's."""
    return None


def set_default_load_endianness(endianness: Any) -> None:
    """Accepts None and `NATIVE`, which is how files are read. Raises `NotImplementedError` for another order."""
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    if endianness not in (None, LoadEndianness.NATIVE):
        raise NotImplementedError("set_default_load_endianness: files without a byte order are read in this machine's")


def get_crc32_options() -> bool:
    """True: `save` writes a checksum of each record."""
    return True


def set_crc32_options(compute_crc32: bool) -> None:
    """Accepts True. Raises `NotImplementedError` for False: checksums are always written."""
    if not compute_crc32:
        raise NotImplementedError("set_crc32_options(False): checksums are always written")


def get_default_mmap_options() -> int:
    """`MAP_PRIVATE`: what is written to a tensor of a mapped file does not reach the file."""
    return mmap.MAP_PRIVATE


def set_default_mmap_options(flags: int) -> contextlib.AbstractContextManager[None]:
    """Accepts `MAP_PRIVATE`; also as a context. Raises `NotImplementedError` for `MAP_SHARED`."""
    if flags not in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
        raise ValueError(f"Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or mmap.MAP_SHARED, but got {flags}")
    if flags == mmap.MAP_SHARED:
        raise NotImplementedError("set_default_mmap_options(MAP_SHARED): files are mapped privately")
    return contextlib.nullcontext()


def skip_data(materialize_fake_tensors: bool = False) -> Any:
    """Raises `NotImplementedError`: files are written with their data."""
    raise NotImplementedError("skip_data: files are written and read with their data")


# Devices ------------------------------------------------------------------------------------------


def location_tag(storage: Any) -> str:
    """`"cpu"`, where all storages are."""
    return "cpu"


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage itself for `"cpu"`. Raises `RuntimeError` for other places."""
    if location == "cpu":
        return storage
    if location.startswith("cuda"):
        validate_cuda_device(location)
    raise RuntimeError(
        f"don't know how to restore data location of {type(storage).__name__} (tagged with {location})"
    )


def validate_cuda_device(location: str) -> int:
    """Raises `RuntimeError`: there is no such device."""
    raise RuntimeError(
        "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running "
        "on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to "
        "the CPU."
    )


def validate_hpu_device(location: str) -> int:
    """Raises `RuntimeError`: there is no such device."""
    raise RuntimeError(
        "Attempting to deserialize object on a HPU device but there is none: map_location=torch.device('cpu') maps "
        "storages to the CPU."
    )


def register_package(priority: int, tagger: Callable[..., Any], deserializer: Callable[..., Any]) -> None:
    """Raises `NotImplementedError`: it is for devices that are not here; `map_location` of `load` moves storages."""
    raise NotImplementedError("register_package: all storages are on the CPU; see load(map_location=…)")


# Types --------------------------------------------------------------------------------------------


def normalize_storage_type(storage_type: Any) -> Any:
    """A storage type as the one of this package: `FloatStorage`."""
    import flambeau

    return getattr(flambeau, storage_type.__name__)


def storage_to_tensor_type(storage: TypedStorage) -> Any:
    """The type of tensors in a storage: `FloatTensor` for floats."""
    return TYPES[f"{storage.dtype.tensor_type}Tensor"]


# Files and modules --------------------------------------------------------------------------------


def check_module_version_greater_or_equal(
    module: Any, req_version_tuple: tuple[int, ...], error_if_malformed: bool = True
) -> bool:
    """Whether a module's `__version__` is at least the given one, number by number.

    Raises `RuntimeError` for a version that cannot be read, or warns and says True.
    """
    parts = re.findall(r"\d+", str(module.__version__).partition("+")[0])[: len(req_version_tuple)]
    if parts:
        return tuple(map(int, parts)) >= tuple(req_version_tuple)
    message = f"'{module}' module version string is malformed '{module.__version__}' and cannot be compared with tuple {req_version_tuple}"
    if error_if_malformed:
        raise RuntimeError(message)
    import warnings

    warnings.warn(message + ", but continuing assuming that requirement is met", stacklevel=2)
    return True


@contextlib.contextmanager
def mkdtemp() -> Iterator[str]:
    """A temporary folder, which is gone at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike[str] | IO[bytes]) -> list[str]:
    """The names, `module.name`, that a file asks for and `load(weights_only=True)` does not allow.

    Raises `ValueError` for a file that is not in the zip format.
    """
    import pickle

    from flambeau.serialization.allowed import find_allowed

    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    content = f.read()
    if not content.startswith(b"PK"):
        raise ValueError("Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint")
    pickled = ArchiveReader(io.BytesIO(content), "the file", None).read("data.pkl")
    unsafe = []
    for module, name in _globals(bytes(pickled)):
        try:
            find_allowed(module, name)
        except pickle.UnpicklingError:
            unsafe.append(f"{module}.{name}")
    return list(dict.fromkeys(unsafe))


def _globals(pickled: bytes) -> Iterator[tuple[str, str]]:
    """What a pickle asks for by name, without running it."""
    strings: list[str] = []
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            yield module, name
        elif operation.name == "STACK_GLOBAL":
            yield strings[-2], strings[-1]
        elif isinstance(argument, str):
            strings.append(argument)
