"""Eager products of matrices, convolutions and poolings on the generated kernels that compiled programs use.

Each function fills a new array, or returns `None` where NumPy serves better: little work, a dtype or a rank that
no kernel is made for. What it decides by is the shape alone, so equal calls give equal bits.
"""

from __future__ import annotations

import math
import types
from typing import Any

import ml_dtypes
import numpy as np

from flambeau.ops.familiar import Familiar

Ints = tuple[int, ...]

#: Multiplications from which on a product, and a convolution, are worth a kernel of their own, and elements for a pooling.
PRODUCTS = 1 << 21
#: And up to which a shape that is not familiar is left to NumPy: more take longer than making code for them.
FEW_PRODUCTS = 1 << 32
MULTIPLICATIONS = 1 << 18
#: Convolutions of fewer, from so many on, are worth it too if they are among the first of a program.
FEW_MULTIPLICATIONS = 1 << 13
ELEMENTS = 1 << 13
#: Elements from which on a function of each element is.
MANY = 1 << 16
#: Elements that are added up on the way from which on that is.
RUNNING = 1 << 12

#: Elements from which on pointwise functions are chains (`kernels/flat.py`).
CHAINED = 512

_DTYPES = frozenset(map(np.dtype, ("f4", "f8")))
#: What chains are made for.
FLOATS = _DTYPES | {np.dtype("f2"), np.dtype(ml_dtypes.bfloat16)}
_SUMS = frozenset(map(np.dtype, ("f4", "f8", "i4", "i8")))


def _kernels() -> types.ModuleType:
    """The kernels, whose code generator takes time to load and comes with the first one."""
    from flambeau.kernels import call

    return call


_HALVES = FLOATS - _DTYPES
#: Functions that NumPy does one number at a time, functions it takes long for, and functions for which threads matter.
_SLOW = frozenset(("sigmoid", "erf"))
_LONG = frozenset(("exp", "sqrt", "rsqrt", "reciprocal", "sign", "relu"))
_SHARED = frozenset(("exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tanh"))
_PLAIN = frozenset(("neg", "abs", "floor", "ceil", "trunc", "round", "tan", "sinh", "cosh"))
FUNCTIONS = _SLOW | _LONG | _SHARED | _PLAIN
#: Functions of two numbers, and the dtypes for which NumPy is slower.
PAIRS = dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum"), _HALVES) | {"pow": FLOATS - {np.dtype("f8")}}
_SMALL_POWERS = (2, 3, 0.5, -1, 1, 0)  # which are products, quotients and roots
_chains: dict[Any, Any] = {}


def _fewest() -> dict[tuple[str, np.dtype], int]:
    """From how many elements on each function is a kernel's."""
    found = {(name, dtype): CHAINED for name in FUNCTIONS for dtype in _HALVES}
    for names, count in ((_SLOW, CHAINED), (_LONG, 1 << 12), (_SHARED, MANY)):
        found |= {(name, dtype): count for name in names for dtype in _DTYPES}
    return found


_FEWEST = _fewest()


def function(name: str, x: np.ndarray) -> np.ndarray | None:
    """One of `FUNCTIONS` of every element."""
    dtype = x.dtype
    if x.size < _FEWEST.get((name, dtype), math.inf) or not x.flags.c_contiguous:
        return None
    chain = _chains.get((name, dtype))
    if chain is None:
        from flambeau.kernels.flat import Chain

        chain = _chains[name, dtype] = Chain((("input", 0), (name, 0)), (1,), [dtype], [dtype])
    result = np.empty(x.shape, dtype)
    chain(x, result)
    return result


def pair(name: str, x: Any, y: Any) -> np.ndarray | None:
    """One of `PAIRS` of arrays of one shape, or of an array and a number."""
    array = x if isinstance(x, np.ndarray) and x.ndim else y
    if name == "pow" and array is x and np.ndim(y) == 0 and y in _SMALL_POWERS:
        return None
    dtype, dtypes, single = array.dtype, [array.dtype] * 2, None
    if array.size < CHAINED or dtype not in PAIRS[name] or not array.flags.c_contiguous:
        return None
    for k, other in enumerate((x, y)):
        if isinstance(other, np.ndarray) and other.ndim:
            if other.shape != array.shape or other.dtype != dtype or not other.flags.c_contiguous:
                return None
        else:
            single, dtypes[k] = k, np.dtype(np.float32)
    key = (name, dtype, single)
    chain = _chains.get(key)
    if chain is None:
        from flambeau.kernels.flat import Chain

        nodes = (("input", 0), ("input", 1), (name, 0, 1))
        chain = _chains[key] = Chain(nodes, (2,), dtypes, [dtype], () if single is None else (single,))
    result = np.empty(array.shape, dtype)
    chain(*[np.asarray(v, d) for v, d in zip((x, y), dtypes, strict=True)], result)
    return result


