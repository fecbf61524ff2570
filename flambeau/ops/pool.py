"""Average and maximum pooling in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.shapes import pair
from flambeau.ops import on_kernels
from flambeau.ops.native import native
from flambeau.ops.table import Kernel, Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor

Ints = tuple[int, ...]


def pooled_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows there are; with `ceil_mode` one more where elements are left, unless it would
    begin in the padding at the end.
    """
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def _windows(
    x: np.ndarray, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, places: Ints, fill: Any
) -> np.ndarray:
    """Every window of `x` (..., *in) as a view (..., *places, *kernel) of the padded array."""
    rank = len(kernel)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    after = [
        max((o - 1) * s + w - n - p, 0)
        for o, s, w, n, p in zip(places, stride, span, x.shape[-rank:], padding, strict=True)
    ]
    if any(padding) or any(after):
        edges = [(0, 0)] * (x.ndim - rank) + list(zip(padding, after, strict=True))
        x = np.pad(x, edges, constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, span, tuple(range(x.ndim - rank, x.ndim)))
    lead = (slice(None),) * (x.ndim - rank)
    steps = tuple(slice(0, (o - 1) * s + 1, s) for o, s in zip(places, stride, strict=True))
    inside = tuple(slice(None, None, d) for d in dilation)
    return windows[(*lead, *steps, *inside)]


def _shape(x: Spec, places: Ints) -> tuple[int, ...]:
    return (*x.shape[: len(x.shape) - len(places)], *places)


# Average ------------------------------------------------------------------------------------------


def divisors(
    size: Ints, kernel: Ints, stride: Ints, padding: Ints, places: Ints, count_include_pad: bool, override: int | None
) -> np.ndarray:
    """What each window's sum is divided by: (*places)."""
    if override is not None:
        return np.full(places, override, np.float64)
    total = np.ones((), np.float64)
    for n, k, s, p, o in zip(size, kernel, stride, padding, places, strict=True):
        start = np.arange(o) * s - p
        stop = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        total = total[..., None] * (stop - start)
    return total


def _average(x: np.ndarray, kernel: Ints, stride: Ints, padding: Ints, places: Ints, count_include_pad: bool, override: Any) -> np.ndarray:
    rank = len(kernel)
    size = x.shape[-rank:]
    fast = on_kernels.average(x, size, kernel, stride, padding, places, count_include_pad, override, False)
    if fast is not None:
        return fast
    work = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    windows = _windows(work, kernel, stride, padding, (1,) * rank, places, 0)
    sums = windows.sum(axis=tuple(range(-rank, 0)))
    by = divisors(x.shape[-rank:], kernel, stride, padding, places, count_include_pad, override)
    return (sums / by.astype(sums.dtype)).astype(x.dtype)


def _average_gradient(
    g: np.ndarray, size: Ints, kernel: Ints, stride: Ints, padding: Ints, count_include_pad: bool, override: Any
) -> np.ndarray:
    rank = len(kernel)
    places = g.shape[-rank:]
    fast = on_kernels.average(g, size, kernel, stride, padding, places, count_include_pad, override, True)
    if fast is not None:
        return fast
    work = g.astype(np.float32) if g.dtype.itemsize == 2 else g
    by = divisors(size, kernel, stride, padding, places, count_include_pad, override)
    share = work / by.astype(work.dtype)
    padded = [max((o - 1) * s + k, n + 2 * p) for o, s, k, n, p in zip(places, stride, kernel, size, padding, strict=True)]
    out = np.zeros((*g.shape[:-rank], *padded), work.dtype)
    for offset in np.ndindex(*kernel):
        where = tuple(slice(o, o + (m - 1) * s + 1, s) for o, m, s in zip(offset, places, stride, strict=True))
        out[(..., *where)] += share
    inside = tuple(slice(p, p + n) for p, n in zip(padding, size, strict=True))
    return np.ascontiguousarray(out[(..., *inside)]).astype(g.dtype, copy=False)


