"""Convolutions as sums over taps, one spatial axis at a time.

Forward, output `q` sums inputs at `q * stride + k * dilation - padding` over taps k. Backward,
the inputs of one residue modulo the stride sum gradients at `q + (a constant for each tap)`.
Both are the same shape of computation, which an `Axis` describes:

    out[q * out_step + out_start]  +=  in[q * in_step + shift] * weight[tap]
        for q in range(count), for (tap, shift) in taps, where the input exists
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    """A 2d convolution's shape, in PyTorch's terms. A 1d one has a height of 1."""

    batch: int
    in_channels: int
    out_channels: int
    in_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def out_size(self) -> tuple[int, int]:
        sizes = zip(
            self.in_size, self.kernel, self.stride, self.padding, self.dilation, strict=True
        )
        height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        return height, width

    @property
    def group_in(self) -> int:
        """Input channels of a group."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of a group."""
        return self.out_channels // self.groups

    @property
    def flops(self) -> int:
        taps = math.prod(self.kernel) * self.group_in
        return 2 * self.batch * self.out_channels * math.prod(self.out_size) * taps


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a sum over taps; taps are in the order of rising shift."""

    count: int
    in_size: int
    in_step: int
    out_step: int
    out_start: int
    taps: tuple[tuple[int, int], ...]

    def exists(self, q: int, shift: int) -> bool:
        return 0 <= q * self.in_step + shift < self.in_size

    @property
    def interior(self) -> tuple[int, int]:
        """The first and the last `q` (exclusive) for which every tap's input exists."""
        inside = [q for q in range(self.count) if all(self.exists(q, s) for _, s in self.taps)]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    @property
    def shift_step(self) -> int:
        """How far shifts of neighbouring taps are apart."""
        return self.taps[1][1] - self.taps[0][1] if len(self.taps) > 1 else 1

    @property
    def tap_step(self) -> int:
        return self.taps[1][0] - self.taps[0][0] if len(self.taps) > 1 else 1

    @property
    def reach(self) -> tuple[int, int]:
        """The lowest and the highest input position that is asked for, existing or not."""
        return self.taps[0][1], (self.count - 1) * self.in_step + self.taps[-1][1]


def forward_axis(conv: Convolution, dim: int) -> Axis:
    padding, dilation = conv.padding[dim], conv.dilation[dim]
    taps = tuple((k, k * dilation - padding) for k in range(conv.kernel[dim]))
    return Axis(conv.out_size[dim], conv.in_size[dim], conv.stride[dim], 1, 0, taps)


def backward_axes(conv: Convolution, dim: int) -> list[Axis]:
    """The axes of the gradient of the input: one for each residue modulo the stride."""
    stride, padding, dilation = conv.stride[dim], conv.padding[dim], conv.dilation[dim]
    axes = []
    for start in range(min(stride, conv.in_size[dim])):
        taps = [
            (k, (start + padding - k * dilation) // stride)
            for k in reversed(range(conv.kernel[dim]))
            if (start + padding - k * dilation) % stride == 0
        ]
        count = -(-(conv.in_size[dim] - start) // stride)
        axes.append(Axis(count, conv.out_size[dim], 1, stride, start, tuple(taps)))
    return axes
