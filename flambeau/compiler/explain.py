"""`step.explain()`: what became of a program, as text.

Kernels are timed one by one, on one thread, on memory of their own, so that nothing of the program's
state changes.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flambeau.compiler.backends.cpu import Executable, aligned
from flambeau.compiler.backends.homes import ARENA, SCRATCH, TABLE_ITSELF, WORKSPACE
from flambeau.compiler.backends.lowering import Step
from flambeau.compiler.backends.place import Place
from flambeau.compiler.graph import describe
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.peak import measured

if TYPE_CHECKING:
    from flambeau.compiler.compiled import CompiledFunction

_REPEATS = 5


def explain(function: CompiledFunction, html: str | PathLike[str] | None = None) -> str:
    """The graph and the kernels of each program; `html` names a file for a page of the same, with plots."""
    codes = programs_of(function)
    if html is not None:
        from flambeau.compiler.explain_page import page

        Path(html).write_text(page([(explain_program(c), list(timed(c))) for c in codes]), "utf-8")
    return "\n\n".join(map(explain_program, codes)) or "not called yet, or everything runs eagerly"


def programs_of(function: CompiledFunction) -> list[Executable]:
    """The programs that a function was specialised to, each once."""
    codes = [p.code for programs in function.programs.values() for p in programs]
    return list({id(code): code for code in codes}.values())


def explain_program(code: Executable) -> str:
    """One program: its graph, then its kernels in the order in which they run."""
    kernels = sum(len(step.calls) for step in code.steps)
    host = [step for step in code.steps if step.node is not None]
    timings = list(timed(code))
    total = sum(t.seconds for t in timings)
    copied = [t for t in timings if t.kind == "copy"]
    lines = ["graph", *("  " + line for line in code.graph.text().splitlines()), ""]
    lines += [
        f"{len(code.graph.nodes)} operators in {kernels} kernels, {len(code.programs)} native runs, "
        f"{len(host)} computed on the host",
        f"memory: {memory_of(code) / 2**20:.2f} MiB, of which {code.arena.nbytes / 2**20:.2f} MiB hold "
        "what lives between kernels",
        f"copies between layouts and to results: {len(copied)}, {sum(t.seconds for t in copied) * 1e6:.1f} us",
        f"  {'us':>8} {'GFLOP/s':>8} {'GB/s':>7} {'peak':>5}  kernel",
    ]
    for t in timings:
        rate = f"{t.flop_rate / 1e9:8.1f} {t.byte_rate / 1e9:7.1f} {t.share:5.0%}" if t.seconds else " " * 22
        lines.append(f"  {t.seconds * 1e6:8.1f} {rate}  {t.title}")
    lines.append(
        f"  {total * 1e6:8.1f} us in all, kernel by kernel, on one thread; peak is the share of "
        f"{measured().flops / 1e9:.0f} GFLOP/s or of the memory's bandwidth, whichever is larger"
    )
    return "\n".join(lines)


def memory_of(code: Executable) -> int:
    """Bytes that a run of the program works on: inputs, outputs, constants, and what lies between."""
    values = [*code.graph.inputs, *code.graph.outputs]
    between = code.arena.nbytes + code.workspace.nbytes + code.scratch.nbytes
    return between + sum(v.nbytes for v in values) + sum(a.nbytes for a in code.constant_arrays)


def title(step: Step) -> str:
    """The operators of a step, its results, and notes on what was not fused."""
    if step.group is None:
        return "copy to another layout, or to a result"
    nodes = step.group.members[0].nodes if step.group.members else step.group.nodes
    names = [n.primitive.name for n in nodes]
    shown = " + ".join(names[:8]) + (f" + {len(names) - 8} more" if len(names) > 8 else "")
    results = ", ".join(describe(v) for v in step.group.outputs[:3])
    notes = f"  ({'; '.join(step.group.notes)})" if step.group.notes else ""
    if step.node is not None and not step.group.notes:
        notes = "  (on the host: no kernel computes it)"
    return f"{step.group.kind}: {shown} -> {results}{notes}"


@dataclass(frozen=True)
class Timing:
    """What a step of a program costs, alone on one thread."""

    kind: str
    title: str
    seconds: float
    flops: int
    traffic: int

    @property
    def flop_rate(self) -> float:
        return self.flops / self.seconds if self.seconds else 0.0

    @property
    def byte_rate(self) -> float:
        return self.traffic / self.seconds if self.seconds else 0.0

    @property
    def share(self) -> float:
        """Of what the machine can do at most."""
        return measured().share(self.seconds, self.flops, self.traffic)


def timed(code: Executable) -> Iterator[Timing]:
    """Each step of the program, in order."""
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
            flops += kernel.flops
            traffic += kernel.traffic or sum(_bytes_seen(p) for p in places)
        kind = "copy" if step.group is None else step.group.kind
        yield Timing(kind, title(step), seconds, flops, traffic)


def _bytes_seen(place: Place) -> int:
    """How many bytes of memory a kernel meets in an operand."""
    seen = math.prod(n for n, s in zip(place.shape, place.strides, strict=True) if s)
    return min(seen * place.dtype.itemsize, place.root.nbytes)


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
        memory[code.constants + k] = array.copy()  # kernels note there what they cannot do
    for array in memory.values():
        if array.dtype == np.uint8 and array.flags.writeable:
            array[...] = 0
    table = np.zeros(len(code.table), np.int64)
    for slot, array in memory.items():
        table[slot] = array.ctypes.data
    memory[TABLE_ITSELF] = table
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