def limited(x: np.ndarray, low: Any, high: Any) -> np.ndarray | None:
    """`x`, at least `low` and at most `high`, if these are numbers."""
    dtype, bounds = x.dtype, [(n, b) for n, b in (("maximum", low), ("minimum", high)) if b is not None]
    if x.size < _FEWEST.get(("relu", dtype), math.inf) or not x.flags.c_contiguous:
        return None
    key = ("limited", dtype, *[n for n, _ in bounds])
    chain = _chains.get(key)
    if chain is None:
        from flambeau.kernels.flat import Chain

        inputs = [("input", k) for k in range(len(bounds) + 1)]
        ends = [(n, 0 if not k else len(inputs) + k - 1, k + 1) for k, (n, _) in enumerate(bounds)]
        nodes = (*inputs, *ends)
        chain = _chains[key] = Chain(nodes, (len(nodes) - 1,), [dtype] * len(inputs), [dtype], range(1, len(inputs)))
    result = np.empty(x.shape, dtype)
    chain(x, *[np.asarray(b, dtype) for _, b in bounds], result)
    return result


def gated(g: np.ndarray, by: np.ndarray) -> np.ndarray | None:
    """`g` where `by` is positive or NaN, 0 elsewhere."""
    fits = g.dtype == by.dtype and g.dtype in _DTYPES and g.flags.c_contiguous and by.flags.c_contiguous
    if g.size < MANY or not fits:
        return None
    result = np.empty(g.shape, g.dtype)
    zero = ("constant", 0.0, g.dtype.name)
    nodes = (("input", 0), ("input", 1), zero, ("le", 1, 2), ("where", 3, 2, 0))
    _kernels().pointwise_chain(nodes, [g.reshape(-1), by.reshape(-1)], [result.reshape(-1)], (4,))
    return result


def running(x: np.ndarray, dim: int, product: bool) -> np.ndarray | None:
    """The sums or products up to each position of a dimension."""
    if x.size < RUNNING or x.dtype not in _SUMS:
        return None
    result = np.empty(x.shape, x.dtype)
    _kernels().running(np.ascontiguousarray(x), dim % x.ndim, result, product)
    return result


#: Elements from which on reductions are folds (`kernels/folds.py`), and bytes of neighbours over which NumPy adds as fast.
FOLDED, _BROAD = 1 << 11, 1 << 11
_FOLDED = FLOATS | {np.dtype("i8"), np.dtype("i4")}
_AGAIN = {"prod": np.multiply, "max": np.maximum, "min": np.minimum}


def fold(name: str, x: np.ndarray, dims: Ints | None, target: np.dtype | None = None) -> np.ndarray | None:
    """A sum, product or extreme (see `folds.FOLDS`) over dimensions, which go."""
    target = x.dtype if target is None else target
    if x.size < FOLDED or x.dtype not in _FOLDED or not x.flags.c_contiguous:
        return None
    rank = x.ndim
    gone = set(range(rank)) if dims is None else {d % rank for d in dims}
    last = rank
    while last - 1 in gone:
        last -= 1
    rest = [d for d in gone if d < last]
    if last < rank:
        from flambeau.kernels import folds

        lead = x.shape[:last]
        wide = np.dtype(np.float32) if rest and x.itemsize == 2 else target if not rest else x.dtype
        out = np.empty(lead, wide)
        folds.rows(name, x.reshape(math.prod(lead), -1), out.reshape(-1))
        return out if not rest else np.asarray(_AGAIN.get(name, np.add).reduce(out, tuple(rest))).astype(target, copy=False)
    if not rest or rest != list(range(rest[0], rest[-1] + 1)):
        return None
    width = math.prod(x.shape[rest[-1] + 1 :])
    if width * x.itemsize > _BROAD and x.dtype not in _HALVES:
        return None
    from flambeau.kernels import folds

    out = np.empty((*x.shape[: rest[0]], *x.shape[rest[-1] + 1 :]), target)
    shape = (math.prod(x.shape[: rest[0]]), -1, width)
    return out if folds.columns(name, x.reshape(shape), out.reshape(shape[0], width)) else None


