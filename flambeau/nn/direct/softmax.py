"""Softmax and its derivative, as the operators behind `softmax`."""

from __future__ import annotations

import math
from typing import Any

from flambeau.ops.reduce import log_softmax, softmax
from flambeau.tensor import Tensor


def _check_half(half_to_float: bool) -> None:
    if half_to_float:
        raise RuntimeError("softmax with half to float conversion is not supported on CPU")


def _softmax(input: Tensor, dim: int, half_to_float: bool) -> Tensor:
    """`softmax` over `dim`."""
    _check_half(half_to_float)
    return softmax(input, dim)


def _log_softmax(input: Tensor, dim: int, half_to_float: bool) -> Tensor:
    """`log_softmax` over `dim`."""
    _check_half(half_to_float)
    return log_softmax(input, dim)


def _safe_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """`softmax` over `dim`, 0 instead of NaN where all are minus infinity."""
    nothing = (input == -math.inf).all(dim, keepdim=True)
    return softmax(input.masked_fill(nothing, 0), dim, dtype=dtype).masked_fill(nothing, 0)


def _softmax_backward_data(grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any) -> Tensor:
    """The gradient through `softmax`, from its `output`."""
    product = grad_output * output
    return (product - output * product.sum(dim, keepdim=True)).to(input_dtype)


def _log_softmax_backward_data(grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any) -> Tensor:
    """The gradient through `log_softmax`, from its `output`."""
    return (grad_output - output.exp() * grad_output.sum(dim, keepdim=True)).to(input_dtype)
