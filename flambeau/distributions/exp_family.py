"""Exponential families, whose entropy and divergence follow from the log normalizer alone."""

from __future__ import annotations

from typing import Any

from flambeau import autograd
from flambeau.autograd import enable_grad
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import _sum_rightmost
from flambeau.tensor import Tensor

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Distributions of density exp(<t(x), theta> - F(theta) + k(x)).

    theta are the natural parameters, t the sufficient statistics, F the log normalizer, whose gradient is
    the mean of t(x), and k the carrier measure. Nielsen and Nock, "Entropies and cross-entropies of
    exponential families", 2010.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        """theta."""
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Tensor:
        """F(theta)."""
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float | Tensor:
        """The expectation of k(x)."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """F(theta) - <theta, grad F(theta)> - E[k(x)]."""
        theta = [p.detach().requires_grad_() for p in self._natural_params]
        with enable_grad():
            normalizer = self._log_normalizer(*theta)
            means = autograd.grad(normalizer.sum(), theta, create_graph=True)
        result = normalizer - self._mean_carrier_measure
        for parameter, mean in zip(theta, means, strict=True):
            product = parameter * mean
            result = result - product.reshape(tuple(self._batch_shape) + (-1,)).sum(-1)
        return result


def bregman_divergence(p: ExponentialFamily, q: ExponentialFamily) -> Tensor:
    """KL(p || q) of one family: F(theta_q) - F(theta_p) - <theta_q - theta_p, grad F(theta_p)>."""
    theta_p = [x.detach().requires_grad_() for x in p._natural_params]
    theta_q = q._natural_params
    with enable_grad():
        normalizer = p._log_normalizer(*theta_p)
        means = autograd.grad(normalizer.sum(), theta_p, create_graph=True)
    result = q._log_normalizer(*theta_q) - normalizer
    for of_p, of_q, mean in zip(theta_p, theta_q, means, strict=True):
        result = result - _sum_rightmost((of_q - of_p) * mean, len(q.event_shape))
    return result
