"""The binomial distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution, ProbsOrLogits
from flambeau.distributions.utils import broadcast_all, enumerated
from flambeau.nn.functional import logsigmoid
from flambeau.tensor import Tensor

__all__ = ["Binomial"]


def take_counted(self: Any, total_count: Any, probs: Any, logits: Any, validate_args: bool | None) -> None:
    """Takes a count and a probability of one dtype, that of the probability."""
    self._check_one_given(probs, logits)
    name, given = ("probs", probs) if logits is None else ("logits", logits)
    count, tensor = broadcast_all(total_count, given)
    self.__dict__["total_count"], self.__dict__[name] = count.type_as(tensor), tensor
    Distribution.__init__(self, tensor.size(), validate_args=validate_args)


class Binomial(ProbsOrLogits):
    """Successes among `total_count` n tries: P(k) = n! / (k! (n - k)!) p^k (1 - p)^(n - k), of `probs` p or `logits`."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _event_dims = {"total_count": 0, "probs": 0, "logits": 0}
    total_count: Tensor

    def __init__(
        self,
        total_count: Tensor | int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        take_counted(self, total_count, probs, logits, validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return ops.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log n! - log k! - log (n - k)! + k logit(p) + n log(1 - p)."""
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return ways + value * logits + n * logsigmoid(-logits)

    def entropy(self) -> Tensor:
        """The sum over all values; one count for the whole batch."""
        log_prob = self.log_prob(self._all_values("entropy", False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._all_values("enumerate_support", expand)

    def _all_values(self, caller: str, expand: bool) -> Tensor:
        count = int(self.total_count.max())
        if not self.total_count.min() == count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{caller}`.")
        return enumerated(ops.arange(1 + count, dtype=self._param.dtype), self._batch_shape, expand)
