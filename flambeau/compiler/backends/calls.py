"""Kernels of a program, and calls of them on places.

Whoever lowers a group describes what is to be computed on which places; here it becomes a kernel of
`flambeau.kernels`. Equal descriptions share one kernel. All kernels of a program are in one module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau.compiler.backends.expressions import Element
from flambeau.compiler.backends.place import Place, whole
from flambeau.compiler.graph import Value, constant
from flambeau.kernels import gemm, permute, pointwise, reduce
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.positions import Fault, fault_of
from flambeau.kernels.reduce import Reduction

KernelCall = tuple[Kernel, list[Place]]


@dataclass(frozen=True)
class Alarm:
    """Where a kernel notes a position that is out of range, and the error that says so."""

    words: np.ndarray
    explain: Callable[[Fault], Exception]

    def ask(self) -> None:
        """Raises the error if there is one, and is quiet again."""
        if self.words[0]:
            fault = fault_of(self.words)
            self.words[:] = 0
            assert fault is not None
            raise self.explain(fault)


class Kernels:
    """The kernels of one program, and the constants that they read.

    Attributes:
        module: the code of all kernels.
        constants: arrays that the program reads.
        constant_slots: for the memory of each constant, its position in `constants`.
        alarms: which of them kernels raise, and what to say then.
    """

    def __init__(self) -> None:
        self.module = Module()
        self.constants: list[np.ndarray] = []
        self.constant_slots: dict[Value, int] = {}
        self.alarms: list[Alarm] = []
        self._known: dict[Any, Kernel] = {}
        self._count = 0

    def kernel(self, key: Any, emit: Callable[[str], Kernel]) -> Kernel:
        """The kernel of a description; `emit` makes it under a name if it is new."""
        found = self._known.get(key)
        if found is None:
            self._count += 1
            found = self._known[key] = emit(f"k{self._count}")
        return found

    def constant(self, value: Value) -> Place:
        """Where a constant lies; one that is a single number lies there once."""
        array = value.constant
        if value.number is not None:
            array = np.asarray(value.number, value.dtype).reshape((1,) * len(value.shape))
        array = np.ascontiguousarray(array)
        root = Value(array.shape, array.dtype, constant=array)
        self.constants.append(array)
        self.constant_slots[root] = len(self.constants) - 1
        if value.number is not None:
            return Place(root, 0, value.shape, (0,) * len(value.shape))
        return whole(root)

    def alarm(self, words: int, explain: Callable[[Fault], Exception]) -> Place:
        """Memory in which a kernel notes what is wrong with its operands."""
        array = np.zeros(words, np.int64)
        root = Value(array.shape, array.dtype, constant=array)
        self.constants.append(array)
        self.constant_slots[root] = len(self.constants) - 1
        self.alarms.append(Alarm(array, explain))
        return whole(root)

    # Elementwise ------------------------------------------------------------------------------------

    def copy(self, source: Place, target: Place) -> KernelCall:
        """A kernel that copies elements."""
        source = source.broadcast(target.shape)
        if target.dtype.kind == "c":
            return self._copy_words(source, target)
        operands = source.operand, target.operand
        lanes = self.module.target.lanes(target.dtype.itemsize)
        if permute.applies(target.shape, *operands, lanes):
            kernel = self.kernel(
                ("permute", target.shape, *operands),
                lambda name: permute.emit(self.module, name, target.shape, *operands),
            )
            return kernel, [source, target]
        return self.pointwise([source], [target], (("input", 0),), (0,))

    def _copy_words(self, source: Place, target: Place) -> KernelCall:
        """A kernel that copies complex numbers as whole numbers of 8 bytes, one or two each."""
        words = target.dtype.itemsize // 8
        shape = (*target.shape, words)
        ins, ends = (
            (Operand("int64", (*(s * words for s in place.strides), 1)),) for place in (source, target)
        )
        kernel = self.kernel(
            ("copy of words", shape, ins, ends),
            lambda name: pointwise.emit(self.module, name, shape, ins, ends, (("input", 0),), (0,)),
        )
        return kernel, [source, target]

    def fill(self, number: Any, target: Place) -> KernelCall:
        """A kernel that sets every element."""
        return self.copy(self.constant(constant(np.asarray(number, target.dtype))), target)

    def pointwise(
        self, inputs: list[Place], outputs: list[Place], nodes: Sequence[tuple], results: Sequence[int]
    ) -> KernelCall:
        """A kernel of an expression over places of one shape."""
        shape, nodes, results = outputs[0].shape, tuple(nodes), tuple(results)
        ins, ends = tuple(p.operand for p in inputs), tuple(p.operand for p in outputs)
        kernel = self.kernel(
            ("pointwise", shape, ins, ends, nodes, results),
            lambda name: pointwise.emit(self.module, name, shape, ins, ends, nodes, results),
        )
        return kernel, [*inputs, *outputs]

    # Sums -------------------------------------------------------------------------------------------

    def reduction(
        self, inputs: list[Place], target: Place, axes: tuple[int, ...], nodes: Any, op: str,
        element: Element,
    ) -> KernelCall:  # fmt: skip
        """A kernel that reduces an expression over places of one shape."""
        if not op.startswith("arg"):  # whose positions count in order
            inputs, axes = _in_memory_order(inputs, axes)
        shape, operands = inputs[0].shape, [p.operand for p in inputs]
        key = ("reduce", shape, axes, tuple(operands), target.operand, tuple(nodes), op, element)
        kernel = self.kernel(
            key,
            lambda name: reduce.emit(
                self.module, name, shape, axes, operands, [target.operand], tuple(nodes),
                [Reduction(op, element.position)],
            ),
        )  # fmt: skip
        return kernel, [*inputs, target]

    def product(
        self, a: Place, b: Place, out: Place, epilogue: tuple = (("input", 0),),
        extras: Sequence[Place] = (), packed: Place | None = None,
    ) -> KernelCall:  # fmt: skip
        """A kernel for (*batch, m, k) x (*batch, k, n) -> (*batch, m, n), and an epilogue.

        `packed` is `b` as `packing` has put it, if it has.
        """
        batch, (m, k), n = out.shape[:-2], a.shape[-2:], b.shape[-1]
        operands, more = [p.operand for p in (a, b, out)], [p.operand for p in extras]
        kernel = self.kernel(
            ("product", m, n, k, batch, *operands, epilogue, *more, packed is not None),
            lambda name: gemm.emit(
                self.module, name, m, n, k, *operands, batch=batch, epilogue=epilogue, extras=more,
                packed=packed is not None,
            ),
        )  # fmt: skip
        return kernel, [a, packed or b, *extras, out]

    def packed_size(self, a: Place, b: Place) -> int | None:
        """How many elements `b` has when packed for products with `a`; `None` if they read it as it lies."""
        (m, k), n = a.shape, b.shape[1]
        return gemm.packed_size(self.module, m, n, k, a.operand, b.operand)

    def packing(self, a: Place, b: Place, target: Place) -> KernelCall:
        """A kernel that packs `b` for products with `a`."""
        (m, k), n = a.shape, b.shape[1]
        operands = a.operand, b.operand
        kernel = self.kernel(
            ("packing", m, n, k, *operands),
            lambda name: gemm.emit_packing(self.module, name, m, n, k, *operands),
        )
        return kernel, [b, target]


def _in_memory_order(
    inputs: list[Place], axes: tuple[int, ...]
) -> tuple[list[Place], tuple[int, ...]]:
    """The places with the reduced dimensions last, those with the largest steps in memory first."""
    rank = len(inputs[0].shape)
    densest = max(inputs, key=lambda p: sum(s != 0 for s in p.strides))
    kept = [d for d in range(rank) if d not in axes]
    reduced = sorted(axes, key=lambda d: -abs(densest.strides[d]))
    moved = [p.moved([*kept, *reduced]) for p in inputs]
    for d in range(rank - 1, len(kept), -1):  # neighbours that lie without gaps become one
        if all(p.strides[d - 1] == p.strides[d] * p.shape[d] for p in moved):
            moved = [_joined(p, d - 1) for p in moved]
    return moved, tuple(range(len(kept), len(moved[0].shape)))


def _joined(place: Place, d: int) -> Place:
    """With dimensions `d` and `d + 1` as one."""
    shape, strides = place.shape, place.strides
    return place.seen(
        (*shape[:d], shape[d] * shape[d + 1], *shape[d + 2 :]),
        (*strides[:d], *strides[d + 1 :]),
    )
