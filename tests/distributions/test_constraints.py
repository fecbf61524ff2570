"""Constraints: what lies inside, what they say of themselves."""

from __future__ import annotations

import math

import pytest

import flambeau as torch
import flambeau.distributions as D
from flambeau.distributions import constraints as c

NAN = math.nan
#: A constraint, values inside, values outside.
CASES = {
    "boolean": (c.boolean, [0.0, 1.0], [0.5, 2.0, NAN]),
    "whole numbers": (c.integer_interval(1, 3), [1.0, 2.0, 3.0], [0.0, 4.0, 1.5, NAN]),
    "nonnegative whole": (c.nonnegative_integer, [0.0, 7.0], [-1.0, 0.5]),
    "positive whole": (c.positive_integer, [1.0, 7.0], [0.0, 1.5]),
    "real": (c.real, [0.0, -1e30, math.inf], [NAN]),
    "positive": (c.positive, [1e-30, 4.0], [0.0, -1.0, NAN]),
    "nonnegative": (c.nonnegative, [0.0, 4.0], [-1.0, NAN]),
    "above": (c.greater_than(2.0), [2.1], [2.0, NAN]),
    "from": (c.greater_than_eq(2.0), [2.0], [1.9, NAN]),
    "below": (c.less_than(2.0), [1.9], [2.0, NAN]),
    "unit": (c.unit_interval, [0.0, 1.0], [-0.1, 1.1, NAN]),
    "interval": (c.interval(-1.0, 2.0), [-1.0, 2.0], [-1.1, 2.1]),
    "half open": (c.half_open_interval(-1.0, 2.0), [-1.0, 1.9], [2.0]),
    "vector": (c.real_vector, [[0.0, 1.0]], [[0.0, NAN]]),
    "one hot": (c.one_hot, [[0.0, 1.0, 0.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]]),
    "simplex": (c.simplex, [[0.2, 0.8], [0.0, 1.0]], [[0.5, 0.6], [-0.1, 1.1]]),
    "counts": (c.multinomial(4), [[1.0, 3.0], [0.0, 2.0]], [[-1.0, 2.0], [3.0, 2.0]]),
    "lower": (c.lower_triangular, [[[0.0, 0.0], [3.0, -1.0]]], [[[1.0, 2.0], [3.0, 4.0]]]),
    "cholesky": (c.lower_cholesky, [[[1.0, 0.0], [3.0, 1.0]]], [[[0.0, 0.0], [3.0, 1.0]]]),
    "correlation": (c.corr_cholesky, [[[1.0, 0.0], [0.6, 0.8]]], [[[1.0, 0.0], [0.6, 0.9]]]),
    "square": (c.square, [[[1.0, 0.0], [0.6, 0.9]]], []),
    "symmetric": (c.symmetric, [[[1.0, 0.5], [0.5, 9.0]]], [[[1.0, 0.0], [0.6, 0.9]]]),
    "semidefinite": (c.positive_semidefinite, [[[2.0, 0.0], [0.0, 0.0]]], [[[1.0, 3.0], [3.0, 1.0]]]),
    "definite": (c.positive_definite, [[[1.0, 0.5], [0.5, 1.0]]], [[[1.0, 3.0], [3.0, 1.0]], [[1.0, 0.1], [0.0, 1.0]]]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_inside_and_outside(name: str) -> None:
    constraint, inside, outside = CASES[name]
    for value in inside:
        checked = constraint.check(torch.tensor(value, dtype=torch.float64))
        assert checked.dtype == torch.bool and checked.dim() == 0 and bool(checked), value
    for value in outside:
        assert not bool(constraint.check(torch.tensor(value, dtype=torch.float64))), value


@pytest.mark.parametrize("name", CASES)
def test_event_dimensions_are_removed(name: str) -> None:
    constraint, inside, _ = CASES[name]
    value = torch.tensor([inside[0]] * 5, dtype=torch.float64)
    assert tuple(constraint.check(value).shape) == (5,)
    assert value.dim() == 1 + constraint.event_dim


def test_whole_numbers_of_integer_tensors() -> None:
    assert c.nonnegative_integer.check(torch.tensor([-1, 0, 3])).tolist() == [False, True, True]


def test_shapes_that_are_not_square() -> None:
    value = torch.ones(2, 3, 2)
    for constraint in (c.square, c.symmetric, c.positive_definite, c.positive_semidefinite):
        assert constraint.check(value).tolist() == [False, False]


def test_reprs() -> None:
    assert repr(c.positive) == "GreaterThan(lower_bound=0.0)"
    assert repr(c.interval(0, 2)) == "Interval(lower_bound=0, upper_bound=2)"
    assert repr(c.real_vector) == "IndependentConstraint(Real(), 1)"
    assert repr(c.integer_interval(0, 4)) == "IntegerInterval(lower_bound=0, upper_bound=4)"
    assert repr(c.simplex) == "Simplex()" and repr(c.dependent) == "Dependent()"
    assert repr(c.MixtureSameFamilyConstraint(c.real)) == "MixtureSameFamilyConstraint(Real())"


def test_dependent_constraints() -> None:
    assert c.is_dependent(D.Uniform.support) and not c.is_dependent(D.Normal.support)
    assert not c.is_dependent(D.Uniform(0.0, 1.0).support)
    assert D.Uniform.support.event_dim == 0 and not D.Uniform.support.is_discrete
    assert c.dependent(is_discrete=True).is_discrete
    assert c.dependent(is_discrete=True)(event_dim=2).event_dim == 2
    with pytest.raises(NotImplementedError, match=r"\.event_dim cannot be determined statically"):
        _ = c.dependent.event_dim
    with pytest.raises(NotImplementedError, match=r"\.is_discrete cannot be determined statically"):
        _ = c.dependent.is_discrete
    with pytest.raises(ValueError, match="Cannot determine validity"):
        c.dependent.check(torch.ones(1))


def test_joined_constraints() -> None:
    value = torch.tensor([[1.0, -1.0, 0.5], [-1.0, 0.0, 2.0]])
    cat = c.cat([c.positive, c.unit_interval], dim=1, lengths=[1, 2])
    assert cat.check(value).tolist() == [[True, False, True], [False, True, False]]
    stack = c.stack([c.positive, c.real, c.unit_interval], dim=1)
    assert stack.check(value).tolist() == [[True, True, True], [False, True, False]]
    assert not cat.is_discrete and c.stack([c.boolean, c.real]).is_discrete
    assert cat.event_dim == 0 and c.stack([c.real_vector], -2).event_dim == 2
    with pytest.raises(AssertionError, match="Constraint instances"):
        c.cat([3])
    with pytest.raises(AssertionError, match="lengths must have same length"):
        c.cat([c.real], lengths=[1, 2])


def test_independent_needs_dimensions() -> None:
    with pytest.raises(ValueError, match=r"Expected value.dim\(\) >= 2 but got 1"):
        c.independent(c.real, 2).check(torch.ones(3))
    assert c.independent(c.simplex, 1).event_dim == 2
