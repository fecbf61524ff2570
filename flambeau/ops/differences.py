"""Differences of neighbours, slopes, and areas below points."""

from __future__ import annotations

from typing import Any

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dim
from flambeau.ops.joining import cat
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor


@operator(out=True)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along `dim`, `n` times over; `prepend` and `append` are joined on first."""
    expect_tensor(input, "diff")
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = wrap_dim(dim, input.ndim)
    parts = [x for x in (prepend, input, append) if x is not None]
    x = cat(parts, dim) if len(parts) > 1 else input
    if n == 0:
        return x.clone()
    for _ in range(min(n, x._array.shape[dim])):
        size = x._array.shape[dim]
        after, before = x.narrow(dim, 1, size - 1), x.narrow(dim, 0, size - 1)
        x = after ^ before if x.dtype is dtypes.bool_ else after - before
    return x


@operator(method=False)
def gradient(
    input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The slope along each of `dim`, by differences of second order inside and of `edge_order` at the ends.

    `spacing`: the distance of neighbours, a number or one for each dimension, or the places of the elements, a
    vector for each dimension.

    Raises `RuntimeError` for a dimension with too few elements.
    """
    expect_tensor(input, "gradient")
    dims = list(range(input.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [wrap_dim(d, input.ndim) for d in dims]
    if isinstance(spacing, (list, tuple)):
        steps = list(spacing)
        if len(steps) != len(dims):
            raise RuntimeError(
                f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length {len(dims)}, got a "
                f"list of length {len(steps)}"
            )
    else:
        steps = [1 if spacing is None else spacing] * len(dims)
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    for d in dims:
        if input._array.shape[d] <= edge_order:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    x = input if input.dtype.kind >= dtypes.FLOATING else input.to(dtypes.get_default_dtype())
    return tuple(_slope(x, d, step, edge_order) for d, step in zip(dims, steps, strict=True))


def _slope(x: Tensor, dim: int, step: Any, edge_order: int) -> Tensor:
    size = x._array.shape[dim]
    gaps = None
    if isinstance(step, Tensor) and step.ndim:
        shape = [1] * x.ndim
        shape[dim] = -1
        gaps = diff(step.to(x.dtype if not x.is_complex() else x.dtype.to_real())).reshape(shape)

    def at(start: int, count: int = 1) -> Tensor:
        return x.narrow(dim, start, count)

    def gap(start: int, count: int = 1) -> Any:
        return step if gaps is None else gaps.narrow(dim, start, count)

    inside = []
    if size > 2:
        left, right = gap(0, size - 2), gap(1, size - 2)
        a, b, c = at(0, size - 2), at(1, size - 2), at(2, size - 2)
        if gaps is None:
            inside = [(c - a) / (2 * step)]
        else:
            inside = [
                a * (-right / (left * (left + right)))
                + b * ((right - left) / (left * right))
                + c * (left / (right * (left + right)))
            ]
    if edge_order == 1:
        first, last = (at(1) - at(0)) / gap(0), (at(size - 1) - at(size - 2)) / gap(size - 2)
    else:
        h, k = gap(0), gap(1)
        first = at(0) * (-(2 * h + k) / (h * (h + k))) + at(1) * ((h + k) / (h * k)) - at(2) * (h / (k * (h + k)))
        h, k = gap(size - 3), gap(size - 2)
        last = (
            at(size - 3) * (k / (h * (h + k)))
            - at(size - 2) * ((h + k) / (h * k))
            + at(size - 1) * ((2 * k + h) / (k * (h + k)))
        )
    return cat([first, *inside, last], dim)


def _panels(y: Tensor, x: Tensor | None, dx: Any, dim: int) -> Tensor:
    """The area of each panel between neighbours along `dim`."""
    size = y._array.shape[dim]
    means = (y.narrow(dim, 0, size - 1) + y.narrow(dim, 1, size - 1)) / 2
    if x is None:
        return means * (1.0 if dx is None else dx)
    if x.ndim == 1 and y.ndim > 1:
        shape = [1] * y.ndim
        shape[dim] = -1
        if x._array.shape[0] != size:
            raise RuntimeError(
                f"trapezoid: There must be one `x` value for each sample point, got {x._array.shape[0]} for {size}"
            )
        return means * diff(x).reshape(shape)
    along = dim - y.ndim
    return means * diff(x, dim=along if x.ndim >= -along else 0)


def _trapezoid_arguments(y: Tensor, x: Tensor | None, dim: int, name: str) -> int:
    expect_tensor(y, name, "y")
    if y.ndim == 0:
        raise RuntimeError(f"{name}: y needs at least one dimension")
    return wrap_dim(dim, y.ndim)


@operator(method=False, aliases=("trapz",))
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The area below the points (x, y) along `dim`, by the trapezoidal rule; evenly `dx` apart without `x`."""
    dim = _trapezoid_arguments(y, x, dim, "trapezoid")
    if y._array.shape[dim] == 0:
        return y.sum(dim)
    return _panels(y, x, dx, dim).sum(dim)


@operator(method=False)
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The running sums of the panels that `trapezoid` adds up: one element less along `dim`."""
    dim = _trapezoid_arguments(y, x, dim, "cumulative_trapezoid")
    return _panels(y, x, dx, dim).cumsum(dim)


