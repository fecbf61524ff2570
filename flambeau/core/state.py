"""What every operator looks at before it computes: is there anything but plain eager execution?"""

from __future__ import annotations

import threading
from typing import Any

from flambeau.core.locks import Guarded


class _Own(threading.local):
    tracer: Any = None
    autocast: Any = None


class _State:
    """`tracer` records operators while this thread traces a program; `autocast` is the dtype of its products, or
    `None`. `watcher(name, arrays, start, end)` is told of operators that ran (times in nanoseconds), while a
    profiler is on. `busy` counts the reasons to leave the shortest path, of all threads: a tracer,
    `inference_mode`, autocasting, profiling. Operators test it once, which is faster than asking for the thread's own.
    """

    __slots__ = ("_own", "busy", "watcher")

    def __init__(self) -> None:
        self._own = _Own()
        self.watcher: Any = None
        self.busy = 0

    @property
    def tracer(self) -> Any:
        return self._own.tracer if self.busy else None

    @property
    def autocast(self) -> Any:
        return self._own.autocast if self.busy else None


state = _State()
_counting = Guarded()


def add_busy(count: int) -> None:
    """Adds to the reasons to leave the shortest path."""
    with _counting.lock:
        state.busy += count


def set_tracer(tracer: Any) -> None:
    """Installs or removes (`None`) this thread's tracer."""
    add_busy((tracer is not None) - (state._own.tracer is not None))
    state._own.tracer = tracer


def set_watcher(watcher: Any) -> None:
    """Installs or removes (`None`) who is told of every operator."""
    add_busy((watcher is not None) - (state.watcher is not None))
    state.watcher = watcher


def set_autocast(dtype: Any) -> None:
    """Sets or removes (`None`) the dtype in which this thread computes products."""
    add_busy((dtype is not None) - (state._own.autocast is not None))
    state._own.autocast = dtype
