"""`spawn(fn, args, nprocs)`: processes that stand and fall together."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any


class ProcessException(Exception):
    """A process failed. `error_index` is its number, `error_pid` its id."""

    def __init__(self, msg: str, error_index: int, pid: int):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """A process failed with an exception, whose traceback is the message."""


class ProcessExitedException(ProcessException):
    """A process ended by a signal or with an exit code other than 0."""

    def __init__(self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None = None):
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _run(fn: Callable[..., Any], index: int, args: tuple, failures: Any) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        return
    except Exception:
        failures.put(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """The processes that `spawn(..., join=False)` started."""

    def __init__(self, processes: list[BaseProcess], failures: list[Any]):
        self.processes, self.failures = processes, failures

    def pids(self) -> list[int | None]:
        """The processes' ids."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits until a process ends; True when all have ended well.

        Args:
            timeout: seconds to wait at most.
            grace_period: seconds that the others have to end after one failed, before they are killed.

        Raises:
            ProcessRaisedException: where one raised an exception; the others are stopped.
            ProcessExitedException: where one was killed or exited.
        """
        running = [p for p in self.processes if p.exitcode is None]
        if running:
            multiprocessing.connection.wait([p.sentinel for p in running], timeout)
        failed = next((i for i, p in enumerate(self.processes) if p.exitcode not in (None, 0)), None)
        if failed is None:
            return all(p.exitcode == 0 for p in self.processes)
        self._stop(grace_period)
        process = self.processes[failed]
        pid, code = process.pid or 0, process.exitcode or 0
        if not self.failures[failed].empty():
            text = f"\n\n-- Process {failed} terminated with the following error:\n{self.failures[failed].get()}"
            raise ProcessRaisedException(text, failed, pid)
        if code < 0:
            name = signal.Signals(-code).name
            raise ProcessExitedException(f"process {failed} terminated with signal {name}", failed, pid, code, name)
        raise ProcessExitedException(f"process {failed} terminated with exit code {code}", failed, pid, code)

    def _stop(self, grace_period: float | None) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        end = time.monotonic() + (30.0 if grace_period is None else grace_period)
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any], args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn", numa_options: Any = None,
) -> ProcessContext | None:  # fmt: skip
    """Runs `fn(i, *args)` in process `i` of `nprocs`; where one fails, all are stopped.

    Args:
        fn: a function that can be pickled.
        args: its further arguments.
        nprocs: the number of processes.
        join: wait for all; otherwise a context with `join` is returned.
        daemon: end the processes with this one.
        start_method: "spawn", "fork" or "forkserver".
        numa_options: only `None`.

    Raises:
        ProcessRaisedException: where one raised an exception.
        ProcessExitedException: where one was killed or exited.
    """
    if numa_options is not None:
        raise NotImplementedError("processes are not bound to memory nodes: numa_options=None")
    context: Any = multiprocessing.get_context(start_method)
    processes, failures = [], []
    for index in range(nprocs):
        queue = context.SimpleQueue()
        process = context.Process(target=_run, args=(fn, index, args, queue), daemon=daemon)
        process.start()
        failures.append(queue)
        processes.append(process)
    started = ProcessContext(processes, failures)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any], args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:  # fmt: skip
    """See `start_processes`."""
    if start_method != "spawn":
        warnings.warn(
            f"This method only supports start_method=spawn (got: {start_method}).\nTo use a different start_method use:"
            "\n\t\t torch.multiprocessing.start_processes(...)",
            FutureWarning,
            stacklevel=2,
        )
    return start_processes(fn, args, nprocs, join, daemon, "spawn")
