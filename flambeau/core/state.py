"""What every operator looks at before it computes: is there anything but plain eager execution?"""

from __future__ import annotations

from typing import Any


class _State:
    """`tracer` records operators while a program is traced; `watcher(name, arrays, start, end)` is told of
    operators that ran (times in nanoseconds), while a profiler is on. `autocast` is the dtype of
    products, or `None`. `busy` counts the reasons to leave the
    shortest path: a tracer, `inference_mode`, autocasting, profiling; operators test it once.
    """

    __slots__ = ("autocast", "busy", "tracer", "watcher")

    def __init__(self) -> None:
        self.tracer: Any = None
        self.autocast: Any = None
        self.watcher: Any = None
        self.busy = 0


state = _State()


def set_tracer(tracer: Any) -> None:
    """Installs or removes (`None`) the tracer."""
    state.busy += (tracer is not None) - (state.tracer is not None)
    state.tracer = tracer


def set_watcher(watcher: Any) -> None:
    """Installs or removes (`None`) who is told of every operator."""
    state.busy += (watcher is not None) - (state.watcher is not None)
    state.watcher = watcher


def set_autocast(dtype: Any) -> None:
    """Sets or removes (`None`) the dtype in which products are computed."""
    state.busy += (dtype is not None) - (state.autocast is not None)
    state.autocast = dtype
