"""Tables looked up by index: the table comes first, modes are numbers, and a bag tells how it was made."""

from __future__ import annotations

from flambeau import ops
from flambeau.core import dtypes
from flambeau.nn.functional.embedding import (
    bag_sizes,
    owners_of,
    places_of_maxima,
    shorten_rows,
)
from flambeau.nn.functional.embedding import embedding as rows_of
from flambeau.nn.functional.embedding import embedding_bag as bags_of
from flambeau.tensor import Tensor

_MODES = ("sum", "mean", "max")


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """Rows of `weight` (n, d) at `indices` (*): (*, d). Row `padding_idx`, if not negative, gets no gradient."""
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    padding = None if padding_idx < 0 else padding_idx
    return rows_of(
        indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Shortens the rows of `input` at `indices` to at most `max_norm`, in place."""
    shorten_rows(input, indices, max_norm, norm_type)
    return input


def embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0,
    sparse: bool = False, per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """(the sum (0), mean (1) or maximum (2) of the rows of each bag, the bag of each index, the sizes of bags, and
    for maxima the row that each came from).

    For sums, whose derivative does not need them, the sizes are 0 and the bags of each index left out, unless there is
    a `padding_idx` or the numbers are double: as in PyTorch.
    """
    if mode not in (0, 1, 2):
        raise RuntimeError(f"Expected mode to be 0, 1 or 2, but got {mode}")
    if per_sample_weights is not None and mode != 0:
        raise RuntimeError("embedding_bag: per_sample_weights only supported with mode='sum'")
    out = bags_of(
        indices, weight, offsets, None, 2, scale_grad_by_freq, _MODES[mode], sparse, per_sample_weights,
        include_last_offset, padding_idx,
    )  # fmt: skip
    kind, bags = indices.dtype, ops.zeros(0, dtype=indices.dtype)
    owners = owners_of(offsets, count=indices.numel())
    if mode != 0 or padding_idx is not None or weight.dtype is dtypes.float64:
        bags = owners.to(kind)
    if mode == 0:
        unused = ops.zeros(len(out) if weight.requires_grad else len(offsets), dtype=kind)
        return out, bags, unused, unused.clone()
    kept = None if padding_idx is None else indices != padding_idx % weight.size(0)
    sizes = bag_sizes(owners, kept, count=len(out)).to(kind)
    if mode == 1:
        return out, bags, sizes, sizes.clone()
    places = places_of_maxima(weight.detach()[indices], owners, kept, count=len(out))
    rows = indices[places.clamp(min=0)] if len(indices) else places
    return out, bags, sizes, rows.masked_fill(places < 0, 0).to(kind)


def _embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0,
    sparse: bool = False, per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """`embedding_bag`, where a negative `padding_idx` is none."""
    return embedding_bag(
        weight, indices, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights, include_last_offset,
        None if padding_idx < 0 else padding_idx,
    )  # fmt: skip


