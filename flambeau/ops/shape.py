"""Shapes: views that reshape, permute, expand and slice; joining, repeating, flipping and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core import device as devices
from flambeau.core.dtypes import dtype
from flambeau.core.shapes import as_shape, infer_size, wrap_dim, wrap_dims
from flambeau.ops.pointwise import expect_tensor, result_dtype
from flambeau.ops.table import Kernel, Primitive, Spec, finish_view, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state
from flambeau.tensor.views import mark_multiple

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


def _slices(starts: Sequence[int], stops: Sequence[int], steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(map(slice, starts, stops, steps))


#: `starts`, `stops`, `steps`: one a dimension, 0 <= start <= stop <= size, step > 0.
_slice = Primitive(
    "slice",
    "input",
    lambda x, starts, stops, steps: x[_slices(starts, stops, steps)],
    rule=lambda x, starts, stops, steps: Spec(
        [len(range(a, b, s)) for a, b, s in zip(starts, stops, steps, strict=True)], x.dtype
    ),
    derivative={
        "input": lambda g, input_shape, starts, stops, steps: _slice_backward(
            g, size=tuple(input_shape), starts=starts, stops=stops, steps=steps
        )
    },
    lowering=Kernel("slice"),
    view=True,
)


def _placed(g: np.ndarray, size: Sequence[int], **where: Any) -> np.ndarray:
    out = np.zeros(size, g.dtype)
    out[_slices(**where)] = g
    return out


#: Zeros of shape `size` with `g` in the slice: the transpose of `slice`.
_slice_backward = Primitive(
    "slice_backward",
    "g",
    lambda x, size, starts, stops, steps: _placed(x, size, starts=starts, stops=stops, steps=steps),
    rule=lambda x, size, starts, stops, steps: Spec(size, x.dtype),
    derivative={
        "g": lambda g, starts, stops, steps: _slice(g, starts=starts, stops=stops, steps=steps)
    },
    lowering=Kernel("unslice"),
)
_diagonal = Primitive(
    "diagonal",
    "input",
    lambda x, offset, dim1, dim2: _diagonal_view(x, offset, dim1, dim2),
    derivative={
        "input": lambda g, input_shape, offset, dim1, dim2: _diagonal_backward(
            g, size=tuple(input_shape), offset=offset, dim1=dim1, dim2=dim2
        )
    },
    view=True,
)


def _diagonal_view(x: np.ndarray, offset: int, dim1: int, dim2: int) -> np.ndarray:
    view = x.diagonal(offset, dim1, dim2)
    if not view.flags.writeable and x.flags.writeable:
        view.flags.writeable = True
    return view


def _on_diagonal(g: np.ndarray, size: Sequence[int], offset: int, dim1: int, dim2: int) -> np.ndarray:
    out = np.zeros(size, g.dtype)
    _diagonal_view(out, offset, dim1, dim2)[...] = g
    return out


_diagonal_backward = Primitive(
    "diagonal_backward",
    "g",
    lambda x, size, offset, dim1, dim2: _on_diagonal(x, size, offset, dim1, dim2),
    rule=lambda x, size, offset, dim1, dim2: Spec(size, x.dtype),
    derivative={"g": lambda g, offset, dim1, dim2: _diagonal(g, offset=offset, dim1=dim1, dim2=dim2)},
)
_unfold = Primitive(
    "unfold",
    "input",
    lambda x, dimension, size, step: _windows(x, dimension, size, step),
    derivative={
        "input": lambda g, input_shape, dimension, size, step: _unfold_backward(
            g, shape=tuple(input_shape), dimension=dimension, size=size, step=step
        )
    },
    view=True,
)


def _windows(x: np.ndarray, dimension: int, size: int, step: int) -> np.ndarray:
    if x.ndim == 0:
        return np.lib.stride_tricks.as_strided(x, (size,), (x.itemsize,))
    count = (x.shape[dimension] - size) // step + 1
    shape, strides = list(x.shape), list(x.strides)
    shape[dimension] = count
    strides[dimension] *= step
    return np.lib.stride_tricks.as_strided(x, (*shape, size), (*strides, x.strides[dimension]))


def _folded(g: np.ndarray, shape: Sequence[int], dimension: int, size: int, step: int) -> np.ndarray:
    out = np.zeros(shape, g.dtype)
    if not shape:
        return g.reshape(()).copy()
    target = np.moveaxis(out, dimension, -1)
    source = np.moveaxis(g, dimension, -2)
    for offset in range(size):
        stop = offset + (source.shape[-2] - 1) * step + 1
        target[..., offset:stop:step] += source[..., offset]
    return out


_unfold_backward = Primitive(
    "unfold_backward",
    "g",
    lambda x, shape, dimension, size, step: _folded(x, shape, dimension, size, step),
    rule=lambda x, shape, dimension, size, step: Spec(shape, x.dtype),
    derivative={"g": lambda g, dimension, size, step: _unfold(g, dimension=dimension, size=size, step=step)},
)


# Reshaping ----------------------------------------------------------------------------------------


@operator(function_name=False)
def view(self: Tensor, *shape: Any) -> Tensor:
    """The same memory in another shape, or read as another dtype. Raises `RuntimeError` where the
    strides do not allow it: use `reshape`.
    """
    if len(shape) == 1 and isinstance(shape[0], dtype):
        return view_as_dtype(self, shape[0])
    array = self._array
    if state.busy:
        return _view(self, size=infer_size(as_shape(shape), array.size))
    try:
        if not array.flags.c_contiguous or not shape or shape[0].__class__ is not int:
            size = infer_size(as_shape(shape), array.size)
            return finish_view(_view, self, array.reshape(size, copy=False), {"size": size})
        try:
            viewed = array.reshape(shape)
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


@operator
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """`input` in another shape of as many elements: a view where possible, else a copy."""
    size = infer_size(as_shape(shape), input._array.size)
    try:
        return _view(input, size=size)
    except ValueError:
        return _view(input.clone(memory_format=devices.contiguous_format), size=size)


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
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


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


@operator
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the dimensions of size 1 (all, or those in `dim`)."""
    shape = input._array.shape
    dims = wrap_dims(dim, len(shape)) if not (isinstance(dim, (tuple, list)) and not dim) else ()
    return _view(input, size=tuple(n for i, n in enumerate(shape) if i not in dims or n != 1))


