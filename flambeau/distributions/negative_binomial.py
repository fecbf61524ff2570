"""The negative binomial distribution."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.binomial import take_counted
from flambeau.distributions.distribution import ProbsOrLogits
from flambeau.distributions.gamma import Gamma
from flambeau.distributions.utils import lazy_property
from flambeau.nn.functional import logsigmoid
from flambeau.tensor import Tensor

__all__ = ["NegativeBinomial"]


class NegativeBinomial(ProbsOrLogits):
    """Successes before `total_count` r failures: P(k) = gamma(r + k) / (k! gamma(r)) (1 - p)^r p^k, r > 0 of any size.

    p is the probability of a success, `probs` or by `logits`. Draws are Poisson numbers of gamma rates.
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _event_dims = {"total_count": 0, "probs": 0, "logits": 0}
    total_count: Tensor

    def __init__(
        self,
        total_count: Tensor | float,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        take_counted(self, total_count, probs, logits, validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    @lazy_property
    def _gamma(self) -> Gamma:
        return Gamma(self.total_count, (-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with no_grad():
            return ops.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        r = self.total_count
        ways = (r + value).lgamma() - (1.0 + value).lgamma() - r.lgamma()
        ways = ways.masked_fill(r + value == 0.0, 0.0)
        return r * logsigmoid(-self.logits) + value * logsigmoid(self.logits) + ways
