"""Where the values of a program live: which slot of its table holds them, and how many bytes in.

The table has addresses: of the arena, of memory that kernels work in, of inputs, constants and outputs.
What leaves the program is written where the caller wants it; the rest shares the arena.
"""

from __future__ import annotations

from flambeau.compiler.backends.joined import TABLE
from flambeau.compiler.backends.lowering import Lowering, Step
from flambeau.compiler.backends.memory import Lifetime, plan
from flambeau.compiler.backends.place import Place, whole
from flambeau.compiler.graph import Value

ARENA, WORKSPACE, SCRATCH, TABLE_ITSELF, FIRST = range(5)  # the table's slots; inputs begin at FIRST


class Homes:
    """The homes of a lowered program's values. Adds steps that copy to outputs no kernel can write directly.

    `written`: for each output that is the new content of an input's memory, that input's number.

    Attributes:
        of: slot and bytes of each memory (the root of a place).
        inputs, constants, outputs: the first slots of these.
        slots: how many the table has.
        arena_bytes: the size of the arena.
    """

    def __init__(self, low: Lowering, written: dict[int, int]):
        self._low, self._written = low, written
        self._parts_of: dict[int, dict[Value, list[list[Place]]]] = {}
        roots = self._outputs()
        self.inputs = FIRST
        self.constants = self.inputs + len(low.graph.inputs)
        self.outputs = self.constants + len(low.kernels.constants)
        self.slots = self.outputs + len(low.graph.outputs)
        self.of: dict[Value, tuple[int, int]] = {TABLE.root: (TABLE_ITSELF, 0)}
        for first, numbers in (
            (self.inputs, {v: k for k, v in enumerate(low.graph.inputs)}),
            (self.constants, low.kernels.constant_slots),
            (self.outputs, roots),
        ):
            self.of.update({root: (first + k, 0) for root, k in numbers.items()})
        self.arena_bytes = self._fill_arena()
        for records in low.records:
            records.fill(self.of)

    def _outputs(self) -> dict[Value, int]:
        """The memory of every output; copies are added to those that no kernel writes directly."""
        low, graph = self._low, self._low.graph
        made: dict[Value, int] = {}  # the step that first writes a value
        self._last_read: dict[Value, int] = {}
        for k, step in enumerate(low.steps):
            for value in step.writes:
                made.setdefault(value, k)
            self._last_read.update(dict.fromkeys(step.reads, k))
        inputs = set(graph.inputs)
        for value in graph.outputs:  # what an input was is copied at the end
            if low.locate(value).root in inputs:
                self._last_read[low.locate(value).root] = len(low.steps)
        late: list[tuple[bool, Place, Value]] = []
        roots: dict[Value, int] = {}
        for k, value in enumerate(graph.outputs):
            located, target = low.locate(value), self._written.get(k)
            root = located.root
            direct = (
                root in made
                and root not in roots
                and located.is_all
                and (target is None or self._safe(made[root], root, graph.inputs[target]))
            )
            if direct:
                roots[root] = k
                if target is not None:
                    self._change_in_place(low.steps[made[root]], graph.inputs[target])
                continue
            copy = Value(value.shape, value.dtype)
            if target is not None and value.node is None:
                # The memory of one input becomes another's: read all before any is written.
                kept = Value(value.shape, value.dtype)
                self._add_copy(located, kept)
                located = whole(kept)
            late.append((target is not None, located, copy))
            roots[copy] = k
        for _, located, copy in sorted(late, key=lambda item: item[0]):  # inputs are overwritten last
            self._add_copy(located, copy)
        return roots

    def _add_copy(self, source: Place, target: Value) -> None:
        self._last_read[source.root] = len(self._low.steps)
        self._low.add_step(None, [self._low.kernels.copy(source, whole(target))], [target])

    def _safe(self, step: int, value: Value, memory: Value) -> bool:
        """Whether a step may write a value over an input: nobody reads the input later, and of the step itself only
        the part that makes the value, and only the very elements that it writes.
        """
        if self._last_read.get(memory, -1) != step:
            return self._last_read.get(memory, -1) < step
        if self._low.steps[step].changed is memory:
            return True
        plain = whole(memory).broadcast(memory.shape).strides
        parts = self._parts(step).get(memory)
        return parts is not None and all(
            any(o.root is value for o in part)
            and all(o.offset == 0 and o.strides == plain for o in part if o.root is memory)
            for part in parts
        )

    def _parts(self, step: int) -> dict[Value, list[list[Place]]]:
        """For each memory the parts of a step that touch it."""
        found = self._parts_of.get(step)
        if found is None:
            found = self._parts_of[step] = {}
            for part in self._low.steps[step].parts:
                for root in {o.root for o in part}:
                    found.setdefault(root, []).append(part)
        return found

    def _change_in_place(self, step: Step, memory: Value) -> None:
        """Leaves out the copy of memory in whose place the step's result stands."""
        if step.changed is memory:
            del step.calls[0]
            step.reads.remove(memory)

    def _fill_arena(self) -> int:
        """Puts what is left into the arena; returns its size."""
        born: dict[Value, int] = {}
        dies: dict[Value, int] = {}
        for k, step in enumerate(self._low.steps):
            for value in step.writes:
                born.setdefault(value, k)
                dies[value] = k
            for value in step.reads:
                dies[value] = k
        values = [v for v in born if v not in self.of]
        offsets, size = plan([Lifetime(v.nbytes, born[v], dies[v]) for v in values])
        for value, offset in zip(values, offsets, strict=True):
            self.of[value] = (ARENA, offset)
        return size
