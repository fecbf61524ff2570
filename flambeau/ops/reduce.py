"""Reductions: sums, products, extremes, their positions, moments, norms, softmax and cumulative sums."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import dtypes
from flambeau.core.shapes import reduced_shape, wrap_dim, wrap_dims
from flambeau.ops import on_kernels, rows
from flambeau.ops.arithmetic import where
from flambeau.ops.index import picked
from flambeau.ops.native import native
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.results import named_result
from flambeau.ops.table import (
    Kernel,
    Primitive,
    Spec,
    operator,
    rename,
    sparse_form,
)
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state

#: What NumPy sums without widening, as PyTorch does.
SUMMED_AT_ONCE = frozenset(map(np.dtype, ("f4", "f8", "c8", "c16")))


WHOLE: dict[str, Any] = {"dims": None, "keepdim": False}


def _rule(x: Spec, dims: tuple[int, ...], keepdim: bool) -> Spec:
    return Spec(reduced_shape(x.shape, dims, keepdim), x.dtype)


def widened(function: Callable[..., Any], fold: str = "") -> Callable[..., Any]:
    """A NumPy reduction that accumulates 16-bit floats in float32; `fold`: what kernels call it."""

    def run(x: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
        found = _folded(fold, x, dims, keepdim) if fold else None
        if found is not None:
            return found
        if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
            return np.asarray(function(x.astype(np.float32), axis=dims, keepdims=keepdim)).astype(x.dtype)
        return np.asarray(function(x, axis=dims, keepdims=keepdim), dtype=x.dtype)

    return run


def _folded(name: str, x: np.ndarray, dims: Any, keepdim: bool, target: np.dtype | None = None) -> np.ndarray | None:
    """A reduction by a kernel, where that is faster than NumPy."""
    if x.size < on_kernels.FOLDED:
        return None
    found = on_kernels.fold(name, x, dims, target)
    return found if found is None or not keepdim else found.reshape(reduced_shape(x.shape, tuple(dims), True))


def _total(x: np.ndarray, dims: tuple[int, ...] | None, keepdim: bool) -> np.ndarray:
    found = _folded("sum", x, dims, keepdim)
    if found is not None:
        return found
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        return np.asarray(np.add.reduce(x.astype(np.float32), dims, keepdims=keepdim)).astype(x.dtype)
    return np.add.reduce(x, dims, None, None, keepdim)


def _spread(g: Tensor, shape: Any, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """The gradient of a reduction, back in the shape of its input."""
    if not keepdim and shape and g._array.ndim:
        g = g.reshape(reduced_shape(shape, dims, True))
    return g.expand(shape)


def _of_all(node: Any) -> bool:
    """Whether a reduction's node went over every dimension: PyTorch gives that another number."""
    dims = node.attributes["dims"]
    return dims is None or len(dims) == len(node.specs[0][0])


_sum = Primitive(
    "sum",
    "input",
    _total,
    rule=_rule,
    derivative={"input": lambda g, input_shape, dims, keepdim: _spread(g, input_shape, dims, keepdim)},
    lowering=Kernel("reduce", ("sum",)),
    node_name=lambda node: "SumBackward0" if _of_all(node) else "SumBackward1",
)


def as_number(input: Tensor, d: Any) -> Tensor:
    """`input` with the dtype in which it is summed: integers widen to int64."""
    if d is not None:
        return input.to(d)
    return input.to(dtypes.int64) if input.dtype.kind < dtypes.FLOATING else input


