"""Kinds of dropout, with `train` given; a name that ends in `_` changes its input."""

from __future__ import annotations

from collections.abc import Callable

from flambeau import ops
from flambeau.core import dtypes
from flambeau.nn.functional import dropout as plain
from flambeau.nn.functional.dropout import alpha_dropout as of_elements
from flambeau.nn.functional.dropout import drop_features
from flambeau.nn.functional.dropout import feature_alpha_dropout as of_features
from flambeau.tensor import Tensor


def _checked(p: float) -> None:
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")


def _kind(name: str, kind: Callable[..., Tensor], summary: str, of_features: bool, inplace: bool) -> Callable[..., Tensor]:
    def drop(input: Tensor, p: float, train: bool) -> Tensor:
        _checked(p)
        if of_features and train and p > 0 and input.ndim < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        return kind(input, p, train, inplace)

    drop.__name__ = drop.__qualname__ = name
    drop.__doc__ = f"{summary}{', in place' if inplace else ''}. Raises `RuntimeError` unless 0 <= p <= 1."
    return drop


_EACH = "Each element 0 with probability `p`, else divided by `1 - p`, while `train`"
_CHANNELS = "Whole channels of (N, C, *) 0 with probability `p`, others divided by `1 - p`, while `train`"
_ALPHA = "Elements with probability `p` at the value where `selu` saturates, mean and variance kept, while `train`"
_ALPHA_CHANNELS = "`alpha_dropout` of whole channels of (N, C, *)"

dropout = _kind("dropout", plain, _EACH, False, False)
dropout_ = _kind("dropout_", plain, _EACH, False, True)
feature_dropout = _kind("feature_dropout", drop_features, _CHANNELS, True, False)
feature_dropout_ = _kind("feature_dropout_", drop_features, _CHANNELS, True, True)
alpha_dropout = _kind("alpha_dropout", of_elements, _ALPHA, False, False)
alpha_dropout_ = _kind("alpha_dropout_", of_elements, _ALPHA, False, True)
feature_alpha_dropout = _kind(
    "feature_alpha_dropout", of_features, _ALPHA_CHANNELS, True, False
)
feature_alpha_dropout_ = _kind(
    "feature_alpha_dropout_", of_features, _ALPHA_CHANNELS, True, True
)


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """(`dropout` of `input`, which elements were kept); all of them unless `train`."""
    if train is False or p == 0:
        return input.clone(), ops.ones_like(input, dtype=dtypes.bool)
    if p == 1:
        return input * 0, ops.zeros_like(input, dtype=dtypes.bool)
    _checked(p)
    kept = input.detach().new_empty(input.shape).bernoulli_(1 - p)
    return input * kept * (1 / (1 - p)), kept.bool()


def native_dropout_backward(grad_output: Tensor, mask: Tensor, scale: float) -> Tensor:
    """The gradient of `native_dropout`: `grad_output * scale` where elements were kept."""
    return grad_output * mask.to(grad_output.dtype) * scale
