"""The float32 transform of `box_muller` as machine code, for those who draw many normals.

The same operations in the same order, eight lanes at a time. Vector fused multiply-adds round
once by definition, so the numbers are the same on every processor; those without the
instruction are slow.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable

import numpy as np

from . import box_muller as reference

__all__ = ["compile_normals32"]

_engines: list[object] = []
_LANES = 8
_FLOATS, _INTS = f"<{_LANES} x float>", f"<{_LANES} x i32>"


def _spread(value: float) -> str:
    """A vector of the float32 nearest to `value`, as LLVM writes constants."""
    bits = struct.unpack("<Q", struct.pack("<d", float(np.float32(value))))[0]
    return "<" + ", ".join([f"float 0x{bits:016X}"] * _LANES) + ">"


def _spread_int(value: int) -> str:
    return "<" + ", ".join([f"i32 {value}"] * _LANES) + ">"


class _Body:
    """Collects instructions; each method writes one and returns the name of its value."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, instruction: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def add(self, a: str, b: str) -> str:
        return self.put(f"fadd {_FLOATS} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        return self.put(f"fsub {_FLOATS} {a}, {b}")

    def mul(self, a: str, b: str) -> str:
        return self.put(f"fmul {_FLOATS} {a}, {b}")

    def fma(self, a: str, b: str, c: str) -> str:
        arguments = ", ".join(f"{_FLOATS} {x}" for x in (a, b, c))
        return self.put(f"call {_FLOATS} @llvm.fma.v{_LANES}f32({arguments})")

    def sqrt(self, a: str) -> str:
        return self.put(f"call {_FLOATS} @llvm.sqrt.v{_LANES}f32({_FLOATS} {a})")

    def select(self, mask: str, a: str, b: str) -> str:
        return self.put(f"select <{_LANES} x i1> {mask}, {_FLOATS} {a}, {_FLOATS} {b}")

    def integer(self, operation: str, a: str, b: int) -> str:
        return self.put(f"{operation} {_INTS} {a}, {_spread_int(b)}")

    def cast(self, operation: str, a: str, source: str, target: str) -> str:
        return self.put(f"{operation} {source} {a} to {target}")

    def horner(self, x: str, coefficients: tuple[float, ...]) -> str:
        value = _spread(coefficients[0])
        for c in coefficients[1:]:
            value = self.fma(value, x, _spread(c))
        return value

    def log(self, x: str) -> str:
        bits = self.cast("bitcast", x, _FLOATS, _INTS)
        exponent = self.integer("sub", self.integer("lshr", bits, 23), 126)
        exponent = self.cast("sitofp", exponent, _INTS, _FLOATS)
        fraction = self.integer("or", self.integer("and", bits, 0x007FFFFF), 0x3F000000)
        fraction = self.cast("bitcast", fraction, _INTS, _FLOATS)
        small = self.put(f"fcmp olt {_FLOATS} {fraction}, {_spread(reference.SQRT_HALF)}")
        one, zero = _spread(1), _spread(0)
        exponent = self.sub(exponent, self.select(small, one, zero))
        fraction = self.add(self.sub(fraction, one), self.select(small, fraction, zero))
        square = self.mul(fraction, fraction)
        cubic = self.mul(self.horner(fraction, reference.LOG), fraction)
        low = self.mul(exponent, _spread(reference.LN2_LOW))
        value = self.sub(self.fma(cubic, square, low), self.mul(square, _spread(0.5)))
        return self.fma(exponent, _spread(reference.LN2_HIGH), self.add(fraction, value))

    def sincos(self, x: str) -> tuple[str, str]:
        octant = self.mul(x, _spread(reference.FOUR_OVER_PI))
        octant = self.cast("fptosi", octant, _FLOATS, _INTS)
        octant = self.integer("and", self.integer("add", octant, 1), ~1)
        turns = self.cast("sitofp", octant, _INTS, _FLOATS)
        for part in reference.MINUS_QUARTER_PI:
            x = self.fma(turns, _spread(part), x)
        square = self.mul(x, x)
        even = self.mul(self.horner(square, reference.COS), square)
        even = self.fma(even, square, self.mul(square, _spread(-0.5)))
        even = self.add(even, _spread(1))
        odd = self.mul(self.horner(square, reference.SIN), square)
        odd = self.fma(odd, x, x)
        swapped = self.put(f"icmp ne {_INTS} {self.integer('and', octant, 2)}, zeroinitializer")
        sin, cos = self.select(swapped, even, odd), self.select(swapped, odd, even)
        sin = self._negate_where(sin, self.integer("and", octant, 4))
        turned = self.integer("and", self.integer("sub", octant, 2), 4)
        return sin, self._negate_where(cos, self.integer("xor", turned, 4))

    def _negate_where(self, x: str, four: str) -> str:
        sign = self.integer("shl", four, 29)
        bits = self.cast("bitcast", x, _FLOATS, _INTS)
        return self.cast("bitcast", self.put(f"xor {_INTS} {bits}, {sign}"), _INTS, _FLOATS)


def _program() -> str:
    body = _Body()
    radius = body.sqrt(body.mul(_spread(-2), body.log(body.sub(_spread(1), "%u1"))))
    sin, cos = body.sincos(body.mul(_spread(2 * math.pi), "%u2"))
    first = body.fma(body.mul(radius, cos), "%stds", "%means")
    second = body.fma(body.mul(radius, sin), "%stds", "%means")
    vector = f"declare {_FLOATS} @llvm"
    spread = "\n".join(
        f"""  %{name}0 = insertelement {_FLOATS} undef, float %{name}, i32 0
  %{name}s = shufflevector {_FLOATS} %{name}0, {_FLOATS} undef, {_INTS} zeroinitializer"""
        for name in ("mean", "std")
    )
    lines = "\n".join(body.lines)
    return f"""
{vector}.fma.v{_LANES}f32({_FLOATS}, {_FLOATS}, {_FLOATS})
{vector}.sqrt.v{_LANES}f32({_FLOATS})
define void @normals(ptr %data, i64 %blocks, float %mean, float %std) {{
entry:
{spread}
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %at = mul i64 %i, {2 * _LANES}
  %p1 = getelementptr float, ptr %data, i64 %at
  %p2 = getelementptr float, ptr %p1, i64 {_LANES}
  %u1 = load {_FLOATS}, ptr %p1, align 4
  %u2 = load {_FLOATS}, ptr %p2, align 4
{lines}
  store {_FLOATS} {first}, ptr %p1, align 4
  store {_FLOATS} {second}, ptr %p2, align 4
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, %blocks
  br i1 %done, label %exit, label %loop
exit:
  ret void
}}
"""


def compile_normals32() -> Callable[[np.ndarray, float, float], None]:
    """`box_muller.normals32` in this processor's code. Raises `ImportError` without LLVM."""
    import llvmlite.binding as llvm  # type: ignore[import-untyped]

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_program()), machine)
    engine.finalize_object()
    signature = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_float
    )
    normals = signature(engine.get_function_address("normals"))
    _engines.append(engine)  # the code lives as long as its engine

    def transform(uniforms: np.ndarray, mean: float, std: float) -> None:
        if uniforms.size:
            normals(uniforms.ctypes.data, uniforms.size // (2 * _LANES), mean, std)

    return transform
