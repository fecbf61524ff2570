"""Sparse tensors: the elements that are not zero, and where they are.

A sparse tensor is a `Tensor` that holds two others, positions and values. Its history is that of its values:
what is computed from a sparse tensor is computed from them by operators, so derivatives, and gradients with the
same pattern, come of themselves. It has no array; operators that do not know it say so when they reach for one
(`NoArray`), so that dense tensors pay nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from flambeau.core import device as devices
from flambeau.core import dtypes
from flambeau.core.shapes import Size, wrap_dim
from flambeau.ops.creation import zeros
from flambeau.ops.joining import cat
from flambeau.ops.table import SPARSE_FORMS, operator
from flambeau.tensor import printing
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import need_value

__all__ = ["Compressed", "Sparse", "SparseTensor"]


class _NoElements:
    """What stands for the dtype of the array that is not there; asked for anything, it says so."""

    kind, itemsize = "", 0

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError("this operator does not take sparse tensors: call to_dense() first")


_NO_ELEMENTS = _NoElements()
dtypes.FROM_NUMPY[_NO_ELEMENTS] = _NO_ELEMENTS  # type: ignore[index, assignment]


class NoArray:
    """What stands where dense tensors have their array: whoever reads it does not know sparse tensors."""

    def __init__(self, layout: devices.layout):
        self._layout = layout

    ndim = -1
    dtype = _NO_ELEMENTS  # no short path of an operator knows it

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(
            f"this operator does not take tensors of layout {self._layout}: call to_dense() first"
        )


class Sparse(Tensor):
    """What both layouts share: `_values` carries dtype, gradient and history."""

    _sparse = True
    _values_: Tensor
    _size: tuple[int, ...]

    def _adopt(self, values: Tensor, size: Sequence[int]) -> None:
        self._reset(NoArray(self.layout))
        self._values_, self._size = values, tuple(int(n) for n in size)

    # What a tensor tells of itself ------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self._size)

    @property
    def dtype(self) -> dtypes.dtype:
        return self._values_.dtype

    @property
    def ndim(self) -> int:
        return len(self._size)

    @property
    def itemsize(self) -> int:
        return self._values_.itemsize

    def size(self, dim: int | None = None) -> Any:
        return Size(self._size) if dim is None else self._size[wrap_dim(dim, len(self._size))]

    def dim(self) -> int:
        return len(self._size)

    ndimension = dim

    def numel(self) -> int:
        return math.prod(self._size)

    nelement = numel

    def is_floating_point(self) -> bool:
        return self._values_.is_floating_point()

    def is_complex(self) -> bool:
        return self._values_.is_complex()

    def is_contiguous(self, memory_format: Any = None) -> bool:
        return True

    def stride(self, dim: int | None = None) -> NoReturn:
        raise RuntimeError(f"{self._kind()} tensors do not have strides")

    def storage(self) -> NoReturn:
        raise NotImplementedError(f"Cannot access storage of {self._kind()}TensorImpl")

    untyped_storage = storage

    def data_ptr(self) -> NoReturn:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def numpy(self, *, force: bool = False) -> NoReturn:
        raise TypeError(
            f"can't convert {self.layout} layout tensor to numpy. Use Tensor.to_dense() first."
        )

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.numpy()

    def tolist(self) -> NoReturn:
        raise NotImplementedError(f"tolist() of layout {self.layout}: call to_dense() first")

    def _kind(self) -> str:
        return "Sparse" if self.layout is devices.sparse_coo else "SparseCsr"

    # Gradients --------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        return self._values_.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._values_.requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Sparse:
        self._values_.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        return self._values_.is_leaf

    @property
    def grad_fn(self) -> Any:
        return self._values_.grad_fn

    def _edge(self) -> Any:
        return self._values_._edge()

    def retain_grad(self) -> None:
        self._values_.retain_grad()

    @property
    def grad(self) -> Tensor | None:
        """The gradient, with this tensor's pattern."""
        found = self._values_.grad
        return None if found is None else self._gradient(found)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._values_.grad = None if value is None else value._values_  # type: ignore[attr-defined]

    @grad.deleter
    def grad(self) -> None:
        self._values_.grad = None

    def _gradient(self, values: Tensor) -> Any:
        """The gradient whose values these are."""
        return self._with_values(values)

    def backward(self, gradient: Any = None, *args: Any, **kwargs: Any) -> None:
        if isinstance(gradient, Sparse):
            gradient = gradient._values_
        self._values_.backward(gradient, *args, **kwargs)

    def register_hook(self, hook: Callable[[Any], Any]) -> Any:
        def on_values(g: Tensor) -> Tensor | None:
            found = hook(self._with_values(g))
            return None if found is None else found._values_

        return self._values_.register_hook(on_values)

    # Copies with other values -----------------------------------------------------------------------

    def _with_values(self, values: Tensor, size: Sequence[int] | None = None) -> Any:
        raise NotImplementedError

    def detach(self) -> Any:
        return self._with_values(self._values_.detach())

    @property
    def data(self) -> Any:
        return self.detach()

    def clone(self, *, memory_format: Any = None) -> Any:
        return self._with_values(self._values_.clone())

    def to(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_values(self._values_.to(*args, **kwargs))

    def float(self) -> Any:
        return self.to(dtypes.float32)

    def double(self) -> Any:
        return self.to(dtypes.float64)

    def half(self) -> Any:
        return self.to(dtypes.float16)

    def long(self) -> Any:
        return self.to(dtypes.int64)

    def int(self) -> Any:
        return self.to(dtypes.int32)

    def cpu(self) -> Any:
        return self

    def type(self, dtype: Any = None, **options: Any) -> Any:
        return f"torch.sparse.{self.dtype.tensor_type}" if dtype is None else self.to(dtype)

    def __deepcopy__(self, memo: dict) -> Any:
        made = self._with_values(self._values_.detach().clone().requires_grad_(self.requires_grad))
        memo[id(self)] = made
        return made

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        text, indent = "tensor(", " " * 7
        for number, (name, part) in enumerate(self._parts()):
            head = f"{name}=tensor("
            body = printing.contents(part._array, len(text.rpartition("\n")[2]) * (not number) + 7 * bool(number) + len(head))
            text += (",\n" + indent if number else "") + head + body + ")"
        notes = [f"size={tuple(self._size)}", f"nnz={self._nnz()}"]
        if self.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_):
            notes.append(f"dtype={self.dtype}")
        notes.append(f"layout={self.layout}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn=<{self.grad_fn.name()}>")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        if self.layout is devices.sparse_coo:  # its notes begin on a line of their own
            return printing.with_notes(f"{text},\n{indent}{notes[0]}", notes[1:], 7)
        return printing.with_notes(text, notes, 7)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec)

    def __len__(self) -> int:  # type: ignore[valid-type]
        return self._size[0]

    def __bool__(self) -> NoReturn:
        raise RuntimeError(f"Boolean value of a tensor of layout {self.layout} is ambiguous")

    def _nnz(self) -> Any:
        """How many elements are stored."""
        return self._values_._array.shape[0]

    def _parts(self) -> list[tuple[str, Tensor]]:
        raise NotImplementedError

    # Arithmetic that every layout has ---------------------------------------------------------------

    def neg(self) -> Any:
        return self._with_values(-self._values_)

    __neg__ = neg

    def __mul__(self, other: Any) -> Any:
        return multiply(self, other)

    __rmul__ = mul = multiply_ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._with_values(self._values_ / _scalar(other, "div"))

    div = true_divide = __truediv__

    def __add__(self, other: Any) -> Any:
        return add(self, other)

    __radd__ = __add__

    def add(self, other: Any, *, alpha: Any = 1) -> Any:
        return add(self, other if alpha == 1 else other * alpha)

    def __sub__(self, other: Any) -> Any:
        return add(self, -other)

    def __rsub__(self, other: Any) -> Any:
        return add(-self, other)

    def sub(self, other: Any, *, alpha: Any = 1) -> Any:
        return add(self, other * -alpha)

    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other)

    mm = matmul = mv = __matmul__

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        raise NotImplementedError

    def t(self) -> Any:
        return self.transpose(0, 1) if len(self._size) == 2 else self

    @property
    def T(self) -> Any:
        return self.t()


