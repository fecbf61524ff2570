"""Distributions against PyTorch: values, gradients, shapes, samples of one seed, divergences, messages."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.distributions as theirs
from torch.distributions.kl import _KL_REGISTRY as THEIR_PAIRS
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli as TheirLogitRelaxed
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical as TheirExpRelaxed

import flambeau as fl
import flambeau.distributions as ours
from flambeau.distributions.kl import _KL_REGISTRY as OUR_PAIRS
from flambeau.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from flambeau.distributions.relaxed_categorical import ExpRelaxedCategorical

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(5)


def positive(*shape: int) -> np.ndarray:
    return (RNG.random(shape) * 2 + 0.3).round(3)


def real(*shape: int) -> np.ndarray:
    return (RNG.random(shape) * 2 - 1).round(3)


def share(*shape: int) -> np.ndarray:
    return (RNG.random(shape) * 0.8 + 0.1).round(3)


def definite(*shape: int) -> np.ndarray:
    a = RNG.random(shape)
    return a @ a.swapaxes(-1, -2) + np.eye(shape[-1])


def triangle(*shape: int) -> np.ndarray:
    return np.linalg.cholesky(definite(*shape))


#: name, positional arguments, named arguments: arrays become tensors.
CASES: list[tuple[str, tuple, dict[str, Any]]] = [
    ("Normal", (real(3), positive(2, 3)), {}),
    ("Normal", (0.5, 2), {}),
    ("LogNormal", (real(3), positive(3)), {}),
    ("Uniform", (-positive(3), positive(3)), {}),
    ("Bernoulli", (share(4),), {}),
    ("Bernoulli", (), {"logits": real(2, 2)}),
    ("Bernoulli", (0.3,), {}),
    ("ContinuousBernoulli", (share(4),), {}),
    ("ContinuousBernoulli", (), {"logits": real(3)}),
    ("Binomial", (7, share(3)), {}),
    ("Binomial", (np.array([3.0, 5.0, 40.0]),), {"logits": real(3)}),
    ("Categorical", (positive(2, 5),), {}),
    ("Categorical", (), {"logits": real(4)}),
    ("OneHotCategorical", (positive(2, 4),), {}),
    ("OneHotCategoricalStraightThrough", (), {"logits": real(2, 4)}),
    ("Multinomial", (6, positive(2, 4)), {}),
    ("Multinomial", (5,), {"logits": real(3)}),
    ("Beta", (positive(3), positive(3)), {}),
    ("Beta", (2.0, 3.0), {}),
    ("Gamma", (positive(4), positive(4)), {}),
    ("Chi2", (positive(3) * 2,), {}),
    ("InverseGamma", (positive(3) + 2.5, positive(3)), {}),
    ("Dirichlet", (positive(2, 4),), {}),
    ("Exponential", (positive(3),), {}),
    ("Laplace", (real(3), positive(3)), {}),
    ("Cauchy", (real(3), positive(3)), {}),
    ("HalfNormal", (positive(3),), {}),
    ("HalfCauchy", (positive(3),), {}),
    ("Gumbel", (real(3), positive(3)), {}),
    ("Gumbel", (0.0, 1.0), {}),
    ("Geometric", (share(3),), {}),
    ("Geometric", (), {"logits": real(3)}),
    ("NegativeBinomial", (positive(3) * 3, share(3)), {}),
    ("NegativeBinomial", (4.0,), {"logits": real(2)}),
    ("Pareto", (positive(3), positive(3) + 2.2), {}),
    ("GeneralizedPareto", (real(4), positive(4), np.array([-0.4, 0.0, 0.2, 0.4])), {}),
    ("Poisson", (positive(3) * 4,), {}),
    ("StudentT", (positive(3) * 3, real(3), positive(3)), {}),
    ("FisherSnedecor", (positive(3) * 3, positive(3) * 4), {}),
    ("VonMises", (real(3), positive(3)), {}),
    ("Weibull", (positive(3), positive(3)), {}),
    ("Kumaraswamy", (positive(3), positive(3)), {}),
    ("LogisticNormal", (real(2, 3), positive(2, 3)), {}),
    ("MultivariateNormal", (real(2, 3),), {"covariance_matrix": definite(3, 3)}),
    ("MultivariateNormal", (real(3),), {"precision_matrix": definite(2, 3, 3)}),
    ("MultivariateNormal", (real(2, 3),), {"scale_tril": triangle(1, 3, 3)}),
    ("LowRankMultivariateNormal", (real(2, 4), real(4, 2), positive(4)), {}),
    ("LKJCholesky", (3, positive(2)), {}),
    ("Wishart", (positive(2) + 3,), {"covariance_matrix": definite(3, 3)}),
    ("Wishart", (np.array([4.5, 5.0]),), {"scale_tril": triangle(2, 3, 3)}),
    ("RelaxedBernoulli", (np.array(0.7), share(3)), {}),
    ("LogitRelaxedBernoulli", (np.array(0.7),), {"logits": real(3)}),
    ("RelaxedOneHotCategorical", (np.array(0.7), positive(2, 4)), {}),
    ("ExpRelaxedCategorical", (np.array(0.7),), {"logits": real(2, 4)}),
]
IDS = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]
cases = pytest.mark.parametrize("case", CASES, ids=IDS)

EXTRA = {
    "LogitRelaxedBernoulli": (TheirLogitRelaxed, LogitRelaxedBernoulli),
    "ExpRelaxedCategorical": (TheirExpRelaxed, ExpRelaxedCategorical),
}


def classes(name: str) -> tuple[type, type]:
    return EXTRA.get(name) or (getattr(theirs, name), getattr(ours, name))


def build(case: tuple, dtype: str = "float64", grad: bool = False) -> tuple[Any, Any, list, list]:
    """Both distributions of a case, and the tensors each was made of."""
    name, args, kwargs = case
    if name == "GeneralizedPareto":
        dtype = "float32"  # PyTorch refuses float64 there
    made, leaves = [], []
    for library, kind in zip((torch, fl), classes(name), strict=True):
        found: list = []

        def convert(value: Any, library: Any = library, found: list = found) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            tensor = library.tensor(value, dtype=getattr(library, dtype))
            found.append(tensor.requires_grad_(grad))
            return tensor

        positional = [convert(v) for v in args]
        made.append(kind(*positional, **{k: convert(v) for k, v in kwargs.items()}))
        leaves.append(found)
    return made[0], made[1], leaves[0], leaves[1]


def seed(number: int = 3) -> None:
    torch.manual_seed(number)
    fl.manual_seed(number)


def equal(expected: Any, found: Any, tolerance: float = 1e-9) -> None:
    assert tuple(expected.shape) == tuple(found.shape)
    assert str(expected.dtype).split(".")[-1] == str(found.dtype).split(".")[-1]
    if expected.dtype == torch.float32:
        tolerance = max(tolerance, 2e-5)
    np.testing.assert_allclose(
        found.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance * 0.1
    )


def tolerance_of(name: str) -> float:
    """PyTorch's Bessel functions have seven digits; the entropy of counts goes through float32 there."""
    return 1e-6 if name in ("VonMises", "Multinomial") else 1e-9


