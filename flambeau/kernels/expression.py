"""Pointwise expressions: what a fused kernel computes at each element.

An expression is a tuple of nodes, each a tuple that names its operands by their position:

    nodes = (
        ("input", 0),                     # 0: the element of the first input
        ("input", 1),                     # 1
        ("mul", 0, 1),                    # 2
        ("constant", 0.5, "float32"),     # 3
        ("add", 2, 3),                    # 4
        ("relu", 4),                      # 5
    )

Nodes are plain data: they hash, compare and print. Operands of an operation have one type;
insert `("convert", node, "float32")` where they differ. Half-width floats are computed in f32,
and converting to one rounds to what it can hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flambeau.kernels import mathfn
from flambeau.kernels.element import BF16, BOOL, F16, Element, element_of
from flambeau.kernels.language import Function, Value
from flambeau.kernels.target import Target

#: Operations of an expression of which the processor has many in flight at once.
_SHORT = 10

Node = tuple[Any, ...]
Nodes = tuple[Node, ...]


def evaluate(
    f: Function, nodes: Sequence[Node], inputs: Mapping[int, Value], lanes: int,
    known: dict[int, Value] | None = None,
) -> dict[int, Value]:  # fmt: skip
    """Emits the nodes whose operands are at hand; returns every node known by then.

    Args:
        f: the function being written.
        nodes: the expression.
        inputs: the values of the ("input", k) nodes that are at hand.
        lanes: of the vectors.
        known: nodes that were emitted before, in a block that dominates this one.
    """
    known = dict(known or {})
    for position, node in enumerate(nodes):
        if position in known:
            continue
        kind, *operands = node
        if kind == "input":
            if operands[0] in inputs:
                known[position] = inputs[operands[0]]
        elif kind == "constant":
            number, element = operands[0], element_of(operands[1])
            if element in (F16, BF16):
                number = float(np.asarray(number).astype(element.numpy))
            known[position] = f.constant(number, element.computed, lanes)
        elif kind == "convert":
            if operands[0] in known:
                known[position] = f.convert(known[operands[0]], element_of(operands[1]))
        elif all(operand in known for operand in operands):
            known[position] = OPERATIONS[kind](f, *(known[operand] for operand in operands))
    return known


def types(nodes: Sequence[Node], inputs: Sequence[Any]) -> list[Element]:
    """The computed element type of each node. Raises `TypeError` where operands differ."""
    found: list[Element] = []
    for position, (kind, *operands) in enumerate(nodes):
        if kind == "input":
            found.append(element_of(inputs[operands[0]]).computed)
        elif kind in ("constant", "convert"):
            found.append(element_of(operands[1]).computed)
        elif kind == "reduce":  # see `slabs.py`
            found.append(found[operands[1]])
        elif kind not in OPERATIONS:
            raise NotImplementedError(f"kernels have no operation {kind!r}")
        else:
            of = [found[o] for o in operands]
            compared = of[1:] if kind == "where" else of
            if any(t.ir != compared[0].ir for t in compared):
                raise TypeError(f"node {position} ({kind}) has operands of types {of}")
            found.append(BOOL if kind in _TO_BOOL else compared[0])
    return found


def cost(nodes: Sequence[Node]) -> int:
    """About how many cheap operations an element takes."""
    return sum(_COSTS.get(node[0], 1) for node in nodes) + 1


def vectors_abreast(target: Target, nodes: Sequence[Node]) -> int:
    """How many vectors are best computed as one wide one.

    The operations of a long expression wait for each other, and a processor looks ahead no further than some
    expressions. LLVM splits a wide vector, and its parts wait side by side.
    """
    if cost(nodes) <= _SHORT:
        return 1
    return 4 if target.registers >= 32 else 2


def _relu(f: Function, x: Value) -> Value:
    return f.select(x < 0, 0, x)


def _sign(f: Function, x: Value) -> Value:
    zero = f.zero(x.element, x.lanes)
    return f.select(x > 0, f.constant_like(1, x), f.select(x < 0, f.constant_like(-1, x), zero))


def _divide(f: Function, x: Value, y: Value) -> Value:
    """x / y, whole numbers toward zero. Never traps: by zero it gives x, by -1 it wraps."""
    if x.element.is_float:
        return x / y
    negated = y.eq(-1) if x.element.kind == "signed" else None
    quotient = x / _safe_divisor(f, y)
    return quotient if negated is None else f.select(negated, -x, quotient)


def _safe_divisor(f: Function, y: Value) -> Value:
    """1 for the whole numbers on which processors trap, and in lanes that do not exist."""
    bad = y.eq(0)
    if y.element.kind == "signed":
        bad = bad | y.eq(-1)
    return f.select(bad, 1, y)


def _floor_divide(f: Function, x: Value, y: Value) -> Value:
    if x.element.is_float:
        return _float_floor_divide(f, x, y)
    quotient = _divide(f, x, y)
    if x.element.kind == "unsigned":
        return quotient
    inexact = (quotient * y).ne(x) & ((x ^ y) < 0)
    return f.select(inexact, quotient - 1, quotient)


def _float_floor_divide(f: Function, x: Value, y: Value) -> Value:
    """From what is left, as Python and C do it: `floor(x / y)` is one too many where the quotient is rounded up."""
    rest = _c_remainder(f, x, y)
    quotient = (x - rest) / y
    zero = f.zero(x.element, x.lanes)
    quotient = f.select(rest.ne(0) & ((rest < zero) ^ (y < zero)), quotient - 1, quotient)
    whole = f.intrinsic("floor", quotient)
    whole = f.select(quotient - whole > 0.5, whole + 1, whole)
    return f.select(y.eq(0), x / y, whole)


def _c_remainder(f: Function, x: Value, y: Value) -> Value:
    """With the sign of the dividend, as C's `%` and `fmod`."""
    if x.element.is_float:
        return mathfn.from_libm(f, "fmod", x, y)
    return x % _safe_divisor(f, y)


