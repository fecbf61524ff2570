"""Normalisation over batches, samples, groups and neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau.autograd import no_grad
from flambeau.core import dtypes
from flambeau.nn.functional.padding import pad
from flambeau.ops import channels as channels_of
from flambeau.ops import rows
from flambeau.ops.native import native
from flambeau.tensor import Tensor


def _channel_shape(input: Tensor) -> list[int]:
    return [1, input.size(1), *(1,) * (input.ndim - 2)]


def _verify_batch(shape: Sequence[int]) -> None:
    values = shape[0] * math.prod(shape[2:])
    if values == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {list(shape)}"
        )


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(N, C, *) normalised a channel; in training with the batch's own moments, which also move the
    running ones by `momentum`. Ioffe & Szegedy, 2015.
    """
    if training:
        _verify_batch(input.shape)
    return batch_norm_and_moments(input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


def batch_norm_and_moments(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
    bias: Tensor | None, training: bool, momentum: float, eps: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """(`batch_norm`, the batch's mean and variance a channel), which it has only in training."""
    if not training and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when training=False"
        )
    if input.ndim == 1 and not input.numel():
        return input.clone(), None, None
    channels = input.size(1)
    for name, t in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if t is not None and t.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {t.numel()}")
    if training and not input.numel():  # an empty batch has no moments
        none = input.new_zeros(channels), input.new_ones(channels)
        return _by_moments(input, *none, weight, bias, eps), None, None
    if training:
        out, mean, variance = channels_of.batch_norm(input, weight, bias, eps, _by_its_moments)
        if running_mean is not None and running_var is not None:
            count = input.numel() // channels
            with no_grad():
                channels_of.move(running_mean, mean.detach(), 1.0, momentum)
                channels_of.move(running_var, variance.detach(), count / (count - 1) if count > 1 else math.inf, momentum)
        return out, mean, variance
    assert running_mean is not None and running_var is not None
    return _by_moments(input, running_mean, running_var, weight, bias, eps), None, None


@native
def _by_its_moments(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C, *) by its own mean and variance a channel, and these."""
    shape = _channel_shape(input)
    dims = [0, *range(2, input.ndim)]
    mean = input.mean(dims, keepdim=True)
    centred = input - mean
    variance = (centred * centred).mean(dims, keepdim=True)
    scale = (variance + eps).rsqrt()
    out = centred * (scale if weight is None else scale * weight.reshape(shape))
    return out if bias is None else out + bias.reshape(shape), mean, variance


@native
def _by_moments(
    input: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """(N, C, *) by a given mean and variance a channel."""
    shape = _channel_shape(input)
    scale = (variance.reshape(shape) + eps).rsqrt()
    out = (input - mean.reshape(shape)) * (scale if weight is None else scale * weight.reshape(shape))
    return out if bias is None else out + bias.reshape(shape)


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(N, C, *) normalised a sample and channel. Ulyanov et al., 2016."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    return by_instances(input, running_mean, running_var, weight, bias, momentum, eps)


def by_instances(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
    bias: Tensor | None, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """`instance_norm` by the samples' own moments, of one element too."""
    dims = list(range(2, input.ndim))
    mean = input.mean(dims, keepdim=True)
    centred = input - mean
    variance = (centred * centred).mean(dims, keepdim=True)
    if running_mean is not None and running_var is not None:
        count = math.prod(input.shape[2:])
        with no_grad():
            running_mean.mul_(1 - momentum).add_(
                mean.detach().mean(0).reshape(-1), alpha=momentum
            )
            unbiased = variance.detach() * (count / (count - 1) if count > 1 else math.inf)
            running_var.mul_(1 - momentum).add_(unbiased.mean(0).reshape(-1), alpha=momentum)
    out = centred * (variance + eps).rsqrt()
    shape = _channel_shape(input)
    if weight is not None:
        out = out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalised over the last dimensions, of shape `normalized_shape`. Ba et al., 2016."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape or not shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(t.shape)} and normalized_shape = {list(shape)}"
            )
    return rows.layer_norm(input, weight, bias, len(shape), eps, _layers)


@native
def _layers(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, rank: int, eps: float
) -> Tensor:
    """Normalised over the last `rank` dimensions."""
    dims = list(range(input.ndim - rank, input.ndim))
    centred = input - input.mean(dims, keepdim=True)
    out = centred * ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divided by the root mean square of the last dimensions. Zhang & Sennrich, 2019."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    if eps is None:
        eps = dtypes.finfo(input.dtype).eps
    return _root_mean_squares(input, weight, len(shape), eps)


@native
def _root_mean_squares(input: Tensor, weight: Tensor | None, rank: int, eps: float) -> Tensor:
    """Divided by the root mean square of the last `rank` dimensions."""
    dims = list(range(input.ndim - rank, input.ndim))
    out = input * ((input * input).mean(dims, keepdim=True) + eps).rsqrt()
    return out if weight is None else out * weight


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(N, C, *) normalised a sample and group of channels. Wu & He, 2018."""
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    n, channels = input.shape[:2]
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    return _groups(input, weight, bias, num_groups, eps)


@native
def _groups(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, num_groups: int, eps: float
) -> Tensor:
    """(N, C, *) normalised a sample and group of channels."""
    n, channels = input.shape[:2]
    grouped = input.reshape(n, num_groups, channels // num_groups * math.prod(input.shape[2:]))
    centred = grouped - grouped.mean(-1, keepdim=True)
    out = (centred * ((centred * centred).mean(-1, keepdim=True) + eps).rsqrt()).reshape(
        input.shape
    )
    shape = _channel_shape(input)
    if weight is not None:
        out = out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divided by (k + alpha * mean of squares of `size` neighbouring channels) ** beta.

    Krizhevsky et al., 2012.
    """
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if input.numel() == 0:
        return input
    squares = (input * input).movedim(1, -1)
    padded = pad(squares, (size // 2, (size - 1) // 2))
    mean = padded.unfold(-1, size, 1).sum(-1) / size
    return input / (mean.movedim(-1, 1) * alpha + k) ** beta
