"""Counting and looking up: unique elements, histograms, places in ordered boundaries. None has a derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dim
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.ranges import spaced
from flambeau.ops.results import named_result
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import need_value

Histogram = named_result("histogram", "hist", "bin_edges")
Histogramdd = named_result("histogramdd", "hist", "bin_edges")


def _values(x: Tensor, name: str) -> np.ndarray:
    expect_tensor(x, name)
    need_value(name)
    return x._array


# Unique elements ----------------------------------------------------------------------------------


@operator
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in ascending order, or the distinct slices along `dim`.

    With `return_inverse` also where each element stands among them, with `return_counts` how often each occurs.
    """
    x = _values(input, "unique")
    if dim is None:
        found, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, equal_nan=False)
        inverse = inverse.reshape(x.shape)
    else:
        dim = wrap_dim(dim, input.ndim)
        if x.shape[dim] and not x.size:
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
        found, inverse, counts = _distinct_slices(x, dim, True)
    return _with_extras(found, inverse, counts, return_inverse, return_counts)


@operator
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first element of each run of equal ones, or the first slice along `dim`; the rest as in `unique`."""
    x = _values(input, "unique_consecutive")
    if dim is None:
        found, inverse, counts = _distinct_slices(x.reshape(-1), 0, False)
        inverse = inverse.reshape(x.shape)
    else:
        found, inverse, counts = _distinct_slices(x, wrap_dim(dim, input.ndim), False)
    return _with_extras(found, inverse, counts, return_inverse, return_counts)


def _distinct_slices(x: np.ndarray, dim: int, ordered: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    moved = np.moveaxis(x, dim, 0)
    rows = moved.reshape(len(moved), -1)
    order = np.lexsort(rows.T[::-1]) if ordered and rows.shape[1] else np.arange(len(rows))
    placed = rows[order]
    first = np.ones(len(rows), bool)
    first[1:] = (placed[1:] != placed[:-1]).any(1)
    number = np.cumsum(first) - 1
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = number
    found = np.moveaxis(moved[order][first], 0, dim)
    return found, inverse, np.bincount(number, minlength=int(first.sum()))


def _with_extras(
    found: np.ndarray, inverse: np.ndarray, counts: np.ndarray, return_inverse: bool, return_counts: bool
) -> Any:
    results = [wrap(np.ascontiguousarray(found).reshape(found.shape))]
    if return_inverse:
        results.append(wrap(np.asarray(inverse, np.int64)))
    if return_counts:
        results.append(wrap(np.asarray(counts, np.int64)))
    return results[0] if len(results) == 1 else tuple(results)


# Histograms ---------------------------------------------------------------------------------------


@operator
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 occurs in a vector, or the sum of its `weights`."""
    x = _values(input, "bincount")
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and x.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is None:
        return wrap(np.bincount(x.astype(np.int64), minlength=minlength).astype(np.int64))
    if weights._array.shape != x.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    stored = weights._array.dtype if weights.dtype is dtypes.float32 else np.dtype(np.float64)
    return wrap(np.bincount(x.astype(np.int64), weights._array, minlength).astype(stored))


@operator(out=True)
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal bins from `min` to `max`; the elements' own range if equal."""
    expect_tensor(input, "histc")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    return _histc(input, bins=bins, min=min, max=max)


def _histc_array(x: np.ndarray, bins: int, min: float, max: float) -> np.ndarray:
    given = None if min == max and x.size else (min, max)
    low, high = _range(x, given, 1.0, "torch.histc")
    inside = x[(x >= low) & (x <= high)].astype(np.float64)
    places = np.minimum(((inside - low) * bins / (high - low)).astype(np.int64), bins - 1)
    return np.bincount(places, minlength=bins).astype(x.dtype)


_histc = Primitive("histc", "input", _histc_array, rule=lambda x, bins, min, max: Spec((bins,), x.dtype))


def _range(x: np.ndarray, bounds: Sequence[float] | None, widen: float, name: str) -> tuple[float, float]:
    """The given bounds, or those of the elements; made `widen` wider at each end where they are equal."""
    if bounds is None:
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    else:
        low, high = map(float, bounds)
    if low == high:
        low, high = low - widen, high + widen
    if not np.isfinite([low, high]).all():
        raise RuntimeError(f"{name}: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min")
    return low, high


def _edges_array(x: np.ndarray, bins: int, bounds: Sequence[float] | None, name: str) -> np.ndarray:
    return spaced(*_range(x, bounds, 0.5, name), bins + 1, dtypes.FROM_NUMPY[x.dtype])


#: The edges of equal bins between the given bounds, or those of the elements, (bins + 1).
_edges = Primitive(
    "histogram_edges", "input", _edges_array, rule=lambda x, bins, bounds, name: Spec((bins + 1,), x.dtype)
)


