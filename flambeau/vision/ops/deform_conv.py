"""Deformable convolution: each tap of the kernel reads at a place of its own.

J. Dai et al., "Deformable Convolutional Networks", ICCV 2017; with a mask, X. Zhu et al., "Deformable ConvNets v2",
CVPR 2019.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import flambeau
from flambeau.nn import Module, Parameter, init
from flambeau.tensor import Tensor

Pair = tuple[int, int]


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = (1, 1),
    padding: int | Pair = (0, 0),
    dilation: int | Pair = (1, 1),
    mask: Tensor | None = None,
) -> Tensor:
    """`(N, C, H, W)` to `(N, O, OH, OW)`; what lies outside the input is 0.

    Args:
        input: `(N, C, H, W)`.
        offset: `(N, 2 * groups * KH * KW, OH, OW)`: how far down and right of its usual place each tap reads, in
            pixels; the channels are dealt out to as many groups of offsets.
        weight: `(O, C / weight groups, KH, KW)`.
        bias: `(O,)`.
        stride, padding, dilation: as of `conv2d`.
        mask: `(N, groups * KH * KW, OH, OW)`, factors of the taps.

    Raises:
        RuntimeError: for shapes that do not fit.
    """
    count, channels, height, width = input.shape
    out_channels, group_channels, *kernel = weight.shape
    taps = kernel[0] * kernel[1]
    out_size = [
        (size + 2 * pad - step * (taps_along - 1) - 1) // move + 1
        for size, pad, step, taps_along, move in zip(
            (height, width), _pair(padding), _pair(dilation), kernel, _pair(stride), strict=True
        )
    ]
    groups = offset.size(1) // (2 * taps)
    _check(input, offset, weight, mask, groups, out_size)

    # Places (N, groups, taps, OH, OW) of all taps, in pixels.
    shifts = offset.reshape(count, groups, taps, 2, *out_size)
    usual = _usual_places(out_size, kernel, _pair(stride), _pair(padding), _pair(dilation))
    places = [
        shifts[:, :, :, axis] + flambeau.from_numpy(usual[axis]).to(offset.dtype) for axis in (0, 1)
    ]
    columns = _sample(input.reshape(count, groups, channels // groups, height * width), places, (height, width))
    if mask is not None:
        columns = columns * mask.reshape(count, groups, 1, taps, *out_size)

    weight_groups = channels // group_channels
    columns = columns.reshape(count, weight_groups, group_channels * taps, out_size[0] * out_size[1])
    matrices = weight.reshape(weight_groups, out_channels // weight_groups, group_channels * taps)
    out = (matrices @ columns).reshape(count, out_channels, *out_size)
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


def _usual_places(
    out_size: list[int], kernel: list[int], stride: Pair, padding: Pair, dilation: Pair
) -> list[np.ndarray]:
    """Rows `(taps, OH, 1)` and columns `(taps, 1, OW)` that the taps of a convolution read."""
    taps = np.indices(kernel).reshape(2, -1, 1, 1)
    first = [np.arange(out_size[axis]) * stride[axis] - padding[axis] for axis in (0, 1)]
    return [taps[0] * dilation[0] + first[0][:, None], taps[1] * dilation[1] + first[1]]


def _sample(flat: Tensor, places: list[Tensor], size: Pair) -> Tensor:
    """Bilinear samples: `(N, G, C, H * W)` at `(N, G, *)` gives `(N, G, C, *)`."""
    spread = (*flat.shape[:3], places[0][0, 0].numel())
    low = [place.detach().floor() for place in places]
    out: Any = 0
    for down in (0, 1):
        for right in (0, 1):
            index: Any = 0
            share: Any = 1
            inside: Any = True
            for place, first, side, length in zip(places, low, (down, right), size, strict=True):
                pixel = first + side
                inside = inside & (pixel >= 0) & (pixel < length)
                index = index * length + pixel.clamp(0, length - 1).long()
                share = share * (place - first if side else 1 - (place - first))
            taken = flat.gather(3, index.reshape(*index.shape[:2], 1, -1).expand(spread))
            share = flambeau.where(inside, share, 0)
            out = out + taken.reshape(*flat.shape[:3], *index.shape[2:]) * share.unsqueeze(2)
    return out


def _check(
    input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, groups: int, out_size: list[int]
) -> None:
    taps = weight.size(2) * weight.size(3)
    if groups == 0 or offset.size(1) % (2 * taps):
        raise RuntimeError(
            "the shape of the offset tensor at dimension 1 is not valid. It should be a multiple of "
            "2 * weight.size[2] * weight.size[3].\n"
            f"Got offset.shape[1]={offset.size(1)}, while 2 * weight.size[2] * weight.size[3]={2 * taps}"
        )
    if input.size(1) % weight.size(1) or weight.size(0) % (input.size(1) // weight.size(1)):
        raise RuntimeError(
            f"deform_conv2d: a weight of shape {tuple(weight.shape)} does not fit an input of {input.size(1)} channels"
        )
    if input.size(1) % groups:
        raise RuntimeError(
            f"deform_conv2d: {input.size(1)} channels cannot be dealt out to the {groups} groups of the offset"
        )
    wanted = {"offset": (offset, 2 * groups * taps), "mask": (mask, groups * taps)}
    for name, (tensor, channels) in wanted.items():
        shape = (input.size(0), channels, *out_size)
        if tensor is not None and tuple(tensor.shape) != shape:
            raise RuntimeError(f"deform_conv2d: {name} has the shape {tuple(tensor.shape)}, expected {shape}")


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class DeformConv2d(Module):
    """`deform_conv2d` with a weight and a bias, initialised like those of `Conv2d`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias: as of `Conv2d`.

    Raises:
        ValueError: if the channels cannot be divided by `groups`.
    """

    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups
        self.weight = Parameter(flambeau.empty(out_channels, in_channels // groups, *self.kernel_size))
        if bias:
            self.bias = Parameter(flambeau.empty(out_channels))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight[0].numel())
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """See `deform_conv2d`."""
        return deform_conv2d(
            input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0, 0) else ""
        text += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        return text + (", bias=False" if self.bias is None else "")
