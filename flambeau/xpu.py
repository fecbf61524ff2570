"""What programs ask of `torch.xpu`: there is no such device here."""

from typing import Any, NoReturn


def is_available() -> bool:
    """False: Flambeau computes on the processor."""
    return False


def is_initialized() -> bool:
    """False"""
    return False


def device_count() -> int:
    """0"""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds nothing: there is no such device."""


def manual_seed_all(seed: int) -> None:
    """Seeds nothing: there is no such device."""


def empty_cache() -> None:
    """Frees nothing: there is no such device."""


def _nothing(device: Any = None) -> int:
    """0: nothing lies on such a device."""
    return 0


memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _nothing


def get_rng_state_all() -> list[Any]:
    """The states of such devices' generators: none."""
    return []


def _absent(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises `AssertionError`, as PyTorch without XPU does."""
    raise AssertionError("Flambeau is not built with XPU: it computes on the processor")


synchronize = current_device = set_device = get_device_name = get_device_properties = get_device_capability = _absent
current_stream = get_rng_state = set_rng_state = mem_get_info = reset_peak_memory_stats = Stream = Event = _absent