def softmax(x: np.ndarray, dim: int, logarithm: bool) -> np.ndarray | None:
    """exp(x) over its sum along a dimension that is not the last (see `rows.py`), or the logarithm of that."""
    if x.size < MANY or x.dtype not in _DTYPES or not x.flags.c_contiguous:
        return None
    kernels, reduction = _kernels(), _reduction()
    dim %= x.ndim
    along = (*x.shape[:dim], 1, *x.shape[dim + 1 :])
    top, total, result = np.empty(along, x.dtype), np.empty(along, x.dtype), np.empty(x.shape, x.dtype)
    tops, totals = top.squeeze(dim), total.squeeze(dim)
    kernels.reduction((("input", 0),), [x], [reduction("max", 0)], (dim,), [tops])
    less = (("input", 0), ("input", 1), ("sub", 0, 1), ("exp", 2))
    if logarithm:
        kernels.reduction(less, [x, top], [reduction("sum", 3)], (dim,), [totals])
        np.log(total, out=total)
        last = (("input", 0), ("input", 1), ("input", 2), ("sub", 0, 1), ("sub", 3, 2))
        kernels.pointwise_chain(last, [x, top, total], [result], (4,))
        return result
    kernels.pointwise_chain(less, [x, top], [result], (3,))
    kernels.reduction((("input", 0),), [result], [reduction("sum", 0)], (dim,), [totals])
    kernels.pointwise_chain((("input", 0), ("input", 1), ("div", 0, 1)), [result, total], [result], (2,))
    return result


def _reduction() -> Any:
    from flambeau.kernels.reduce import Reduction

    return Reduction


_familiar = Familiar(at_once=256)
_familiar_convolution = Familiar(at_once=128, later=False)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """(*, n, k) @ (*, k, m) -> (*, n, m)"""
    work = math.prod(a.shape) * b.shape[-1]
    if work < PRODUCTS or a.dtype not in _DTYPES or a.dtype != b.dtype:
        return None
    if work < FEW_PRODUCTS and not _familiar((a.shape, b.shape, a.strides[-1] < a.strides[-2], b.strides[-1] < b.strides[-2])):
        return None
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result = np.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    _kernels().matmul(a, b, result)
    return result


def _plane(values: Ints, one: int) -> tuple[int, int]:
    """Sizes of one or two dimensions as those of a plane."""
    return (one, values[0]) if len(values) == 1 else (values[0], values[1])


def _as_plane(x: np.ndarray) -> np.ndarray:
    """(N, C, L) as (N, C, 1, L), laid out in order."""
    return np.ascontiguousarray(x[:, :, None] if x.ndim == 3 else x)


