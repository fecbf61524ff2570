"""What every generator makes, and how kernels become a program.

A generator (`pointwise.emit`, `gemm.emit`, ...) writes functions into a `Module` and returns a
`Kernel`: a name, its buffers, and its stages. A stage is a function over numbered tasks that
may run in any order and on any thread,

    void stage(ptr buffer..., ptr workspace, ptr scratch, i64 begin, i64 end)

The workspace is shared by all threads and lives through the kernel; scratch is a thread's own.
All tasks of a stage are done before the next stage begins.

`emit_driver` writes a program: one native function that every thread runs from top to bottom,

    void driver(ptr table, ptr barrier, i64 thread, i64 threads)

which takes its buffers from a table of addresses, does its share of each stage's tasks and
waits at a barrier where the next stage needs what other threads wrote (`meetings.py`). The share depends on the
number of threads only, so a program computes the same every time. A long program is a list in
memory that the driver goes through: code for each call would take LLVM longer than the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from flambeau.kernels.element import I8, I32, I64
from flambeau.kernels.language import Buffer, Function, Index, Module, Offset, Pointer, Value
from flambeau.kernels.meetings import Band, Touch, Turn, plan_meetings

#: Fewer operations than this are not worth waking a thread for.
WORTH_A_THREAD = 50_000
_TURNS_BEFORE_YIELD = 4096
_SHORT = 24  # stages that a driver calls one after the other, without a list
_NANOSECONDS_A_TURN = 20
_WORKSPACE = -1  # as a memory that calls touch
_HEAD = 4  # numbers of a driver's record before those of its buffers


@dataclass(frozen=True)
class Stage:
    """A function and how many tasks it has; a stage that is not parallel runs on one thread.

    `bands` say which bytes of each of the kernel's buffers a task touches, where that is known.
    """

    function: str
    tasks: int
    parallel: bool = True
    bands: tuple[Band | None, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """Functions of a module that do one thing together.

    Attributes:
        name: of the kernel; stages are functions of the module named after it.
        buffers: the arguments, inputs first, then outputs.
        stages: what to run, in order.
        workspace: bytes of memory that the stages share (64-byte aligned).
        scratch: bytes of memory that each thread needs for itself (64-byte aligned).
        flops: floating-point operations, for reports.
        traffic: bytes that must be read and written at least, for reports.
        may_fail: its last buffer is an alarm, words (int64) of which the first is not zero after it was given something
            that it cannot do; what comes after it in a program is then left out.
    """

    name: str
    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    workspace: int = 0
    scratch: int = 0
    flops: int = 0
    traffic: int = 0
    may_fail: bool = False

    @property
    def is_parallel(self) -> bool:
        return any(stage.parallel and stage.tasks > 1 for stage in self.stages)


@dataclass(frozen=True)
class Place:
    """Where a buffer is: an address of the program's table, plus a number of bytes."""

    slot: int
    offset: int = 0


@dataclass(frozen=True)
class Call:
    """A kernel applied to buffers. What it touches of each is taken to be all of the slot, if it is not given."""

    kernel: Kernel
    arguments: tuple[Place, ...]
    touches: tuple[Touch, ...] = ()


@dataclass(frozen=True)
class Program:
    """A driver and the memory it needs: `workspace` once, `scratch` for each thread.

    `patience` is for how long it is worth to wait for other threads, see `threads.run`. `may_fail`: a kernel of it may.
    """

    name: str
    workspace: int
    scratch: int
    parallel: bool
    patience: int = 0
    may_fail: bool = False


def stage_function(
    module: Module, name: str, buffers: Sequence[Buffer]
) -> tuple[Function, list[Pointer], Pointer, Pointer, Index, Index]:
    """Starts a stage: the function, its buffers, workspace, scratch, and first and last
    task."""
    extra = [Buffer("workspace", I8), Buffer("scratch", I8)]
    f = module.function(name, [*buffers, *extra], ["begin", "end"])
    *pointers, workspace, scratch = f.buffers
    begin, end = f.indices
    return f, pointers, workspace, scratch, begin, end


def emit_driver(
    module: Module,
    name: str,
    calls: Sequence[Call],
    workspace: Place,
    scratch: Place,
) -> Program:
    """Writes the function that runs these calls in order, on as many threads as enter it.

    Args:
        module: holds the kernels' functions.
        name: of the driver.
        calls: what to run.
        workspace, scratch: where that memory is; `Program` says how much is needed. The scratch
            of thread `t` begins `t * program.scratch` bytes in.
    """
    program = Program(
        name,
        workspace=max((c.kernel.workspace for c in calls), default=0),
        scratch=max((round_up(c.kernel.scratch, 128) for c in calls), default=0),
        parallel=any(c.kernel.is_parallel for c in calls),
        patience=_patience([c.kernel for c in calls]),
        may_fail=any(c.kernel.may_fail for c in calls),
    )
    f = module.function(
        name, [Buffer("table", I64), Buffer("barrier", I32)], ["thread", "threads"]
    )
    (table, meeting), (thread, threads) = f.buffers, f.indices
    barrier = emit_barrier(module)

    def address(place: Place) -> Pointer:
        where = f.emit_name(f"load ptr, ptr {(table + place.slot).name}, align 8")
        return Pointer(f, where, I8) + place.offset

    shared, own = address(workspace), address(scratch) + thread * program.scratch
    runs = _runs(calls)
    if len(runs) > _SHORT:
        _emit_listed(f, runs, barrier, shared, own)
        return program
    with ExitStack() as rest:
        for run in runs:
            if run.turn.waits:
                f.call(barrier, [meeting, threads])
            if run.asks is not None:
                rest.enter_context(f.when(address(run.asks).as_elements(I64).load().eq(0)))
            shares, each = run.turn.shares, run.tasks // run.turn.shares
            if shares > 1:
                begin, end = thread * shares // threads * each, (thread + 1) * shares // threads * each
            else:
                # The first thread gets all tasks, the others none.
                begin, end = 0, f.convert(thread.eq(0), I64).index() * each
            with f.when(end.exceeds(begin)):
                arguments = [*(address(place) for place in run.arguments), shared, own]
                f.call(run.function, [*arguments, begin, end])
    return program


@dataclass(frozen=True)
class _Run:
    """A stage on its buffers, and how threads share it.

    `asks`: the alarm that must be 0 for it and all that follows to be run.
    """

    function: str
    tasks: int
    arguments: tuple[Place, ...]
    turn: Turn
    asks: Place | None = None


def _runs(calls: Sequence[Call]) -> list[_Run]:
    """What is run, in order."""
    found: list[_Run] = []
    asks: Place | None = None
    for call in calls:
        kernel = call.kernel
        if len(call.arguments) != len(kernel.buffers):
            raise ValueError(
                f"kernel {kernel.name} takes {len(kernel.buffers)} buffers, got {len(call.arguments)}"
            )
        touches = call.touches or tuple(Touch(place.slot, foreign=True) for place in call.arguments)
        if kernel.workspace:
            touches = (*touches, Touch(_WORKSPACE))
        for stage in kernel.stages:
            if not stage.tasks:
                continue
            # All threads ask an alarm that nobody raises any more, so that they leave together.
            turn = Turn(stage.tasks if stage.parallel else 1, touches, stage.bands, must_wait=asks is not None)
            found.append(_Run(stage.function, stage.tasks, call.arguments, turn, asks))
            asks = None
        if kernel.may_fail:
            asks = call.arguments[-1]
    plan_meetings([run.turn for run in found])
    return found


