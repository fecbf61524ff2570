"""`DataParallel` where there is one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.nn.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Calls the module it holds: with no GPU, PyTorch's does the same. `state_dict` keys begin with `module.`.

    Args:
        module: what is called.
        device_ids, output_device: GPUs, of which there are none.
        dim: the dimension along which batches would be split.
    """

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
