"""The distribution of Lewandowski, Kurowicka and Joe: Cholesky factors of correlation matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.core import dtypes
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.beta import Beta
from flambeau.distributions.distribution import Distribution, WithParameters
from flambeau.distributions.utils import broadcast_all
from flambeau.tensor import Tensor

__all__ = ["LKJCholesky"]


class LKJCholesky(WithParameters):
    """Cholesky factors L, n x n with n = `dim`, of correlation matrices of density ~ det(L L^T)^(concentration - 1).

    Concentration 1 is uniform over correlation matrices; more draws them to the identity. Lewandowski, Kurowicka and
    Joe, "Generating random correlation matrices based on vines and extended onion method", 2009. Raises `ValueError`
    for `dim` below 2.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _event_dims = {"concentration": 0}
    concentration: Tensor

    def __init__(
        self, dim: int, concentration: Tensor | float = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # The onion method: the squared length of row i below the diagonal is a beta number.
        row = ops.arange(dim - 1, dtype=self.concentration.dtype)
        row = ops.cat([row.new_zeros((1,)), row])
        of_rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * row
        self._beta = Beta(row + 0.5, of_rest)
        Distribution.__init__(self, self.concentration.size(), (dim, dim), validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new.dim = self.dim
        new._beta = self._beta.expand((*batch_shape, self.dim))
        return new

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with no_grad():
            squared = self._beta.sample(sample_shape).unsqueeze(-1)
            direction = ops.randn(self._extended_shape(sample_shape), dtype=squared.dtype).tril(-1)
            direction = direction / direction.norm(dim=-1, keepdim=True)
            direction[..., 0, :] = 0.0
            below = squared.sqrt() * direction
            rest = (1 - (below**2).sum(dim=-1)).clamp(min=dtypes.finfo(below.dtype).tiny)
            return below + rest.sqrt().diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        """The density of L: that of L L^T times the Jacobian of L -> L L^T."""
        if self._validate_args:
            self._validate_sample(value)
        n = self.dim
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        powers = 2 * (self.concentration - 1).unsqueeze(-1) + n - ops.arange(2, n + 1)
        alpha = self.concentration + 0.5 * (n - 1)
        normalizer = (
            0.5 * (n - 1) * math.log(math.pi) + (alpha - 0.5).mvlgamma(n - 1) - alpha.lgamma() * (n - 1)
        )
        return (powers * diagonal.log()).sum(dim=-1) - normalizer