def _shape(
    batch: int, in_channels: int, out_channels: int, size: Ints, kernel: Ints, out: Ints, stride: Ints, padding: Ints,
    dilation: Ints, groups: int, dtype: np.dtype,
) -> Any:  # fmt: skip
    """The convolution's description, or `None` where it stays with NumPy."""
    work = batch * out_channels * math.prod(out) * (in_channels // groups) * math.prod(kernel)
    if dtype not in _DTYPES or len(size) not in (1, 2) or work < FEW_MULTIPLICATIONS:
        return None
    key = batch, in_channels, out_channels, size, kernel, stride, padding, dilation, groups, dtype
    if work < MULTIPLICATIONS and not _familiar_convolution(key):
        return None
    from flambeau.kernels.conv_axis import Convolution

    found = Convolution(
        batch, in_channels, out_channels, _plane(size, 1), _plane(kernel, 1), _plane(stride, 1), _plane(padding, 0),
        _plane(dilation, 1), groups,
    )  # fmt: skip
    return found if found.out_size == _plane(out, 1) else None


def convolution(
    x: np.ndarray, w: np.ndarray, out: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray | None:
    """(N, C, *in) with (O, C/groups, *kernel) -> (N, O, *out)"""
    shape = _shape(
        x.shape[0], x.shape[1], w.shape[0], x.shape[2:], w.shape[2:], out, stride, padding, dilation, groups, x.dtype
    )
    if shape is None:
        return None
    result = np.empty((x.shape[0], w.shape[0], *out), x.dtype)
    _kernels().conv2d(_as_plane(x), _as_plane(w), None, _as_plane(result), shape, exact=True)
    return result


def input_gradient(
    g: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray | None:
    """(N, O, *out) with (O, C/groups, *kernel) -> (N, C, *size)"""
    channels = w.shape[1] * groups
    shape = _shape(
        g.shape[0], channels, w.shape[0], size, w.shape[2:], g.shape[2:], stride, padding, dilation, groups, g.dtype
    )
    if shape is None:
        return None
    result = np.empty((g.shape[0], channels, *size), g.dtype)
    _kernels().conv2d_input_gradient(_as_plane(g), _as_plane(w), _as_plane(result), shape, exact=True)
    return result


def weight_gradient(
    g: np.ndarray, x: np.ndarray, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray | None:
    """(N, O, *out) with (N, C, *in) -> (O, C/groups, *kernel)"""
    shape = _shape(
        x.shape[0], x.shape[1], g.shape[1], x.shape[2:], kernel, g.shape[2:], stride, padding, dilation, groups, g.dtype
    )
    if shape is None:
        return None
    result = np.empty((g.shape[1], x.shape[1] // groups, *kernel), g.dtype)
    _kernels().conv2d_weight_gradient(_as_plane(x), _as_plane(g), _as_plane(result), shape, exact=True)
    return result


def _pooling(x_shape: Ints, dtype: np.dtype, size: Ints, places: Ints, **window: Ints) -> Any:
    """The pooling's description for planes stacked in one dimension, or `None` where it stays with NumPy."""
    if dtype not in _DTYPES or len(size) != 2 or math.prod(x_shape) < ELEMENTS:
        return None
    from flambeau.kernels.pool import Pooling

    return Pooling(1, math.prod(x_shape[:-2]), size, places, **window)


def _stacked(x: np.ndarray) -> np.ndarray:
    """(*, H, W) as (1, planes, H, W), laid out in order."""
    return np.ascontiguousarray(x).reshape(1, math.prod(x.shape[:-2]), *x.shape[-2:])


def maximum(
    x: np.ndarray, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, places: Ints
) -> tuple[np.ndarray, np.ndarray] | None:
    """The largest element of each window, and where in its plane it stands."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    shape = _pooling(x.shape, x.dtype, x.shape[-len(kernel) :], places, **window)
    if shape is None:
        return None
    values = np.empty((*x.shape[:-2], *places), x.dtype)
    positions = np.empty(values.shape, np.int64)
    _kernels().max_pool2d(_stacked(x), _stacked(values), _stacked(positions), shape)
    return values, positions


def maximum_backward(
    g: np.ndarray, positions: np.ndarray, size: Ints, window: tuple[Ints, Ints, Ints, Ints]
) -> np.ndarray | None:
    """The gradient of planes of `size` from that of their windows' maxima."""
    planes = (*g.shape[: -len(size)], *size)
    names = ("kernel", "stride", "padding", "dilation")
    shape = _pooling(planes, g.dtype, size, g.shape[-len(size) :], **dict(zip(names, window, strict=True)))
    if shape is None:
        return None
    result = np.empty(planes, g.dtype)
    _kernels().max_pool2d_backward(_stacked(g), _stacked(positions), _stacked(result), shape)
    return result


def average(
    x: np.ndarray, size: Ints, kernel: Ints, stride: Ints, padding: Ints, places: Ints, count_include_pad: bool,
    override: int | None, backward: bool,
) -> np.ndarray | None:  # fmt: skip
    """The mean of each window; backward, the gradient of a plane of `size` from that of its means."""
    planes = (*x.shape[: -len(kernel)], *size)
    shape = _pooling(planes, x.dtype, size, places, kernel=kernel, stride=stride, padding=padding)
    if shape is None:
        return None
    result = np.empty(planes if backward else (*x.shape[:-2], *places), x.dtype)
    _kernels().average_pool2d(_stacked(x), _stacked(result), shape, count_include_pad, override, backward)
    return result
