"""What the benchmarks share: two programs timed in turn, medians and ratios."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any


def median_us(call: Callable[[], Any], count: int, rounds: int = 7) -> float:
    """The median over `rounds` of the mean time of `count` calls, in microseconds."""
    for _ in range(count // 10 + 1):
        call()
    times = []
    for _ in range(rounds):
        start = perf_counter()
        for _ in range(count):
            call()
        times.append((perf_counter() - start) / count * 1e6)
    return statistics.median(times)


def in_turn(commands: dict[str, Sequence[str]], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Runs each command `rounds` times, A B A B; each prints one JSON object on its last line."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            done = subprocess.run(
                [sys.executable, *command], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
            found[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    return found


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median with minimum and maximum."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
