"""Losses: what a network's outputs are judged by."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops import rows
from flambeau.ops.arithmetic import where
from flambeau.ops.autocasting import in_float32
from flambeau.ops.flat import all_within
from flambeau.ops.index import picked
from flambeau.ops.native import native
from flambeau.ops.pointwise import binary
from flambeau.ops.reduce import log_softmax
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import state, verify


def reduction_of(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction to use, with PyTorch's two old arguments translated."""
    if size_average is None and reduce is None:
        return reduction
    warnings.warn(
        "size_average and reduce args will be deprecated, please use reduction instead.", stacklevel=4
    )
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """`loss` as it is, summed or averaged. Raises `ValueError` for any other reduction."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


@operator(method=False)
@in_float32
def mse_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """(input - target)^2, averaged, summed or as it is; `weight` weighs each element."""
    reduction = reduction_of(reduction, size_average, reduce)
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This "
            "will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=2,
        )
        shape = broadcast_shapes(input._array.shape, target._array.shape)
        input, target = input.expand(shape), target.expand(shape)
    return _squares(input, target, weight, reduction)


@native
def _squares(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    difference = input - target
    squares = difference * difference
    if weight is None:
        return reduced(squares, reduction)
    squares = squares * weight
    return squares.sum() / weight.expand(squares.shape).sum() if reduction == "mean" else reduced(squares, reduction)


@operator(method=False)
@in_float32
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None,
    ignore_index: int = -100, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`-weight[target] * input[target]`: (N, C, ...) log-probabilities with (N, ...) class numbers.

    The mean is over the weights of the targets that are not `ignore_index`. Raises `IndexError` for a
    target that is no class.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _check_classes(input, target, weight, ignore_index, reduction)
    return _class_loss(input, target, weight, ignore_index, reduction)


def _check_classes(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> None:
    """The errors of `nll_loss`."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if input.ndim == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {input.ndim})")
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"expected scalar type Long but found {target.dtype.tensor_type}"
        )
    batched = input.ndim > 1
    classes = input._array.shape[1 if batched else 0]
    if batched and input._array.shape[0] != target._array.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]})."
        )
    wanted = (input._array.shape[0], *input._array.shape[2:]) if batched else ()
    if tuple(target._array.shape) != tuple(wanted):
        raise RuntimeError(
            f"Expected target size {list(wanted)}, got {list(target.shape)}"
        )
    if weight is not None and tuple(weight._array.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight "
            f"tensor of shape: {list(weight.shape)}"
        )
    verify(target, partial(_check_targets, ignore_index, classes))


@native
def _class_loss(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    target = target.long()
    dim = 1 if input.ndim > 1 else 0
    if weight is None and _all_count(target, input._array.shape[dim], ignore_index):
        return reduced(-picked(input, dim, target.unsqueeze(dim)).squeeze(dim), reduction)
    valid = target != ignore_index
    safe = where(valid, target, 0)
    chosen = -picked(input, dim, safe.unsqueeze(dim)).squeeze(dim)
    factor = valid.to(input.dtype) if weight is None else where(valid, weight[safe], 0)
    losses = where(valid, chosen if weight is None else chosen * factor, 0)
    if reduction == "mean":
        return losses.sum() / factor.sum()
    return losses.sum() if reduction == "sum" else losses


def _all_count(target: Tensor, classes: int, ignore_index: int) -> bool:
    """Whether it is known that every target is a class, and none of them to be ignored: the usual, shorter way."""
    known = isinstance(target._array, np.ndarray) and not 0 <= ignore_index < classes
    return known and all_within(target._array, classes)


def _check_targets(ignore_index: int, classes: int, target: np.ndarray) -> None:
    """Raises `IndexError` for a target that is no class, and not the one to ignore."""
    if all_within(target, classes):
        return
    wrong = target[((target < 0) | (target >= classes)) & (target != ignore_index)]
    if wrong.size:
        raise IndexError(f"Target {wrong.flat[0]} is out of bounds.")


@operator(method=False)
@in_float32
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None,
    ignore_index: int = -100, reduce: Any = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """The cross-entropy of logits (N, C, ...) with class numbers (N, ...) or probabilities (N, C, ...)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 0 if input.ndim == 1 else 1
    if input.ndim == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {input.ndim})")
    if input._array.shape == target._array.shape and target.dtype.kind >= dtypes.FLOATING:
        return _with_probabilities(input, target, weight, reduction, label_smoothing, dim)
    if target.dtype.kind >= dtypes.FLOATING:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got shape "
            f"{list(target.shape)} for input {list(input.shape)}"
            if target.ndim == input.ndim
            else f"expected scalar type Long but found {target.dtype.tensor_type}"
        )
    _check_classes(input, target, weight, ignore_index, reduction)
    if weight is None and not label_smoothing and reduction != "none" and input.ndim == 2:
        if state.tracer is None and _all_count(target, input._array.shape[1], ignore_index):
            made = rows.class_loss(
                input, target, reduction == "mean", lambda x: _with_classes(x, target, None, ignore_index, reduction, 0.0, 1)
            )
            if made is not None:
                return made
    return _with_classes(input, target, weight, ignore_index, reduction, label_smoothing, dim)


@native
def _with_classes(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, label_smoothing: float,
    dim: int,
) -> Tensor:  # fmt: skip
    logs = log_softmax(input, dim)
    classes = input._array.shape[dim]
    loss = _class_loss(logs, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return loss
    valid = target != ignore_index
    if weight is None:
        smooth = -logs.sum(dim)
    else:
        shape = [1] * input.ndim
        shape[dim] = classes
        smooth = -(logs * weight.reshape(shape)).sum(dim)
    smooth = where(valid, smooth, 0)
    if reduction == "mean":
        if weight is None:
            total = smooth.sum() / valid.to(logs.dtype).sum()
        else:
            total = smooth.sum() / where(valid, weight[where(valid, target, 0)], 0).sum()
    else:
        total = smooth.sum() if reduction == "sum" else smooth
    return (1 - label_smoothing) * loss + (label_smoothing / classes) * total


@native
def _with_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float, dim: int
) -> Tensor:
    logs = log_softmax(input, dim)
    classes = logs._array.shape[dim]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = -(logs * target)
    if weight is not None:
        shape = [1] * logs.ndim
        shape[dim] = classes
        terms = terms * weight.reshape(shape)
    if reduction == "mean":
        return terms.sum() / (logs._array.size / classes)
    return terms.sum() if reduction == "sum" else terms.sum(dim)


# Of a probability p and what came, t: -(t log p + (1 - t) log(1 - p)) with logarithms of at least -100. The
# derivative (p - t) / (p (1 - p)) has a denominator of at least 1e-12.


def _surprise(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return (t - 1) * np.maximum(np.log1p(-p), -100) - t * np.maximum(np.log(p), -100)


def _surprise_of_elements(k: Any, p: Any, t: Any) -> Any:
    one = k.const(1, p)
    failure, success = (k.clamp(x, -100, None) for x in (k.log1p(k.neg(p)), k.log(p)))
    return k.sub(k.mul(k.sub(t, one), failure), k.mul(t, success))


binary_surprise = binary(
    "binary_cross_entropy",
    _surprise,
    {
        "input": lambda g, input, other: g * (input - other) / ((1 - input) * input).clamp(min=1e-12),
        "other": lambda g, input: g * ((-input).log1p() - input.log()),
    },
    _surprise_of_elements,
)
