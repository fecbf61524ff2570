"""Transforms: inverses, determinants against Jacobians, shapes, caches; and the registries."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.distributions as D
from flambeau.autograd.functional import jacobian
from flambeau.distributions import constraints


def t(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


#: A transform and the shape of one event of its argument.
BIJECTIONS: dict[str, tuple[D.Transform, tuple[int, ...]]] = {
    "exp": (D.ExpTransform(), ()),
    "exp inverse": (D.ExpTransform().inv, ()),
    "power": (D.PowerTransform(t(2.5)), ()),
    "sigmoid": (D.SigmoidTransform(), ()),
    "softplus": (D.SoftplusTransform(), ()),
    "tanh": (D.TanhTransform(), ()),
    "affine": (D.AffineTransform(1.0, -2.0), ()),
    "affine of vectors": (D.AffineTransform(t([1.0, 2.0]), t([0.5, -3.0]), event_dim=1), (2,)),
    "stick breaking": (D.StickBreakingTransform(), (3,)),
    "correlation": (D.CorrCholeskyTransform(), (3,)),
    "reshape": (D.ReshapeTransform((6,), (2, 3)), (6,)),
    "independent": (D.IndependentTransform(D.TanhTransform(), 1), (3,)),
    "compose": (D.ComposeTransform([D.AffineTransform(0.3, 2.0), D.ExpTransform()]), ()),
    "compose vectors": (D.ComposeTransform([D.AffineTransform(0.3, 0.5), D.StickBreakingTransform()]), (3,)),
    "cat": (
        D.IndependentTransform(D.CatTransform([D.ExpTransform(), D.TanhTransform()], -1, [1, 2]), 1),
        (3,),
    ),
    "cumulative": (D.CumulativeDistributionTransform(D.Normal(t(0.0), t(2.0))), ()),
}


def argument(name: str, batch: tuple[int, ...] = ()) -> torch.Tensor:
    x = np.random.default_rng(3).normal(size=batch + BIJECTIONS[name][1])
    return t(np.abs(x) + 0.1 if name in ("power", "exp inverse") else x)


@pytest.mark.parametrize("name", BIJECTIONS)
def test_the_inverse_leads_back(name: str) -> None:
    transform, _ = BIJECTIONS[name]
    x = argument(name, (4,))
    y = transform(x)
    np.testing.assert_allclose(transform.inv(y).numpy(), x.numpy(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(transform.inv.inv(x).numpy(), y.numpy())
    assert bool(transform.codomain.check(y).all())
    assert tuple(transform.forward_shape(tuple(x.shape))) == tuple(y.shape)
    assert tuple(transform.inverse_shape(tuple(y.shape))) == tuple(x.shape)
    assert transform.bijective


@pytest.mark.parametrize("name", BIJECTIONS)
def test_the_determinant_is_that_of_the_jacobian(name: str) -> None:
    transform, shape = BIJECTIONS[name]
    x = argument(name)
    y = transform(x)

    def free(value: torch.Tensor) -> torch.Tensor:
        """As many numbers as the argument has: a vector of the simplex without its last, and so on."""
        out = transform(value)
        if name in ("stick breaking", "compose vectors"):
            return out[..., :-1]
        return D.utils.tril_matrix_to_vec(out, -1) if name == "correlation" else out

    size = int(np.prod(shape)) if shape else 1
    matrix = jacobian(free, x).numpy().reshape(size, size)
    expected = np.linalg.slogdet(matrix)[1]
    found = transform.log_abs_det_jacobian(x, y)
    assert tuple(found.shape) == ()
    assert float(found) == pytest.approx(expected, abs=1e-9)
    back = transform.inv.log_abs_det_jacobian(y, x)
    assert float(back) == pytest.approx(-expected, abs=1e-9)


def test_determinants_keep_batch_dimensions() -> None:
    for name, (transform, _) in BIJECTIONS.items():
        x = argument(name, (4, 2))
        assert tuple(transform.log_abs_det_jacobian(x, transform(x)).shape) == (4, 2), name


def test_stacked_transforms() -> None:
    stack = D.StackTransform([D.ExpTransform(), D.TanhTransform()], -1)
    x = torch.randn(4, 2, dtype=torch.float64)
    y = stack(x)
    assert bool(stack.codomain.check(y).all())
    np.testing.assert_allclose(stack.inv(y).numpy(), x.numpy(), rtol=1e-8)
    np.testing.assert_allclose(y.numpy(), np.stack([np.exp(x[:, 0].numpy()), np.tanh(x[:, 1].numpy())], 1))
    found = stack.log_abs_det_jacobian(x, y)  # one number for each slice
    for i, part in enumerate((D.ExpTransform(), D.TanhTransform())):
        np.testing.assert_allclose(found[:, i].numpy(), part.log_abs_det_jacobian(x[:, i], y[:, i]).numpy())
    assert stack.with_cache()(x).equal(y)


def test_transforms_that_are_not_bijections() -> None:
    x = torch.randn(3, 4, 4, dtype=torch.float64)
    for transform in (D.AbsTransform(), D.SoftmaxTransform(), D.LowerCholeskyTransform(), D.PositiveDefiniteTransform()):
        y = transform(x)
        assert not transform.bijective
        assert bool(transform.codomain.check(y).all())
        np.testing.assert_allclose(transform(transform.inv(y)).numpy(), y.numpy(), rtol=1e-8, atol=1e-10)
        with pytest.raises(NotImplementedError):
            transform.log_abs_det_jacobian(x, y)


def test_extreme_numbers_stay_inside() -> None:
    x = torch.tensor([-1e4, -50.0, 50.0, 1e4])
    y = D.SigmoidTransform()(x)
    assert bool(((y > 0) & (y < 1)).all())
    assert bool(D.TanhTransform().log_abs_det_jacobian(x, x.tanh()).isfinite().all())
    assert bool(D.StickBreakingTransform()(x).sum().isclose(torch.tensor(1.0)))


def test_a_cache_gives_the_argument_back() -> None:
    transform = D.TanhTransform(cache_size=1)
    x = torch.tensor([100.0])
    y = transform(x)
    assert transform.inv(y) is x
    assert transform(x) is y
    assert D.TanhTransform().inv(D.TanhTransform()(x)) is not x
    chain = D.ComposeTransform([D.ExpTransform(), D.TanhTransform()], cache_size=1)
    assert chain.inv(chain(x)) is x


@pytest.mark.parametrize("name", [n for n in BIJECTIONS if n != "exp inverse"])
def test_with_cache_makes_the_same_transform(name: str) -> None:
    transform, _ = BIJECTIONS[name]
    cached = transform.with_cache()
    assert type(cached) is type(transform) and cached._cache_size == 1
    assert cached.with_cache(1) is cached
    x = argument(name)
    np.testing.assert_array_equal(cached(x).numpy(), transform(x).numpy())


def test_equality() -> None:
    assert D.ExpTransform() == D.ExpTransform() != D.TanhTransform()
    assert D.AffineTransform(0, 1) == D.AffineTransform(0, 1) != D.AffineTransform(0, 2)
    assert D.AffineTransform(t([1.0]), 2) == D.AffineTransform(t([1.0]), 2)
    assert D.PowerTransform(2) == D.PowerTransform(2.0) != D.PowerTransform(3)
    assert D.ExpTransform().inv == D.ExpTransform().inv
    assert D.ComposeTransform([D.ExpTransform()]) == D.ComposeTransform([D.ExpTransform()])
    assert D.IndependentTransform(D.ExpTransform(), 1) != D.IndependentTransform(D.ExpTransform(), 1)


def test_signs() -> None:
    assert D.AffineTransform(0, -3).sign == -1 and D.AffineTransform(0, 0).sign == 0
    assert D.ComposeTransform([D.AffineTransform(0, -3), D.ExpTransform(), D.AffineTransform(0, -1)]).sign == 1
    assert float(D.PowerTransform(-2.0).sign) == -1
    assert D.ExpTransform().inv.sign == 1
    with pytest.raises(NotImplementedError):
        _ = D.StickBreakingTransform().sign


def test_reprs() -> None:
    chain = D.ComposeTransform([D.ExpTransform(), D.AffineTransform(0, 1).inv])
    assert repr(chain) == "ComposeTransform(\n    ExpTransform(),\n    _InverseTransform(AffineTransform())\n)"
    assert repr(D.IndependentTransform(D.TanhTransform(), 2)) == "IndependentTransform(TanhTransform(), 2)"


def test_copies() -> None:
    transform = D.AffineTransform(1.0, t([2.0]))
    _ = transform.inv
    for again in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        assert again == transform
        assert again.inv.inv is again


def test_a_transform_of_a_user() -> None:
    class Cube(D.Transform):
        domain = codomain = constraints.real
        bijective = True
        sign = 1

        def _call(self, x: torch.Tensor) -> torch.Tensor:
            return x**3

        def _inverse(self, y: torch.Tensor) -> torch.Tensor:
            return y.sign() * y.abs() ** (1 / 3)

        def log_abs_det_jacobian(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (3 * x**2).log()

    cubes = D.TransformedDistribution(D.Normal(t(0.0), t(1.0)), Cube())
    x = t([-2.0, 0.5])
    root = x.sign() * x.abs() ** (1 / 3)
    expected = D.Normal(t(0.0), t(1.0)).log_prob(root) - (3 * root**2).log()
    np.testing.assert_allclose(cubes.log_prob(x).numpy(), expected.numpy())
    assert Cube().with_cache()._cache_size == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: D.ExpTransform(cache_size=3), "cache_size must be 0 or 1"),
        (lambda: D.ReshapeTransform((2,), (3,)), "different numbers of elements"),
        (lambda: D.ReshapeTransform((6,), (2, 3)).forward_shape((5,)), "Shape mismatch"),
        (lambda: D.ReshapeTransform((6,), (2, 3)).inverse_shape((5,)), "Too few dimensions"),
        (lambda: D.CorrCholeskyTransform().forward_shape((4,)), "not a flattened lower-diagonal"),
        (lambda: D.CorrCholeskyTransform().inverse_shape((4, 3)), "not square"),
        (lambda: D.StickBreakingTransform().forward_shape(()), "Too few dimensions"),
        (lambda: D.IndependentTransform(D.ExpTransform(), 1)(t(1.0)), "Too few dimensions"),
        (lambda: D.StickBreakingTransform().inv.inv.event_dim and D.CorrCholeskyTransform().event_dim, "event_dim"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_parts_must_fit() -> None:
    with pytest.raises(AssertionError, match="must equal length 3"):
        D.CatTransform([D.ExpTransform(), D.ExpTransform()], 0, [1, 2])(torch.ones(4))
    with pytest.raises(AssertionError, match="out of range"):
        D.StackTransform([D.ExpTransform()], 1)(torch.ones(1))
    with pytest.raises(AssertionError, match="must match transforms"):
        D.CatTransform([D.ExpTransform()], 0, [1, 2])


# ---- registries

REGIONS = [
    constraints.real, constraints.positive, constraints.nonnegative, constraints.greater_than(2.0),
    constraints.less_than(-1.0), constraints.unit_interval, constraints.interval(-1.0, 4.0),
    constraints.half_open_interval(0.0, 3.0), constraints.simplex, constraints.real_vector, constraints.corr_cholesky,
    constraints.independent(constraints.positive, 1), constraints.cat([constraints.positive, constraints.real], -1, [1, 2]),
    constraints.stack([constraints.positive, constraints.real, constraints.unit_interval], -1),
]  # fmt: skip


@pytest.mark.parametrize("region", REGIONS, ids=[f"{i}" for i in range(len(REGIONS))])
def test_registries_lead_into_the_region(region: constraints.Constraint) -> None:
    x = torch.randn(5, 3, dtype=torch.float64)
    for registry in (D.biject_to, D.transform_to):
        y = registry(region)(x)
        assert bool(region.check(y).all())
    transform = D.biject_to(region)
    np.testing.assert_allclose(transform.inv(transform(x)).numpy(), x.numpy(), rtol=1e-6, atol=1e-8)


def test_matrices_for_optimization() -> None:
    x = torch.randn(2, 3, 3, dtype=torch.float64)
    for region in (constraints.lower_cholesky, constraints.positive_definite, constraints.positive_semidefinite):
        assert bool(region.check(D.transform_to(region)(x)).all())


def test_registries_can_be_taught() -> None:
    class Even(constraints.Constraint):
        def check(self, value: torch.Tensor) -> torch.Tensor:
            return value % 2 == 0

    registry = D.constraint_registry.ConstraintRegistry()
    with pytest.raises(NotImplementedError, match="Cannot transform Even constraints"):
        registry(Even())

    @registry.register(Even)
    def made(constraint: Even) -> D.Transform:
        return D.AffineTransform(0, 2)

    assert registry(Even()) == D.AffineTransform(0, 2)
    with pytest.raises(TypeError, match="Expected constraint to be either"):
        registry.register(3, made)
