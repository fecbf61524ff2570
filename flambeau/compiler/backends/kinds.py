"""How a node runs on the CPU: as what kernel, as a view, or on the host."""

from __future__ import annotations

import math

from flambeau.compiler.backends import attentions, families, indexing, sorting  # noqa: F401 (they register families)
from flambeau.compiler.backends.expressions import REDUCTIONS, axes_of, can_lower
from flambeau.compiler.graph import Node, Value
from flambeau.kernels import slabs
from flambeau.kernels.target import host

_FEWEST_SLABS = 8  # that threads can share
_SHORTEST_SLAB = 64
_OPERANDS = 4  # of a slab that should be near at a time
_COPIES = {"view_put", "cat", "constant_pad_nd", "slice_backward"}


def kind_of(node: Node) -> str:
    """How a node runs: "view", "pointwise", "reduce", "matmul", "copies", "family" or
    "host"."""
    primitive, values = node.primitive, node.values
    out = node.outputs[0]
    if any(v.dtype.kind in "cO" or v.size == 0 for v in (*values, *node.outputs)):
        return "host"
    if primitive.view:
        # `as_strided` speaks of row-major memory, which the value of the moment need not lie in.
        by_strides = out.dtype == values[0].dtype and primitive.name != "as_strided"
        return "view" if by_strides else "host"
    if primitive.pointwise:
        return "pointwise" if values and not can_lower(node) else "host"
    if primitive.name in REDUCTIONS:
        return "reduce" if axes_of(node) and _is_number(values[0]) else "host"
    if primitive.name == "mm" and out.dtype.kind in "fV":
        return "matmul"
    if primitive.name in _COPIES:
        return "copies"
    family = getattr(primitive.lowering, "family", None)
    return "family" if family in families.EMITTERS else "host"


def takes_epilogue(node: Node, results: int) -> bool:
    """Whether the kernel of a node can finish its elements by a pointwise expression."""
    if node.outputs[0].dtype.itemsize < 4:
        return False
    if node.primitive.name == "mm":
        return results == 1 and kind_of(node) == "matmul"
    sums = node.primitive.name in ("convolution", "convolution_input")
    return sums and kind_of(node) == "family" and len(node.outputs[0].shape) == 4


def slab_axes(node: Node) -> tuple[int, ...] | None:
    """The dimensions over which a reduction may be part of a slab (see `kernels/slabs.py`), or `None`."""
    x, out = node.values[0], node.outputs[0]
    axes, shape = tuple(sorted(axes_of(node))), x.shape
    if REDUCTIONS[node.primitive.name] not in slabs.OPS or x.dtype != out.dtype or not axes:
        return None
    elements = math.prod(shape[d] for d in axes)
    in_order = len(shape) - 1 in axes or (len(shape) == 4 and 0 in axes)  # or samples lie side by side
    many = math.prod(shape) // max(elements, 1) >= _FEWEST_SLABS and elements >= _SHORTEST_SLAB
    near = slabs.fits(host(), elements, x.dtype.itemsize, _OPERANDS)
    return axes if in_order and many and near else None


def _is_number(value: Value) -> bool:
    return value.dtype.kind in "fViub"