def _scalar(x: Any, name: str) -> Any:
    if isinstance(x, Sparse) or (isinstance(x, Tensor) and x.ndim):
        raise RuntimeError(f"{name}: a sparse tensor takes a number or a zero-dim tensor here")
    return x


class SparseTensor(Sparse):
    """COO: `indices` (sparse dims, nnz) int64 and `values` (nnz, *dense dims); equal positions add up."""

    is_sparse = True
    _indices_: Tensor
    _coalesced: bool

    def __new__(
        cls, indices: Tensor, values: Tensor, size: Sequence[int], coalesced: bool = False
    ) -> SparseTensor:
        made = object.__new__(cls)
        made._adopt(values, size)
        made._indices_, made._coalesced = indices, coalesced
        return made

    @property
    def layout(self) -> devices.layout:
        return devices.sparse_coo

    def _with_values(self, values: Tensor, size: Sequence[int] | None = None) -> SparseTensor:
        return SparseTensor(self._indices_, values, self._size if size is None else size, self._coalesced)

    def _gradient(self, values: Tensor) -> SparseTensor:
        """Equal positions have equal gradients, which do not add up."""
        if self._coalesced:
            return self._with_values(values)
        _, first = np.unique(self._places(), return_index=True)
        indices = wrap(self._indices_._array[:, first])
        return SparseTensor(indices, values.index_select(0, wrap(first)), self._size, coalesced=True)

    def _parts(self) -> list[tuple[str, Tensor]]:
        return [("indices", self._indices_), ("values", self._values_)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        state = (self._indices_, self._values_.detach(), self._size, self._coalesced, self.requires_grad)
        return _rebuilt, state

    def parts(self) -> tuple:
        """What `from_parts` makes it of again, and PyTorch's files hold."""
        return self._indices_, self._values_.detach(), self.shape, self._coalesced

    def sparse_dim(self) -> int:  # type: ignore[valid-type]
        return self._indices_._array.shape[0]

    def dense_dim(self) -> int:  # type: ignore[valid-type]
        return self._values_.ndim - 1

    def is_coalesced(self) -> bool:
        return self._coalesced

    def indices(self) -> Tensor:
        """The positions, (sparse dims, nnz). Raises `RuntimeError` unless coalesced."""
        self._require_coalesced("indices")
        return self._indices_

    def values(self) -> Tensor:
        """The values, (nnz, *dense dims). Raises `RuntimeError` unless coalesced."""
        self._require_coalesced("values")
        return self._values_

    def _require_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(
                f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first"
            )

    def _indices(self) -> Tensor:
        return self._indices_

    def _values(self) -> Tensor:
        return self._values_

    def _places(self) -> np.ndarray:
        """For each stored element, its place among the sparse dimensions in row-major order."""
        shape = self._size[: self.sparse_dim()]
        indices = self._indices_._array
        place = np.zeros(indices.shape[1], np.int64)
        for row, n in zip(indices, shape, strict=True):
            place = place * n + row
        return place

    def coalesce(self) -> SparseTensor:
        """Positions in order, each once; values of equal positions added."""
        if self._coalesced:
            return self
        unique, inverse = np.unique(self._places(), return_inverse=True)
        shape = self._size[: self.sparse_dim()]
        indices = wrap(np.stack(np.unravel_index(unique, shape)) if shape else np.zeros((0, 1), np.int64))
        values = _summed(self._values_, inverse.reshape(-1), len(unique))
        return SparseTensor(indices, values, self._size, coalesced=True)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        """All elements, zeros included."""
        sparse = self._size[: self.sparse_dim()]
        full = _summed(self._values_, self._places(), math.prod(sparse))
        dense = full.reshape(self._size)
        return dense if dtype is None else dense.to(dtype)

    def to_sparse(self, sparse_dim: Any = None, *, layout: Any = None, **options: Any) -> Any:
        if layout in (None, devices.sparse_coo):
            return self
        return to_sparse(self.to_dense(), layout=layout)

    def to_sparse_coo(self) -> SparseTensor:
        return self

    def to_sparse_csr(self, dense_dim: Any = None) -> Compressed:
        """Rows compressed: for two dimensions."""
        return _compressed(self, devices.sparse_csr)

    def to_sparse_csc(self, dense_dim: Any = None) -> Compressed:
        """Columns compressed: for two dimensions."""
        return _compressed(self, devices.sparse_csc)

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:  # type: ignore[valid-type]
        dim0, dim1 = wrap_dim(dim0, self.ndim), wrap_dim(dim1, self.ndim)
        if max(dim0, dim1) >= self.sparse_dim():
            raise RuntimeError("transpose: only sparse dimensions of a sparse tensor can be exchanged")
        order = list(range(self.sparse_dim()))
        order[dim0], order[dim1] = dim1, dim0
        size = list(self._size)
        size[dim0], size[dim1] = size[dim1], size[dim0]
        indices = wrap(self._indices_._array[order])
        return SparseTensor(indices, self._values_, size, self._coalesced and dim0 == dim1)

    def index_select(self, dim: int, index: Tensor) -> SparseTensor:  # type: ignore[valid-type]
        """The elements whose index along a sparse `dim` is among `index`, renumbered."""
        dim, wanted = wrap_dim(dim, self.ndim), index._array
        if dim >= self.sparse_dim():
            values = self._values_.index_select(dim - self.sparse_dim() + 1, index)
            size = (*self._size[:dim], len(wanted), *self._size[dim + 1 :])
            return SparseTensor(self._indices_, values, size, self._coalesced)
        matches = self._indices_._array[dim][None, :] == wanted[:, None]
        new, old = np.nonzero(matches)
        indices = self._indices_._array[:, old].copy()
        indices[dim] = new
        size = (*self._size[:dim], len(wanted), *self._size[dim + 1 :])
        return SparseTensor(wrap(indices), self._values_.index_select(0, wrap(old)), size)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            found = self.index_select(0, wrap(np.array([key % self._size[0]])))
            rest = found._size[1:]
            if self.sparse_dim() == 1:
                return found.coalesce().to_dense()[0]
            return SparseTensor(wrap(found._indices_._array[1:]), found._values_, rest)
        raise NotImplementedError(f"indexing a sparse tensor by {type(key).__name__}: use index_select, or to_dense()")

    def sum(self, dim: Any = None, *, dtype: Any = None) -> Any:
        return total(self, dim, dtype)

    def sparse_mask(self, mask: SparseTensor) -> SparseTensor:
        return sparse_mask(self.to_dense(), mask)

    def sparse_resize_(self, size: Sequence[int], sparse_dim: Any, dense_dim: Any) -> SparseTensor:
        if sparse_dim != self.sparse_dim() or dense_dim != self.dense_dim():
            raise NotImplementedError("sparse_resize_: other numbers of sparse and dense dimensions")
        self._size = tuple(size)
        return self

    def zero_(self) -> SparseTensor:
        self._indices_ = wrap(np.zeros((self.sparse_dim(), 0), np.int64))
        self._values_ = self._values_[:0].detach()
        self._coalesced = True
        return self


def from_parts(layout: devices.layout, parts: tuple) -> Sparse:
    """A sparse tensor of what `parts()` gave. Raises `ValueError` for parts that are none."""
    if layout is devices.sparse_coo and 3 <= len(parts) <= 4:
        if not all(isinstance(p, Tensor) for p in parts[:2]):
            raise ValueError("a sparse tensor is made of tensors")
        made = sparse_coo_tensor(*parts[:2], parts[2])
        made._coalesced = bool(len(parts) > 3 and parts[3]) and bool((np.diff(made._places()) > 0).all())
        return made
    if layout in (devices.sparse_csr, devices.sparse_csc) and len(parts) == 4:
        if not all(isinstance(p, Tensor) for p in parts[:3]):
            raise ValueError("a sparse tensor is made of tensors")
        return _from_parts(*parts, None, False, layout)
    raise ValueError(f"a sparse tensor of layout {layout} and {len(parts)} parts")


def _rebuilt(indices: Tensor, values: Tensor, size: tuple, coalesced: bool, requires_grad: bool) -> SparseTensor:
    return SparseTensor(indices, values.requires_grad_(requires_grad), size, coalesced)


def _summed(values: Tensor, places: np.ndarray, count: int) -> Tensor:
    """(n, *) -> (count, *): values of equal places added."""
    empty = zeros(count, *values._array.shape[1:], dtype=values.dtype)
    return empty.index_add(0, wrap(np.ascontiguousarray(places, np.int64)), values)  # type: ignore[attr-defined]


class Compressed(Sparse):
    """CSR and CSC: for each row (column) where its elements begin, and their columns (rows)."""

    _begins: Tensor
    _others: Tensor
    _layout: devices.layout

    def __new__(
        cls, begins: Tensor, others: Tensor, values: Tensor, size: Sequence[int], layout: devices.layout
    ) -> Compressed:
        made = object.__new__(cls)
        made._layout = layout
        made._adopt(values, size)
        made._begins, made._others = begins, others
        return made

    @property
    def layout(self) -> devices.layout:
        return self._layout

    @property
    def is_sparse_csr(self) -> bool:  # type: ignore[override]
        return self._layout is devices.sparse_csr

    def _by_rows(self, what: str) -> None:
        if self._layout is not devices.sparse_csr:
            raise RuntimeError(f"{what} expected sparse row compressed tensor layout but got {self._layout}")

    def parts(self) -> tuple:
        """What `from_parts` makes it of again, and PyTorch's files hold."""
        return self._begins, self._others, self._values_.detach(), self.shape

    def crow_indices(self) -> Tensor:
        """Where each row begins, and the last ends: (rows + 1)."""
        self._by_rows("crow_indices")
        return self._begins

    def col_indices(self) -> Tensor:
        """The column of each value."""
        self._by_rows("col_indices")
        return self._others

    def ccol_indices(self) -> Tensor:
        """Where each column begins, and the last ends: (columns + 1)."""
        if self._layout is not devices.sparse_csc:
            raise RuntimeError(f"ccol_indices expected sparse column compressed tensor layout but got {self._layout}")
        return self._begins

    def row_indices(self) -> Tensor:
        """The row of each value."""
        self.ccol_indices()
        return self._others

    def values(self) -> Tensor:
        """The values, row by row (column by column)."""
        return self._values_

    def _with_values(self, values: Tensor, size: Sequence[int] | None = None) -> Compressed:
        return Compressed(self._begins, self._others, values, self._size if size is None else size, self._layout)

    def _parts(self) -> list[tuple[str, Tensor]]:
        names = ("crow_indices", "col_indices") if self.is_sparse_csr else ("ccol_indices", "row_indices")
        return [(names[0], self._begins), (names[1], self._others), ("values", self._values_)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        state = (self._begins, self._others, self._values_.detach(), self._size, self._layout)
        return Compressed, state

    def to_sparse_coo(self) -> SparseTensor:
        """The same elements by their positions."""
        begins = self._begins._array
        lines = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
        both = [lines, self._others._array.astype(np.int64)]
        if not self.is_sparse_csr:
            order = np.lexsort((lines, both[1]))
            both = [both[1][order], lines[order]]
            values = self._values_.index_select(0, wrap(order))
            return SparseTensor(wrap(np.stack(both)), values, self._size, coalesced=True)
        return SparseTensor(wrap(np.stack(both)), self._values_, self._size, coalesced=True)

    def to_sparse(self, sparse_dim: Any = None, *, layout: Any = None, **options: Any) -> Any:
        coo = self.to_sparse_coo()
        return coo if layout in (None, devices.sparse_coo) else _compressed(coo, layout)

    def to_sparse_csr(self, dense_dim: Any = None) -> Compressed:
        return self if self.is_sparse_csr else _compressed(self.to_sparse_coo(), devices.sparse_csr)

    def to_sparse_csc(self, dense_dim: Any = None) -> Compressed:
        return _compressed(self.to_sparse_coo(), devices.sparse_csc) if self.is_sparse_csr else self

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        return self.to_sparse_coo().to_dense(dtype)

    def transpose(self, dim0: int, dim1: int) -> Compressed:  # type: ignore[valid-type]
        other = devices.sparse_csc if self.is_sparse_csr else devices.sparse_csr
        return Compressed(self._begins, self._others, self._values_, self._size[::-1], other)

    def sum(self, dim: Any = None, *, dtype: Any = None) -> Any:
        return total(self.to_sparse_coo(), dim, dtype)


def _compressed(x: SparseTensor, layout: devices.layout) -> Compressed:
    if x.ndim != 2 or x.sparse_dim() != 2:
        raise RuntimeError(f"to {layout}: only matrices are compressed, got {x.ndim} dimensions")
    x = x.coalesce()
    rows, columns = x._indices_._array
    values, lines, others = x._values_, rows, columns
    if layout is devices.sparse_csc:
        order = np.lexsort((rows, columns))
        lines, others, values = columns[order], rows[order], values.index_select(0, wrap(order))
    count = x._size[0] if layout is devices.sparse_csr else x._size[1]
    begins = np.concatenate([[0], np.cumsum(np.bincount(lines, minlength=count))]).astype(np.int64)
    return Compressed(wrap(begins), wrap(np.ascontiguousarray(others)), values, x._size, layout)


# Making -------------------------------------------------------------------------------------------


@operator(method=False)
def sparse_coo_tensor(
    indices: Any, values: Any = None, size: Any = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, check_invariants: bool | None = None, is_coalesced: bool | None = None,
    pin_memory: bool = False,
) -> SparseTensor:  # fmt: skip
    """A COO tensor from `indices` (sparse dims, nnz) and `values` (nnz, *dense dims).

    Args:
        indices: positions, one a column; or the size alone, for a tensor of zeros.
        values: the elements there.
        size: of the tensor; as small as the positions allow, if left out.
        dtype: of the values.
        device: the processor.
        requires_grad: whether gradients are wanted.
        check_invariants: positions are always checked.
        is_coalesced: whether positions are in order and differ.
        pin_memory: accepted; all memory is the processor's.

    Raises:
        RuntimeError: for shapes that do not fit, and positions outside the size.
    """
    from flambeau.ops.creation import as_tensor

    devices.check_device(device)
    if values is None:
        shape = tuple(indices)
        empty = zeros(0, dtype=dtype)
        made = SparseTensor(wrap(np.zeros((len(shape), 0), np.int64)), empty, shape, True)
        return made.requires_grad_(requires_grad)
    where, what = as_tensor(indices), as_tensor(values, dtype=dtype)
    if where.ndim == 1:
        where = where.reshape(1, -1) if where.numel() or what.ndim else where.reshape(0, 1)
    if where.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(where.shape)}")
    if what.ndim == 0:
        what = what.expand(where.shape[1])
    if where.shape[1] != what.shape[0]:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {where.shape[1]}, nnz from "
            f"values: {what.shape[0]}"
        )
    where = where.detach().to(dtypes.int64)
    least = [int(n) + 1 for n in where._array.max(1)] if where.shape[1] else [0] * where.shape[0]
    shape = (*least, *what.shape[1:]) if size is None else tuple(size)
    if len(shape) != where.shape[0] + what.ndim - 1:
        raise RuntimeError(
            f"number of dimensions must be sparse_dim ({where.shape[0]}) + dense_dim ({what.ndim - 1}), but got "
            f"{len(shape)}"
        )
    if where.numel() and where._array.min() < 0:
        raise RuntimeError(f"found negative index {int(where._array.min())} for dim {int(where._array.min(1).argmin())}")
    for dim, (need, have) in enumerate(zip(least, shape, strict=False)):
        if need > have:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {have} but found index {need - 1}"
            )
    if tuple(what.shape[1:]) != tuple(shape[where.shape[0] :]):
        raise RuntimeError(
            f"values has incorrect size, expected {[what.shape[0], *shape[where.shape[0] :]]}, got {list(what.shape)}"
        )
    if requires_grad and not what.requires_grad:
        what = what.detach().clone().requires_grad_()
    return SparseTensor(where, what, shape, bool(is_coalesced))


