"""Parts of tensors, as views: slices, single positions, pieces, diagonals, windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.autograd.node import Node, OutputOf
from flambeau.core.shapes import wrap_dim
from flambeau.ops.shape import _view, contiguous_copy
from flambeau.ops.table import Kernel, Primitive, Spec, finish_view, operator
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import state
from flambeau.tensor.views import mark_multiple

# Primitive views ----------------------------------------------------------------------------------


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


def basic_view(x: np.ndarray, key: Any) -> np.ndarray:
    """`x[key]` as an array, also where it is one element."""
    part = x[key]
    return part if part.__class__ is np.ndarray else x[(*(key if key.__class__ is tuple else (key,)), ...)]


def _basic_gradient(x: np.ndarray, size: Any, key: Any) -> np.ndarray:
    out = np.zeros(size, x.dtype)
    out[key] = x
    return out


def _name_of_basic(key: Any) -> str:
    """PyTorch takes an index apart, item by item; the last step gives the node its name."""
    for item in reversed(key if key.__class__ is tuple else (key,)):
        if item.__class__ is int:
            return "SelectBackward0"
        if item is None:
            return "UnsqueezeBackward0"
        if item is Ellipsis:
            continue
        if item != slice(None):
            return "SliceBackward0"
    return "AliasBackward0"


#: The eager short path of `slice` and `view` together, for an index of ints and slices.
_basic = Primitive(
    "getitem",
    "input",
    basic_view,
    derivative={"input": lambda g, input_shape, key: _basic_backward(g, size=tuple(input_shape), key=key)},
    view=True,
    node_name=lambda node: _name_of_basic(node.attributes["key"]),
)
_basic_backward = Primitive(
    "getitem_backward",
    "grad",
    _basic_gradient,
    rule=lambda g, size, key: Spec(size, g.dtype),
    derivative={"grad": lambda g, key: _basic(g, key=key)},
)


# Slices and pieces --------------------------------------------------------------------------------


def take_slice(input: Tensor, dim: int, start: int, stop: int, step: int = 1) -> Tensor:
    """Elements `start` to `stop` (both within the size) of dimension `dim`, as a view."""
    if not state.busy:
        key = (*[slice(None)] * dim, slice(start, stop, step))
        return finish_view(_basic, input, input._array[key], {"key": key})
    shape = input._array.shape
    starts, stops, steps = [0] * len(shape), list(shape), [1] * len(shape)
    starts[dim], stops[dim], steps[dim] = start, stop, step
    return _slice(input, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


def slice_bounds(size: int, start: Any, end: Any) -> tuple[int, int]:
    """`start` and `end` of a slice of a dimension of `size`: counted from the end if negative, cut off."""
    first = 0 if start is None else int(start)
    last = size if end is None else int(end)
    first = min(max(first + size if first < 0 else first, 0), size)
    last = min(max(last + size if last < 0 else last, first), size)
    return first, last


def slice_along(input: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
    """Elements `start` to `end`, `step` apart, of dimension `dim`, as a view: `aten.slice`."""
    if input.ndim == 0:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, input.ndim)
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    return take_slice(input, dim, *slice_bounds(input._array.shape[dim], start, end), step)


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
    if not state.busy:
        key = (*[slice(None)] * dim, index)
        return finish_view(_basic, input, basic_view(input._array, key), {"key": key})
    part = take_slice(input, dim, index, index + 1)
    return _view(part, size=tuple(n for i, n in enumerate(part._array.shape) if i != dim))


class PartsBackward(Node):
    """What came back to the parts of a tensor, put together again: one node for all of them.

    A node for each part would make a whole array of zeros for each.
    """

    __slots__ = ("dim", "function", "shapes", "stored")

    def __init__(self, input: Tensor, parts: Sequence[Tensor], dim: int, function: str):
        super().__init__((input._edge(),))
        self.dim, self.function = dim, function
        self.shapes = [p._array.shape for p in parts]
        self.stored = input.dtype

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return len(self.shapes)

    def name(self) -> str:
        return f"{self.function}Backward0"

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        from flambeau.ops.creation import zeros
        from flambeau.ops.joining import cat, stack

        parts = [
            zeros(shape, dtype=self.stored) if g is None else g
            for g, shape in zip(grads, self.shapes, strict=True)
        ]
        return [stack(parts, self.dim) if self.function == "Unbind" else cat(parts, self.dim)]


def _together(views: tuple[Tensor, ...], input: Tensor, dim: int, function: str) -> tuple[Tensor, ...]:
    """Marks the views as made by one call; in eager programs they share a node."""
    mark_multiple(views, function)
    if len(views) > 1 and views[0]._node is not None and not state.busy:
        node = PartsBackward(input, views, dim, function)
        for slot, view in enumerate(views):
            view._node = OutputOf(node, slot)
    return views


@operator
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The elements of dimension `dim`, each a view without it."""
    if input.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, input.ndim)
    if not state.busy:
        array, before = input._array, (slice(None),) * dim
        keys = [(*before, i) for i in range(array.shape[dim])]
        views = tuple([finish_view(_basic, input, basic_view(array, k), {"key": k}) for k in keys])
        return _together(views, input, dim, "Unbind")
    return _together(
        tuple(select(input, dim, i) for i in range(input._array.shape[dim])), input, dim, "Unbind"
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
    return _together(tuple(parts), tensor, dim, "Split")


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
    if input.ndim == 0:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = wrap_dim(dim, input.ndim)
    size = input._array.shape[dim]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, (int, np.integer)):
        count = int(indices_or_sections)
        if count < 1:
            raise RuntimeError(f"number of sections must be larger than 0, got {count}")
        small, larger = divmod(size, count)
        bounds = [i * small + min(i, larger) for i in range(count + 1)]
    else:
        bounds = [0, *(int(i) for i in indices_or_sections), size]
    ends = [min(max(b + size if b < 0 else b, 0), size) for b in bounds]
    views = tuple(take_slice(input, dim, a, max(a, b)) for a, b in zip(ends, ends[1:], strict=False))
    mark_multiple(views, "Split")
    return views


def _split_along(name: str, least: int, plane: int, doc: str) -> Any:
    """`hsplit` and its kind: pieces along dimension `plane` (a vector's only one), of at least `least` dims."""

    def call(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got "
                f"a tensor with {input.ndim} dimensions!"
            )
        dim = plane if input.ndim > 1 else 0
        size = input._array.shape[dim]
        if isinstance(indices_or_sections, (int, np.integer)):
            count = int(indices_or_sections)
            if count == 0 or size % count:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                    f"{size} is not divisible by the split_size {count}!"
                )
        return tensor_split(input, indices_or_sections, dim)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return operator(call)


hsplit = _split_along("hsplit", 1, 1, "Views along the second dimension (the first of a vector).")
vsplit = _split_along("vsplit", 2, 0, "Views along the first dimension.")
dsplit = _split_along("dsplit", 3, 2, "Views along the third dimension.")


@operator
def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As `split`, in tensors that share no memory and so may be changed in place."""
    return tuple(map(contiguous_copy, split(input, split_size, dim)))


@operator
def unsafe_split_with_sizes(
    input: Tensor, split_sizes: Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """As `split_with_sizes`, in tensors that share no memory and so may be changed in place."""
    return tuple(map(contiguous_copy, split_with_sizes(input, split_sizes, dim)))


@operator
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As `chunk`, in tensors that share no memory and so may be changed in place."""
    return tuple(map(contiguous_copy, chunk(input, chunks, dim)))


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
