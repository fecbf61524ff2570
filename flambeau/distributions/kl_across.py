"""Kullback-Leibler divergences from one family to another.

KL(p || q) = -H(p) - E_p[log q(x)], and log q needs only a few expectations under p: for a normal q the mean and the
variance, for a gamma q the means of x and log x, for a Gumbel q the means of x and exp(-x / scale). So there is one
function for each q, and one for each expectation.
"""

from __future__ import annotations

import math
from typing import Any

from flambeau import ops
from flambeau.distributions.bernoulli import Bernoulli
from flambeau.distributions.beta import Beta
from flambeau.distributions.binomial import Binomial
from flambeau.distributions.continuous_bernoulli import ContinuousBernoulli
from flambeau.distributions.exponential import Exponential
from flambeau.distributions.gamma import Gamma
from flambeau.distributions.gumbel import Gumbel
from flambeau.distributions.kl import register_kl
from flambeau.distributions.laplace import Laplace
from flambeau.distributions.normal import Normal
from flambeau.distributions.pareto import Pareto
from flambeau.distributions.poisson import Poisson
from flambeau.distributions.uniform import Uniform
from flambeau.distributions.utils import euler_constant
from flambeau.tensor import Tensor

# ---- expectations under p


def _x_log_x(x: Tensor) -> Tensor:
    return x.xlogy(x)


def _mean_log(p: Any) -> Tensor:
    """E[log x]."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Exponential):
        return -euler_constant - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    width = p.high - p.low  # uniform
    return (_x_log_x(p.high) - _x_log_x(p.low)) / width - 1


def _mean_log_rest(p: Uniform) -> Tensor:
    """E[log(1 - x)]."""
    return (_x_log_x(1 - p.low) - _x_log_x(1 - p.high)) / (p.high - p.low) - 1


def _mean_exp(p: Any, q: Gumbel) -> Tensor:
    """E[exp(-(x - loc) / scale)] of q's loc and scale."""
    shift = q.loc / q.scale
    if isinstance(p, Normal):
        return (shift - p.loc / q.scale + 0.5 * (p.scale / q.scale).pow(2)).exp()
    if isinstance(p, Exponential):
        product = p.rate * q.scale
        return shift.exp() * product / (product + 1)
    if isinstance(p, Gamma):
        return shift.exp() * (1 + (p.rate * q.scale).reciprocal()).pow(-p.concentration)
    ends = ((q.loc - p.low) / q.scale).exp() - ((q.loc - p.high) / q.scale).exp()  # uniform
    return ends * q.scale / (p.high - p.low)


# ---- -E_p[log q(x)] - H(p) for each q


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
@register_kl(Uniform, Normal)
def _to_normal(p: Any, q: Any) -> Tensor:
    """From any family with a mean and a variance."""
    distance = (p.variance + (p.mean - q.loc).pow(2)) / (2 * q.scale.pow(2))
    return q.scale.log() + 0.5 * math.log(2 * math.pi) + distance - p.entropy()


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
@register_kl(Gamma, Exponential)
def _to_exponential(p: Any, q: Any) -> Tensor:
    return q.rate * p.mean - q.rate.log() - p.entropy()


@register_kl(Beta, Gamma)
@register_kl(Exponential, Gamma)
def _to_gamma(p: Any, q: Any) -> Tensor:
    a = q.concentration
    return a.lgamma() - a * q.rate.log() - (a - 1) * _mean_log(p) + q.rate * p.mean - p.entropy()


@register_kl(Exponential, Gumbel)
@register_kl(Gamma, Gumbel)
@register_kl(Normal, Gumbel)
@register_kl(Uniform, Gumbel)
def _to_gumbel(p: Any, q: Any) -> Tensor:
    return q.scale.log() + (p.mean - q.loc) / q.scale + _mean_exp(p, q) - p.entropy()


@register_kl(Beta, ContinuousBernoulli)
def _to_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()


@register_kl(Normal, Laplace)
def _normal_to_laplace(p: Any, q: Any) -> Tensor:
    """E|x - loc| is the mean of a folded normal number."""
    distance = p.loc - q.loc
    ratio = distance / p.scale
    folded = math.sqrt(2 / math.pi) * p.scale * (-0.5 * ratio.pow(2)).exp()
    folded = folded + distance * (math.sqrt(0.5) * ratio).erf()
    return (2 * q.scale).log() + folded / q.scale - p.entropy()


@register_kl(Bernoulli, Poisson)
def _bernoulli_to_poisson(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


# ---- from a Pareto p: infinite where its moments are


def _tamed(p: Pareto, alpha: float) -> Pareto:
    """p with larger alpha wherever it is at most `alpha`, so that moments and their gradients are finite."""
    return Pareto(p.scale, p.alpha.masked_fill(p.alpha <= alpha, alpha + 1), validate_args=False)


@register_kl(Pareto, Exponential)
def _pareto_to_exponential(p: Any, q: Any) -> Tensor:
    return _to_exponential(_tamed(p, 1), q).masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Gamma)
def _pareto_to_gamma(p: Any, q: Any) -> Tensor:
    return _to_gamma(_tamed(p, 1), q).masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Normal)
def _pareto_to_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(_tamed(p, 2), q).masked_fill(p.alpha <= 2, math.inf)


# ---- from a uniform p, and to a uniform q: infinite where p has values that q has not


@register_kl(Beta, Uniform)
def _beta_to_uniform(p: Any, q: Any) -> Tensor:
    inside = (q.high - q.low).log() - p.entropy()
    return inside.masked_fill((q.low > 0) | (q.high < 1), math.inf)


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_to_uniform(p: Any, q: Any) -> Tensor:
    """As in PyTorch infinite for an interval that only just holds [0, 1], too."""
    inside = (q.high - q.low).log() - p.entropy()
    return inside.masked_fill((q.low >= 0) | (q.high <= 1), math.inf)


@register_kl(Uniform, Exponential)
def _uniform_to_exponential(p: Any, q: Any) -> Tensor:
    return _to_exponential(p, q).masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Gamma)
def _uniform_to_gamma(p: Any, q: Any) -> Tensor:
    return _to_gamma(p, q).masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Pareto)
def _uniform_to_pareto(p: Any, q: Any) -> Tensor:
    log_density = q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _mean_log(p)
    return (-log_density - p.entropy()).masked_fill(p.low < q.scale, math.inf)


@register_kl(Uniform, Beta)
def _uniform_to_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    log_density = (a - 1) * _mean_log(p) + (b - 1) * _mean_log_rest(p)
    inside = a.lgamma() + b.lgamma() - (a + b).lgamma() - log_density - p.entropy()
    return inside.masked_fill((p.high > 1) | (p.low < 0), math.inf)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_to_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    """As in PyTorch infinite for an interval that reaches an end of [0, 1], too."""
    return _to_continuous_bernoulli(p, q).masked_fill((p.high >= 1) | (p.low <= 0), math.inf)


# ---- pairs where p always has values that q has not


def _infinite(p: Any, q: Any) -> Tensor:
    return ops.full_like(p.mean, math.inf)


_TO_BOUNDED = (Beta, ContinuousBernoulli, Pareto, Uniform)
_NEVER_WITHIN = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: _TO_BOUNDED,
    Gamma: _TO_BOUNDED,
    Gumbel: (*_TO_BOUNDED, Exponential, Gamma),
    Laplace: (*_TO_BOUNDED, Exponential, Gamma),
    Normal: (*_TO_BOUNDED, Exponential, Gamma),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}
for _of_p, _of_qs in _NEVER_WITHIN.items():
    for _of_q in _of_qs:
        register_kl(_of_p, _of_q)(_infinite)
