"""What a traced function does or reads beside tensors, which no graph repeats: clocks, files, logs, the environment.

Python tells a `Watch` of every call while it is on, which makes tracing slower; so it is on only where the code of the
function names something of this kind.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from flambeau.tensor.tracing import Untraceable

_CLOCKS = {
    getattr(time, name): f"time.{name}()"
    for name in (
        "time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time",
        "process_time_ns", "thread_time", "thread_time_ns", "localtime", "gmtime", "ctime", "strftime", "sleep",
    )
    if hasattr(time, name)
}  # fmt: skip
_CALLS = {**_CLOCKS, builtins.input: "input()", io.open: "open()", os.urandom: "os.urandom()", os.getpid: "os.getpid()"}
_DATES = {"now", "utcnow", "today"}
_WRITES = {"write", "writelines"}
_LOGS = {"debug", "info", "warning", "error", "exception", "critical"}
_ENVIRONMENT = {"environ", "getenv"}
#: Names by which code reaches what is watched for; aliases of clocks (`from time import time`) go by the same names.
_NAMES = (
    {f.__name__ for f in _CALLS} | _DATES | _WRITES | _LOGS | _ENVIRONMENT | {"default_timer", "uuid1", "uuid4"}
) - {"strftime"}
_READ, _SET = type(os.environ).__getitem__.__code__, type(os.environ).__setitem__.__code__
#: Whose own calls are not the function's.
_OURS = {__name__.partition(".")[0], "logging", "threading", "warnings", "importlib", "linecache", "tokenize"}


class Watch:
    """What the function that is traced reads of the environment; raises `Untraceable` for the other things.

    `environment`: the variables that were read, and what they were.
    """

    def __init__(self, named: set[str]):
        self.environment: dict[str, str | None] = {}
        self._wanted = bool(named & _NAMES)
        # What nobody has imported, nobody calls.
        logging, datetime = sys.modules.get("logging"), sys.modules.get("datetime")
        self._log = None if logging is None else logging.Logger.handle.__code__
        self._date: Any = () if datetime is None else datetime.date

    @contextmanager
    def on(self) -> Iterator[Watch]:
        """Inside, this thread is watched."""
        if not self._wanted:
            yield self
            return
        before = sys.getprofile()
        sys.setprofile(self._see)
        try:
            yield self
        finally:
            sys.setprofile(before)

    def _see(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "c_call":
            self._called(frame, what)
        elif event == "call":
            code = frame.f_code
            if code is self._log:
                raise Untraceable("logging")
            if code is _READ:
                key = frame.f_locals["key"]
                self.environment[key] = os.environ._data.get(os.environ.encodekey(key))  # type: ignore[attr-defined]
            elif code is _SET:
                raise Untraceable("a change of the environment")

    def _called(self, frame: FrameType, function: Any) -> None:
        why = _CALLS.get(function)
        if why is None:
            name = function.__name__
            if name in _DATES and isinstance(owner := function.__self__, type) and issubclass(owner, self._date):
                why = f"{owner.__name__}.{name}()"
            elif name in _WRITES and isinstance(getattr(function, "__self__", None), io.IOBase):
                why = "writing to a file"
        if why is not None and frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            raise Untraceable(why)

    def holds(self) -> bool:
        """Whether the environment is as it was."""
        data, key = os.environ._data, os.environ.encodekey  # type: ignore[attr-defined]
        return all(data.get(key(name)) == value for name, value in self.environment.items())