@operator(method=False)
def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, check_invariants: bool | None = None, pin_memory: bool = False,
) -> Compressed:  # fmt: skip
    """A CSR matrix: where rows begin (rows + 1), the column of each value, and the values."""
    return _from_parts(crow_indices, col_indices, values, size, dtype, requires_grad, devices.sparse_csr)


@operator(method=False)
def sparse_csc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Any = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, check_invariants: bool | None = None, pin_memory: bool = False,
) -> Compressed:  # fmt: skip
    """A CSC matrix: where columns begin (columns + 1), the row of each value, and the values."""
    return _from_parts(ccol_indices, row_indices, values, size, dtype, requires_grad, devices.sparse_csc)


@operator(method=False)
def sparse_compressed_tensor(
    compressed_indices: Any, plain_indices: Any, values: Any, size: Any = None, *, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, check_invariants: bool | None = None,
    pin_memory: bool = False,
) -> Compressed:  # fmt: skip
    """A compressed matrix of the layout `sparse_csr` or `sparse_csc`."""
    return _from_parts(compressed_indices, plain_indices, values, size, dtype, requires_grad, layout)


def _from_parts(
    begins: Any, others: Any, values: Any, size: Any, dtype: Any, requires_grad: bool, layout: Any
) -> Compressed:
    from flambeau.ops.creation import as_tensor

    if layout not in (devices.sparse_csr, devices.sparse_csc):
        raise NotImplementedError(f"compressed tensors of layout {layout}: sparse_csr and sparse_csc are there")
    b, o, v = as_tensor(begins), as_tensor(others), as_tensor(values, dtype=dtype)
    if b.ndim != 1 or o.ndim != 1 or v.ndim != 1:
        raise NotImplementedError("compressed tensors of more than two dimensions, or with dense ones")
    if o.shape != v.shape:
        raise RuntimeError(f"plain indices and values must have the same length, got {o.shape[0]} and {v.shape[0]}")
    if not b.numel() or int(b._array[0]) != 0 or int(b._array[-1]) != v.shape[0]:
        raise RuntimeError("compressed indices must begin with 0 and end with the number of values")
    if (np.diff(b._array) < 0).any():
        raise RuntimeError("compressed indices must not fall")
    if size is None:
        lines, across = b.shape[0] - 1, int(o._array.max()) + 1 if o.numel() else 0
        size = (lines, across) if layout is devices.sparse_csr else (across, lines)
    lines, across = size if layout is devices.sparse_csr else (size[1], size[0])
    if lines != b.shape[0] - 1 or (o.numel() and not 0 <= int(o._array.min()) <= int(o._array.max()) < across):
        raise RuntimeError(f"the indices do not fit the size {tuple(size)}")
    if requires_grad and not v.requires_grad:
        v = v.detach().clone().requires_grad_()
    return Compressed(b.detach(), o.detach(), v, size, layout)


