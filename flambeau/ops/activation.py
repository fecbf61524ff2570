"""Activations: functions of one element with a kink or a gate."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.ops import on_kernels
from flambeau.ops.arithmetic import where
from flambeau.ops.elementwise import elementwise
from flambeau.ops.pointwise import pointwise_rule, unary
from flambeau.ops.table import Elementwise, Primitive, frozen, operator
from flambeau.tensor.tensor import Tensor

_relu = unary(
    "relu",
    lambda x: np.maximum(x, x.dtype.type(0)),
    lambda g, out: _masked(g, out),
    lambda k, x: k.maximum(x, k.const(0, x)),
    kind="same",
)


def _gate(g: np.ndarray, out: np.ndarray) -> np.ndarray:
    bits = _BITS.get(g.dtype)
    if bits is None or g.shape != out.shape or not g.shape:
        return np.where(out <= 0, g.dtype.type(0), g)
    fast = on_kernels.gated(g, out)
    if fast is not None:
        return fast
    # All bits or none: an irregular mask costs `where` a misguessed jump an element.
    mask = (out <= 0).view(np.int8).astype(bits)
    mask -= 1
    return np.bitwise_and(mask, g.view(bits), out=mask).view(g.dtype)


_BITS = {np.dtype(np.float32): np.dtype(np.int32), np.dtype(np.float64): np.dtype(np.int64)}


#: `g` where the activation `out` is positive or NaN, 0 elsewhere.
_masked = Primitive(
    "threshold_backward",
    "grad result",
    _gate,
    rule=pointwise_rule("same"),
    derivative={"grad": lambda g, result: _masked(g, result)},
    lowering=Elementwise(lambda k, g, out: k.select(k.le(out, k.const(0, out)), k.const(0, g), g)),
)


@operator(inplace=True)
def relu(input: Tensor) -> Tensor:
    """max(input, 0). Raises `RuntimeError` for bool tensors."""
    if isinstance(input, Tensor) and input._array.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return _relu(input)


_prelu = Primitive(
    "prelu_kernel",
    "input weight",
    lambda x, w: np.where(x > 0, x, w * x),
    rule=pointwise_rule("same"),
    derivative={
        "input": lambda g, input, weight: where(input > 0, g, weight * g),
        "weight": lambda g, input: where(input > 0, 0, input * g),
    },
    lowering=Elementwise(lambda k, x, w: k.select(k.gt(x, k.const(0, x)), x, k.mul(w, x))),
)


@operator
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`input` where positive, `weight * input` elsewhere; one weight, or one a channel (dim 1).

    He et al., "Delving Deep into Rectifiers", 2015.
    """
    if weight.ndim > 1 and weight._array.size != 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input.dtype.tensor_type} and {weight.dtype.tensor_type}"
        )
    count = weight._array.size
    if count != 1:
        channels = input._array.shape[1] if input.ndim > 1 else 1
        if input.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        if count != channels:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} "
                f"and channel size = {channels}."
            )
    shape = [1] * input.ndim
    if input.ndim > 1:
        shape[1] = count
    elif input.ndim == 1:
        shape[0] = 1
    return _prelu(input, weight.reshape(shape))


@operator(method=False, inplace=False)
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where positive, `negative_slope * input` elsewhere."""
    out = _leaky(frozen(input) if inplace else input, slope=float(negative_slope))
    return input.copy_(out) if inplace else out


_leaky = Primitive(
    "leaky_relu",
    "input",
    lambda x, slope: np.where(x > 0, x, x * x.dtype.type(slope)),
    rule=pointwise_rule("same"),
    derivative={"input": lambda g, input, slope: where(input > 0, g, g * slope)},
    lowering=Elementwise(lambda k, x, slope: k.select(k.gt(x, k.const(0, x)), x, k.mul(x, k.const(slope, x)))),
)


def is_floating(x: Any) -> bool:
    """Whether `x` is a tensor of a floating-point dtype."""
    return isinstance(x, Tensor) and x.dtype.kind == dtypes.FLOATING


@operator
@partial(elementwise, wide=False)
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`input` where its size exceeds `lambd`, else 0."""
    return where((input >= -lambd) & (input <= lambd), 0, input)
