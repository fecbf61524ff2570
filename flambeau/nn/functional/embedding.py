"""Tables looked up by index."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.autograd import is_grad_enabled, no_grad
from flambeau.autograd.function import Function, once_differentiable
from flambeau.core import dtypes
from flambeau.nn.functional.distance import vector_norm
from flambeau.ops import where
from flambeau.ops.sparse import SparseTensor
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import verify


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` (n, d) at the positions `input` (*): (*, d). Row `padding_idx` gets no gradient."""
    count = weight.size(0)
    if padding_idx is not None:
        if not -count <= padding_idx < count:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= count
    if max_norm is not None:
        shorten_rows(weight, input, max_norm, norm_type)
    if sparse and weight.requires_grad and is_grad_enabled():
        kept = None if padding_idx is None else input.reshape(-1) != padding_idx
        return RowsOf.apply(weight, input.detach(), kept, scale_grad_by_freq)
    rows = ops.embedding(input, weight)
    if weight.requires_grad:
        factor = None
        if padding_idx is not None:
            factor = (input != padding_idx).to(weight.dtype)
        if scale_grad_by_freq:
            counts = ops.zeros(count, dtype=weight.dtype).scatter_add(
                0, input.reshape(-1).long(), ops.ones(input.numel(), dtype=weight.dtype)
            )
            share = 1 / counts[input.long()]
            factor = share if factor is None else factor * share
        if factor is not None:
            factor = factor.unsqueeze(-1)
            return rows.detach() + (rows - rows.detach()) * factor
    return rows


class RowsOf(Function):
    """Rows of a table, whose gradient is sparse: a row for each that was looked up."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, input: Tensor, kept: Tensor | None, by_count: bool) -> Tensor:
        ctx.size, ctx.input, ctx.kept, ctx.by_count = weight.shape, input, kept, by_count
        return ops.embedding(input, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        places, values = ctx.input.reshape(-1).long(), grad.reshape(-1, ctx.size[1])
        if ctx.by_count:
            values = values / ops.bincount(places, minlength=ctx.size[0])[places].unsqueeze(-1)
        if ctx.kept is not None:
            places, values = places[ctx.kept], values[ctx.kept]
        return SparseTensor(places.unsqueeze(0), values, ctx.size), None, None, None


def shorten_rows(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the rows that are used to at most `max_norm`, in place."""
    with no_grad():
        used = sorted(set(input.reshape(-1).tolist()))
        rows = weight[used]
        norms = vector_norm(rows, norm_type, 1, True)
        weight[used] = where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """(*) whole numbers -> (*, num_classes) zeros with a one at each number."""
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1
    verify(tensor, partial(_check_classes, num_classes))
    return (tensor.unsqueeze(-1) == ops.arange(num_classes)).long()


