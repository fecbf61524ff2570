"""Pointwise chains over arrays that lie in order: one kernel for every length.

Eager operators meet ever new shapes, and code for each would take longer than the work. Where all operands have one shape
and lie in order, the shape does not matter: a kernel here is made for an expression and its dtypes.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import partial
from math import log2

import numpy as np

from flambeau.core.memory import address
from flambeau.kernels import jit, threads
from flambeau.kernels.element import I32, I64, Element, element_of
from flambeau.kernels.expression import Nodes, cost, evaluate, types, vectors_abreast
from flambeau.kernels.kernel import WORTH_A_THREAD
from flambeau.kernels.language import Buffer, Chosen, Module, Offset
from flambeau.kernels.sharing import Sharing

#: Threads share multiples of so many elements.
_BLOCK = 1024


def emit(
    module: Module, name: str, inputs: Sequence[Element], outputs: Sequence[Element], nodes: Nodes, results: Sequence[int],
    single: Sequence[int] = (),
) -> None:  # fmt: skip
    """A driver (see `threads.run`) whose table holds the addresses of inputs and outputs, and then the count.

    `single` are inputs of which there is one number for all elements.
    """
    body = f"{name}_body"
    lanes = _emit_body(module, body, inputs, outputs, nodes, results, single)
    f = module.function(name, [Buffer("table", I64), Buffer("barrier", I32)], ["thread", "threads"])
    (table, _), (thread, team) = f.buffers, f.indices
    operands = len(inputs) + len(outputs)
    count = (table + operands).load().index()
    block = max(_BLOCK, lanes)
    blocks = (count + (block - 1)) // block
    begin = thread * blocks // team * block  # type: ignore[operator]
    end = ((thread + 1) * blocks // team * block).at_most(count)  # type: ignore[operator, union-attr]
    with f.when(end.exceeds(begin)):
        arrays = [(table + k).load_address() for k in range(operands)]
        f.call(body, [*arrays, begin, end])


def _emit_body(
    module: Module, name: str, inputs: Sequence[Element], outputs: Sequence[Element], nodes: Nodes, results: Sequence[int],
    single: Sequence[int],
) -> int:  # fmt: skip
    """The function that does elements `begin` to `end`; returns how many it does at a time."""
    sizes = {e.bytes for e in types(nodes, inputs) if e.kind != "bool"} or {1}
    lanes = module.target.lanes(4 if 4 in sizes else max(sizes))
    abreast = vectors_abreast(module.target, nodes)
    lanes, several = lanes * abreast, 4 // abreast
    buffers = [Buffer(f"in{k}", e) for k, e in enumerate(inputs)] + [Buffer(f"out{k}", e) for k, e in enumerate(outputs)]
    f = module.function(name, buffers, ["begin", "end"], internal=True)
    begin, end = f.indices
    known = evaluate(f, nodes, {k: f.buffers[k].broadcast(lanes) for k in single}, lanes)
    arrays = [k for k in range(len(inputs)) if k not in single]

    def vector(at: Offset, mask: Chosen | None = None) -> None:
        loaded = {k: (f.buffers[k] + at).load(lanes, mask=mask) for k in arrays}
        values = evaluate(f, nodes, loaded, lanes, known)
        for pointer, node in zip(f.buffers[len(inputs) :], results, strict=True):
            f.convert(values[node], pointer.element.computed).store(pointer + at, mask=mask)

    whole = begin
    for step in dict.fromkeys((several * lanes, lanes)):
        stop = whole + (end - whole) // step * step  # type: ignore[operator]
        with f.range(whole, stop, step) as at:
            for k in range(0, step, lanes):
                vector(at + k)
        whole = stop
    left = end - whole
    with f.when(left.exceeds(0)):
        vector(whole, f.first(left, lanes))
    return several * lanes


class Chain:
    """One expression, compiled for the dtypes of its operands."""

    def __init__(
        self, nodes: Nodes, results: Sequence[int], inputs: Sequence[np.dtype], outputs: Sequence[np.dtype],
        single: Sequence[int] = (),
    ):  # fmt: skip
        module = Module()
        emit(module, "flat", [*map(element_of, inputs)], [*map(element_of, outputs)], nodes, results, single)
        code = jit.load(module)
        self._address, self._alone = code.address("flat"), code.function("flat", 4)
        operands = len(inputs) + len(outputs)
        self._pack = struct.Struct(f"{operands + 1}q").pack
        self._table_type = ctypes.c_int64 * (operands + 1)
        self._cost = cost(nodes) + operands
        self._shared = -(-WORTH_A_THREAD // self._cost)
        self._sharing: dict[int, Sharing] = {}

    def __call__(self, *arrays: np.ndarray) -> None:
        """Fills outputs from inputs, which all lie in order and have as many elements; one may be another's memory."""
        count = arrays[-1].size
        if count < self._shared or threads.get_num_threads() == 1:
            self._alone(self._pack(*map(address, arrays), count), 0, 0, 1)
            return
        size = int(4 * log2(count))
        sharing = self._sharing.get(size)
        if sharing is None:
            sharing = self._sharing[size] = Sharing()
        table = self._table_type(*map(address, arrays), count)
        start = ctypes.addressof(table)
        patience = min(max(count * self._cost // 2000, 200), 2_000_000)
        sharing.run(partial(threads.run, self._address, start, patience), partial(self._alone, start, 0, 0, 1))
