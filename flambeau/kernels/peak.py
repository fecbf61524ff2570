"""What this machine can do at most, measured: multiply-adds, and bytes from each level of memory.

All figures are of one thread, the best of several runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from flambeau.kernels import jit
from flambeau.kernels.element import F32, Element
from flambeau.kernels.language import Buffer, Module
from flambeau.kernels.target import host

_SUMS = 16  # independent sums hide the latency of a multiply-add; or as many as the registers hold
_TURNS = 200_000
_FAR = 1 << 27  # bytes that no cache holds


@dataclass(frozen=True)
class Peak:
    """The most that one thread does.

    Attributes:
        flops: floating-point operations a second in f32 (a multiply-add counts as two); half of it in f64.
        bandwidths: for sizes of working memory, in bytes, how many bytes a copy of that size reads and writes
            a second.
    """

    flops: float
    bandwidths: tuple[tuple[int, float], ...]

    def bandwidth(self, working: int) -> float:
        """Bytes a second for a working set of so many bytes."""
        for size, rate in self.bandwidths:
            if working <= size:
                return rate
        return self.bandwidths[-1][1]

    def share(self, seconds: float, flops: int, traffic: int, itemsize: int = 4) -> float:
        """How near a kernel came to what bounds it, arithmetic or memory: 1 is as fast as can be."""
        if seconds <= 0:
            return 0.0
        arithmetic = flops / seconds / (self.flops * 4 / max(itemsize, 4))
        return max(arithmetic, traffic / seconds / self.bandwidth(traffic))


@cache
def measured() -> Peak:
    """The peak of this machine; takes a few tenths of a second the first time."""
    near = host().l2
    sizes = (near // 2, 8 * near, _FAR)
    return Peak(_multiply_adds(F32), tuple((2 * size, _copying(size)) for size in sizes))


def _best(run: Callable[[], None], repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _multiply_adds(element: Element) -> float:
    module = Module()
    lanes = module.target.lanes(element.bytes)
    sums = min(_SUMS, module.target.registers - 2)
    f = module.function("peak", [Buffer("out", element)], [])
    (out,) = f.buffers
    factor = out.broadcast(lanes)
    with f.loop(0, _TURNS, 1, carry=[factor] * sums) as loop:
        loop.next([f.fma(value, factor, factor) for value in loop.values])
    total = loop.results[0]
    for value in loop.results[1:]:
        total = total + value
    total.store(out)
    run = jit.load(module).function("peak", 1)
    memory = np.zeros(lanes, np.float32 if element is F32 else np.float64)
    seconds = _best(lambda: run(memory.ctypes.data), 5)
    return 2 * lanes * sums * _TURNS / seconds


def _copying(size: int) -> float:
    source, target = np.zeros(size // 4, np.float32), np.zeros(size // 4, np.float32)
    turns = max(1, (1 << 24) // size)

    def copy() -> None:
        for _ in range(turns):
            np.copyto(target, source)

    return 2 * size * turns / _best(copy, 5)


__all__ = ["Peak", "measured"]
