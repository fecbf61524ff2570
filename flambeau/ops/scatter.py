"""Writing at indices: scatter, index_add, index_copy, index_fill."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dim
from flambeau.ops.index import _along, _check_index, _gather, _padded, scatter_add
from flambeau.ops.table import Primitive, operator
from flambeau.tensor.tensor import Tensor, wrap


def _scattered(x: np.ndarray, index: np.ndarray, src: np.ndarray, dim: int) -> np.ndarray:
    out = x.copy()
    grid = _along(x.ndim, dim, index.shape)
    grid[dim] = index
    out[tuple(grid)] = src[tuple(slice(0, n) for n in index.shape)]
    return out


#: `input` with each element of `src` written at its place along `dim`; of several the last stays.
_scatter = Primitive(
    "scatter",
    "input index src",
    _scattered,
    rule=lambda x, index, src, dim: x,
    derivative={
        "input": lambda g, index, dim: _scatter(g, index, _gather(g, index, dim=dim) * 0, dim=dim),
        "src": lambda g, index, src_shape, dim: _padded(_gather(g, index, dim=dim), src_shape),
    },
)


@operator(inplace=True, out=True)
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """`input` with `src` (a tensor or number) at `index` along `dim`: `out[index[i][j]][j] = src[i][j]`.

    reduce: "add" or "multiply" instead of overwriting.
    """
    source = value if src is None else src
    dim = wrap_dim(dim, input.ndim)
    if index._array.size == 0:
        return input.clone()
    _check_index("scatter", input, dim, index)
    if not isinstance(source, Tensor):
        source = input.new_full(index._array.shape, source)
    elif source.dtype is not input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if input.ndim == 0:
        flat = scatter(input.reshape(1), 0, index.reshape(1), source.reshape(1), reduce=reduce)
        return flat.reshape(())
    index = index.long()
    if reduce == "add":
        return scatter_add(input, dim, index, source)
    if reduce == "multiply":
        raise NotImplementedError("scatter: reduce='multiply' is not there yet; 'add' and None are")
    if reduce is not None:
        raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r}")
    return _scatter(input, index, source, dim=dim)


def _check_vector(name: str, index: Tensor) -> None:
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, got shape {list(index.shape)}")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise IndexError(f"{name}(): Expected dtype int32/int64 for index")


def _put(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor, accumulate: bool) -> Tensor:
    _check_vector(name, index)
    dim = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        return _put(name, input.reshape(1), 0, index, source.reshape(1), accumulate).reshape(())
    return input.index_put([*[None] * dim, index.long().reshape(-1)], source, accumulate)


@operator(inplace=True, out=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """`input` with `alpha * source` added at positions `index` of dimension `dim`."""
    return _put("index_add", input, dim, index, source if alpha == 1 else source * alpha, True)


@operator(inplace=True, out=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with `source` written at positions `index` of dimension `dim`."""
    return _put("index_copy", input, dim, index, source, False)


@operator(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with the number `value` at positions `index` of dimension `dim`."""
    _check_vector("index_fill", index)
    if isinstance(index._array, np.ndarray):  # a place named twice counts once in the value's gradient
        index = wrap(np.unique(index._array))
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        value = value.to(input.dtype)
    else:
        value = wrap(np.asarray(value).astype(input._array.dtype))
    return _put("index_fill", input, dim, index, value, False)
