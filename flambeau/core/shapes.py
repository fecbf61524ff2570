"""Sizes and the arithmetic of shapes: broadcasting, dimension numbers, inferred sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

Shape = tuple[int, ...]


class Size(tuple):
    """The shape of a tensor: a tuple of ints that prints as PyTorch's."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Iterable[int]) -> Size:  # type: ignore[override]
        return Size((*self, *other))

    def __reduce__(self) -> tuple:
        return Size, (tuple(self),)


def broadcast_shapes(*shapes: Sequence[int]) -> Shape:
    """The common shape that all `shapes` broadcast to. Raises `RuntimeError` if there is none."""
    if len(shapes) == 2 and shapes[0] == shapes[1]:
        return tuple(shapes[0])
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, rank - len(shape)):
            if size == 1 or size == result[i]:
                continue
            if result[i] != 1:
                raise RuntimeError(
                    f"The size of tensor a ({result[i]}) must match the size of tensor b ({size}) "
                    f"at non-singleton dimension {i}"
                )
            result[i] = size
    return tuple(result)


def wrap_dim(dim: int, rank: int) -> int:
    """The dimension `dim` counted from the front. A 0-dim tensor takes -1 and 0. Raises `IndexError`."""
    bound = rank or 1
    if not -bound <= dim < bound:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
        )
    return dim + bound if dim < 0 else dim


def wrap_dims(dims: int | Sequence[int] | None, rank: int) -> Shape:
    """Several dimensions, counted from the front; `None` or none at all means every one."""
    if dims is None:
        return tuple(range(rank))
    if isinstance(dims, int):
        return (wrap_dim(dims, rank),) if rank else ()
    if hasattr(dims, "__index__"):  # a whole number of NumPy's
        return wrap_dims(int(dims), rank)
    wrapped = tuple(wrap_dim(int(d), rank) for d in dims)
    if len(set(wrapped)) < len(wrapped):
        repeated = next(d for d in wrapped if wrapped.count(d) > 1)
        raise RuntimeError(f"dim {repeated} appears multiple times in the list of dims")
    if not wrapped:
        return tuple(range(rank))
    return wrapped if rank else ()


def reduced_shape(shape: Sequence[int], dims: Sequence[int], keepdim: bool) -> Shape:
    """`shape` with `dims` removed, or set to 1 with `keepdim`."""
    if keepdim:
        return tuple(1 if i in dims else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in dims)


def infer_size(shape: Sequence[int], numel: int) -> Shape:
    """`shape` with a -1 replaced so that it holds `numel` elements. Raises `RuntimeError`."""
    known, unknown = 1, None
    for i, n in enumerate(shape):
        if n == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = i
        elif n < 0:
            raise RuntimeError(
                f"invalid shape dimension {n} at index {i} of shape {[int(m) for m in shape]}"
            )
        else:
            known *= n
    wanted = tuple(int(n) for n in shape)
    if unknown is None:
        if known != numel:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        return wanted
    if known == 0:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
            "dimension size -1 can be any value and is ambiguous"
        )
    if numel % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return wanted[:unknown] + (numel // known,) + wanted[unknown + 1 :]


def contiguous_strides(shape: Sequence[int]) -> Shape:
    """Row-major strides in elements, as PyTorch computes them (a size of 0 counts as 1)."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def as_shape(sizes: Sequence[Any]) -> Shape:
    """A shape from the arguments of a call that takes `f(2, 3)` or `f((2, 3))`."""
    if len(sizes) == 1 and not isinstance(sizes[0], int) and hasattr(sizes[0], "__iter__"):
        sizes = sizes[0]
    return tuple(map(int, sizes))


def pair(value: int | Sequence[int], count: int, name: str) -> Shape:
    """`value` as `count` ints: one int stands for all. Raises `RuntimeError` on another length."""
    if isinstance(value, int):
        return (value,) * count
    if hasattr(value, "__index__"):  # a whole number of NumPy's
        return (int(value),) * count
    value = tuple(int(v) for v in value)
    if len(value) == 1:
        return value * count
    if len(value) != count:
        raise RuntimeError(f"{name} must be an int or {count} ints, got {list(value)}")
    return value
