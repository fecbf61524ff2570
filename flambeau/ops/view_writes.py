"""Writing into a part: `slice_scatter` and its kind, each a copy whose view is overwritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.ops.parts import diagonal, select, slice_along
from flambeau.ops.strided import as_strided, room
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor


def _written(input: Tensor, src: Tensor, part_of: Callable[[Tensor], Tensor], what: str) -> Tensor:
    """A copy of `input` with `src` in the part that `part_of` shows."""
    out = input.clone()
    return _write(out, part_of(out), src, what)


def _write(out: Tensor, part: Tensor, src: Tensor, what: str) -> Tensor:
    if src._array.shape != part._array.shape:
        raise RuntimeError(
            f"expected src to have a size equal to the {what} of self. src size = {list(src.shape)}, "
            f"{what} size = {list(part.shape)}"
        )
    part.copy_(src)
    return out


@operator
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor:
    """A copy of `input` with `src` in elements `start` to `end`, `step` apart, of dimension `dim`."""
    return _written(input, src, lambda x: slice_along(x, dim, start, end, step), "slice")


@operator
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `input` with `src` in element `index` of dimension `dim`."""
    return _written(input, src, lambda x: select(x, dim, index), "slice")


@operator
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of `input` with `src` on the diagonal of two dimensions."""
    return _written(input, src, lambda x: diagonal(x, offset, dim1, dim2), "slice")


@operator
def as_strided_scatter(
    input: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """A copy of `input`, and of the memory around it, with `src` where
    `as_strided(input, size, stride, storage_offset)` looks.
    """
    begin = input.storage_offset()
    memory = as_strided(input, (room(input),), (1,), 0).clone()
    out = as_strided(memory, input.shape, input.stride(), begin)
    part = as_strided(memory, size, stride, begin if storage_offset is None else storage_offset)
    return _write(out, part, src, "slice")
