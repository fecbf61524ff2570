"""Convolutions of any rank by one function."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import ops
from flambeau.nn.functional.linear import conv_tbc as conv_tbc
from flambeau.tensor import Tensor

_PLAIN = (ops.conv1d, ops.conv2d, ops.conv3d)
_TRANSPOSED = (ops.conv_transpose1d, ops.conv_transpose2d, ops.conv_transpose3d)


def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    """`conv1d` to `conv3d` of (N, C, *), or with `transposed` the `conv_transpose` of that rank."""
    rank = input.ndim - 2
    if rank not in (1, 2, 3):
        raise RuntimeError(f"convolution: expected input of 3 to 5 dimensions, but got {input.ndim}")
    if transposed:
        return _TRANSPOSED[rank - 1](input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _PLAIN[rank - 1](input, weight, bias, stride, padding, dilation, groups)
