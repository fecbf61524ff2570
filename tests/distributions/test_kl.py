"""Kullback-Leibler divergences against integrals and sums; dispatch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import flambeau as torch
import flambeau.distributions as D
from flambeau.distributions.kl import _KL_MEMOIZE, _KL_REGISTRY


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


FAMILIES: dict[str, Callable[[], D.Distribution]] = {
    "Bernoulli": lambda: D.Bernoulli(t(0.3, 0.8)),
    "Beta": lambda: D.Beta(t(1.5, 3.0), t(2.0, 1.2)),
    "Binomial": lambda: D.Binomial(6, t(0.3, 0.8)),
    "Cauchy": lambda: D.Cauchy(t(0.3, 0.8), t(1.0, 0.5)),
    "ContinuousBernoulli": lambda: D.ContinuousBernoulli(t(0.3, 0.8)),
    "Exponential": lambda: D.Exponential(t(1.3, 0.8)),
    "Gamma": lambda: D.Gamma(t(1.5, 3.0), t(2.0, 1.2)),
    "Geometric": lambda: D.Geometric(t(0.3, 0.8)),
    "Gumbel": lambda: D.Gumbel(t(0.3, -0.8), t(1.0, 1.5)),
    "HalfNormal": lambda: D.HalfNormal(t(0.3, 0.8)),
    "Laplace": lambda: D.Laplace(t(0.3, -0.8), t(1.0, 1.5)),
    "Normal": lambda: D.Normal(t(0.3, -0.8), t(1.0, 0.5)),
    "Pareto": lambda: D.Pareto(t(0.5, 1.8), t(3.0, 5.5)),
    "Poisson": lambda: D.Poisson(t(0.3, 3.0)),
    "Uniform": lambda: D.Uniform(t(0.3, 0.1), t(0.9, 0.8)),
}
OTHERS: dict[str, Callable[[], D.Distribution]] = {
    "Bernoulli": lambda: D.Bernoulli(t(0.5, 0.4)),
    "Beta": lambda: D.Beta(t(2.5, 1.0), t(1.0, 2.2)),
    "Binomial": lambda: D.Binomial(6, t(0.5, 0.4)),
    "Cauchy": lambda: D.Cauchy(t(0.0, 1.8), t(1.3, 0.2)),
    "ContinuousBernoulli": lambda: D.ContinuousBernoulli(t(0.6, 0.4)),
    "Exponential": lambda: D.Exponential(t(0.3, 2.8)),
    "Gamma": lambda: D.Gamma(t(2.5, 1.0), t(1.0, 2.2)),
    "Geometric": lambda: D.Geometric(t(0.5, 0.4)),
    "Gumbel": lambda: D.Gumbel(t(0.0, 0.8), t(1.3, 2.5)),
    "HalfNormal": lambda: D.HalfNormal(t(0.5, 0.4)),
    "Laplace": lambda: D.Laplace(t(0.0, 0.8), t(1.3, 0.9)),
    "Normal": lambda: D.Normal(t(0.0, 1.8), t(1.3, 1.2)),
    "Pareto": lambda: D.Pareto(t(0.2, 0.05), t(2.0, 3.5)),
    "Poisson": lambda: D.Poisson(t(0.5, 2.0)),
    "Uniform": lambda: D.Uniform(t(-3.0, -2.0), t(4.0, 6.0)),
}
PAIRS = sorted(
    (p.__name__, q.__name__) for p, q in _KL_REGISTRY if p.__name__ in FAMILIES and q.__name__ in OTHERS
)


def line(p: D.Distribution) -> tuple[np.ndarray, np.ndarray]:
    """Values of p and their weights in an integral over its support, (n, 2) each, by the double exponential rule."""
    v = np.linspace(-4.5, 4.5, 3001)[:, None] * np.ones(2)
    s, step = np.sinh(v) * math.pi / 2, 9 / 3000 * np.cosh(v) * math.pi / 2
    if isinstance(p, D.Cauchy):
        return np.sinh(s), np.cosh(s) * step
    if isinstance(p, D.Normal | D.Laplace | D.Gumbel):
        return s, step
    if isinstance(p, D.Exponential | D.Gamma | D.HalfNormal | D.Pareto):
        start = p.scale.numpy() if isinstance(p, D.Pareto) else 0.0
        return start + np.exp(s), np.exp(s) * step
    low, high = (p.low.numpy(), p.high.numpy()) if isinstance(p, D.Uniform) else (0.0, 1.0)
    share = 1 / (1 + np.exp(-2 * s))
    return low + (high - low) * share, (high - low) * 2 * share * (1 - share) * step


def integral(p: D.Distribution, q: D.Distribution) -> np.ndarray:
    """KL(p || q) by a sum over values or an integral."""
    if p.support.is_discrete:
        count = {D.Bernoulli: 2, D.Binomial: 7}.get(type(p), 80)
        x, weights = np.arange(float(count))[:, None] * np.ones(2), np.ones(2)
    else:
        x, weights = line(p)
    log_p, log_q = (d.log_prob(torch.tensor(x)) for d in (p, q))
    terms = log_p.exp() * (log_p - log_q) * torch.tensor(weights)
    return terms.nan_to_num(0.0, 0.0, 0.0).sum(0).numpy()


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Values at the very ends of a support round out of it."""
    D.Distribution.set_default_validate_args(False)
    yield
    D.Distribution.set_default_validate_args(True)


