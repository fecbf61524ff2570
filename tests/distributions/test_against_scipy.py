"""Densities, distribution functions, entropies and moments against SciPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats as stats

import flambeau as torch
import flambeau.distributions as D

Case = tuple[Callable[[], D.Distribution], Any]


def t(*values: Any) -> torch.Tensor:
    return torch.tensor(values[0] if len(values) == 1 else list(values), dtype=torch.float64)


#: Ours, and SciPy's frozen distribution.
CONTINUOUS: dict[str, Case] = {
    "normal": (lambda: D.Normal(t(0.5, -1.0), t(2.0, 0.3)), stats.norm([0.5, -1.0], [2.0, 0.3])),
    "log normal": (lambda: D.LogNormal(t(0.2), t(0.7)), stats.lognorm(0.7, scale=np.exp(0.2))),
    "uniform": (lambda: D.Uniform(t(-1.0, 2.0), t(3.0, 2.5)), stats.uniform([-1.0, 2.0], [4.0, 0.5])),
    "beta": (lambda: D.Beta(t(0.5, 3.0), t(2.0, 1.5)), stats.beta([0.5, 3.0], [2.0, 1.5])),
    "gamma": (lambda: D.Gamma(t(0.5, 4.0), t(2.0, 0.3)), stats.gamma([0.5, 4.0], scale=[0.5, 1 / 0.3])),
    "chi2": (lambda: D.Chi2(t(1.0, 5.0)), stats.chi2([1.0, 5.0])),
    "inverse gamma": (lambda: D.InverseGamma(t(3.5), t(2.0)), stats.invgamma(3.5, scale=2.0)),
    "exponential": (lambda: D.Exponential(t(0.2, 3.0)), stats.expon(scale=[5.0, 1 / 3])),
    "laplace": (lambda: D.Laplace(t(1.0), t(0.4)), stats.laplace(1.0, 0.4)),
    "cauchy": (lambda: D.Cauchy(t(1.0), t(0.4)), stats.cauchy(1.0, 0.4)),
    "half normal": (lambda: D.HalfNormal(t(0.4, 2.0)), stats.halfnorm(scale=[0.4, 2.0])),
    "half Cauchy": (lambda: D.HalfCauchy(t(0.4)), stats.halfcauchy(scale=0.4)),
    "Gumbel": (lambda: D.Gumbel(t(1.0), t(0.4)), stats.gumbel_r(1.0, 0.4)),
    "Pareto": (lambda: D.Pareto(t(2.0), t(3.5)), stats.pareto(3.5, scale=2.0)),
    "generalized Pareto": (
        lambda: D.GeneralizedPareto(t(1.0), t(2.0), t(-0.3, 0.0, 0.4)),
        stats.genpareto([-0.3, 0.0, 0.4], 1.0, 2.0),
    ),
    "Student": (lambda: D.StudentT(t(3.0, 7.0), t(1.0), t(2.0)), stats.t([3.0, 7.0], 1.0, 2.0)),
    "Fisher": (lambda: D.FisherSnedecor(t(3.0), t(7.0)), stats.f(3.0, 7.0)),
    "von Mises": (lambda: D.VonMises(t(0.5), t(0.1, 3.0, 40.0)), stats.vonmises([0.1, 3.0, 40.0], 0.5)),
    "Weibull": (lambda: D.Weibull(t(2.0), t(1.7)), stats.weibull_min(1.7, scale=2.0)),
}
DISCRETE: dict[str, Case] = {
    "Bernoulli": (lambda: D.Bernoulli(t(0.2, 0.9)), stats.bernoulli([0.2, 0.9])),
    "Bernoulli of logits": (lambda: D.Bernoulli(logits=t(-1.0)), stats.bernoulli(1 / (1 + np.e))),
    "binomial": (lambda: D.Binomial(9, t(0.2, 0.9)), stats.binom(9, [0.2, 0.9])),
    "geometric": (lambda: D.Geometric(t(0.2, 0.9)), stats.geom([0.2, 0.9], loc=-1)),
    "negative binomial": (lambda: D.NegativeBinomial(t(3.5), t(0.4)), stats.nbinom(3.5, 0.6)),
    "Poisson": (lambda: D.Poisson(t(0.3, 6.0)), stats.poisson([0.3, 6.0])),
}
CASES = {**CONTINUOUS, **DISCRETE}
#: Means and variances of angles are those of the circle, not of numbers.
CIRCULAR = {"von Mises"}


def points(name: str) -> np.ndarray:
    """Values from all of the distribution, (n, *batch)."""
    return np.stack([np.asarray(CASES[name][1].ppf(q)) for q in (0.02, 0.3, 0.5, 0.8, 0.97)])


@pytest.mark.parametrize("name", CASES)
def test_log_prob(name: str) -> None:
    ours, theirs = CASES[name][0](), CASES[name][1]
    x = points(name)
    expected = theirs.logpdf(x) if name in CONTINUOUS else theirs.logpmf(x)
    np.testing.assert_allclose(ours.log_prob(t(x)).numpy(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution_functions(name: str) -> None:
    ours, theirs = CASES[name][0](), CASES[name][1]
    x = points(name)
    try:
        found = ours.cdf(t(x))
    except NotImplementedError:
        assert name in ("beta", "Student", "Fisher", "von Mises")
        return
    np.testing.assert_allclose(found.numpy(), theirs.cdf(x), rtol=1e-8)
    try:
        back = ours.icdf(found)
    except NotImplementedError:
        assert name in ("gamma", "chi2", "inverse gamma")
        return
    np.testing.assert_allclose(back.numpy(), x, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_entropy(name: str) -> None:
    ours, theirs = CASES[name][0](), CASES[name][1]
    try:
        found = ours.entropy()
    except NotImplementedError:
        assert name in ("Fisher", "von Mises", "negative binomial", "Poisson")
        return
    np.testing.assert_allclose(found.numpy(), theirs.entropy(), rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in CASES if n not in CIRCULAR])
def test_mean_and_variance(name: str) -> None:
    ours, theirs = CASES[name][0](), CASES[name][1]
    if name in ("cauchy", "half Cauchy"):  # SciPy says NaN or infinite as it likes
        assert not bool(ours.variance.isfinite().any())
        return
    np.testing.assert_allclose(ours.mean.numpy(), theirs.mean(), rtol=1e-8)
    np.testing.assert_allclose(ours.variance.numpy(), theirs.var(), rtol=1e-8)
    np.testing.assert_allclose(ours.stddev.numpy(), theirs.std(), rtol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_the_mode_is_the_likeliest_value(name: str) -> None:
    ours = CASES[name][0]()
    mode = ours.mode
    known = mode.isfinite() & ours.support.check(mode)
    at_mode = ours.log_prob(torch.where(known, mode, t(points(name)[2])))
    around = ours.log_prob(t(points(name)))
    assert bool(((around <= at_mode + 1e-9) | ~known).all())


@pytest.mark.parametrize("name", CASES)
def test_samples_follow_the_distribution(name: str) -> None:
    torch.manual_seed(11)
    ours, theirs = CASES[name][0](), CASES[name][1]
    x = ours.sample((3000,)).numpy()
    assert bool(ours.support.check(t(x)).all())
    ranks = theirs.cdf(x)
    if name in DISCRETE:  # within the step of a value, each place as likely
        ranks = ranks - np.random.default_rng(0).random(ranks.shape) * theirs.pmf(x)
    for column in ranks.reshape(len(x), -1).T:
        assert stats.kstest(column % 1, "uniform").pvalue > 1e-4


# ---- vectors and matrices


def test_multivariate_normal() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 3))
    covariance, loc, x = a @ a.T + np.eye(3), rng.normal(size=3), rng.normal(size=(5, 3))
    expected = stats.multivariate_normal(loc, covariance)
    for given in (
        {"covariance_matrix": t(covariance)},
        {"precision_matrix": t(np.linalg.inv(covariance))},
        {"scale_tril": t(np.linalg.cholesky(covariance))},
    ):
        ours = D.MultivariateNormal(t(loc), **given)
        np.testing.assert_allclose(ours.log_prob(t(x)).numpy(), expected.logpdf(x), rtol=1e-9)
        np.testing.assert_allclose(float(ours.entropy()), expected.entropy(), rtol=1e-9)
        np.testing.assert_allclose(ours.covariance_matrix.numpy(), covariance, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours.variance.numpy(), np.diag(covariance), rtol=1e-9)


def test_low_rank_multivariate_normal_is_a_multivariate_normal() -> None:
    rng = np.random.default_rng(0)
    factor, diagonal, x = rng.normal(size=(2, 4, 2)), rng.uniform(0.5, 1, (2, 4)), rng.normal(size=(5, 2, 4))
    low = D.LowRankMultivariateNormal(t(np.zeros(4)), t(factor), t(diagonal))
    full = D.MultivariateNormal(t(np.zeros((2, 4))), low.covariance_matrix)
    np.testing.assert_allclose(low.log_prob(t(x)).numpy(), full.log_prob(t(x)).numpy(), rtol=1e-9)
    np.testing.assert_allclose(low.entropy().numpy(), full.entropy().numpy(), rtol=1e-9)
    np.testing.assert_allclose(low.scale_tril.numpy(), full.scale_tril.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(low.precision_matrix.numpy(), full.precision_matrix.numpy(), rtol=1e-8, atol=1e-10)


def test_dirichlet() -> None:
    c = np.array([0.7, 2.0, 3.5])
    ours, theirs = D.Dirichlet(t(c)), stats.dirichlet(c)
    x = np.array([0.2, 0.5, 0.3])
    assert float(ours.log_prob(t(x))) == pytest.approx(theirs.logpdf(x))
    assert float(ours.entropy()) == pytest.approx(theirs.entropy())
    np.testing.assert_allclose(ours.mean.numpy(), theirs.mean())
    np.testing.assert_allclose(ours.variance.numpy(), theirs.var())
    torch.manual_seed(0)
    np.testing.assert_allclose(ours.sample((4000,)).mean(0).numpy(), theirs.mean(), atol=0.02)


def test_multinomial() -> None:
    p = np.array([0.2, 0.5, 0.3])
    ours, theirs = D.Multinomial(7, t(p)), stats.multinomial(7, p)
    x = np.array([1.0, 4.0, 2.0])
    assert float(ours.log_prob(t(x))) == pytest.approx(theirs.logpmf(x))
    assert float(ours.entropy()) == pytest.approx(theirs.entropy())
    torch.manual_seed(0)
    drawn = ours.sample((4000,))
    assert bool((drawn.sum(-1) == 7).all())
    np.testing.assert_allclose(drawn.mean(0).numpy(), 7 * p, atol=0.1)


def test_wishart() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 3))
    scale = a @ a.T + np.eye(3)
    ours, theirs = D.Wishart(t(5.5), t(scale)), stats.wishart(5.5, scale)
    x = theirs.rvs(random_state=3)
    assert float(ours.log_prob(t(x))) == pytest.approx(theirs.logpdf(x))
    assert float(ours.entropy()) == pytest.approx(theirs.entropy())
    np.testing.assert_allclose(ours.mean.numpy(), theirs.mean())
    np.testing.assert_allclose(ours.variance.numpy(), theirs.var())
    torch.manual_seed(0)
    np.testing.assert_allclose(ours.sample((3000,)).mean(0).numpy(), theirs.mean(), rtol=0.15, atol=0.8)


def test_categories() -> None:
    ours = D.Categorical(t([[1.0, 3.0, 4.0], [2.0, 2.0, 0.0]]))
    p = np.array([[1.0, 3.0, 4.0], [2.0, 2.0, 0.0]])
    p /= p.sum(-1, keepdims=True)
    np.testing.assert_allclose(ours.probs.numpy(), p)
    np.testing.assert_allclose(ours.entropy().numpy(), [stats.entropy(row) for row in p], atol=1e-12)
    found = ours.log_prob(torch.tensor([2, 0])).exp().numpy()
    np.testing.assert_allclose(found, [0.5, 0.5])
    torch.manual_seed(0)
    drawn = ours.sample((5000,))
    for category in range(3):
        np.testing.assert_allclose((drawn == category).double().mean(0).numpy(), p[:, category], atol=0.03)


def test_correlation_matrices_of_two_variables() -> None:
    """For two variables r is 2 b - 1 of a beta number b; concentration 1 is uniform."""
    ours = D.LKJCholesky(2, t(1.7))
    r = np.array([-0.6, 0.1, 0.8])
    factors = np.zeros((3, 2, 2))
    factors[:, 0, 0], factors[:, 1, 0], factors[:, 1, 1] = 1, r, np.sqrt(1 - r**2)
    # L has one free number, r, so its density is that of r.
    expected = stats.beta(1.7, 1.7).logpdf((r + 1) / 2) - np.log(2)
    np.testing.assert_allclose(ours.log_prob(t(factors)).numpy(), expected, rtol=1e-9)
    torch.manual_seed(0)
    drawn = ours.sample((3000,))[:, 1, 0].numpy()
    assert stats.kstest((drawn + 1) / 2, stats.beta(1.7, 1.7).cdf).pvalue > 1e-4
