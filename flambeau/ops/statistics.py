"""Statistics that are more than a sum: running extremes, quantiles, modes, covariances."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dim, wrap_dims
from flambeau.ops.norm import vector_norm_of
from flambeau.ops.ordering import order
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.results import named_result
from flambeau.ops.sort import sort
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import verify

Cummax = named_result("cummax", "values", "indices")
Cummin = named_result("cummin", "values", "indices")
Mode = named_result("mode", "values", "indices")

# Running extremes ---------------------------------------------------------------------------------


def _running_positions(x: np.ndarray, dim: int, largest: bool) -> np.ndarray:
    """Where the extreme so far stands, the last of equal ones; NaN is more extreme than any number."""
    if x.dtype.kind == "V" or (x.dtype.itemsize == 2 and x.dtype.kind == "f"):
        x = x.astype(np.float32)
    extreme = (np.maximum if largest else np.minimum).accumulate(x, axis=dim)
    here = (x == extreme) | (np.isnan(x) if x.dtype.kind == "f" else False)
    shape = [1] * x.ndim
    shape[dim] = -1
    places = np.where(here, np.arange(x.shape[dim]).reshape(shape), 0)
    return np.maximum.accumulate(places, axis=dim)


_running = Primitive(
    "running_positions",
    "input",
    _running_positions,
    rule=lambda x, dim, largest: Spec(x.shape, np.dtype(np.int64)),
)


def _running_extreme(input: Tensor, dim: int, largest: bool, name: str) -> tuple[Tensor, Tensor]:
    expect_tensor(input, name)
    dim = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        return input.clone(), wrap(np.zeros((), np.int64))
    indices = _running(input, dim=dim, largest=largest)
    return input.gather(dim, indices), indices


@operator(out=True)
def cummax(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """(values, indices): the largest element so far along `dim`, and where it stands."""
    return Cummax(*_running_extreme(input, dim, True, "cummax"))


@operator(out=True)
def cummin(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """(values, indices): the smallest element so far along `dim`, and where it stands."""
    return Cummin(*_running_extreme(input, dim, False, "cummin"))


# Quantiles ----------------------------------------------------------------------------------------


def _quantile(
    input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool, name: str
) -> Tensor:
    expect_tensor(input, name)
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    shares = q if isinstance(q, Tensor) else wrap(np.asarray(q, input._array.dtype))
    if shares.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if shares.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")

    def check(wanted: np.ndarray) -> None:
        if np.any((wanted < 0) | (wanted > 1)):
            raise RuntimeError(f"{name}() q values must be in the range [0, 1]")

    if isinstance(q, Tensor):
        verify(q, check)
    else:
        check(np.asarray(q))
    if input._array.size == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    rank = input.ndim
    x = input.reshape(-1) if dim is None else input.unsqueeze(0) if rank == 0 else input.movedim(dim, -1)
    ordered = sort(x)[0]
    size = x._array.shape[-1]
    missing = ordered.isnan()
    if skip_nan:
        counts = (~missing).sum(-1, True)
        last = (counts - 1).clamp(min=0).to(input.dtype)
    else:
        last = x.new_full((*x._array.shape[:-1], 1), size - 1)
    ranks = shares.reshape(-1) * last
    if not skip_nan:
        ranks = ranks.masked_fill(missing.any(-1, True), size - 1)  # the NaN, which stands last
    below = ranks.floor()
    if interpolation == "lower":
        found = ordered.gather(-1, below.long())
    elif interpolation == "higher":
        found = ordered.gather(-1, ranks.ceil().long())
    elif interpolation == "nearest":
        found = ordered.gather(-1, ranks.round().long())
    else:
        weight = x.new_full((), 0.5) if interpolation == "midpoint" else ranks - below
        low, high = ordered.gather(-1, below.long()), ordered.gather(-1, ranks.ceil().long())
        found = low.lerp(high, weight.expand(low.shape))
    if keepdim:
        shape = [1] * rank if dim is None else list(input._array.shape)
        if dim is not None and rank:
            shape[wrap_dim(dim, rank)] = 1
        found = found.movedim(-1, 0).reshape(-1, *shape)
    else:
        found = found.movedim(-1, 0)
        if rank == 0:
            found = found.reshape(-1)
    return found if shares.ndim else found.squeeze(0)


@operator(out=True)
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The elements below which the shares `q` lie along `dim`; of several shares, they come first in the shape.

    `interpolation`: what stands between two elements: "linear", "lower", "higher", "midpoint", "nearest".
    """
    return _quantile(input, q, dim, keepdim, interpolation, False, "quantile")