def drawn(expected: Any, name: str) -> tuple[Any, Any]:
    """Draws of PyTorch's distribution, as tensors of both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = expected.sample((4,))
    return values, fl.tensor(values.numpy())


@cases
def test_shapes_and_reprs(case: tuple) -> None:
    expected, found, _, _ = build(case)
    assert repr(found) == repr(expected)
    assert tuple(found.batch_shape) == tuple(expected.batch_shape)
    assert tuple(found.event_shape) == tuple(expected.event_shape)
    assert found.has_rsample == expected.has_rsample
    assert found.has_enumerate_support == expected.has_enumerate_support
    assert set(found.arg_constraints) == set(expected.arg_constraints)
    assert repr(found.support) == repr(expected.support)


@cases
def test_moments(case: tuple) -> None:
    expected, found, _, _ = build(case)
    for what in ("mean", "variance", "stddev", "mode"):
        try:
            value = getattr(expected, what)
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                getattr(found, what)
        else:
            equal(value, getattr(found, what), tolerance_of(case[0]))


@cases
def test_entropy_and_its_gradient(case: tuple) -> None:
    expected, found, their_leaves, our_leaves = build(case, grad=True)
    try:
        value = expected.entropy()
    except NotImplementedError:
        with pytest.raises(NotImplementedError):
            found.entropy()
        return
    equal(value, found.entropy(), tolerance_of(case[0]))
    if not value.requires_grad:
        return
    value.sum().backward()
    found.entropy().sum().backward()
    compare_gradients(their_leaves, our_leaves)


def compare_gradients(theirs: list, ours: list, tolerance: float = 1e-9) -> None:
    for a, b in zip(theirs, ours, strict=True):
        expected = np.zeros(a.shape) if a.grad is None else a.grad.numpy()
        found = np.zeros(a.shape) if b.grad is None else b.grad.numpy()
        if expected.dtype == np.float32:
            tolerance = max(tolerance, 5e-6)
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


@cases
@pytest.mark.parametrize("what", ["log_prob", "cdf"])
def test_values_and_gradients(case: tuple, what: str) -> None:
    expected, found, their_leaves, our_leaves = build(case, grad=True)
    their_value, our_value = drawn(expected, case[0])
    if their_value.is_floating_point():
        their_value.requires_grad_()
        our_value.requires_grad_()
        their_leaves, our_leaves = [*their_leaves, their_value], [*our_leaves, our_value]
    try:
        value = getattr(expected, what)(their_value)
    except NotImplementedError:
        with pytest.raises(NotImplementedError):
            getattr(found, what)(our_value)
        return
    tolerance = tolerance_of(case[0])
    equal(value, getattr(found, what)(our_value), tolerance)
    if case[0] in ("Gamma", "Chi2", "InverseGamma") and what == "cdf":
        return  # neither differentiates the incomplete gamma function by its first argument
    if value.requires_grad:
        value.sum().backward()
        getattr(found, what)(our_value).sum().backward()
        if "scale_tril" in case[2]:  # above the diagonal theirs is not 0, though nothing is read there
            their_leaves[1].grad.tril_()
        compare_gradients(their_leaves, our_leaves, max(tolerance, 1e-8))


@cases
def test_icdf(case: tuple) -> None:
    expected, found, _, _ = build(case)
    at = np.array([0.02, 0.3, 0.5, 0.9]).reshape((4,) + (1,) * len(expected.batch_shape))
    try:
        value = expected.icdf(torch.tensor(at))
    except (NotImplementedError, AttributeError):
        return
    equal(value, found.icdf(fl.tensor(at)))


@cases
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_samples_of_a_seed(case: tuple, dtype: str) -> None:
    expected, found, _, _ = build(case, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for shape in ((), (3, 2)):
            seed()
            a = expected.sample(shape)
            seed()
            b = found.sample(shape)
            equal(a, b, 1e-4 if dtype == "float32" else 1e-9)


#: Families whose draws depend on a shape parameter implicitly: PyTorch's derivative is a fit of three digits.
IMPLICIT = {"Beta", "Gamma", "Chi2", "InverseGamma", "Dirichlet", "StudentT", "FisherSnedecor", "Wishart"}


@cases
def test_gradients_of_samples(case: tuple) -> None:
    expected, found, their_leaves, our_leaves = build(case, grad=True)
    if not expected.has_rsample:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seed()
        a = expected.rsample((5,))
        seed()
        b = found.rsample((5,))
    equal(a, b)
    if not a.requires_grad or case[0] == "Wishart":  # PyTorch cannot differentiate those
        return
    weights = RNG.random(tuple(a.shape))
    (a * torch.tensor(weights)).sum().backward()
    (b * fl.tensor(weights)).sum().backward()
    compare_gradients(their_leaves, our_leaves, 3e-3 if case[0] in IMPLICIT else 1e-8)


@cases
def test_expand(case: tuple) -> None:
    expected, found, _, _ = build(case)
    shape = (2, *expected.batch_shape)
    a, b = expected.expand(shape), found.expand(list(shape))
    assert tuple(a.batch_shape) == tuple(b.batch_shape)
    assert tuple(a.event_shape) == tuple(b.event_shape)
    assert repr(a) == repr(b)
    values, ours_values = drawn(a, case[0])
    equal(a.log_prob(values), b.log_prob(ours_values), tolerance_of(case[0]))
    seed()
    a = a.sample()
    seed()
    equal(a, b.sample())
    equal(expected.mean, found.mean, tolerance_of(case[0])) if case[0] not in (
        "LogisticNormal", "LKJCholesky", "RelaxedBernoulli", "LogitRelaxedBernoulli", "RelaxedOneHotCategorical",
        "ExpRelaxedCategorical", "Kumaraswamy",
    ) else None  # fmt: skip


@cases
def test_enumerated_support(case: tuple) -> None:
    expected, found, _, _ = build(case)
    for expand in (True, False):
        try:
            values = expected.enumerate_support(expand=expand)
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                found.enumerate_support(expand=expand)
        else:
            equal(values, found.enumerate_support(expand=expand))


# ---- divergences

BY_NAME: dict[str, tuple] = {}
for _case in CASES:
    BY_NAME.setdefault(_case[0], _case)
OTHERS = {
    "Normal": ("Normal", (real(3), positive(3)), {}),
    "Uniform": ("Uniform", (np.array([-3.0, 0.2, 0.4]), np.array([4.0, 0.7, 0.9])), {}),
    "Beta": ("Beta", (positive(3), positive(3)), {}),
    "Binomial": ("Binomial", (7, share(3)), {}),
    "Exponential": ("Exponential", (positive(3),), {}),
    "Gamma": ("Gamma", (positive(3), positive(3)), {}),
    "ContinuousBernoulli": ("ContinuousBernoulli", (share(3),), {}),
    "Bernoulli": ("Bernoulli", (share(3),), {}),
    "Pareto": ("Pareto", (np.array([0.1, 0.3, 5.0]), positive(3)), {}),
    "Categorical": ("Categorical", (positive(2, 5),), {}),
    "Dirichlet": ("Dirichlet", (positive(2, 4),), {}),
    "MultivariateNormal": ("MultivariateNormal", (real(4),), {"covariance_matrix": definite(2, 4, 4)}),
    "LowRankMultivariateNormal": ("LowRankMultivariateNormal", (real(4), real(2, 4, 2), positive(4)), {}),
}
PAIRS = sorted(
    (p.__name__, q.__name__)
    for p, q in THEIR_PAIRS
    if p.__name__ not in ("Independent", "ExponentialFamily", "TransformedDistribution")
)


def test_the_same_pairs_are_known() -> None:
    def names(pairs: dict) -> set:
        return {(p.__name__, q.__name__) for p, q in pairs}

    assert names(OUR_PAIRS) == names(THEIR_PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=["-".join(p) for p in PAIRS])
def test_divergences_and_their_gradients(pair: tuple[str, str]) -> None:
    first = OTHERS.get(pair[0], BY_NAME[pair[0]])
    second = BY_NAME[pair[1]] if pair[1] == pair[0] else OTHERS.get(pair[1], BY_NAME[pair[1]])
    if pair[0] in ("Bernoulli", "ContinuousBernoulli") and pair[1] == pair[0]:
        second = OTHERS[pair[0]]
        first = (pair[0], (share(3),), {})
    if pair[0] == "Gamma" and pair[1] == "Gamma":
        second = ("Gamma", (positive(3), positive(3)), {})
    if pair == ("Poisson", "Binomial"):
        second = OTHERS["Binomial"]
    if pair[0] == pair[1] == "MultivariateNormal":
        second = BY_NAME[pair[1]]
        first = ("MultivariateNormal", (real(3),), {"scale_tril": triangle(2, 3, 3)})
    p, our_p, their_leaves, our_leaves = build(first, grad=True)
    q, our_q, more_theirs, more_ours = build(second, grad=True)
    expected, found = theirs.kl_divergence(p, q), ours.kl_divergence(our_p, our_q)
    equal(expected, found)
    kept = torch.isfinite(expected)
    if expected.requires_grad and bool(kept.any()):
        expected[kept].sum().backward()
        found[fl.tensor(kept.numpy())].sum().backward()
        compare_gradients([*their_leaves, *more_theirs], [*our_leaves, *more_ours], 1e-8)


def test_divergences_of_distributions_made_of_others() -> None:
    a, b = real(2, 3), positive(2, 3)

    def value(library: Any, module: Any) -> Any:
        p = module.Normal(library.tensor(a), library.tensor(b))
        q = module.Normal(library.tensor(a * 0), library.tensor(b * 0 + 1))
        both = module.Independent(p, 1), module.Independent(q, 1)
        logs = module.LogNormal(p.loc, p.scale), module.LogNormal(q.loc, q.scale)
        return [module.kl_divergence(*both), module.kl_divergence(*logs)]

    for expected, found in zip(value(torch, theirs), value(fl, ours), strict=True):
        equal(expected, found)


def test_divergence_nobody_registered() -> None:
    with pytest.raises(NotImplementedError) as expected:
        theirs.kl_divergence(theirs.Cauchy(0.0, 1.0), theirs.Normal(0.0, 1.0))
    with pytest.raises(NotImplementedError) as found:
        ours.kl_divergence(ours.Cauchy(0.0, 1.0), ours.Normal(0.0, 1.0))
    assert str(found.value) == str(expected.value)


# ---- messages


def message(call: Any) -> str:
    with pytest.raises((ValueError, NotImplementedError, RuntimeError, TypeError, AssertionError)) as raised:
        call()
    return f"{type(raised.value).__name__}: {raised.value}"


MISTAKES = {
    "negative scale": lambda m, d: d.Normal(m.zeros(2), m.tensor([1.0, -1.0])),
    "nan": lambda m, d: d.Normal(m.tensor([0.0, float("nan")]), 1.0),
    "two parameters": lambda m, d: d.Bernoulli(m.ones(2), m.ones(2)),
    "no parameter": lambda m, d: d.Categorical(),
    "scalar probabilities": lambda m, d: d.Categorical(m.tensor(0.3)),
    "negative probabilities": lambda m, d: d.Categorical(m.tensor([0.3, -0.1])),
    "uniform upside down": lambda m, d: d.Uniform(1.0, 0.0),
    "probability above one": lambda m, d: d.Bernoulli(m.tensor([0.3, 1.2])),
    "not a tensor": lambda m, d: d.Normal(0.0, 1.0).log_prob(1.0),
    "out of support": lambda m, d: d.Exponential(1.0).log_prob(m.tensor([-1.0])),
    "not whole": lambda m, d: d.Poisson(1.0).log_prob(m.tensor([0.5])),
    "category too large": lambda m, d: d.Categorical(m.ones(3)).log_prob(m.tensor(3)),
    "event shape": lambda m, d: d.Dirichlet(m.ones(3)).log_prob(m.ones(2) / 2),
    "batch shape": lambda m, d: d.Normal(m.zeros(3), 1.0).log_prob(m.zeros(2)),
    "not on the simplex": lambda m, d: d.Dirichlet(m.ones(3)).log_prob(m.ones(3)),
    "strings": lambda m, d: d.Normal("a", 1.0),
    "geometric zero": lambda m, d: d.Geometric(m.tensor([0.3, 0.0])),
    "covariance": lambda m, d: d.MultivariateNormal(m.zeros(2), -m.eye(2)),
    "two matrices": lambda m, d: d.MultivariateNormal(m.zeros(2), m.eye(2), m.eye(2)),
    "vector of covariance": lambda m, d: d.MultivariateNormal(m.zeros(2), m.ones(2)),
    "scalar loc": lambda m, d: d.MultivariateNormal(m.tensor(0.0), m.eye(2)),
    "scalar concentration": lambda m, d: d.Dirichlet(m.tensor(0.5)),
    "too many dimensions": lambda m, d: d.Independent(d.Normal(m.zeros(2), 1.0), 2),
    "no transform": lambda m, d: d.TransformedDistribution(d.Normal(0.0, 1.0), 3),
    "no transforms": lambda m, d: d.TransformedDistribution(d.Normal(0.0, 1.0), [3]),
    "base too small": lambda m, d: d.TransformedDistribution(d.Normal(0.0, 1.0), d.StickBreakingTransform()),
    "mixture of others": lambda m, d: d.MixtureSameFamily(d.Categorical(m.ones(2)), d.Normal(m.zeros(3), 1.0)),
    "mixture by others": lambda m, d: d.MixtureSameFamily(d.Normal(0.0, 1.0), d.Normal(m.zeros(3), 1.0)),
    "cache": lambda m, d: d.ExpTransform(cache_size=2),
    "reshape": lambda m, d: d.ReshapeTransform((2, 3), (5,)),
    "small correlation": lambda m, d: d.LKJCholesky(1),
    "low rank shape": lambda m, d: d.LowRankMultivariateNormal(m.zeros(3), m.ones(2, 1), m.ones(3)),
    "low rank diagonal": lambda m, d: d.LowRankMultivariateNormal(m.zeros(3), m.ones(3, 1), m.ones(2)),
    "wishart df": lambda m, d: d.Wishart(1.0, m.eye(3)),
    "counts": lambda m, d: d.Multinomial(m.ones(2), m.ones(3)),
    "enumerate": lambda m, d: d.Binomial(m.tensor([1.0, 2.0]), m.tensor(0.5)).enumerate_support(),
    "biject": lambda m, d: d.biject_to(d.constraints.boolean),
    "continuous probability": lambda m, d: d.ContinuousBernoulli(m.tensor([2.0]), validate_args=True),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_messages(mistake: str) -> None:
    call = MISTAKES[mistake]
    expected, found = message(lambda: call(torch, theirs)), message(lambda: call(fl, ours))
    assert " ".join(found.split()) == " ".join(expected.split())


def test_custom_init_needs_custom_expand() -> None:
    def value(module: Any) -> str:
        class Odd(module.Normal):
            def __init__(self) -> None:
                super().__init__(0.0, 1.0)

        return message(lambda: Odd().expand((2,)))

    assert value(ours) == value(theirs)


# ---- transforms and constraints

TRANSFORMS = {
    "exp": lambda m, d: (d.ExpTransform(), (2, 3)),
    "power": lambda m, d: (d.ComposeTransform([d.ExpTransform(), d.PowerTransform(m.tensor(1.7).double())]), (3,)),
    "sigmoid": lambda m, d: (d.SigmoidTransform(), (2, 3)),
    "tanh": lambda m, d: (d.TanhTransform(), (2, 3)),
    "softplus": lambda m, d: (d.SoftplusTransform(), (2, 3)),
    "affine": lambda m, d: (d.AffineTransform(1.5, -2.0), (2, 3)),
    "affine event": lambda m, d: (d.AffineTransform(m.zeros(3).double(), m.tensor([1.0, -2.0, 3.0]).double(), 1), (2, 3)),
    "softmax": lambda m, d: (d.SoftmaxTransform(), (2, 3)),
    "stick": lambda m, d: (d.StickBreakingTransform(), (2, 3)),
    "cholesky": lambda m, d: (d.LowerCholeskyTransform(), (2, 3, 3)),
    "definite": lambda m, d: (d.PositiveDefiniteTransform(), (2, 3, 3)),
    "correlation": lambda m, d: (d.CorrCholeskyTransform(), (2, 6)),
    "reshape": lambda m, d: (d.ReshapeTransform((6,), (2, 3)), (4, 6)),
    "independent": lambda m, d: (d.IndependentTransform(d.TanhTransform(), 1), (2, 3)),
    "compose": lambda m, d: (d.ComposeTransform([d.AffineTransform(0.5, 2.0), d.StickBreakingTransform()]), (2, 3)),
    "cat": lambda m, d: (d.CatTransform([d.ExpTransform(), d.TanhTransform()], -1, [2, 1]), (2, 3)),
    "cat batch": lambda m, d: (d.CatTransform([d.SoftplusTransform(), d.TanhTransform()], 0), (2, 3)),
    "stack": lambda m, d: (d.StackTransform([d.ExpTransform(), d.SigmoidTransform()], -1), (3, 2)),
    "cumulative": lambda m, d: (d.CumulativeDistributionTransform(d.Normal(0.0, 1.0)), (3,)),
    "inverse": lambda m, d: (d.AffineTransform(1.0, 3.0).inv, (3,)),
    "identity": lambda m, d: (d.identity_transform, (3,)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    results = []
    x = np.random.default_rng(2).normal(size=TRANSFORMS[name](fl, ours)[1])
    for library, module in ((torch, theirs), (fl, ours)):
        transform, shape = TRANSFORMS[name](library, module)
        value = library.tensor(x, requires_grad=True)
        y = transform(value)
        back = transform.inv(y)
        facts: list[Any] = [
            repr(transform), transform.bijective, transform.domain.event_dim, transform.codomain.event_dim,
            tuple(transform.forward_shape(tuple(shape))), tuple(transform.inverse_shape(tuple(y.shape))),
            repr(transform.inv),
        ]  # fmt: skip
        tensors = [y, back]
        try:
            tensors.append(transform.log_abs_det_jacobian(value, y))
        except NotImplementedError:
            facts.append("no determinant")
        (gradient,) = library.autograd.grad(sum((t * t).sum() for t in tensors), value)
        results.append((facts, [*tensors, gradient]))
    (expected, their_tensors), (found, our_tensors) = results
    assert found == expected
    for a, b in zip(their_tensors, our_tensors, strict=True):
        equal(a, b, 1e-7)


CONSTRAINTS = {
    "real": lambda c: c.real, "positive": lambda c: c.positive, "unit": lambda c: c.unit_interval,
    "greater": lambda c: c.greater_than(1.5), "less": lambda c: c.less_than(0.5), "interval": lambda c: c.interval(-1.0, 2.0),
    "simplex": lambda c: c.simplex, "vector": lambda c: c.real_vector, "half open": lambda c: c.half_open_interval(0, 3),
    "correlation": lambda c: c.corr_cholesky, "stack": lambda c: c.stack([c.real, c.positive, c.unit_interval], -1),
    "cat": lambda c: c.cat([c.real, c.positive], -1, [1, 2]), "nonnegative": lambda c: c.nonnegative,
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_registries(name: str, registry: str) -> None:
    x = np.random.default_rng(1).normal(size=(4, 3))
    a = getattr(theirs, registry)(CONSTRAINTS[name](theirs.constraints))
    b = getattr(ours, registry)(CONSTRAINTS[name](ours.constraints))
    assert repr(a) == repr(b)
    expected, found = a(torch.tensor(x)), b(fl.tensor(x))
    equal(expected, found)
    assert bool(CONSTRAINTS[name](ours.constraints).check(found).all())


def test_constraints_check_as_theirs() -> None:
    values = [
        np.array([[0.0, 1.0, 0.0], [0.2, 0.3, 0.5], [-1.0, 2.0, 3.0], [np.nan, 1.0, 0.0]]),
        np.array([[0, 1, 0], [1, 1, 0], [3, 0, 1]]),
        np.eye(3), -np.eye(3), np.tril(np.ones((3, 3))), np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0, 0, 1]]),
        np.ones((2, 3, 2)),
    ]  # fmt: skip
    for name in theirs.constraints.__all__:
        a, b = getattr(theirs.constraints, name), getattr(ours.constraints, name)
        if isinstance(a, type) or not isinstance(a, theirs.constraints.Constraint) or name == "dependent":
            continue
        assert repr(a) == repr(b), name
        assert (a.is_discrete, a.event_dim) == (b.is_discrete, b.event_dim), name
        for value in values:
            try:
                expected = a.check(torch.tensor(value))
            except (RuntimeError, TypeError):
                continue
            assert np.array_equal(expected.numpy(), b.check(fl.tensor(value)).numpy()), (name, value)


def test_public_names() -> None:
    for module in ("", ".constraints", ".transforms", ".kl", ".utils", ".constraint_registry"):
        import importlib

        a = importlib.import_module("torch.distributions" + module)
        b = importlib.import_module("flambeau.distributions" + module)
        wanted = getattr(a, "__all__", None) or [
            "broadcast_all", "logits_to_probs", "clamp_probs", "probs_to_logits", "lazy_property",
            "tril_matrix_to_vec", "vec_to_tril_matrix",
        ]  # fmt: skip
        assert [n for n in wanted if not hasattr(b, n)] == []


@pytest.mark.parametrize("diag", [-2, -1, 0, 1])
def test_triangles(diag: int) -> None:
    matrix = np.tril(np.arange(32.0).reshape(2, 4, 4), diag)
    vector = theirs.utils.tril_matrix_to_vec(torch.tensor(matrix), diag)
    found = ours.utils.tril_matrix_to_vec(fl.tensor(matrix), diag)
    equal(vector, found)
    equal(theirs.utils.vec_to_tril_matrix(vector, diag), ours.utils.vec_to_tril_matrix(found, diag))
