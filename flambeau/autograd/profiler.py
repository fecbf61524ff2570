"""A profiler of eager programs: which operators ran, when, and for how long.

Every primitive tells its time while a profiler is on; `record_function` names stretches of a program. A compiled
program counts as one operator here: `step.explain()` tells of its kernels.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flambeau.core.state import set_watcher

__all__ = ["Event", "EventAverages", "profile", "record_function"]

_active: list[profile] = []


class record_function:
    """Names a stretch of a program, as a context manager or decorator; `profile` reports its time."""

    def __init__(self, name: str, args: str | None = None):
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        self.began = time.perf_counter_ns()
        return self

    def __exit__(self, *exc: object) -> None:
        end = time.perf_counter_ns()
        for profiler in _active:
            profiler.add(self.name, self.began, end)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return within


@dataclass(slots=True)
class Event:
    """A stretch of time with a name.

    Attributes:
        name: `aten::` and the operator, or what `record_function` was told.
        start, end: in nanoseconds of `time.perf_counter_ns`.
        thread: the number of the Python thread.
        input_shapes: of the operator's tensors, if they are recorded.
        inner: nanoseconds of the events within this one.
    """

    name: str
    start: int
    end: int
    thread: int
    input_shapes: tuple = ()
    inner: int = 0

    @property
    def cpu_time_total(self) -> float:
        """Microseconds."""
        return (self.end - self.start) / 1e3

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds less those of the events within."""
        return (self.end - self.start - self.inner) / 1e3


class profile:
    """Collects operators and the stretches named by `record_function`.

    Args:
        enabled: whether to collect at all.
        record_shapes: keep the shapes of the operators' tensors.
        options: PyTorch's further arguments; what they ask for is not collected here: stacks, memory, modules,
            operations counted, other devices.

    Raises:
        NotImplementedError: for options that ask for one of these.
    """

    def __init__(self, enabled: bool = True, *, record_shapes: bool = False, **options: Any):
        wanted = [name for name in _NOT_COLLECTED if options.get(name)]
        if wanted:
            raise NotImplementedError(
                f"profile({wanted[0]}=True): the profiler collects times and shapes of operators only; "
                "compiled programs tell operations and bytes in step.explain()"
            )
        self.enabled, self.record_shapes = enabled, record_shapes
        self._events: list[Event] = []
        self._began = self._ended = 0

    def __enter__(self) -> profile:
        if self.enabled:
            self._began = time.perf_counter_ns()
            _active.append(self)
            set_watcher(_tell)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            _active.remove(self)
            if not _active:
                set_watcher(None)
            self._ended = time.perf_counter_ns()

    def add(self, name: str, start: int, end: int, shapes: tuple = ()) -> None:
        """Notes one stretch of time."""
        self._events.append(Event(name, start, end, threading.get_native_id(), shapes))

    def events(self) -> list[Event]:
        """What was collected, in the order in which it began."""
        found = sorted(self._events, key=lambda e: (e.start, -e.end))
        _nest(found)
        return found

    def key_averages(self, group_by_input_shape: bool = False, **options: Any) -> EventAverages:
        """Sums by name; `group_by_input_shape` keeps calls on other shapes apart."""
        return EventAverages(self.events(), group_by_input_shape)

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """See `EventAverages.table`."""
        return self.key_averages().table(sort_by, row_limit)

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all events."""
        return sum(e.self_cpu_time_total for e in self.events())

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the events as JSON for chrome://tracing, Perfetto and TensorBoard."""
        process = os.getpid()
        events = [
            {
                "ph": "X", "cat": "cpu_op" if e.name.startswith("aten::") else "user_annotation", "name": e.name,
                "pid": process, "tid": e.thread, "ts": e.start / 1e3, "dur": (e.end - e.start) / 1e3,
                "args": {"Input Dims": [list(s) for s in e.input_shapes]} if e.input_shapes else {},
            }
            for e in self.events()
        ]  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": events}, file)


