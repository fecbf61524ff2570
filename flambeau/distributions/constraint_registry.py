"""From constraints to transforms that satisfy them.

`biject_to(constraint)` is a bijection from unconstrained numbers to the region, for changes of variables;
`transform_to(constraint)` any map onto it, for optimization. Both can be taught: `biject_to.register(constraint, factory)`.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from flambeau.distributions import constraints
from flambeau.distributions import transforms as t

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """A map from classes of constraints to functions that make a transform for a constraint."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], t.Transform]] = {}
        super().__init__()

    def register(self, constraint: Any, factory: Callable[[Any], t.Transform] | None = None) -> Any:
        """Makes `factory` the one for the class of `constraint`; without `factory`, a decorator that does so."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(
                f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}"
            )
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> t.Transform:
        """The transform for `constraint`; raises `NotImplementedError` for a class nobody registered."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()
_BOTH = (biject_to, transform_to)


def _to_interval(constraint: Any) -> t.Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, Number) and isinstance(high, Number) and low == 0 and high == 1:
        return t.SigmoidTransform()
    return t.ComposeTransform([t.SigmoidTransform(), t.AffineTransform(low, high - low)])


def _above(constraint: Any) -> t.Transform:
    return t.ComposeTransform([t.ExpTransform(), t.AffineTransform(constraint.lower_bound, 1)])


def _below(constraint: Any) -> t.Transform:
    return t.ComposeTransform([t.ExpTransform(), t.AffineTransform(constraint.upper_bound, -1)])


def _register_what_is_made_of_others(registry: ConstraintRegistry) -> None:
    registry.register(
        constraints.independent,
        lambda c: t.IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims),
    )
    registry.register(
        constraints.cat, lambda c: t.CatTransform([registry(part) for part in c.cseq], c.dim, c.lengths)
    )
    registry.register(constraints.stack, lambda c: t.StackTransform([registry(part) for part in c.cseq], c.dim))


# `positive` and `nonnegative` are of these classes too.
for _registry in _BOTH:
    _registry.register(constraints.real, lambda c: t.identity_transform)
    _registry.register(constraints.greater_than, _above)
    _registry.register(constraints.greater_than_eq, _above)
    _registry.register(constraints.less_than, _below)
    _registry.register(constraints.interval, _to_interval)
    _registry.register(constraints.half_open_interval, _to_interval)
    _registry.register(constraints.corr_cholesky, lambda c: t.CorrCholeskyTransform())
    _register_what_is_made_of_others(_registry)

biject_to.register(constraints.simplex, lambda c: t.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: t.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: t.LowerCholeskyTransform())
transform_to.register(constraints.positive_definite, lambda c: t.PositiveDefiniteTransform())
transform_to.register(constraints.positive_semidefinite, lambda c: t.PositiveDefiniteTransform())