@operator(out=True)
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` (an int, several, or all). Integers sum in int64."""
    if not isinstance(input, Tensor):
        expect_tensor(input, "sum")
    if dim is None and dtype is None and not (keepdim or state.busy) and input._array.dtype in SUMMED_AT_ONCE:
        array = input._array
        out = wrap(_total(array, None, False) if array.size >= on_kernels.FOLDED else np.add.reduce(array, None))
        if (input._requires_grad or input._view is not None) and modes.grad_enabled and input.requires_grad:
            _sum.attach_short(out, (input,), WHOLE, False)
        return out
    if input._sparse:
        return sparse_form("sum")(input, dim, dtype)
    return _sum(as_number(input, dtype), dims=wrap_dims(dim, input.ndim), keepdim=keepdim)


@operator(out=True)
def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum with NaN counted as 0."""
    return sum(input.masked_fill(input.isnan(), 0), dim, keepdim, dtype=dtype)


def _count(shape: Any, dims: tuple[int, ...]) -> int:
    return math.prod(shape[d] for d in dims)


@operator(out=True)
def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim`. Raises `RuntimeError` for integers unless `dtype` is floating-point."""
    x = input if dtype is None else input.to(dtype)
    if x.dtype.kind < dtypes.FLOATING:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex "
            f"dtype. Got: {x.dtype.tensor_type}"
        )
    dims = wrap_dims(dim, x.ndim)
    return _mean(x, dims=dims, keepdim=keepdim)


def _average(x: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    wide = np.dtype(np.float32) if x.itemsize == 2 else x.dtype
    total = _folded("sum", x, dims, keepdim, wide)
    if total is None:
        return _average_by_numpy(x, dims, keepdim)
    return np.asarray(total / wide.type(x.size // total.size), x.dtype)


def _numpy_average(x: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    if x.size:
        return np.asarray(np.mean(x, axis=axis, keepdims=keepdims))
    return np.full_like(np.sum(x, axis=axis, keepdims=keepdims), np.nan)  # without NumPy's warnings


_average_by_numpy = widened(_numpy_average)


_mean = Primitive(
    "mean",
    "input",
    _average,
    rule=_rule,
    derivative={
        "input": lambda g, input_shape, dims, keepdim: _spread(g, input_shape, dims, keepdim)
        / builtins.max(_count(input_shape, dims), 1)
    },
    lowering=Kernel("reduce", ("mean",)),
    node_name=lambda node: "MeanBackward0" if _of_all(node) else "MeanBackward1",
)


def _product_gradient(g: Tensor, input: Tensor, out: Tensor, dims: Any, keepdim: bool) -> Tensor:
    """Each element's share is the product of all the others."""
    shape = input._array.shape
    if not shape:
        return g
    g = _spread(g, shape, dims, keepdim)
    flat = input.movedim(dims, tuple(builtins.range(len(shape) - len(dims), len(shape))))
    rest = flat._array.shape[: len(shape) - len(dims)]
    rows = flat.reshape(*rest, math.prod(flat._array.shape[len(rest) :]))
    ones = rows.new_ones((*rest, 1))
    size = rows._array.shape[-1]
    before = cat_([ones, rows.narrow(-1, 0, size - 1)]).cumprod(-1) if size else rows
    after = cat_([ones, rows.flip(-1).narrow(-1, 0, size - 1)]).cumprod(-1).flip(-1) if size else rows
    others = (before * after).reshape(flat._array.shape)
    others = others.movedim(tuple(builtins.range(len(shape) - len(dims), len(shape))), dims)
    return g * others.conj()


def cat_(parts: list[Tensor]) -> Tensor:
    from flambeau.ops.joining import cat

    return cat(parts, -1)


_prod = Primitive(
    "prod",
    "input",
    widened(np.prod, "prod"),
    rule=_rule,
    derivative={"input": _product_gradient},
    lowering=Kernel("reduce", ("prod",)),
)


@operator(out=True)
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over `dim` or all. Integers multiply in int64."""
    return _prod(as_number(input, dtype), dims=wrap_dims(dim, input.ndim), keepdim=keepdim)


# Extremes -----------------------------------------------------------------------------------------


def _share_ties(g: Tensor, input: Tensor, out: Tensor, dims: Any, keepdim: bool) -> Tensor:
    """The gradient of an extreme goes in equal parts to the elements that reach it."""
    shape = input._array.shape
    reached = input == _spread(out, shape, dims, keepdim)
    count = reached.sum(list(dims), keepdim=True) if shape else 1
    return where(reached, _spread(g, shape, dims, keepdim) / count, 0)


def _extreme(name: str, function: Any) -> Primitive:
    return Primitive(
        name,
        "input",
        lambda x, dims, keepdim: _extreme_value(name, function, x, dims, keepdim),
        rule=_rule,
        derivative={"input": _share_ties},
        lowering=Kernel("reduce", (name,)),
    )


def _extreme_value(name: str, function: Any, x: np.ndarray, dims: Any, keepdim: bool) -> np.ndarray:
    found = _folded(name[1:], x, dims, keepdim)
    return np.asarray(function(x, axis=dims, keepdims=keepdim)) if found is None else found


_amax, _amin = _extreme("amax", np.max), _extreme("amin", np.min)


def _refuse_empty(input: Tensor, dims: tuple[int, ...], name: str) -> None:
    if input._array.ndim and builtins.any(input._array.shape[d] == 0 for d in dims):
        raise (IndexError if len(dims) < input.ndim or input.ndim > 1 else RuntimeError)(
            f"{name}(): Expected reduction dim {dims[0]} to have non-zero size."
        )


@operator(out=True)
def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest element over `dim`; ties share the gradient."""
    dims = wrap_dims(dim, input.ndim)
    _refuse_empty(input, dims, "amax")
    return _amax(input, dims=dims, keepdim=keepdim)


