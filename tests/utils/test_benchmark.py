"""Timing statements: how often they run, and what is told."""

from __future__ import annotations

from flambeau.utils import benchmark


def test_a_statement_is_timed() -> None:
    seen: list[int] = []
    timer = benchmark.Timer("seen.append(x)", "x = 1", globals={"seen": seen}, label="append", sub_label="one")
    once = timer.timeit(100)
    assert len(seen) == 102 and once.number_per_run == 100 and once.mean > 0
    several = timer.blocked_autorange(min_run_time=0.01)
    assert len(several.times) >= 1 and several.median > 0
    assert "append: one" in repr(several) and "1 thread" in repr(several)


def test_units() -> None:
    assert benchmark.select_unit(2.0) == ("s", 1.0)
    assert benchmark.select_unit(3e-5) == ("us", 1e-6)
    measured = benchmark.Measurement(10, [1.0, 2.0, 3.0], "three")
    assert abs(measured.mean - 0.2) < 1e-9 and abs(measured.median - 0.2) < 1e-9
    assert "Median: 200.00 ms" in repr(measured)
