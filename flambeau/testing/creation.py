"""`make_tensor`: random tensors of any dtype for tests, the same as PyTorch's for the same
seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau.core.dtypes import FLOATING, INTEGER, dtype
from flambeau.tensor.tensor import Tensor, wrap


def make_tensor(
    *shape: Any,
    dtype: dtype,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random numbers from `low` up to, without, `high` (-9 to 9, or 0 to 1 for
    bool).

    Args:
        noncontiguous: leave gaps in memory between the elements of the last dimension.
        exclude_zero: replace zeros by the smallest positive number.

    Raises:
        ValueError: for limits that are NaN, out of order or out of the dtype's range, and for
            `requires_grad` of integers.
    """
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = tuple(shape[0])
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, but "
            "got "
            f"{noncontiguous=} and {memory_format=}"
        )
    whole = dtype.kind < FLOATING
    if requires_grad and whole:
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, but got "
            f"{dtype=}"
        )
    noncontiguous = noncontiguous and math.prod(shape) > 1
    if noncontiguous:
        shape = (*shape[:-1], 2 * shape[-1])
    low, high = _limits(low, high, dtype)
    if whole:
        result = flambeau.randint(
            math.ceil(low), math.ceil(high), shape, dtype=dtype, device=device
        )
    else:
        pairs = (2,) if dtype.is_complex else ()
        drawn = flambeau.empty((*shape, *pairs), dtype=dtype.to_real(), device=device)
        drawn.uniform_(low, high)
        result = wrap(drawn._array.view(dtype.numpy)[..., 0]) if pairs else drawn
    if noncontiguous:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = 1 if whole else flambeau.finfo(dtype).tiny
    return result.requires_grad_(requires_grad) if requires_grad else result


def _limits(low: float | None, high: float | None, dtype: dtype) -> tuple[float, float]:
    if dtype.kind == INTEGER:
        info: Any = flambeau.iinfo(dtype)
        lowest, highest = info.min, info.max + (dtype is not flambeau.int64)
        usual = (-9, 10)
    elif dtype.kind < INTEGER:
        lowest, highest, usual = 0, 2, (0, 2)
    else:
        info = flambeau.finfo(dtype)
        lowest, highest, usual = info.min, info.max, (-9, 9)
    low = usual[0] if low is None else low
    high = usual[1] if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    if low > high or (low == high and dtype.kind < FLOATING):
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    if high < lowest or low >= highest:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} "
            f"only supports [{lowest}, {highest})"
        )
    return min(max(low, lowest), highest), min(max(high, lowest), highest)
