"""How attention is computed: PyTorch's choices may be named; here the shapes alone decide."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Any


class SDPBackend(IntEnum):
    """PyTorch's ways to compute `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[None]:
    """A block in which attention may be computed in these ways: all of them are the same kernels here.

    Raises:
        AssertionError: for what is no backend.
    """
    chosen = backends if isinstance(backends, (list, tuple)) else [backends]
    if not all(isinstance(b, SDPBackend) for b in chosen):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances")
    yield


def __getattr__(name: str) -> Any:
    if name not in ("flex_attention",):
        raise AttributeError(f"module 'flambeau.nn.attention' has no attribute {name!r}")
    import importlib

    return importlib.import_module(f"flambeau.nn.attention.{name}")
