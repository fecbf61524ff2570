"""The continuous Bernoulli distribution, for numbers of [0, 1] such as pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.distribution import ProbsOrLogits
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    uniform,
)
from flambeau.nn.functional import binary_cross_entropy_with_logits
from flambeau.tensor import Tensor

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """p(x) = C(p) p^x (1 - p)^(1 - x) on [0, 1], of `probs` p or of `logits`; the mean is not p.

    C(p) = 2 artanh(1 - 2 p) / (1 - 2 p) and what comes of it are Taylor series where p lies within `lims`, around 1/2.
    Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational autoencoders", 2019.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _event_dims = {"probs": 0, "logits": 0}
    _mean_carrier_measure = 0

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._check_one_given(probs, logits)
        self._lims = lims
        if probs is not None:
            (probs,) = broadcast_all(probs)
            if validate_args is not None and not constraints.unit_interval.check(probs).all():
                raise ValueError("The parameter probs has invalid values")
            probs = clamp_probs(probs)
        self._take_either(probs, logits, validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: ContinuousBernoulli | None = None) -> ContinuousBernoulli:
        new = super().expand(batch_shape, _instance)
        new._lims = self._lims
        return new

    @lazy_property
    def probs(self) -> Tensor:
        """p, kept inside of (0, 1)."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _stable(self) -> tuple[Tensor, Tensor]:
        """Where the closed formulas hold, and p there; elsewhere a p for which they are finite."""
        low, high = self._lims
        stable = (self.probs <= low) | (self.probs > high)
        return stable, ops.where(stable, self.probs, low)

    def _cont_bern_log_norm(self) -> Tensor:
        """log C(p)."""
        stable, p = self._stable()
        below, above = ops.where(p <= 0.5, p, 0.0), ops.where(p >= 0.5, p, 1.0)
        scale = ops.where(p <= 0.5, (-2.0 * below).log1p(), (2.0 * above - 1.0).log())
        closed = ((-p).log1p() - p.log()).abs().log() - scale
        x = (self.probs - 0.5).pow(2)
        return ops.where(stable, closed, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        stable, p = self._stable()
        closed = p / (2.0 * p - 1.0) + 1.0 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        return ops.where(stable, closed, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def variance(self) -> Tensor:
        stable, p = self._stable()
        closed = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / ((-p).log1p() - p.log()).pow(2)
        x = (self.probs - 0.5).pow(2)
        return ops.where(stable, closed, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._cont_bern_log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        stable, p = self._stable()
        closed = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = ops.where(stable, closed, value)
        return ops.where(value <= 0.0, 0.0, ops.where(value >= 1.0, 1.0, inside))

    def icdf(self, value: Tensor) -> Tensor:
        stable, p = self._stable()
        log_failure = (-p).log1p()
        closed = ((-p + value * (2.0 * p - 1.0)).log1p() - log_failure) / (p.log() - log_failure)
        return ops.where(stable, closed, value)

    def entropy(self) -> Tensor:
        log_failure, log_success = (-self.probs).log1p(), self.probs.log()
        return self.mean * (log_failure - log_success) - self._cont_bern_log_norm() - log_failure

    @property
    def _natural_params(self) -> tuple[Tensor]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:
        low, high = self._lims
        stable = (x <= low - 0.5) | (x > high - 0.5)
        kept = ops.where(stable, x, low - 0.5)
        closed = kept.expm1().abs().log() - kept.abs().log()
        return ops.where(stable, closed, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
