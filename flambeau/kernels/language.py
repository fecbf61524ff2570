"""The kernel language: functions, counted loops, vectors and scalars, written as LLVM IR text.

A kernel is a Python function that *emits*: running it once writes the program. Python numbers
are constants, `Value`s live in registers, `Index`es address memory and drive loops, `Pointer`s
load and store. What is a Python number at emission is folded; a Python `for` unrolls, `f.range`
loops:

    module = Module()
    f = module.function("axpy", [Buffer("x", F32, n), Buffer("y", F32, n)], ["begin", "end"])
    x, y = f.buffers
    begin, end = f.indices
    with f.range(begin, end, step=16) as i:
        ((x + i).load(16) * 2.0 + (y + i).load(16)).store(y + i)

The text goes to LLVM as it stands: no IR passes run over it (see `jit.py`), so what is written
here is what is executed, register allocation and instruction selection aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Union

from flambeau.kernels.element import BF16, BOOL, F16, F32, I8, I32, I64, U16, U32, Element
from flambeau.kernels.equal import texts
from flambeau.kernels.target import Target, host

Number = int | float | bool
Offset = Union[int, "Index"]


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


class Loop:
    """A counted loop that carries values from one turn to the next."""

    def __init__(self, values: Sequence[Value]):
        self.index: Offset = 0
        self.values: list[Value] = list(values)
        self.results: list[Value] = list(values)
        self._next: list[Value] | None = None

    def next(self, values: Sequence[Value]) -> None:
        """The values of the next turn, and of `results` after the last."""
        self._next = list(values)

    def _taken(self) -> list[Value]:
        if not self.values:
            return []
        if self._next is None or len(self._next) != len(self.values):
            raise ValueError("a loop that carries values must hand each of them on with next()")
        return self._next


class Branch:
    """A conditional block; `results` are `given` values if it ran, `otherwise` if not."""

    def __init__(self, otherwise: Sequence[Value]):
        self.results: list[Value] = list(otherwise)
        self._given: list[Value] = []

    def give(self, values: Sequence[Value]) -> None:
        self._given = list(values)


class Spin:
    """A loop without end: `turn` counts, `leave_if` leaves."""

    def __init__(self, f: Function, after: str, turn: Index):
        self._f, self._after, self.turn = f, after, turn

    def leave_if(self, condition: Value) -> None:
        on = self._f._label("on")
        self._f.line(f"br i1 {condition.name}, label %{self._after}, label %{on}")
        self._f._start_block(on)


class Function:
    """A function being written. `buffers` are its pointers, `indices` its 64-bit arguments."""

    def __init__(
        self, module: Module, name: str, buffers: Sequence[Buffer], indices: Sequence[str],
        internal: bool,
    ):  # fmt: skip
        self.module, self.target, self.name = module, module.target, name
        self.lines: list[str] = []
        self._count = 0
        self._block = "entry"
        self._splats: dict[tuple[str, str, int], Value] = {}
        self.is_internal = internal
        attribute = {True: " noalias", False: ""}
        self.parameters = [f"ptr{attribute[b.alone]} %{b.name}" for b in buffers]
        self.parameters += [f"i64 %{i}" for i in indices]
        self.buffers = [Pointer(self, f"%{b.name}", b.element, 0, b) for b in buffers]
        self.indices = [Index(self, f"%{i}") for i in indices]

    # Emission ---------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def emit_name(self, text: str) -> str:
        self._count += 1
        name = f"%t{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def emit(self, text: str, element: Element, lanes: int = 1) -> Value:
        return Value(self, self.emit_name(text), element, lanes)

    def _label(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _start_block(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self._block = label
        self._splats.clear()

    @property
    def head(self) -> str:
        """What stands before its name."""
        return "internal " if self.is_internal else ""

    # Loops and branches -----------------------------------------------------------------------

    @contextmanager
    def loop(
        self, start: Offset, stop: Offset, step: int = 1, carry: Sequence[Value] = (),
    ) -> Iterator[Loop]:  # fmt: skip
        """Counts `index` from `start` to `stop`, with `values` carried from turn to turn.

        The step must divide the distance. A loop known to turn once is written straight.
        """
        loop = Loop(carry)
        fixed = isinstance(start, int) and isinstance(stop, int)
        if fixed and (stop - start) % step:
            raise ValueError(f"{self.name}: step {step} does not divide {stop - start}")
        if fixed and stop - start == step:
            loop.index = start
            yield loop
            loop.results = loop._taken()
            return
        before, body, after = self._block, self._label("loop"), self._label("done")
        begin, end = offset_name(start), offset_name(stop)
        if fixed and start < stop:
            self.line(f"br label %{body}")
        else:
            some = self.emit_name(f"icmp slt i64 {begin}, {end}")
            self.line(f"br i1 {some}, label %{body}, label %{after}")
        self._start_block(body)
        counter = self._new_name()
        loop.index = Index(self, counter)
        loop.values = [Value(self, self._new_name(), v.element, v.lanes) for v in carry]
        place = len(self.lines)
        yield loop
        taken, last = loop._taken(), self._block
        following = self.emit_name(f"add nuw nsw i64 {counter}, {step}")
        again = self.emit_name(f"icmp slt i64 {following}, {end}")
        phis = [f"  {counter} = phi i64 [ {begin}, %{before} ], [ {following}, %{last} ]"]
        for inside, first, next_ in zip(loop.values, carry, taken, strict=True):
            phis.append(
                f"  {inside.name} = phi {inside.type} [ {first.name}, %{before} ], "
                f"[ {next_.name}, %{last} ]"
            )
        self.lines[place:place] = phis
        self.line(f"br i1 {again}, label %{body}, label %{after}")
        self._start_block(after)
        loop.results = taken
        if not (fixed and start < stop):
            loop.results = [
                self.emit(
                    f"phi {a.type} [ {a.name}, %{before} ], [ {b.name}, %{last} ]",
                    a.element,
                    a.lanes,
                )
                for a, b in zip(carry, taken, strict=True)
            ]

    def _new_name(self) -> str:
        self._count += 1
        return f"%t{self._count}"

    @contextmanager
    def range(self, start: Offset, stop: Offset, step: int = 1) -> Iterator[Offset]:
        """A counted loop that carries nothing; gives its index."""
        with self.loop(start, stop, step) as loop:
            yield loop.index

    def tiles(self, count: int, size: int) -> Iterator[tuple[Offset, int]]:
        """Covers `range(count)` with tiles of at most `size`, as equal as can be.

        Gives (start, size) once for each size: a loop over the larger tiles, then the smaller.
        """
        number = -(-count // size)
        small, larger = divmod(count, number)
        start = 0
        for tiles, width in ((larger, small + 1), (number - larger, small)):
            if tiles and width:
                with self.range(0, tiles) as tile:
                    yield tile * width + start, width
                start += tiles * width

    def blocks(self, count: int, size: int) -> Iterator[tuple[Offset, int]]:
        """Covers `range(count)` with blocks of `size` and one shorter block for what is
        left."""
        whole, rest = divmod(count, size)
        if whole:
            with self.range(0, whole) as block:
                yield block * size, size
        if rest:
            yield whole * size, rest

    @contextmanager
    def when(self, condition: Value, otherwise: Sequence[Value] = ()) -> Iterator[Branch]:
        """Runs the block if `condition`; `branch.results` merges given and `otherwise`
        values."""
        branch = Branch(otherwise)
        before, inside, after = self._block, self._label("then"), self._label("end")
        self.line(f"br i1 {condition.name}, label %{inside}, label %{after}")
        self._start_block(inside)
        yield branch
        last = self._block
        self.line(f"br label %{after}")
        self._start_block(after)
        branch.results = [
            self.emit(
                f"phi {a.type} [ {a.name}, %{before} ], [ {b.name}, %{last} ]",
                a.element,
                a.lanes,
            )
            for a, b in zip(otherwise, branch._given, strict=True)
        ]

    @contextmanager
    def forever(self) -> Iterator[Spin]:
        """Repeats the block until `leave_if` is called with a true value."""
        before, body, after = self._block, self._label("again"), self._label("out")
        self.line(f"br label %{body}")
        self._start_block(body)
        counter = self._new_name()
        place = len(self.lines)
        yield Spin(self, after, Index(self, counter))
        following = self.emit_name(f"add nsw i64 {counter}, 1")
        phi = f"  {counter} = phi i64 [ 0, %{before} ], [ {following}, %{self._block} ]"
        self.lines.insert(place, phi)
        self.line(f"br label %{body}")
        self._start_block(after)

    def pause(self) -> None:
        """Tells the processor that this is a waiting loop."""
        if self.target.is_x86:
            self.module.declare("declare void @llvm.x86.sse2.pause()")
            self.line("call void @llvm.x86.sse2.pause()")
        elif self.target.is_aarch64:
            self.module.declare("declare void @llvm.aarch64.hint(i32)")
            self.line("call void @llvm.aarch64.hint(i32 1)")

    def forget_instructions(self) -> None:
        """Drops what this core has fetched of code ahead of time: to be done before it runs what another core wrote."""
        if self.target.is_aarch64:  # elsewhere a core sees other cores' writes to code by itself
            self.module.declare("declare void @llvm.aarch64.isb(i32)")
            self.line("call void @llvm.aarch64.isb(i32 15)")

    def yield_processor(self) -> None:
        """Lets another thread of the system run, where the C library has a call for it."""
        if "windows" not in self.target.triple:
            self.module.declare("declare i32 @sched_yield()")
            self.emit_name("call i32 @sched_yield()")

    def call(self, function: str | Pointer, arguments: Sequence[Pointer | Offset]) -> None:
        """Calls a function of the same module, or the one at an address."""
        name = f"@{function}" if isinstance(function, str) else function.name
        parts = [
            f"ptr {a.name}" if isinstance(a, Pointer) else f"i64 {offset_name(a)}"
            for a in arguments
        ]
        self.line(f"call void {name}({', '.join(parts)})")

    def call_extern(self, name: str, *arguments: Value) -> Value:
        """Calls a C library function of one element type, as `erf(x)`, on scalars."""
        kind = arguments[0].type
        self.module.declare(f"declare {kind} @{name}({', '.join(kind for _ in arguments)})")
        values = ", ".join(f"{a.type} {a.name}" for a in arguments)
        return self.emit(f"call {kind} @{name}({values})", arguments[0].element)

    # Making values ----------------------------------------------------------------------------

    def constant(self, number: Number, element: Element, lanes: int = 1) -> Value:
        text = element.literal(number)
        if lanes > 1:
            text = f"splat ({element.ir} {text})"
        return Value(self, text, element, lanes)

    def constant_like(self, number: Value | Index | Number, like: Value) -> Value:
        if isinstance(number, Index):
            return number.value(like.element)
        return self.constant(number, like.element, like.lanes)

    def constant_of(self, number: Value | Index | Number, element: Element) -> Value:
        """A scalar of that element from a number, an index, or a value that is one already."""
        if isinstance(number, Value):
            return number
        if isinstance(number, Index):
            return number.value(element)
        return self.constant(number, element)

    def position(self, offset: Offset) -> Index:
        """An offset as an index, also where it is a plain number."""
        return Index(self, str(offset)) if isinstance(offset, int) else offset

    def zero(self, element: Element, lanes: int = 1) -> Value:
        return self.constant(0, element, lanes)

    def first(self, count: Index, lanes: int) -> Chosen:
        """The first `count` lanes."""
        return Chosen(self.iota(I32, lanes) < self.splat(count.value(I32), lanes))

    def iota(self, element: Element, lanes: int) -> Value:
        """The vector 0, 1, 2, ..."""
        if lanes == 1:
            return self.constant(0, element)
        numbers = ", ".join(f"{element.ir} {element.literal(i)}" for i in range(lanes))
        return Value(self, f"<{numbers}>", element, lanes)

    def splat(self, value: Value, lanes: int) -> Value:
        """A scalar in every lane; a vector of that width as it is."""
        if value.lanes == lanes:
            return value
        if value.lanes != 1:
            raise TypeError(f"a vector of {value.lanes} lanes where {lanes} are wanted")
        if not value.name.startswith("%"):
            text = f"splat ({value.type} {value.name})"
            return Value(self, text, value.element, lanes)
        key = (value.name, value.element.ir, lanes)
        if key not in self._splats:
            kind = vector_type(value.element.ir, lanes)
            first = self.emit_name(
                f"insertelement {kind} poison, {value.type} {value.name}, i64 0"
            )
            spread = self.emit(
                f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer",
                value.element, lanes,
            )  # fmt: skip
            self._splats[key] = spread
        return self._splats[key]

    def vector(self, scalars: Sequence[Value], lanes: int) -> Value:
        """A vector of these scalars; lanes beyond them are zero."""
        element = scalars[0].element
        kind = vector_type(element.ir, lanes)
        name = "zeroinitializer" if len(scalars) < lanes else "poison"
        for lane, scalar in enumerate(scalars):
            name = self.emit_name(
                f"insertelement {kind} {name}, {scalar.type} {scalar.name}, i64 {lane}"
            )
        return Value(self, name, element, lanes)

    def extract(self, value: Value, lane: int) -> Value:
        if value.lanes == 1:
            return value
        return self.emit(f"extractelement {value.type} {value.name}, i64 {lane}", value.element)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes picked from `a` (0, 1, ...) and then `b`."""
        lanes = list(lanes)
        if len(lanes) == 1:
            return self.extract(
                *((a, lanes[0]) if lanes[0] < a.lanes else (b, lanes[0] - a.lanes))
            )
        picks = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.emit(
            f"shufflevector {a.type} {a.name}, {b.type} {b.name}, "
            f"<{len(lanes)} x i32> <{picks}>",
            a.element, len(lanes),
        )  # fmt: skip

    def table(self, numbers: Sequence[int]) -> Pointer:
        """Whole numbers in the program's constant memory."""
        content = ", ".join(f"i64 {n}" for n in numbers)
        name = f"@table_{len(numbers)}_{sha256(content.encode()).hexdigest()[:16]}"
        kind = f"[{len(numbers)} x i64]"
        self.module.declare(f"{name} = internal constant {kind} [{content}], align 8")
        return Pointer(self, name, I64)

    def function_table(self, names: Sequence[str]) -> Pointer:
        """The addresses of functions of this module in the program's constant memory."""
        name, kind = f"@functions_{self.name}", f"[{len(names)} x ptr]"
        texts = ", ".join(f"ptr @{n}" for n in names)
        self.module.declare(f"{name} = internal constant {kind} [{texts}], align 8")
        return Pointer(self, name, I64)

    def local(self, count: int, element: Element) -> Pointer:
        """Memory for so many elements while this function runs. To be asked for before any loop."""
        return Pointer(self, self.emit_name(f"alloca [{count} x {element.stored}], align 16"), element)

    def opaque(self, pointer: Pointer) -> Pointer:
        """The same address, of which LLVM knows nothing: keeps it from hoisting loads."""
        hidden = self.emit_name(f'call ptr asm sideeffect "", "=r,0"(ptr {pointer.name})')
        return Pointer(self, hidden, pointer.element, 0, pointer.buffer)

    # Arithmetic -------------------------------------------------------------------------------

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """An LLVM intrinsic whose arguments and result have one type."""
        kind, first = arguments[0].type, arguments[0]
        full = f"@llvm.{name}.{_suffix(first)}"
        self.module.declare(f"declare {kind} {full}({', '.join(kind for _ in arguments)})")
        values = ", ".join(f"{kind} {a.name}" for a in arguments)
        return self.emit(f"call {kind} {full}({values})", first.element, first.lanes)

    def fma(self, a: Value, b: Value | Number, c: Value | Number) -> Value:
        """a * b + c, rounded once where the processor can."""
        a, b = a._pair(b)
        a, c = a._pair(c)
        b = self.splat(b, a.lanes)
        if not self.target.has_fma:
            return a * b + c
        return self.intrinsic("fma", a, b, c)

    def scale(self, x: Value, n: Value) -> Value:
        """x * 2^n for a whole number n."""
        n = self.convert(n, I32)
        full = f"@llvm.ldexp.{_suffix(x)}.{_suffix(n)}"
        self.module.declare(f"declare {x.type} {full}({x.type}, {n.type})")
        return self.emit(f"call {x.type} {full}({x.type} {x.name}, {n.type} {n.name})", x.element, x.lanes)

    def select(self, condition: Value, a: Value | Number, b: Value | Number) -> Value:
        if not isinstance(a, Value):
            assert isinstance(b, Value)
            a = self.constant_like(a, b)
        a, b = a._pair(b)
        lanes = max(a.lanes, condition.lanes)
        a, b = self.splat(a, lanes), self.splat(b, lanes)
        mask = self.splat(condition, lanes) if lanes > 1 else condition
        text = f"select {mask.type} {mask.name}, {a.type} {a.name}, {b.type} {b.name}"
        return self.emit(text, a.element, lanes)

    def maximum(self, a: Value, b: Value | Number) -> Value:
        """The larger; NaN if either is NaN."""
        a, b = a._pair(b)
        if a.element.is_float:
            return self.select((a > b) | a.is_nan(), a, b)
        return self.select(a > b, a, b)

    def minimum(self, a: Value, b: Value | Number) -> Value:
        """The smaller; NaN if either is NaN."""
        a, b = a._pair(b)
        if a.element.is_float:
            return self.select((a < b) | a.is_nan(), a, b)
        return self.select(a < b, a, b)

    def fold(self, value: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """All lanes combined into one, in pairs half a vector apart."""
        lanes = value.lanes
        while lanes > 1:
            lanes //= 2
            low = self.shuffle(value, value, range(lanes))
            high = self.shuffle(value, value, range(lanes, 2 * lanes))
            value = combine(low, high)
        return value

    def any(self, mask: Value) -> Value:
        """Whether a lane is true."""
        if mask.lanes == 1:
            return mask
        bits = f"i{mask.lanes}"
        packed = self.emit_name(f"bitcast {mask.type} {mask.name} to {bits}")
        return self.emit(f"icmp ne {bits} {packed}, 0", BOOL)

    # Conversions ------------------------------------------------------------------------------

    def convert(self, value: Value, element: Element) -> Value:
        """To another element type, as C casts; to bool: whether not zero."""
        source, target = value.element, element.computed
        if source == target:
            return value if element == target else self._round_trip(value, element)
        if target is BOOL:
            return value.ne(0)
        if source.is_float and not target.is_float and target.bytes < 4:
            # What does not fit wraps around; asked for it at once, LLVM may limit it to the ends of the range instead.
            return self.convert(self.convert(value, I32), target)
        code = self._conversion(source, target)
        if code is None:
            return Value(self, value.name, target, value.lanes)
        kind = vector_type(target.ir, value.lanes)
        result = self.emit(f"{code} {value.type} {value.name} to {kind}", target, value.lanes)
        return result if element == target else self._round_trip(result, element)

    @staticmethod
    def _conversion(source: Element, target: Element) -> str | None:
        if source.is_float and target.is_float:
            return "fpext" if target.bytes > source.bytes else "fptrunc"
        if source.is_float:
            return "fptosi" if target.kind == "signed" else "fptoui"
        if target.is_float:
            return "sitofp" if source.kind == "signed" else "uitofp"
        if source is BOOL or target.bytes > source.bytes:
            return "sext" if source.kind == "signed" else "zext"
        return "trunc" if target.bytes < source.bytes else None

    def _round_trip(self, value: Value, element: Element) -> Value:
        """An f32 rounded to what a half-width float can hold."""
        return self.widen(self.narrow(value, element), element, value.lanes)

    def bitcast(self, value: Value, element: Element) -> Value:
        kind = vector_type(element.ir, value.lanes)
        return self.emit(f"bitcast {value.type} {value.name} to {kind}", element, value.lanes)

    def widen(self, stored: str, element: Element, lanes: int) -> Value:
        """From the memory form (a register name) to the computed form."""
        kind = vector_type(element.stored, lanes)
        if element is BOOL:
            return self.emit(f"icmp ne {kind} {stored}, {zero_of(lanes)}", BOOL, lanes)
        if element is BF16:
            bits = self.convert(Value(self, stored, U16, lanes), U32) << 16
            return self.bitcast(bits, F32)
        if element is F16:
            if self.target.has_half:
                half = self.emit_name(
                    f"bitcast {kind} {stored} to {vector_type('half', lanes)}"
                )
                wide = vector_type("float", lanes)
                return self.emit(
                    f"fpext {vector_type('half', lanes)} {half} to {wide}", F32, lanes
                )
            return self._half_to_float(Value(self, stored, U16, lanes))
        return Value(self, stored, element, lanes)

    def narrow(self, value: Value, element: Element) -> str:
        """From the computed form to the memory form, rounding to nearest even."""
        lanes = value.lanes
        kind = vector_type(element.stored, lanes)
        if value.element.ir != element.computed.ir:
            raise TypeError(
                f"{self.name}: storing {value.element} as {element}; convert it first"
            )
        if element is BOOL:
            return self.emit_name(f"zext {value.type} {value.name} to {kind}")
        if element is BF16:
            bits = self.bitcast(value, U32)
            rounded = bits + 0x7FFF + ((bits >> 16) & 1)
            kept = self.select(value.is_nan(), bits | 0x400000, rounded)
            return self.convert(kept >> 16, U16).name
        if element is F16:
            if self.target.has_half:
                narrow = vector_type("half", lanes)
                half = self.emit_name(f"fptrunc {value.type} {value.name} to {narrow}")
                return self.emit_name(f"bitcast {narrow} {half} to {kind}")
            return self._float_to_half(value).name
        return value.name

    def _half_to_float(self, half: Value) -> Value:
        bits = self.convert(half, U32)
        magnitude = (bits & 0x7FFF) << 13
        scaled = self.bitcast(magnitude, F32) * 2.0**112
        special = (bits & 0x7C00).eq(0x7C00)
        infinite = self.bitcast(magnitude | 0x7F800000, F32)
        result = self.bitcast(self.select(special, infinite, scaled), U32)
        return self.bitcast(result | ((bits & 0x8000) << 16), F32)

    def _float_to_half(self, value: Value) -> Value:
        bits = self.bitcast(value, U32)
        sign, magnitude = bits & 0x80000000, bits & 0x7FFFFFFF
        # Normal numbers: rebias the exponent, round to nearest even on the 13 bits that go.
        normal = (magnitude - 0x38000000 + 0xFFF + ((magnitude >> 13) & 1)) >> 13
        # Small numbers: adding 0.5 leaves the subnormal half in the low bits, rounded.
        small = self.bitcast(self.bitcast(magnitude, F32) + 0.5, U32) - 0x3F000000
        half = self.select(magnitude < 0x38800000, small, normal)
        half = self.select(magnitude >= 0x47800000, 0x7C00, half)
        half = self.select(magnitude > 0x7F800000, 0x7E00, half)
        return self.convert(half | (sign >> 16), U16)

    # Checked builds ---------------------------------------------------------------------------

    def check_access(
        self, pointer: Pointer, lanes: int, aligned: bool, mask: Mask | Chosen | None, writes: bool
    ) -> None:
        checker, buffer = self.module.checker, pointer.buffer
        if checker is not None and buffer is not None:
            checker(self, pointer, mask.active if mask else lanes, lanes * aligned, writes)


class Module:
    """Functions that are compiled together.

    Args:
        target: the processor; the machine at hand by default.
        checker: called at every access while emitting (see `checker.py`).
    """

    def __init__(
        self,
        target: Target | None = None,
        checker: Callable[[Function, Pointer, Offset, int, bool], None] | None = None,
    ):
        self.target = target or host()
        self.checker = checker
        self.functions: dict[str, Function] = {}
        self._declarations: dict[str, None] = {}

    def function(
        self, name: str, buffers: Sequence[Buffer], indices: Sequence[str] = (),
        internal: bool = False,
    ) -> Function:  # fmt: skip
        """Starts a function; its name must be new in the module."""
        if name in self.functions:
            raise ValueError(f"module already has a function {name!r}")
        f = Function(self, name, buffers, indices, internal)
        self.functions[name] = f
        return f

    def declare(self, text: str) -> None:
        """A declaration or global of the module, written once."""
        self._declarations[text] = None

    def pieces(self) -> tuple[list[str], dict[str, str], str]:
        """Declarations and constants, the text of each function by its name, and what ends a module."""
        bits = 8 * self.target.vector_bytes
        attributes = (
            f'attributes #0 = {{ nounwind "prefer-vector-width"="{bits}" '
            f'"min-legal-vector-width"="{bits}" }}\n'
        )
        return [*self._declarations], dict(zip(self.functions, texts(self.functions.values()), strict=True)), attributes

    def text(self) -> str:
        declarations, functions, attributes = self.pieces()
        return "\n".join([*declarations, "", *functions.values(), attributes])


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


def _suffix(value: Value) -> str:
    short = short_type(value.element.ir)
    return short if value.lanes == 1 else f"v{value.lanes}{short}"