@operator
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 put in at `dim`."""
    shape = input._array.shape
    dim = wrap_dim(dim, len(shape) + 1)
    return _view(input, size=(*shape[:dim], 1, *shape[dim:]))


def _shape_inplace(name: str, function: Any) -> None:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self._check_inplace()
        changed = function(self, *args, **kwargs)
        self._array = changed._array
        self._node, self._requires_grad = changed._node, changed._requires_grad
        return self

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"In-place form of `{name[:-1]}`: changes the shape, not the elements."
    operator(call, name=name, function_name=False)


@operator
def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in the order `dims`."""
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
    return _permute(input, dims=order)


@operator(aliases=("swapdims", "swapaxes"))
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    rank = input.ndim
    a, b = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    order = list(range(rank))
    if rank:
        order[a], order[b] = b, a
    return _permute(input, dims=tuple(order))


@operator
def t(input: Tensor) -> Tensor:
    """A matrix transposed; 0-dim and 1-dim tensors as they are. Raises `RuntimeError` beyond 2 dims."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input.ndim == 2 else _view(input, size=tuple(input._array.shape))


@operator(aliases=("moveaxis",))
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions `source` moved to `destination`; the others keep their order."""
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({list(source)} dims) should contain the same number of dims as destination "
            f"({list(destination)} dims)"
        )
    rank = input.ndim
    source, destination = (tuple(wrap_dim(d, rank) for d in s) for s in (source, destination))
    rest = iter(d for d in range(rank) if d not in source)
    placed = dict(zip(destination, source, strict=True))
    return permute(input, tuple(placed[d] if d in placed else next(rest) for d in range(rank)))


for _name, _f in (
    ("squeeze_", squeeze), ("unsqueeze_", unsqueeze), ("transpose_", transpose), ("t_", t),
    ("swapdims_", transpose), ("swapaxes_", transpose),
):  # fmt: skip
    _shape_inplace(_name, _f)