@operator(function_name=False)
def to_sparse(
    self: Tensor, sparse_dim: int | None = None, *, layout: Any = None, blocksize: Any = None, dense_dim: Any = None
) -> Any:
    """The elements that are not zero: COO, or the `layout` asked for.

    `sparse_dim`: how many dimensions are sparse; those behind them stay dense.
    """
    if layout in (devices.sparse_csr, devices.sparse_csc):
        return _compressed(to_sparse(self), layout)
    if layout not in (None, devices.sparse_coo):
        raise NotImplementedError(f"to_sparse(layout={layout}): sparse_coo, sparse_csr and sparse_csc are there")
    count = self.ndim if sparse_dim is None else int(sparse_dim)
    if not 0 <= count <= self.ndim or (self.ndim and not count):
        raise RuntimeError(f"sparse_dim argument must be in >0 and <={self.ndim} range, but got {count}")
    need_value("to_sparse()")
    array = self._array
    kept = (array != 0).any(axis=tuple(range(count, self.ndim))) if count < self.ndim else array != 0
    where = np.stack(np.nonzero(np.atleast_1d(kept))) if self.ndim else np.zeros((0, int(kept)), np.int64)
    values = self[tuple(wrap(row) for row in where)] if self.ndim else self.reshape(1)[: int(kept)]
    return SparseTensor(wrap(where.astype(np.int64)), values, self.shape, coalesced=True)