@operator(out=True)
def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; ties share the gradient."""
    dims = wrap_dims(dim, input.ndim)
    _refuse_empty(input, dims, "amin")
    return _amin(input, dims=dims, keepdim=keepdim)


@operator(method=True)
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element."""
    dims = () if dim is None else dim
    return AMinMax(amin(input, dims, keepdim), amax(input, dims, keepdim))


AMinMax = named_result("aminmax", "min", "max")
MaxResult = named_result("max", "values", "indices")
MinResult = named_result("min", "values", "indices")


def _position(function: Any) -> Any:
    def run(x: np.ndarray, dim: int | None, keepdim: bool) -> np.ndarray:
        if x.dtype.kind == "V":
            x = x.astype(np.float32)
        return np.asarray(function(x, axis=dim, keepdims=keepdim), np.int64)

    return run


def _position_rule(x: Spec, dim: int | None, keepdim: bool) -> Spec:
    dims = tuple(builtins.range(len(x.shape))) if dim is None else (dim,)
    return Spec(reduced_shape(x.shape, dims, keepdim), np.dtype(np.int64))


_argmax = Primitive(
    "argmax", "input", _position(np.argmax), rule=_position_rule, lowering=Kernel("argreduce", ("argmax",))
)
_argmin = Primitive(
    "argmin", "input", _position(np.argmin), rule=_position_rule, lowering=Kernel("argreduce", ("argmin",))
)


def _find(primitive: Primitive, name: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if input._array.size == 0 and (dim is None or input._array.shape[wrap_dim(dim, input.ndim)] == 0):
        raise IndexError(
            f"{name}(): Expected reduction dim {'to be specified for input.numel() == 0. Specify the reduction dim with the dim argument.' if dim is None else f'{dim} to have non-zero size.'}"
        )
    if input.ndim == 0:
        return wrap(np.zeros((), np.int64))
    return primitive(input, dim=None if dim is None else wrap_dim(dim, input.ndim), keepdim=keepdim)


@operator(out=True)
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is (the first of several); over all elements counted row by row."""
    return _find(_argmax, "argmax", input, dim, keepdim)


@operator(out=True)
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is (the first of several)."""
    return _find(_argmin, "argmin", input, dim, keepdim)


def _extreme_of(input: Tensor, args: tuple, kwargs: dict, name: str) -> Any:
    """`max` and `min` in PyTorch's three forms: over all, of two tensors, over one dimension."""
    from flambeau.ops import arithmetic

    rename(kwargs)
    unknown = set(kwargs) - {"dim", "keepdim", "other", "out"}
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument '{builtins.sorted(unknown)[0]}'")
    other = kwargs.pop("other", None)
    if args and isinstance(args[0], Tensor):
        other, args = args[0], args[1:]
    if other is not None:
        return getattr(arithmetic, "maximum" if name == "max" else "minimum")(input, other, **kwargs)
    out = kwargs.pop("out", None)
    if not args and "dim" not in kwargs:
        if input._array.size == 0:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                "reduction dim with the 'dim' argument."
            )
        found = (_amax if name == "max" else _amin)(input, dims=tuple(builtins.range(input.ndim)), keepdim=False)
        return found if out is None else out.copy_(found)
    dim = args[0] if args else kwargs["dim"]
    keepdim = args[1] if len(args) > 1 else kwargs.get("keepdim", False)
    dim = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        values, indices = input.clone(), wrap(np.zeros((), np.int64))
    else:
        if input._array.shape[dim] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
        indices = (_argmax if name == "max" else _argmin)(input, dim=dim, keepdim=True)
        values = picked(input, dim, indices)
        if not keepdim:
            values, indices = values.squeeze(dim), indices.squeeze(dim)
    result = (MaxResult if name == "max" else MinResult)(values, indices)
    if out is not None:
        for target, value in zip(out, result, strict=True):
            target.resize_(value.shape).copy_(value)
        return type(result)(*out)
    return result


