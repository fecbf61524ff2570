"""Element types, PyTorch's promotion rules, and the default dtype.

A `dtype` is a name and the NumPy dtype that stores it. Promotion follows the lattice in PyTorch's
`torch.promote_types`: bool < unsigned < signed < floating < complex, the wider of two of a kind.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

__all__ = ["dtype", "finfo", "iinfo", "promote_types", "can_cast"]

BOOL, INTEGER, FLOATING, COMPLEX = range(4)


class dtype:
    """The element type of a tensor, as `flambeau.float32`."""

    __slots__ = ("name", "numpy", "itemsize", "kind", "is_signed", "tensor_type")

    name: str
    numpy: np.dtype
    itemsize: int
    kind: int
    is_signed: bool
    tensor_type: str

    def __init__(self, name: str, numpy: np.dtype, kind: int, tensor_type: str):
        self.name = name
        self.numpy = np.dtype(numpy)
        self.itemsize = self.numpy.itemsize
        self.kind = kind
        self.is_signed = not name.startswith("uint") and kind != BOOL
        self.tensor_type = tensor_type

    @property
    def is_floating_point(self) -> bool:
        return self.kind == FLOATING

    @property
    def is_complex(self) -> bool:
        return self.kind == COMPLEX

    def to_real(self) -> dtype:
        """The dtype of the real part: `complex64` gives `float32`."""
        if self.name == "complex32":
            return float16
        return {complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> dtype:
        """The complex dtype of this precision: `float32` gives `complex64`."""
        if self.kind == COMPLEX:
            return self
        return complex128 if self is float64 else complex64

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


def _kinds() -> dict[str, dtype]:
    rows = [
        ("bool", np.bool_, BOOL, "Bool"),
        ("uint8", np.uint8, INTEGER, "Byte"),
        ("int8", np.int8, INTEGER, "Char"),
        ("int16", np.int16, INTEGER, "Short"),
        ("int32", np.int32, INTEGER, "Int"),
        ("int64", np.int64, INTEGER, "Long"),
        ("uint16", np.uint16, INTEGER, "UInt16"),
        ("uint32", np.uint32, INTEGER, "UInt32"),
        ("uint64", np.uint64, INTEGER, "UInt64"),
        ("float16", np.float16, FLOATING, "Half"),
        ("bfloat16", ml_dtypes.bfloat16, FLOATING, "BFloat16"),
        ("float32", np.float32, FLOATING, "Float"),
        ("float64", np.float64, FLOATING, "Double"),
        ("complex64", np.complex64, COMPLEX, "ComplexFloat"),
        ("complex128", np.complex128, COMPLEX, "ComplexDouble"),
    ]
    if hasattr(ml_dtypes, "complex32"):  # since 0.6; for storage and conversion
        rows.append(("complex32", ml_dtypes.complex32, COMPLEX, "ComplexHalf"))
    return {name: dtype(name, np.dtype(stored), kind, title) for name, stored, kind, title in rows}


DTYPES = _kinds()
bool_ = DTYPES["bool"]
uint8, uint16, uint32, uint64 = (DTYPES[f"uint{n}"] for n in (8, 16, 32, 64))
int8, int16, int32, int64 = (DTYPES[f"int{n}"] for n in (8, 16, 32, 64))
float16, float32, float64 = (DTYPES[f"float{n}"] for n in (16, 32, 64))
bfloat16 = DTYPES["bfloat16"]
complex64, complex128 = DTYPES["complex64"], DTYPES["complex128"]
ALIASES = {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32,
    "long": int64, "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip
if "complex32" in DTYPES:
    complex32 = ALIASES["chalf"] = DTYPES["complex32"]
globals()["bool"] = bool_  # so that a pickled dtype is found by its name

#: The dtype of each NumPy dtype that tensors may hold.
FROM_NUMPY: dict[np.dtype, dtype] = {d.numpy: d for d in DTYPES.values()}
_PYTHON = {type(True): bool_, int: int64, complex: complex64}


def from_numpy_dtype(stored: np.dtype) -> dtype:
    """The dtype that stores its elements as the NumPy dtype `stored`; `TypeError` if there is none."""
    found = FROM_NUMPY.get(stored)
    if found is None:
        found = FROM_NUMPY.get(np.dtype(stored).newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {stored}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, "
            "uint64, uint32, uint16, uint8, and bool."
        )
    return found


class _Default:
    dtype: dtype = float32


def get_default_dtype() -> dtype:
    """The dtype of floating-point tensors made from Python numbers."""
    return _Default.dtype


def set_default_dtype(d: dtype, /) -> None:
    """Sets the default floating-point dtype. Raises `TypeError` for any other kind."""
    if not isinstance(d, dtype) or d.kind != FLOATING:
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    _Default.dtype = d


def as_dtype(d: object) -> dtype:
    """A dtype from a dtype or one of Python's number types (`float` means the default dtype)."""
    if isinstance(d, dtype):
        return d
    if d is float:
        return float64
    if d is complex:
        return complex128
    found = _PYTHON.get(d)  # type: ignore[call-overload]
    if found is None:
        raise TypeError(f"dtype must be a torch.dtype, not {type(d).__name__}: {d!r}")
    return found