@operator(function_name=False)
def to_sparse_coo(self: Tensor) -> SparseTensor:
    """See `to_sparse`."""
    return to_sparse(self)


@operator(function_name=False)
def to_sparse_csr(self: Tensor, dense_dim: int | None = None) -> Compressed:
    """A matrix with its rows compressed."""
    return to_sparse(self, layout=devices.sparse_csr)


@operator(function_name=False)
def to_sparse_csc(self: Tensor, dense_dim: int | None = None) -> Compressed:
    """A matrix with its columns compressed."""
    return to_sparse(self, layout=devices.sparse_csc)


@operator(function_name=False)
def sparse_mask(self: Tensor, mask: SparseTensor) -> SparseTensor:
    """The elements at the positions of `mask`."""
    if not isinstance(mask, SparseTensor):
        raise RuntimeError("sparse_mask: the mask must be a COO tensor")
    if tuple(self.shape) != tuple(mask.shape):
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(self.shape)} but mask has size "
            f"{list(mask.shape)}"
        )
    values = self[tuple(mask._indices_.unbind(0))]
    return SparseTensor(mask._indices_, values, mask._size, mask._coalesced)


# Arithmetic ---------------------------------------------------------------------------------------


def is_sparse(x: Any) -> bool:
    """Whether `x` is a sparse tensor of any layout."""
    return isinstance(x, Sparse)