@pytest.mark.parametrize("pair", PAIRS, ids=["-".join(p) for p in PAIRS])
def test_divergences_are_integrals(pair: tuple[str, str], unchecked: None) -> None:
    p, q = FAMILIES[pair[0]](), OTHERS[pair[1]]()
    found = D.kl_divergence(p, q).numpy()
    if not np.isfinite(found).any():  # p has values that q has not
        assert not bool(q.support.check(p.sample((2000,))).all())
        return
    # The integral does not know of the corner in a Laplace density.
    limit = 1e-3 if "Laplace" in pair else 1e-6
    np.testing.assert_allclose(found, integral(p, q), rtol=limit, atol=1e-8)


@pytest.mark.parametrize("name", FAMILIES)
def test_no_divergence_from_itself(name: str) -> None:
    p = FAMILIES[name]()
    np.testing.assert_allclose(D.kl_divergence(p, p).numpy(), 0, atol=1e-12)


def test_vectors() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 3))
    p = D.MultivariateNormal(torch.tensor(rng.normal(size=3)), torch.tensor(a @ a.T + np.eye(3)))
    q = D.MultivariateNormal(torch.tensor(rng.normal(size=3)), torch.tensor(b @ b.T + np.eye(3)))
    inverse = np.linalg.inv(q.covariance_matrix.numpy())
    distance = (q.loc - p.loc).numpy()
    ratio = np.linalg.slogdet(q.covariance_matrix.numpy())[1] - np.linalg.slogdet(p.covariance_matrix.numpy())[1]
    expected = (np.trace(inverse @ p.covariance_matrix.numpy()) + distance @ inverse @ distance - 3 + ratio) / 2
    assert float(D.kl_divergence(p, q)) == pytest.approx(expected)


def test_low_rank_covariances() -> None:
    rng = np.random.default_rng(0)

    def low() -> D.LowRankMultivariateNormal:
        return D.LowRankMultivariateNormal(
            torch.tensor(rng.normal(size=4)), torch.tensor(rng.normal(size=(2, 4, 2))), torch.tensor(rng.uniform(0.5, 2, 4))
        )

    p, q = low(), low()
    full = [D.MultivariateNormal(d.loc, d.covariance_matrix) for d in (p, q)]
    expected = D.kl_divergence(*full).numpy()
    for a, b in itertools.product((p, full[0]), (q, full[1])):
        np.testing.assert_allclose(D.kl_divergence(a, b).numpy(), expected, rtol=1e-8)
    other = D.MultivariateNormal(torch.zeros(3), torch.eye(3))
    for a, b in ((p, other), (other, p), (full[0], other)):
        with pytest.raises(ValueError, match="different event shapes cannot be computed"):
            D.kl_divergence(a, b)


def test_dirichlet_of_two_is_beta() -> None:
    found = D.kl_divergence(D.Dirichlet(t(1.5, 2.0)), D.Dirichlet(t(2.5, 1.0)))
    assert float(found) == pytest.approx(float(D.kl_divergence(D.Beta(1.5, 2.0), D.Beta(2.5, 1.0))), rel=1e-5)


def test_categories_that_never_come() -> None:
    p, q = D.Categorical(t(0.5, 0.5, 0.0)), D.Categorical(t(0.5, 0.25, 0.25))
    assert float(D.kl_divergence(p, q)) == pytest.approx(0.5 * math.log(2))
    assert float(D.kl_divergence(q, p)) == math.inf
    hot = [D.OneHotCategorical(d.probs) for d in (p, q)]
    assert float(D.kl_divergence(*hot)) == pytest.approx(0.5 * math.log(2))


