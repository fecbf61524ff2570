"""The random generator's streams: the Mersenne Twister's words, and what distributions make of them.

The twister (Matsumoto and Nishimura, ACM TOMACS 1998) makes 624 words from the 624 before. Word `k` needs the old words
`k`, `k + 1` and `k + 397`, of which the last is new already from `k = 227` on; so a vector of neighbours is made at a
time, as long as the first new words also stand behind the old ones.

A kernel of this file draws from such a stream and transforms what it drew while that is in the first cache, 32 words at
a time (`GROUP`): how a distribution makes numbers of these is one function here, with the roundings of PyTorch's code,
so the bits are the same for any width of vectors. `flambeau.core.generator` says what draws what.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from flambeau.core import box_muller
from flambeau.core.memory import address
from flambeau.kernels import jit, mathfn
from flambeau.kernels.element import F32, F64, I32, I64, U32, U64, Element, element_of
from flambeau.kernels.language import Buffer, Function, Index, Module, Offset, Pointer, Value

STATE = 624
_AHEAD = 397
#: Words that are transformed at a time: two blocks of 16 floats, or one of 16 doubles.
GROUP = 32
_TURN = 2 * math.pi

Vectors = Iterable[Value]


@dataclass(frozen=True)
class Given:
    """What a distribution makes its numbers of: a group of words, parameters in every lane, and for some an array."""

    f: Function
    words: Pointer
    parameters: Sequence[Pointer]
    source: Pointer
    element: Element

    def parameter(self, place: int, element: Element, lanes: int) -> Value:
        """A parameter, which is stored as a double."""
        return self.f.splat(self.f.convert(self.parameters[place].load(), element.computed), lanes)

    def whole(self, place: int, element: Element, lanes: int) -> Value:
        """A parameter that is stored as 64 bits."""
        return self.parameters[place].as_elements(element).broadcast(lanes)

    def singles(self) -> Iterator[Value]:
        """The words."""
        lanes = self.f.target.lanes(4)
        return ((self.words + at).load(lanes) for at in range(0, GROUP, lanes))

    def doubles(self, lanes: int = 0) -> Iterator[Value]:
        """Pairs of words; the first drawn is the high half."""
        lanes, pairs = lanes or self.f.target.lanes(8), self.words.as_elements(U64)
        for at in range(0, GROUP // 2, lanes):
            pair = (pairs + at).load(lanes)
            yield (pair << 32) | (pair >> 32)

    def uniform32(self) -> Iterator[Value]:
        """Floats of [0, 1), multiples of 2**-24."""
        return (_unit32(self.f, word) for word in self.singles())

    def uniform64(self, lanes: int = 0) -> Iterator[Value]:
        """Doubles of [0, 1), multiples of 2**-53. One lane for what the C library computes."""
        mask = (1 << 53) - 1
        return (self.f.convert(pair & mask, F64) * 2.0**-53 for pair in self.doubles(lanes))


def _unit32(f: Function, word: Value) -> Value:
    return f.convert(f.bitcast(word & 0xFFFFFF, I32), F32) * 2.0**-24


def _fma(f: Function, a: Value, b: Value, c: Value) -> Value:
    """a * b + c, rounded once on every processor."""
    return f.intrinsic("fma", a, b, c)


# ---- distributions: each makes the numbers of a group


def _uniform(g: Given) -> Vectors:
    """Parameters: high - low, low; then high and low as the dtype has them."""
    f, of = g.f, (F64 if g.element is F64 else F32)
    for unit in g.uniform64() if of is F64 else g.uniform32():
        width, low = (g.parameter(k, of, unit.lanes) for k in (0, 1))
        number = f.convert(_fma(f, unit, width, low), g.element)
        high, low = (g.parameter(k, of, unit.lanes) for k in (2, 3))
        yield f.select(number.eq(high), low, number)  # rounded up to the excluded end


def _normal(g: Given) -> Vectors:
    """Blocks of 16, of which eight uniform numbers give the radii, eight the angles. Parameters: mean, deviation."""
    return _normals64(g) if g.element is F64 else _normals32(g)


def _normals32(g: Given) -> Vectors:
    f, lanes = g.f, g.f.target.lanes(4)
    if lanes == 16:  # the radii of both blocks in one vector, the angles in the other
        first, second = g.singles()
        halves = (range(8), range(16, 24)), (range(8, 16), range(24, 32))
        radii, angles = (f.shuffle(first, second, [*a, *b]) for a, b in halves)
        cosines, sines = _box_muller32(g, radii, angles)
        return [f.shuffle(cosines, sines, [*range(k, k + 8), *range(16 + k, 24 + k)]) for k in (0, 8)]
    made: dict[int, Value] = {}
    for block in range(0, GROUP, 16):
        for at in range(block, block + 8, lanes):
            radii, angles = (g.words + at).load(lanes), (g.words + at + 8).load(lanes)
            made[at], made[at + 8] = _box_muller32(g, radii, angles)
    return [made[at] for at in sorted(made)]


def _box_muller32(g: Given, radii: Value, angles: Value) -> tuple[Value, Value]:
    f, lanes = g.f, radii.lanes
    mean, deviation = (g.parameter(k, F32, lanes) for k in (0, 1))
    radius = mathfn.sqrt(f, _log32(f, 1.0 - _unit32(f, radii)) * -2.0)
    sine, cosine = _sincos32(f, _unit32(f, angles) * _TURN)
    return _fma(f, radius * cosine, deviation, mean), _fma(f, radius * sine, deviation, mean)


def _horner(f: Function, x: Value, coefficients: Sequence[float]) -> Value:
    value = f.constant_like(coefficients[0], x)
    for coefficient in coefficients[1:]:
        value = _fma(f, value, x, f.constant_like(coefficient, x))
    return value


def _log32(f: Function, x: Value) -> Value:
    """As `box_muller.log32`."""
    bits = f.bitcast(x, I32)
    exponent = f.convert((bits >> 23) - 126, F32)
    fraction = f.bitcast((bits & 0x007FFFFF) | 0x3F000000, F32)
    small = fraction < box_muller.SQRT_HALF
    exponent = exponent - f.select(small, f.constant_like(1.0, x), 0.0)
    fraction = (fraction - 1.0) + f.select(small, fraction, 0.0)
    square = fraction * fraction
    cubic = _horner(f, fraction, box_muller.LOG) * fraction
    value = _fma(f, cubic, square, exponent * box_muller.LN2_LOW) - square * 0.5
    return _fma(f, exponent, f.constant_like(box_muller.LN2_HIGH, x), fraction + value)


def _sincos32(f: Function, x: Value) -> tuple[Value, Value]:
    """As `box_muller.sincos32`."""
    octant = (f.convert(x * box_muller.FOUR_OVER_PI, I32) + 1) & ~1
    turns = f.convert(octant, F32)
    for part in box_muller.MINUS_QUARTER_PI:
        x = _fma(f, turns, f.constant_like(part, x), x)
    square = x * x
    even = _fma(f, _horner(f, square, box_muller.COS) * square, square, square * -0.5) + 1.0
    odd = _fma(f, _horner(f, square, box_muller.SIN) * square, x, x)
    swapped = (octant & 2).ne(0)
    sine, cosine = f.select(swapped, even, odd), f.select(swapped, odd, even)
    return _negated(f, sine, octant & 4), _negated(f, cosine, ((octant - 2) & 4) ^ 4)


def _negated(f: Function, x: Value, four: Value) -> Value:
    """-x where `four` is 4, x where it is 0."""
    return f.bitcast(f.bitcast(x, I32) ^ (four << 29), F32)


def _normals64(g: Given) -> Vectors:
    f, units = g.f, list(g.uniform64(1))
    mean, deviation = (g.parameter(k, F64, 1) for k in (0, 1))
    radii = [mathfn.sqrt(f, mathfn.from_libm(f, "log", 1.0 - unit) * -2.0) for unit in units[:8]]
    for name in ("cos", "sin"):
        for radius, unit in zip(radii, units[8:], strict=True):
            yield _fma(f, radius * mathfn.from_libm(f, name, unit * _TURN), deviation, mean)


def _pairs(g: Given) -> Vectors:
    """Pairs of normal numbers, of an angle and a radius. Parameters: mean, deviation."""
    f, units = g.f, g.uniform64(1)
    mean, deviation = (g.parameter(k, F64, 1) for k in (0, 1))
    for angle, radius in zip(units, units, strict=True):
        radius = mathfn.sqrt(f, mathfn.from_libm(f, "log1p", -radius) * -2.0)
        for name in ("cos", "sin"):
            yield _fma(f, radius * mathfn.from_libm(f, name, angle * _TURN), deviation, mean)


def _paired(g: Given) -> Vectors:
    return (g.f.convert(number, g.element) for number in _pairs(g))


def _log_normal(g: Given) -> Vectors:
    """Parameters: mean and deviation of the logarithms."""
    return (g.f.convert(mathfn.from_libm(g.f, "exp", number), g.element) for number in _pairs(g))


def _bernoulli(g: Given) -> Vectors:
    """Parameters: of 2**53 cases, how many are chosen; and what these give."""
    f, mask = g.f, (1 << 53) - 1
    for pair in g.doubles():
        chosen, one = (pair & mask) < g.whole(0, U64, pair.lanes), g.parameter(1, g.element, pair.lanes)
        yield f.select(chosen, one, f.zero(one.element, one.lanes))


def _bernoulli_of(g: Given) -> Vectors:
    """One with the probabilities in `source`, of the same dtype."""
    at = 0
    for unit in g.uniform64() if g.element is F64 else g.uniform32():
        chosen = unit < (g.source + at).load(unit.lanes)
        yield g.f.select(chosen, g.f.constant_like(1.0, unit), 0.0)
        at += unit.lanes


def _remainder(g: Given) -> Vectors:
    """Words modulo a span below 2**28, plus a number. Parameters: span, 1 / span, the number."""
    f = g.f
    for word in g.singles():
        for part in _split(f, word, f.target.lanes(8)):
            span, inverse = g.parameter(0, I32, part.lanes), g.parameter(1, F64, part.lanes)
            quotient = f.convert(f.convert(part, F64) * inverse, I64)  # one too many or too few at most
            rest = f.bitcast(part, I32) - span * f.convert(quotient, I32)
            rest = f.select(rest < 0, rest + span, rest)
            rest = f.select(rest < span, rest, rest - span)
            yield f.convert(f.convert(rest, I64) + g.whole(2, I64, part.lanes), g.element)


def _split(f: Function, value: Value, lanes: int) -> Vectors:
    """A vector in parts of that many lanes."""
    if value.lanes <= lanes:
        return [value]
    return [f.shuffle(value, value, range(at, at + lanes)) for at in range(0, value.lanes, lanes)]


def _masked(g: Given) -> Vectors:
    """Words, or pairs of words for 64-bit numbers, of which some bits count. Parameter: which."""
    for number in g.doubles() if g.element is I64 else g.singles():
        mask = g.f.convert(g.whole(0, U64, number.lanes), number.element)
        yield g.f.convert(number & mask, g.element)


def _exponential(g: Given) -> Vectors:
    """Parameter: -1 / rate."""
    for unit in g.uniform64(1):
        yield g.f.convert(mathfn.from_libm(g.f, "log1p", -unit) * g.parameter(0, F64, 1), g.element)


def _geometric(g: Given) -> Vectors:
    """Parameter: log(1 - probability)."""
    f = g.f
    for unit in g.uniform64(1):
        waited = mathfn.from_libm(f, "log", f.select(unit.eq(0.0), 5e-324, unit))
        yield f.convert(f.intrinsic("ceil", waited / g.parameter(0, F64, 1)), g.element)


def _cauchy(g: Given) -> Vectors:
    """Parameters: median, scale."""
    f = g.f
    for unit in g.uniform64(1):
        slope = mathfn.from_libm(f, "tan", (unit - 0.5) * math.pi)
        yield f.convert(_fma(f, slope, g.parameter(1, F64, 1), g.parameter(0, F64, 1)), g.element)


@dataclass(frozen=True)
class Distribution:
    """How numbers are made of a group's words, how many words one takes, and what parameters (as `struct` names them)."""

    make: Callable[[Given], Vectors]
    words: Callable[[Element], int]
    parameters: str = "dddd"


