"""The Wishart distribution: covariance matrices."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Number
from typing import Any

from flambeau import linalg, ops
from flambeau.core import dtypes
from flambeau.core.shapes import Size, broadcast_shapes
from flambeau.distributions import constraints
from flambeau.distributions.chi2 import Chi2
from flambeau.distributions.distribution import WithParameters
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.multivariate_normal import (
    _precision_to_scale_tril,
    half_log_determinant,
)
from flambeau.distributions.utils import as_size, lazy_property
from flambeau.tensor import Tensor

__all__ = ["Wishart"]


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    """The derivative of `mvlgamma(x, p)`."""
    return (x.unsqueeze(-1) - ops.arange(p, dtype=x.dtype) / 2).digamma().sum(-1)


class Wishart(WithParameters, ExponentialFamily):
    """Sums of `df` matrices x x^T for normal vectors x (n) of mean 0 and a covariance V (*, n, n); df > n - 1.

    V is given as `covariance_matrix`, by its inverse `precision_matrix`, or by `scale_tril` L with V = L L^T.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _event_dims = {"df": 0, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2}
    df: Tensor

    def __init__(
        self,
        df: Tensor | float,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "scale_tril": scale_tril, "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix
        }  # fmt: skip
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        batch_shape, event_shape = matrix.size()[:-2], matrix.size()[-2:]
        if isinstance(df, Number):
            self.df = ops.tensor(df, dtype=matrix.dtype)
        else:
            batch_shape = as_size(broadcast_shapes(batch_shape, df.shape))
            self.df = df.expand(batch_shape)
        n = event_shape[-1]
        if bool((self.df <= n - 1).any()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        self.__dict__[name] = matrix.expand((*batch_shape, -1, -1))
        if bool((self.df < n).any()):
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(matrix)
        degrees = self.df.unsqueeze(-1) - ops.arange(n, dtype=matrix.dtype).expand((*batch_shape, n))
        self._dist_chi2 = Chi2(degrees)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        new._dist_chi2 = self._dist_chi2.expand((*batch_shape, self.event_shape[-1]))
        return new

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor L of V."""
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """V."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of V."""
        factor = self._unbroadcasted_scale_tril
        identity = ops.eye(self._event_shape[-1], dtype=factor.dtype)
        return ops.cholesky_solve(identity, factor).expand(self._batch_shape + self._event_shape)

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """NaN where df is at most n + 1."""
        factor = self.df - self._event_shape[-1] - 1
        return factor.masked_fill(factor <= 0, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        """L A A^T L^T for A of chi numbers on the diagonal and normal ones below: Bartlett's decomposition, 1933."""
        n = self._event_shape[-1]
        chi = self._dist_chi2.rsample(sample_shape).sqrt()
        chi = chi.clamp(min=dtypes.finfo(chi.dtype).eps)
        below = ops.randn((*sample_shape, *self._batch_shape, n * (n - 1) // 2), dtype=chi.dtype)
        rows, columns = ops.tril_indices(n, n, offset=-1)
        noise = chi.diag_embed()
        noise[..., rows, columns] = below
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape: Sequence[int] = Size(), max_try_correction: int = 10) -> Tensor:
        """Matrices; singular ones, of which rounding is the cause, are drawn anew up to `max_try_correction` times."""
        sample_shape = as_size(sample_shape)
        # PyTorch throws its first draw away (its test for singular matrices is the wrong way round there), and so
        # does this, for the same numbers from the same seed.
        self._draw(sample_shape)
        sample = self._draw(sample_shape)
        for _ in range(max_try_correction):
            bad = ~self.support.check(sample)
            if not bool(bad.any()):
                break
            sample = ops.where(bad[..., None, None], self._draw(sample_shape), sample)
        return sample

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu, n, factor = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        normalizer = nu * (n * math.log(2) / 2 + half_log_determinant(factor)) + (nu / 2).mvlgamma(n)
        trace = ops.cholesky_solve(value, factor).diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        return (nu - n - 1) / 2 * linalg.slogdet(value).logabsdet - trace / 2 - normalizer

    def entropy(self) -> Tensor:
        nu, n = self.df, self._event_shape[-1]
        volume = (n + 1) * (n * math.log(2) / 2 + half_log_determinant(self._unbroadcasted_scale_tril))
        return volume + (nu / 2).mvlgamma(n) - (nu - n - 1) / 2 * _mvdigamma(nu / 2, n) + nu * n / 2

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        n = self._event_shape[-1]
        half_df = y + (n + 1) / 2
        return half_df * (math.log(2) * n - linalg.slogdet(-2 * x).logabsdet) + half_df.mvlgamma(n)
