"""Memory in the kernel language: the buffers of a kernel, pointers that load and store, and masks of what they touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flambeau.kernels.element import BOOL, I8, I64, Element
from flambeau.kernels.values import (
    Index,
    Offset,
    Value,
    short_type,
    vector_type,
)

if TYPE_CHECKING:
    from flambeau.kernels.language import Function


@dataclass(frozen=True)
class Buffer:
    """A memory argument of a kernel.

    Attributes:
        name: of the parameter.
        element: what it holds.
        extent: how many elements may be touched, counted from the pointer; None if not known.
        alone: no other argument overlaps it (lets LLVM move loads over stores).
        once: every element is written at most once; checked builds test it.
    """

    name: str
    element: Element
    extent: int | None = None
    alone: bool = False
    once: bool = False


@dataclass(frozen=True)
class Region(Buffer):
    """Memory whose place a kernel reads while it runs. Regions of one name together are written once.

    Attributes:
        base: the register that holds its address.
        size: how many elements may be touched.
        first: where its elements begin among those of all regions of this name.
        among: how many these are.
    """

    base: str = ""
    size: Offset = 0
    first: Offset = 0
    among: int = 0


@dataclass(frozen=True)
class Mask:
    """The first `active` lanes of a vector: how the last, short vector of a row is handled."""

    active: Offset
    lanes: int

    @property
    def name(self) -> str:
        if isinstance(self.active, Index):
            f = self.active.f
            return (f.iota(I64, self.lanes) < f.splat(self.active.value(), self.lanes)).name
        bits = ["i1 true" if lane < self.active else "i1 false" for lane in range(self.lanes)]
        return f"<{', '.join(bits)}>"


class Chosen:
    """The lanes of a vector where a condition holds, found out as the kernel runs; checked builds do not know them."""

    __slots__ = ("condition",)
    active = 0

    def __init__(self, condition: Value):
        self.condition = condition

    @property
    def name(self) -> str:
        return self.condition.name


class Pointer:
    """An address in a buffer: a register plus a constant number of elements."""

    __slots__ = ("base", "buffer", "constant", "element", "f")

    def __init__(
        self, f: Function, base: str, element: Element, constant: int = 0,
        buffer: Buffer | None = None,
    ):  # fmt: skip
        self.f, self.base, self.element = f, base, element
        self.constant, self.buffer = constant, buffer

    def __add__(self, offset: Offset) -> Pointer:
        if isinstance(offset, int):
            base, constant = self.base, self.constant + offset
        else:
            base = self._element_address(offset.base)
            constant = self.constant + offset.constant
        return Pointer(self.f, base, self.element, constant, self.buffer)

    def _element_address(self, offset: str) -> str:
        stored = self.element.stored
        return self.f.emit_name(
            f"getelementptr inbounds {stored}, ptr {self.base}, i64 {offset}"
        )

    @property
    def name(self) -> str:
        """A register that holds the address."""
        return self._element_address(str(self.constant)) if self.constant else self.base

    def as_elements(self, element: Element) -> Pointer:
        """The same address, seen as holding another element type."""
        return Pointer(self.f, self.name, element, 0, None)

    def load(self, lanes: int = 1, aligned: bool = False, mask: Mask | Chosen | None = None) -> Value:
        """`lanes` elements from here, as they are computed; lanes beyond the mask are zero."""
        f, element = self.f, self.element
        f.check_access(self, lanes, aligned, mask, writes=False)
        kind, address = vector_type(element.stored, lanes), self.name
        alignment = lanes * element.bytes if aligned else element.bytes
        if mask is None or mask.active == lanes:
            text = f"load {kind}, ptr {address}, align {alignment}"
        else:
            intrinsic = f"@llvm.masked.load.v{lanes}{short_type(element.stored)}.p0"
            mask_type = vector_type("i1", lanes)
            f.module.declare(f"declare {kind} {intrinsic}(ptr, i32, {mask_type}, {kind})")
            text = (
                f"call {kind} {intrinsic}(ptr {address}, i32 {alignment}, "
                f"{mask_type} {mask.name}, {kind} zeroinitializer)"
            )
        return f.widen(f.emit_name(text), element, lanes)

    def prefetch(self) -> None:
        """Asks for the cache line at this address, which need not exist."""
        self.f.module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.f.line(f"call void @llvm.prefetch.p0(ptr {self.name}, i32 0, i32 3, i32 1)")

    def load_address(self) -> Pointer:
        """The address that stands here."""
        return Pointer(self.f, self.f.emit_name(f"load ptr, ptr {self.name}, align 8"), I8)

    def broadcast(self, lanes: int) -> Value:
        """One element from here in every lane."""
        return self.f.splat(self.load(), lanes)

    def store(self, value: Value, aligned: bool = False, mask: Mask | Chosen | None = None) -> None:
        f, element, lanes = self.f, self.element, value.lanes
        f.check_access(self, lanes, aligned, mask, writes=True)
        stored = f.narrow(value, element)
        kind, address = vector_type(element.stored, lanes), self.name
        alignment = lanes * element.bytes if aligned else element.bytes
        if mask is None or mask.active == lanes:
            f.line(f"store {kind} {stored}, ptr {address}, align {alignment}")
            return
        intrinsic = f"@llvm.masked.store.v{lanes}{short_type(element.stored)}.p0"
        mask_type = vector_type("i1", lanes)
        f.module.declare(f"declare void {intrinsic}({kind}, ptr, i32, {mask_type})")
        f.line(
            f"call void {intrinsic}({kind} {stored}, ptr {address}, i32 {alignment}, "
            f"{mask_type} {mask.name})"
        )

    def load_strided(self, stride: int, lanes: int, active: int | None = None) -> Value:
        """Elements `stride` apart; stride 0 broadcasts, stride 1 loads a vector."""
        active = lanes if active is None else active
        if stride == 0 or lanes == 1:
            return self.broadcast(lanes)
        if stride == 1:
            return self.load(lanes, mask=Mask(active, lanes) if active < lanes else None)
        if stride in (2, 4) and lanes >= 4:
            return self._load_every(stride, lanes, active)
        scalars = [(self + lane * stride).load() for lane in range(active)]
        return self.f.vector(scalars, lanes)

    def _load_every(self, stride: int, lanes: int, active: int) -> Value:
        """Every second or fourth element, from whole vectors."""
        f, wanted = self.f, (active - 1) * stride + 1
        vectors = []
        for first in range(0, stride * lanes, lanes):
            there = min(lanes, wanted - first)
            mask = Mask(there, lanes) if there < lanes else None
            has_some = there > 0
            vectors.append(
                (self + first).load(lanes, mask=mask)
                if has_some
                else f.zero(self.element.computed, lanes)
            )
        while len(vectors) > 1:
            evens = range(0, 2 * lanes, 2)
            vectors = [
                f.shuffle(a, b, evens) for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        return vectors[0]

    def store_strided(self, value: Value, stride: int, active: int | None = None) -> None:
        """Stores the first `active` lanes `stride` elements apart."""
        active = value.lanes if active is None else active
        if stride == 1 or value.lanes == 1:
            masked = active < value.lanes
            self.store(value, mask=Mask(active, value.lanes) if masked else None)
            return
        for lane in range(active):
            (self + lane * stride).store(self.f.extract(value, lane))

    def atomic_load(self) -> Value:
        kind, size = self.element.stored, self.element.bytes
        text = f"load atomic {kind}, ptr {self.name} seq_cst, align {size}"
        return self.f.emit(text, self.element)

    def atomic_store(self, value: Value | int) -> None:
        value = self.f.constant_of(value, self.element)
        size = self.element.bytes
        self.f.line(
            f"store atomic {value.type} {value.name}, ptr {self.name} seq_cst, align {size}"
        )

    def atomic_add(self, value: Value | int) -> Value:
        """Adds, and returns what was there before."""
        value = self.f.constant_of(value, self.element)
        text = f"atomicrmw add ptr {self.name}, {value.type} {value.name} seq_cst"
        return self.f.emit(text, self.element)

    def atomic_swap(self, expected: Value | int, value: Value | int) -> Value:
        """Puts `value` where `expected` stands; true if it did."""
        kind = self.element.stored
        old, new = (self.f.constant_of(v, self.element) for v in (expected, value))
        pair = self.f.emit_name(
            f"cmpxchg ptr {self.name}, {kind} {old.name}, {kind} {new.name} seq_cst seq_cst"
        )
        return self.f.emit(f"extractvalue {{ {kind}, i1 }} {pair}, 1", BOOL)

    def atomic_exchange(self, value: Value | int) -> Value:
        """Puts `value` here, and returns what was there before."""
        value = self.f.constant_of(value, self.element)
        text = f"atomicrmw xchg ptr {self.name}, {value.type} {value.name} seq_cst"
        return self.f.emit(text, self.element)
