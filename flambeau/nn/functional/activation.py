"""Nonlinearities."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from flambeau import ops
from flambeau.core.dtypes import float64
from flambeau.ops import where
from flambeau.ops.activation import leaky_relu as _leaky_relu
from flambeau.ops.elementwise import elementwise
from flambeau.ops.native import native
from flambeau.ops.reduce import softmax
from flambeau.ops.table import frozen
from flambeau.tensor import Tensor

_of_own_dtype = partial(elementwise, wide=False)


def in_place(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input.copy_(result) if inplace else result


def _kept(input: Tensor, inplace: bool) -> Tensor:
    """`input`, or what stays of it for the backward pass where it is overwritten."""
    return frozen(input) if inplace else input


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0)."""
    return ops.relu_(input) if inplace else ops.relu(input)


def relu_(input: Tensor) -> Tensor:
    """In-place form of `relu`."""
    return ops.relu_(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`value` where `input` is at most `threshold`, else `input`."""
    return in_place(input, where(input <= threshold, value, input), inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """`input` limited to [min_val, max_val]; the bounds themselves pass no gradient."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if not input.is_floating_point():
        min_val, max_val = int(min_val), int(max_val)
    return in_place(input, _hardtanh(input, min_val, max_val), inplace)


@_of_own_dtype
def _hardtanh(x: Tensor, low: float, high: float) -> Tensor:
    inside = (x > low) & (x < high)
    return where(inside | x.isnan(), x, x.detach().clamp(low, high))


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, `alpha * (exp(input) - 1)` elsewhere. Clevert et al., 2015."""
    return in_place(input, _elu(_kept(input, inplace), alpha), inplace)


@elementwise
def _elu(x: Tensor, alpha: float) -> Tensor:
    return where(x > 0, x, alpha * x.clamp(max=0).expm1())


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled `elu` that keeps mean 0 and variance 1. Klambauer et al., 2017."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return in_place(input, _scaled_elu(_kept(input, inplace), alpha, scale), inplace)


@elementwise
def _scaled_elu(x: Tensor, alpha: float, scale: float) -> Tensor:
    return scale * _elu(x, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`. Barron, 2017."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return in_place(input, _celu(_kept(input, inplace), alpha), inplace)


@elementwise
def _celu(x: Tensor, alpha: float) -> Tensor:
    return where(x > 0, x, alpha * (x.clamp(max=0) / alpha).expm1())


@elementwise
def _leaky(x: Tensor, negative_slope: float) -> Tensor:
    return _leaky_relu(x, negative_slope)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where positive, `negative_slope * input` elsewhere. Maas et al., 2013."""
    return in_place(input, _leaky(_kept(input, inplace), float(negative_slope)), inplace)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """A leaky `relu` whose slope is drawn from [lower, upper) in training, their mean otherwise.

    As in PyTorch, numbers are drawn for the elements that are not positive alone.
    """
    if lower > upper:
        raise RuntimeError(
            f"Lower bound should be less than or equal to the upper bound, got {lower} > {upper}"
        )
    if training:
        falling = input.detach() <= 0
        draws = ops.rand(int(falling.sum()), dtype=float64) * (upper - lower) + lower
        slope: Any = ops.ones_like(input.detach()).masked_scatter(falling, draws.to(input.dtype))
    else:
        slope = (lower + upper) / 2
    return in_place(input, where(input > 0, input, input * slope), inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half times the sigmoid of the second half along `dim`. Dauphin et al., 2016."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.size(dim) % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.ndim} is size {input.size(dim)}"
        )
    return _gated(input, dim)


@native
def _gated(x: Tensor, dim: int) -> Tensor:
    a, b = x.chunk(2, dim)
    return a * b.sigmoid()


@elementwise
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`input` times the normal distribution function of `input`. Hendrycks & Gimpel, 2016."""
    if approximate == "none":
        return 0.5 * input * (1 + (input * math.sqrt(0.5)).erf())
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input**3)
        return 0.5 * input * (1 + inner.tanh())
    raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate}")


@elementwise
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(input)), without overflow."""
    negative = input < 0  # one formula on each side, so that derivatives are right at 0 as well
    return where(negative, input, 0) - where(negative, input, -input).exp().log1p()


@_of_own_dtype
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`input` moved towards 0 by `lambd`."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0))


@elementwise
def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    return input - input.tanh()


@elementwise
def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (1 + input.abs())


@elementwise
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta; the input itself where `beta * input` exceeds `threshold`."""
    scaled = input * beta
    return where(
        scaled > threshold, input, where(scaled > threshold, 0, scaled).exp().log1p() / beta
    )


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input)."""
    return in_place(input, _silu(_kept(input, inplace)), inplace)


@elementwise
def _silu(x: Tensor) -> Tensor:
    return x * x.sigmoid()


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(softplus(input)). Misra, 2019."""
    return in_place(input, _mish(_kept(input, inplace)), inplace)


@elementwise
def _mish(x: Tensor) -> Tensor:
    return x * softplus(x).tanh()


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`input / 6 + 1/2` limited to [0, 1]. Howard et al., 2019."""
    return in_place(input, _hardsigmoid(input), inplace)


@elementwise
def _hardsigmoid(x: Tensor) -> Tensor:
    return hardtanh(x + 3, 0.0, 6.0) / 6


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input). Howard et al., 2019."""
    return in_place(input, _hardswish(_kept(input, inplace)), inplace)


@elementwise
def _hardswish(x: Tensor) -> Tensor:
    return where(x <= -3, x * 0, where(x >= 3, x, x * (x + 3) / 6))


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input))."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution; with `hard` one-hot, with the soft one's gradient."""
    gumbels = -ops.empty_like(logits).exponential_().log()
    soft = softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    sharp = ops.zeros_like(logits).scatter_(dim, index, 1.0)
    return sharp - soft.detach() + soft


def _make_inplace(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(input, *args, **kwargs, inplace=True)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"In-place form of `{name[:-1]}`."
    return call


threshold_ = _make_inplace("threshold_", threshold)
hardtanh_ = _make_inplace("hardtanh_", hardtanh)
elu_ = _make_inplace("elu_", elu)
selu_ = _make_inplace("selu_", selu)
celu_ = _make_inplace("celu_", celu)
leaky_relu_ = _make_inplace("leaky_relu_", leaky_relu)
rrelu_ = _make_inplace("rrelu_", rrelu)