def _check_classes(num_classes: int, numbers: np.ndarray) -> None:
    if numbers.size and numbers.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if numbers.size and numbers.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of each bag: `(B, K)` or `(K)` with offsets to `(B, d)`.

    Args:
        input: the indices, a row a bag or all bags on end.
        weight: the table `(n, d)`.
        offsets: where each bag begins, for a one-dimensional input.
        max_norm: rows looked up that are longer are shortened, in place.
        norm_type: the norm of `max_norm`.
        scale_grad_by_freq: divide a row's gradient by how often it was looked up.
        mode: `"sum"`, `"mean"` or `"max"`.
        sparse: the gradient of the table is a sparse tensor.
        per_sample_weights: a factor for each index, for sums only.
        include_last_offset: the offsets end with the number of indices.
        padding_idx: the index that does not count.

    Raises:
        ValueError: for shapes that do not fit, or an unknown mode.
        NotImplementedError: for weights with a mode other than `"sum"`.
    """
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                f"supported for mode='sum' (got mode='{mode}'). Please open a feature request on "
                "GitHub."
            )
        if input.size() != per_sample_weights.size():
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, "
                f"then it must have the same shape as the input ({input.shape})"
            )
        per_sample_weights = per_sample_weights.reshape(-1)
    _check_bags(input, offsets)
    flat = input.reshape(-1)
    owners = None if offsets is None else owners_of(offsets, count=flat.size(0))
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    kept = None if padding_idx is None else flat != padding_idx % weight.size(0)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    if owners is None:
        kept = None if kept is None else kept.reshape(input.size())
        return _joined_rows(rows.reshape(*input.size(), weight.size(1)), kept, mode)
    assert offsets is not None
    return _joined_bags(rows, owners, max(offsets.size(0) - include_last_offset, 0), kept, mode)


def _check_bags(input: Tensor, offsets: Tensor | None) -> None:
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed length sequences. However, found offsets of type "
                f"{type(offsets)}"
            )
    elif input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")


def _owners_array(offsets: np.ndarray, count: int) -> np.ndarray:
    if len(offsets) and offsets[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {offsets[0]}"
        )
    if len(offsets) and offsets[-1] > count:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length ({count}) but got "
            f"offsets[-1] of {offsets[-1]}"
        )
    return np.maximum(np.searchsorted(np.sort(offsets), np.arange(count), side="right") - 1, 0)


#: The bag that each of `count` indices is in. Raises `RuntimeError` for offsets that do not fit.
owners_of = Primitive(
    "bag_owners", "offsets", _owners_array, rule=lambda offsets, count: Spec((count,), np.dtype(np.int64))
)


def _joined_rows(rows: Tensor, kept: Tensor | None, mode: str) -> Tensor:
    """The rows of bags of one size, (B, K, d) -> (B, d), without those that are not `kept`, (B, K)."""
    if mode == "max" and rows.size(1):
        if kept is None:
            return rows.max(1)[0]
        found = rows.masked_fill(~kept.unsqueeze(2), -math.inf).max(1)[0]
        return found.masked_fill(~kept.any(1, keepdim=True), 0)
    sums = (rows if kept is None else rows.masked_fill(~kept.unsqueeze(2), 0)).sum(1)
    if mode != "mean":
        return sums
    return sums / (max(rows.size(1), 1) if kept is None else kept.sum(1, keepdim=True).clamp(min=1))


def _joined_bags(rows: Tensor, owners: Tensor, count: int, kept: Tensor | None, mode: str) -> Tensor:
    """The rows, (K, d), of each of `count` bags: (count, d). There may be indices behind the last bag."""
    if mode == "max":
        places = places_of_maxima(rows.detach(), owners, kept, count=count)
        if not rows.size(0):
            return rows.new_zeros((count, rows.size(1)))
        return rows.gather(0, places.clamp(min=0)).masked_fill(places < 0, 0)
    if kept is not None:
        rows = rows.masked_fill(~kept.unsqueeze(1), 0)
    sums = rows.new_zeros((count + 1, rows.size(1))).index_add(0, owners, rows)[:count]
    return sums if mode == "sum" else sums / bag_sizes(owners, kept, count=count).clamp(min=1).unsqueeze(1)


#: How many indices each of `count` bags has: (count).
bag_sizes = Primitive(
    "bag_sizes",
    "owners kept?",
    lambda owners, kept, count: np.bincount(owners if kept is None else owners[kept], minlength=count)[:count],
    rule=lambda owners, kept, count: Spec((count,), np.dtype(np.int64)),
)


def _maxima_array(rows: np.ndarray, owners: np.ndarray, kept: np.ndarray | None, count: int) -> np.ndarray:
    found = np.full((count, rows.shape[1]), -1)
    chosen = np.arange(len(owners)) if kept is None else np.flatnonzero(kept)
    starts = np.searchsorted(owners[chosen], np.arange(count + 1))
    for bag, (begin, end) in enumerate(itertools.pairwise(starts)):
        if begin < end:
            found[bag] = chosen[begin + rows[chosen[begin:end]].argmax(0)]
    return found


#: Which row, (K, d), holds the first maximum of each bag and column, (count, d); -1 for an empty bag.
places_of_maxima = Primitive(
    "bag_maxima",
    "rows owners kept?",
    _maxima_array,
    rule=lambda rows, owners, kept, count: Spec((count, rows.shape[1]), np.dtype(np.int64)),
)
