"""Poisson, gamma and binomial numbers by rejection, in machine code: what `flambeau.core.rejection` does, step by step.

How many uniform numbers one of them takes is not known before. A kernel gets some thousand of them, makes numbers until
these are spent, and says how far it came; a number that it could not finish is begun anew with the next ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from flambeau.core.memory import address
from flambeau.core.rejection import SQUEEZE, STIRLING_TAILS
from flambeau.kernels import jit, mathfn
from flambeau.kernels.element import F32, F64, I64, Element
from flambeau.kernels.language import Buffer, Function, Module, Pointer, Value

#: Uniform numbers that a turn of any loop here takes at most.
MARGIN = 8
#: What is remembered between calls: numbers made, uniform numbers used, whether a normal number waits, and it.
MADE, USED, WAITS, WAITING = range(4)


class _Sampler:
    """One number while it is emitted. Cells are memory: loops here end in many ways."""

    def __init__(self, f: Function, uniforms: Pointer, limit: Value):
        self.f, self.uniforms, self.limit = f, uniforms, limit
        self.place, self.waits, self.waiting = f.local(1, I64), f.local(1, I64), f.local(1, F64)
        self.result, self.accepted = f.local(1, F64), f.local(1, I64)
        self.scratch = f.local(2, F64)

    def draw(self) -> Value:
        """The next uniform number."""
        at = self.place.load()
        (at + 1).store(self.place)
        return (self.uniforms + at.index()).load()

    def spent(self) -> Value:
        return self.place.load() > self.limit

    def libm(self, name: str, *x: Value) -> Value:
        return self.f.call_extern(name, *x)

    def constant(self, number: float) -> Value:
        return self.f.constant(number, F64)

    def accept(self, number: Value) -> None:
        number.store(self.result)
        self.f.constant(1, I64).store(self.accepted)

    def until_accepted(self, turn: Callable[[], None]) -> None:
        """Repeats until a number is accepted or the uniform numbers are spent."""
        self.f.constant(0, I64).store(self.accepted)
        with self.f.forever() as loop:
            turn()
            loop.leave_if(self.accepted.load().ne(0) | self.spent())

    def normal(self) -> Value:
        """The next normal number; the second of a pair waits."""
        f, found, none = self.f, self.scratch, self.waits.load().eq(0)
        self.waiting.load().store(found)
        f.constant(0, I64).store(self.waits)
        with f.when(none):
            angle = self.draw() * (2 * math.pi)
            radius = mathfn.sqrt(f, self.libm("log1p", -self.draw()) * -2.0)
            (radius * self.libm("sin", angle)).store(self.waiting)
            f.constant(1, I64).store(self.waits)
            (radius * self.libm("cos", angle)).store(found)
        return found.load()


def _poisson(s: _Sampler, rate: Value) -> None:
    f = s.f
    s.constant(0.0).store(s.result)
    with f.when((rate > 0.0) & (rate < 10.0)):
        bound, product = s.libm("exp", -rate), s.scratch
        s.draw().store(product)
        with f.forever() as loop:
            loop.leave_if((product.load() <= bound) | s.spent())
            (s.result.load() + 1.0).store(s.result)
            (product.load() * s.draw()).store(product)
    with f.when(rate >= 10.0):
        log_rate, root = s.libm("log", rate), mathfn.sqrt(f, rate)
        b = root * 2.53 + 0.931
        a = b * 0.02483 - 0.059
        log_inverse_alpha = s.libm("log", s.constant(1.1328) / (b - 3.4) + 1.1239)
        accept_below = 0.9277 - s.constant(3.6224) / (b - 2.0)

        def turn() -> None:
            u, v = s.draw() - 0.5, s.draw()
            tail = 0.5 - mathfn.absolute(f, u)
            k = f.intrinsic("floor", (a * 2.0 / tail + b) * u + rate + 0.43)
            quick = (tail >= 0.07) & (v <= accept_below)
            refused = (k < 0.0) | ((tail < 0.013) & (v > tail))
            with f.when(quick):
                s.accept(k)
            with f.when(~quick & ~refused):
                hat = s.libm("log", v) + log_inverse_alpha - s.libm("log", a / (tail * tail) + b)
                with f.when(hat <= log_rate * k - rate - s.libm("lgamma", k + 1.0)):
                    s.accept(k)

        s.until_accepted(turn)


def _gamma(s: _Sampler, power: Value, d: Value) -> None:
    f, scale, y = s.f, s.f.local(1, F64), s.f.local(2, F64)
    s.constant(0.0).store(s.result)
    with f.when(power < math.inf):
        s.constant(1.0).store(scale)
        with f.when(power.ne(0.0)):
            s.libm("pow", 1.0 - s.draw(), power).store(scale)
        c = 1.0 / mathfn.sqrt(f, d * 9.0)

        def turn() -> None:
            with f.forever() as loop:
                x = s.normal()
                x.store(y + 1)
                (c * x + 1.0).store(y)
                loop.leave_if((y.load() > 0.0) | s.spent())
            v, x = y.load() * y.load() * y.load(), (y + 1).load()
            u, xx = 1.0 - s.draw(), x * x
            number = scale.load() * d * v
            quick = u < 1.0 - xx * SQUEEZE * xx
            with f.when(quick):
                s.accept(number)
            with f.when(~quick):
                with f.when(s.libm("log", u) < xx * 0.5 + d * ((1.0 - v) + s.libm("log", v))):
                    s.accept(number)

        s.until_accepted(turn)


def _binomial(
    s: _Sampler, kind: Element, tails: Pointer, n: Value, p: Value, rare: Value, mean: Value, deviation: Value, odds: Value,
    m: Value,
) -> None:  # fmt: skip
    f = s.f
    f.select(p >= 1.0, n, s.constant(0.0)).store(s.result)
    regular = (n > 0.0) & (p > 0.0) & (p < 1.0)
    with f.when(regular & (mean < 10.0)):
        log_failure = f.convert(f.convert(s.libm("log1p", -rare), kind), F64)
        waited, successes = s.scratch, s.result
        s.constant(0.0).store(waited)
        s.constant(-1.0).store(successes)
        with f.forever() as loop:
            loop.leave_if((waited.load() > n) | s.spent())
            (successes.load() + 1.0).store(successes)
            u = s.draw()
            u = f.select(u.eq(0.0), 5e-324, u)
            (waited.load() + f.intrinsic("ceil", s.libm("log", u) / log_failure)).store(waited)
    with f.when(regular & (mean >= 10.0)):
        b = deviation * 2.53 + 1.15
        a = b * 0.0248 - 0.0873 + rare * 0.01
        accept_below = 0.92 - s.constant(4.2) / b
        alpha = (s.constant(5.1) / b + 2.83) * deviation

        def tail_of(k: Value) -> Value:
            """log k! less Stirling's approximation of it."""
            square = (k + 1.0) * (k + 1.0)
            large = (1 / 12 - (1 / 360 - s.constant(1 / 1260) / square) / square) / (k + 1.0)
            near = k < float(len(STIRLING_TAILS))
            place = f.convert(f.select(near, k, s.constant(0.0)), I64).index()
            return f.select(near, (tails + place).load(), large)

        def turn() -> None:
            u, v = s.draw() - 0.5, s.draw()
            tail = 0.5 - mathfn.absolute(f, u)
            k = f.intrinsic("floor", (a * 2.0 / tail + b) * u + (mean + 0.5))
            possible = (k >= 0.0) & (k <= n)
            quick = (tail >= 0.07) & (v <= accept_below)
            with f.when(possible & quick):
                s.accept(k)
            with f.when(possible & ~quick):
                hat = s.libm("log", v * alpha / (a / (tail * tail) + b))
                bound = (
                    (m + 0.5) * s.libm("log", (m + 1.0) / (odds * (n - m + 1.0)))
                    + (n + 1.0) * s.libm("log", (n - m + 1.0) / (n - k + 1.0))
                    + (k + 0.5) * s.libm("log", odds * (n - k + 1.0) / (k + 1.0))
                    + tail_of(m) + tail_of(n - m) - tail_of(k) - tail_of(n - k)
                )  # fmt: skip
                with f.when(hat <= bound):
                    s.accept(k)

        s.until_accepted(turn)
    successes = s.result.load()
    f.select(regular & (p > 0.5), n - successes, successes).store(s.result)
    with f.when(p.is_nan() & (n > 0.0)):
        p.store(s.result)


