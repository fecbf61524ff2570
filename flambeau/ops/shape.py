"""Shapes: views that reshape, permute and expand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import device as devices
from flambeau.core.dtypes import dtype
from flambeau.core.shapes import Size, as_shape, infer_size, wrap_dim, wrap_dims
from flambeau.core.shapes import broadcast_shapes as common_shape
from flambeau.ops.table import Kernel, Primitive, Spec, finish_view, operator, sparse_form
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import state

# Primitive views ----------------------------------------------------------------------------------

_view = Primitive(
    "view",
    "input",
    lambda x, size: x.reshape(size, copy=False),
    rule=lambda x, size: Spec(size, x.dtype),
    derivative={"input": lambda g, input_shape: g.reshape(input_shape)},
    lowering=Kernel("reshape"),
    view=True,
)
_permute = Primitive(
    "permute",
    "input",
    lambda x, dims: x.transpose(dims),
    rule=lambda x, dims: Spec([x.shape[d] for d in dims], x.dtype),
    derivative={"input": lambda g, dims: _permute(g, dims=tuple(np.argsort(dims).tolist()))},
    lowering=Kernel("permute"),
    view=True,
)
_expand = Primitive(
    "expand",
    "input",
    lambda x, size: writable_broadcast(x, size),
    rule=lambda x, size: Spec(size, x.dtype),
    derivative={"input": lambda g, input_shape: g.sum_to_size(input_shape)},
    lowering=Kernel("expand"),
    view=True,
)


def writable_broadcast(x: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """`x` broadcast to `size` as a view that may be written, as PyTorch's `expand` gives."""
    extra = len(size) - x.ndim
    strides = [0] * extra + [
        0 if n == 1 and m != 1 else step
        for n, m, step in zip(x.shape, size[extra:], x.strides, strict=True)
    ]
    if x.flags.c_contiguous and x.size:  # several times faster than as_strided
        return np.ndarray(size, x.dtype, x, 0, strides)
    return np.lib.stride_tricks.as_strided(x, tuple(size), strides)


def sized(input: Tensor, size: Any) -> Tensor:
    """The view of `input` in shape `size` (a tuple). Raises `ValueError` where the strides do not allow it."""
    if state.busy:
        return _view(input, size=size)
    return finish_view(_view, input, input._array.reshape(size, copy=False), {"size": size})


def permuted(input: Tensor, order: tuple[int, ...]) -> Tensor:
    """The view of `input` with its dimensions in `order`, each from 0 up."""
    if state.busy:
        return _permute(input, dims=order)
    return finish_view(_permute, input, input._array.transpose(order), {"dims": order})


def contiguous_copy(input: Tensor) -> Tensor:
    """A row-major copy."""
    return input.clone(memory_format=devices.contiguous_format)


# Reshaping ----------------------------------------------------------------------------------------