Tensor.T = property(lambda self: permute(self, tuple(range(self.ndim))[::-1]))  # type: ignore[attr-defined]
Tensor.mT = property(lambda self: transpose(self, -2, -1))  # type: ignore[attr-defined]
Tensor.H = property(lambda self: transpose(self, 0, 1).conj())  # type: ignore[attr-defined]
Tensor.mH = property(lambda self: transpose(self, -2, -1).conj())  # type: ignore[attr-defined]


@operator
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged and conjugated."""
    return transpose(input, -2, -1).conj()


@operator(function_name=False)
def expand(self: Tensor, *size: Any, implicit: bool = False) -> Tensor:
    """A view in which dimensions of size 1 are repeated without copying; -1 keeps a size."""
    wanted = as_shape(size)
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
                    f"expand({self.type()}{{{list(shape)}}}, size={list(wanted)}): the expanded size of "
                    f"the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                )
            n = have
        elif have not in (None, 1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(wanted)}.  Tensor sizes: {list(shape)}"
            )
        full.append(n)
    return _expand(self, size=tuple(full))


@operator(function_name=False)
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of `other`."""
    return expand(self, other.shape)


@operator
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Expanded to `size`."""
    return expand(input, size)


@operator(method=False)
def broadcast_tensors(*tensors: Any) -> list[Tensor]:
    """The tensors expanded to their common shape."""
    from flambeau.core.shapes import broadcast_shapes

    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*[x.shape for x in tensors])
    return [expand(x, shape) for x in tensors]


@operator(function_name=False)
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the dimensions in which `size` broadcasts to this shape."""
    wanted, shape = as_shape(size), self._array.shape
    if wanted == tuple(shape):
        return self
    extra = len(shape) - len(wanted)
    dims = [*range(extra), *(i for i in range(extra, len(shape)) if wanted[i - extra] == 1 != shape[i])]
    if extra < 0 or any(wanted[i - extra] not in (1, shape[i]) for i in range(extra, len(shape))):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    summed = self.sum(dims, keepdim=True) if dims else self
    return reshape(summed, wanted) if extra else summed


# Parts --------------------------------------------------------------------------------------------


def take_slice(input: Tensor, dim: int, start: int, stop: int, step: int = 1) -> Tensor:
    """Elements `start` to `stop` (both within the size) of dimension `dim`, as a view."""
    shape = input._array.shape
    starts, stops, steps = [0] * len(shape), list(shape), [1] * len(shape)
    starts[dim], stops[dim], steps[dim] = start, stop, step
    return _slice(input, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


@operator
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """Elements `start` to `start + length` of dimension `dim`, as a view."""
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, input.ndim)
    start, size = int(start), input._array.shape[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [-{size}, {size}], but got {start})"
        )
    start += size if start < 0 else 0
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return take_slice(input, dim, start, start + length)


@operator
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """Element `index` of dimension `dim`, as a view without that dimension."""
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, input.ndim)
    size, index = input._array.shape[dim], int(index)
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {dim}"
        )
    index += size if index < 0 else 0
    part = take_slice(input, dim, index, index + 1)
    return _view(part, size=tuple(n for i, n in enumerate(part._array.shape) if i != dim))


def _mark_multiple(views: tuple[Tensor, ...], function: str = "Split") -> tuple[Tensor, ...]:
    mark_multiple(views, function)
    return views


@operator
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The elements of dimension `dim`, each a view without it."""
    if input.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, input.ndim)
    return _mark_multiple(
        tuple(select(input, dim, i) for i in range(input._array.shape[dim])), "Unbind"
    )


@operator
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `split_size` elements each (the last may be smaller), or of the sizes in a list."""
    if tensor.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = wrap_dim(dim, tensor.ndim)
    size = tensor._array.shape[dim]
    if isinstance(split_size_or_sections, (int, np.integer)):
        step = int(split_size_or_sections)
        if step < 0:
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
        if step == 0 and size:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}"
            )
        sections = [step] * (size // step) + [size % step] * bool(size % step) if step else [0]
        sections = sections or [0]
    else:
        sections = [int(n) for n in split_size_or_sections]
        if sum(sections) != size:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's size at "
                f"dimension {dim}), but got split_sizes={sections}"
            )
    parts, start = [], 0
    for n in sections:
        parts.append(take_slice(tensor, dim, start, start + n))
        start += n
    return _mark_multiple(tuple(parts))


