"""A compiled program: native segments and host steps over one arena, ready to be called."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.compiler.lowering import Lowering, Place, Unit
from flambeau.compiler.values import Graph, Value
from flambeau.kernels import jit, kernel, threads
from flambeau.kernels.kernel import Call, emit_driver

_ALIGNMENT = 64


class Memory:
    """Plans one arena: each value has a place from the unit that makes it to the last that reads it."""

    def __init__(self) -> None:
        self.size = 0
        self._free: list[tuple[int, int]] = []  # (offset, size), by offset

    def take(self, size: int) -> int:
        size = -(-max(size, 1) // _ALIGNMENT) * _ALIGNMENT
        fits = [(s, o) for o, s in self._free if s >= size]
        if fits:
            have, offset = min(fits)
            self._free.remove((offset, have))
            if have > size:
                self._give(offset + size, have - size)
            return offset
        if self._free and sum(self._free[-1]) == self.size:  # grow the last hole
            offset, _ = self._free.pop()
            self.size = offset + size
            return offset
        offset, self.size = self.size, self.size + size
        return offset

    def give(self, offset: int, size: int) -> None:
        self._give(offset, -(-max(size, 1) // _ALIGNMENT) * _ALIGNMENT)

    def _give(self, offset: int, size: int) -> None:
        self._free.append((offset, size))
        self._free.sort()
        merged: list[tuple[int, int]] = []
        for o, s in self._free:
            if merged and sum(merged[-1]) == o:
                merged[-1] = (merged[-1][0], merged[-1][1] + s)
            else:
                merged.append((o, s))
        self._free = merged


class Program:
    """The graph's `results` from its inputs, as native code.

    inputs: the values that are given as arrays, in order. updates: (input, result) pairs: the result
    overwrites the input's memory. Other results are returned as new arrays.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sequence[Value],
        results: Sequence[Value],
        updates: Sequence[tuple[Value, Value]],
        layouts: dict[int, tuple[int, ...]],
    ):
        self.graph = graph
        self.inputs = list(inputs)
        self.results = list(results)
        self.lowering = Lowering(graph, [*results, *(r for _, r in updates)], layouts)
        self.units = self.lowering.units
        self.updates = list(updates)
        self.lock = threading.Lock()
        self._direct = self._overwritten_at_once()
        self._slots: dict[int, int] = {v.number: i for i, v in enumerate(self.inputs)}
        self._plan_memory()
        self._compile()

    # Memory -------------------------------------------------------------------------------------

    def _overwritten_at_once(self) -> dict[int, Value]:
        """Results that can be computed right where the input lies: result number -> input.

        The unit must be one pointwise kernel, no later unit may read the input, and the unit itself may
        read it only element by element.
        """
        last_read: dict[int, int] = {}
        for at, unit in enumerate(self.units):
            for place in unit.reads:
                last_read[place.root.number] = at
        made_at = {o.number: at for at, unit in enumerate(self.units) for o in unit.outputs}
        returned = {v.number for v in self.results}
        direct: dict[int, Value] = {}
        for target, result in self.updates:
            at = made_at.get(result.number)
            place = self.lowering.places[result.number]
            if at is None or not place.is_whole or place.root is not result or result.number in returned:
                continue
            unit = self.units[at]
            own = self.lowering.places.get(target.number)
            if own is not None and (not own.is_whole or last_read.get(target.number, -1) > at):
                continue
            if unit.host or len(unit.steps) != 1 or len(unit.outputs) != 1 or result.number in direct:
                continue
            if any(p.root is target and (p.offset or p.strides != place.strides) for p in unit.reads):
                continue
            direct[result.number] = target
        return direct

    def _plan_memory(self) -> None:
        """Gives every computed value its bytes in the arena or a slot of its own."""
        last: dict[int, int] = {}
        for at, unit in enumerate(self.units):
            for place in unit.reads:
                last[place.root.number] = at
        for value in [*self.results, *(r for _, r in self.updates)]:
            last[self.lowering.place(value).root.number] = len(self.units)
        self.result_slots: list[tuple[int, Value]] = []
        own_memory: dict[int, int] = {}
        count = len(self.inputs)
        for value in self.results:
            place = self.lowering.place(value)
            computed = place.root.node is not None and place.root is value and place.is_whole
            if computed and value.number not in own_memory:
                own_memory[value.number] = count
                self.result_slots.append((count, value))
                count += 1
        self.own_memory = own_memory
        self.constants: list[np.ndarray] = []
        self.first_constant = count
        memory = Memory()
        self.offsets: dict[int, int] = {}
        ending: dict[int, list[Value]] = {}
        for at, unit in enumerate(self.units):
            for value in [*unit.outputs, *unit.temporaries]:
                if value.number in own_memory or value.number in self._direct:
                    continue
                self.offsets[value.number] = memory.take(value.size * value.dtype.itemsize)
                end = at if value in unit.temporaries else max(last.get(value.number, at), at)
                ending.setdefault(end, []).append(value)
            for value in ending.pop(at, []):
                memory.give(self.offsets[value.number], value.size * value.dtype.itemsize)
        self.arena = _aligned(memory.size)

    def _slot(self, value: Value) -> tuple[int, int]:
        """(table slot, byte offset) of a root value."""
        target = self._direct.get(value.number)
        if target is not None:
            return self._slots[target.number], 0
        if value.number in self._slots:
            return self._slots[value.number], 0
        if value.number in self.own_memory:
            return self.own_memory[value.number], 0
        if value.constant is not None:
            slot = self._slots[value.number] = self.first_constant + len(self.constants)
            self.constants.append(value.constant)
            return slot, 0
        return -1, self.offsets[value.number]  # the arena's slot is known once constants are

    def _place(self, place: Place) -> kernel.Place:
        slot, offset = self._slot(place.root)
        return kernel.Place(slot, offset + place.offset * place.dtype.itemsize)

    # Code ---------------------------------------------------------------------------------------

    def _compile(self) -> None:
        copies = Unit(self.units[-1].node if self.units else None, []) if self.updates else None  # type: ignore[arg-type]
        if copies is not None:
            for target, result in self.updates:
                if result.number not in self._direct:
                    source = self.lowering.place(result)
                    own = self.lowering.place(target)
                    self.lowering.copy(copies, source, own)
                    copies.reads.append(source)
        everything = [*self.units, *([copies] if copies is not None and copies.steps else [])]
        for unit in everything:  # so that every constant has a slot
            for place in [*unit.reads, *(p for s in unit.steps for p in s.places)]:
                self._slot(place.root)
        for value in self.results:
            self._slot(self.lowering.place(value).root)
        arena = self.first_constant + len(self.constants)

        def placed(place: Place) -> kernel.Place:
            found = self._place(place)
            return kernel.Place(arena, found.offset) if found.slot < 0 else found

        module = self.lowering.module
        self.segments: list[tuple[Any, Any]] = []
        calls: list[Call] = []
        drivers: list[Any] = []

        def flush() -> None:
            if calls:
                name = f"segment_{len(drivers)}"
                drivers.append(
                    emit_driver(module, name, list(calls), kernel.Place(arena + 1), kernel.Place(arena + 2))
                )
                self.segments.append(("native", name))
                calls.clear()

        for unit in everything:
            if unit.host:
                flush()
                self.segments.append(("host", unit))
            else:
                calls += [Call(s.kernel, tuple(map(placed, s.places))) for s in unit.steps]
        flush()
        self.parallel = any(d.parallel for d in drivers)
        workspace = _aligned(max((d.workspace for d in drivers), default=0) + 128)
        # A thread's scratch begins at its number times the driver's scratch.
        self.scratch_each = max((d.scratch for d in drivers), default=0)
        self._workspace = workspace
        self._scratch = _aligned(128)
        self.table = np.zeros(arena + 3, np.int64)
        for i, array in enumerate(self.constants):
            self.table[self.first_constant + i] = _address(array)
        self.table[arena] = _address(self.arena)
        self.table[arena + 1] = _address(workspace)
        self._arena_slot = arena
        self.drivers = drivers
        if drivers:
            code = self.code = jit.load(module)
            self.segments = [
                (kind, (code.address(what), code.function(what, 4), drivers[int(what.split("_")[1])]))
                if kind == "native"
                else (kind, what)
                for kind, what in self.segments
            ]
        self._table_address = _address(self.table)
        self._known_arrays: list[Any] = [None] * len(self.inputs)
        self._threads = 0

    # Running ------------------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs it on the inputs' arrays; returns the results."""
        with self.lock:
            return self._run(arrays)

    def _run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        table, known = self.table, self._known_arrays
        for i, array in enumerate(arrays):
            if array is not known[i]:
                table[i] = _address(array)
                known[i] = array
        count = threads.get_num_threads()
        if count != self._threads:
            self._threads = count
            self._scratch = _aligned(self.scratch_each * count + 128)
            table[self._arena_slot + 2] = _address(self._scratch)
        made: dict[int, np.ndarray] = {}
        for slot, value in self.result_slots:
            array = made[value.number] = np.empty(value.shape, value.dtype)
            table[slot] = _address(array)
        for kind, what in self.segments:
            if kind == "host":
                self._host(what, arrays, made)
                continue
            address, alone, driver = what
            if driver.parallel and count > 1:
                threads.run(address, self._table_address)
            else:
                alone(self._table_address, 0, 0, 1)
        return [made[v.number] if v.number in made else self._array(self.lowering.place(v), arrays, made).copy() for v in self.results]

    def _host(self, unit: Unit, arrays: Sequence[np.ndarray], made: dict[int, np.ndarray]) -> None:
        inputs = [
            self._array(self.lowering.place(x), arrays, made) if isinstance(x, Value) else x for x in unit.node.inputs
        ]
        found = unit.node.primitive.compute(*inputs, **unit.node.attributes)
        for value, array in zip(unit.outputs, (found,) if len(unit.outputs) == 1 else found, strict=True):
            self._array(self.lowering.place(value), arrays, made)[...] = array

    def _array(self, place: Place, arrays: Sequence[np.ndarray], made: dict[int, np.ndarray]) -> np.ndarray:
        """A place as a NumPy array on the program's memory."""
        root = place.root
        item = place.dtype.itemsize
        strides = [s * item for s in place.strides]
        target = self._direct.get(root.number, root)
        if target.number in made:
            base = made[target.number]
        elif root.constant is not None:
            base = root.constant
        elif target.number in self._slots:
            base = arrays[self._slots[target.number]]
        else:
            start = self.offsets[root.number] + place.offset * item
            return np.ndarray(place.shape, place.dtype, self.arena, start, strides)
        return _strided(base, place, strides)

    @property
    def arena_bytes(self) -> int:
        return self.arena.nbytes


def _strided(base: np.ndarray, place: Place, strides: Sequence[int]) -> np.ndarray:
    item = place.dtype.itemsize
    if place.offset:
        flat = np.lib.stride_tricks.as_strided(base, (place.offset + 1,), (item,))
        base = flat[place.offset :]
    return np.lib.stride_tricks.as_strided(base, place.shape, strides)


def _aligned(size: int) -> np.ndarray:
    """`size` bytes that begin at a multiple of 128."""
    memory = np.empty(size + 128, np.uint8)
    start = -_address(memory) % 128
    return memory[start : start + size]


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


