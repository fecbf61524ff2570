"""Poisson, binomial, gamma and Dirichlet numbers: their distributions and implicit gradients."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

import flambeau as torch
from flambeau.ops.implicit_gradients import dirichlet_gradient, gamma_gradient


def slope(function: object, at: float, step: float) -> float:
    """Five-point finite difference."""
    f = function  # type: ignore[assignment]
    return (8 * (f(at + step) - f(at - step)) - (f(at + 2 * step) - f(at - 2 * step))) / (12 * step)


@pytest.mark.parametrize("a", [0.05, 0.4, 1.0, 2.7, 8.0, 60.0, 900.0])
@pytest.mark.parametrize("quantile", [0.01, 0.3, 0.8, 0.99])
def test_a_gamma_number_stays_at_its_quantile(a: float, quantile: float) -> None:
    x = scipy.special.gammaincinv(a, quantile)
    expected = slope(lambda b: scipy.special.gammaincinv(b, quantile), a, 1e-3 * a)
    found = gamma_gradient(np.array([a]), np.array([x]))
    np.testing.assert_allclose(found, [expected], rtol=2e-6)


@pytest.mark.parametrize("a", [0.2, 1.0, 3.0, 40.0])
@pytest.mark.parametrize("b", [0.2, 1.0, 3.0, 40.0])
@pytest.mark.parametrize("quantile", [0.01, 0.4, 0.9])
def test_a_beta_number_stays_at_its_quantile(a: float, b: float, quantile: float) -> None:
    x = scipy.special.betaincinv(a, b, quantile)
    expected = slope(lambda c: scipy.special.betaincinv(c, b, quantile), a, 1e-3 * a)
    found = dirichlet_gradient(np.array([x]), np.array([a]), np.array([a + b])) * (1 - x)
    np.testing.assert_allclose(found, [expected], rtol=1e-5, atol=1e-12)


def test_gradients_outside_of_the_range_are_nan() -> None:
    assert np.isnan(gamma_gradient(np.array([-1.0, 1.0]), np.array([1.0, -1.0]))).all()
    assert np.isnan(dirichlet_gradient(np.array([2.0]), np.array([1.0]), np.array([2.0]))).all()


def test_gradients_at_the_ends_are_finite() -> None:
    assert np.isfinite(gamma_gradient(np.array([0.5]), np.array([0.0]))).all()
    x = np.array([0.0, 1.0])
    assert np.isfinite(dirichlet_gradient(x, np.array([0.5, 0.5]), np.array([1.0, 1.0]))).all()


@pytest.mark.parametrize("stored", ["float32", "float64"])
def test_gradients_keep_dtype_and_shape(stored: str) -> None:
    a = torch.full((2, 3), 1.5, dtype=getattr(torch, stored), requires_grad=True)
    x = torch._standard_gamma(a)
    x.sum().backward()
    assert x.dtype == a.grad.dtype == a.dtype
    assert a.grad.shape == (2, 3)


def test_many_gradients_at_once_equal_single_ones() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0.1, 30, 9000)
    x = rng.gamma(a)
    found = gamma_gradient(a, x)
    some = slice(4090, 4110)
    np.testing.assert_allclose(found[some], gamma_gradient(a[some].copy(), x[some].copy()), rtol=1e-12)


def test_gradient_of_a_mean_of_gamma_numbers() -> None:
    """d E[x^2] / da for E[x^2] = a (a + 1)."""
    torch.manual_seed(0)
    a = torch.full((20000,), 2.0, dtype=torch.float64, requires_grad=True)
    (torch._standard_gamma(a) ** 2).mean().backward()
    assert float(a.grad.sum()) == pytest.approx(2 * 2.0 + 1, rel=0.05)


def test_gradient_of_dirichlet_numbers() -> None:
    """d E[x_0] / dc for E[x_0] = c_0 / sum c; a row sums to one, so its gradient by the sum is 0."""
    torch.manual_seed(0)
    c = torch.tensor([1.5, 2.0, 0.5], dtype=torch.float64, requires_grad=True)
    x = torch._sample_dirichlet(c.expand(20000, 3))
    (gradient,) = torch.autograd.grad(x[:, 0].mean(), c)
    total = 4.0
    expected = [1 / total - 1.5 / total**2, -1.5 / total**2, -1.5 / total**2]
    np.testing.assert_allclose(gradient.numpy(), expected, atol=0.01)
    c2 = c.detach().requires_grad_()
    torch._sample_dirichlet(c2.expand(50, 3)).sum().backward()
    np.testing.assert_allclose(c2.grad.numpy(), 0, atol=1e-12)


def test_dirichlet_numbers_lie_on_the_simplex() -> None:
    x = torch._sample_dirichlet(torch.full((100, 4), 1e-3))
    assert bool((x > 0).all()) and bool((x < 1).all())
    np.testing.assert_allclose(x.sum(-1).numpy(), 1, atol=1e-6)


@pytest.mark.parametrize("rate", [0.3, 6.0, 25.0])
def test_poisson_counts(rate: float) -> None:
    torch.manual_seed(1)
    x = torch.poisson(torch.full((5000,), rate)).numpy()
    values = np.arange(0, int(rate + 6 * rate**0.5 + 3))
    found = np.array([(x == v).mean() for v in values])
    np.testing.assert_allclose(found, scipy.stats.poisson.pmf(values, rate), atol=0.03)


@pytest.mark.parametrize(("count", "prob"), [(5, 0.3), (60, 0.7), (200, 0.1)])
def test_binomial_counts(count: int, prob: float) -> None:
    torch.manual_seed(1)
    n = torch.full((5000,), float(count))
    x = torch.binomial(n, torch.full((5000,), prob)).numpy()
    values = np.arange(count + 1)
    found = np.array([(x == v).mean() for v in values])
    np.testing.assert_allclose(found, scipy.stats.binom.pmf(values, count, prob), atol=0.03)


def test_gamma_numbers() -> None:
    torch.manual_seed(1)
    for a in (0.3, 1.0, 7.0):
        x = torch._standard_gamma(torch.full((4000,), a, dtype=torch.float64)).numpy()
        assert scipy.stats.kstest(x, scipy.stats.gamma(a).cdf).pvalue > 1e-4


def test_poisson_takes_no_gradient() -> None:
    rate = torch.tensor([3.0], requires_grad=True)
    torch.poisson(rate).sum().backward()
    assert float(rate.grad) == 0


def test_binomial_has_no_derivative() -> None:
    prob = torch.tensor([0.3], requires_grad=True)
    with pytest.raises(RuntimeError, match="derivative for aten::binomial is not implemented"):
        torch.binomial(torch.tensor([3.0]), prob).sum().backward()


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="expected rate to be non-negative"):
        torch.poisson(torch.tensor([-1.0]))
    with pytest.raises(RuntimeError, match="Found dtype Double but expected Float"):
        torch.binomial(torch.tensor([3.0]), torch.tensor([0.5]).double())
    with pytest.raises(ValueError, match="only supports floating-point dtypes for prob, got: Long"):
        torch.binomial(torch.ones(2), torch.tensor([1, 1]))
    with pytest.raises(NotImplementedError, match="\"poisson_cpu\" not implemented for 'Long'"):
        torch.poisson(torch.tensor([1, 1]))
    with pytest.raises(NotImplementedError, match="\"gamma_cpu\" not implemented for 'Long'"):
        torch._standard_gamma(torch.tensor([1, 2]))
    with pytest.raises(NotImplementedError, match="\"dirichlet\" not implemented for 'Half'"):
        torch._sample_dirichlet(torch.ones(2, dtype=torch.float16))
    with pytest.raises(NotImplementedError, match="not implemented for 'BFloat16'"):
        torch.binomial(torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16))


def test_a_generator_of_its_own() -> None:
    rates = torch.full((50,), 20.0)
    first = torch.poisson(rates, generator=torch.Generator().manual_seed(5))
    again = torch.poisson(rates, generator=torch.Generator().manual_seed(5))
    assert bool((first == again).all())


@pytest.mark.parametrize("name", ["_standard_gamma", "poisson", "binomial"])
def test_numbers_do_not_depend_on_how_many_are_drawn_at_once(name: str) -> None:
    """What is read ahead is given back: also the words of the generator that come next are the same."""
    rates = torch.linspace(0.1, 30, 700, dtype=torch.float64)
    arguments = (rates.round() + 20, rates / 31) if name == "binomial" else (rates,)
    draw = getattr(torch, name)
    at_once, one_by_one = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    all_of_them = draw(*arguments, generator=at_once)
    single = [draw(*[a[i : i + 1] for a in arguments], generator=one_by_one) for i in range(700)]
    assert all_of_them.equal(torch.cat(single))
    assert at_once.get_state().equal(one_by_one.get_state())


def test_an_error_gives_back_what_was_read_ahead() -> None:
    generator, expected = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    torch.poisson(torch.tensor([2.0]), generator=expected)
    with pytest.raises(RuntimeError, match="non-negative"):
        torch.poisson(torch.tensor([2.0, -1.0]), generator=generator)
    assert generator.get_state().equal(expected.get_state())


def test_special_parameters() -> None:
    x = torch.binomial(torch.tensor([9.0, 9.0, 0.0, 9.0]), torch.tensor([0.0, 1.0, 0.5, float("nan")]))
    assert x[:3].tolist() == [0, 9, 0] and bool(x[3].isnan())
    assert float(torch.poisson(torch.tensor([0.0]))) == 0
    assert 0 < float(torch._standard_gamma(torch.tensor([0.0]))) < 1e-30
