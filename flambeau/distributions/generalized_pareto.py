"""The generalized Pareto distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.distribution import WithParameters
from flambeau.distributions.utils import uniform
from flambeau.tensor import Tensor

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(WithParameters):
    """Excesses over a threshold: P(X > x) = (1 + c z)^(-1 / c), z = (x - loc) / scale, c = `concentration`.

    c = 0 is the exponential distribution, exp(-z); c = -1 the uniform one of [loc, loc + scale].
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _event_dims = {"loc": 0, "scale": 0, "concentration": 0}
    loc: Tensor
    scale: Tensor
    concentration: Tensor

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        concentration: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self._take(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        bounded = self.concentration < 0
        upper = ops.where(bounded, self.loc - self.scale / self.concentration, math.inf)
        return constraints.interval(self.loc, upper)

    def _concentration_or_one(self) -> tuple[Tensor, Tensor]:
        """Where the concentration is 0, and the concentration with ones there."""
        is_zero = ops.isclose(self.concentration, ops.zeros_like(self.concentration))
        return is_zero, self.concentration.masked_fill(is_zero, 1.0)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        is_zero, c = self._concentration_or_one()
        power = 1 / c + ops.ones_like(z)
        tail = ops.where(power == 0, power, power * (c * z).log1p())
        return -self.scale.log() - ops.where(is_zero, z, tail)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log P(X > value)."""
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        is_zero, c = self._concentration_or_one()
        return ops.where(is_zero, -z, -(c * z).log1p() / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """log P(X <= value)."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        log_survival = (-value).log1p()
        is_zero, c = self._concentration_or_one()
        tail = self.loc + self.scale / c * (-c * log_survival).expm1()
        return ops.where(is_zero, self.loc - self.scale * log_survival, tail)

    @property
    def mean(self) -> Tensor:
        """NaN where the concentration is at least 1."""
        exists = self.concentration < 1
        c = ops.where(exists, self.concentration, 0.5)
        return ops.where(exists, self.loc + self.scale / (1 - c), math.nan)

    @property
    def variance(self) -> Tensor:
        """NaN where the concentration is at least 1/2."""
        exists = self.concentration < 0.5
        c = ops.where(exists, self.concentration, 0.25)
        return ops.where(exists, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)
