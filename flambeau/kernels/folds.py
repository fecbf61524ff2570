"""Sums, products and extremes of arrays that lie in order: one kernel for every shape.

For eager operators, which meet ever new shapes (compiled programs have `reduce.py`, whose kernels are made for a shape).
A sum goes through several vectors side by side, so that additions do not wait for each other, and starts anew every
some thousand elements, so that a long one keeps its digits. In which order numbers are added depends on the shape alone.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import partial

import numpy as np

from flambeau.core.memory import address
from flambeau.kernels import jit, mathfn, threads
from flambeau.kernels.element import I32, I64, Element, element_of
from flambeau.kernels.language import Buffer, Function, Index, Module, Pointer, Value
from flambeau.kernels.sharing import Sharing

#: Vectors side by side.
_WIDE = 4
#: Vectors, or rows, after which a sum starts anew.
_AFRESH = 32
#: Elements of a piece of a long row.
PIECE = 1 << 14
#: Elements that are worth a second thread.
_WORTH_A_THREAD = 1 << 16

Combine = Callable[[Function, Value, Value], Value]
#: How elements are combined, what changes nothing, and what is done to each before.
FOLDS: dict[str, tuple[Combine, float, Callable[[Function, Value], Value]]] = {
    "sum": (lambda f, a, b: a + b, 0, lambda f, x: x),
    "prod": (lambda f, a, b: a * b, 1, lambda f, x: x),
    "max": (lambda f, a, b: f.maximum(a, b), -math.inf, lambda f, x: x),
    "min": (lambda f, a, b: f.minimum(a, b), math.inf, lambda f, x: x),
    "sum of squares": (lambda f, a, b: a + b, 0, lambda f, x: x * x),
    "sum of magnitudes": (lambda f, a, b: a + b, 0, mathfn.absolute),
}


class _Fold:
    """A fold while it is emitted: its way, its element types, the vectors it goes by."""

    def __init__(self, f: Function, name: str, source: Element, target: Element):
        self.f, self.target = f, target
        self.combine, nothing, self.before = FOLDS[name]
        self.element = source.computed
        self.lanes = f.target.lanes(max(self.element.bytes, 4) if self.element.is_float else self.element.bytes)
        if math.isinf(nothing) and not self.element.is_float:
            limits = np.iinfo(self.element.dtype_name)
            nothing = int(limits.min if nothing < 0 else limits.max)
        self.nothing = nothing

    def start(self, count: int, lanes: int = 0) -> list[Value]:
        return [self.f.constant(self.nothing, self.element, lanes or self.lanes) for _ in range(count)]

    def taken(self, sums: list[Value], at: Pointer, lanes: int = 0) -> list[Value]:
        """`sums` with the next vectors from there."""
        lanes, f = lanes or self.lanes, self.f
        loaded = [self.before(f, (at + k * lanes).load(lanes)) for k in range(len(sums))]
        return self.joined(sums, loaded)

    def joined(self, sums: list[Value], more: list[Value]) -> list[Value]:
        return [self.combine(self.f, a, b) for a, b in zip(sums, more, strict=True)]

    def store(self, value: Value, where: Pointer) -> None:
        self.f.convert(value, self.target.computed).store(where)


def emit_rows(module: Module, name: str, fold: str, source: Element, target: Element) -> None:
    """A driver that folds each row of an array, or each piece of each row.

    Its table: the array, the results, how many pieces in all, elements of a row, of a piece, pieces of a row.
    """
    body = f"{name}_body"
    buffers = [Buffer("x", source), Buffer("out", target)]
    f = module.function(body, buffers, ["length", "piece", "pieces", "begin", "end"], internal=True)
    (x, out), (length, piece, pieces, begin, end) = f.buffers, f.indices
    way = _Fold(f, fold, source, target)
    with f.range(begin, end) as task:
        assert isinstance(task, Index)
        row = task // pieces
        first = (task - row * pieces) * piece  # type: ignore[operator]
        count = (length - first).at_most(piece)  # type: ignore[operator]
        at = x + row * length + first
        _row(way, at, count, out + task)
    _emit_driver(module, name, body, 2, 4)


def _row(way: _Fold, at: Pointer, count: Index, out: Pointer) -> None:
    f, lanes = way.f, way.lanes
    step = _WIDE * lanes
    turns = count // step
    rounds = (turns + (_AFRESH - 1)) // _AFRESH
    with f.loop(0, rounds, carry=way.start(_WIDE)) as outer:
        assert isinstance(outer.index, Index)
        begin = outer.index * _AFRESH
        end = (begin + _AFRESH).at_most(turns)  # type: ignore[union-attr]
        with f.loop(begin, end, carry=way.start(_WIDE)) as inner:
            inner.next(way.taken(inner.values, at + inner.index * step))
        outer.next(way.joined(outer.values, inner.results))
    sums = outer.results
    while len(sums) > 1:
        sums = way.joined(sums[::2], sums[1::2])
    done = turns * step
    vectors = (count - done) // lanes  # type: ignore[operator]
    with f.loop(0, vectors, carry=sums) as loop:
        loop.next(way.taken(loop.values, at + done + loop.index * lanes))
    done = done + vectors * lanes  # type: ignore[operator]
    total = f.fold(loop.results[0], lambda a, b: way.combine(f, a, b))
    with f.loop(done, count, carry=[total]) as loop:
        loop.next(way.taken(loop.values, at + loop.index, 1))
    way.store(loop.results[0], out)


def emit_columns(module: Module, name: str, fold: str, source: Element, target: Element) -> None:
    """A driver that folds the middle dimension of an array of three, of which the last is no shorter than a vector.

    Its table: the array, the results, how many blocks in all, sizes of the middle and of the last dimension, blocks of it.
    """
    body = f"{name}_body"
    buffers = [Buffer("x", source), Buffer("out", target)]
    f = module.function(body, buffers, ["count", "width", "blocks", "begin", "end"], internal=True)
    (x, out), (count, width, blocks, begin, end) = f.buffers, f.indices
    way = _Fold(f, fold, source, target)
    with f.range(begin, end) as task:
        assert isinstance(task, Index)
        outer = task // blocks
        first = (task - outer * blocks) * (_WIDE * way.lanes)  # type: ignore[operator]
        at, to = x + outer * count * width, out + outer * width
        whole = (width - first).exceeds(_WIDE * way.lanes - 1)  # type: ignore[operator]
        with f.when(whole):
            _columns(way, at + first, count, width, to + first, _WIDE)
        with f.when(~whole):  # vector by vector; the last may do some columns that the one before it has done
            rest = width - first  # type: ignore[operator]
            with f.range(0, (rest + (way.lanes - 1)) // way.lanes) as k:
                here = (first + k * way.lanes).at_most(width - way.lanes)  # type: ignore[operator, union-attr]
                _columns(way, at + here, count, width, to + here, 1)
    _emit_driver(module, name, body, 2, 4)


def _columns(way: _Fold, at: Pointer, count: Index, width: Index, out: Pointer, vectors: int) -> None:
    f = way.f
    rounds = (count + (_AFRESH - 1)) // _AFRESH
    with f.loop(0, rounds, carry=way.start(vectors)) as outer:
        assert isinstance(outer.index, Index)
        begin = outer.index * _AFRESH
        end = (begin + _AFRESH).at_most(count)  # type: ignore[union-attr]
        with f.loop(begin, end, carry=way.start(vectors)) as inner:
            inner.next(way.taken(inner.values, at + inner.index * width))
        outer.next(way.joined(outer.values, inner.results))
    for k, sums in enumerate(outer.results):
        way.store(sums, out + k * way.lanes)


def _emit_driver(module: Module, name: str, body: str, arrays: int, numbers: int) -> None:
    """Shares tasks, the first number of the table, among threads."""
    f = module.function(name, [Buffer("table", I64), Buffer("barrier", I32)], ["thread", "threads"])
    (table, _), (thread, team) = f.buffers, f.indices
    tasks, *rest = [(table + arrays + k).load().index() for k in range(numbers)]
    begin, end = thread * tasks // team, (thread + 1) * tasks // team  # type: ignore[operator]
    with f.when(end.exceeds(begin)):
        f.call(body, [*((table + k).load_address() for k in range(arrays)), *rest, begin, end])


class Fold:
    """One fold, compiled for the dtypes of its array and results."""

    def __init__(self, name: str, source: np.dtype, target: np.dtype, rows: bool):
        module = Module()
        emit = emit_rows if rows else emit_columns
        emit(module, "fold", name, element_of(source), element_of(target))
        code = jit.load(module)
        self._address, self._alone = code.address("fold"), code.function("fold", 4)
        self._sharing: dict[int, Sharing] = {}
        element = element_of(source).computed
        self.lanes = module.target.lanes(max(element.bytes, 4) if element.is_float else element.bytes)
        self.block = _WIDE * self.lanes

    def run(self, x: np.ndarray, out: np.ndarray, tasks: int, *numbers: int) -> None:
        """Folds `x` into `out`, see `emit_rows` and `emit_columns`."""
        table = (ctypes.c_int64 * 6)(address(x), address(out), tasks, *numbers)
        start = ctypes.addressof(table)
        if x.size < _WORTH_A_THREAD or tasks == 1 or threads.get_num_threads() == 1:
            self._alone(start, 0, 0, 1)
            return
        sharing = self._sharing.setdefault(x.size.bit_length(), Sharing())
        patience = min(max(x.size // 200, 200), 2_000_000)
        sharing.run(partial(threads.run, self._address, start, patience), partial(self._alone, start, 0, 0, 1))


_known: dict[tuple, Fold] = {}


def _fold(name: str, source: np.dtype, target: np.dtype, rows: bool) -> Fold:
    found = _known.get((name, source, target, rows))
    if found is None:
        found = _known[name, source, target, rows] = Fold(name, source, target, rows)
    return found


def rows(name: str, x: np.ndarray, out: np.ndarray) -> None:
    """Folds each row of (n, count) into (n,)."""
    count, length = x.shape
    pieces = -(-length // PIECE)
    if pieces < 2:
        _fold(name, x.dtype, out.dtype, True).run(x, out, count, length, length, 1)
        return
    wide = element_of(x.dtype).computed.numpy
    parts = np.empty((count, pieces), wide)
    _fold(name, x.dtype, wide, True).run(x, parts, count * pieces, length, PIECE, pieces)
    rows("sum" if name.startswith("sum") else name, parts, out)


def columns(name: str, x: np.ndarray, out: np.ndarray) -> bool:
    """Folds (n, count, width) into (n, width); says whether it did: not where rows are shorter than a vector."""
    outer, count, width = x.shape
    fold = _fold(name, x.dtype, out.dtype, False)
    if width < fold.lanes:
        return False
    blocks = -(-width // fold.block)
    fold.run(x, out, outer * blocks, count, width, blocks)
    return True
