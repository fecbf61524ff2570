"""Numbers, differences, statistics, counting: NumPy's results, derivatives, traced, errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 6))
Y = RANDOM.normal(size=(4, 6))
P = RANDOM.uniform(0.1, 0.9, (4, 6))
WHOLE = RANDOM.integers(-9, 9, (4, 6))
OTHER = RANDOM.integers(-9, 9, (4, 6))


def t(x: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(x))


VALUES: dict[str, tuple[Callable[[], Any], Any]] = {
    "copysign": (lambda: torch.copysign(t(X), t(Y)), np.copysign(X, Y)),
    "nextafter": (lambda: torch.nextafter(t(X), t(Y)), np.nextafter(X, Y)),
    "hypot": (lambda: torch.hypot(t(X), t(Y)), np.hypot(X, Y)),
    "heaviside": (lambda: torch.heaviside(t(WHOLE), t(OTHER)), np.heaviside(WHOLE, OTHER)),
    "gcd": (lambda: torch.gcd(t(WHOLE), t(OTHER)), np.gcd(WHOLE, OTHER)),
    "lcm": (lambda: torch.lcm(t(WHOLE), t(OTHER)), np.abs(np.lcm(WHOLE, OTHER))),
    "mantissa": (lambda: torch.frexp(t(X)).mantissa, np.frexp(X)[0]),
    "exponent": (lambda: torch.frexp(t(X)).exponent, np.frexp(X)[1]),
    "ldexp": (lambda: torch.ldexp(t(X), t(WHOLE)), np.ldexp(X, WHOLE)),
    "logaddexp": (lambda: torch.logaddexp(t(X), t(Y)), np.logaddexp(X, Y)),
    "logaddexp2": (lambda: torch.logaddexp2(t(X), t(Y)), np.logaddexp2(X, Y)),
    "xlogy": (lambda: torch.xlogy(t(X), t(P)), scipy.special.xlogy(X, P)),
    "logit": (lambda: torch.logit(t(P)), scipy.special.logit(P)),
    "logcumsumexp": (lambda: torch.logcumsumexp(t(X), 1), np.logaddexp.accumulate(X, 1)),
    "deg2rad": (lambda: torch.deg2rad(t(X)), np.deg2rad(X)),
    "rad2deg": (lambda: torch.rad2deg(t(X)), np.rad2deg(X)),
    "angle": (lambda: torch.angle(t(X + 1j * Y)), np.angle(X + 1j * Y)),
    "real angle": (lambda: torch.angle(t(X)), np.angle(X)),
    "sinc": (lambda: torch.sinc(t(X)), np.sinc(X)),
    "diff": (lambda: torch.diff(t(X), 2, 0), np.diff(X, 2, 0)),
    "diff joined": (lambda: torch.diff(t(X), prepend=t(Y), append=t(P)), np.diff(X, prepend=Y, append=P)),
    "gradient": (lambda: torch.gradient(t(X), spacing=0.5, edge_order=2)[1], np.gradient(X, 0.5, edge_order=2)[1]),
    "gradient at places": (
        lambda: torch.gradient(t(X), spacing=(t(np.array([0, 1, 3, 4.5])),), dim=0)[0],
        np.gradient(X, [0, 1, 3, 4.5], axis=0),
    ),
    "trapezoid": (lambda: torch.trapezoid(t(X), dx=0.5), np.trapezoid(X, dx=0.5)),
    "trapezoid at places": (lambda: torch.trapezoid(t(X), t(np.arange(6.0) ** 2)), np.trapezoid(X, np.arange(6.0) ** 2)),
    "cummax": (lambda: torch.cummax(t(X), 1).values, np.maximum.accumulate(X, 1)),
    "cummin": (lambda: torch.cummin(t(X), 0).values, np.minimum.accumulate(X, 0)),
    "nanmean": (lambda: torch.nanmean(t(np.where(X > 1, np.nan, X)), 0), np.nanmean(np.where(X > 1, np.nan, X), 0)),
    "mode": (lambda: torch.mode(t(WHOLE), 1).values, scipy.stats.mode(WHOLE, axis=1).mode),
    "cov": (lambda: torch.cov(t(X)), np.cov(X)),
    "weighted cov": (
        lambda: torch.cov(t(X), fweights=t(np.arange(1, 7)), aweights=t(P[0])),
        np.cov(X, fweights=np.arange(1, 7), aweights=P[0]),
    ),
    "corrcoef": (lambda: torch.corrcoef(t(X)), np.corrcoef(X)),
    "unique": (lambda: torch.unique(t(WHOLE)), np.unique(WHOLE)),
    "unique rows": (lambda: torch.unique(t(WHOLE // 9), dim=0), np.unique(WHOLE // 9, axis=0)),
    "bincount": (lambda: torch.bincount(t(np.abs(WHOLE).ravel()), minlength=20), np.bincount(np.abs(WHOLE).ravel(), minlength=20)),
    "weighted bincount": (
        lambda: torch.bincount(t(np.abs(WHOLE).ravel()), t(X.ravel())), np.bincount(np.abs(WHOLE).ravel(), X.ravel()),
    ),
    "histc": (lambda: torch.histc(t(X), 5, -1, 1), np.histogram(X, 5, (-1, 1))[0]),
    "histogram": (lambda: torch.histogram(t(X), 7).hist, np.histogram(X, 7)[0]),
    "density": (lambda: torch.histogram(t(X), 7, density=True).hist, np.histogram(X, 7, density=True)[0]),
    "histogramdd": (
        lambda: torch.histogramdd(t(X.reshape(-1, 2)), [3, 4])[0], np.histogramdd(X.reshape(-1, 2), [3, 4])[0],
    ),
    "searchsorted": (lambda: torch.searchsorted(t(np.sort(X[0])), t(Y), right=True), np.searchsorted(np.sort(X[0]), Y, "right")),
    "bucketize": (lambda: torch.bucketize(t(WHOLE), t(np.arange(-5, 5))), np.searchsorted(np.arange(-5, 5), WHOLE)),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    call, expected = VALUES[name]
    np.testing.assert_allclose(call().numpy(), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles(interpolation: str) -> None:
    q = np.array([0.0, 0.3, 0.55, 1.0])
    found = torch.quantile(t(X), t(q), 1, interpolation=interpolation)
    np.testing.assert_allclose(found.numpy(), np.quantile(X, q, 1, method=interpolation), rtol=1e-12)
    assert torch.quantile(t(X), 0.5, keepdim=True).shape == (1, 1)
    gaps = np.where(X > 0.8, np.nan, X)
    expected = np.nanquantile(gaps, q, 1, method=interpolation)
    np.testing.assert_allclose(torch.nanquantile(t(gaps), t(q), 1, interpolation=interpolation).numpy(), expected, rtol=1e-12)
    assert torch.quantile(t(gaps), 0.5).isnan()


DERIVATIVES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "copysign": (torch.copysign, (X, Y)),
    "hypot": (torch.hypot, (X, Y[0])),
    "logaddexp": (torch.logaddexp, (X, Y[0])),
    "logaddexp2": (torch.logaddexp2, (X, Y[:, :1])),
    "xlogy": (torch.xlogy, (X, P)),
    "logit": (torch.logit, (P,)),
    "logcumsumexp": (lambda x: torch.logcumsumexp(x, 0), (X,)),
    "complex logcumsumexp": (lambda x: torch.logcumsumexp(x, 0), (X + 1j * Y,)),
    "frexp": (lambda x: torch.frexp(x)[0], (X,)),
    "ldexp": (lambda x, y: torch.ldexp(x, y), (X, Y)),
    "sinc": (torch.sinc, (np.append(X.ravel(), 0.0),)),
    "angle": (torch.angle, (X + 1j * Y,)),
    "diff": (lambda x: torch.diff(x, 2), (X,)),
    "gradient": (lambda x: torch.gradient(x, edge_order=2), (X,)),
    "trapezoid": (torch.trapezoid, (X, np.sort(Y[0]))),
    "cumulative_trapezoid": (torch.cumulative_trapezoid, (X, Y)),
    "cummax": (lambda x: torch.cummax(x, 1)[0], (X,)),
    "cummin": (lambda x: torch.cummin(x, 0)[0], (X,)),
    "quantile": (lambda x: torch.quantile(x, t(np.array([0.2, 0.7])), 1), (X,)),
    "nanmean": (torch.nanmean, (X,)),
    "mode": (lambda x: torch.mode(x, 1)[0], (X,)),
    "cov": (torch.cov, (X,)),
    "complex cov": (torch.cov, (X + 1j * Y,)),
    "corrcoef": (torch.corrcoef, (X,)),
    "renorm": (lambda x: torch.renorm(x, 2, 0, 1.0), (X,)),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name: str) -> None:
    function, arrays = DERIVATIVES[name]
    tensors = tuple(t(x.copy()).requires_grad_() for x in arrays)
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors, atol=1e-4)


@pytest.mark.parametrize("name", ["hypot", "logaddexp", "xlogy", "sinc", "logit"])
def test_compiled(name: str) -> None:
    function, arrays = DERIVATIVES[name]
    x = [t(a).float() for a in arrays]
    found = torch.compile(lambda *xs: function(*xs) * 2 + 1)(*x)
    np.testing.assert_allclose(found.numpy(), (function(*x) * 2 + 1).numpy(), rtol=1e-6)


def test_running_extremes_keep_the_last_of_equal_places_and_nan() -> None:
    x = torch.tensor([1.0, 3.0, 3.0, 2.0, float("nan"), 9.0])
    values, indices = torch.cummax(x, 0)
    assert indices.tolist() == [0, 1, 2, 2, 4, 4] and values[4:].isnan().all()


def test_unique_inverse_and_counts() -> None:
    x = t(WHOLE)
    found, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(found[inverse].numpy(), WHOLE)
    assert counts.sum() == WHOLE.size
    runs, back, lengths = torch.unique_consecutive(torch.tensor([1, 1, 2, 2, 2, 1]), True, True)
    assert (runs.tolist(), back.tolist(), lengths.tolist()) == ([1, 2, 1], [0, 0, 1, 1, 1, 2], [2, 3, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.gcd(t(X), t(Y)), "not implemented for"),
        (lambda: torch.quantile(t(X), 2.0), r"range \[0, 1\]"),
        (lambda: torch.quantile(t(X), 0.5, interpolation="cubic"), "interpolation must be one of"),
        (lambda: torch.bincount(t(WHOLE.ravel())), "non-negative"),
        (lambda: torch.bucketize(t(X), t(X)), "must be 1 dimension"),
        (lambda: torch.histc(t(np.array([np.inf])), 3), "not finite"),
        (lambda: torch.renorm(t(X), 2, 0, -1.0), "maxnorm"),
        (lambda: torch.gradient(t(X[:1])), "edge_order"),
        (lambda: torch.cov(t(X[None])), "two or fewer dimensions"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()


def test_older_forms_with_a_number_first() -> None:
    """`x.add_(number, tensor)` and its kin, as optimizers were written before PyTorch 1.5."""
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # told once a process
        assert torch.equal(torch.add(x, 2, y), x + 2 * y)
        assert torch.equal(x.clone().add_(2, y), x + 2 * y)
        assert torch.equal(x.sub(0.5, y), x - 0.5 * y)
        assert torch.equal(x.clone().mul_(0.9).addcmul_(0.1, y, y), 0.9 * x + 0.1 * y * y)
        assert torch.equal(x.addcdiv(-0.1, y, x), x - 0.1 * y / x)
    assert torch.randint_like(x, high=2).max() < 2


def test_whole_numbers_by_name() -> None:
    for options in ({"low": 5}, {"high": 5}, {"low": 0, "high": 5}):
        torch.manual_seed(0)
        assert torch.equal(torch.randint(size=(9,), **options), _of_five())


def _of_five() -> torch.Tensor:
    return torch.randint(5, (9,), generator=torch.Generator().manual_seed(0))


def test_the_larger_of_two_goes_where_it_is_told() -> None:
    largest, x = torch.tensor([1.0, 5.0]), torch.tensor([3.0, 4.0])
    assert torch.max(largest, x, out=largest) is largest
    assert largest.tolist() == [3, 5]
    assert torch.min(largest, x, out=largest).tolist() == [3, 4]


def test_signs_steps_and_floors_of_special_numbers() -> None:
    x = torch.tensor([float("nan"), float("inf"), -2.0, 0.0])
    assert x.sign().tolist() == x.sgn().tolist() == [0, 1, -1, 0]
    assert torch.sign(torch.tensor([True, False])).tolist() == [True, False]
    assert torch.heaviside(x, torch.full((4,), 7.0)).tolist() == [0, 1, 0, 7]
    assert torch.heaviside(torch.tensor([0, 2]), torch.tensor([5, 6])).dtype is torch.int64
    assert bool(torch.floor_divide(torch.tensor(float("inf")), 1.0).isnan())
    assert torch.div(torch.tensor(1.0), 0.1, rounding_mode="floor") == 9


def test_norms_of_half_precision_do_not_overflow_on_the_way() -> None:
    x = torch.full((4,), 300.0, dtype=torch.float16).requires_grad_()
    x.norm().backward()
    assert x.norm() == 600 and x.grad.tolist() == [0.5] * 4


def test_numpy_numbers_count_as_numbers() -> None:
    """A float64 of NumPy beside a float32 tensor, on either side, is a number: the result is float32."""
    x, two = torch.tensor([1.0, 4.0]), np.float64(2.0)
    for found, expected in (
        (two - x, 2 - x), (two / x, 2 / x), (two**x, 2**x), (x - two, x - 2), (two * x.sum(), 2 * x.sum()),
        (two - x.sum(), 2 - x.sum()), (x.sum(np.int64(0)), x.sum()), (x.roll(np.int64(1)), x.roll(1)),
    ):  # fmt: skip
        assert found.dtype is torch.float32
        assert torch.equal(found, expected)