def dtype_of_number(x: object) -> dtype:
    """The dtype that a Python number takes as a tensor of its own."""
    if isinstance(x, (type(True), np.bool_)):
        return bool_
    if isinstance(x, (int, np.integer)):
        return int64
    if isinstance(x, (float, np.floating, ml_dtypes.bfloat16)):
        return _Default.dtype
    if isinstance(x, (complex, np.complexfloating)):
        return _Default.dtype.to_complex()
    raise TypeError(f"expected a number, got {type(x).__name__}")


_SIGNED_RANK = [int8, int16, int32, int64]
_FLOAT_RANK = {float16: 1, bfloat16: 1, float32: 2, float64: 3}
_BARE_UNSIGNED = (uint16, uint32, uint64)
_promoted: dict[tuple[dtype, dtype], dtype] = {}


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that both `a` and `b` are promoted to, as `torch.promote_types`."""
    if a is b:
        return a
    found = _promoted.get((a, b))
    if found is None:
        found = _promoted[a, b] = _promote(a, b)
    return found


def _promote(a: dtype, b: dtype) -> dtype:
    if a.kind > b.kind:
        a, b = b, a
    if b.kind == COMPLEX:
        if b.name == "complex32" and (a.kind < FLOATING or a is float16):
            return b
        real = b.to_real()
        return promote_types(a.to_real() if a.kind >= FLOATING else real, real).to_complex()
    if b.kind == FLOATING:
        if a.kind < FLOATING:
            return b
        rank_a, rank_b = _FLOAT_RANK[a], _FLOAT_RANK[b]
        if rank_a == rank_b:
            return float32  # float16 with bfloat16
        return a if rank_a > rank_b else b
    if a.kind == BOOL:
        return b
    if a in _BARE_UNSIGNED or b in _BARE_UNSIGNED:
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{a.tensor_type} and {b.tensor_type}"
        )
    if uint8 in (a, b):
        other = b if a is uint8 else a
        return int16 if other is int8 else other
    return max(a, b, key=_SIGNED_RANK.index)


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result of `from_` may be written into a tensor of `to`, as `torch.can_cast`."""
    return from_.kind <= to.kind


class iinfo:
    """Limits of an integer dtype: `bits, min, max, dtype`."""

    def __init__(self, type: dtype):
        if type.kind != INTEGER:
            raise TypeError(f"torch.iinfo() requires an integer input type, got {type}")
        info = np.iinfo(type.numpy)
        self.bits, self.min, self.max, self.dtype = info.bits, int(info.min), int(info.max), type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


class finfo:
    """Limits of a floating-point dtype: `bits, eps, max, min, tiny, smallest_normal, resolution`."""

    def __init__(self, type: dtype | None = None):
        type = type or _Default.dtype
        if type.kind < FLOATING:
            raise TypeError(f"torch.finfo() requires a floating point input type, got {type}")
        real = type.to_real()
        info = ml_dtypes.finfo(real.numpy)
        self.bits, self.dtype = real.itemsize * 8, real.name
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0 ** -int(-np.log10(self.eps))  # the digits that survive a round trip

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )
