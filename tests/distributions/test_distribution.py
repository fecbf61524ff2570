"""What all distributions share: shapes, validation, expansion, copies, gradients, compilation."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.distributions as D
from flambeau.autograd import gradcheck
from flambeau.distributions import constraints
from flambeau.distributions.utils import lazy_property


def t(*values: Any) -> torch.Tensor:
    return torch.tensor(values[0] if len(values) == 1 else list(values), dtype=torch.float64)


SPREAD = t([[1.5, 0.4], [0.4, 1.0]])
FACTOR = torch.linalg.cholesky(SPREAD)
#: A class, the tensors it is made of, and whether draws are differentiable by all of them.
FAMILIES: dict[str, tuple[Callable[..., D.Distribution], tuple[torch.Tensor, ...]]] = {
    "Normal": (D.Normal, (t(0.1, 2.0), t(1.0, 0.4))),
    "LogNormal": (D.LogNormal, (t(0.1, 1.0), t(1.0, 0.4))),
    "Uniform": (D.Uniform, (t(0.1, 1.0), t(1.0, 2.4))),
    "Bernoulli": (D.Bernoulli, (t(0.1, 0.6),)),
    "Bernoulli logits": (lambda x: D.Bernoulli(logits=x), (t(0.1, -2.0),)),
    "ContinuousBernoulli": (D.ContinuousBernoulli, (t(0.1, 0.6),)),
    "Binomial": (lambda p: D.Binomial(5, p), (t(0.1, 0.6),)),
    "Categorical": (D.Categorical, (t([[0.2, 0.8], [0.5, 0.5]]),)),
    "Categorical logits": (lambda x: D.Categorical(logits=x), (t([[0.2, 0.8], [-1.0, 2.0]]),)),
    "OneHotCategorical": (D.OneHotCategorical, (t([[0.2, 0.8], [0.5, 0.5]]),)),
    "Multinomial": (lambda p: D.Multinomial(4, p), (t([[0.2, 0.8], [0.5, 0.5]]),)),
    "Beta": (D.Beta, (t(0.7, 3.0), t(2.0, 1.4))),
    "Gamma": (D.Gamma, (t(0.7, 3.0), t(2.0, 1.4))),
    "Chi2": (D.Chi2, (t(1.7, 3.0),)),
    "InverseGamma": (D.InverseGamma, (t(3.7, 3.0), t(2.0, 1.4))),
    "Dirichlet": (D.Dirichlet, (t([[0.7, 2.0, 1.0]]),)),
    "Exponential": (D.Exponential, (t(0.7, 3.0),)),
    "Laplace": (D.Laplace, (t(0.1, 2.0), t(1.0, 0.4))),
    "Cauchy": (D.Cauchy, (t(0.1, 2.0), t(1.0, 0.4))),
    "HalfNormal": (D.HalfNormal, (t(1.0, 0.4),)),
    "HalfCauchy": (D.HalfCauchy, (t(1.0, 0.4),)),
    "Gumbel": (D.Gumbel, (t(0.1, 2.0), t(1.0, 0.4))),
    "Geometric": (D.Geometric, (t(0.1, 0.6),)),
    "NegativeBinomial": (D.NegativeBinomial, (t(2.0, 5.5), t(0.1, 0.6))),
    "Pareto": (D.Pareto, (t(1.0, 0.4), t(3.0, 2.5))),
    "GeneralizedPareto": (D.GeneralizedPareto, (t(0.1, 2.0), t(1.0, 0.4), t(0.2, -0.3))),
    "Poisson": (D.Poisson, (t(1.0, 8.0),)),
    "StudentT": (D.StudentT, (t(3.0, 5.0), t(0.1, 2.0), t(1.0, 0.4))),
    "FisherSnedecor": (D.FisherSnedecor, (t(3.0, 5.0), t(6.0, 7.0))),
    "VonMises": (D.VonMises, (t(0.1, 2.0), t(1.0, 0.4))),
    "Weibull": (D.Weibull, (t(1.0, 0.4), t(2.0, 0.8))),
    "Kumaraswamy": (D.Kumaraswamy, (t(1.0, 0.4), t(2.0, 0.8))),
    "LogisticNormal": (D.LogisticNormal, (t([[0.1, 2.0]]), t([[1.0, 0.4]]))),
    "MultivariateNormal": (D.MultivariateNormal, (t([[0.1, 2.0]]), SPREAD)),
    "MultivariateNormal scale": (
        lambda loc, scale: D.MultivariateNormal(loc, scale_tril=scale.tril()),
        (t([[0.1, 2.0]]), FACTOR),
    ),
    "LowRankMultivariateNormal": (
        D.LowRankMultivariateNormal,
        (t([[0.1, 2.0]]), t([[1.0], [0.4]]), t(0.5, 0.8)),
    ),
    "LKJCholesky": (lambda c: D.LKJCholesky(3, c), (t(1.0, 0.4),)),
    "Wishart": (D.Wishart, (t([4.0]), SPREAD)),
    "RelaxedBernoulli": (lambda p: D.RelaxedBernoulli(t(0.5), p), (t(0.1, 0.6),)),
    "RelaxedOneHotCategorical": (
        lambda p: D.RelaxedOneHotCategorical(t(0.5), p),
        (t([[0.2, 0.8], [0.5, 0.5]]),),
    ),
    "Independent": (lambda a, b: D.Independent(D.Normal(a, b), 1), (t([[0.1, 2.0]]), t([[1.0, 0.4]]))),
    "Mixture": (
        lambda p, a, b: D.MixtureSameFamily(D.Categorical(p), D.Normal(a, b)),
        (t([[0.2, 0.8]]), t([[0.1, 2.0]]), t([[1.0, 0.4]])),
    ),
    "Transformed": (
        lambda a, b: D.TransformedDistribution(D.Normal(a, b), [D.TanhTransform(), D.AffineTransform(1.0, 2.0)]),
        (t(0.1, 0.4), t(1.0, 0.4)),
    ),
}  # fmt: skip
families = pytest.mark.parametrize("name", FAMILIES)


def build(name: str) -> D.Distribution:
    make, parameters = FAMILIES[name]
    return make(*parameters)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    D.Distribution.set_default_validate_args(True)


# ---- shapes


@families
def test_shapes(name: str) -> None:
    distribution = build(name)
    batch, event = tuple(distribution.batch_shape), tuple(distribution.event_shape)
    of_categories = isinstance(distribution, D.Categorical | D.OneHotCategorical | D.Multinomial | D.MixtureSameFamily)
    for shape in ((), (3,), (2, 3), (0,)):
        if shape == (0,) and of_categories:
            continue  # multinomial() refuses to draw nothing, as in PyTorch
        drawn = distribution.sample(shape)
        assert tuple(drawn.shape) == shape + batch + event
        assert tuple(distribution.log_prob(drawn).shape) == shape + batch
        assert not drawn.requires_grad
    assert tuple(distribution.sample(torch.Size([2])).shape) == (2, *batch, *event)
    for what in ("mean", "variance", "mode"):
        try:
            assert tuple(getattr(distribution, what).shape) == batch + event, what
        except NotImplementedError:
            continue
    try:
        assert tuple(distribution.entropy().shape) == batch
    except NotImplementedError:
        return


@families
def test_draws_lie_in_the_support(name: str) -> None:
    distribution = build(name)
    assert bool(distribution.support.check(distribution.sample((50,))).all())


@families
def test_expanded_distributions_are_the_same_ones(name: str) -> None:
    distribution = build(name)
    shape = (4, *distribution.batch_shape)
    wide = distribution.expand(shape)
    assert type(wide) is type(distribution)
    assert tuple(wide.batch_shape) == shape and wide.event_shape == distribution.event_shape
    drawn = wide.sample()
    assert tuple(drawn.shape) == shape + tuple(wide.event_shape)
    np.testing.assert_allclose(wide.log_prob(drawn).numpy(), distribution.log_prob(drawn).numpy(), rtol=1e-9)
    again = wide.expand((2, *shape))
    assert tuple(again.sample().shape) == (2, *shape, *wide.event_shape)
    assert wide._validate_args == distribution._validate_args


@families
def test_enumerated_values_have_all_the_probability(name: str) -> None:
    distribution = build(name)
    if not distribution.has_enumerate_support:
        with pytest.raises(NotImplementedError):
            distribution.enumerate_support()
        return
    values = distribution.enumerate_support()
    assert tuple(values.shape[1:]) == tuple(distribution.batch_shape + distribution.event_shape)
    np.testing.assert_allclose(distribution.log_prob(values).exp().sum(0).numpy(), 1)
    narrow = distribution.enumerate_support(expand=False)
    assert narrow.expand(values.shape).equal(values)


# ---- gradients


@families
def test_gradients_of_log_prob(name: str) -> None:
    make, parameters = FAMILIES[name]
    value = make(*parameters).sample((3,))
    if value.is_floating_point() and name in ("Normal", "Gamma", "StudentT", "Gumbel"):
        value.requires_grad_()
    parameters = tuple(p.clone().requires_grad_() for p in parameters)

    def log_prob(value: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        distribution = make(*[(p + p.mT) / 2 if name in ("MultivariateNormal", "Wishart") and p.dim() == 2 and p.shape[0] == 2 else p for p in parameters])
        distribution._validate_args = False
        return distribution.log_prob(value)

    D.Distribution.set_default_validate_args(False)
    assert gradcheck(log_prob, (value, *parameters))


@families
def test_gradients_of_entropies(name: str) -> None:
    make, parameters = FAMILIES[name]
    try:
        make(*parameters).entropy()
    except NotImplementedError:
        return
    D.Distribution.set_default_validate_args(False)
    parameters = tuple(p.clone().requires_grad_() for p in parameters)

    def entropy(*parameters: torch.Tensor) -> torch.Tensor:
        if name in ("MultivariateNormal", "Wishart"):
            parameters = (parameters[0], (parameters[1] + parameters[1].mT) / 2)
        return make(*parameters).entropy()

    assert gradcheck(entropy, parameters)


#: Draws are implicit functions of these; test_draws.py looks at their gradients.
IMPLICIT = {
    "Beta", "Gamma", "Chi2", "InverseGamma", "Dirichlet", "StudentT", "FisherSnedecor", "Wishart",
}  # fmt: skip


@families
def test_gradients_of_draws(name: str) -> None:
    make, parameters = FAMILIES[name]
    if not make(*parameters).has_rsample:
        with pytest.raises(NotImplementedError):
            make(*parameters).rsample()
        return
    parameters = tuple(p.clone().requires_grad_() for p in parameters)
    drawn = make(*parameters).rsample((3,))
    assert drawn.requires_grad
    if name in IMPLICIT:
        gradients = torch.autograd.grad(drawn.sum(), parameters, allow_unused=True)
        assert all(bool(g.isfinite().all()) for g in gradients if g is not None)
        return

    def draw(*parameters: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        if name == "MultivariateNormal":
            parameters = (parameters[0], (parameters[1] + parameters[1].mT) / 2)
        return make(*parameters).rsample((3,))

    D.Distribution.set_default_validate_args(False)
    assert gradcheck(draw, parameters)


# ---- validation


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError) as raised:
        D.Normal(torch.zeros(2), torch.tensor([1.0, -1.0]))
    assert str(raised.value) == (
        "Expected parameter scale (Tensor of shape (2,)) of distribution Normal(loc: torch.Size([2]), "
        "scale: torch.Size([2])) to satisfy the constraint GreaterThan(lower_bound=0.0), but found invalid values:\n"
        "tensor([ 1., -1.])"
    )
    assert float(D.Normal(0.0, -1.0, validate_args=False).scale) == -1


def test_values_are_checked() -> None:
    with pytest.raises(ValueError, match=r"to be within the support \(Boolean\(\)\)"):
        D.Bernoulli(0.5).log_prob(torch.tensor(0.3))
    with pytest.raises(ValueError, match="must be a Tensor"):
        D.Normal(0.0, 1.0).log_prob(0.3)
    with pytest.raises(ValueError, match="right-most size of value must match event_shape"):
        D.Dirichlet(torch.ones(3)).log_prob(torch.ones(2))
    with pytest.raises(ValueError, match="not broadcastable"):
        D.Normal(torch.zeros(3), 1.0).log_prob(torch.zeros(2))


def test_checks_can_be_switched_off() -> None:
    D.Distribution.set_default_validate_args(False)
    assert bool(D.Normal(0.0, 1.0).log_prob(torch.tensor(float("nan"))).isnan())
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0, validate_args=True)
    with pytest.raises(ValueError):
        D.Distribution.set_default_validate_args("yes")


def test_a_distribution_of_a_user() -> None:
    class Half(D.Distribution):
        def __init__(self) -> None:
            super().__init__(torch.Size([2]))

        def rsample(self, sample_shape: Any = ()) -> torch.Tensor:
            return torch.full(self._extended_shape(sample_shape), 0.5)

        def log_prob(self, value: torch.Tensor) -> torch.Tensor:
            self._validate_sample(value)
            return torch.zeros(2)

    with pytest.warns(UserWarning, match="does not define `arg_constraints`"):
        half = Half()
    assert half.sample((3,)).tolist() == [[0.5, 0.5]] * 3
    with pytest.warns(UserWarning, match="does not define `support`"):
        half.log_prob(torch.zeros(2))
    for what in ("mean", "variance", "mode", "stddev"):
        with pytest.raises(NotImplementedError):
            getattr(half, what)
    for call in (half.entropy, half.perplexity, half.enumerate_support, lambda: half.cdf(1), lambda: half.icdf(1)):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(NotImplementedError):
        half.expand((3,))


def test_subclasses_that_change_init_expand_themselves() -> None:
    class Standard(D.Normal):
        def __init__(self) -> None:
            super().__init__(0.0, 1.0)

    class Named(D.Normal):
        pass

    with pytest.raises(NotImplementedError, match="Subclass Standard of Normal that defines a custom __init__"):
        Standard().expand((2,))
    assert type(Named(0.0, 1.0).expand((2,))) is Named


def test_one_parameter_is_given() -> None:
    for family in (D.Bernoulli, D.Categorical, D.Geometric, D.ContinuousBernoulli):
        for arguments in ((), (torch.ones(2), torch.ones(2))):
            with pytest.raises(ValueError, match="Either `probs` or `logits` must be specified, but not both"):
                family(*arguments)


# ---- parameters


@pytest.mark.parametrize("stored", ["float32", "float64"])
def test_dtypes(stored: str) -> None:
    dtype = getattr(torch, stored)
    for name, (make, parameters) in FAMILIES.items():
        if "Relaxed" in name:
            continue  # their temperature has a dtype of its own
        distribution = make(*[p.to(dtype) for p in parameters])
        drawn = distribution.sample()
        assert drawn.dtype == (torch.int64 if name.startswith("Categorical") else dtype), name
        assert distribution.log_prob(drawn).dtype == dtype, name


def test_numbers_and_tensors_mix() -> None:
    distribution = D.Normal(0, t(1.0, 2.0))
    assert distribution.loc.dtype == torch.float64 and tuple(distribution.batch_shape) == (2,)
    assert D.Normal(0, 1).loc.dtype == torch.float32 and D.Normal(0, 1).batch_shape == torch.Size()
    with pytest.raises(ValueError, match="must all be instances of Number"):
        D.Normal("0", 1.0)


def test_probabilities_and_logits() -> None:
    p = t(0.2, 0.7)
    for family in (D.Bernoulli, D.Geometric, lambda **k: D.Binomial(3, **k), D.ContinuousBernoulli):
        a = family(probs=p)
        b = family(logits=a.logits)
        np.testing.assert_allclose(b.probs.numpy(), p.numpy())
        assert a.param_shape == p.shape
        assert a._param is a.probs or a._param.equal(a.probs)
    rows = D.Categorical(t([[1.0, 3.0], [2.0, 2.0]]))
    np.testing.assert_allclose(rows.probs.numpy(), [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_allclose(D.Categorical(logits=rows.logits + 3).probs.numpy(), rows.probs.numpy())


def test_lazy_parameters_are_made_once_and_differentiably() -> None:
    p = t(0.2, 0.7).requires_grad_()
    distribution = D.Bernoulli(p)
    assert isinstance(D.Bernoulli.logits, lazy_property)
    with torch.no_grad():
        logits = distribution.logits
    assert distribution.logits is logits and logits.requires_grad


def test_reprs() -> None:
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(D.Categorical(torch.ones(2, 3))) == "Categorical(probs: torch.Size([2, 3]))"
    assert repr(build("Independent")) == "Independent(Normal(loc: torch.Size([1, 2]), scale: torch.Size([1, 2])), 1)"
    assert repr(D.LogNormal(0.0, 1.0)) == "LogNormal()"


@families
def test_copies(name: str) -> None:
    distribution = build(name)
    for again in (copy.deepcopy(distribution), pickle.loads(pickle.dumps(distribution))):
        value = distribution.sample()
        np.testing.assert_array_equal(again.log_prob(value).numpy(), distribution.log_prob(value).numpy())


def test_sample_n_warns() -> None:
    with pytest.warns(FutureWarning, match="sample_n"):
        assert tuple(D.Normal(0.0, 1.0).sample_n(4).shape) == (4,)


def test_perplexity() -> None:
    assert float(D.Categorical(torch.ones(8)).perplexity()) == pytest.approx(8)


def test_straight_through_gradients() -> None:
    p = t([0.2, 0.8]).requires_grad_()
    drawn = D.OneHotCategoricalStraightThrough(p).rsample()
    assert sorted(drawn.tolist()) == [0, 1]
    (drawn * t([1.0, 3.0])).sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), [-1.6, 0.4])


def test_every_public_class_explains_itself() -> None:
    for name in D.__all__:
        thing = getattr(D, name)
        assert inspect.getdoc(thing), name


# ---- mixtures and transformed distributions


def test_a_mixture_weighs_its_components() -> None:
    mixture = build("Mixture")
    x = t(0.3)
    expected = sum(
        w * float(D.Normal(a, b).log_prob(x).exp()) for w, a, b in ((0.2, t(0.1), t(1.0)), (0.8, t(2.0), t(0.4)))
    )
    assert float(mixture.log_prob(x).exp()) == pytest.approx(expected)
    drawn = mixture.sample((4000,))
    assert float(drawn.mean()) == pytest.approx(float(mixture.mean), abs=0.05)
    assert float(drawn.var()) == pytest.approx(float(mixture.variance), abs=0.1)
    assert float(mixture.cdf(t(1e6))) == pytest.approx(1)


def test_mixtures_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="instance of torch.distributions.Categorical"):
        D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(torch.zeros(2), 1.0))
    with pytest.raises(ValueError, match="does not equal"):
        D.MixtureSameFamily(D.Categorical(torch.ones(3)), D.Normal(torch.zeros(2), 1.0))
    with pytest.raises(ValueError, match="is not compatible with"):
        D.MixtureSameFamily(D.Categorical(torch.ones(3, 2)), D.Normal(torch.zeros(4, 2), 1.0))


def test_transforms_may_widen_the_base() -> None:
    wide = D.TransformedDistribution(D.Normal(t(0.0), t(1.0)), D.AffineTransform(t([1.0, 2.0, 3.0]), 2.0))
    assert tuple(wide.batch_shape) == (3,) and tuple(wide.sample().shape) == (3,)
    np.testing.assert_allclose(
        wide.log_prob(t([1.0, 1.0, 1.0])).numpy(), D.Normal(t([1.0, 2.0, 3.0]), t(2.0)).log_prob(t(1.0)).numpy()
    )


def test_falling_transforms_turn_the_distribution_function_round() -> None:
    mirrored = D.TransformedDistribution(D.Exponential(t(2.0)), D.AffineTransform(1.0, -3.0))
    x = t(-2.0)
    assert float(mirrored.cdf(x)) == pytest.approx(float(1 - D.Exponential(t(2.0)).cdf(t(1.0))))
    assert float(mirrored.icdf(mirrored.cdf(x))) == pytest.approx(-2.0)


def test_transformed_distributions_check_their_arguments() -> None:
    with pytest.raises(ValueError, match="transforms must be a Transform or list, but was 3"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), 3)
    with pytest.raises(ValueError, match="must be a Transform or a list of Transforms"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), [3])
    with pytest.raises(ValueError, match="size at least 1, but got"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform())


# ---- matrices


def test_low_df_warns() -> None:
    with pytest.warns(UserWarning, match="Low df values detected"):
        D.Wishart(t(1.5), SPREAD)
    with pytest.raises(ValueError, match="expected to be greater than ndim - 1 = 1"):
        D.Wishart(t(0.5), SPREAD)


def test_wishart_draws_move_with_the_scale() -> None:
    factor = FACTOR.clone().requires_grad_()
    torch.manual_seed(1)
    drawn = D.Wishart(t(5.0), scale_tril=factor).rsample()
    inner = torch.linalg.solve(FACTOR, torch.linalg.solve(FACTOR, drawn.detach()).mT).mT
    weights = t([[1.0, 2.0], [3.0, 4.0]])
    (gradient,) = torch.autograd.grad((drawn * weights).sum(), factor)
    expected = (weights + weights.mT) @ FACTOR @ inner
    np.testing.assert_allclose(gradient.numpy(), expected.numpy(), rtol=1e-8)


# ---- compiled programs


@pytest.mark.parametrize(
    "name",
    ["Normal", "Laplace", "Uniform", "Exponential", "Bernoulli", "Categorical logits", "Independent", "Transformed"],
)
def test_compiled_programs_draw_and_score(name: str) -> None:
    make, parameters = FAMILIES[name]

    def program(*parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        distribution = make(*parameters)
        drawn = distribution.sample()
        return drawn, distribution.log_prob(drawn)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = torch.compile(program, fullgraph=True)
        for seed in (0, 1):
            torch.manual_seed(seed)
            expected = program(*parameters)
            torch.manual_seed(seed)
            found = compiled(*parameters)
            for a, b in zip(expected, found, strict=True):
                np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-9)


def test_a_compiled_loss_of_an_autoencoder() -> None:
    def loss(loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        posterior = D.Independent(D.Normal(loc, scale), 1)
        prior = D.Independent(D.Normal(torch.zeros_like(loc), torch.ones_like(scale)), 1)
        z = posterior.rsample()
        likelihood = D.Bernoulli(logits=z).log_prob((z.detach() > 0).to(z.dtype)).sum(-1)
        return (D.kl_divergence(posterior, prior) - likelihood).mean()

    results = []
    for run in (loss, torch.compile(loss, fullgraph=True)):
        loc, scale = torch.linspace(-1, 1, 24).reshape(6, 4), torch.linspace(0.5, 1, 24).reshape(6, 4)
        loc.requires_grad_(), scale.requires_grad_()
        torch.manual_seed(0)
        value = run(loc, scale)
        value.backward()
        results.append((value.detach().numpy(), loc.grad.numpy(), scale.grad.numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_policy_learns_the_better_arm() -> None:
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    rewards = torch.tensor([0.0, 1.0, 0.2])
    for _ in range(100):
        policy = D.Categorical(logits=logits)
        action = policy.sample((16,))
        advantage = rewards[action] - rewards[action].mean()
        loss = -(policy.log_prob(action) * advantage).mean() - 0.01 * policy.entropy()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(D.Categorical(logits=logits).probs[1].detach()) > 0.9


def test_dependent_properties_of_users() -> None:
    class Below(D.Distribution):
        arg_constraints = {"top": constraints.positive}

        def __init__(self, top: torch.Tensor) -> None:
            self.top = top
            super().__init__(top.size())

        @constraints.dependent_property(is_discrete=False, event_dim=0)
        def support(self) -> constraints.Constraint:
            return constraints.interval(0.0, self.top)

    assert constraints.is_dependent(Below.support)
    below = Below(t(1.0, 2.0))
    below._validate_sample(t(0.5, 1.5))
    with pytest.raises(ValueError, match="within the support"):
        below._validate_sample(t(1.5, 1.5))