@operator(out=True)
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are numbers."""
    return _quantile(input, q, dim, keepdim, interpolation, True, "nanquantile")


@operator(out=True)
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are numbers."""
    expect_tensor(input, "nanmean")
    if input.dtype.kind < dtypes.FLOATING:
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype.tensor_type}"
        )
    count = (~input.isnan()).sum(dim, keepdim)
    return input.nansum(dim, keepdim, dtype=dtype) / count


# Modes --------------------------------------------------------------------------------------------


def _mode_array(x: np.ndarray, dim: int) -> np.ndarray:
    """Where the last of the commonest elements stands; of equally common ones the smallest counts."""
    moved = np.moveaxis(x, dim, -1)
    in_order = order(moved)
    ordered = np.take_along_axis(moved, in_order, -1)
    places = np.arange(ordered.shape[-1])
    starts = np.concatenate(
        [np.ones((*ordered.shape[:-1], 1), bool), ordered[..., 1:] != ordered[..., :-1]], -1
    )
    run = places - np.maximum.accumulate(np.where(starts, places, 0), axis=-1)
    return np.take_along_axis(in_order, run.argmax(-1)[..., None], -1)


_mode_position = Primitive("mode_position", "input", lambda x, dim: np.moveaxis(_mode_array(x, dim), -1, dim))


@operator(out=True)
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(values, indices): the commonest element along `dim`, the smallest of equally common ones, and its place."""
    expect_tensor(input, "mode")
    dim = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        return Mode(input.clone(), wrap(np.zeros((), np.int64)))
    if input._array.shape[dim] == 0:
        raise IndexError(f"mode(): Expected reduction dim {dim} to have non-zero size.")
    indices = _mode_position(input, dim=dim)
    values = input.gather(dim, indices)
    return Mode(*((values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))))


# Covariances --------------------------------------------------------------------------------------


@operator
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """(variables, observations) -> (variables, variables): covariances, over the count less `correction`.

    `fweights`: how often each observation was made; `aweights`: how much it weighs.
    """
    expect_tensor(input, "cov")
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    if x.dtype.kind < dtypes.FLOATING:
        x = x.to(dtypes.get_default_dtype())
    observations = x._array.shape[1]
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    if observations == 0:
        total: Any = 0
    elif weights is None:
        total = observations
    else:
        total = weights.sum()
    mean = x.mean(1, True) if weights is None else (x * weights).sum(1, True) / total
    if correction and weights is not None and aweights is not None:
        count = total - correction * (weights * aweights).sum() / total
    else:
        count = total - correction
    count = count.clamp(min=0) if isinstance(count, Tensor) else max(count, 0)
    centred = x - mean
    weighted = (centred if weights is None else centred * weights).transpose(0, 1).conj()
    product = centred @ weighted
    return (product / count if isinstance(count, Tensor) else product / float(count)).squeeze()


@operator
def corrcoef(input: Tensor) -> Tensor:
    """(variables, observations) -> (variables, variables): Pearson's correlations."""
    expect_tensor(input, "corrcoef")
    if input.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    c = cov(input)
    if c.ndim == 0:
        return c / c
    d = c.diagonal()
    spread = (d.real if d.is_complex() else d).sqrt()
    found = c / spread.unsqueeze(1) / spread.unsqueeze(0)
    if found.is_complex():
        from flambeau.ops.creation import complex as complex_of

        return complex_of(found.real.clamp(-1, 1), found.imag.clamp(-1, 1))
    return found.clamp(-1, 1)


@operator(inplace=True, out=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Scales each slice along `dim` whose `p`-norm is above `maxnorm` down to it."""
    expect_tensor(input, "renorm")
    if not p > 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    dim = wrap_dim(dim, input.ndim)
    others = tuple(d for d in wrap_dims(None, input.ndim) if d != dim)
    norms = vector_norm_of(input, float(p), others, True)
    factor = (maxnorm / (norms + 1e-7)).masked_fill(norms <= maxnorm, 1)
    return input * factor


