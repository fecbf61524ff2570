"""Grids and combinations of the elements of vectors."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.ops.joining import stack
from flambeau.ops.shape import expand, reshape
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor, wrap


@operator(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """For vectors of sizes (m, n, ...), as many tensors of shape (m, n, ...): the coordinates of a grid.

    indexing: "ij", or "xy" for shapes (n, m, ...). The results are views. Raises `RuntimeError` unless
    the vectors have one dtype and at most one dimension.
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for x in tensors:
        if x.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x}"
            )
        if x.dtype is not tensors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    swapped = indexing == "xy" and len(tensors) > 1
    if swapped:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    rank = len(tensors)
    shape = [x._array.size for x in tensors]
    grids = [
        expand(reshape(x, [-1 if d == place else 1 for d in range(rank)]) if shape[place] else
               reshape(x, [0 if d == place else 1 for d in range(rank)]), shape)
        for place, x in enumerate(tensors)
    ]  # fmt: skip
    if swapped:
        grids = [grids[1], grids[0], *grids[2:]]
    return tuple(grids)


@operator(method=False)
def cartesian_prod(*tensors: Any) -> Tensor:
    """All choices of one element of each vector: (count, vectors); of one vector, itself."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(
                f"Expect a 1D vector, but got shape {list(x.shape)}"
            )
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(g, -1) for g in meshgrid(*tensors, indexing="ij")], 1)


@operator(method=False)
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in order: (count, r)."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return wrap(np.empty((0,), input._array.dtype))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input._array.size), r))
    places = np.array(rows, np.int64).reshape(len(rows), r)
    return input[wrap(places)]  # type: ignore[index]


@operator(method=False)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """(n, N): the powers 0 to N - 1 of the elements of a vector, the highest first unless `increasing`.

    (`linalg.vander` has them increasing.)
    """
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x._array.size if N is None else int(N)
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    if x.dtype.kind == dtypes.BOOL or x.dtype.kind == dtypes.INTEGER:
        x = x.long()
    powers = reshape(x, (x._array.size, 1)) ** wrap(np.arange(count))
    return powers if increasing else powers.flip(1)
