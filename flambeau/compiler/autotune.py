"""`mode="max-autotune"`: builds a program by several schedules, times them, and remembers the best on disk.

What is remembered is small: the name of the schedule, under the hash of graph, processor and version. A later
process builds the winner only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from flambeau.compiler.backends.cpu import Executable
from flambeau.compiler.graph import Graph
from flambeau.compiler.schedule import CANDIDATES, Schedule
from flambeau.kernels import cache, threads
from flambeau.kernels.target import host

_REPEATS = 5
_CHOICES = {"convolution", "convolution_input", "convolution_weight"}


def tuned(
    graph: Graph, written: dict[int, int], run: Callable[[Executable], None]
) -> Executable:
    """The fastest form of a graph; `run` runs one on memory of its own."""
    if not any(node.primitive.name in _CHOICES for node in graph.nodes):
        return Executable(graph, written)  # there is nothing to choose
    key = cache.key_of("schedule", graph.key(), repr(host()), str(threads.get_num_threads()))
    known = _remembered(key)
    if known is not None:
        return Executable(graph, written, schedule=known)
    best, least = None, float("inf")
    for schedule in CANDIDATES:
        code = Executable(graph, written, schedule=schedule)
        seconds = _time(code, run)
        if seconds < least:
            best, least, known = code, seconds, schedule
    assert best is not None and known is not None
    cache.write(key, json.dumps(known.as_dict()).encode())
    return best


def _remembered(key: str) -> Schedule | None:
    found = cache.read(key)
    if found is None:
        return None
    try:
        return Schedule.from_dict(json.loads(found))
    except (ValueError, TypeError, KeyError):  # another version's, or no schedule at all: tried anew
        return None


def _time(code: Executable, run: Callable[[Executable], None]) -> float:
    run(code)
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        run(code)
        times.append(time.perf_counter() - start)
    return min(times)
