"""Padding: the input with something around it.

`padding` is one width for all ends, or (before, after) pairs, the last dimension first.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.nn.modules.utils import _ntuple
from flambeau.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

Widths = int | Sequence[int]


class _PadNd(Module):
    """What all paddings share."""

    __constants__ = ["padding"]
    spatial_dims: int
    mode: str

    def __init__(self, padding: Widths) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self.spatial_dims)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    """Goes on at the other end. Raises `ValueError` for another number of dimensions."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        unbatched = self.spatial_dims + 1
        if input.dim() not in (unbatched, unbatched + 1):
            raise ValueError(
                f"expected {unbatched}D or {unbatched + 1}D input (got {input.dim()}D input)"
            )
        return super().forward(input)


class _ReflectionPadNd(_PadNd):
    """Goes back from the edge, which is not repeated."""

    mode = "reflect"


class _ReplicationPadNd(_PadNd):
    """Repeats the edge."""

    mode = "replicate"


class _ConstantPadNd(_PadNd):
    """Fills with `value`."""

    __constants__ = ["padding", "value"]

    def __init__(self, padding: Widths, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class CircularPad1d(_CircularPadNd):
    """Pads `(N, C, L)`, batched or not: goes on at the other end."""

    spatial_dims = 1


class CircularPad2d(_CircularPadNd):
    """Pads `(N, C, H, W)`, batched or not: goes on at the other end."""

    spatial_dims = 2


class CircularPad3d(_CircularPadNd):
    """Pads `(N, C, D, H, W)`, batched or not: goes on at the other end."""

    spatial_dims = 3


class ConstantPad1d(_ConstantPadNd):
    """Pads `(N, C, L)`, batched or not: fills with `value`."""

    spatial_dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads `(N, C, H, W)`, batched or not: fills with `value`."""

    spatial_dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads `(N, C, D, H, W)`, batched or not: fills with `value`."""

    spatial_dims = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pads `(N, C, L)`, batched or not: goes back from the edge, which is not repeated."""

    spatial_dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pads `(N, C, H, W)`, batched or not: goes back from the edge, which is not repeated."""

    spatial_dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pads `(N, C, D, H, W)`, batched or not: goes back from the edge, which is not repeated."""

    spatial_dims = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pads `(N, C, L)`, batched or not: repeats the edge."""

    spatial_dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pads `(N, C, H, W)`, batched or not: repeats the edge."""

    spatial_dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pads `(N, C, D, H, W)`, batched or not: repeats the edge."""

    spatial_dims = 3


class ZeroPad1d(ConstantPad1d):
    """Pads `(N, C, L)`, batched or not, with zeros."""

    def __init__(self, padding: Widths) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pads `(N, C, H, W)`, batched or not, with zeros."""

    def __init__(self, padding: Widths) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pads `(N, C, D, H, W)`, batched or not, with zeros."""

    def __init__(self, padding: Widths) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
