"""The few things that programs ask of PyTorch's compiled half, which is not here."""

from typing import Any

from flambeau.core.generator import Generator as Generator
from flambeau.core.shapes import Size as Size
from flambeau.tensor.tensor import Tensor as TensorBase

_TensorBase = TensorBase


def _log_api_usage_once(event: str) -> None:
    """Does nothing: no use is logged."""


def _get_tracing_state() -> Any:
    """`None`: nothing is traced for TorchScript."""
    return None


def _are_functorch_transforms_active() -> bool:
    """False: `vmap` and `grad` here need no special care."""
    return False