def test_independent_and_transformed() -> None:
    p, q = FAMILIES["Normal"](), OTHERS["Normal"]()
    expected = D.kl_divergence(p, q)
    both = D.Independent(p, 1), D.Independent(q, 1)
    assert float(D.kl_divergence(*both)) == pytest.approx(float(expected.sum()))
    logs = D.LogNormal(p.loc, p.scale), D.LogNormal(q.loc, q.scale)
    np.testing.assert_allclose(D.kl_divergence(*logs).numpy(), expected.numpy())
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.Independent(p, 1), D.Independent(q, 0))
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.TransformedDistribution(p, D.TanhTransform()), D.TransformedDistribution(q, D.ExpTransform()))


def test_exponential_families_have_one_by_the_log_normalizer() -> None:
    class Rates(D.Exponential):
        pass

    from flambeau.distributions.exp_family import bregman_divergence

    for name in ("Bernoulli", "Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Normal", "Poisson"):
        p, q = FAMILIES[name](), OTHERS[name]()
        expected = D.kl_divergence(p, q).numpy()
        np.testing.assert_allclose(bregman_divergence(p, q).detach().numpy(), expected, rtol=1e-8, err_msg=name)
    p = D.Dirichlet(t(1.5, 2.0, 0.4))
    q = D.Dirichlet(t(0.5, 1.0, 3.4))
    assert float(bregman_divergence(p, q)) == pytest.approx(float(D.kl_divergence(p, q)))
    assert float(D.kl_divergence(Rates(1.0), Rates(2.0))) == pytest.approx(1 - math.log(2))


def test_entropies_by_the_log_normalizer() -> None:
    for name in ("Exponential", "Gamma", "Normal", "ContinuousBernoulli", "Bernoulli"):
        p = FAMILIES[name]()
        found = D.ExponentialFamily.entropy(p)
        np.testing.assert_allclose(found.detach().numpy(), p.entropy().numpy(), rtol=1e-8, err_msg=name)
    with pytest.raises(NotImplementedError):
        FAMILIES["Poisson"]().entropy()


def test_nearest_classes_win() -> None:
    class Mine(D.Normal):
        pass

    class Yours(D.Normal):
        pass

    before = dict(_KL_REGISTRY)
    try:
        assert float(D.kl_divergence(Mine(0.0, 1.0), Yours(0.0, 1.0))) == 0
        D.register_kl(Mine, D.Normal)(lambda p, q: torch.tensor(1.0))
        assert float(D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0))) == 1
        assert float(D.kl_divergence(D.Normal(0.0, 1.0), Mine(0.0, 1.0))) == 0
        D.register_kl(D.Normal, Yours)(lambda p, q: torch.tensor(2.0))
        with pytest.warns(RuntimeWarning, match=r"Ambiguous kl_divergence\(Mine, Yours\)"):
            D.kl_divergence(Mine(0.0, 1.0), Yours(0.0, 1.0))
    finally:
        _KL_REGISTRY.clear()
        _KL_REGISTRY.update(before)
        _KL_MEMOIZE.clear()


def test_unknown_pairs() -> None:
    with pytest.raises(NotImplementedError, match="p type Cauchy and q type Normal"):
        D.kl_divergence(D.Cauchy(0.0, 1.0), D.Normal(0.0, 1.0))
    with pytest.raises(TypeError, match="Expected type_q to be a Distribution subclass"):
        D.register_kl(D.Normal, int)
    with pytest.raises(NotImplementedError, match=r"q.total_count > p.total_count"):
        D.kl_divergence(D.Binomial(3, t(0.5)), D.Binomial(4, t(0.5)))


def test_gradients_are_finite_where_moments_are_infinite() -> None:
    alpha = t(0.5, 1.5, 3.0).requires_grad_()
    for q in (D.Exponential(t(1.0)), D.Gamma(t(1.0), t(2.0)), D.Normal(t(1.0), t(2.0))):
        divergence = D.kl_divergence(D.Pareto(t(1.0), alpha), q)
        (gradient,) = torch.autograd.grad(divergence[divergence.isfinite()].sum(), alpha)
        assert bool(gradient.isfinite().all())
