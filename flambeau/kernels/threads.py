"""The thread pool: workers wait in native code, wake in microseconds, and sleep when idle.

A worker is a Python thread that entered a native function and released the interpreter lock. It
watches a sequence number: for some hundred microseconds by spinning, after that asleep in the
kernel (a futex). `run` publishes a driver (see `kernel.emit_driver`), advances the number, waits a moment
for workers to join, does the first thread's share itself and waits for the rest.

A worker that does not come in time is left out: it sleeps, or another process has its processor. Waiting for
it would take longer than its share. Results do not depend on how many take part.

What orders the threads' accesses on processors that would reorder them: every word that one writes while others watch it
is read and written by sequentially consistent atomic instructions. What is published through such a word (driver and
table before the gate opens, the team before `go`, a worker's results before it takes itself off `running`) is plain memory.

Publishing, sharing and waiting are one native call: Ctrl-C is raised after it, never in the
middle. A forked child starts with no pool and makes its own. Where there is no futex, workers
wait on a condition variable instead.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from typing import Any, Protocol

import numpy as np

from flambeau.kernels import jit
from flambeau.kernels.element import I8, I32, I64
from flambeau.kernels.kernel import spin_until
from flambeau.kernels.language import Buffer, Function, Module, Pointer
from flambeau.kernels.target import cores, host

_SPINS_BEFORE_SLEEP = 20_000
_FUTEX_CALL = {"x86_64": 202, "aarch64": 98}
_FUTEX_WAIT, _FUTEX_WAKE = 128, 129

# The control block, in 4-byte words; what one thread writes and others watch has its own line.
_SEQUENCE, _SLEEPING, _RUNNING, _BUSY, _STOP = 0, 32, 64, 96, 128
_DRIVER, _TABLE = 130, 132
_BARRIER = 160
_GATE, _GO, _TEAM = 192, 224, 226
_SEEN = 256
_LINE = 32

# The gate: the run's number in the high bits, how many workers have joined in the low ones; or closed.
_JOINED, _NUMBER = 0xFF, 0x3FFFFF
_CLOSED = -1
_MOST_THREADS = _JOINED + 1
#: Turns of waiting for workers, where the caller does not say.
PATIENCE = 2_000


class _Pool(Protocol):
    threads: int

    def run(self, driver: int, table: int, patience: int) -> None: ...

    def stop(self) -> None: ...


_pool: _Pool | None = None
_wanted: int | None = None
_making = threading.Lock()


def get_num_threads() -> int:
    """How many threads a parallel kernel uses."""
    return _wanted if _wanted is not None else _default_threads()


def set_num_threads(count: int) -> None:
    """Sets how many threads parallel kernels use. Raises `RuntimeError` unless positive."""
    global _wanted
    if not isinstance(count, int) or count < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    with _making:
        if count != get_num_threads():
            _stop()
        _wanted = count


def run(driver: int, table: int, patience: int = PATIENCE) -> None:
    """Runs a driver on all threads that are free; returns when all are done.

    Args:
        driver: the address of a function made by `kernel.emit_driver`.
        table: the address of its table.
        patience: for how many turns of a waiting loop (some ten nanoseconds each) to wait for workers.

    From a second Python thread, while the pool is at work, the driver runs on that thread
    alone.
    """
    pool = _pool
    if pool is None:
        pool = _start()
    pool.run(driver, table, patience)


def pool_size() -> int:
    """How many threads `run` will use now; at most `get_num_threads()`."""
    return min(get_num_threads(), _MOST_THREADS)


def _default_threads() -> int:
    for variable in ("FLAMBEAU_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "")
        if text.isdigit() and int(text) > 0:
            return int(text)
    return cores()


def _start() -> _Pool:
    global _pool
    with _making:
        if _pool is None:
            count = pool_size()
            _pool = _NativePool(count) if _has_futex() else _PortablePool(count)
        return _pool


def _stop() -> None:
    global _pool
    pool, _pool = _pool, None
    if pool is not None:
        pool.stop()


def _forget() -> None:
    """In a forked child: its parent's workers do not exist here."""
    global _pool, _making
    _pool, _making = None, threading.Lock()


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _has_futex() -> bool:
    return "linux" in host().triple and host().triple.split("-")[0] in _FUTEX_CALL


class _NativePool:
    """Workers that spin, then sleep on a futex."""

    def __init__(self, threads: int):
        self.threads = threads
        self._memory = np.zeros(_SEEN + _LINE * (threads + 2), np.int32)
        self._control = (self._memory.ctypes.data + 127) // 128 * 128
        module = Module()
        _emit_worker(module)
        _emit_run(module, threads)
        _emit_stop(module)
        self._code = jit.load(module)
        self._run = self._code.function("run", 4)
        worker = self._code.function("worker", 2)
        self._workers = [
            threading.Thread(
                target=worker, args=(self._control, n), name=f"flambeau-{n}", daemon=True
            )
            for n in range(1, threads)
        ]
        for thread in self._workers:
            thread.start()

    def run(self, driver: int, table: int, patience: int) -> None:
        self._run(self._control, driver, table, patience)

    def stop(self) -> None:
        self._code.function("stop", 1)(self._control)
        for thread in self._workers:
            thread.join(timeout=5)