@operator
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the sizes in `split_sizes`."""
    return split(input, list(split_sizes), dim)


@operator
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size (the last may be smaller)."""
    if input.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks < 1:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = input._array.shape[wrap_dim(dim, input.ndim)]
    step = -(-size // chunks)
    return split(input, step, dim) if step else split(input, [0] * chunks, dim)


@operator
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views that begin at the given indices, or that many of nearly equal size."""
    dim = wrap_dim(dim, input.ndim)
    size = input._array.shape[dim]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count < 1:
            raise RuntimeError(f"number of sections must be larger than 0, got {count}")
        small, larger = divmod(size, count)
        bounds = [i * small + min(i, larger) for i in range(count + 1)]
    else:
        bounds = [0, *(int(i) for i in indices_or_sections), size]
    ends = [min(max(b + size if b < 0 else b, 0), size) for b in bounds]
    return _mark_multiple(
        tuple(take_slice(input, dim, a, max(a, b)) for a, b in zip(ends, ends[1:], strict=False))
    )


@operator
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, as the last dimension of a view."""
    a, b = wrap_dim(dim1, input.ndim), wrap_dim(dim2, input.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _diagonal(input, offset=offset, dim1=a, dim2=b)


@operator(function_name=False)
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements of a dimension, `step` apart, as a view with one more dimension."""
    dimension = wrap_dim(dimension, self.ndim)
    have = self._array.shape[dimension] if self.ndim else 1
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if size > have:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dimension} is {have} but size is {size}"
        )
    return _unfold(self, dimension=dimension, size=size, step=step)


# Joining ------------------------------------------------------------------------------------------


def _cat_rule(*specs: Any, dim: int) -> Spec:
    shape = list(specs[0].shape)
    shape[dim] = sum(s.shape[dim] for s in specs)
    return Spec(shape, specs[0].dtype)


_cat = Primitive(
    "cat",
    "tensors*",
    lambda *arrays, dim: np.concatenate(arrays, dim),
    rule=_cat_rule,
    derivative={"tensors": lambda g, tensors_shape, position, dim: _cat_part(g, tensors_shape, position, dim)},
    lowering=Kernel("cat"),
)


def _cat_part(g: Tensor, shapes: Sequence[Any], index: int, dim: int) -> Tensor:
    start = sum(s[dim] for s in shapes[:index])
    return take_slice(g, dim, start, start + shapes[index][dim])


@operator(method=False, out=True, aliases=("concat", "concatenate"))
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after another along `dim`. Empty 1-dim tensors are left out, as in PyTorch."""
    dim = dim if axis is None else axis
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    for x in tensors:
        expect_tensor(x, "cat", "tensors")
    if any(x.ndim == 0 for x in tensors):
        raise RuntimeError(
            f"zero-dimensional tensor (at position {[x.ndim for x in tensors].index(0)}) cannot be concatenated"
        )
    common = tensors[0].dtype
    if any(x.dtype is not common for x in tensors):
        common = result_dtype(*tensors)
    full = [x for x in tensors if x._array.shape != (0,)] or list(tensors[:1])
    rank = full[0].ndim
    dim = wrap_dim(dim, rank)
    for i, x in enumerate(full[1:], 1):
        if x.ndim != rank:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {rank} and {x.ndim}")
        for d, (a, b) in enumerate(zip(full[0]._array.shape, x._array.shape, strict=True)):
            if a != b and d != dim:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {a} but got "
                    f"size {b} for tensor number {i} in the list."
                )
    return _cat(*[x if x.dtype is common else x.to(common) for x in full], dim=dim)


@operator(method=False, out=True)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, of equal shape, along a new dimension `dim`."""
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, x in enumerate(tensors):
        if x._array.shape != tensors[0]._array.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 "
                f"and {list(x.shape)} at entry {i}"
            )
    dim = wrap_dim(dim, tensors[0].ndim + 1)
    return cat([unsqueeze(x, dim) for x in tensors], dim)


@operator(function_name=False)
def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """The tensor copied `repeats[i]` times along each dimension (new ones in front)."""
    counts = as_shape(repeats)
    if len(counts) < self.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    shape = (1,) * (len(counts) - self.ndim) + tuple(self._array.shape)
    interleaved = reshape(self, [m for n in shape for m in (1, n)])
    expanded = expand(interleaved, [m for c, n in zip(counts, shape, strict=True) for m in (c, n)])
    return reshape(
        expanded.clone(memory_format=devices.contiguous_format),
        [c * n for c, n in zip(counts, shape, strict=True)],
    )


@operator
def tile(input: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, with missing counts in front taken as 1."""
    counts = as_shape(dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


_flip = Primitive(
    "flip",
    "input",
    lambda x, dims: np.flip(x, dims).copy(),
    rule=lambda x, dims: Spec(x.shape, x.dtype),
    derivative={"input": lambda g, dims: _flip(g, dims=dims)},
    lowering=Kernel("flip"),
)


@operator
def flip(input: Tensor, *dims: Any) -> Tensor:
    """The order of elements reversed along `dims`; a copy."""
    wanted = as_shape(dims)
    return _flip(input, dims=wrap_dims(wanted, input.ndim) if wanted else ())


@operator
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements shifted along `dims`; what leaves at the end enters at the start."""
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if not isinstance(shifts, int) and len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return reshape(roll(reshape(input, -1), shifts, 0), input.shape)
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(shifts) != len(dims):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    out = input
    for shift, dim in zip(shifts, dims, strict=True):
        dim = wrap_dim(dim, input.ndim)
        size = input._array.shape[dim] if input.ndim else 1
        start = -shift % size if size else 0
        if start:
            out = cat([take_slice(out, dim, start, size), take_slice(out, dim, 0, start)], dim)
    return out.clone() if out is input else out


# Padding with a constant --------------------------------------------------------------------------

_pad = Primitive(
    "constant_pad_nd",
    "input",
    lambda x, before, after, value: np.pad(
        x, tuple(zip(before, after, strict=True)), constant_values=np.asarray(value, x.dtype)
    ),
    rule=lambda x, before, after, value: Spec(
        [a + n + b for n, a, b in zip(x.shape, before, after, strict=True)], x.dtype
    ),
    derivative={
        "input": lambda g, input_shape, before: _slice(
            g,
            starts=before,
            stops=tuple(a + n for a, n in zip(before, input_shape, strict=True)),
            steps=(1,) * len(before),
        )
    },
    lowering=Kernel("pad"),
)


@operator(method=False)
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """`input` with `pad` = (left, right, top, bottom, ...) elements of `value` around its last
    dimensions; negative counts crop.
    """
    rank = input.ndim
    if len(pad) % 2 or len(pad) // 2 > rank:
        raise RuntimeError(
            f"Length of pad should be even and at most twice the input's {rank} dimensions, got {len(pad)}"
        )
    before, after = [0] * rank, [0] * rank
    for i in range(len(pad) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = int(pad[2 * i]), int(pad[2 * i + 1])
    shape = input._array.shape
    for d, (n, a, b) in enumerate(zip(shape, before, after, strict=True)):
        if n + a + b < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {a} and {b} resulted in a negative output "
                f"size, which is invalid. Check dimension {d} of your input."
            )
    starts = tuple(max(-a, 0) for a in before)
    stops = tuple(n - max(-b, 0) for n, b in zip(shape, after, strict=True))
    if any(starts) or stops != tuple(shape):
        input = _slice(input, starts=starts, stops=stops, steps=(1,) * rank)
    return _pad(
        input, before=tuple(max(a, 0) for a in before), after=tuple(max(b, 0) for b in after), value=value
    )


@operator(function_name=False)
def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Changes the shape in place; new elements are not initialised. Raises `RuntimeError` with history."""
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
    return resize_(self, other.shape)


__all__ = ["wrap"]
