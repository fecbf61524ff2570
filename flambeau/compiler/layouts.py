"""How NumPy lays out results that are not in row-major order: traced programs give them the same strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.compiler.graph import Node, Value
from flambeau.compiler.symbols import Symbol
from flambeau.compiler.views import contiguous_strides, stand_in
from flambeau.tensor.tensor import Tensor


def is_dense(symbol: Symbol) -> bool:
    step = symbol.dtype.itemsize
    for stride, size in sorted(zip(symbol.strides, symbol.shape, strict=True)):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def strides_of(node: Node, inputs: Sequence[Any]) -> tuple[int, ...] | None:
    """The strides that NumPy gives a result, where they may not be row-major ones."""
    arrays = [x._array for x in inputs if isinstance(x, Tensor)]
    out, attributes = node.outputs[0], node.attributes
    if all(
        tuple(a.strides) == contiguous_strides(tuple(a.shape), a.dtype.itemsize) for a in arrays
    ):
        return None
    if node.primitive.pointwise and attributes.get("order") != "C":
        return _allocated(
            [stand_in(tuple(a.shape), tuple(a.strides), a.dtype) for a in arrays], out
        )
    if node.primitive.name == "cat":
        return _allocated([stand_in(out.shape, tuple(a.strides), a.dtype) for a in arrays], out)
    if (
        getattr(node.primitive.lowering, "family", "") == "reduce"
        and attributes["dims"] is not None
    ):
        (a,) = arrays
        dims = attributes["dims"]
        if attributes["keepdim"]:
            shape = tuple(1 if d in dims else n for d, n in enumerate(a.shape))
            return _allocated([stand_in(shape, tuple(a.strides), a.dtype)], out)
        kept = [d for d in range(len(a.shape)) if d not in dims]
        part = stand_in(
            tuple(a.shape[d] for d in kept), tuple(a.strides[d] for d in kept), a.dtype
        )
        return _allocated([part], out)
    return None


def _allocated(arrays: Sequence[np.ndarray], out: Value) -> tuple[int, ...] | None:
    """The strides of what NumPy allocates for a result of these arrays."""
    if len(out.shape) < 2:
        return None
    iterator = np.nditer(
        [*arrays, None],
        ["zerosize_ok", "refs_ok"],
        [*(["readonly"] for _ in arrays), ["writeonly", "allocate"]],
        op_dtypes=[*(a.dtype for a in arrays), out.dtype],
        order="K",
    )
    made = iterator.operands[-1]
    return made.strides if made.shape == out.shape else None


def is_in_order(symbol: Symbol) -> bool:
    """Whether memory is in row-major order, as far as it can be told."""
    wanted = contiguous_strides(symbol.shape, symbol.dtype.itemsize)
    return symbol.size < 2 or all(
        s == w for n, s, w in zip(symbol.shape, symbol.strides, wanted, strict=True) if n > 1
    )
