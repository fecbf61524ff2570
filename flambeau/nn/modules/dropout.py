"""Dropout: parts of the input set to 0 while training (Hinton et al., 2012)."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.tensor import Tensor

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _DropoutNd(Module):
    """What the kinds of dropout share.

    Args:
        p: the probability of dropping.
        inplace: overwrite the input.

    Raises:
        ValueError: if `p` is no probability.
    """

    __constants__ = ["p", "inplace"]
    _function: Any

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Drops single elements and scales the rest by `1 / (1 - p)`."""

    _function = staticmethod(F.dropout)


class Dropout1d(_DropoutNd):
    """Drops whole channels of `(N, C, L)` or `(C, L)`."""

    _function = staticmethod(F.dropout1d)


class Dropout2d(_DropoutNd):
    """Drops whole channels of `(N, C, H, W)`."""

    _function = staticmethod(F.dropout2d)


class Dropout3d(_DropoutNd):
    """Drops whole channels of `(N, C, D, H, W)` or `(C, D, H, W)`."""

    _function = staticmethod(F.dropout3d)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps the mean and variance that SELU keeps (Klambauer et al., 2017)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """Alpha dropout of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training)
