"""From the `Elementwise` lowerings of operators to the expressions of the kernel floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core.dtypes import FROM_NUMPY, dtype
from flambeau.kernels.expression import OPERATIONS

#: Where an operator's name is not the kernel floor's.
_RENAMED = {
    "rint": "round",
    "sgn": "sign",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "bitwise_not": "not",
    "isnan": "is_nan",
}


class Unsupported(Exception):
    """The kernel floor cannot compute this expression; the operator's own computation can."""


class Expression:
    """Grows a fused expression; elements are positions in `nodes`. Its methods are the scalar
    operations that a lowering asks for.
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[Any, ...]] = []
        self.types: list[np.dtype] = []
        self._known: dict[tuple, int] = {}

    def add_node(self, node: tuple[Any, ...], type: np.dtype) -> int:
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = len(self.nodes)
            self.nodes.append(node)
            self.types.append(np.dtype(type))
        return found

    def input(self, number: int, type: np.dtype) -> int:
        if type.kind == "c":
            raise Unsupported("complex numbers")
        return self.add_node(("input", number), type)

    def const(self, number: Any, like: int) -> int:
        return self.constant(number, self.types[like])

    def constant(self, number: Any, type: np.dtype) -> int:
        if isinstance(number, complex):
            raise Unsupported("complex numbers")
        if type.kind == "b":
            number = bool(number)
        elif type.kind in "iu":
            number = int(number)
        else:
            number = float(number)
        return self.add_node(("constant", number, type.name), type)

    def cast(self, x: int, to: dtype) -> int:
        wanted = to.numpy
        have = self.types[x]
        if wanted == have:
            return x
        if wanted.kind == "c":
            raise Unsupported("complex numbers")
        if wanted.kind == "b":
            return self.ne(x, self.const(0, x))
        return self.add_node(("convert", x, wanted.name), wanted)

    def select(self, condition: int, a: int, b: int) -> int:
        return self.add_node(("where", self.truth(condition), a, b), self.types[a])

    def truth(self, x: int) -> int:
        return x if self.types[x].kind == "b" else self.ne(x, self.const(0, x))

    def clamp(self, x: int, low: Any, high: Any) -> int:
        if low is not None:
            x = self.maximum(x, self.const(low, x))
        return x if high is None else self.minimum(x, self.const(high, x))

    def logical_and(self, a: int, b: int) -> int:
        return self.binary("and", self.truth(a), self.truth(b))

    def logical_or(self, a: int, b: int) -> int:
        return self.binary("or", self.truth(a), self.truth(b))

    def logical_xor(self, a: int, b: int) -> int:
        return self.binary("xor", self.truth(a), self.truth(b))

    def logical_not(self, a: int) -> int:
        return self.eq(a, self.const(0, a)) if self.types[a].kind != "b" else self.binary("not", a)

    def trunc_divide(self, a: int, b: int) -> int:
        if self.types[a].kind != "f":
            raise Unsupported("division of integers that rounds to zero")
        return self.binary("trunc", self.binary("div", a, b))

    def pow(self, x: int, y: int) -> int:
        kind, *operands = self.nodes[y]
        if kind == "constant" and operands[0] in (2, 3):
            return self.binary("square" if operands[0] == 2 else "cube", x)
        if kind == "constant" and operands[0] == 1:
            return x
        if kind == "constant" and operands[0] == 0.5 and self.types[x].kind == "f":
            return self.binary("sqrt", x)
        if kind == "constant" and operands[0] == -1 and self.types[x].kind == "f":
            return self.binary("reciprocal", x)
        if self.types[x].kind != "f":
            raise Unsupported("powers of integers")
        return self.binary("pow", x, y)

    def compare(self, name: str, a: int, b: int) -> int:
        return self.add_node((name, a, b), np.dtype(np.bool_))

    def binary(self, name: str, *operands: int) -> int:
        """Any operation of the kernel floor whose result has its first operand's type."""
        return self.add_node((name, *operands), self.types[operands[0]])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kernel_name = _RENAMED.get(name, name)
        if kernel_name not in OPERATIONS:
            raise Unsupported(f"the operation {name}")
        if kernel_name in ("lt", "le", "gt", "ge", "eq", "ne"):
            return lambda a, b: self.compare(kernel_name, a, b)
        if kernel_name == "is_nan":
            return lambda a: self.add_node(("is_nan", a), np.dtype(np.bool_))
        if kernel_name in ("floor_divide", "remainder", "fmod"):
            return lambda a, b: self._division(kernel_name, a, b)
        if kernel_name in ("floor", "ceil", "trunc", "round"):
            return lambda a: a if self.types[a].kind in "iub" else self.binary(kernel_name, a)
        return lambda *operands: self._checked(kernel_name, *operands)

    def _division(self, name: str, a: int, b: int) -> int:
        if self.types[a].kind != "f":
            raise Unsupported("integer division, which must refuse zero")
        if name == "floor_divide":
            raise Unsupported("floor division of infinities")
        return self.binary(name, a, b)

    def _checked(self, name: str, *operands: int) -> int:
        kinds = {self.types[o].kind for o in operands}
        if kinds == {"b"} and name in ("add", "maximum"):
            return self.binary("or", *operands)
        if kinds == {"b"} and name in ("mul", "minimum"):
            return self.binary("and", *operands)
        if kinds == {"b"} and name not in ("and", "or", "xor", "not"):
            raise Unsupported(f"{name} of bools")
        return self.binary(name, *operands)


def lower(expression: Expression, node: Any, operands: list[Any]) -> int:
    """The expression of one pointwise node over elements (or numbers) `operands`."""
    types = [expression.types[o] for o in operands if isinstance(o, _Position)]
    if not types:
        raise Unsupported("an operator of numbers alone")
    elements = [
        int(o) if isinstance(o, _Position) else expression.constant(o, types[-1]) for o in operands
    ]
    result = node.primitive.lowering.expression(expression, *elements, **node.attributes)
    wanted = node.outputs[0].dtype
    if expression.types[result] != wanted:
        result = expression.cast(result, FROM_NUMPY[wanted])
    return result


class _Position(int):
    """A place in an expression, told apart from a number that stands beside it."""


def position(at: int) -> int:
    return _Position(at)
