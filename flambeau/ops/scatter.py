"""Writing at indices: scatter with its reductions, and index_add, index_copy, index_fill, index_reduce."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_dim
from flambeau.ops import flat
from flambeau.ops.arithmetic import where
from flambeau.ops.index import (
    _check_index,
    _gather,
    _index_put,
    _scatter_add,
    changed_at_once,
    check_rows,
    has_changed,
    may_change,
)
from flambeau.ops.parts import _slice
from flambeau.ops.shape import expand, reshape
from flambeau.ops.table import Kernel, Primitive, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state, verify

#: `input` with each element of `src` (of the shape of `index`) written at its place along `dim`; of several
#: the last stays.
_scatter = Primitive(
    "scatter",
    "input index src",
    lambda x, index, src, dim: flat.write_along(x, index, src, dim, "set"),
    rule=lambda x, index, src, dim: x,
    derivative={
        "input": lambda g, index, index_shape, dim: _scatter(g, index, g.new_zeros(index_shape), dim=dim),
        "src": lambda g, index, dim: _gather(g, index, dim=dim, within=True),
    },
    lowering=Kernel("scatter", ("set",)),
)


# Reductions ---------------------------------------------------------------------------------------

#: What kernels call a reduction.
JOININGS = {"prod": "mul", "amax": "max", "amin": "min"}


def _of_extremum(g: Tensor, x: Tensor, index: Tensor, src: Tensor, out: Any, dim: int, of_src: bool) -> Tensor:
    """The gradient goes, in equal parts, to all that equal the extremum."""
    chosen = src == _gather(out, index, dim=dim, within=True)
    count = _scatter_add((x == out).to(g.dtype), index, chosen.to(g.dtype), dim=dim, within=True)
    share = g / count
    if of_src:
        return _gather(share, index, dim=dim, within=True).masked_fill(~chosen, 0)
    return share.masked_fill(x != out, 0)


def _of_product(g: Tensor, x: Tensor, index: Tensor, src: Tensor, dim: int, of_src: bool) -> Tensor:
    """The gradient of a factor is the product of the others: without division where there are zeros."""
    zero_x, zero_src = x == 0, src == 0
    others = _reduce_into(x.masked_fill(zero_x, 1), index, src.masked_fill(zero_src, 1), dim=dim, reduce="prod")
    zeros = _scatter_add(zero_x.long(), index, zero_src.long(), dim=dim)
    if of_src:
        g, others, zeros = (_gather(t, index, dim=dim) for t in (g, others, zeros))
    factor, is_zero = (src, zero_src) if of_src else (x, zero_x)
    # Times zero, if there is another zero among the others.
    kept = others / factor.masked_fill(is_zero, 1)
    return g * kept.masked_fill(zeros > is_zero.long(), 0).conj()


def _of_reduction(of_src: bool) -> Any:
    def derivative(g: Tensor, input: Tensor, index: Tensor, src: Tensor, out: Any, dim: int, reduce: str) -> Tensor:
        if reduce == "prod":
            return _of_product(g, input, index, src, dim, of_src)
        return _of_extremum(g, input, index, src, out, dim, of_src)

    return derivative


#: `input` joined, by product or extremum, with each element of `src` at its place along `dim`.
_reduce_into = Primitive(
    "scatter_reduce",
    "input index src",
    lambda x, index, src, dim, reduce: flat.write_along(x, index, src, dim, JOININGS[reduce]),
    rule=lambda x, index, src, dim, reduce: x,
    derivative={"input": _of_reduction(False), "src": _of_reduction(True)},
    lowering=Kernel("scatter"),
)


def _neutral(reduce: str, d: dtypes.dtype) -> Any:
    """What changes no product or extremum of numbers of dtype `d`."""
    if reduce == "prod":
        return 1
    lowest = reduce == "amax"
    if d.kind == dtypes.FLOATING:
        return -np.inf if lowest else np.inf
    if d.kind == dtypes.BOOL:
        return not lowest
    return np.iinfo(d.numpy).min if lowest else np.iinfo(d.numpy).max


def _reduced(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
    """`src` (of the shape of `index`) reduced into `input`, which counts as one more element or not."""
    if reduce in ("sum", "mean"):
        start = input if include_self else _emptied(input, dim, index, 0)
        total = _scatter_add(start, index, src, dim=dim)
        return total if reduce == "sum" else _divided(total, dim, index, include_self)
    if not include_self:
        input = _emptied(input, dim, index, _neutral(reduce, input.dtype))
    return _reduce_into(input, index, src, dim=dim, reduce=reduce)


def _emptied(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    return _scatter(input, index, input.new_full(index._array.shape, value), dim=dim)


def _divided(total: Tensor, dim: int, index: Tensor, include_self: bool) -> Tensor:
    """The sums over how many they were summed from."""
    ones = wrap(np.ones(index._array.shape, np.int64))
    count = total.new_ones(total._array.shape, dtype=dtypes.int64)
    if not include_self:
        count = _emptied(count, dim, index, 0)
    count = _scatter_add(count, index, ones, dim=dim).clamp(min=1)
    if total.dtype.kind < dtypes.FLOATING:
        return total.div(count, rounding_mode="floor").to(total.dtype)
    return total / count.to(total.dtype)


# Scatter ------------------------------------------------------------------------------------------


def _check_source(input: Tensor, dim: int, index: Tensor, src: Tensor | None) -> None:
    """Raises unless `index` fits into `input` (apart from `dim`) and into `src`."""
    wanted = index._array.shape
    if src is not None and src.ndim != index.ndim and (src.ndim or 1) != (index.ndim or 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    fits = all(a <= b for d, (a, b) in enumerate(zip(wanted, input._array.shape, strict=False)) if d != dim)
    within = src is None or all(a <= b for a, b in zip(wanted, src._array.shape, strict=False))
    if fits and within:
        return
    also = "" if src is None else f" and to be no larger size than src {list(src.shape)}"
    raise RuntimeError(
        f"Expected index {list(wanted)} to be no larger than self {list(input.shape)} apart from dimension "
        f"{dim}{also}"
    )


def _prepared(name: str, input: Tensor, dim: int, index: Tensor, src: Any) -> tuple[int, Tensor, Tensor]:
    """`dim`, and `index` and `src` of one shape, as the primitives take them; numbers become tensors."""
    dim = wrap_dim(dim, input.ndim)
    if isinstance(src, Tensor) and src.dtype is not input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    _check_index(name, input, dim, index)
    _check_source(input, dim, index, src if isinstance(src, Tensor) else None)
    shape = tuple(index._array.shape)
    if not isinstance(src, Tensor):
        src = input.new_full(shape, number_for(input, src, "value"))
    elif tuple(src._array.shape) != shape:
        src = _slice(src, starts=(0,) * src.ndim, stops=shape, steps=(1,) * src.ndim)
    return dim, index.long(), src


def number_for(input: Tensor, number: Any, what: str) -> Any:
    """`number`, where `input` can hold its kind. Raises `RuntimeError` for a complex one among reals."""
    if isinstance(number, complex) and not input.is_complex():
        name = input.dtype.name.rstrip("0123456789")
        raise RuntimeError(f"{what} cannot be converted to type {name} without overflow")
    return number


def _scattering(name: str, run: Any, input: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    """`run(input, dim, index, src)` for what is left after the checks; numbers are vectors of one."""
    if index._array.size == 0:
        wrap_dim(dim, input.ndim)
        return input.clone()
    if input.ndim == 0:
        index = reshape(index, 1)
        src = reshape(src, 1) if isinstance(src, Tensor) else src
        return reshape(_scattering(name, run, reshape(input, 1), dim, index, src), ())
    if index.ndim == 0:
        index = reshape(index, 1)
        src = reshape(src, 1) if isinstance(src, Tensor) else src
    dim, index, src = _prepared(name, input, dim, index, src)
    return run(input, dim, index, src)


def _scattered_at_once(name: str, input: Tensor, dim: int, index: Tensor, src: Any, op: str) -> bool:
    """A scattering in place, where nothing stands in its way; says whether it did."""
    if state.busy or not (input.ndim and index.ndim and index._array.size):
        return False
    dim, index, src = _prepared(name, input, dim, index, src)
    if not may_change(input, src):
        return False
    flat.change_along(input._array, index._array, src._array, dim, op)
    has_changed(input)
    return True


def _set_at_once(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> bool:
    source = value if src is None else src
    return reduce is None and source is not None and _scattered_at_once("scatter", input, dim, index, source, "set")


def _sum_at_once(input: Tensor, dim: int, index: Tensor, src: Tensor) -> bool:
    return _scattered_at_once("scatter", input, dim, index, src, "add")


@operator(inplace=_set_at_once, out=True)
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
    if source is None:
        raise TypeError("scatter() needs 'src', a tensor or a number, or 'value'")
    if reduce is None:
        run = lambda x, d, i, s: _scatter(x, i, s, dim=d)
    elif reduce in ("add", "multiply"):
        by = {"add": "sum", "multiply": "prod"}[reduce]
        run = lambda x, d, i, s: _reduced(x, d, i, s, by, True)
    else:
        raise RuntimeError("reduce argument must be either add or multiply.")
    return _scattering("scatter", run, input, dim, index, source)


@operator(inplace=_sum_at_once, out=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with each element of `src` added at its place along `dim`."""
    run = lambda x, d, i, s: _scatter_add(x, i, s, dim=d)
    return _scattering("scatter_add", run, input, dim, index, src)


