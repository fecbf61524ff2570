"""Symbols: what traced tensors hold instead of arrays.

A `Symbol` names a `Storage`, the program's idea of a piece of memory, and the view steps that lead to the part it
shows. Writing in place gives the storage a new value; reading takes the steps from the value that it has by then.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np

from flambeau.compiler.graph import Value
from flambeau.compiler.views import Step, contiguous_strides
from flambeau.tensor.tracing import Untraceable


class Storage:
    """Memory of the traced program: its present value, and what views of it were already read."""

    __slots__ = ("known", "source", "strides", "value", "written")

    def __init__(self, value: Value, source: int = -1, strides: tuple[int, ...] | None = None):
        self.value = value
        self.strides = strides  # of new memory, if they are not row-major
        self.source = source  # the input that this memory is, or -1
        self.written = False
        self.known: dict[Hashable, Value] = {}

    def set(self, value: Value) -> None:
        self.value = value
        self.written = True
        self.known.clear()


class Symbol:
    """What a traced tensor holds instead of an array."""

    __slots__ = ("__weakref__", "dtype", "offset", "shape", "steps", "storage", "strides")

    def __init__(
        self,
        storage: Storage,
        shape: tuple[int, ...],
        dtype: np.dtype,
        strides: tuple[int, ...] | None = None,
        steps: tuple[Step, ...] = (),
    ):
        self.storage, self.steps = storage, steps
        self.offset = 0  # bytes from the first element of the memory
        self.shape, self.dtype = tuple(shape), dtype
        self.strides = (
            contiguous_strides(self.shape, dtype.itemsize) if strides is None else strides
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise Untraceable("the values of a tensor as a NumPy array")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Untraceable(f"the array's attribute {name!r}")

    def _refuse(self, *args: Any) -> Any:
        raise Untraceable("arithmetic on the values of a tensor outside its operators")

    __getitem__ = __setitem__ = __add__ = __sub__ = __mul__ = __truediv__ = _refuse
    __iadd__ = __radd__ = __rsub__ = __rmul__ = __lt__ = __gt__ = _refuse