@operator
def max(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The largest element; `max(input, dim, keepdim)` gives (values, indices); `max(input, other)` the
    larger of each two.
    """
    return _extreme_of(input, args, kwargs, "max")


@operator
def min(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The smallest element; `min(input, dim, keepdim)` gives (values, indices); `min(input, other)` the
    smaller of each two.
    """
    return _extreme_of(input, args, kwargs, "min")


def _truth(name: str, function: Any) -> Primitive:
    return Primitive(
        name,
        "input",
        lambda x, dims, keepdim: np.asarray(function(x, axis=dims, keepdims=keepdim), np.bool_),
        rule=lambda x, dims, keepdim: Spec(reduced_shape(x.shape, dims, keepdim), np.dtype(np.bool_)),
        lowering=Kernel("reduce", (name,)),
    )


_all, _any = _truth("all", np.all), _truth("any", np.any)


def _boolean(result: Tensor, input: Tensor) -> Tensor:
    return result.to(dtypes.uint8) if input.dtype is dtypes.uint8 else result


@operator(out=True)
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether every element over `dim` is true (not zero)."""
    return _boolean(_all(input, dims=wrap_dims(dim, input.ndim), keepdim=keepdim), input)


@operator(out=True)
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether any element over `dim` is true (not zero)."""
    return _boolean(_any(input, dims=wrap_dims(dim, input.ndim), keepdim=keepdim), input)


@operator(out=True)
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements over `dim` are not zero."""
    return sum((input != 0).to(dtypes.int64), dim)


# Moments and norms --------------------------------------------------------------------------------


def _moments(
    input: Tensor, dim: Any, correction: Any, keepdim: bool
) -> tuple[Tensor, Tensor]:
    """Variance and mean over `dim`."""
    if input.dtype.kind < dtypes.FLOATING:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    dims = wrap_dims(dim, input.ndim)
    average = _mean(input, dims=dims, keepdim=True)
    centred = input - average
    squares = (centred * centred.conj()).real if input.is_complex() else centred * centred
    count = _count(input._array.shape, dims) if input.ndim else 1
    free = count - (1 if correction is None else correction)
    total = _sum(squares, dims=dims, keepdim=keepdim)
    variance = total / builtins.max(free, 0) if free > 0 else total * math.nan
    if not keepdim:
        average = average.reshape(variance._array.shape)
    return variance, average


def _correction(unbiased: Any, correction: Any) -> Any:
    return correction if unbiased is None else int(unbiased)


def _moment_arguments(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, Any]:
    if isinstance(dim, bool):  # var(input, unbiased)
        return None, int(dim)
    return dim, _correction(unbiased, correction)


@operator(out=True)
def var(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1
) -> Tensor:
    """The variance over `dim`, divided by `N - correction`."""
    dim, correction = _moment_arguments(dim, unbiased, correction)
    return _moments(input, dim, correction, keepdim)[0]


@operator(out=True)
def std(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1
) -> Tensor:
    """The standard deviation over `dim`, with `N - correction` in the denominator."""
    dim, correction = _moment_arguments(dim, unbiased, correction)
    variance = _moments(input, dim, correction, keepdim)[0]
    return _root_of_variance(variance)


def _root_of_variance(variance: Tensor) -> Tensor:
    """The square root whose gradient at 0 is 0, as PyTorch's `std` has it."""
    flat = variance == 0
    return variance.masked_fill(flat, 1).sqrt().masked_fill(flat, 0)


@operator
def var_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1
) -> tuple[Tensor, Tensor]:
    """Variance and mean over `dim`."""
    dim, correction = _moment_arguments(dim, unbiased, correction)
    return _moments(input, dim, correction, keepdim)


@operator
def std_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean over `dim`."""
    dim, correction = _moment_arguments(dim, unbiased, correction)
    variance, average = _moments(input, dim, correction, keepdim)
    return _root_of_variance(variance), average


@operator(out=True)
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) over `dim`, without overflow."""
    x = input.to(dtypes.get_default_dtype()) if input.dtype.kind < dtypes.FLOATING else input
    dims = wrap_dims(dim, x.ndim)
    if x._array.size == 0:
        return _sum(x.exp(), dims=dims, keepdim=keepdim).log()
    top = (x.real if x.is_complex() else x).detach()
    top = _amax(top, dims=dims, keepdim=True)
    top = top.masked_fill(top.abs() == math.inf, 0)
    summed = _sum((x - top).exp(), dims=dims, keepdim=keepdim).log()
    return summed + (top if keepdim else top.reshape(summed._array.shape))


