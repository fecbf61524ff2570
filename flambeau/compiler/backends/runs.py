"""Runs: what a program does one after the other, in native code or on the host.

A run is called with whether several threads may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau.compiler.backends.calls import Alarm
from flambeau.compiler.graph import Node
from flambeau.kernels import threads
from flambeau.kernels.jit import Code
from flambeau.kernels.kernel import Program
from flambeau.kernels.sharing import Sharing

Run = Callable[[bool], None]


def native_run(program: Program, code: Code, table: int, alarms: Sequence[Alarm]) -> Run:
    """Calls a driver on the table at an address, by all threads or by one; raises what its alarms say."""
    call = _driver(program, code, table)
    if not program.may_fail:
        return call

    def run(many: bool) -> None:
        call(many)
        for alarm in alarms:
            alarm.ask()

    return run


def _driver(program: Program, code: Code, table: int) -> Run:
    alone = partial(code.function(program.name, 4), table, 0, 0, 1)
    if not program.parallel:
        return lambda many: alone()
    together = partial(threads.run, code.address(program.name), table, program.patience)
    sharing = Sharing()
    return lambda many: sharing.run(together, alone) if many else alone()


def host_run(node: Node, array_of: Callable[[Any], Callable[[], Any]]) -> Run:
    """Computes a node as eager does. `array_of` gives for an operand the function that finds its array."""
    readers = [array_of(x) for x in node.inputs]
    writers = [array_of(v) for v in node.outputs]
    compute, attributes = node.primitive.compute, node.attributes

    def run(many: bool) -> None:
        with np.errstate(all="ignore"):
            result = compute(*(r() for r in readers), **attributes)
        results = result if isinstance(result, tuple) else (result,)
        for write, r in zip(writers, results, strict=True):
            write()[...] = r

    return run
