"""What programs ask of `torch.mps`: there is no such device here."""

from typing import Any, NoReturn


def is_available() -> bool:
    """False: Flambeau computes on the processor."""
    return False


def device_count() -> int:
    """0"""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds nothing: there is no such device."""


def seed() -> None:
    """Seeds nothing: there is no such device."""


def _absent(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises `RuntimeError`, as PyTorch without MPS does."""
    raise RuntimeError("Flambeau has no MPS backend: it computes on the processor")


synchronize = empty_cache = current_allocated_memory = driver_allocated_memory = recommended_max_memory = _absent
set_per_process_memory_fraction = get_rng_state = set_rng_state = Event = _absent
