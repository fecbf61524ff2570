"""The Dirichlet distribution: probabilities of several categories."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import ops
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.distribution import WithParameters
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.tensor import Tensor

__all__ = ["Dirichlet"]


class Dirichlet(WithParameters, ExponentialFamily):
    """Vectors of the simplex: p(x) = prod x_i^(c_i - 1) gamma(sum c) / prod gamma(c_i), of `concentration` c (*, n)."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _event_dims = {"concentration": 1}
    concentration: Tensor

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.size()
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws that are implicitly differentiable by the concentration."""
        return ops._sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        c = self.concentration
        return (c - 1.0).xlogy(value).sum(-1) + c.sum(-1).lgamma() - c.lgamma().sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        """The likeliest vector; a corner where every concentration is below 1."""
        above = (self.concentration - 1).clamp(min=0.0)
        inside = above / above.sum(-1, keepdim=True)
        corner = ops.zeros_like(above).scatter_(-1, inside.argmax(-1, keepdim=True), 1.0)
        return ops.where((self.concentration < 1).all(dim=-1, keepdim=True), corner, inside)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def entropy(self) -> Tensor:
        c, n = self.concentration, self.concentration.shape[-1]
        total = c.sum(-1)
        return (
            c.lgamma().sum(-1) - total.lgamma() - (n - total) * total.digamma()
            - ((c - 1.0) * c.digamma()).sum(-1)
        )  # fmt: skip

    @property
    def _natural_params(self) -> tuple[Tensor]:
        return (self.concentration,)

    def _log_normalizer(self, x: Tensor) -> Tensor:
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()
