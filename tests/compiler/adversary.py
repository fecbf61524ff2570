"""A driver that runs as badly timed as threads can: between two meetings, the last thread does all before the first.

Programs that lack a meeting then compute something else. One thread runs it, in the place of several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.kernels import kernel
from flambeau.kernels.element import I8, I32, I64
from flambeau.kernels.kernel import Call, Place, Program
from flambeau.kernels.language import Buffer, Module, Pointer


def emit_driver(threads: int, forwards: bool, meetings: bool = True) -> Callable[..., Program]:
    """As `kernel.emit_driver`, for so many imagined threads, first or last thread first; without any meeting, if asked."""

    def emit(module: Module, name: str, calls: Sequence[Call], workspace: Place, scratch: Place) -> Program:
        program = Program(
            name,
            workspace=max((c.kernel.workspace for c in calls), default=0),
            scratch=threads * max((kernel.round_up(c.kernel.scratch, 128) for c in calls), default=0),
            parallel=False,
        )
        f = module.function(name, [Buffer("table", I64), Buffer("barrier", I32)], ["thread", "threads"])
        table = f.buffers[0]

        def address(place: Place) -> Pointer:
            where = f.emit_name(f"load ptr, ptr {(table + place.slot).name}, align 8")
            return Pointer(f, where, I8) + place.offset

        for segment in _segments(kernel._runs(calls), meetings):
            for thread in range(threads) if forwards else reversed(range(threads)):
                own = address(scratch) + thread * (program.scratch // threads)
                for run in segment:
                    shares, each = run.turn.shares, run.tasks // run.turn.shares
                    begin, end = (
                        (thread * shares // threads * each, (thread + 1) * shares // threads * each)
                        if shares > 1
                        else (0, each if thread == 0 else 0)
                    )
                    if end > begin:
                        arguments = [*(address(place) for place in run.arguments), address(workspace), own]
                        f.call(run.function, [*arguments, begin, end])
        return program

    return emit


def _segments(runs: Sequence[kernel._Run], meetings: bool) -> list[list[kernel._Run]]:
    """What runs between two meetings."""
    found: list[list[kernel._Run]] = [[]]
    for run in runs:
        if run.turn.waits and meetings:
            found.append([])
        found[-1].append(run)
    return found