@operator(method=True)
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> tuple[Tensor, Tensor]:
    """(hist, bin_edges): counts, or sums of `weight`, in equal bins or between given edges; the last bin is closed.

    `density` divides by the total and by the widths of the bins.
    """
    expect_tensor(input, "histogram")
    bounds = None if range is None else tuple(range)
    edges = bins if isinstance(bins, Tensor) else _edges(input, bins=int(bins), bounds=bounds, name="torch.histogram")
    result = Histogram(_histogram(input.reshape(-1, 1), weight, edges, density=density), edges)
    if out is not None:
        for target, value in zip(out, result, strict=True):
            target.resize_(value.shape).copy_(value)
    return result


def _histogram_array(points: np.ndarray, weight: np.ndarray | None, *edges: np.ndarray, density: bool) -> np.ndarray:
    shape = tuple(len(e) - 1 for e in edges)
    weights = None if weight is None else weight.reshape(-1).astype(np.float64)
    inside = np.ones(len(points), bool)
    places = []
    for x, e in zip(points.T, edges, strict=True):
        place = np.searchsorted(e, x, side="right") - 1
        place = np.where(x == e[-1], len(e) - 2, place)
        inside &= (x >= e[0]) & (x <= e[-1])
        places.append(place)
    flat = np.ravel_multi_index([p[inside] for p in places], shape) if inside.any() else np.zeros(0, np.int64)
    chosen = None if weights is None else weights[inside]
    counts = np.bincount(flat, chosen, int(np.prod(shape))).reshape(shape).astype(np.float64)
    if density:
        volume = np.ones(())
        for e in edges:
            volume = np.multiply.outer(volume, np.diff(e.astype(np.float64)))
        counts = counts / (counts.sum() * volume)
    return counts.astype(points.dtype)


#: Counts, or sums of weights, of points, (n, dimensions), in the boxes that edges make.
_histogram = Primitive(
    "histogram",
    "points weight? edges*",
    _histogram_array,
    rule=lambda points, weight, *edges, density: Spec([e.shape[0] - 1 for e in edges], points.dtype),
)


@operator(method=False)
def histogramdd(
    input: Tensor, bins: Any, range: Sequence[float] | None = None, weight: Tensor | None = None, density: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """(hist, bin_edges) of points, (*, dimensions), in the boxes of a grid; `range` holds pairs of bounds."""
    expect_tensor(input, "histogramdd")
    points = input.reshape(-1, input._array.shape[-1])
    count = points._array.shape[1]
    if isinstance(bins, int):
        bins = [bins] * count
    if len(bins) != count:
        raise RuntimeError(f"torch.histogramdd: expected {count} sequences of bin edges or counts but got {len(bins)}")
    edges = []
    for place, each in enumerate(bins):
        if isinstance(each, Tensor):
            edges.append(each)
            continue
        bounds = None if range is None else (range[2 * place], range[2 * place + 1])
        edges.append(_edges(points[:, place], bins=int(each), bounds=bounds, name="torch.histogramdd"))
    return Histogramdd(_histogram(points, weight, *edges, density=density), tuple(edges))


# Places in ordered boundaries ---------------------------------------------------------------------


def _side(right: bool, side: str | None, name: str) -> str:
    if side not in (None, "left", "right"):
        raise RuntimeError(f"{name}(): side can only be 'left' or 'right' but got {side}")
    if right and side == "left":
        raise RuntimeError(f"{name}(): side and right can't be set to opposites, got side of left while right was True")
    return "right" if right or side == "right" else "left"


@operator(method=False, out=True)
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each value would be put into ascending boundaries, (*, n), the same stacks in both or one vector.

    Before equal boundaries, or after them with `right`. `sorter` holds the order of boundaries that are not sorted.
    """
    expect_tensor(sorted_sequence, "searchsorted")
    which = _side(right, side, "searchsorted")
    if sorted_sequence.ndim != 1:
        shape, values = sorted_sequence._array.shape, input._array.shape if isinstance(input, Tensor) else ()
        if shape[:-1] != values[:-1]:
            raise RuntimeError(
                "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
                f"tensor and input value tensor must match, but we got boundaries tensor {list(shape)} and "
                f"input value tensor {list(values)}"
            )
    stored = np.dtype(np.int32 if out_int32 else np.int64)
    return _places_among(sorted_sequence, input, sorter, side=which, stored=stored)


def _places_array(bounds: np.ndarray, values: Any, sorter: Any, side: Any, stored: np.dtype) -> np.ndarray:
    if not isinstance(values, np.ndarray):
        values = np.asarray(values, np.result_type(bounds.dtype, values))
    if sorter is not None:
        bounds = np.take_along_axis(bounds, sorter, -1)
    if bounds.ndim == 1:
        return np.asarray(np.searchsorted(bounds, values, side)).astype(stored, copy=False)
    found = np.empty(values.shape, stored)
    for place in np.ndindex(bounds.shape[:-1]):
        found[place] = np.searchsorted(bounds[place], values[place], side)
    return found


_places_among = Primitive(
    "searchsorted",
    "bounds values sorter?",
    _places_array,
    rule=lambda bounds, values, sorter, side, stored: Spec(getattr(values, "shape", ()), stored),
)


@operator(method=False, out=True)
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between ascending boundaries (a vector) that each value lies in."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