@operator(inplace=True, out=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with the elements of `src` reduced into their places along `dim`.

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: whether what was there counts. Means
    of integers are rounded down; the gradient of an extremum is shared by all that equal it.
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if reduce == "mean" and input.dtype.kind == dtypes.BOOL:
        raise NotImplementedError("\"scatter_gather_tensor_cpu_reduce_mean\" not implemented for 'Bool'")
    run = lambda x, d, i, s: _reduced(x, d, i, s, reduce, include_self)
    return _scattering("scatter", run, input, dim, index, src)


# A vector of indices ------------------------------------------------------------------------------


def _check_vector(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    """Raises unless `index` is a vector of positions in `dim`, one for each slice of `source`."""
    if index.ndim > 1:
        raise IndexError(
            f"{name}_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{index.dtype.tensor_type} and size: {list(index.shape)}"
        )
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            f"{name}_(): Expected dtype int32/int64 for index but got: {index.dtype.tensor_type}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}_(): self ({input.dtype.tensor_type}) and source ({source.dtype.tensor_type}) must have "
            "the same scalar type"
        )
    count = source._array.shape[dim] if source.ndim else 1
    if index._array.size != count:
        raise RuntimeError(
            f"{name}_(): Number of indices ({index._array.size}) should be equal to source.size(dim): "
            f"({count}), for dim: {dim}"
        )
    have, given = list(input._array.shape), list(source._array.shape)
    if have and given:
        have[dim : dim + 1] = given[dim : dim + 1] = []
    if have != given and (input.ndim, source.ndim) not in ((0, 1), (1, 0)):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got "
            f"self.shape = {list(input.shape)} source.shape = {list(source.shape)}"
        )


