"""Sorting along a dimension: where the elements stand in order. Equal ones keep their order, NaN is the largest.

Short rows are sorted several at a time, one in each lane, by a network of comparisons (Batcher's merge exchange: Knuth,
The Art of Computer Programming 3, 5.2.2, Algorithm M), which takes the same steps whatever the elements are. Long rows
are sorted digit by digit, the last first (radix sort); digits that are the same in all elements are left out. Few very
long rows are cut into chunks: each chunk counts its digits, and knows from the counts of all where its elements go.

A network sorts whole numbers of 64 bits, a key of up to 32 bits above the element's place, so that no two are equal;
keys of 64 bits have their places beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from flambeau.kernels.element import BOOL, I64, U32, U64
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Module, Offset, Pointer, Value
from flambeau.kernels.pointwise import Operand, collapse
from flambeau.kernels.sort_keys import Keys
from flambeau.kernels.walk import Walk

#: Tasks of a very long row.
CHUNKS = 16
#: Rows that are cut into chunks are as long as that, and fewer than that.
LONG_ROW, FEW_ROWS = 1 << 16, 8
_LONGEST_NETWORK = 2048


Body = Callable[..., None]


@dataclass(frozen=True)
class Sorting:
    """What is sorted.

    Attributes:
        shape: of the rows' numbers, and last the length of a row.
        descending: whether the largest comes first.
        first: how many places of each row are wanted.
    """

    shape: tuple[int, ...]
    descending: bool
    first: int

    @property
    def rows(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def length(self) -> int:
        return self.shape[-1]


def emit(module: Module, name: str, sorting: Sorting, x: Operand, out: Operand) -> Kernel:
    """A kernel for the places (int64) of the elements in order. Buffers: x, out.

    Args:
        x, out: strides for the shape; `out` has `sorting.first` elements a row.
    """
    keys = Keys(x.element, sorting.descending)
    rows = Rows(sorting, x, out)
    if _prefers_network(module, sorting, keys):
        return _emit_network(module, name, rows, keys)
    if sorting.rows < FEW_ROWS and sorting.length >= LONG_ROW and not _packs(keys):
        return _emit_chunked(module, name, rows, keys)
    return _emit_radix(module, name, rows, keys)


class Rows:
    """The rows of x and out, in as few dimensions as there can be."""

    def __init__(self, sorting: Sorting, x: Operand, out: Operand):
        self.sorting, self.length, self.first = sorting, sorting.length, sorting.first
        shape = sorting.shape[:-1]
        self.sizes, self.strides = collapse(shape, [x.strides[:-1], out.strides[:-1]], sort=False)
        self.step, self.out_step = x.strides[-1], out.strides[-1]
        results = (*shape, sorting.first)
        self.buffers = (
            Buffer("x", x.element, x.extent(sorting.shape)),
            Buffer("out", I64, out.extent(results), once=True),
        )

    def walk(self, lanes: int) -> Walk:
        """Over rows, some of the last dimension at a time."""
        return Walk(self.sizes, self.strides, list(range(len(self.sizes) - 1)), lanes)


# A network ----------------------------------------------------------------------------------------


def _exchanges(count: int) -> list[tuple[int, int, int]]:
    """The steps (p, r, d) of merge exchange: all i < count - d with i & p == r are compared with i + d."""
    steps: list[tuple[int, int, int]] = []
    top = 1 << max(count - 1, 1).bit_length() - 1
    p = top
    while p and count > 1:
        q, r, d = top, 0, p
        while True:
            steps.append((p, r, d))
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return steps


def _comparisons(count: int) -> int:
    """How many elements a network compares with another."""
    found = 0
    for p, r, d in _exchanges(count):
        full, rest = divmod(max(count - d, 0), 2 * p)
        found += full * p + min(max(rest - r, 0), p)
    return found


def _prefers_network(module: Module, sorting: Sorting, keys: Keys) -> bool:
    """Whether a network is done sooner than digit by digit, by a rough count of cycles."""
    length, target = sorting.length, module.target
    if length > _LONGEST_NETWORK:
        return False
    lanes, wide = target.lanes(8), keys.number is I64
    near = 8 * length * lanes * (1 + wide) <= target.l1
    exchange = (5 if near else 13) if wide else 4
    network = exchange * _comparisons(length) / min(lanes, sorting.rows) + 3 * length
    passes, digits = _passes(4 * 8 if _packs(keys) else keys.bits, length)
    move = 2.5 if not wide or _packs(keys) else 10
    radix = length * (3 + 3 * wide + move * passes) + 2.0 * passes * (1 << digits)
    return network < radix


def _packs(keys: Keys) -> bool:
    """Whether keys of 64 bits are tried to be put into 32: whole numbers are seldom that far apart."""
    return keys.number is I64 and not keys.element.is_float


def _emit_network(module: Module, name: str, rows: Rows, keys: Keys) -> Kernel:
    lanes, count = module.target.lanes(8), rows.length
    walk = rows.walk(lanes)
    wide = keys.number is I64
    f, (x, out), _, scratch, begin, end = stage_function(module, name, rows.buffers)
    with f.range(begin, end) as task:
        memory = scratch.as_elements(I64)
        for (start, target), first, active in walk.pieces(f, task):
            here, to = x + start + first * rows.strides[0][-1], out + target + first * rows.strides[1][-1]
            with f.range(0, count) as i:
                loaded = (here + i * rows.step).load_strided(rows.strides[0][-1], lanes, active)
                key = keys.signed(f, loaded)
                place = f.splat(f.position(i).value(), lanes)
                if wide:
                    key.store(memory + i * lanes)
                    place.store(memory + (count + i) * lanes)
                else:
                    ((f.convert(key, I64) << 32) | place).store(memory + i * lanes)
            _compare_all(f, memory, count, lanes, wide)
            with f.range(0, rows.first) as i:
                if wide:
                    place = (memory + (count + i) * lanes).load(lanes)
                else:
                    place = (memory + i * lanes).load(lanes) & 0xFFFFFFFF
                (to + i * rows.out_step).store_strided(place, rows.strides[1][-1], active)
    work = 3 * walk.units * _comparisons(count)
    stage = Stage(name, walk.tasks, 4 * work >= WORTH_A_THREAD)
    return Kernel(
        name, rows.buffers, (stage,), scratch=8 * lanes * count * (1 + wide), traffic=traffic(rows), flops=work * lanes
    )


def _compare_all(f: Function, memory: Pointer, count: int, lanes: int, wide: bool) -> None:
    """The network: its steps are numbers in memory, since code for each would take LLVM long."""
    steps = _exchanges(count)
    if not steps:
        return
    table = f.table([number for step in steps for number in step])
    with f.range(0, len(steps)) as step:
        here = table + step * 3
        p, r, d = (f.position((here + k).load().index()) for k in range(3))
        left = d * -1 + count - r  # elements from the first that is compared
        with f.range(0, (left + (p + p - 1)) // (p + p)) as block:
            first = f.position(block) * (p + p)
            a = memory + f.position(first + r) * lanes
            with f.range(0, f.position(left - first).at_most(p)) as j:
                low = a + j * lanes
                _exchange(f, low, low + d * lanes, count * lanes if wide else 0, lanes)


def _exchange(f: Function, a: Pointer, b: Pointer, places: int, lanes: int) -> None:
    """Puts two vectors of keys in order, and with them their `places`, so many elements on."""
    first, second = a.load(lanes), b.load(lanes)
    if not places:
        f.intrinsic("smin", first, second).store(a)
        f.intrinsic("smax", first, second).store(b)
        return
    c, d = a + places, b + places
    of_first, of_second = c.load(lanes), d.load(lanes)
    later = (first > second) | (first.eq(second) & (of_first > of_second))
    for x, y, low, high in ((first, second, a, b), (of_first, of_second, c, d)):
        f.select(later, y, x).store(low)
        f.select(later, x, y).store(high)


# Digit by digit -----------------------------------------------------------------------------------


def _passes(bits: int, length: int) -> tuple[int, int]:
    """How many digits, and of how many bits: wide ones for long rows, whose counts take longer to go through."""
    widest = 11 if length >= 1 << 13 else 8
    passes = -(-bits // widest)
    return passes, -(-bits // passes)


class Pairs:
    """Keys (u64) with their places in memory: in one word, or in two rows of words."""

    def __init__(self, memory: Pointer, count: int, wide: bool):
        self.memory, self.count, self.wide = memory, count, wide
        self.words = count * (1 + wide)

    def side(self, side: Offset) -> Pairs:
        """The first or the second of two that lie one after the other."""
        return Pairs(self.memory + side * self.words, self.count, self.wide)

    def write(self, f: Function, i: Offset, key: Value, place: Value) -> None:
        if self.wide:
            key.store(self.memory + i)
            place.store(self.memory + i + self.count)
        else:
            ((f.convert(key, U64) << 32) | place).store(self.memory + i)

    def move(self, i: Offset, to: Pairs, j: Offset) -> None:
        (self.memory + i).load().store(to.memory + j)
        if self.wide:
            (self.memory + i + self.count).load().store(to.memory + j + self.count)

    def digit(self, i: Offset, number: int, digits: int) -> Offset:
        shift = number * digits + (0 if self.wide else 32)
        return (((self.memory + i).load() >> shift) & ((1 << digits) - 1)).index()

    def places(self, i: Offset, lanes: int) -> Value:
        if self.wide:
            return (self.memory + i + self.count).load(lanes)
        return (self.memory + i).load(lanes) & 0xFFFFFFFF


def _write_keys(f: Function, rows: Rows, keys: Keys, x: Pointer, pairs: Pairs, count: int) -> None:
    """The keys of a row that begins at x."""
    for at, many in f.blocks(count, f.target.lanes(8)):
        write_keys(f, keys, x + at * rows.step, rows.step, many, pairs, at, at)


def write_keys(
    f: Function, keys: Keys, x: Pointer, step: int, many: int, pairs: Pairs, to: Offset, place: Offset
) -> None:
    """The keys of some elements from x on, which stand from `place` on in their row, to a position of `pairs`."""
    loaded = x.load_strided(step, many)
    numbers = f.splat(f.convert(f.position(place).value(), U64), many) + f.iota(U64, many)
    pairs.write(f, to, keys.unsigned(f, loaded), numbers)


def _write_places(f: Function, rows: Rows, pairs: Pairs, out: Pointer) -> None:
    for at, many in f.blocks(rows.first, f.target.lanes(8)):
        places = f.convert(pairs.places(at, many), I64)
        (out + at * rows.out_step).store_strided(places, rows.out_step)


def _emit_radix(module: Module, name: str, rows: Rows, keys: Keys) -> Kernel:
    """A row is a task."""
    passes, digits = _passes(keys.bits, rows.length)
    bins, count, wide = 1 << digits, rows.length, keys.number is I64
    walk = rows.walk(1)
    row_bytes = 16 * count * (1 + wide) + round_up(4 * passes * bins, 64)
    few = rows.sorting.rows < FEW_ROWS  # a row's memory rather than a thread's, of which there may be more
    f, (x, out), workspace, scratch, begin, end = stage_function(module, name, rows.buffers)
    with f.range(begin, end) as task:
        memory = workspace + f.position(task) * row_bytes if few else scratch
        both = Pairs(memory.as_elements(U64), count, wide)
        counts = (memory + 16 * both.words).as_elements(U32)
        for (start, target), first, _ in walk.pieces(f, task):
            here, to = x + start + first * rows.strides[0][-1], out + target + first * rows.strides[1][-1]
            _write_keys(f, rows, keys, here, both, count)
            if not wide:
                _write_places(f, rows, sort_pairs(f, both, counts, passes, digits), to)
                continue
            least, greatest = _bounds(f, both, 0, count)
            apart = f.constant(True, BOOL)
            if _packs(keys):
                apart = greatest - least >= 1 << 32
                with f.when(~apart):
                    packed = _packed(f, both, least)
                    _write_places(f, rows, sort_pairs(f, packed, counts, *_passes(32, count)), to)
            with f.when(apart):
                _subtract(f, both, 0, count, least)
                _write_places(f, rows, sort_pairs(f, both, counts, passes, digits), to)
    stage = Stage(name, walk.tasks, 10 * walk.units * count >= WORTH_A_THREAD)
    return Kernel(
        name, rows.buffers, (stage,), workspace=few * walk.units * row_bytes, scratch=(not few) * row_bytes,
        traffic=traffic(rows), flops=walk.units * count * 4 * passes,
    )  # fmt: skip


def sort_pairs(f: Function, both: Pairs, counts: Pointer, passes: int, digits: int) -> Pairs:
    """Sorts pairs by so many digits; says where they are then: `both` has room for as many again behind it.

    counts: room for the counts (u32) of all digits.
    """
    bins, count = 1 << digits, both.count
    _clear(f, counts, passes * bins)
    with f.range(0, count) as i:
        for number in range(passes):
            _increment(counts + (both.digit(i, number, digits) + number * bins))
    side = f.constant(0, I64)
    for number in range(passes):
        mine, now = counts + number * bins, both.side(side.index())
        same = (mine + now.digit(0, number, digits)).load().eq(count)
        with f.when(~same, otherwise=[side]) as branch:
            _add_up(f, mine, bins)
            _distribute(f, now, both.side((1 - side).index()), mine, 0, count, number, digits)
            branch.give([1 - side])
        (side,) = branch.results
    return both.side(side.index())


def _bounds(f: Function, pairs: Pairs, begin: Offset, end: Offset) -> tuple[Value, Value]:
    """The smallest and the largest of some keys; less the smallest, fewer of their digits differ."""
    with f.loop(begin, end, carry=[f.constant(-1, U64), f.zero(U64)]) as loop:
        key = (pairs.memory + loop.index).load()
        loop.next([f.intrinsic("umin", loop.values[0], key), f.intrinsic("umax", loop.values[1], key)])
    return loop.results[0], loop.results[1]


def _packed(f: Function, pairs: Pairs, least: Value) -> Pairs:
    """The same pairs, in the same memory, with keys of 32 bits."""
    lanes = f.target.lanes(8)
    for at, many in f.blocks(pairs.count, lanes):
        here = pairs.memory + at
        place = f.splat(f.convert(f.position(at).value(), U64), many) + f.iota(U64, many)
        (((here.load(many) - least) << 32) | place).store(here)
    return Pairs(pairs.memory, pairs.count, False)


def _subtract(f: Function, pairs: Pairs, begin: Offset, end: Offset, least: Value) -> None:
    with f.range(begin, end) as i:
        ((pairs.memory + i).load() - least).store(pairs.memory + i)


def _clear(f: Function, counts: Pointer, length: int) -> None:
    for at, many in f.blocks(length, f.target.lanes(4)):
        f.zero(U32, many).store(counts + at)


def _increment(count: Pointer) -> None:
    (count.load() + 1).store(count)


def _add_up(f: Function, counts: Pointer, length: int) -> None:
    """Counts become how many there are before."""
    with f.loop(0, length, carry=[f.zero(U32)]) as loop:
        here = counts + loop.index
        count = here.load()
        loop.values[0].store(here)
        loop.next([loop.values[0] + count])


def _distribute(
    f: Function, pairs: Pairs, to: Pairs, next_free: Pointer, begin: Offset, end: Offset, number: int, digits: int
) -> None:
    """Puts pairs where their digit says."""
    with f.range(begin, end) as i:
        free = next_free + pairs.digit(i, number, digits)
        place = free.load()
        (place + 1).store(free)
        pairs.move(i, to, place.index())


# In chunks ----------------------------------------------------------------------------------------


def _emit_chunked(module: Module, name: str, rows: Rows, keys: Keys) -> Kernel:
    """A chunk of a row is a task, and for what all chunks must know, a row."""
    passes, digits = _passes(keys.bits, rows.length)
    bins, count, wide = 1 << digits, rows.length, keys.number is I64
    step = -(-count // CHUNKS)
    many, total = rows.sorting.rows, rows.sorting.rows * CHUNKS
    words = count * (1 + wide)
    row_bytes = round_up(16 * words, 64) + 4 * bins * (CHUNKS + 1) + 64 + 8 * CHUNKS
    stages: list[Stage] = []

    class Part:
        """A row's memory: its pairs, counts, which pairs are the present ones before each digit, the least keys."""

        def __init__(self, f: Function, workspace: Pointer, row: Offset):
            base = workspace + row * row_bytes
            self.both = Pairs(base.as_elements(U64), count, wide)
            self.counts = (base + round_up(16 * words, 64)).as_elements(U32)
            self.sides = self.counts + bins * (CHUNKS + 1)
            self.least = (self.sides + 16).as_elements(U64)

        def now(self, number: int) -> Value:
            return (self.sides + number).load()

    def over_chunks(stage: str, body: Body) -> None:
        f, (x, out), workspace, _, begin, end = stage_function(module, f"{name}_{stage}", rows.buffers)
        with f.range(begin, end) as task:
            row, chunk = f.position(task // CHUNKS), f.position(f.position(task) % CHUNKS)
            start, target = row_starts(f, rows, row)
            first = chunk * step
            last = f.position(first + step).at_most(count)
            body(f, Part(f, workspace, row), x + start, out + target, chunk, first, last)
        stages.append(Stage(f"{name}_{stage}", total, True))

    def make_keys(f: Function, part: Part, x: Pointer, out: Pointer, chunk: Offset, first: Offset, last: Offset) -> None:
        with f.when(f.position(chunk).eq(0)):
            f.constant(0, U32).store(part.sides)
        lanes = f.target.lanes(8)
        whole = f.position(first + (f.position(last) - first) // lanes * lanes)
        for begin, end, width in ((first, whole, lanes), (whole, last, 1)):
            with f.loop(begin, end, width) as loop:
                i = f.position(loop.index)
                write_keys(f, keys, x + i * rows.step, rows.step, width, part.both, i, i)
        if wide:
            _bounds(f, part.both, first, last)[0].store(part.least + chunk)

    def count_digits(number: int) -> Body:
        def body(f: Function, part: Part, x: Pointer, out: Pointer, chunk: Offset, first: Offset, last: Offset) -> None:
            mine, now = part.counts + chunk * bins, part.both.side(part.now(number).index())
            _clear(f, mine, bins)
            if wide and number == 0:
                least = part.least.load()
                for other in range(1, CHUNKS):
                    least = f.intrinsic("umin", least, (part.least + other).load())
                _subtract(f, now, first, last, least)
            with f.range(first, last) as i:
                _increment(mine + now.digit(i, number, digits))

        return body

    def distribute(number: int) -> Body:
        def body(f: Function, part: Part, x: Pointer, out: Pointer, chunk: Offset, first: Offset, last: Offset) -> None:
            now, then = part.now(number), part.now(number + 1)
            with f.when(now.ne(then)):
                mine = part.counts + chunk * bins
                source, target = part.both.side(now.index()), part.both.side(then.index())
                _distribute(f, source, target, mine, first, last, number, digits)

        return body

    def add_up(number: int) -> None:
        """Where each chunk's elements of each digit begin: after those of smaller digits, and of chunks before."""
        stage, lanes = f"{name}_add{number}", module.target.lanes(4)
        f, _, workspace, _, begin, end = stage_function(module, stage, rows.buffers)
        with f.range(begin, end) as row:
            part = Part(f, workspace, row)
            totals = part.counts + bins * CHUNKS
            for at, width in f.blocks(bins, lanes):
                before = f.zero(U32, width)
                for chunk in range(CHUNKS):
                    here = part.counts + (f.position(at) + chunk * bins)
                    counted = here.load(width)
                    before.store(here)
                    before = before + counted
                before.store(totals + at)
            with f.loop(0, bins, carry=[f.zero(U32), f.zero(U32)]) as loop:
                here = totals + loop.index
                counted, (before, most) = here.load(), loop.values
                before.store(here)
                loop.next([before + counted, f.maximum(most, counted)])
            side, most = part.now(number), loop.results[1]
            f.select(most.eq(count), side, 1 - side).store(part.sides + (number + 1))
            for at, width in f.blocks(bins, lanes):
                start = (totals + at).load(width)
                for chunk in range(CHUNKS):
                    here = part.counts + (f.position(at) + chunk * bins)
                    (here.load(width) + start).store(here)
        stages.append(Stage(stage, many, True))

    def give_places(f: Function, part: Part, x: Pointer, out: Pointer, chunk: Offset, first: Offset, last: Offset) -> None:
        now = part.both.side(part.now(passes).index())
        with f.range(first, f.position(last).at_most(rows.first)) as i:
            f.convert(now.places(i, 1), I64).store(out + i * rows.out_step)

    over_chunks("keys", make_keys)
    for number in range(passes):
        over_chunks(f"count{number}", count_digits(number))
        add_up(number)
        over_chunks(f"move{number}", distribute(number))
    over_chunks("places", give_places)
    return Kernel(
        name, rows.buffers, tuple(stages), workspace=many * row_bytes, traffic=traffic(rows), flops=many * count * 4 * passes
    )


def row_starts(f: Function, rows: Rows, row: Offset) -> tuple[Offset, Offset]:
    """Where a row begins in x and in out."""
    starts: list[Offset] = [0, 0]
    left = f.position(row)
    for d in reversed(range(len(rows.sizes))):
        position = left % rows.sizes[d] if d else left
        left = left // rows.sizes[d] if d else left
        starts = [s + position * stride[d] for s, stride in zip(starts, rows.strides, strict=True)]
    return starts[0], starts[1]


def traffic(rows: Rows) -> int:
    many = rows.sorting.rows
    return many * rows.length * rows.buffers[0].element.bytes + many * rows.first * 8

