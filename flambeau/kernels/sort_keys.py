"""Keys: whole numbers that stand in the order of the elements, whatever their dtype.

Floats in IEEE format are in order as signed numbers if the bits after the sign of negative ones are turned over. All
NaNs are equal and the largest, -0 equals 0. In descending order all bits are turned over.
"""

from __future__ import annotations

from dataclasses import dataclass

from flambeau.kernels.element import BF16, BOOL, F16, I32, I64, U32, U64, Element
from flambeau.kernels.language import Function, Value


@dataclass(frozen=True)
class Keys:
    """How elements of a type become keys.

    element: what is sorted. descending: whether the largest comes first.
    """

    element: Element
    descending: bool

    @property
    def number(self) -> Element:
        """The signed type of the keys: as wide as the elements, at least 32 bits."""
        return I64 if self.element.bytes == 8 else I32

    @property
    def bits(self) -> int:
        """How many bits tell keys apart."""
        if self.element is BOOL:
            return 1
        if self.element is F16:  # a sign, the 8 bits of float32's exponent, 10 digits
            return 19
        return 8 * self.element.bytes

    @property
    def low(self) -> int:
        """How many of the lowest bits are the same for all."""
        return {F16: 13, BF16: 16}.get(self.element, 0)

    def signed(self, f: Function, value: Value) -> Value:
        """The keys of loaded elements, in order as signed numbers."""
        number, element = self.number, value.element
        width = 8 * number.bytes
        if element.is_float:
            bits = f.bitcast(value + 0.0, number)
            key = bits ^ ((bits >> (width - 1)) & ((1 << (width - 1)) - 1))
            key = f.select(value.is_nan(), (1 << (width - 1)) - 1, key)
        elif element.kind == "unsigned" and element.bytes == number.bytes:
            key = f.convert(value, number) ^ (-1 << (width - 1))
        else:
            key = f.convert(value, number)
        return ~key if self.descending else key

    def unsigned(self, f: Function, value: Value) -> Value:
        """The keys in order as unsigned numbers that need only `bits` bits."""
        key = self.signed(f, value)
        width = 8 * self.number.bytes
        wide = U64 if width == 64 else U32
        if self.element is BOOL or (self.element.bytes < self.number.bytes and not self.element.is_float):
            first = 0 if self.element.kind in ("unsigned", "bool") else -1 << (8 * self.element.bytes - 1)
            last = 1 if self.element is BOOL else first + (1 << 8 * self.element.bytes) - 1
            return f.convert(key - (~last if self.descending else first), wide)
        return f.convert(key ^ (-1 << (width - 1)), wide) >> self.low

    @property
    def largest(self) -> int:
        """A signed key that comes after all others."""
        return (1 << (8 * self.number.bytes - 1)) - 1