def _emit_listed(f: Function, runs: Sequence[_Run], barrier: str, shared: Pointer, own: Pointer) -> None:
    """The driver of a long program: a loop over records (buffers, shares, tasks of each, flags, slot and offset of
    each buffer, and of the alarm that it asks).

    Functions of as many buffers share a call.
    """
    (table, meeting), (thread, threads) = f.buffers, f.indices
    counts = sorted({len(run.arguments) for run in runs})
    numbers: list[int] = []
    for run in runs:
        asked = [] if run.asks is None else [run.asks]
        shares = run.turn.shares
        numbers += [len(run.arguments), shares, run.tasks // shares, run.turn.waits + 2 * len(asked)]
        numbers += [number for place in (*run.arguments, *asked) for number in (place.slot, place.offset)]
    records = f.table(numbers)
    functions = f.function_table([run.function for run in runs])
    addresses = f.local(max(counts), I64)
    start = [f.constant(0, I64), f.constant(0, I64)]
    with f.loop(0, len(runs), carry=start) as loop:
        cursor, failed = loop.values[0].index(), loop.values[1]
        here = records + cursor
        count, shares, each, flags = ((here + k).load() for k in range(_HEAD))
        with f.when((flags & 1).ne(0) & failed.eq(0)):
            f.call(barrier, [meeting, threads])

        def address(k: Offset) -> Value:
            slot, offset = (here + _HEAD + k * 2).load(), (here + (_HEAD + 1) + k * 2).load()
            return (table + slot.index()).load() + offset

        with f.when((flags & 2).ne(0) & failed.eq(0), otherwise=[failed]) as asking:
            address(count.index()).store(addresses)
            asking.give([addresses.load_address().as_elements(I64).load()])
        (failed,) = asking.results
        total, alone = shares.index(), shares.eq(1)
        begin = f.select(alone, 0, (thread * total // threads).value()) * each
        end = f.select(alone, f.convert(thread.eq(0), I64), ((thread + 1) * total // threads).value()) * each
        with f.when((end > begin) & failed.eq(0)):
            with f.range(0, count.index()) as k:
                address(k).store(addresses + k)
            function = (functions + loop.index).load_address()
            for number in counts:
                with f.when(count.eq(number)):
                    buffers = [(addresses + k).load_address() for k in range(number)]
                    f.call(function, [*buffers, shared, own, begin.index(), end.index()])
        loop.next([(cursor + (count.index() * 2 + _HEAD) + (flags & 2).index()).value(), failed])


def _patience(kernels: Sequence[Kernel]) -> int:
    """A seventh of the time that one thread takes, by a rough guess, in turns of a waiting loop."""
    flops, traffic = sum(k.flops for k in kernels), sum(k.traffic for k in kernels)
    nanoseconds = flops / 100 + traffic / 50
    return int(min(max(nanoseconds / 7 / _NANOSECONDS_A_TURN, 200), 2_000_000))


def emit_barrier(module: Module) -> str:
    """The function at which threads wait for each other; returns its name.

    The barrier is two counters: how many have arrived, and how often all had. It spins, since
    the wait is short, and lets other processes run when it is not.
    """
    name = "flambeau_barrier"
    if name in module.functions:
        return name
    f = module.function(name, [Buffer("barrier", I32)], ["threads"], internal=True)
    (arrived,), (threads,) = f.buffers, f.indices
    generation = arrived + 16  # on a cache line of its own
    with f.when(threads.exceeds(1)):
        now = generation.atomic_load()
        order = arrived.atomic_add(1) + 1
        last = order.eq(threads.value(I32))
        with f.when(last):
            arrived.atomic_store(0)
            generation.atomic_add(1)
        with f.when(~last):
            spin_until(f, lambda: generation.atomic_load().ne(now))
    return name


def spin_until(f: Function, condition: Callable[[], Value]) -> None:
    """Repeats until the condition holds; every few thousand turns another process may run."""
    with f.forever() as spin:
        spin.leave_if(condition())
        f.pause()
        with f.when((spin.turn % _TURNS_BEFORE_YIELD).eq(_TURNS_BEFORE_YIELD - 1)):
            f.yield_processor()


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
