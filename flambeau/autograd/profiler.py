"""`record_function` and a profiler of operators: how often each was called, and for how
long.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

__all__ = ["profile", "record_function"]

_active: list[profile] = []


class record_function:
    """Names a stretch of a program, as a context manager or decorator; `profile` reports its
    time.
    """

    def __init__(self, name: str, args: str | None = None):
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        self.began = time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        for profiler in _active:
            profiler.add(self.name, time.perf_counter() - self.began)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return within


class profile:
    """Collects the stretches named by `record_function`; `key_averages()` sums them up.

    `enabled=False` collects nothing; further arguments of PyTorch's are accepted and have no
    effect.
    """

    def __init__(self, enabled: bool = True, **options: Any):
        self.enabled = enabled
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __enter__(self) -> profile:
        if self.enabled:
            _active.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            _active.remove(self)

    def add(self, name: str, seconds: float) -> None:
        """Counts one stretch called `name`."""
        self.counts[name] += 1
        self.seconds[name] += seconds

    def key_averages(self, *args: Any, **kwargs: Any) -> profile:
        """This profile, which is already summed up by name."""
        return self

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """A table of names, calls and times, the longest first."""
        names = sorted(self.counts, key=lambda n: -self.seconds[n])[:row_limit]
        rows = [f"{'Name':<40} {'Calls':>8} {'Total':>12} {'Mean':>12}"]
        for n in names:
            total, calls = self.seconds[n], self.counts[n]
            rows.append(
                f"{n:<40} {calls:>8} {total * 1e3:>10.3f}ms {total / calls * 1e3:>10.3f}ms"
            )
        return "\n".join(rows)

    __str__ = table