# Softmax ------------------------------------------------------------------------------------------


def _softmax_array(x: np.ndarray, dim: int) -> np.ndarray:
    last = dim % x.ndim == x.ndim - 1
    fast = rows.softmax(x, False) if last else on_kernels.softmax(x, dim, logarithm=False)
    if fast is not None:
        return fast
    work = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    e = work - work.max(axis=dim, keepdims=True) if x.size else work
    np.exp(e, out=e)
    e /= e.sum(axis=dim, keepdims=True)
    return e.astype(x.dtype, copy=False)


def _log_softmax_array(x: np.ndarray, dim: int) -> np.ndarray:
    last = dim % x.ndim == x.ndim - 1
    fast = rows.softmax(x, True) if last else on_kernels.softmax(x, dim, logarithm=True)
    if fast is not None:
        return fast
    work = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    z = work - work.max(axis=dim, keepdims=True) if x.size else work.copy()
    z -= np.log(np.exp(z).sum(axis=dim, keepdims=True))
    return z.astype(x.dtype, copy=False)


def _softmax_gradient(g: Tensor, out: Tensor, dim: int) -> Tensor:
    made = _by_rows(g, out, dim, False)
    return _gradient_of_softmax(g, out, dim) if made is None else made


def _by_rows(g: Tensor, out: Tensor, dim: int, logarithm: bool) -> Tensor | None:
    """A gradient of (log-)softmax by a kernel, or `None`."""
    if modes.grad_enabled or state.tracer is not None or dim % out.ndim != out.ndim - 1:
        return None
    made = rows.softmax_gradient(g._array, out._array, logarithm)
    return None if made is None else wrap(made)


@native
def _gradient_of_softmax(g: Tensor, out: Tensor, dim: int) -> Tensor:
    return out * (g - (g * out).sum(dim, keepdim=True))


def _log_softmax_gradient(g: Tensor, out: Tensor, dim: int) -> Tensor:
    made = _by_rows(g, out, dim, True)
    return _gradient_of_log_softmax(g, out, dim) if made is None else made


@native
def _gradient_of_log_softmax(g: Tensor, out: Tensor, dim: int) -> Tensor:
    return g - out.exp() * g.sum(dim, keepdim=True)


_softmax = Primitive(
    "softmax",
    "input",
    _softmax_array,
    rule=lambda x, dim: x,
    derivative={"input": _softmax_gradient},
    lowering=Kernel("softmax"),
)
_log_softmax = Primitive(
    "log_softmax",
    "input",
    _log_softmax_array,
    rule=lambda x, dim: x,
    derivative={"input": _log_softmax_gradient},
    lowering=Kernel("log_softmax"),
)


def _softmax_dim(input: Tensor, dim: Any, name: str) -> int:
    if dim is None:  # PyTorch's implicit choice
        import warnings

        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X "
            "as an argument.",
            stacklevel=4,
        )
        dim = 0 if input.ndim in (0, 1, 3) else 1
    return wrap_dim(dim, input.ndim)


def _rowwise(primitive: Primitive, input: Tensor, dim: Any, dtype: Any, name: str) -> Tensor:
    expect_tensor(input, name)
    x = input if dtype is None else input.to(dtype)
    if x.dtype.kind < dtypes.FLOATING:
        raise RuntimeError(f'"{name}_lastdim_kernel_impl" not implemented for \'{x.dtype.tensor_type}\'')
    dim = _softmax_dim(x, dim, name)
    if x.ndim == 0:
        return primitive(x.reshape(1), dim=0).reshape(())
    return primitive(x, dim=dim)


@operator
def softmax(input: Tensor, dim: Any = None, dtype: Any = None, *, _stacklevel: int = 3) -> Tensor:
    """exp(x) / sum(exp(x)) over `dim`."""
    return _rowwise(_softmax, input, dim, dtype, "softmax")


@operator
def log_softmax(input: Tensor, dim: Any = None, dtype: Any = None, *, _stacklevel: int = 3) -> Tensor:
    """The logarithm of `softmax`, computed without cancellation."""
    return _rowwise(_log_softmax, input, dim, dtype, "log_softmax")


@operator(method=False)
def softmin(input: Tensor, dim: Any = None, dtype: Any = None, *, _stacklevel: int = 3) -> Tensor:
    """`softmax` of the negated input."""
    return softmax(-input, dim, dtype)
