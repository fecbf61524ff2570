"""Values of the kernel language: vectors and scalars in registers, and indices, which address memory and drive loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from flambeau.kernels.element import BOOL, I64, Element

if TYPE_CHECKING:
    from flambeau.kernels.language import Function
    from flambeau.kernels.memory import Chosen, Mask, Pointer

Number = int | float | bool
Offset = Union[int, "Index"]


class Value:
    """A scalar (`lanes == 1`) or a vector in a register. Operators work lane by lane."""

    __slots__ = ("element", "f", "lanes", "name")

    def __init__(self, f: Function, name: str, element: Element, lanes: int = 1):
        self.f, self.name, self.element, self.lanes = f, name, element, lanes

    @property
    def type(self) -> str:
        return vector_type(self.element.ir, self.lanes)

    def __repr__(self) -> str:
        return f"{self.type} {self.name}"

    def _pair(self, other: Value | Index | Number) -> tuple[Value, Value]:
        """Both operands with as many lanes as the wider."""
        if not isinstance(other, Value):
            other = self.f.constant_like(other, self)
        if other.element.ir != self.element.ir:
            raise TypeError(
                f"operands of {self.element} and {other.element}: convert one of them"
            )
        lanes = max(self.lanes, other.lanes)
        return self.f.splat(self, lanes), self.f.splat(other, lanes)

    def _binary(
        self, instruction: str, other: Value | Index | Number, swap: bool = False
    ) -> Value:
        a, b = self._pair(other)
        if swap:
            a, b = b, a
        return self.f.emit(f"{instruction} {a.type} {a.name}, {b.name}", a.element, a.lanes)

    def _choose(self, floating: str, signed: str, unsigned: str = "") -> str:
        if self.element.is_float:
            return floating
        return signed if self.element.kind == "signed" or not unsigned else unsigned

    def __add__(self, other: Value | Number) -> Value:
        return self._binary(self._choose("fadd", "add"), other)

    def __sub__(self, other: Value | Number) -> Value:
        return self._binary(self._choose("fsub", "sub"), other)

    def __mul__(self, other: Value | Number) -> Value:
        return self._binary(self._choose("fmul", "mul"), other)

    def __truediv__(self, other: Value | Number) -> Value:
        return self._binary(self._choose("fdiv", "sdiv", "udiv"), other)

    def __mod__(self, other: Value | Number) -> Value:
        """The remainder with the sign of the dividend, as C's `%` and `fmod`."""
        return self._binary(self._choose("frem", "srem", "urem"), other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Number) -> Value:
        return self._binary(self._choose("fsub", "sub"), other, swap=True)

    def __rtruediv__(self, other: Number) -> Value:
        return self._binary(self._choose("fdiv", "sdiv", "udiv"), other, swap=True)

    def __neg__(self) -> Value:
        if self.element.is_float:
            return self.f.emit(f"fneg {self.type} {self.name}", self.element, self.lanes)
        return 0 - self

    def __and__(self, other: Value | Number) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Value | Number) -> Value:
        return self._binary("or", other)

    def __xor__(self, other: Value | Number) -> Value:
        return self._binary("xor", other)

    def __invert__(self) -> Value:
        return self._binary("xor", -1 if self.element is not BOOL else True)

    def __lshift__(self, other: Value | Number) -> Value:
        return self._binary("shl", other)

    def __rshift__(self, other: Value | Number) -> Value:
        return self._binary("ashr" if self.element.kind == "signed" else "lshr", other)

    def _compare(self, floating: str, integer: str, other: Value | Number) -> Value:
        a, b = self._pair(other)
        if a.element.is_float:
            code = f"fcmp {floating}"
        else:
            sign = "" if integer in ("eq", "ne") else "s" if a.element.kind == "signed" else "u"
            code = f"icmp {sign}{integer}"
        return self.f.emit(f"{code} {a.type} {a.name}, {b.name}", BOOL, a.lanes)

    def __lt__(self, other: Value | Number) -> Value:
        return self._compare("olt", "lt", other)

    def __le__(self, other: Value | Number) -> Value:
        return self._compare("ole", "le", other)

    def __gt__(self, other: Value | Number) -> Value:
        return self._compare("ogt", "gt", other)

    def __ge__(self, other: Value | Number) -> Value:
        return self._compare("oge", "ge", other)

    def eq(self, other: Value | Number) -> Value:
        return self._compare("oeq", "eq", other)

    def ne(self, other: Value | Number) -> Value:
        return self._compare("une", "ne", other)

    def is_nan(self) -> Value:
        return self.f.emit(f"fcmp uno {self.type} {self.name}, {self.name}", BOOL, self.lanes)

    def store(self, where: Pointer, aligned: bool = False, mask: Mask | Chosen | None = None) -> None:
        where.store(self, aligned, mask)

    def index(self) -> Index:
        """This number as a position to address with."""
        return Index(self.f, self.f.convert(self, I64).name)


