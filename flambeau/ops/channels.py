"""Batch normalisation of few numbers, on arrays: its composition of operators costs more by calls than by work.

Larger tensors run as native programs (`native.py`), from the composition that second derivatives take here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd import enable_grad, grad
from flambeau.autograd.modes import modes
from flambeau.ops.native import WORTH_A_PROGRAM
from flambeau.ops.table import PRIMITIVES, Primitive, wants_grad
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state

_DTYPES = frozenset(map(np.dtype, ("f4", "f8")))


def _axes(x: np.ndarray) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def move(running: Tensor, value: Tensor, factor: float, momentum: float) -> None:
    """running = (1 - momentum) running + momentum factor value, without a history."""
    if state.busy or running._view is not None or value._array.dtype != running._array.dtype:
        part = value.reshape(-1) if factor == 1 else value.reshape(-1) * factor
        running.mul_(1 - momentum).add_(part.to(running.dtype), alpha=momentum)
        return
    running._check_inplace(False)
    array, values = running._array, value._array.reshape(-1)
    array *= array.dtype.type(1 - momentum)
    array += (values if factor == 1 else values * array.dtype.type(factor)) * array.dtype.type(momentum)
    running._bump()


def _by_channel(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """One value a channel, to broadcast against x."""
    return values if x.ndim == 2 else values.reshape(-1, *[1] * (x.ndim - 2))


def _compute(x: np.ndarray, weight: Any, bias: Any, eps: float, memo: dict, composition: Any) -> np.ndarray:
    axes, count = _axes(x), x.dtype.type(x.size // x.shape[1])
    mean = np.add.reduce(x, axes) / count
    centred = x - _by_channel(mean, x)
    variance = np.add.reduce(centred * centred, axes) / count
    scale = 1 / np.sqrt(variance + x.dtype.type(eps))
    normal = centred * _by_channel(scale, x)
    memo.update(mean=mean, variance=variance, scale=scale, normal=normal)
    out = normal if weight is None else normal * _by_channel(weight, x)
    return out + _by_channel(bias, x) if bias is not None else out.copy() if weight is None else out


def _formula(which: int) -> Callable[..., Tensor]:
    """The derivative for input, weight or bias."""

    def formula(g: Tensor, x: Tensor, weight: Any, bias: Any, eps: float, memo: dict, composition: Any) -> Tensor:
        if modes.grad_enabled or state.tracer is not None:
            with enable_grad():
                out = composition(x, weight, bias, eps)[0]
                return grad(out, (x, weight, bias)[which], g, create_graph=True)[0]
        slope, axes, normal = g._array, _axes(x._array), memo["normal"]
        if which == 2:
            return wrap(np.add.reduce(slope, axes))
        of_weight = np.add.reduce(slope * normal, axes)
        if which == 1:
            return wrap(of_weight)
        count = slope.dtype.type(x._array.size // len(of_weight))
        of_bias, scale = np.add.reduce(slope, axes), memo["scale"]
        scale = scale if weight is None else scale * weight._array
        less = slope - _by_channel(of_bias / count, slope)
        less -= normal * _by_channel(of_weight / count, slope)
        return wrap(less * _by_channel(scale, slope))

    return formula


_primitive = Primitive(
    "batch norm of few numbers",
    "x weight? bias?",
    _compute,
    derivative={"x": _formula(0), "weight": _formula(1), "bias": _formula(2)},
    node_name="NativeBatchNormBackward0",
)
del PRIMITIVES[_primitive.name]  # traced programs have its parts


def batch_norm(
    x: Tensor, weight: Any, bias: Any, eps: float, composition: Callable[..., tuple[Tensor, Tensor, Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C, *) by its own mean and variance a channel, and these; `composition` does it by operators."""
    array, tensors = x._array, [t for t in (x, weight, bias) if t is not None]
    busy = state.busy and (state.tracer is not None or state.autocast is not None or state.watcher is not None or modes.inference)
    if busy or x._array.size >= WORTH_A_PROGRAM or not all([t._array.dtype == array.dtype for t in tensors]):
        return composition(x, weight, bias, eps)
    if array.dtype not in _DTYPES:
        return composition(x, weight, bias, eps)
    memo: dict[str, np.ndarray] = {}
    scale, shift = (None if t is None else t._array for t in (weight, bias))
    out = wrap(_compute(array, scale, shift, eps, memo, composition))
    if modes.grad_enabled and wants_grad(tensors):
        _primitive.attach(out, (x, weight, bias), {"eps": eps, "memo": memo, "composition": composition})
    return out, wrap(memo["mean"]), wrap(memo["variance"])
