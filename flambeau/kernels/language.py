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

Values are in `values.py`, buffers and pointers in `memory.py`, loops and branches in `control.py`; here are the
functions that make them, and modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

from flambeau.kernels.control import Branch, Loop, Spin
from flambeau.kernels.element import BF16, BOOL, F16, F32, I32, I64, U16, U32, Element
from flambeau.kernels.equal import texts
from flambeau.kernels.memory import Buffer, Chosen, Mask, Pointer, Region
from flambeau.kernels.target import Target, host
from flambeau.kernels.values import (
    Index,
    Number,
    Offset,
    Value,
    offset_name,
    suffix_of,
    vector_type,
    zero_of,
)

__all__ = [
    "Branch", "Buffer", "Chosen", "Function", "Index", "Loop", "Mask", "Module", "Number", "Offset", "Pointer",
    "Region", "Spin", "Value", "offset_name",
]  # fmt: skip


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
        full = f"@llvm.{name}.{suffix_of(first)}"
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
        full = f"@llvm.ldexp.{suffix_of(x)}.{suffix_of(n)}"
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