def _check_range(
    name: str, index: Tensor, dim: int, size: int, low: int = 0, error: type[Exception] = IndexError
) -> None:
    """Has `index` looked at, and `error` raised for what does not lie between `low` and `size`."""

    def check(array: np.ndarray) -> None:
        if array.size and not (low <= array.min() and array.max() < size):
            bad = array[(array < low) | (array >= size)].flat[0]
            raise error(f"{name}index {bad} is out of bounds for dimension {dim} with size {size}")

    verify(index, check)


def _checked(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor, accumulate: bool) -> int:
    """The dimension, counted from the start; raises for what does not fit."""
    dim = wrap_dim(dim, input.ndim)
    _check_vector(name, input, dim, index, source)
    if input.ndim:
        size = input._array.shape[dim]
        if accumulate:
            _check_range("", index, dim, size, error=RuntimeError)
        else:
            _check_range(f"{name}_(): ", index, dim, size)
    return dim


def _put(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor, accumulate: bool) -> Tensor:
    """`input` with the slices of `source` written or added at positions `index` of `dim`."""
    dim = _checked(name, input, dim, index, source, accumulate)
    if input.ndim == 0:
        return reshape(_put(name, reshape(input, 1), 0, index, reshape(source, 1), accumulate), ())
    if source.ndim == 0:
        source = reshape(source, 1)
    return _index_put(input, source, reshape(index.long(), -1), dims=(dim,), accumulate=accumulate)


