"""What programs ask of `torch.accelerator`: there is none here."""

from typing import Any, NoReturn


def is_available() -> bool:
    """False: Flambeau computes on the processor."""
    return False


def device_count() -> int:
    """0"""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """None: there is none."""
    return None


def _absent(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises `RuntimeError`, as PyTorch without an accelerator does."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


synchronize = current_device_index = current_device_idx = set_device_index = set_device_idx = current_stream = _absent
set_stream = device_index = empty_cache = memory_allocated = memory_reserved = max_memory_allocated = _absent
max_memory_reserved = memory_stats = reset_peak_memory_stats = get_memory_info = get_device_capability = _absent
