"""Checked builds: every access in bounds and aligned as claimed, no element written twice.

    checker = Checker()
    module = Module(checker=checker)
    ...                                  # emit, load and run kernels
    checker.verify(code, module)         # raises `KernelError` naming the first broken access

The checks are emitted into the code beside each access of a buffer that declares its `extent`
(and, for writes, `once`), so they see the addresses that the kernel really uses.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from flambeau.kernels.element import I64
from flambeau.kernels.jit import Code
from flambeau.kernels.language import (
    Buffer,
    Function,
    Module,
    Offset,
    Pointer,
    Region,
    offset_name,
)

_OUT_OF_BOUNDS, _MISALIGNED, _TWICE = 1, 2, 3
_REASONS = {
    _OUT_OF_BOUNDS: "is out of bounds",
    _MISALIGNED: "is not aligned as it claims",
    _TWICE: "writes an element a second time",
}


class KernelError(AssertionError):
    """A generated kernel touched memory that it should not."""


@dataclass(frozen=True)
class _Site:
    function: str
    buffer: Buffer
    lanes: Offset
    writes: bool


class Checker:
    """Emits the checks of a module and reads what they found."""

    def __init__(self) -> None:
        self._sites: list[_Site] = []

    def __call__(
        self, f: Function, pointer: Pointer, active: Offset, alignment: int, writes: bool
    ) -> None:
        """Writes the check of one access of `active` elements at `pointer`."""
        buffer = pointer.buffer
        if buffer is None:
            return
        extent = buffer.size if isinstance(buffer, Region) else buffer.extent
        if extent is None:
            return
        _declare_runtime(f.module)
        self._sites.append(_Site(f.name, buffer, active, writes))
        shadow = self._shadow(f, buffer) if writes and buffer.once else "null"
        base = buffer.base if isinstance(buffer, Region) else f"%{buffer.name}"
        f.line(
            f"call void @check_access(ptr {pointer.name}, ptr {base}, "
            f"i64 {buffer.element.bytes}, i64 {offset_name(active)}, i64 {offset_name(extent)}, "
            f"i64 {alignment * buffer.element.bytes}, ptr {shadow}, i64 {len(self._sites)})"
        )

    def _shadow(self, f: Function, buffer: Buffer) -> str:
        """Where it is marked which elements of a buffer were written."""
        shadow = f"@shadow_{f.name}_{buffer.name}"
        extent = buffer.among if isinstance(buffer, Region) else buffer.extent
        f.module.declare(f"{shadow} = global [{max(extent or 0, 1)} x i8] zeroinitializer")
        if isinstance(buffer, Region):
            return f.emit_name(f"getelementptr i8, ptr {shadow}, i64 {offset_name(buffer.first)}")
        return shadow

    @property
    def checks(self) -> int:
        """How many accesses are checked."""
        return len(self._sites)

    def verify(self, code: Code) -> None:
        """Raises `KernelError` if a check failed since the code was loaded."""
        found = (ctypes.c_int64 * 3)()
        code.function("read_report", 1)(ctypes.addressof(found))
        site_number, reason, position = found
        if site_number:
            site = self._sites[site_number - 1]
            verb = "store" if site.writes else "load"
            lanes = site.lanes if isinstance(site.lanes, int) else "some"
            extent = "those of its member" if isinstance(site.buffer, Region) else site.buffer.extent
            raise KernelError(
                f"{site.function}: a {verb} of {lanes} elements of {site.buffer.name!r} "
                f"at {position} of {extent} {_REASONS[reason]}"
            )


def _declare_runtime(module: Module) -> None:
    if "read_report" in module.functions:
        return
    reader = module.function("read_report", [Buffer("into", I64)])
    reader.line("%report = load <3 x i64>, ptr @report, align 8")
    reader.line("store <3 x i64> %report, ptr %into, align 8")
    module.declare(_RUNTIME)


# Keeps the first failure only: site, reason and position (in elements).
_RUNTIME = f"""
@report = global [3 x i64] zeroinitializer
define internal void @fail(i64 %site, i64 %reason, i64 %position) {{
  %won = cmpxchg ptr @report, i64 0, i64 %site seq_cst seq_cst
  %first = extractvalue {{ i64, i1 }} %won, 1
  br i1 %first, label %write, label %done
write:
  %where = getelementptr i64, ptr @report, i64 1
  store i64 %reason, ptr %where
  %there = getelementptr i64, ptr @report, i64 2
  store i64 %position, ptr %there
  br label %done
done:
  ret void
}}
define internal void @check_access(ptr %address, ptr %base, i64 %bytes, i64 %count,
    i64 %extent, i64 %alignment, ptr %shadow, i64 %site) {{
  %a = ptrtoint ptr %address to i64
  %b = ptrtoint ptr %base to i64
  %distance = sub i64 %a, %b
  %position = sdiv i64 %distance, %bytes
  %end = add i64 %position, %count
  %below = icmp slt i64 %position, 0
  %above = icmp sgt i64 %end, %extent
  %outside = or i1 %below, %above
  br i1 %outside, label %bounds, label %inside
bounds:
  call void @fail(i64 %site, i64 {_OUT_OF_BOUNDS}, i64 %position)
  ret void
inside:
  %some = icmp eq i64 %alignment, 0
  %modulus = select i1 %some, i64 1, i64 %alignment
  %odd = urem i64 %a, %modulus
  %straight = icmp eq i64 %odd, 0
  br i1 %straight, label %aligned, label %misaligned
misaligned:
  call void @fail(i64 %site, i64 {_MISALIGNED}, i64 %position)
  ret void
aligned:
  %unshadowed = icmp eq ptr %shadow, null
  br i1 %unshadowed, label %done, label %loop
loop:
  %i = phi i64 [ %position, %aligned ], [ %next, %step ]
  %mark = getelementptr i8, ptr %shadow, i64 %i
  %old = atomicrmw add ptr %mark, i8 1 seq_cst
  %fresh = icmp eq i8 %old, 0
  br i1 %fresh, label %step, label %twice
twice:
  call void @fail(i64 %site, i64 {_TWICE}, i64 %position)
  ret void
step:
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""
