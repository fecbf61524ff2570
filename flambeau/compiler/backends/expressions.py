"""From a primitive's element expression to the nodes of a kernel.

The op table writes an element's computation as `expression(k, *elements)`; the `Builder` is that `k`.
It gives what the kernels' expressions (`kernels/expression.py`) are made of, with a dtype on each node,
and rounds half-width results after every operation, as eager does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau.core.dtypes import FROM_NUMPY
from flambeau.ops.pointwise import number_as

BOOL = np.dtype(np.bool_)

#: Reductions by name, and what the kernels call them.
REDUCTIONS = {
    "sum": "sum", "prod": "prod", "amax": "max", "amin": "min", "all": "all", "any": "any",
    "argmax": "argmax", "argmin": "argmin",
}  # fmt: skip


@dataclass(frozen=True)
class Element:
    """A node of the expression, and its dtype."""

    position: int
    dtype: np.dtype


class Builder:
    """Collects the nodes of one expression. Equal nodes are one."""

    def __init__(self) -> None:
        self.nodes: list[tuple] = []
        self._known: dict[tuple, int] = {}

    def add_node(self, *node: Any, dtype: np.dtype) -> Element:
        position = self._known.get(node)
        if position is None:
            position = self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return Element(position, dtype)

    def input(self, number: int, dtype: np.dtype) -> Element:
        return self.add_node("input", number, dtype=dtype)

    def number(self, value: Any, dtype: np.dtype) -> Element:
        held = number_as(value, FROM_NUMPY[dtype])
        return self.add_node("constant", held, dtype.name, dtype=dtype)

    def operation(
        self, name: str, *operands: Element, dtype: np.dtype | None = None
    ) -> Element:
        dtype = operands[-1].dtype if dtype is None else dtype
        made = self.add_node(name, *(o.position for o in operands), dtype=dtype)
        if dtype.itemsize == 2 and dtype.kind in "fV":
            made = self.add_node("convert", made.position, dtype.name, dtype=dtype)
        return made

    # What expressions of the op table call ------------------------------------------------------

    def const(self, number: Any, like: Element) -> Element:
        return self.number(number, like.dtype)

    def cast(self, x: Element, dtype: Any) -> Element:
        target = np.dtype(getattr(dtype, "numpy", dtype))
        if target == x.dtype:
            return x
        if target.kind == "u" and x.dtype.kind in "fV":
            raise NotImplementedError("a cast of floating-point numbers to unsigned integers")
        if target == BOOL:
            return self.operation("ne", x, self.number(0, x.dtype), dtype=BOOL)
        return self.add_node("convert", x.position, target.name, dtype=target)

    def select(self, condition: Element, x: Element, y: Element) -> Element:
        return self.operation("where", condition, x, y)

    def clamp(self, x: Element, low: Any, high: Any) -> Element:
        if low is not None:
            x = self.operation("maximum", x, self.number(low, x.dtype))
        return x if high is None else self.operation("minimum", x, self.number(high, x.dtype))

    def pow(self, x: Element, y: Element) -> Element:
        kind, *content = self.nodes[y.position]
        if kind == "constant" and x.dtype.kind == "f":
            exponent = content[0]
            if exponent in (2, 3):
                return self.operation("square" if exponent == 2 else "cube", x)
            if exponent == 0.5:
                return self.operation("sqrt", x)
            if exponent == -1:
                return self.operation("reciprocal", x)
        self._floating("pow", x)
        return self.operation("pow", x, y)

    def rint(self, x: Element) -> Element:
        return self._rounded("round", x)

    def floor(self, x: Element) -> Element:
        return self._rounded("floor", x)

    def ceil(self, x: Element) -> Element:
        return self._rounded("ceil", x)

    def trunc(self, x: Element) -> Element:
        return self._rounded("trunc", x)

    def _rounded(self, name: str, x: Element) -> Element:
        return x if x.dtype.kind in "iub" else self.operation(name, x)

    def fmax(self, x: Element, y: Element) -> Element:
        return self._skipping_nan("maximum", x, y)

    def fmin(self, x: Element, y: Element) -> Element:
        return self._skipping_nan("minimum", x, y)

    def _skipping_nan(self, name: str, x: Element, y: Element) -> Element:
        best = self.operation(name, x, y)
        if x.dtype.kind not in "fV":
            return best
        best = self.select(self.isnan(y), x, best)
        return self.select(self.isnan(x), y, best)

    def isnan(self, x: Element) -> Element:
        self._floating("isnan", x)
        return self.operation("is_nan", x, dtype=BOOL)

    def isinf(self, x: Element) -> Element:
        return self._against_infinity("eq", x)

    def isfinite(self, x: Element) -> Element:
        return self._against_infinity("lt", x)

    def _against_infinity(self, name: str, x: Element) -> Element:
        self._floating(name, x)
        size = self.operation("abs", x)
        return self.operation(name, size, self.number(float("inf"), x.dtype), dtype=BOOL)

    def _floating(self, name: str, x: Element) -> None:
        if x.dtype.kind not in "fV":
            raise NotImplementedError(f"{name} of {x.dtype}")

    def __getattr__(self, name: str) -> Callable[..., Element]:
        if name in _COMPARISONS:
            return lambda x, y: self.operation(name, x, y, dtype=BOOL)
        if name in _LOGIC:
            return lambda *operands: self.operation(
                _LOGIC[name], *(self.cast(o, BOOL) for o in operands)
            )
        if name in _BITS:
            return lambda *operands: self.operation(_BITS[name], *operands)
        if name in _ARITHMETIC:
            return lambda *operands: self._arithmetic(name, operands)
        if name in _FLOATING:
            return lambda *operands: self._floating_operation(name, operands)
        raise NotImplementedError(f"kernels have no element operation {name!r}")

    def _arithmetic(self, name: str, operands: tuple[Element, ...]) -> Element:
        if operands[0].dtype == BOOL:
            raise NotImplementedError(f"{name} of bool")
        return self.operation(name, *operands)

    def _floating_operation(self, name: str, operands: tuple[Element, ...]) -> Element:
        self._floating(name, operands[0])
        return self.operation(name, *operands)


_COMPARISONS = {"lt", "le", "gt", "ge", "eq", "ne"}
_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "not"}
_BITS = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor", "bitwise_not": "not"}
_ARITHMETIC = {"add", "sub", "mul", "neg", "maximum", "minimum", "sign", "abs"}
_FLOATING = {
    "div", "reciprocal", "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin",
    "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2",
    "sigmoid", "erf", "erfc", "fmod", "remainder",
}  # fmt: skip


def can_lower(node: Any) -> str:
    """Why a pointwise node has no kernel, or "" if it has one."""
    builder = Builder()
    try:
        elements = [
            builder.input(k, x.dtype) if hasattr(x, "dtype") and hasattr(x, "shape") and x.dtype.kind != "c"
            else x
            for k, x in enumerate(node.inputs)
        ]  # fmt: skip
        add_primitive(builder, node, elements)
    except NotImplementedError as e:
        return str(e)
    except (TypeError, KeyError) as e:
        return f"its expression: {e}"
    return ""


def add_primitive(builder: Builder, node: Any, operands: list[Any]) -> Element:
    """The element of a pointwise node, from those (or the numbers) of its inputs."""
    kinds = [o.dtype for o in operands if isinstance(o, Element)]
    if not kinds or any(k.kind in "cO" for k in kinds) or node.outputs[0].dtype.kind in "cO":
        raise NotImplementedError("complex numbers or objects")
    elements = [o if isinstance(o, Element) else builder.number(o, kinds[0]) for o in operands]
    result = node.primitive.lowering.expression(builder, *elements, **node.attributes)
    wanted = node.outputs[0].dtype
    return result if result.dtype == wanted else builder.cast(result, wanted)


def axes_of(node: Any) -> tuple[int, ...]:
    """The dimensions that a reduction takes away."""
    rank = len(node.values[0].shape)
    if "dims" in node.attributes:
        dims = node.attributes["dims"]
        return tuple(range(rank)) if dims is None else tuple(dims)
    dim = node.attributes["dim"]
    return tuple(range(rank)) if dim is None else (dim,)


def add_reduction(builder: Builder, node: Any, element: Element) -> Element:
    """A reduction as a node of a slab's expression."""
    op, dtype = REDUCTIONS[node.primitive.name], node.outputs[0].dtype
    if op in ("any", "all"):
        element = builder.cast(element, BOOL)
    made = builder.add_node("reduce", op, element.position, dtype=dtype)
    if dtype.itemsize == 2 and dtype.kind in "fV":
        made = builder.add_node("convert", made.position, dtype.name, dtype=dtype)
    return made