def add(a: Any, b: Any) -> Any:
    """Sparse with sparse gives sparse, with dense dense."""
    if not isinstance(a, Sparse):
        a, b = b, a
    if not isinstance(b, Tensor):
        raise NotImplementedError("adding a number to a sparse tensor would make all of it different from zero")
    if not isinstance(b, Sparse):
        return a.to_dense() + b
    if tuple(a.shape) != tuple(b.shape):
        raise RuntimeError(
            f"add: expected sizes of 'self' and 'other' to match, but {list(a.shape)} != {list(b.shape)}"
        )
    layout = a.layout
    x, y = a.to_sparse(), b.to_sparse()
    indices = wrap(np.concatenate([x._indices_._array, y._indices_._array], 1))
    joined = SparseTensor(indices, cat([x._values_, y._values_]), x._size)
    if layout is not devices.sparse_coo:
        return _compressed(joined, layout)
    return joined.coalesce() if x._coalesced and y._coalesced else joined


def multiply(a: Any, b: Any) -> Any:
    """With a number, or element by element where both are there."""
    if not isinstance(a, Sparse):
        a, b = b, a
    if not isinstance(b, Tensor) or (not isinstance(b, Sparse) and not b.ndim):
        return a._with_values(a._values_ * b)
    layout, x = a.layout, a.to_sparse().coalesce()
    if not isinstance(b, Sparse):
        full = b.expand(x.shape)
        found = x._with_values(x._values_ * full[tuple(x._indices_.unbind(0))])
    else:
        y = b.to_sparse().coalesce()
        _, mine, theirs = np.intersect1d(x._places(), y._places(), True, True)
        values = x._values_.index_select(0, wrap(mine)) * y._values_.index_select(0, wrap(theirs))
        found = SparseTensor(wrap(x._indices_._array[:, mine]), values, x._size, coalesced=True)
    return found if layout is devices.sparse_coo else _compressed(found, layout)


