"""`detect_anomaly`: backward errors and NaN gradients, named by the line of the forward
pass.
"""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.autograd import engine, node
from flambeau.autograd.node import Node
from flambeau.core.state import add_busy

__all__ = ["detect_anomaly", "is_anomaly_enabled", "set_detect_anomaly"]

_TRACE, _PARENT = "traceback_", "parent_"


class _Settings(threading.local):
    running: Node | None = None  # the node whose `apply` runs now, in this thread


_settings = _Settings()
_mode = {"enabled": False, "check_nan": True}


def is_anomaly_enabled() -> bool:
    """Whether anomalies are looked for."""
    return _mode["enabled"]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether NaN gradients count as anomalies."""
    return _mode["check_nan"]


def _switch(enabled: bool, check_nan: bool) -> None:
    # The shortest path of operators makes nodes without calling their constructor: leave it.
    add_busy(enabled - _mode["enabled"])
    _mode["enabled"], _mode["check_nan"] = enabled, check_nan
    node.on_new_node = _remember_origin if enabled else None
    engine._watched_apply = _watched_apply if enabled else None


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switches anomaly detection on or off until further notice."""
    _switch(bool(mode), check_nan)


def _remember_origin(made: Node) -> None:
    """Notes where in the program `made` comes from, leaving out the frames of this package."""
    frames = traceback.extract_stack()
    while len(frames) > 1 and _is_ours(frames[-1].filename):
        frames.pop()
    made.metadata[_TRACE] = frames
    if _settings.running is not None:
        made.metadata[_PARENT] = _settings.running


_ROOT = __file__.rpartition("autograd")[0]


def _is_ours(filename: str) -> bool:
    return filename.startswith(_ROOT)


def _watched_apply(at: Node, grads: Sequence[Any]) -> Sequence[Any]:
    before, _settings.running = _settings.running, at
    try:
        results = at.apply(grads)
        if _mode["check_nan"]:
            for position, grad in enumerate(results):
                if grad is not None and _has_nan(grad):
                    raise RuntimeError(
                        f"Function '{at.name()}' returned nan values in its {position}th "
                        "output."
                    )
    except Exception as error:
        _report(at, error)
        raise
    finally:
        _settings.running = before
    return results


def _has_nan(grad: Any) -> bool:
    return isinstance(grad._array, np.ndarray) and bool(np.isnan(grad._array).any())


def _report(at: Node, error: Exception) -> None:
    """Warns with the traceback of the forward call, and notes its last line on the error
    itself.
    """
    frames = at.metadata.get(_TRACE)
    if frames is None:
        warnings.warn(
            f"Error detected in {at.name()}. No forward pass information available. Enable "
            "detect anomaly "
            "during forward pass for more information.",
            stacklevel=4,
        )
        return
    text = "".join(traceback.format_list(frames))
    warnings.warn(
        f"Error detected in {at.name()}. Traceback of forward call that caused the "
        f"error:\n{text}",
        stacklevel=4,
    )
    last = frames[-1]
    error.add_note(f"The forward call was in {last.filename}, line {last.lineno}: {last.line}")
    parent = at.metadata.get(_PARENT)
    while parent is not None and _TRACE in parent.metadata:
        text = "".join(traceback.format_list(parent.metadata[_TRACE]))
        warnings.warn(
            f"\n\nPrevious calculation was induced by {parent.name()}. Traceback of forward "
            "call that "
            f"induced the previous calculation:\n{text}",
            stacklevel=4,
        )
        parent = parent.metadata.get(_PARENT)


class detect_anomaly:
    """Inside, a failing backward also shows the traceback of its forward call, and NaN is a
    failure.

    `check_nan=False` leaves NaN gradients alone. Slow: for finding errors only.
    """

    def __init__(self, check_nan: bool = True):
        self.before = dict(_mode)
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and "
            "should only be "
            "enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.before = dict(_mode)
        _switch(True, self.check_nan)

    def __exit__(self, *exc: object) -> None:
        _switch(self.before["enabled"], self.before["check_nan"])


class set_detect_anomaly:
    """Switches anomaly detection on or off, at once, and back at the end of a `with` block."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self.before = dict(_mode)
        _switch(bool(mode), check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _switch(self.before["enabled"], self.before["check_nan"])
