"""The pool: shares, forks, Ctrl-C, use from many Python threads, and the barrier."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading as python_threads
import time

import numpy as np
import pytest

from flambeau.kernels import call, jit, threads
from flambeau.kernels.element import I64
from flambeau.kernels.kernel import Call, Kernel, Place, Stage, emit_driver, stage_function
from flambeau.kernels.language import Buffer, Module
from flambeau.kernels.sharing import Sharing
from flambeau.kernels.target import named

SQUARE = (("input", 0), ("mul", 0, 0))
COUNT = 1 << 20


@pytest.fixture(autouse=True)
def _always_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program finds out that one thread is faster."""
    monkeypatch.setattr(Sharing, "run", lambda self, together, alone: together())


def _square(x: np.ndarray) -> np.ndarray:
    out = np.zeros_like(x)
    call.pointwise_chain(SQUARE, [x], [out], (1,))
    return out


def _ring(module: Module, size: int, steps: int) -> list[Call]:
    """Each step adds its neighbour's number, written by another thread in the step before."""
    calls = []
    buffers = (Buffer("before", I64), Buffer("after", I64))
    f, (before, after), _, _, begin, end = stage_function(module, "ring", buffers)
    with f.range(begin, end) as task:
        total = (before + task).load() + (before + (task + 1) % size).load()
        total.store(after + task)
    kernel = Kernel("ring", buffers, (Stage("ring", size),))
    for step in range(steps):
        calls.append(Call(kernel, (Place(step % 2), Place(1 - step % 2))))
    return calls


def test_barriers_order_the_stages(thread_count: int) -> None:
    size, steps = 64, 40
    module = Module()
    program = emit_driver(module, "driver", _ring(module, size, steps), Place(2), Place(2))
    code = jit.load(module)
    start = np.arange(size, dtype=np.int64)
    expected = start
    for _ in range(steps):
        expected = expected + np.roll(expected, -1)
    assert program.parallel
    for _ in range(50):
        a, b = start.copy(), np.zeros_like(start)
        table = np.array([a.ctypes.data, b.ctypes.data, 0], np.int64)
        threads.run(code.address("driver"), table.ctypes.data)
        np.testing.assert_array_equal(a if steps % 2 == 0 else b, expected)


def test_set_and_get() -> None:
    before = threads.get_num_threads()
    threads.set_num_threads(3)
    assert threads.get_num_threads() == 3
    threads.set_num_threads(before)
    for wrong in (0, -1, 1.5):
        with pytest.raises(RuntimeError, match="positive integer"):
            threads.set_num_threads(wrong)  # type: ignore[arg-type]


def test_after_sleep(thread_count: int) -> None:
    x = np.arange(COUNT, dtype=np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(_square(x), x * x)
        time.sleep(0.05)


def test_many_python_threads(thread_count: int) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).standard_normal(COUNT // 4).astype(np.float32)
        for _ in range(10):
            if not np.array_equal(_square(x), x * x):
                wrong.append(seed)

    workers = [python_threads.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork(thread_count: int) -> None:
    x = np.arange(COUNT, dtype=np.float32)
    _square(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(_square(x), x * x) else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(_square(x), x * x)


def test_portable_pool(monkeypatch: pytest.MonkeyPatch, thread_count: int) -> None:
    threads._stop()
    monkeypatch.setattr(threads, "_has_futex", lambda: False)
    x = np.arange(COUNT, dtype=np.float32)
    try:
        for _ in range(20):
            np.testing.assert_array_equal(_square(x), x * x)
        assert type(threads._pool).__name__ == "_PortablePool" or thread_count == 1
    finally:
        threads._stop()


INTERRUPTED = """
import numpy as np, sys
from flambeau.kernels import call
x = np.arange(1 << 20, dtype=np.float32)
out = np.zeros_like(x)
print("ready", flush=True)
count = 0
try:
    while True:
        call.pointwise_chain((("input", 0), ("mul", 0, 0)), [x], [out], (1,))
except KeyboardInterrupt:
    call.pointwise_chain((("input", 0), ("mul", 0, 0)), [x], [out], (1,))
    sys.exit(0 if (out == x * x).all() else 1)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c() -> None:
    for delay in (0.05, 0.1, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_process_ends_while_workers_sleep() -> None:
    text = INTERRUPTED.split("count = 0")[0] + (
        "call.pointwise_chain((('input', 0), ('mul', 0, 0)), [x], [out], (1,))"
    )
    done = subprocess.run([sys.executable, "-c", text], timeout=20, check=False)
    assert done.returncode == 0


def test_words_that_threads_watch_are_atomic() -> None:
    """On x86 a plain access would go unnoticed."""
    module = Module(named("neon"))
    threads._emit_worker(module)
    threads._emit_run(module, 4)
    text = module.text()
    watched = {threads._SLEEPING, threads._RUNNING, threads._BUSY, threads._STOP, threads._GATE, threads._GO}
    seen = set()
    for function in text.split("define ")[1:]:
        for name, word in re.findall(r"(%t\d+) = getelementptr inbounds i32, ptr %control, i64 (\d+)\n", function):
            if int(word) in watched:
                seen.add(int(word))
                uses = [line for line in function.splitlines() if re.search(rf"ptr {name}\b", line)]
                assert uses and all("seq_cst" in use for use in uses), uses
    assert seen == watched


def test_workers_forget_instructions_where_cores_fetch_ahead() -> None:
    for name, wanted in (("neon", 1), ("avx2", 0)):
        module = Module(named(name))
        threads._emit_worker(module)
        assert module.text().count("call void @llvm.aarch64.isb") == wanted


def test_more_threads_than_the_gate_counts() -> None:
    before = threads.get_num_threads()
    threads.set_num_threads(1000)
    try:
        assert threads.pool_size() == 256
    finally:
        threads.set_num_threads(before)
