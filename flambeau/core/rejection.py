"""Poisson, gamma and binomial numbers by rejection, one after another as PyTorch draws them.

How many uniform numbers one of them takes is not known before, so the functions here read from a `Reader`, which
takes ahead what the generator's engine has ready and gives back what was not used. Many numbers are made by
`flambeau.kernels.rejection` in the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING, Any

import numpy as np

from .twister import kernels_are_worth

if TYPE_CHECKING:
    from .generator import Generator

Array = np.ndarray
Draw = Callable[[], float]

STIRLING_TAILS = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
    0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
    0.00925546218271273, 0.00833056343336287,
)  # fmt: skip
#: What a number takes in Python, and how many uniform numbers a kernel gets at a time.
_NANOSECONDS, _AHEAD = 600.0, 1 << 14
_THIRD = np.float32(1) / np.float32(3)
SQUEEZE = float(np.float32(0.0331))


class Reader:
    """The float64 uniform and normal numbers of a generator, for a `with` block that nobody else draws in."""

    def __init__(self, generator: Generator):
        self._generator, self._engine = generator, generator._engine

    def __enter__(self) -> Reader:
        self._engine.lock.acquire()
        self._ahead: Iterator[float] = iter(())
        #: The next uniform number of [0, 1).
        self.draw: Draw = chain.from_iterable(self._blocks()).__next__
        return self

    def __exit__(self, *error: object) -> None:
        self._engine.give_back(2 * length_hint(self._ahead))
        self._engine.lock.release()

    def _blocks(self) -> Iterator[Iterator[float]]:
        size = 8
        while True:
            self._ahead = iter(self._engine.doubles_at_hand(size))
            yield self._ahead
            size *= 2

    def normal(self) -> float:
        """The next standard normal number; the second of a pair waits in the generator."""
        generator = self._generator
        kept = generator._next_double
        if kept is not None:
            generator._next_double = None
            return kept
        draw = self.draw
        angle = 2 * math.pi * draw()
        radius = math.sqrt(-2.0 * math.log1p(-draw()))
        generator._next_double = radius * math.sin(angle)
        return radius * math.cos(angle)


def _sampled(generator: Generator, distribution: str, columns: Sequence[Array]) -> Array | None:
    """The numbers by a kernel, as float64; `None` where they are few."""
    if not kernels_are_worth(columns[0].size, _NANOSECONDS):
        return None
    from flambeau.kernels import rejection as kernels

    out, use, waiting = kernels.sample(distribution, columns, generator._next_double)
    generator._engine.read_doubles(min(64 + 4 * out.size, _AHEAD), use)
    generator._next_double = waiting()
    return out


# ---- Poisson numbers


def poisson(generator: Generator, rates: Array) -> Array:
    """Counts of the given rates, as float64."""
    wrong = ~(rates >= 0).ravel()
    if wrong.any():
        poisson(generator, rates.ravel()[: wrong.argmax()])  # those before it are drawn
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    made = _sampled(generator, "poisson", (rates,))
    if made is not None:
        return made
    with Reader(generator) as reader:
        draw = reader.draw
        return np.array([_one_poisson(draw, rate) for rate in rates.ravel().tolist()], np.float64)


def _one_poisson(draw: Draw, rate: float) -> float:
    if rate == 0:
        return 0.0
    if rate < 10:  # uniforms multiplied until they fall below exp(-rate)
        bound, product, count = math.exp(-rate), draw(), 0
        while product > bound:
            count += 1
            product *= draw()
        return float(count)
    # Transformed rejection: Hormann, "The transformed rejection method for generating
    # Poisson random variables", Insurance: Mathematics and Economics 1993.
    log_rate = math.log(rate)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    accept_below = 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = draw() - 0.5, draw()
        tail = 0.5 - abs(u)
        k = math.floor((2 * a / tail + b) * u + rate + 0.43) if tail else -1
        if tail >= 0.07 and v <= accept_below:
            return float(k)
        if k < 0 or (tail < 0.013 and v > tail):
            continue
        hat = math.log(v) + math.log(inverse_alpha) - math.log(a / (tail * tail) + b)
        if hat <= -rate + k * log_rate - math.lgamma(k + 1):
            return float(k)


# ---- gamma numbers


def standard_gamma(generator: Generator, concentration: Array) -> Array:
    """Gamma numbers of rate one, of the concentration's dtype, flat.

    Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 2000. PyTorch adds to the
    concentration and divides by it in its own dtype, and so does this, before it goes on in float64.
    """
    alpha = concentration.ravel()
    boosted = alpha < 1
    with np.errstate(divide="ignore"):
        powers = np.where(boosted, 1 / alpha, 0)
    shapes = np.where(boosted, alpha + 1, alpha) - _THIRD.astype(alpha.dtype)
    drawn: Any = _sampled(generator, "gamma", (powers, shapes))
    if drawn is None:
        with Reader(generator) as reader:
            drawn = [
                _one_gamma(reader, power, d) if power < math.inf else 0.0
                for power, d in zip(powers.tolist(), shapes.tolist(), strict=True)
            ]
    return np.maximum(np.array(drawn, alpha.dtype), np.finfo(alpha.dtype).tiny)


def _one_gamma(reader: Reader, power: float, d: float) -> float:
    draw, normal = reader.draw, reader.normal
    scale = math.pow(1 - draw(), power) if power else 1.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        y = 0.0
        while y <= 0:
            x = normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1 - draw()
        xx = x * x
        if u < 1.0 - SQUEEZE * xx * xx:
            return scale * d * v
        if math.log(u) < 0.5 * xx + d * (1.0 - v + math.log(v)):
            return scale * d * v


# ---- binomial numbers


def binomial(generator: Generator, count: Array, prob: Array) -> Array:
    """Numbers of successes, of the dtype of `count` and the shape that both broadcast to.

    What PyTorch computes in the dtype of its arguments is computed here for all at once, the rest in float64.
    """
    shape = np.broadcast_shapes(count.shape, prob.shape)
    n, p = (np.broadcast_to(x, shape).ravel() for x in (count, prob))
    one = p.dtype.type(1)
    rare = np.where(p > 0.5, one - p, p)  # failures are counted where successes are the rule
    mean = n * rare
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = (n, p, rare, mean, np.sqrt(mean * (one - rare)), rare / (one - rare), np.floor((n + one) * rare))
    drawn: Any = _sampled(generator, "binomial of float32" if p.dtype == np.float32 else "binomial", columns)
    if drawn is None:
        rows = zip(*[column.tolist() for column in columns], strict=True)
        with Reader(generator) as reader:
            drawn = [_one_binomial(reader.draw, p.dtype.type, *row) for row in rows]
    return np.array(drawn, n.dtype).reshape(shape)


def _one_binomial(draw: Draw, kind: type, n: float, p: float, rare: float, *known: float) -> float:
    if n <= 0 or p <= 0:
        return 0.0
    if p >= 1:
        return n
    if p != p:
        return math.nan
    successes = _one_binomial_of_rare(draw, kind, n, rare, *known)
    return n - successes if p > 0.5 else successes


def _one_binomial_of_rare(
    draw: Draw, kind: type, n: float, p: float, mean: float, deviation: float, odds: float, m: float
) -> float:
    if mean < 10:  # the waits for successes, one geometric number each
        log_failure = float(kind(math.log1p(-p)))
        waited, successes = 0.0, -1
        while waited <= n:
            successes += 1
            waited += math.ceil(math.log(draw() or 5e-324) / log_failure)
        return float(successes)
    # Transformed rejection: Hormann, "The generation of binomial random variates", 1993.
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    center = mean + 0.5
    accept_below = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * deviation
    while True:
        u, v = draw() - 0.5, draw()
        tail = 0.5 - abs(u)
        k = float(math.floor((2 * a / tail + b) * u + center)) if tail else -1.0
        if k < 0 or k > n:
            continue
        if tail >= 0.07 and v <= accept_below:
            return k
        v = math.log(v * alpha / (a / (tail * tail) + b)) if v else -math.inf
        bound = (
            (m + 0.5) * math.log((m + 1) / (odds * (n - m + 1)))
            + (n + 1) * math.log((n - m + 1) / (n - k + 1))
            + (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1))
            + _stirling_tail(m) + _stirling_tail(n - m)
            - _stirling_tail(k) - _stirling_tail(n - k)
        )  # fmt: skip
        if v <= bound:
            return k


def _stirling_tail(k: float) -> float:
    """log k! less Stirling's approximation of it."""
    if k < len(STIRLING_TAILS):
        return STIRLING_TAILS[int(k)]
    square = (k + 1) * (k + 1)
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)