def matmul(a: Any, b: Any) -> Any:
    """(m, k) x (k, n): sparse x dense and dense x sparse are dense, sparse x sparse is sparse.

    Raises `RuntimeError` for shapes that do not fit.
    """
    if a.ndim != 2 or b.ndim not in (1, 2):
        raise RuntimeError(f"matmul of sparse tensors takes matrices, got {a.ndim}D and {b.ndim}D tensors")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
            f"{b.shape[0]}x{b.shape[1] if b.ndim == 2 else 1})"
        )
    if isinstance(a, Sparse) and isinstance(b, Sparse):
        return _sparse_times_sparse(a, b)
    if isinstance(b, Sparse):
        return matmul(b.t(), a.t()).t()
    if b.ndim == 1:
        return matmul(a, b.unsqueeze(1)).squeeze(1)
    x = a.to_sparse()
    if x.dtype is not b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {x.dtype} != {b.dtype}")
    rows, columns = x._indices_._array
    products = x._values_.unsqueeze(1) * b.index_select(0, wrap(np.ascontiguousarray(columns)))
    return _summed(products, rows, a.shape[0])


def _sparse_times_sparse(a: Sparse, b: Sparse) -> Any:
    """Each element of `a` meets the row of `b` that its column names."""
    layout, x, y = a.layout, a.to_sparse(), b.to_sparse_csr()
    rows, columns = x._indices_._array
    begins = y._begins._array
    counts = np.diff(begins)[columns]
    left = np.repeat(np.arange(len(columns)), counts)
    within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    right = begins[columns][left] + within
    values = x._values_.index_select(0, wrap(left)) * y._values_.index_select(0, wrap(right))
    indices = wrap(np.stack([rows[left], y._others._array[right]]).astype(np.int64))
    found = SparseTensor(indices, values, (a.shape[0], b.shape[1])).coalesce()
    return found if layout is devices.sparse_coo else _compressed(found, layout)