_avg_pool = Primitive(
    "avg_pool",
    "input",
    _average,
    rule=lambda x, kernel, stride, padding, places, count_include_pad, override: Spec(_shape(x, places), x.dtype),
    derivative={
        "input": lambda g, input_shape, kernel, stride, padding, count_include_pad, override: _avg_pool_backward(
            g, size=tuple(input_shape[-len(kernel) :]), kernel=kernel, stride=stride, padding=padding,
            count_include_pad=count_include_pad, override=override,
        )
    },
    lowering=Kernel("pool", ("average",)),
)  # fmt: skip
_avg_pool_backward = Primitive(
    "avg_pool_backward",
    "grad",
    _average_gradient,
    rule=lambda g, size, kernel, stride, padding, count_include_pad, override: Spec(
        (*g.shape[: -len(size)], *size), g.dtype
    ),
    derivative={
        "grad": lambda g, grad_shape, kernel, stride, padding, count_include_pad, override: _avg_pool(
            g, kernel=kernel, stride=stride, padding=padding, places=tuple(grad_shape[-len(kernel) :]),
            count_include_pad=count_include_pad, override=override,
        )
    },
    lowering=Kernel("pool", ("average_backward",)),
)  # fmt: skip


def _places(
    name: str, rank: int, input: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Ints:
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}: Expected {rank + 1}D or {rank + 2}D (batch mode) tensor, but got input of size: {list(input.shape)}"
        )
    for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True):
        if k <= 0:
            raise RuntimeError(f"kernel size should be greater than zero, but got kernel_size={list(kernel)}")
        if s <= 0:
            raise RuntimeError("stride should be greater than zero, but got stride=" + str(list(stride)))
        if d <= 0:
            raise RuntimeError(f"dilation should be greater than zero, but got dilation={list(dilation)}")
        if p < 0 or (p > (k - 1) * d // 2 + (0 if d > 1 or k == 1 else (1 if k % 2 == 0 else 0)) and p > k // 2):
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and dilation={d}"
            )
    sizes = input._array.shape[-rank:]
    places = tuple(
        pooled_size(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    )
    if any(o < 1 for o in places):
        raise RuntimeError(
            f"Given input size: ({'x'.join(map(str, input._array.shape[-rank - 1 :]))}). Calculated output size: "
            f"({'x'.join(map(str, (input._array.shape[-rank - 1], *places)))}). Output size is too small"
        )
    return places


def _stride(stride: Any, kernel: Ints, rank: int) -> Ints:
    if stride is None or (isinstance(stride, Sequence) and not len(stride)):
        return kernel
    return pair(stride, rank, "stride")


def _avg(rank: int) -> Any:
    name = f"avg_pool{rank}d"

    def call(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> Tensor:  # fmt: skip
        kernel = pair(kernel_size, rank, "kernel_size")
        steps, pads = _stride(stride, kernel, rank), pair(padding, rank, "padding")
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        places = _places(name, rank, input, kernel, steps, pads, (1,) * rank, ceil_mode)
        return _avg_pool(
            input, kernel=kernel, stride=steps, padding=pads, places=places,
            count_include_pad=count_include_pad, override=divisor_override,
        )  # fmt: skip

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The mean of each window of the last {rank} dimensions. With `ceil_mode` a last, smaller window "
        "takes in what is left; padding counts unless `count_include_pad` is false."
    )
    return operator(call, method=False)


avg_pool1d, avg_pool2d, avg_pool3d = map(_avg, (1, 2, 3))


# Maximum ------------------------------------------------------------------------------------------


def _lowest(stored: np.dtype) -> Any:
    if stored.kind in "iu":
        return np.iinfo(stored).min
    return -np.inf


def _maximum(x: np.ndarray, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, places: Ints) -> tuple[np.ndarray, np.ndarray]:
    """The largest element of each window, and its position in the flattened input plane."""
    rank = len(kernel)
    fast = on_kernels.maximum(x, kernel, stride, padding, dilation, places)
    if fast is not None:
        return fast
    windows = _windows(x, kernel, stride, padding, dilation, places, _lowest(x.dtype))
    lead = x.shape[:-rank]
    flat = windows.reshape(*lead, *places, math.prod(kernel))
    if flat.dtype.kind == "V":
        flat = flat.astype(np.float32)
    best = flat.argmax(-1)
    values = np.take_along_axis(flat, best[..., None], -1)[..., 0].astype(x.dtype)
    positions = np.zeros(best.shape, np.int64)
    offsets = np.unravel_index(best, kernel)
    for axis in range(rank):
        shape = [1] * best.ndim
        shape[len(lead) + axis] = -1
        start = (np.arange(places[axis]) * stride[axis] - padding[axis]).reshape(shape)
        positions = positions * x.shape[len(lead) + axis] + np.maximum(start + offsets[axis] * dilation[axis], 0)
    return values, positions


_max_pool = Primitive(
    "max_pool",
    "input",
    _maximum,
    rule=lambda x, kernel, stride, padding, dilation, places: (
        Spec(_shape(x, places), x.dtype),
        Spec(_shape(x, places), np.dtype(np.int64)),
    ),
    derivative={
        "input": lambda g, out, input_shape, kernel, stride, padding, dilation: _max_pool_backward(
            g[0], out[1], size=tuple(input_shape[-len(kernel) :]),
            window=(kernel, stride, padding, dilation),
        )
    },
    lowering=Kernel("pool", ("max",)),
    outputs=2,
)


def _scattered(g: np.ndarray, positions: np.ndarray, size: Ints, window: Any = None) -> np.ndarray:
    rank = len(size)
    fast = on_kernels.maximum_backward(g, positions, size, window) if window else None
    if fast is not None:
        return fast
    planes = int(np.prod(g.shape[:-rank])) if g.ndim > rank else 1
    area = int(np.prod(size))
    flat = positions.reshape(planes, math.prod(positions.shape[-rank:])) + np.arange(planes)[:, None] * area
    if g.dtype.kind == "c":
        out = np.zeros(planes * area, g.dtype)
        np.add.at(out, flat.reshape(-1), g.reshape(-1))
    else:
        out = np.bincount(flat.reshape(-1), g.reshape(-1).astype(np.float64), planes * area)
    return out.reshape(*g.shape[:-rank], *size).astype(g.dtype, copy=False)


def _collected(x: np.ndarray, positions: np.ndarray, rank: int) -> np.ndarray:
    lead = x.shape[:-rank]
    flat = x.reshape(*lead, math.prod(x.shape[-rank:]))
    places = positions.reshape(*lead, math.prod(positions.shape[-rank:]))
    return np.take_along_axis(flat, places, -1).reshape(positions.shape)


#: Adds each gradient to the plane's element from which the maximum came. `window` is the pooling's (kernel,
#: stride, padding, dilation), where the positions are those of one.
_max_pool_backward = Primitive(
    "max_pool_backward",
    "grad indices",
    _scattered,
    rule=lambda g, indices, size, window=None: Spec((*g.shape[: -len(size)], *size), g.dtype),
    derivative={"grad": lambda g, indices, size: _max_pool_pick(g, indices, rank=len(size))},
    lowering=Kernel("pool", ("max_backward",)),
)
#: The elements of `input`'s planes at the positions of their maxima.
_max_pool_pick = Primitive(
    "max_pool_pick",
    "input indices",
    _collected,
    rule=lambda x, indices, rank: Spec(indices.shape, x.dtype),
    derivative={
        "input": lambda g, input_shape, indices, rank: _max_pool_backward(
            g, indices, size=tuple(input_shape[-rank:])
        )
    },
)


def _largest(input: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, places: Ints) -> Any:
    return _max_pool(input, kernel=kernel, stride=stride, padding=padding, dilation=dilation, places=places)


#: Kernels are made for planes; compiled programs know windows of any rank.
_largest_in_space = native(_largest)


def _max(rank: int) -> Any:
    name = f"max_pool{rank}d"

    def call(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        kernel = pair(kernel_size, rank, "kernel_size")
        steps, pads = _stride(stride, kernel, rank), pair(padding, rank, "padding")
        spread = pair(dilation, rank, "dilation")
        places = _places(name, rank, input, kernel, steps, pads, spread, ceil_mode)
        pool = _largest_in_space if rank == 3 else _largest
        values, indices = pool(input, kernel, steps, pads, spread, places)
        return (values, indices) if return_indices else values

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The largest element of each window of the last {rank} dimensions; with `return_indices` also its "
        "position in the flattened plane."
    )
    operator(
        lambda *args, **kwargs: call(*args, **{**kwargs, "return_indices": True}),
        name=name + "_with_indices",
        method=False,
    )
    return operator(call, method=False)


max_pool1d, max_pool2d, max_pool3d = map(_max, (1, 2, 3))
