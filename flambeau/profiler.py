"""`torch.profiler`: the profiler of eager programs, with a schedule of steps."""

from __future__ import annotations

import enum
import gzip
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from flambeau.autograd import profiler as _events
from flambeau.autograd.profiler import record_function as record_function

__all__ = [
    "DeviceType", "ExecutionTraceObserver", "kineto_available", "supported_activities", "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule", "tensorboard_trace_handler",
]  # fmt: skip


class ProfilerActivity(enum.Enum):
    """What PyTorch's profiler can watch; here there is the CPU."""

    CPU = 0
    CUDA = 1
    XPU = 2


class ProfilerAction(enum.Enum):
    """What a profiler does with a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class DeviceType(enum.Enum):
    """What an event ran on: here the CPU."""

    CPU = 0
    CUDA = 1


def kineto_available() -> bool:
    """True: traces can be written, in the form that Chrome shows."""
    return True


def supported_activities() -> set[ProfilerActivity]:
    """What can be watched: the CPU."""
    return {ProfilerActivity.CPU}


class ExecutionTraceObserver:
    """Raises `NotImplementedError`: `profile` and its `export_chrome_trace` tell what ran."""

    def __init__(self) -> None:
        raise NotImplementedError("ExecutionTraceObserver: use profile() and export_chrome_trace()")


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """What to do at each step: after `skip_first` steps, rounds of `wait`, `warmup` and `active` steps.

    Args:
        wait: steps that are not recorded.
        warmup: steps that are not recorded either, after which recording is warm.
        active: steps that are; after the last of them the trace is ready.
        repeat: how many rounds; 0 for no end.
        skip_first: steps before the first round.
        skip_first_wait: whether the first round goes without its `wait` steps.

    Raises:
        ValueError: for negative numbers, or no active step.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError("schedule: wait, warmup, repeat and skip_first are at least 0, active at least 1")
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step >= 0 and skip_first_wait:
            step += wait
        if step < 0 or (repeat and step >= repeat * length):
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False, use_python_export: bool = False
) -> Callable[[profile], None]:
    """A function for `on_trace_ready` that writes each trace to a file of its own in a folder.

    `use_gzip` packs it; `use_python_export` is accepted: all traces are written by Python.
    """

    def save(profiler: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        path = os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json")
        profiler.export_chrome_trace(path)
        if use_gzip:
            with open(path, "rb") as plain, gzip.open(path + ".gz", "wb") as packed:
                packed.write(plain.read())
            os.remove(path)

    return save


class profile(_events.profile):
    """Collects operators and named stretches, of all steps or of those that a schedule picks.

    Args:
        activities: must have the CPU among them, if given.
        schedule: what to do at each step, see `schedule`; then call `step()` after each.
        on_trace_ready: called with this profiler when a round of the schedule, or the whole, is recorded.
        record_shapes: keep the shapes of the operators' tensors.
        options: PyTorch's further arguments, see `autograd.profiler.profile`.

    Raises:
        ValueError: if the CPU is not among the activities.
        NotImplementedError: for options that ask for what is not collected.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        **options: Any,
    ):
        if activities is not None and ProfilerActivity.CPU not in list(activities):
            raise ValueError("profile: only the CPU is profiled, and it is not among the activities")
        super().__init__(record_shapes=record_shapes, **options)
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num = 0
        self._recording = False
        self.current_action = ProfilerAction.NONE

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begins, as entering the context does."""
        self._act()

    def stop(self) -> None:
        """Ends, as leaving the context does."""
        if self._recording:
            self._record(False)
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)

    def step(self) -> None:
        """Says that a step of the program is over."""
        if self.current_action is ProfilerAction.RECORD_AND_SAVE:
            self.stop()
        self.step_num += 1
        self._act()

    def _act(self) -> None:
        everything = ProfilerAction.RECORD
        self.current_action = everything if self.schedule is None else self.schedule(self.step_num)
        wanted = self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if wanted and not self._recording:
            self._events = []
        if wanted != self._recording:
            self._record(wanted)

    def _record(self, on: bool) -> None:
        self._recording = on
        if on:
            super().__enter__()
        else:
            super().__exit__()