class Index:
    """A 64-bit position: a register plus a constant, so that constant offsets cost nothing."""

    __slots__ = ("base", "constant", "f")

    def __init__(self, f: Function, base: str, constant: int = 0):
        self.f, self.base, self.constant = f, base, constant

    @property
    def name(self) -> str:
        """A register that holds the sum."""
        if self.constant:
            return self.f.emit_name(f"add nsw i64 {self.base}, {self.constant}")
        return self.base

    def __add__(self, other: Offset) -> Index:
        if isinstance(other, int):
            return Index(self.f, self.base, self.constant + other)
        total = self.f.emit_name(f"add nsw i64 {self.base}, {other.base}")
        return Index(self.f, total, self.constant + other.constant)

    __radd__ = __add__

    def __sub__(self, other: Offset) -> Index:
        if isinstance(other, int):
            return self + -other
        return Index(self.f, self.f.emit_name(f"sub nsw i64 {self.name}, {other.name}"))

    def __rsub__(self, other: int) -> Index:
        return self * -1 + other

    def __mul__(self, other: Offset) -> Offset:
        if not isinstance(other, int):
            return Index(self.f, self.f.emit_name(f"mul nsw i64 {self.name}, {other.name}"))
        if other in (0, 1):
            return self if other else 0
        product = self.f.emit_name(f"mul nsw i64 {self.base}, {other}")
        return Index(self.f, product, self.constant * other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Offset) -> Index:
        """The quotient of two numbers that are not negative."""
        if other == 1:
            return self
        return Index(self.f, self.f.emit_name(f"udiv i64 {self.name}, {offset_name(other)}"))

    def __mod__(self, other: int) -> Offset:
        """The remainder of two numbers that are not negative."""
        if other == 1:
            return 0
        return Index(self.f, self.f.emit_name(f"urem i64 {self.name}, {other}"))

    def _compare(self, code: str, other: Offset) -> Value:
        text = f"icmp {code} i64 {self.name}, {offset_name(other)}"
        return self.f.emit(text, BOOL)

    def __lt__(self, other: Offset) -> Value:
        return self._compare("slt", other)

    def at_least(self, other: Offset) -> Index:
        """The larger of the two."""
        return self._limit("smax", other)

    def at_most(self, other: Offset) -> Index:
        """The smaller of the two."""
        return self._limit("smin", other)

    def _limit(self, which: str, other: Offset) -> Index:
        f, name = self.f, f"@llvm.{which}.i64"
        f.module.declare(f"declare i64 {name}(i64, i64)")
        return Index(
            f, f.emit_name(f"call i64 {name}(i64 {self.name}, i64 {offset_name(other)})")
        )

    def exceeds(self, other: Offset) -> Value:
        return self._compare("sgt", other)

    def eq(self, other: Offset) -> Value:
        return self._compare("eq", other)

    def value(self, element: Element = I64) -> Value:
        """This position as a number to compute with."""
        return self.f.convert(Value(self.f, self.name, I64), element)


def vector_type(scalar: str, lanes: int) -> str:
    """LLVM's name of a vector of `lanes` scalars, of the scalar itself for one lane."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def short_type(ir: str) -> str:
    """A scalar type as it stands in the names of LLVM's intrinsics."""
    return {"float": "f32", "double": "f64", "half": "f16"}.get(ir, ir)


def offset_name(offset: Offset) -> str:
    return str(offset) if isinstance(offset, int) else offset.name


def zero_of(lanes: int) -> str:
    return "0" if lanes == 1 else "zeroinitializer"


def suffix_of(value: Value) -> str:
    short = short_type(value.element.ir)
    return short if value.lanes == 1 else f"v{value.lanes}{short}"
