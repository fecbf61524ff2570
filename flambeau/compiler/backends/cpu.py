"""The CPU backend: a graph becomes native functions, and a list of what to call.

Groups of nodes (see `passes/fuse.py`) become kernels (`groups.py`); runs of kernels become one native
function, the driver; nodes without a kernel are computed by their `compute` between two drivers
(`runs.py`). All native code of a program is one module. Memory is a table of addresses (`homes.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.compiler.backends.groups import lower
from flambeau.compiler.backends.homes import ARENA, SCRATCH, TABLE_ITSELF, WORKSPACE, Homes
from flambeau.compiler.backends.joined import TABLE
from flambeau.compiler.backends.lowering import Step
from flambeau.compiler.backends.place import Place
from flambeau.compiler.backends.runs import Run, host_run, native_run
from flambeau.compiler.graph import Graph, Value
from flambeau.compiler.schedule import Schedule
from flambeau.core.locks import own_lock
from flambeau.kernels import jit, threads
from flambeau.kernels import kernel as native
from flambeau.kernels.kernel import Call, Kernel, Program, emit_driver
from flambeau.kernels.language import Buffer, Module
from flambeau.kernels.meetings import Touch

_WORKSPACE, _SCRATCH = native.Place(WORKSPACE), native.Place(SCRATCH)


class Executable:
    """A program in memory, ready to run.

    The caller puts addresses of inputs and outputs in `table` (see `input_slot`, `output_slot`), the
    arrays in `arrays`, and calls `run()`.
    """

    def __init__(
        self,
        graph: Graph,
        written: dict[int, int],
        key: str | None = None,
        schedule: Schedule = Schedule(),
    ):
        self.graph, self.schedule = graph, schedule
        low = lower(graph, schedule)
        homes = Homes(low, written)
        self.steps, self.homes, self.located = low.steps, homes.of, low.located
        self.inputs, self.constants, self.outputs = homes.inputs, homes.constants, homes.outputs
        self.constant_arrays, self.alarms = low.kernels.constants, low.kernels.alarms
        self.table = np.zeros(homes.slots, np.int64)
        self.arrays: list[Any] = [None] * homes.slots
        own_lock(self)  # table, arena and arrays serve one call at a time
        order = self._drivers(low.kernels.module)
        self.code = jit.load(low.kernels.module, key) if self.programs else None
        self._memory(homes.arena_bytes)
        self._runs = [self._run(item) for item in order]

    def input_slot(self, k: int) -> int:
        return self.inputs + k

    def output_slot(self, k: int) -> int:
        return self.outputs + k

    def _drivers(self, module: Module) -> list[Program | Step]:
        """Cuts the steps into drivers of native code and host computations."""
        order: list[Program | Step] = []
        self.programs: list[Program] = []
        for on_host, steps in itertools.groupby(self.steps, lambda step: step.node is not None):
            if on_host:
                order += steps
                continue
            calls = [
                Call(kernel, tuple(map(self._place, operands)), self._touches(kernel, operands, step))
                for step in steps
                for kernel, operands in step.calls
            ]
            if calls:
                name = f"run{len(self.programs)}"
                self.programs.append(emit_driver(module, name, calls, _WORKSPACE, _SCRATCH))
                order.append(self.programs[-1])
        return order

    def _place(self, place: Place) -> native.Place:
        slot, offset = self.homes[place.root]
        return native.Place(slot, offset + place.offset * place.dtype.itemsize)

    def _touches(self, kernel: Kernel, operands: list[Place], step: Step) -> tuple[Touch, ...]:
        """What a call touches of its operands' memories. Those of the caller may overlap each other."""
        written = set(step.writes)
        found = [
            self._touch(place, buffer, place.root in written)
            for place, buffer in zip(operands, kernel.buffers, strict=True)
        ]
        if TABLE in operands:  # through which a joined kernel reaches its members: too many to tell one by one
            arena = any(self.homes[root][0] == ARENA for root in written)
            found += [Touch(ARENA, written=arena), Touch(TABLE_ITSELF, foreign=True)]
        return tuple(found)

    def _touch(self, place: Place, buffer: Buffer, written: bool) -> Touch:
        home = self._place(place)
        slot, address = home.slot, home.offset
        foreign = slot != ARENA and not self.constants <= slot < self.outputs
        if not isinstance(buffer.extent, int) or min(place.strides, default=0) < 0:
            start = self.homes[place.root][1]
            return Touch(slot, start, start + place.root.nbytes, address, written, foreign)
        extent = max(buffer.extent * buffer.element.bytes, place.extent * place.dtype.itemsize)
        return Touch(slot, address, address + extent, address, written, foreign)

    def _memory(self, arena_bytes: int) -> None:
        self.arena = aligned(arena_bytes)
        self.workspace = aligned(max((p.workspace for p in self.programs), default=0))
        self._scratch_bytes = max((p.scratch for p in self.programs), default=0)
        self._prepare_threads()
        self.address = self.table.ctypes.data
        self.table[TABLE_ITSELF] = self.address
        self.table[ARENA] = self.arena.ctypes.data
        self.table[WORKSPACE] = self.workspace.ctypes.data
        for k, array in enumerate(self.constant_arrays):
            self.table[self.constants + k] = array.ctypes.data
            self.arrays[self.constants + k] = array

    def _prepare_threads(self) -> None:
        self.threads = threads.get_num_threads()
        self.scratch = aligned(self._scratch_bytes * self.threads)
        self.table[SCRATCH] = self.scratch.ctypes.data

    # Running --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Runs the program on what the table says."""
        if threads.get_num_threads() != self.threads:
            self._prepare_threads()
        many = self.threads > 1
        for run in self._runs:
            run(many)

    def _run(self, item: Program | Step) -> Run:
        if isinstance(item, Program):
            assert self.code is not None
            return native_run(item, self.code, self.address, self.alarms)
        assert item.node is not None
        return host_run(item.node, self._array_of)

    def _array_of(self, x: Any) -> Callable[[], Any]:
        """A function that gives an operand: a value's array, or what is not a value."""
        if not isinstance(x, Value):
            return lambda: x
        if x.constant is not None:
            return lambda: x.constant
        located = self.located[x]
        item = x.dtype.itemsize
        slot, offset = self.homes[located.root]
        offset += located.offset * item
        strides = tuple(s * item for s in located.strides)
        if slot == ARENA:
            array = np.ndarray(x.shape, x.dtype, self.arena, offset, strides)
            return lambda: array
        arrays = self.arrays
        return lambda: np.ndarray(x.shape, x.dtype, arrays[slot], offset, strides)


def aligned(nbytes: int) -> np.ndarray:
    """Memory that begins at a multiple of 128."""
    raw = np.empty(nbytes + 256, np.uint8)
    start = -raw.ctypes.data % 128
    return raw[start : start + nbytes + 128]
