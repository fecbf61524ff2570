"""Reductions of segments of unequal length: `torch.segment_reduce`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.ops import where
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import is_tracing

#: What an empty segment gives, which changes no other.
_EMPTY = {"sum": 0.0, "mean": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}


def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None,
    offsets: Tensor | None = None, axis: int = 0, unsafe: bool = False, initial: float | None = None,
) -> Tensor:  # fmt: skip
    """The reduction of each segment of `data` along `axis`: (..., n, *) -> (..., segments, *).

    Args:
        data: floating-point numbers.
        reduce: `"sum"`, `"mean"`, `"max"`, `"min"` or `"prod"`.
        lengths: of the segments, (..., segments), the dimensions before `axis` as in `data`.
        indices: not supported, as in PyTorch.
        offsets: instead of lengths where each segment begins and the last ends, (..., segments + 1).
        axis: the last dimension of `lengths`.
        unsafe: without checking that the lengths add up.
        initial: takes part in each reduction; what empty segments give.

    Raises:
        RuntimeError: for lengths that do not fit.
    """
    if reduce not in _EMPTY:
        raise RuntimeError(f"unsupported reduction given! {reduce}")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    axis += data.ndim if axis < 0 else 0
    given, name = (lengths, "lengths") if lengths is not None else (offsets, "offsets")
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if data.numel() == 0:
        raise RuntimeError("Expected data.numel() > 0 to be true, but got false.")
    if axis != given.ndim - 1:
        raise RuntimeError(f"Expected axis to be the last dimension of {name} but got {axis}.")
    begins, size = lengths is None, data.size(axis)
    first = _EMPTY[reduce] if initial is None else float(initial)
    segments = given.size(-1) - begins
    if segments <= 0 or not given.numel():
        return data.new_full((*given.shape[:-1], max(segments, 0), *data.shape[axis + 1 :]), first)
    # How long the longest segment is decides no shape of a result, so a program allows for all that there is.
    longest = size if is_tracing() else max(int(_counted(given._array, begins, size, unsafe).max()), 1)
    places, beyond, counts = _segments(given, begins=begins, size=size, unsafe=unsafe, longest=longest)
    return _reduced(data, reduce, places, beyond, counts, axis, initial, first)


def _counted(given: np.ndarray, begins: bool, size: int, unsafe: bool) -> np.ndarray:
    """The lengths of segments, which may be given by where they begin."""
    counts = np.diff(given, axis=-1) if begins else given
    if not unsafe:
        if (counts < 0).any():
            raise RuntimeError("lengths contains negative value!")
        if (counts.sum(-1) != size).any():
            raise RuntimeError(
                "Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
            )
    return counts


def _segments_arrays(
    given: np.ndarray, begins: bool, size: int, unsafe: bool, longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = _counted(given, begins, size, unsafe)
    starts, steps = np.cumsum(counts, -1) - counts, np.arange(longest)
    beyond = steps >= counts[..., None]
    return np.where(beyond, 0, starts[..., None] + steps).astype(np.int64), beyond, counts.astype(np.int64)


def _segments_rule(given: Spec, begins: bool, size: int, unsafe: bool, longest: int) -> tuple[Spec, ...]:
    shape, index = (*given.shape[:-1], given.shape[-1] - begins), np.dtype(np.int64)
    return Spec((*shape, longest), index), Spec((*shape, longest), np.dtype(bool)), Spec(shape, index)


#: Where the elements of each segment stand, (..., segments, longest), which of these are beyond its end, and how
#: many are not, (..., segments). Raises `RuntimeError` for lengths that do not fit.
_segments = Primitive("segments", "given", _segments_arrays, rule=_segments_rule, outputs=3)


def _reduced(
    data: Tensor, reduce: str, places: Tensor, beyond: Tensor, counts: Tensor, axis: int, initial: Any, first: float
) -> Tensor:
    """Segments become rows of one length, filled up with what changes nothing."""
    behind = data.shape[axis + 1 :]
    ones = (1,) * len(behind)
    index = places.reshape(*places.shape[:-2], -1, *ones)
    rows = data.gather(axis, index.expand(*index.shape[: axis + 1], *behind)).reshape(*places.shape, *behind)
    rows = rows.masked_fill(beyond.reshape(*beyond.shape, *ones), _EMPTY[reduce])
    if reduce in ("max", "min"):
        best = rows.amax(axis + 1) if reduce == "max" else rows.amin(axis + 1)
        return best if initial is None else where(~((best < first) if reduce == "max" else (best > first)), best, first)
    if reduce == "prod":
        return rows.prod(axis + 1) * first
    total = rows.sum(axis + 1) + first
    if reduce == "sum":
        return total
    counts = counts.reshape(*counts.shape, *ones)
    means = total / counts.clamp(min=1)
    return means if initial is not None else means.masked_fill(counts == 0, math.nan)