def _one(element: Element) -> int:
    return 1


def _two(element: Element) -> int:
    return 2


def _as_wide(element: Element) -> int:
    return 2 if element.bytes == 8 else 1


DISTRIBUTIONS = {
    "uniform": Distribution(_uniform, _as_wide),
    "normal": Distribution(_normal, _as_wide, "dd"),
    "paired": Distribution(_paired, _two, "dd"),
    "log normal": Distribution(_log_normal, _two, "dd"),
    "bernoulli": Distribution(_bernoulli, _two, "Qd"),
    "bernoulli of": Distribution(_bernoulli_of, _as_wide, ""),
    "remainder": Distribution(_remainder, _one, "ddq"),
    "masked": Distribution(_masked, _as_wide, "Q"),
    "exponential": Distribution(_exponential, _two, "d"),
    "geometric": Distribution(_geometric, _two, "d"),
    "cauchy": Distribution(_cauchy, _two, "dd"),
}


# ---- the stream


def emit_twist(f: Function, key: Pointer) -> None:
    """Makes the next state of the last; `key` has room for a vector behind the 624 words."""
    lanes = f.target.lanes(4)
    split = -(-(STATE - _AHEAD) // lanes) * lanes

    def advance(k: Offset, other: Offset) -> Value:
        here, after = (key + k).load(lanes), (key + k + 1).load(lanes)
        mixed = (here & 0x80000000) | (after & 0x7FFFFFFF)
        odd = f.zero(U32, lanes) - (after & 1)
        new = (key + other).load(lanes) ^ (mixed >> 1) ^ (odd & 0x9908B0DF)
        new.store(key + k)
        return new

    advance(0, _AHEAD).store(key + STATE)
    with f.range(lanes, split, lanes) as k:
        advance(k, k + _AHEAD)
    with f.range(split, STATE, lanes) as k:
        advance(k, k + (_AHEAD - STATE))


def emit_temper(f: Function, key: Pointer, words: Pointer) -> None:
    """The 624 words that a state puts out."""
    lanes = f.target.lanes(4)
    with f.range(0, STATE, lanes) as k:
        y = (key + k).load(lanes)
        y = y ^ (y >> 11)
        y = y ^ ((y << 7) & 0x9D2C5680)
        y = y ^ ((y << 15) & 0xEFC60000)
        (y ^ (y >> 18)).store(words + k)


def emit(module: Module, name: str, distribution: str, element: Element) -> None:
    """A function that draws numbers of a distribution.

    Arguments: the twister's key, which becomes that of the last state; the words of the present state, of which the
    first `used` are drawn already; those of the last one, to be filled; parameters; an array, for distributions that take
    one; the numbers to be filled; then `used`, how many states are begun, and how many numbers there are.
    """
    known = DISTRIBUTIONS[distribution]
    each = GROUP // known.words(element)
    buffers = [
        Buffer("key", U32, STATE), Buffer("before", U32), Buffer("after", U32, STATE), Buffer("parameters", F64, 4),
        Buffer("source", element), Buffer("out", element),
    ]  # fmt: skip
    f = module.function(name, buffers, ["used", "states", "count"])
    key, before, after, parameters, source, out = f.buffers
    used, states, count = f.indices
    own, stream = f.local(STATE + 16, U32), f.local(2 * STATE, U32)
    piece, given = f.local(GROUP, element), f.local(GROUP, element)
    slots = [parameters + k for k in range(4)]

    def make(at: Pointer, of: Pointer, to: Pointer) -> None:
        place = 0
        for numbers in known.make(Given(f, at, slots, of, element)):
            numbers.store(to + place)
            place += numbers.lanes

    _copy(f, key, own, STATE)
    _copy(f, before + used, stream, STATE - used)
    with f.loop(0, states + 1, carry=[(STATE - used).value(), f.constant(0, I64)]) as turn:
        kept, done = (v.index() for v in turn.values)
        assert isinstance(turn.index, Index)
        begins = turn.index.exceeds(0)
        with f.when(begins):
            emit_twist(f, own)
            emit_temper(f, own, stream + kept)
        there = kept + f.select(begins, f.constant(STATE, I64), 0).index()
        groups = (there // GROUP).at_most((count - done) // each)
        with f.range(0, groups) as group:
            at = done + group * each
            make(stream + group * GROUP, source + at, out + at)
        _copy(f, stream + groups * GROUP, stream, GROUP)
        turn.next([(there - groups * GROUP).value(), (done + groups * each).value()])
    done = turn.results[1].index()
    left = count - done
    with f.when(left.exceeds(0)):
        if distribution == "bernoulli of":
            _copy(f, source + done, given, left)
        make(stream, given, piece)
        _copy(f, piece, out + done, left)
    _copy(f, own, key, STATE)
    emit_temper(f, own, after)


def _copy(f: Function, source: Pointer, target: Pointer, count: Offset) -> None:
    """Copies that many elements, from first to last."""
    lanes = min(f.target.lanes(4), GROUP)
    if isinstance(count, int) and count % lanes == 0 and source.element is U32:
        with f.range(0, count, lanes) as at:
            (source + at).load(lanes).store(target + at)
        return
    with f.range(0, count) as at:
        (source + at).load().store(target + at)


def emit_shuffle(module: Module, name: str) -> None:
    """A function that puts 0 to n - 1 in random order. Arguments: n - 1 words, the order to be filled, n.

    Fisher and Yates' shuffle: place `i` changes with place `i + words[i] % (n - i)`.
    """
    f = module.function(name, [Buffer("words", U32), Buffer("order", I64)], ["count"])
    (words, order), (count,) = f.buffers, f.indices
    with f.range(0, count) as i:
        f.position(i).value(I64).store(order + i)
    with f.range(0, count - 1) as i:
        left = (count - i).value(U32)  # type: ignore[union-attr]
        other = order + i + ((words + i).load() % left).index()
        here, there = (order + i).load(), other.load()
        here.store(other)
        there.store(order + i)


# ---- for the generator


class Drawing:
    """Draws of one distribution and dtype, as machine code. `words`: how many of these a number takes."""

    def __init__(self, distribution: str, dtype: np.dtype):
        module, element = Module(), element_of(dtype)
        emit(module, "draw", distribution, element)
        self._run = jit.load(module).function("draw", 9)
        known = DISTRIBUTIONS[distribution]
        self.words = known.words(element)
        self._pack = struct.Struct(known.parameters).pack

    def __call__(
        self, out: np.ndarray, parameters: Sequence[float], source: np.ndarray | None, key: int, before: np.ndarray,
        after: np.ndarray, used: int, states: int,
    ) -> None:  # fmt: skip
        """Fills `out`, which lies in order, see `emit`; `key` is an address."""
        given = 0 if source is None else address(source)
        packed = self._pack(*parameters)
        self._run(key, address(before), address(after), packed, given, address(out), used, states, out.size)


_drawings: dict[tuple[str, np.dtype], Drawing] = {}


def drawing(distribution: str, dtype: np.dtype) -> Drawing:
    """The machine code for a distribution of numbers of a dtype."""
    found = _drawings.get((distribution, dtype))
    if found is None:
        found = _drawings[distribution, dtype] = Drawing(distribution, dtype)
    return found


@cache
def _shuffler() -> Any:
    module = Module()
    emit_shuffle(module, "shuffle")
    return jit.load(module).function("shuffle", 3)


def shuffle(words: np.ndarray, order: np.ndarray) -> None:
    """Puts int64 numbers 0 to n - 1 in the order that n - 1 words say."""
    _shuffler()(address(words), address(order), order.size)