def _put_at_once(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor, accumulate: bool) -> bool:
    """`_put` in place, where nothing stands in its way; says whether it did."""
    if state.busy or not input.ndim or not source.ndim or not index._array.size:
        return False
    dim = _checked(name, input, dim, index, source, accumulate)
    return changed_at_once(input, source, (reshape(index.long(), -1),), (dim,), accumulate)


def _add_at_once(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> bool:
    return _put_at_once("index_add", input, dim, index, source if alpha == 1 else source * alpha, True)


def _copy_at_once(input: Tensor, dim: int, index: Tensor, source: Tensor) -> bool:
    _check_copy(input, dim, index, source)
    return _put_at_once("index_copy", input, dim, index, source, False)


@operator(inplace=_add_at_once, out=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """`input` with `alpha * source` added at positions `index` of dimension `dim`."""
    return _put("index_add", input, dim, index, source if alpha == 1 else source * alpha, True)


@operator(inplace=_copy_at_once, out=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with `source` written at positions `index` of dimension `dim`."""
    _check_copy(input, dim, index, source)
    return _put("index_copy", input, dim, index, source, False)


def _check_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    """The errors of `index_copy`, which have words of their own."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {index.dtype.tensor_type}"
        )
    dim = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{input.dtype.tensor_type} and (source) {source.dtype.tensor_type}"
        )
    have, given = list(input._array.shape), list(source._array.shape)
    count = given.pop(dim) if given else 1
    if have:
        have.pop(dim)
    if input.ndim and source.ndim and have != given:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{' '.join(map(str, have))} at dimension {dim} and source slice shape: "
            f"{' '.join(map(str, given))} at dimension {dim}."
        )
    if index._array.size != count:
        raise IndexError(
            f"index_copy_(): Number of indices ({index._array.size}) should be equal to source.size(dim) "
            f"({count})"
        )


@operator(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with a number, or a 0-dim tensor, at positions `index` of dimension `dim`."""
    if index.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    dim = wrap_dim(dim, input.ndim)
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        value = value.to(input.dtype)
    else:
        if isinstance(value, complex) and not input.is_complex():
            raise RuntimeError(
                "index_fill_(): Converting complex Scalar to non-complex type is not supported"
            )
        value = wrap(np.asarray(value).astype(input._array.dtype))
    size = input._array.shape[dim] if input.ndim else 1
    _check_range("", index, dim, size, -size)
    # By a mask, so that a place named twice counts once in the gradient of the value.
    chosen = _index_put(
        wrap(np.zeros(size, bool)), wrap(np.asarray(True)), reshape(index, -1), dims=(0,), accumulate=False
    )
    mask = reshape(chosen, [size if d == dim else 1 for d in range(input.ndim)])
    return where(mask, value, input)


@operator(inplace=True, out=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with the slices of `source` reduced into positions `index` of dimension `dim`.

    reduce: "prod", "mean", "amax" or "amin". include_self: whether what was there counts.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}."
        )
    dim = wrap_dim(dim, input.ndim)
    _check_vector("index_reduce", input, dim, index, source)
    if input.ndim == 0:
        vector = index_reduce(
            reshape(input, 1), 0, index, reshape(source, 1), reduce, include_self=include_self
        )
        return reshape(vector, ())
    if index._array.size == 0 or input._array.size == 0:
        return input.clone()
    verify(index, partial(check_rows, input._array.shape[dim]))
    source = source if source.ndim else reshape(source, 1)
    places = reshape(index.long(), [-1 if d == dim else 1 for d in range(input.ndim)])
    return _reduced(input, dim, expand(places, source.shape), source, reduce, include_self)
