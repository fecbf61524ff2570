"""Element types: how a number is stored in memory and in which type it is computed."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class Element:
    """A number type of the kernel language.

    Attributes:
        name: as in "f32", "i64", "u8", "bf16", "bool".
        ir: its LLVM type in a register.
        stored: its LLVM type in memory (a bool is one bit in a register, one byte in memory).
        bytes: its size in memory.
        kind: "float", "signed", "unsigned" or "bool".
    """

    name: str
    ir: str
    stored: str
    bytes: int
    kind: str

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def computed(self) -> Element:
        """The type in which it is computed: f32 for the two half-width floats."""
        return F32 if self in (F16, BF16) else self

    @property
    def dtype_name(self) -> str:
        """NumPy's name for it."""
        if self.kind == "bool":
            return "bool"
        if self is BF16:
            return "bfloat16"
        kind = {"float": "float", "signed": "int", "unsigned": "uint"}[self.kind]
        return f"{kind}{8 * self.bytes}"

    @property
    def numpy(self) -> np.dtype:
        """NumPy's dtype of it."""
        return np.dtype(ml_dtypes.bfloat16 if self is BF16 else self.dtype_name)

    def __repr__(self) -> str:
        return self.name

    def literal(self, number: float | int | bool) -> str:
        """`number` as a constant of this type in LLVM IR."""
        if self.kind == "bool":
            return "true" if number else "false"
        if not self.is_float:
            bits = 8 * self.bytes
            return str((int(number) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1)))
        with np.errstate(over="ignore"):
            rounded = float(np.float32(number)) if self.ir == "float" else float(number)
        return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"


F64 = Element("f64", "double", "double", 8, "float")
F32 = Element("f32", "float", "float", 4, "float")
F16 = Element("f16", "half", "i16", 2, "float")
BF16 = Element("bf16", "bfloat", "i16", 2, "float")
I8, I16, I32, I64 = (
    Element(f"i{n}", f"i{n}", f"i{n}", n // 8, "signed") for n in (8, 16, 32, 64)
)
U8, U16, U32, U64 = (
    Element(f"u{n}", f"i{n}", f"i{n}", n // 8, "unsigned") for n in (8, 16, 32, 64)
)
BOOL = Element("bool", "i1", "i8", 1, "bool")

_NUMPY: dict[np.dtype, Element] = {
    np.dtype(stored): element
    for stored, element in [
        (np.float64, F64), (np.float32, F32), (np.float16, F16), (ml_dtypes.bfloat16, BF16),
        (np.int8, I8), (np.int16, I16), (np.int32, I32), (np.int64, I64),
        (np.uint8, U8), (np.uint16, U16), (np.uint32, U32), (np.uint64, U64),
        (np.bool_, BOOL),
    ]
}  # fmt: skip


def element_of(dtype: np.dtype | type | str | Element) -> Element:
    """The element type of a NumPy dtype. Raises `NotImplementedError` for complex and
    objects."""
    if isinstance(dtype, Element):
        return dtype
    found = _NUMPY.get(np.dtype(dtype))
    if found is None:
        raise NotImplementedError(f"kernels have no element type for dtype {np.dtype(dtype)}")
    return found
