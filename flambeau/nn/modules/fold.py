"""Sliding windows taken apart and put together."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.tensor import Tensor

__all__ = ["Fold", "Unfold"]

Sizes = int | Sequence[int]


class Fold(Module):
    """Sums windows `(N, C * prod(kernel_size), L)` where they lay in `(N, C, *output_size)`.

    Args:
        output_size: spatial size of the output.
        kernel_size: size of the windows.
        dilation: distance between a window's elements.
        padding: zeros that lay around the output.
        stride: step of the windows.
    """

    __constants__ = ["output_size", "kernel_size", "dilation", "padding", "stride"]

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """The windows of `(N, C, H, W)` as columns: `(N, C * prod(kernel_size), L)`.

    Args:
        kernel_size: size of the windows.
        dilation: distance between a window's elements.
        padding: zeros added at both ends.
        stride: step of the windows.
    """

    __constants__ = ["kernel_size", "dilation", "padding", "stride"]

    def __init__(
        self,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