def _emit_worker(module: Module) -> None:
    """The life of a worker: wait for the next number, do one's share, say so."""
    f = module.function("worker", [Buffer("control", I32)], ["thread"])
    (control,), (thread,) = f.buffers, f.indices
    sequence, sleeping = control + _SEQUENCE, control + _SLEEPING
    seen = control + (thread * _LINE + _SEEN)
    with f.forever() as life:
        last = seen.load()
        with f.forever() as wait:
            wait.leave_if(sequence.atomic_load().ne(last))
            f.pause()
            with f.when(wait.turn.exceeds(_SPINS_BEFORE_SLEEP)):
                sleeping.atomic_add(1)
                _futex(f, sequence, _FUTEX_WAIT, last.name)
                sleeping.atomic_add(-1)
        now = sequence.atomic_load()
        seen.store(now)
        life.leave_if((control + _STOP).atomic_load().ne(0))
        rank = seen + 1
        rank.store(f.constant(-1, I32))
        with f.forever() as joining:
            gate = control + _GATE
            found = gate.atomic_load()
            joining.leave_if((found & ~_JOINED).ne((now & _NUMBER) << 8))  # closed, or another run's
            joined = gate.atomic_swap(found, found + 1)
            with f.when(joined):
                rank.store(found & _JOINED)
            joining.leave_if(joined)
        mine = rank.load()
        with f.when(mine >= 0):
            spin_until(f, lambda: (control + _GO).atomic_load().eq(now))
            team = f.convert((control + _TEAM).load(), I64)
            f.forget_instructions()  # the driver may lie where another, unloaded one lay
            _call_driver(f, control, (f.convert(mine, I64) + 1).name, team.name)
            (control + _RUNNING).atomic_add(-1)


def _emit_run(module: Module, threads: int) -> None:
    """Publishes a driver, lets workers join, does the first share, waits for the others."""
    buffers = [Buffer("control", I32), Buffer("driver", I8), Buffer("table", I8)]
    f = module.function("run", buffers, ["patience"])
    (control, driver, table), (patience,) = f.buffers, f.indices
    busy, gate = control + _BUSY, control + _GATE
    mine = busy.atomic_swap(0, 1)
    with f.when(~mine):
        f.line(f"call void {driver.name}(ptr {table.name}, ptr null, i64 0, i64 1)")
    with f.when(mine):
        f.line(f"store ptr {driver.name}, ptr {(control + _DRIVER).name}, align 8")
        f.line(f"store ptr {table.name}, ptr {(control + _TABLE).name}, align 8")
        number = (control + _SEQUENCE).load() + 1
        opened = (number & _NUMBER) << 8
        gate.atomic_store(opened)
        _wake(f, control)
        with f.forever() as waiting:
            waiting.leave_if(gate.atomic_load().eq(opened + (threads - 1)))
            waiting.leave_if(waiting.turn.exceeds(patience))
            f.pause()
        team = (gate.atomic_exchange(_CLOSED) & _JOINED) + 1
        (control + _TEAM).store(team)
        (control + _RUNNING).atomic_store(team - 1)
        (control + _GO).atomic_store(number)
        _call_driver(f, control, "0", f.convert(team, I64).name)
        spin_until(f, lambda: (control + _RUNNING).atomic_load().eq(0))
        busy.atomic_store(0)


def _emit_stop(module: Module) -> None:
    f = module.function("stop", [Buffer("control", I32)])
    (control,) = f.buffers
    (control + _STOP).atomic_store(1)
    _wake(f, control)


def _wake(f: Function, control: Pointer) -> None:
    """Advances the sequence number; whoever sleeps is woken."""
    (control + _SEQUENCE).atomic_add(1)
    with f.when((control + _SLEEPING).atomic_load().ne(0)):
        _futex(f, control + _SEQUENCE, _FUTEX_WAKE, str(2**31 - 1))


def _call_driver(f: Function, control: Pointer, thread: str, threads: str) -> None:
    driver = f.emit_name(f"load ptr, ptr {(control + _DRIVER).name}, align 8")
    table = f.emit_name(f"load ptr, ptr {(control + _TABLE).name}, align 8")
    barrier = (control + _BARRIER).name
    f.line(f"call void {driver}(ptr {table}, ptr {barrier}, i64 {thread}, i64 {threads})")


def _futex(f: Function, word: Pointer, operation: int, value: str) -> None:
    number = _FUTEX_CALL[f.target.triple.split("-")[0]]
    f.module.declare("declare i64 @syscall(i64, ...)")
    f.emit_name(
        f"call i64 (i64, ...) @syscall(i64 {number}, ptr {word.name}, i32 {operation}, "
        f"i32 {value}, ptr null, ptr null, i32 0)"
    )


class _PortablePool:
    """Workers that wait on a condition variable: for systems without a futex."""

    def __init__(self, threads: int):
        self.threads = threads
        self._barrier = np.zeros(64, np.int32)
        self._changed = threading.Condition()
        self._busy = threading.Lock()
        self._job: tuple[Any, int] | None = None
        self._sequence = self._running = 0
        self._stopped = False
        self._workers = [
            threading.Thread(target=self._work, args=(n,), name=f"flambeau-{n}", daemon=True)
            for n in range(1, threads)
        ]
        for thread in self._workers:
            thread.start()

    def run(self, driver: int, table: int, patience: int) -> None:
        function = _DRIVER_TYPE(driver)
        if not self._busy.acquire(blocking=False):
            function(table, 0, 0, 1)
            return
        try:
            with self._changed:
                self._job, self._running = (function, table), self.threads - 1
                self._sequence += 1
                self._changed.notify_all()
            function(table, self._barrier.ctypes.data, 0, self.threads)
            with self._changed:
                self._changed.wait_for(lambda: self._running == 0)
        finally:
            self._busy.release()

    def _work(self, thread: int) -> None:
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._sequence != seen or self._stopped)
                if self._stopped or self._job is None:
                    return
                seen, (function, table) = self._sequence, self._job
            function(table, self._barrier.ctypes.data, thread, self.threads)
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._workers:
            thread.join(timeout=5)


_DRIVER_TYPE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
