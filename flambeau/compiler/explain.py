"""`step.explain()`: what became of a program, as text.

Kernels are timed one by one, on one thread, on memory of their own, so that nothing of the program's
state changes.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from flambeau.compiler.backends.cpu import ARENA, SCRATCH, WORKSPACE, Executable, Step, aligned
from flambeau.compiler.graph import describe
from flambeau.kernels.kernel import Kernel

if TYPE_CHECKING:
    from flambeau.compiler.compiled import CompiledFunction

_REPEATS = 5


def explain(function: CompiledFunction) -> str:
    """The graph and the kernels of each program."""
    parts = []
    seen: set[int] = set()
    for programs in function.programs.values():
        for program in programs:
            if id(program.code) not in seen:
                seen.add(id(program.code))
                parts.append(explain_program(program.code))
    return "\n\n".join(parts) if parts else "not called yet, or everything runs eagerly"


def explain_program(code: Executable) -> str:
    """One program: its graph, then its kernels in the order in which they run."""
    kernels = sum(len(step.calls) for step in code.steps)
    host = [step for step in code.steps if step.node is not None]
    lines = ["graph", *("  " + line for line in code.graph.text().splitlines()), ""]
    lines.append(
        f"{len(code.graph.nodes)} operators in {kernels} kernels, {len(code.programs)} native runs, "
        f"{len(host)} computed on the host; arena {code.arena.nbytes / 2**20:.2f} MiB"
    )
    lines.append(f"  {'us':>8} {'GFLOP/s':>8} {'GB/s':>7}  kernel")
    total = 0.0
    for step, seconds, flops, traffic in timed(code):
        total += seconds
        rate = (
            f"{flops / seconds / 1e9:8.1f} {traffic / seconds / 1e9:7.1f}"
            if seconds
            else " " * 16
        )
        lines.append(f"  {seconds * 1e6:8.1f} {rate}  {title(step)}")
    lines.append(f"  {total * 1e6:8.1f} us in all, kernel by kernel, on one thread")
    return "\n".join(lines)


def title(step: Step) -> str:
    """The operators of a step, its results, and notes on what was not fused."""
    if step.group is None:
        return "copy to a result"
    names = [n.primitive.name for n in step.group.nodes]
    shown = " + ".join(names[:8]) + (f" + {len(names) - 8} more" if len(names) > 8 else "")
    results = ", ".join(describe(v) for v in step.group.outputs[:3])
    notes = f"  ({'; '.join(step.group.notes)})" if step.group.notes else ""
    if step.node is not None and not step.group.notes:
        notes = "  (on the host: no kernel computes it)"
    return f"{step.group.kind}: {shown} -> {results}{notes}"


def timed(code: Executable) -> Iterator[tuple[Step, float, int, int]]:
    """Each step with its seconds, floating-point operations and bytes moved."""
    memory = _memory_of_its_own(code)
    for step in code.steps:
        seconds, flops, traffic = 0.0, 0, 0
        for kernel, places in step.calls:
            addresses = []
            for place in places:
                slot, offset = code.homes[place.root]
                start = memory[slot].__array_interface__["data"][0]
                addresses.append(start + offset + place.offset * place.dtype.itemsize)
            seconds += _time(code, kernel, addresses, memory)
            flops, traffic = flops + kernel.flops, traffic + kernel.traffic
        yield step, seconds, flops, traffic


def _memory_of_its_own(code: Executable) -> dict[int, np.ndarray]:
    memory = {
        ARENA: aligned(code.arena.nbytes),
        WORKSPACE: aligned(code.workspace.nbytes),
        SCRATCH: aligned(code.scratch.nbytes),
    }
    values = {code.inputs: code.graph.inputs, code.outputs: code.graph.outputs}
    for first, items in values.items():
        for k, value in enumerate(items):
            memory[first + k] = aligned(value.nbytes)
    for k, array in enumerate(code.constant_arrays):
        memory[code.constants + k] = array
    for array in memory.values():
        if array.dtype == np.uint8 and array.flags.writeable:
            array[...] = 0
    return memory


def _time(
    code: Executable, kernel: Kernel, addresses: list[int], memory: dict[int, np.ndarray]
) -> float:
    """The least seconds that a kernel takes."""
    shared = memory[WORKSPACE].__array_interface__["data"][0]
    own = memory[SCRATCH].__array_interface__["data"][0]
    assert code.code is not None
    count = len(addresses) + 4
    stages = [
        (
            ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(code.code.address(s.function)),
            s.tasks,
        )
        for s in kernel.stages
    ]
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        for stage, tasks in stages:
            stage(*addresses, shared, own, 0, tasks)
        best = min(best, time.perf_counter() - start)
    return best
