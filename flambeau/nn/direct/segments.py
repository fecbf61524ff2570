"""Reductions of segments of unequal length: `torch.segment_reduce`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.ops import where
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import need_value

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
    counts = _counts(data, lengths, offsets, axis, unsafe)
    first = _EMPTY[reduce] if initial is None else float(initial)
    if not counts.size:
        return data.new_full((*counts.shape, *data.shape[axis + 1 :]), first)
    return _reduced(data, reduce, counts, axis, initial, first)


def _counts(data: Tensor, lengths: Tensor | None, offsets: Tensor | None, axis: int, unsafe: bool) -> np.ndarray:
    given = lengths if lengths is not None else offsets
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if data.numel() == 0:
        raise RuntimeError("Expected data.numel() > 0 to be true, but got false.")
    if axis != given.ndim - 1:
        what = "lengths" if lengths is not None else "offsets"
        raise RuntimeError(f"Expected axis to be the last dimension of {what} but got {axis}.")
    need_value("segment_reduce")
    counts = np.asarray(given._array)
    if lengths is None:
        counts = np.diff(counts, axis=-1)
    if not unsafe:
        if (counts < 0).any():
            raise RuntimeError("lengths contains negative value!")
        if (counts.sum(-1) != data.size(axis)).any():
            raise RuntimeError(
                "Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
            )
    return counts


def _reduced(
    data: Tensor, reduce: str, counts: np.ndarray, axis: int, initial: Any, first: float
) -> Tensor:
    """Segments become rows of one length, filled up with what changes nothing."""
    segments, longest = counts.shape[-1], max(int(counts.max()), 1)
    starts = np.cumsum(counts, -1) - counts
    steps = np.arange(longest)
    beyond = steps >= counts[..., None]
    places = np.where(beyond, 0, starts[..., None] + steps).astype(np.int64)
    behind = data.shape[axis + 1 :]
    index = ops.from_numpy(places.reshape(*places.shape[:-2], segments * longest, *(1,) * len(behind)))
    index = index.expand(*places.shape[:-2], segments * longest, *behind)
    rows = data.gather(axis, index).reshape(*places.shape, *behind)
    outside = ops.from_numpy(beyond.reshape(*beyond.shape, *(1,) * len(behind)))
    rows = rows.masked_fill(outside, _EMPTY[reduce])
    if reduce in ("max", "min"):
        best = rows.amax(axis + 1) if reduce == "max" else rows.amin(axis + 1)
        return best if initial is None else where(~((best < first) if reduce == "max" else (best > first)), best, first)
    if reduce == "prod":
        return rows.prod(axis + 1) * first
    total = rows.sum(axis + 1) + first
    if reduce == "sum":
        return total
    sizes = ops.tensor(np.maximum(counts, 1).tolist(), dtype=data.dtype)
    means = total / sizes.reshape(*counts.shape, *(1,) * len(behind))
    if initial is not None:
        return means
    empty = ops.from_numpy((counts == 0).reshape(*counts.shape, *(1,) * len(behind)))
    return means.masked_fill(empty, math.nan)
