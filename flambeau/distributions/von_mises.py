"""The von Mises distribution: angles."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau import ops, special
from flambeau.autograd import no_grad
from flambeau.core import dtypes
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.distribution import WithParameters
from flambeau.distributions.utils import lazy_property
from flambeau.tensor import Tensor

__all__ = ["VonMises"]


class VonMises(WithParameters):
    """Angles in radians around `loc`: p(x) = exp(concentration cos(x - loc)) / (2 pi I0(concentration)).

    I0 is a modified Bessel function. PyTorch has a fit of seven digits for it; here it is exact.
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _event_dims = {"loc": 0, "concentration": 0}
    loc: Tensor
    concentration: Tensor

    def __init__(
        self, loc: Tensor | float, concentration: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, loc=loc, concentration=concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self.concentration
        log_bessel = special.i0e(k).log() + k  # i0e(k) is I0(k) exp(-k)
        return k * (value - self.loc).cos() - math.log(2 * math.pi) - log_bessel

    @lazy_property
    def _proposal(self) -> Tensor:
        """r of the wrapped Cauchy distribution that proposes angles, in float64."""
        k = self.concentration.to(dtypes.float64)
        tau = 1 + (1 + 4 * k**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * k)
        return ops.where(k < 1e-5, 1 / k + k, (1 + rho**2) / (2 * rho))

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Angles of [-pi, pi), by the rejection method of Best and Fisher, Applied Statistics 1979."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            k, r, loc = self.concentration.to(dtypes.float64), self._proposal, self.loc.to(dtypes.float64)
            angle = ops.zeros(shape, dtype=dtypes.float64)
            done = ops.zeros(shape, dtype=dtypes.bool)
            while not bool(done.all()):
                u = ops.rand((3, *shape), dtype=dtypes.float64)
                z = (math.pi * u[0]).cos()
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                accepted = (c * (2 - c) - u[1] > 0) | ((c / u[1]).log() + 1 - c >= 0)
                angle = ops.where(accepted, (u[2] - 0.5).sign() * f.acos(), angle)
                done = done | accepted
            return ((angle + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The circular variance, 1 - I1 / I0."""
        return 1 - special.i1e(self.concentration) / special.i0e(self.concentration)
