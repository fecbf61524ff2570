"""Running a statement often enough to time it."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from time import perf_counter as timer
from typing import Any

from flambeau.kernels.threads import get_num_threads, set_num_threads
from flambeau.utils.benchmark.measurement import Measurement


class Timer:
    """Times a statement.

    Args:
        stmt: Python code.
        setup: code that runs before.
        global_setup: code for C++; must be empty.
        timer: a clock in seconds.
        globals: names that the code sees.
        label, sub_label, description, env: what is told of it.
        num_threads: how many threads compute meanwhile.
    """

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", global_setup: str = "", timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None, label: str | None = None, sub_label: str | None = None,
        description: str | None = None, env: str | None = None, num_threads: int = 1, language: Any = "python",
    ):  # fmt: skip
        if global_setup or str(language).lower() not in ("python", "language.python"):
            raise NotImplementedError("torch.utils.benchmark.Timer times Python only")
        self._about = {"label": label, "sub_label": sub_label, "description": description, "env": env}
        self._title = ": ".join(x for x in (label or stmt, sub_label) if x)
        if description:
            self._title += f"\n  {description}"
        self._threads = num_threads
        self._timer = timeit.Timer(stmt, setup, timer, dict(globals or {}))

    def _time(self, number: int) -> float:
        before = get_num_threads()
        set_num_threads(self._threads)
        try:
            return self._timer.timeit(number)
        finally:
            set_num_threads(before)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, self._title, self._threads, **self._about)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Runs the statement so often, after some runs that are not counted."""
        self._time(max(number // 100, 2))
        return self._measured(number, [self._time(number)])

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """Raises `NotImplementedError`: see `blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _number(self, min_run_time: float) -> int:
        number = 1
        while True:
            took = self._time(number)
            if took >= min_run_time / 1000 or took >= min_run_time or number >= 1_000_000_000:
                return number
            number *= 10

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Several times of as many runs as a thousandth of `min_run_time` needs, for so many seconds in all."""
        number, times = self._number(min_run_time), []
        while sum(times) < min_run_time:
            times.append(self._time(number))
            if callback is not None:
                callback(number, times[-1])
        return self._measured(number, times)

    def adaptive_autorange(
        self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:  # fmt: skip
        """As `blocked_autorange`, until the quartiles lie within `threshold` of the median."""
        number, times = self._number(0.05), []
        while True:
            times.append(self._time(number))
            if callback is not None:
                callback(number, times[-1])
            measured = self._measured(number, times)
            settled = len(times) > 3 and sum(times) > min_run_time and measured.iqr / measured.median < threshold
            if settled or sum(times) > max_run_time:
                return measured
