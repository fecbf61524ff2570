"""What programs ask of `torch.distributed` before they go on alone: it is not there."""

from typing import Any, NoReturn


def is_available() -> bool:
    """False: one process computes."""
    return False


def is_initialized() -> bool:
    """False"""
    return False


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.distributed is not there: Flambeau computes in one process")
