"""Native code of graphs: made once for equal ones, and run on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.compiler.autotune import tuned
from flambeau.compiler.backends.cpu import Executable
from flambeau.compiler.graph import Graph
from flambeau.compiler.passes import simplified
from flambeau.compiler.schedule import Schedule
from flambeau.core.switches import exact_convolutions
from flambeau.tensor.tensor import address

#: Executables of this process by the hash of their graphs.
_executables: dict[Any, Executable] = {}


def executable(graph: Graph, written: dict[int, int], tune: bool = False) -> Executable:
    """The native form of a graph; equal graphs share it. `tune`: the fastest of several schedules."""
    exact = exact_convolutions()
    key = (graph.key(), tuple(sorted(written.items())), tune, exact)
    found = _executables.get(key)
    if found is None:
        simple = simplified(graph)
        if tune and not exact:
            found = tuned(simple, written, _try)
        else:
            found = Executable(simple, written, schedule=Schedule(winograd=not exact))
        _executables[key] = found
    return found


def _try(code: Executable) -> None:
    """Runs a program on zeros."""
    run_once(code, [np.zeros(v.shape, v.dtype) for v in code.graph.inputs])


def run_once(code: Executable, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Runs a program on arrays; new arrays with its outputs."""
    outputs = [np.empty(v.shape, v.dtype) for v in code.graph.outputs]
    with code.lock:
        for first, arrays in ((code.inputs, inputs), (code.outputs, outputs)):
            for k, array in enumerate(arrays):
                array = array if array.flags.c_contiguous else np.ascontiguousarray(array)
                code.arrays[first + k] = array
                code.table[first + k] = address(array)
        code.run()
        for k in range(code.inputs, code.constants):
            code.arrays[k] = None
        for k in range(code.outputs, len(code.arrays)):
            code.arrays[k] = None
    return outputs