_NOT_COLLECTED = ("use_cuda", "with_flops", "profile_memory", "with_stack", "with_modules", "use_kineto")


def _tell(name: str, arrays: Iterable[Any], start: int, end: int) -> None:
    """An operator ran."""
    for profiler in _active:
        shapes = tuple(a.shape for a in arrays if hasattr(a, "shape")) if profiler.record_shapes else ()
        profiler.add(name if "::" in name else f"aten::{name}", start, end, shapes)


def _nest(events: list[Event]) -> None:
    """Notes for each event how much of its time the events within it take."""
    open_: dict[int, list[Event]] = {}
    for event in events:
        event.inner = 0
        stack = open_.setdefault(event.thread, [])
        while stack and stack[-1].end <= event.start:
            stack.pop()
        if stack:
            stack[-1].inner += event.end - event.start
        stack.append(event)


@dataclass
class _Average:
    """All events of a name. Times are in microseconds."""

    key: str
    input_shapes: tuple = ()
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    extra: dict = field(default_factory=dict)

    @property
    def cpu_time(self) -> float:
        return self.cpu_time_total / self.count if self.count else 0.0


class EventAverages(list[_Average]):
    """Sums of events by name, the longest first: a list with a `table`."""

    def __init__(self, events: Iterable[Event], by_shape: bool = False):
        found: dict[Any, _Average] = {}
        for e in events:
            shapes = e.input_shapes if by_shape else ()
            sums = found.setdefault((e.name, shapes), _Average(e.name, shapes))
            sums.count += 1
            sums.cpu_time_total += e.cpu_time_total
            sums.self_cpu_time_total += e.self_cpu_time_total
        super().__init__(sorted(found.values(), key=lambda a: -a.self_cpu_time_total))
        self.by_shape = by_shape

    def total_average(self) -> _Average:
        """All of them in one."""
        total = _Average("Total")
        for a in self:
            total.count += a.count
            total.cpu_time_total += a.cpu_time_total
            total.self_cpu_time_total += a.self_cpu_time_total
        return total

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_name_column_width: int = 55, **options: Any
    ) -> str:
        """A table as text.

        Args:
            sort_by: `cpu_time_total`, `self_cpu_time_total`, `cpu_time` or `count`, the largest first.
            row_limit: how many rows at most; -1 for all.
            max_name_column_width: longer names are cut.

        Raises:
            AttributeError: for another `sort_by`.
        """
        rows = list(self)
        if sort_by is not None:
            if sort_by not in ("cpu_time_total", "self_cpu_time_total", "cpu_time", "count"):
                raise AttributeError(f"events have no {sort_by!r} to sort by")
            rows.sort(key=lambda a: -getattr(a, sort_by))
        rows = rows if row_limit < 0 else rows[:row_limit]
        whole = sum(a.self_cpu_time_total for a in self) or 1.0
        width = min(max([len(a.key) for a in rows] + [8]), max_name_column_width)
        heads = ("Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls")
        line = "-" * (width + sum(len(h) + 4 for h in heads))
        text = [line, f"{'Name':<{width}}" + "".join(f"{h:>{len(h) + 4}}" for h in heads), line]
        for a in rows:
            name = a.key if len(a.key) <= width else a.key[: width - 3] + "..."
            cells = (
                f"{a.self_cpu_time_total / whole:.2%}", _readable(a.self_cpu_time_total),
                f"{a.cpu_time_total / whole:.2%}", _readable(a.cpu_time_total), _readable(a.cpu_time), str(a.count),
            )  # fmt: skip
            text.append(
                f"{name:<{width}}" + "".join(f"{c:>{len(h) + 4}}" for c, h in zip(cells, heads, strict=True))
                + (f"  {[list(s) for s in a.input_shapes]}" if self.by_shape else "")
            )  # fmt: skip
        return "\n".join([*text, line, f"Self CPU time total: {_readable(whole)}"])

    __str__ = table  # type: ignore[assignment]


def _readable(microseconds: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3f}{unit}"
    return f"{microseconds:.3f}us"
