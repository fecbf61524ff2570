"""What programs ask of `torch.cuda` before they fall back to the processor: there is no GPU here."""

from __future__ import annotations

from typing import Any, NoReturn

from flambeau.cuda import amp as amp


def is_available() -> bool:
    """False: Flambeau computes on the processor."""
    return False


def is_initialized() -> bool:
    """False: there is no GPU to set up."""
    return False


def device_count() -> int:
    """0"""
    return 0


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def manual_seed(seed: int) -> None:
    """Seeds nothing, as PyTorch's does where there is no GPU."""


def manual_seed_all(seed: int) -> None:
    """Seeds nothing, as PyTorch's does where there is no GPU."""


def empty_cache() -> None:
    """Frees nothing, as PyTorch's does where there is no GPU."""


def synchronize(device: Any = None) -> NoReturn:
    """Raises `AssertionError`, as PyTorch without CUDA does."""
    raise AssertionError("Flambeau is not built with CUDA: it computes on the processor")


def current_device() -> NoReturn:
    """Raises `AssertionError`, as PyTorch without CUDA does."""
    raise AssertionError("Flambeau is not built with CUDA: it computes on the processor")


def set_device(device: Any) -> NoReturn:
    """Raises `AssertionError`, as PyTorch without CUDA does."""
    raise AssertionError("Flambeau is not built with CUDA: it computes on the processor")


def get_device_name(device: Any = None) -> NoReturn:
    """Raises `AssertionError`, as PyTorch without CUDA does."""
    raise AssertionError("Flambeau is not built with CUDA: it computes on the processor")
