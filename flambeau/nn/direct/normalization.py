"""Normalisations: weights come before running moments, and the `native_` forms give the moments that they used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.core import dtypes
from flambeau.nn.functional import normalization as layers
from flambeau.tensor import Tensor


def _check_moments(running_mean: Tensor | None, running_var: Tensor | None) -> None:
    for name, given in (("running_mean", running_mean), ("running_var", running_var)):
        if given is None:
            raise RuntimeError(f"{name} must be defined in evaluation mode")


def batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, training: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """(N, C, *) normalised a channel; see `nn.functional.batch_norm`. A single value a channel gives its bias."""
    return native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


def native_batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, training: bool, momentum: float, eps: float, *, out: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(`batch_norm`, the batch's means, one over its standard deviations), both (C); empty unless `training`."""
    if not training:
        _check_moments(running_mean, running_var)
    normalised, mean, variance = layers.batch_norm_and_moments(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if mean is None or variance is None:
        return _written((normalised, input.new_empty(0), input.new_empty(0)), out)
    inverse = (variance.detach().reshape(-1) + eps).rsqrt()
    return _written((normalised, mean.detach().reshape(-1), inverse), out)


def _written(results: tuple, out: Any) -> Any:
    if out is None:
        return results
    return tuple(o.resize_(r.shape).copy_(r) for o, r in zip(out, results, strict=True))


def _native_batch_norm_legit(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any, out: Any = None, **named: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """`native_batch_norm`, of (input, weight, bias, [running_mean, running_var,] training, momentum, eps).

    Without running moments it normalises by the batch's, whatever `training` is.
    """
    names = ("running_mean", "running_var", "training", "momentum", "eps")
    with_moments = isinstance(rest[0], Tensor) if rest else "running_mean" in named
    given = dict(zip(names if with_moments else names[2:], rest, strict=False), **named)
    if not with_moments:
        given.update(running_mean=None, running_var=None, training=True)
    return native_batch_norm(input, weight, bias, out=out, **given)


def _batch_norm_with_update(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor, running_var: Tensor,
    momentum: float, eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """`native_batch_norm` in training, and the memory that other machines reserve: none."""
    found = native_batch_norm(input, weight, bias, running_mean, running_var, True, momentum, eps)
    return *found, ops.empty(0, dtype=dtypes.uint8)


def instance_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """(N, C, *) normalised a sample and channel; see `nn.functional.instance_norm`."""
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    if use_input_stats:
        return layers.by_instances(input, running_mean, running_var, weight, bias, momentum, eps)
    return layers.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """Normalised over the last dimensions; see `nn.functional.layer_norm`."""
    return layers.layer_norm(input, normalized_shape, weight, bias, eps)


def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(`layer_norm`, the means, one over the standard deviations); the moments keep the dimensions, of size 1."""
    out = layers.layer_norm(input, normalized_shape, weight, bias, eps)
    x = input.detach() if weight is None else input.detach().to(weight.dtype)
    dims = list(range(x.ndim - len(tuple(normalized_shape)), x.ndim))
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    return out.to(input.dtype), mean, ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """(N, C, *) normalised a sample and group of channels; see `nn.functional.group_norm`."""
    return layers.group_norm(input, num_groups, weight, bias, eps)


def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(`group_norm`, the means, one over the standard deviations), both (N, groups)."""
    if math.prod(input.shape) != N * C * HxW:
        raise RuntimeError(
            "Expected X.numel() == N * C * HxW to be true, but got false.  (Could this error message be improved?  If so, "
            "please report an enhancement request to PyTorch.)"
        )
    out = layers.group_norm(input, group, weight, bias, eps)
    x = input if weight is None else input.to(weight.dtype)
    grouped = x.reshape(N, group, C // group * HxW)
    mean = grouped.mean(-1, keepdim=True)
    centred = grouped - mean
    inverse = ((centred * centred).mean(-1) + eps).rsqrt()
    return out.to(input.dtype), mean.squeeze(-1), inverse
