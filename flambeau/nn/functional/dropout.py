"""Kinds of dropout: elements or whole channels set to 0 while training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from flambeau.nn.functional.activation import in_place
from flambeau.tensor import Tensor


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def drop_features(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Whole channels (the dimensions after the second) are kept or dropped together."""
    _check_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return in_place(input, input * 0, inplace)
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    kept = input.detach().new_empty(shape).bernoulli_(1 - p).div_(1 - p)
    return in_place(input, input * kept, inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Drops whole channels of (N, C, L) or (C, L)."""
    _check_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input."
        )
    if input.ndim == 2:
        return drop_features(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return drop_features(input, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Drops whole channels of (N, C, H, W)."""
    _check_probability(p)
    if input.ndim not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.ndim}-D input to dropout2d, which is deprecated and will result in "
            "an error in a future release.",
            stacklevel=2,
        )
    return drop_features(input, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Drops whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    _check_probability(p)
    if input.ndim == 4:
        return drop_features(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return drop_features(input, p, training, inplace)


def _alpha(
    input: Tensor, p: float, training: bool, inplace: bool, shape: Sequence[int]
) -> Tensor:
    """Dropout that keeps the mean and variance of self-normalising networks. Klambauer et al., 2017."""
    _check_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return in_place(input, input * 0, inplace)
    alpha = 1.7580993408473766
    kept = input.detach().new_empty(tuple(shape)).bernoulli_(1 - p)
    a = 1.0 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    shift = (kept - 1) * (alpha * a) + alpha * a * p
    return in_place(input, input * (kept * a) + shift, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout for `selu` networks: dropped elements take the saturation value."""
    return _alpha(input, p, training, inplace, input.shape)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels."""
    return _alpha(input, p, training, inplace, (*input.shape[:2], *(1,) * (input.ndim - 2)))