def total(x: SparseTensor, dim: Any = None, dtype: Any = None) -> Any:
    """The sum over all dimensions, a number; or over some: dense where no sparse dimension is left."""
    if dtype is not None:
        x = x.to(dtype)
    if dim is None:
        return x._values_.sum()
    dims = {wrap_dim(d, x.ndim) for d in ((dim,) if isinstance(dim, int) else dim)}
    sparse = x.sparse_dim()
    values = x._values_
    dense = [d - sparse + 1 for d in dims if d >= sparse]
    if dense:
        values = values.sum(dense)
    kept = [d for d in range(sparse) if d not in dims]
    size = tuple(n for d, n in enumerate(x._size) if d not in dims)
    if not kept:
        return values.sum(0)
    return SparseTensor(wrap(x._indices_._array[kept]), values, size, x._coalesced and len(kept) == sparse)


def softmax(x: SparseTensor, dim: int, logarithm: bool = False) -> SparseTensor:
    """Softmax along a sparse dimension, over the elements that are there."""
    x = x.coalesce()
    dim = wrap_dim(dim, x.ndim)
    if dim >= x.sparse_dim():
        values = x._values_.log_softmax(dim - x.sparse_dim() + 1) if logarithm else x._values_.softmax(dim - x.sparse_dim() + 1)
        return x._with_values(values)
    place = np.zeros(x._nnz(), np.int64)
    for d, (row, n) in enumerate(zip(x._indices_._array, x._size, strict=False)):
        if d != dim:
            place = place * n + row
    _, group = np.unique(place, return_inverse=True)
    group = group.reshape(-1)
    count = int(group.max()) + 1 if len(group) else 0
    values = x._values_
    top = np.full((count, *values._array.shape[1:]), -np.inf, values._array.dtype)
    np.maximum.at(top, group, values.detach()._array)
    at = wrap(group)
    less = values - wrap(top).index_select(0, at)
    sums = _summed(less.exp(), group, count)
    if logarithm:
        return x._with_values(less - sums.log().index_select(0, at))
    return x._with_values(less.exp() / sums.index_select(0, at))


#: Functions that keep zeros: what a sparse tensor does to its values.
ZERO_KEEPING = (
    "abs", "asin", "asinh", "atan", "atanh", "ceil", "deg2rad", "erf", "erfinv", "expm1", "floor", "log1p", "rad2deg",
    "relu", "round", "sgn", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "positive",
)  # fmt: skip


def _on_values(name: str) -> Callable[..., Any]:
    def call(self: Sparse, *args: Any) -> Any:
        x = self.coalesce() if isinstance(self, SparseTensor) else self
        return x._with_values(getattr(x._values_, name)(*args))

    call.__name__ = name
    call.__doc__ = f"`{name}` of the values."
    return call


for _name in ZERO_KEEPING:
    setattr(Sparse, _name, _on_values(_name))


def _power(self: Sparse, exponent: Any) -> Any:
    if not isinstance(exponent, (int, float)) or exponent <= 0:
        raise NotImplementedError("a power of a sparse tensor must be a positive number")
    return _on_values("pow")(self, exponent)


Sparse.pow = Sparse.__pow__ = _power  # type: ignore[attr-defined]


def _transposed(x: Any, dim0: int, dim1: int) -> Any:
    return x.transpose(dim0, dim1)


def _total(x: Any, dim: Any = None, dtype: Any = None) -> Any:
    return total(x.to_sparse(), dim, dtype)


SPARSE_FORMS.update(
    {name: _on_values(name) for name in ZERO_KEEPING},
    neg=lambda x: -x, add=add, sub=lambda a, b: add(a, -b), mul=multiply, div=lambda a, b: a / b, matmul=matmul,
    transpose=_transposed, sum=_total,
)  # fmt: skip


def add_to_rows(x: Tensor, sparse: SparseTensor, alpha: Any = 1) -> Tensor:
    """`x += alpha * sparse` in place, at the sparse tensor's positions only."""
    if sparse.sparse_dim() == 1:
        return x.index_add_(0, sparse._indices_[0], sparse._values_, alpha=alpha)  # type: ignore[attr-defined]
    return x.index_put_(tuple(sparse._indices_.unbind(0)), sparse._values_ * alpha, accumulate=True)  # type: ignore[attr-defined]
