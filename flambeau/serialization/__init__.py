"""Saving and loading objects in PyTorch's file format."""

from flambeau.serialization.allowed import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from flambeau.serialization.loading import load
from flambeau.serialization.saving import save

#: Names of `options.py`, which few programs ask for.
_OPTIONS = (
    "LoadEndianness", "SourceChangeWarning", "check_module_version_greater_or_equal", "default_restore_location",
    "get_crc32_options", "get_default_load_endianness", "get_default_mmap_options",
    "get_unsafe_globals_in_checkpoint", "location_tag", "mkdtemp", "normalize_storage_type", "register_package",
    "set_crc32_options", "set_default_load_endianness", "set_default_mmap_options", "skip_data",
    "storage_to_tensor_type", "validate_cuda_device", "validate_hpu_device",
)  # fmt: skip

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]


def __getattr__(name: str) -> object:
    if name in _OPTIONS:
        from flambeau.serialization import options

        return getattr(options, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
