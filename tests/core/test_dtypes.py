"""Dtypes, their limits, and promotion against PyTorch's tables."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau as fb
from flambeau.core import dtypes

NAMES = {
    "b1": "bool", "u1": "uint8", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64",
    "f2": "float16", "bf": "bfloat16", "f4": "float32", "f8": "float64",
    "c8": "complex64", "c16": "complex128",
}  # fmt: skip

#: `torch.promote_types` of PyTorch 2.13, rows and columns in the order of `NAMES`.
PROMOTION = """
b1  u1  i1  i2  i4  i8  f2  bf  f4  f8  c8 c16
u1  u1  i2  i2  i4  i8  f2  bf  f4  f8  c8 c16
i1  i2  i1  i2  i4  i8  f2  bf  f4  f8  c8 c16
i2  i2  i2  i2  i4  i8  f2  bf  f4  f8  c8 c16
i4  i4  i4  i4  i4  i8  f2  bf  f4  f8  c8 c16
i8  i8  i8  i8  i8  i8  f2  bf  f4  f8  c8 c16
f2  f2  f2  f2  f2  f2  f2  f4  f4  f8  c8 c16
bf  bf  bf  bf  bf  bf  f4  bf  f4  f8  c8 c16
f4  f4  f4  f4  f4  f4  f4  f4  f4  f8  c8 c16
f8  f8  f8  f8  f8  f8  f8  f8  f8  f8 c16 c16
c8  c8  c8  c8  c8  c8  c8  c8  c8 c16  c8 c16
c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16
"""

#: The dtype of a tensor with dimensions (row) times a 0-dim tensor (column); float16 beside
#: complex is left out, since PyTorch's complex32 is not there.
ZERO_DIM = """
b1  u1  i1  i2  i4  i8  f2  bf  f4  f8  c8 c16
u1  u1  u1  u1  u1  u1  f2  bf  f4  f8  c8 c16
i1  i1  i1  i1  i1  i1  f2  bf  f4  f8  c8 c16
i2  i2  i2  i2  i2  i2  f2  bf  f4  f8  c8 c16
i4  i4  i4  i4  i4  i4  f2  bf  f4  f8  c8 c16
i8  i8  i8  i8  i8  i8  f2  bf  f4  f8  c8 c16
f2  f2  f2  f2  f2  f2  f2  f2  f2  f2   -   -
bf  bf  bf  bf  bf  bf  bf  bf  bf  bf  c8  c8
f4  f4  f4  f4  f4  f4  f4  f4  f4  f4  c8  c8
f8  f8  f8  f8  f8  f8  f8  f8  f8  f8 c16 c16
c8  c8  c8  c8  c8  c8  c8  c8  c8  c8  c8  c8
c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16
"""

#: The same with a Python bool, int, float and complex.
NUMBERS = """
b1 i8 f4 c8
u1 u1 f4 c8
i1 i1 f4 c8
i2 i2 f4 c8
i4 i4 f4 c8
i8 i8 f4 c8
f2 f2 f2 -
bf bf bf c8
f4 f4 f4 c8
f8 f8 f8 c16
c8 c8 c8 c8
c16 c16 c16 c16
"""


def rows(table: str) -> list[tuple[fb.dtype, list[fb.dtype | None]]]:
    every = [getattr(fb, n) for n in NAMES.values()]
    lines = table.strip().splitlines()
    return [
        (a, [getattr(fb, NAMES[w]) if w in NAMES else None for w in line.split()])
        for a, line in zip(every, lines, strict=True)
    ]


def test_promotion_of_dtypes() -> None:
    every = [getattr(fb, n) for n in NAMES.values()]
    for a, wanted in rows(PROMOTION):
        assert [fb.promote_types(a, b) for b in every] == wanted, a
        assert [fb.promote_types(b, a) for b in every] == wanted, a


def test_a_zero_dim_tensor_counts_by_its_kind_only() -> None:
    every = [getattr(fb, n) for n in NAMES.values()]
    for a, wanted in rows(ZERO_DIM):
        for b, w in zip(every, wanted, strict=True):
            if w is not None:
                product = fb.ones(1, dtype=a) * fb.ones((), dtype=b)
                assert product.dtype is w, (a, b)


def test_a_number_counts_by_its_kind_only() -> None:
    for a, wanted in rows(NUMBERS):
        for number, w in zip((True, 1, 1.0, 1j), wanted, strict=True):
            if w is not None:
                assert (fb.ones(1, dtype=a) * number).dtype is w, (a, number)
                assert (number * fb.ones(1, dtype=a)).dtype is w, (a, number)


def test_can_cast_goes_up_in_kind() -> None:
    assert fb.can_cast(fb.int64, fb.int8) and fb.can_cast(fb.int64, fb.float16)
    assert fb.can_cast(fb.float64, fb.complex64) and fb.can_cast(fb.int8, fb.uint8)
    assert not fb.can_cast(fb.float32, fb.int64)
    assert not fb.can_cast(fb.complex64, fb.float64) and not fb.can_cast(fb.int8, fb.bool)


def test_unsigned_dtypes_do_not_promote() -> None:
    with pytest.raises(RuntimeError, match="Promotion for uint16, uint32, uint64"):
        fb.promote_types(fb.uint16, fb.int8)


def test_names_and_kinds() -> None:
    assert (
        repr(fb.float32) == "torch.float32" and fb.float is fb.float32 and fb.long is fb.int64
    )
    assert fb.half.is_floating_point and not fb.half.is_complex and fb.cfloat.is_complex
    assert fb.int8.is_signed and not fb.uint8.is_signed and not fb.bool.is_signed
    assert fb.complex128.to_real() is fb.float64 and fb.float64.to_complex() is fb.complex128
    assert fb.bfloat16.itemsize == 2


def test_dtypes_are_singletons_through_copies() -> None:
    for d in dtypes.DTYPES.values():
        assert copy.deepcopy(d) is d and pickle.loads(pickle.dumps(d)) is d


def test_limits() -> None:
    assert str(fb.finfo(fb.float32)) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, "
        "smallest_normal=1.17549e-38, tiny=1.17549e-38, dtype=float32)"
    )
    assert fb.finfo(fb.bfloat16).max == 3.3895313892515355e38
    assert fb.finfo(fb.complex64).bits == 32
    assert str(fb.iinfo(fb.int32)) == "iinfo(min=-2.14748e+09, max=2.14748e+09, dtype=int32)"
    assert fb.iinfo(fb.uint8).max == 255
    with pytest.raises(TypeError):
        fb.finfo(fb.int32)
    with pytest.raises(TypeError):
        fb.iinfo(fb.float32)


def test_the_default_dtype() -> None:
    try:
        fb.set_default_dtype(fb.float64)
        assert fb.tensor(1.0).dtype is fb.float64 and fb.ones(2).dtype is fb.float64
        assert fb.tensor(1j).dtype is fb.complex128
        assert repr(fb.ones(1, dtype=fb.float32)) == "tensor([1.], dtype=torch.float32)"
    finally:
        fb.set_default_dtype(fb.float32)
    with pytest.raises(TypeError, match="only floating-point types are supported"):
        fb.set_default_dtype(fb.int32)


@pytest.mark.skipif(not hasattr(fb, "complex32"), reason="ml_dtypes has complex32 since 0.6")
def test_complex32_is_for_storage_and_conversion() -> None:
    x = fb.tensor([1 + 2j, 3 - 0.5j]).chalf()
    assert x.dtype is fb.complex32 is fb.chalf and x.is_complex() and x.element_size() == 4
    assert x.cfloat().tolist() == [1 + 2j, 3 - 0.5j]
    assert x.float().tolist() == [1, 3]
    assert fb.promote_types(fb.complex32, fb.float16) is fb.complex32
    assert fb.promote_types(fb.complex32, fb.float32) is fb.complex64
    assert repr(x) == "tensor([1.+2.0000j, 3.-0.5000j], dtype=torch.complex32)"