@operator(function_name=False)
def view(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same memory in another shape (`size`), or read as another `dtype`. Raises `RuntimeError`
    where the strides do not allow it: use `reshape`.
    """
    if named:
        shape = (_named(named, "view", "size", "dtype"),)
    if len(shape) == 1 and isinstance(shape[0], dtype):
        return view_as_dtype(self, shape[0])
    array = self._array
    if len(shape) == 1 and shape[0].__class__ in (tuple, Size):
        shape = shape[0]
    try:
        if state.busy or not shape or shape[0].__class__ is not int or not array.flags.c_contiguous:
            return sized(self, infer_size(as_shape(shape), array.size))
        try:
            viewed = array.reshape(shape)
            if viewed.shape != shape and min(shape) < -1:
                raise ValueError
        except ValueError:
            infer_size(shape, array.size)  # raises PyTorch's error
            raise
        return finish_view(_view, self, viewed, {"size": viewed.shape})
    except ValueError:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension "
            "spans across two contiguous subspaces). Use .reshape(...) instead."
        ) from None


def view_as_dtype(self: Tensor, dtype: Any) -> Tensor:
    """The same memory read as elements of another dtype."""
    if self.dtype is dtype:
        return _view(self, size=tuple(self._array.shape))
    return _view_dtype(self, dtype=dtype)


def _reread(x: np.ndarray, dtype: Any) -> np.ndarray:
    if x.ndim == 0 and dtype.itemsize != x.dtype.itemsize:
        raise RuntimeError(
            f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)"
        )
    try:
        return x.view(dtype.numpy)
    except ValueError as e:
        raise RuntimeError(f"cannot view elements of {x.dtype} as {dtype}: {e}") from None


_view_dtype = Primitive("view_dtype", "input", _reread, view=True)


def _named(named: dict[str, Any], function: str, *known: str) -> Any:
    """The one argument of a call that takes its sizes one by one, together, or by name."""
    (name, value), *more = named.items()
    if more or name not in known:
        bad = more[0][0] if more else name
        raise TypeError(f"{function}() got an unexpected keyword argument '{bad}'")
    return value


@operator
def reshape(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """`input` in another `shape` of as many elements: a view where possible, else a copy."""
    if named:
        shape = (_named(named, "reshape", "shape"),)
    if not state.busy and input._array.flags.c_contiguous:
        return view(input, *shape)
    return _reshaped(input, infer_size(as_shape(shape), input._array.size))


def _reshaped(input: Tensor, size: tuple[int, ...]) -> Tensor:
    try:
        return sized(input, size)
    except ValueError:
        return _view(contiguous_copy(input), size=size)


@operator(function_name=False)
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """`self` in the shape of `other`."""
    return reshape(self, other.shape)


@operator(function_name=False)
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """A view of `self` in the shape of `other`."""
    return view(self, other.shape)


@operator
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions `start_dim` to `end_dim` as one."""
    shape = input._array.shape
    if not shape:
        return reshape(input, 1)
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if start == end:
        return input
    return _reshaped(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@operator
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension `dim` as several of `sizes` (one may be -1)."""
    dim = wrap_dim(dim, input.ndim)
    shape = input._array.shape
    try:
        inner = infer_size(tuple(sizes), shape[dim])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({shape[dim]}) in the input tensor"
        ) from None
    return reshape(input, (*shape[:dim], *inner, *shape[dim + 1 :]))


@operator
def ravel(input: Tensor) -> Tensor:
    """`input` in one dimension."""
    return reshape(input, -1)


def _at_least(name: str, shape_of: Any, doc: str) -> Any:
    """`atleast_1d` and its kind, for a tensor, several, or a sequence of them."""

    def call(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return one(tensors[0])
        if len(tensors) == 1:
            tensors = tuple(tensors[0])
        return tuple(map(one, tensors))

    def one(x: Tensor) -> Tensor:
        shape = tuple(x._array.shape)
        wanted = shape_of(shape)
        return x if wanted == shape else reshape(x, wanted)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return operator(call, method=False)


atleast_1d = _at_least("atleast_1d", lambda s: s or (1,), "The tensors; 0-dim ones as vectors.")
atleast_2d = _at_least(
    "atleast_2d", lambda s: (1,) * (2 - len(s)) + s, "The tensors; vectors as matrices of one row."
)
atleast_3d = _at_least(
    "atleast_3d",
    lambda s: s if len(s) > 2 else (*s, 1) if len(s) == 2 else (1, *(s or (1,)), 1),
    "The tensors with at least 3 dimensions: of size 1 around a vector, after a matrix.",
)


@operator
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the dimensions of size 1 (all, or those in `dim`)."""
    shape = input._array.shape
    dims = wrap_dims(dim, len(shape)) if not (isinstance(dim, (tuple, list)) and not dim) else ()
    return sized(input, tuple(n for i, n in enumerate(shape) if i not in dims or n != 1))


@operator
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 put in at `dim`."""
    shape = input._array.shape
    dim = wrap_dim(dim, len(shape) + 1)
    return sized(input, (*shape[:dim], 1, *shape[dim:]))


def take_shape(self: Tensor, changed: Tensor) -> Tensor:
    """Gives `self` the shape and strides of `changed`, a view of it, and the view's history."""
    self._check_inplace()
    self._array = changed._array
    if modes.grad_enabled:
        self._node, self._requires_grad = changed._node, changed._requires_grad
    self._bump()
    view, step = self._view, changed._view
    if view is not None:
        view.version = self._version_number()
        if step is not None and step.base is view.base:
            view.path = step.path
    return self


def _shape_inplace(name: str, function: Any) -> None:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return take_shape(self, function(self, *args, **kwargs))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"In-place form of `{name[:-1]}`: changes the shape, not the elements."
    operator(call, name=name, function_name=False)


@operator
def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The dimensions in the order `dims`."""
    if named:
        dims = (_named(named, "permute", "dims"),)
    if len(dims) == 1 and not isinstance(dims[0], int):
        dims = tuple(dims[0])
    if len(dims) != input.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of "
            f"the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to "
            f"len(dims) = {len(dims)}"
        )
    if not dims:
        return _view(input, size=())
    order = tuple(wrap_dim(int(d), input.ndim) for d in dims)
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return permuted(input, order)


@operator(aliases=("swapdims",))
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    if input._sparse:
        return sparse_form("transpose")(input, dim0, dim1)
    rank = input.ndim
    a, b = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    order = list(range(rank))
    if rank:
        order[a], order[b] = b, a
    return permuted(input, tuple(order))


@operator
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """Two dimensions exchanged: NumPy's name for `transpose`."""
    return transpose(input, axis0, axis1)


@operator
def t(input: Tensor) -> Tensor:
    """A matrix transposed; 0-dim and 1-dim tensors as they are. Raises `RuntimeError` beyond 2 dims."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input.ndim == 2 else _view(input, size=tuple(input._array.shape))


@operator(aliases=("moveaxis",))
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions `source` moved to `destination`; the others keep their order."""
    whole = (int, np.integer)
    source = (source,) if isinstance(source, whole) else tuple(source)
    destination = (destination,) if isinstance(destination, whole) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({list(source)} dims) should contain the same number of dims as destination "
            f"({list(destination)} dims)"
        )
    rank = input.ndim
    source, destination = (tuple(wrap_dim(d, rank) for d in s) for s in (source, destination))
    for what, dims in (("source", source), ("destination", destination)):
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{what}` ({list(dims)})")
    rest = iter(d for d in range(rank) if d not in source)
    placed = dict(zip(destination, source, strict=True))
    return permute(input, tuple(placed[d] if d in placed else next(rest) for d in range(rank)))


for _name, _f in (
    ("squeeze_", squeeze), ("unsqueeze_", unsqueeze), ("transpose_", transpose), ("t_", t),
    ("swapdims_", transpose), ("swapaxes_", transpose),
):  # fmt: skip
    _shape_inplace(_name, _f)
Tensor.T = property(lambda self: permute(self, tuple(range(self.ndim))[::-1]))  # type: ignore[attr-defined]


def _matrices_exchanged(name: str, most: int | None = None) -> property:
    """The property `name`: the last two dimensions exchanged; a number is left as it is."""

    def exchanged(self: Tensor) -> Tensor:
        if self.ndim == 1 or (most is not None and self.ndim > most):
            what = "matrices (2-D tensors)" if most else "matrices or batches of matrices"
            hint = " For batches of matrices, consider using tensor.mH" if self.ndim > 2 else ""
            raise RuntimeError(f"tensor.{name} is only supported on {what}. Got {self.ndim}-D tensor.{hint}")
        turned = transpose(self, -2, -1) if self.ndim else self
        return turned.conj() if name.endswith("H") else turned

    return property(exchanged)


Tensor.mT = _matrices_exchanged("mT")  # type: ignore[attr-defined]
Tensor.H = _matrices_exchanged("H", most=2)  # type: ignore[attr-defined]
Tensor.mH = _matrices_exchanged("mH")  # type: ignore[attr-defined]


@operator
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged and conjugated. Raises `RuntimeError` for a vector."""
    if input.ndim == 1:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return (transpose(input, -2, -1) if input.ndim else input).conj()


@operator(function_name=False)
def expand(self: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """A view in which dimensions of size 1 are repeated without copying; -1 keeps a size."""
    wanted = as_shape(sizes if size is None else (size,))
    shape = self._array.shape
    extra = len(wanted) - len(shape)
    if extra < 0:
        raise RuntimeError(
            f"expand({self.type()}{{{list(shape)}}}, size={list(wanted)}): the number of sizes provided "
            f"({len(wanted)}) must be greater or equal to the number of dimensions in the tensor "
            f"({len(shape)})"
        )
    full = []
    for i, n in enumerate(wanted):
        have = shape[i - extra] if i >= extra else None
        if n == -1:
            if have is None:
                raise RuntimeError(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing "
                    f"dimension {i}"
                )
            n = have
        elif have not in (None, 1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(wanted)}.  Tensor sizes: {list(shape)}"
            )
        full.append(n)
    shape = tuple(full)
    if state.busy:
        return _expand(self, size=shape)
    return finish_view(_expand, self, writable_broadcast(self._array, shape), {"size": shape})


@operator(function_name=False)
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of `other`."""
    return expand(self, other.shape)


@operator
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Expanded to `size`."""
    return expand(input, size)


@operator(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    shape = common_shape(*[x.shape for x in tensors])
    return tuple(expand(x, shape) for x in tensors)


@operator(method=False)
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of all `shapes` (or ints, for vectors) broadcast to.

    Raises `RuntimeError` where there is none.
    """
    shapes = tuple((s,) if isinstance(s, int) else tuple(s) for s in shapes)
    for shape in shapes:
        if any(n < 0 for n in shape):
            raise RuntimeError(
                f"Trying to create tensor with negative dimension ({min(shape)}): ({min(shape)})"
            )
    common = [1] * max(map(len, shapes), default=0)
    for place, shape in enumerate(shapes):
        for d in range(-1, -1 - len(shape), -1):
            if shape[d] not in (1, common[d]) and common[d] != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {shape[d]} at {d}! Mismatching argument "
                    f"at index {place} had {shape}; but expected shape should be broadcastable to {common}"
                )
            common[d] = common[d] if shape[d] == 1 else shape[d]
    return Size(common)


@operator(function_name=False)
def sum_to_size(self: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """The sum over the dimensions in which `size` broadcasts to this shape."""
    wanted, shape = as_shape(sizes if size is None else (size,)), self._array.shape
    if not wanted and self._array.dtype.kind in "biu":
        return self.sum()  # an int64, as in PyTorch
    if wanted == tuple(shape):
        return self
    extra = len(shape) - len(wanted)
    dims = [*range(extra), *(i for i in range(extra, len(shape)) if wanted[i - extra] == 1 != shape[i])]
    if extra < 0 or any(wanted[i - extra] not in (1, shape[i]) for i in range(extra, len(shape))):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    summed = self.sum(dims, keepdim=True) if dims else self
    return reshape(summed, wanted) if extra else summed


@operator(function_name=False)
def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Changes the shape in place; new elements are not initialised. Raises `RuntimeError` with history."""
    if memory_format not in (None, devices.contiguous_format, devices.preserve_format):
        raise NotImplementedError(f"resize_(memory_format={memory_format}): only torch.contiguous_format")
    shape = as_shape(sizes)
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if shape != self._array.shape:
        old = self._array
        if old.size >= math.prod(shape) and old.flags.c_contiguous:
            self._array = old.reshape(-1)[: math.prod(shape)].reshape(shape)
        else:
            grown = np.zeros(math.prod(shape), old.dtype)
            kept = min(old.size, grown.size)
            grown[:kept] = old.reshape(-1)[:kept]
            self._array = grown.reshape(shape)
    return self


@operator(function_name=False)
def resize_as_(self: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    """`resize_` to the shape of `other`."""
    return resize_(self, other.shape, memory_format=memory_format)
