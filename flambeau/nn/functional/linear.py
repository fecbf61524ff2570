"""Products of two inputs."""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.ops.conv import conv1d
from flambeau.ops.loss import cross_entropy
from flambeau.ops.matmul import linear
from flambeau.tensor import Tensor


def bilinear(
    input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """`x1^T W[k] x2 + b[k]`: (*, I), (*, J), (K, I, J) -> (*, K)."""
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {list(input1.shape)} and {list(input2.shape)}"
        )
    a, b = input1.reshape(-1, input1.size(-1)), input2.reshape(-1, input2.size(-1))
    k, i, j = weight.shape
    left = ops.matmul(a, weight.permute(1, 0, 2).reshape(i, k * j)).reshape(-1, k, j)
    out = (left * b.unsqueeze(1)).sum(-1).reshape(*input1.shape[:-1], k)
    return out if bias is None else out + bias


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`cross_entropy` of the scores that a linear layer gives: `(N, I)` or `(I)` to the loss.

    Args:
        input: the features.
        linear_weight: `(C, I)`, or `(C, d1, ..., I)` for scores `(N, C, d1, ...)`.
        target: classes or their probabilities, as `cross_entropy` takes them.
        linear_bias: of the linear layer, `(C)` or `(C, d1, ...)`.
        weight: one factor a class.
        reduction: `"mean"`, `"sum"` or `"none"`.
        ignore_index: the class that does not count.
        label_smoothing: share of the target spread over all classes.
        options: how PyTorch saves memory; accepted: the result is the same.
    """
    *shape, features = linear_weight.shape
    scores = linear(input, linear_weight.reshape(-1, features))
    scores = scores.reshape(*input.shape[:-1], *shape)
    if linear_bias is not None:
        extra = (1,) * (len(shape) - linear_bias.dim())
        scores = scores + linear_bias.reshape(*linear_bias.shape, *extra)
    return cross_entropy(
        scores,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """A convolution of `(T, N, C)` with `(K, C, O)`: `(T', N, O)`."""
    out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)
