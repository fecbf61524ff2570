"""Sliding windows taken apart and put together."""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.core.shapes import pair
from flambeau.nn.functional.padding import pad
from flambeau.tensor import Tensor


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """(N, C, H, W) -> (N, C * KH * KW, L): every window as a column."""
    kernel, dilation = pair(kernel_size, 2, "kernel_size"), pair(dilation, 2, "dilation")
    padding, stride = pair(padding, 2, "padding"), pair(stride, 2, "stride")
    if input.ndim not in (3, 4):
        raise RuntimeError(
            f"Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
            f"for input, but got: {list(input.shape)}"
        )
    x = input if input.ndim == 4 else input.unsqueeze(0)
    x = pad(x, (padding[1], padding[1], padding[0], padding[0]))
    for dim in (2, 3):
        span = dilation[dim - 2] * (kernel[dim - 2] - 1) + 1
        if x.size(dim) < span:
            raise RuntimeError(
                f"Given input with spatial size {tuple(input.shape[-2:])}, kernel_size={kernel}, "
                f"dilation={dilation}, padding={padding}, calculated shape of the array of sliding blocks "
                "is too small (non-positive)"
            )
        x = x.unfold(dim, span, stride[dim - 2])
    x = x[..., :: dilation[0], :: dilation[1]]  # (N, C, LH, LW, KH, KW)
    n, c, lh, lw = x.shape[:4]
    columns = x.permute(0, 1, 4, 5, 2, 3).reshape(n, c * kernel[0] * kernel[1], lh * lw)
    return columns if input.ndim == 4 else columns.squeeze(0)


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """(N, C * KH * KW, L) -> (N, C, H, W): the sum of the columns in their windows."""
    size, kernel = pair(output_size, 2, "output_size"), pair(kernel_size, 2, "kernel_size")
    dilation, padding = pair(dilation, 2, "dilation"), pair(padding, 2, "padding")
    stride = pair(stride, 2, "stride")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    x = input if input.ndim == 3 else input.unsqueeze(0)
    area = kernel[0] * kernel[1]
    if x.size(1) % area:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={x.size(1)} and kernel_size={kernel}."
        )
    places = [
        (size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in (0, 1)
    ]
    if places[0] * places[1] != x.size(2):
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"stride={stride}, expected size of input's dimension 2 to match the calculated number of sliding "
            f"blocks {places[0]} * {places[1]} = {places[0] * places[1]}, but got input.size(2)={x.size(2)}."
        )
    n, c = x.size(0), x.size(1) // area
    # A window of ones at each offset: the transposed convolution adds every column where it came from.
    ones = ops.eye(area, dtype=x.dtype).reshape(area, 1, *kernel)
    per_channel = x.reshape(n * c, area, *places)
    extra = [
        size[i]
        - ((places[i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + 1)
        for i in (0, 1)
    ]
    out = ops.conv._convolution_input(
        per_channel,
        ones,
        size=tuple(size),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=1,
    )
    assert all(e >= 0 for e in extra)
    out = out.reshape(n, c, *size)
    return out if input.ndim == 3 else out.squeeze(0)
