"""What programs ask of `torch.accelerator`: there is none here."""

from typing import Any


def is_available() -> bool:
    """False: Flambeau computes on the processor."""
    return False


def device_count() -> int:
    """0"""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """None: there is none."""
    return None