#: For each distribution how one number is made, and of how many columns of doubles.
SAMPLERS: dict[str, tuple[Callable[..., None], int]] = {
    "poisson": (_poisson, 1), "gamma": (_gamma, 2), "binomial": (partial(_binomial, kind=F64), 7),
    "binomial of float32": (partial(_binomial, kind=F32), 7),
}  # fmt: skip


def emit(module: Module, name: str, distribution: str) -> None:
    """A function that makes numbers of a distribution until all are made or the uniform numbers are spent.

    Arguments: the uniform numbers, the columns one behind the other, Stirling's tails, the numbers to be made, what is
    remembered (`MADE` and so on); then how many uniform numbers there are, and how many are to be made.
    """
    make, columns = SAMPLERS[distribution]
    buffers = [Buffer(n, F64) for n in ("uniforms", "columns", "tails", "out", "memory")]
    f = module.function(name, buffers, ["there", "count"])
    (uniforms, given, tails, out, memory), (there, count) = f.buffers, f.indices
    numbers = memory.as_elements(I64)
    s = _Sampler(f, uniforms, (there - MARGIN).value())
    total = count.value()
    with f.forever() as loop:
        i = (numbers + MADE).load()
        loop.leave_if(i >= total)
        for cell, slot in ((s.place, USED), (s.waits, WAITS)):
            (numbers + slot).load().store(cell)
        (memory + WAITING).load().store(s.waiting)
        row = [(given + (count * k + i.index())).load() for k in range(columns)]
        if distribution.startswith("binomial"):
            make(s, tails=tails, **dict(zip(("n", "p", "rare", "mean", "deviation", "odds", "m"), row, strict=True)))
        else:
            make(s, *row)
        loop.leave_if(s.spent())
        s.result.load().store(out + i.index())
        for number, slot in ((i + 1, MADE), (s.place.load(), USED), (s.waits.load(), WAITS)):
            number.store(numbers + slot)
        s.waiting.load().store(memory + WAITING)


@cache
def _function(distribution: str) -> Any:
    module = Module()
    emit(module, "sample", distribution)
    return jit.load(module).function("sample", 7)


_TAILS = np.array(STIRLING_TAILS)


def sample(
    distribution: str, columns: Sequence[np.ndarray], waiting: float | None
) -> tuple[np.ndarray, Callable[[np.ndarray], tuple[int, bool]], Callable[[], float | None]]:  # fmt: skip
    """The numbers to be made; what makes them of the next uniform numbers, and says how many it used and whether that was
    all; and what tells which normal number waits then.
    """
    count = columns[0].size
    given = np.concatenate([np.asarray(c, np.float64).reshape(-1) for c in columns])
    out, memory = np.empty(count), np.zeros(4)
    whole, run = memory.view(np.int64), _function(distribution)
    if waiting is not None:
        whole[WAITS], memory[WAITING] = 1, waiting

    def use(uniforms: np.ndarray) -> tuple[int, bool]:
        whole[USED] = 0
        run(*map(address, (uniforms, given, _TAILS, out, memory)), uniforms.size, count)
        return int(whole[USED]), bool(whole[MADE] == count)

    return out, use, lambda: float(memory[WAITING]) if whole[WAITS] else None