def _remainder(f: Function, x: Value, y: Value) -> Value:
    """With the sign of the divisor, as Python's `%`."""
    rest = _c_remainder(f, x, y)
    if x.element.kind == "unsigned":
        return rest
    wrong = rest.ne(0) & ((rest < 0) ^ (y < 0))
    return f.select(wrong, rest + y, rest)


def _gelu(f: Function, x: Value) -> Value:
    return x * 0.5 * (mathfn.erf(f, x * math.sqrt(0.5)) + 1.0)


def _erf_complement(f: Function, x: Value) -> Value:
    return mathfn.from_libm(f, "erfc", x)


def _libm(name: str) -> Callable[..., Value]:
    return lambda f, *arguments: mathfn.from_libm(f, name, *arguments)


def _power_by(exponent: int) -> Callable[[Function, Value], Value]:
    return lambda f, x: x * x if exponent == 2 else x * x * x


#: The operations of expressions: each emits its result from its operands.
OPERATIONS: dict[str, Callable[..., Value]] = {
    # arithmetic
    "add": lambda f, a, b: a + b,
    "sub": lambda f, a, b: a - b,
    "mul": lambda f, a, b: a * b,
    "div": _divide,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "fmod": _c_remainder,
    "fma": lambda f, a, b, c: f.fma(a, b, c),
    "neg": lambda f, a: -a,
    "abs": lambda f, a: mathfn.absolute(f, a),
    "sign": _sign,
    "square": _power_by(2),
    "cube": _power_by(3),
    "reciprocal": lambda f, a: 1.0 / a,
    "maximum": lambda f, a, b: f.maximum(a, b),
    "minimum": lambda f, a, b: f.minimum(a, b),
    # comparison and choice
    "lt": lambda f, a, b: a < b,
    "le": lambda f, a, b: a <= b,
    "gt": lambda f, a, b: a > b,
    "ge": lambda f, a, b: a >= b,
    "eq": lambda f, a, b: a.eq(b),
    "ne": lambda f, a, b: a.ne(b),
    "where": lambda f, condition, a, b: f.select(condition, a, b),
    "is_nan": lambda f, a: a.is_nan(),
    # bits
    "and": lambda f, a, b: a & b,
    "or": lambda f, a, b: a | b,
    "xor": lambda f, a, b: a ^ b,
    "not": lambda f, a: ~a,
    "shift_left": lambda f, a, b: a << b,
    "shift_right": lambda f, a, b: a >> b,
    # rounding
    "floor": lambda f, a: f.intrinsic("floor", a),
    "ceil": lambda f, a: f.intrinsic("ceil", a),
    "trunc": lambda f, a: f.intrinsic("trunc", a),
    "round": lambda f, a: f.intrinsic("rint", a),
    "copysign": lambda f, a, b: f.intrinsic("copysign", a, b),
    # roots, exponentials, logarithms
    "sqrt": mathfn.sqrt,
    "rsqrt": mathfn.rsqrt,
    "exp": mathfn.exp,
    "exp2": mathfn.exp2,
    "expm1": mathfn.expm1,
    "log": mathfn.log,
    "log2": mathfn.log2,
    "log10": mathfn.log10,
    "log1p": mathfn.log1p,
    "pow": mathfn.pow,
    # circular and hyperbolic
    "sin": mathfn.sin,
    "cos": mathfn.cos,
    "tan": mathfn.tan,
    "sinh": mathfn.sinh,
    "cosh": mathfn.cosh,
    "tanh": mathfn.tanh,
    **{
        name: _libm(name)
        for name in (
            "asin",
            "acos",
            "atan",
            "atan2",
            "asinh",
            "acosh",
            "atanh",
            "lgamma",
            "hypot",
        )
    },
    # of neural networks and statistics
    "relu": _relu,
    "sigmoid": mathfn.sigmoid,
    "softplus": mathfn.softplus,
    "silu": lambda f, a: a * mathfn.sigmoid(f, a),
    "gelu": _gelu,
    "erf": mathfn.erf,
    "erfc": _erf_complement,
}

_TO_BOOL = {"lt", "le", "gt", "ge", "eq", "ne", "is_nan"}
_COSTS = {
    "input": 0, "constant": 0, "div": 4, "sqrt": 4, "rsqrt": 6, "exp": 12, "exp2": 12,
    "expm1": 14, "log": 16, "log2": 16, "log10": 16, "log1p": 30, "tanh": 24, "sigmoid": 20,
    "silu": 21, "softplus": 40, "erf": 30, "gelu": 32, "sin": 24, "cos": 24, "tan": 60,
    "sinh": 30, "cosh": 30, "pow": 80, "asin": 100, "acos": 100, "atan": 100, "atan2": 150,
    "asinh": 100, "acosh": 100, "atanh": 100, "lgamma": 200, "hypot": 60, "erfc": 150,
    "fmod": 100, "remainder": 100,
}  # fmt: skip
