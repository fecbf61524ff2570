"""The chi-squared distribution."""

from __future__ import annotations

from flambeau.distributions import constraints
from flambeau.distributions.gamma import Gamma
from flambeau.tensor import Tensor

__all__ = ["Chi2"]


class Chi2(Gamma):
    """Sums of `df` squares of standard normal numbers: a gamma distribution of concentration df / 2 and rate 1/2."""

    arg_constraints = {"df": constraints.positive}
    _event_dims = {"concentration": 0, "rate": 0}

    def __init__(self, df: Tensor | float, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Tensor:
        """The number of squares."""
        return self.concentration * 2
