"""Weights of convolutions in another order of memory."""

from __future__ import annotations

from typing import Any, TypeVar

from flambeau.nn.modules import conv

M = TypeVar("M")


def _convert(module: Any, kinds: tuple[type, ...], memory_format: Any) -> Any:
    for part in module.modules():
        if isinstance(part, kinds):
            part.weight.data = part.weight.detach().clone(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """`module`, the weights of whose two-dimensional convolutions lie in `memory_format`; their values stay."""
    return _convert(module, (conv.Conv2d, conv.ConvTranspose2d), memory_format)


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """`module`, the weights of whose three-dimensional convolutions lie in `memory_format`; their values stay."""
    return _convert(module, (conv.Conv3d, conv.ConvTranspose3d), memory_format)
