"""Kernels on NumPy arrays: for eager operators.

Each function specialises a kernel to the shapes, dtypes and strides at hand, keeps what it
compiled in memory, and runs it. Memory that the kernel needs besides its buffers belongs to the
calling Python thread and is used again by the next call.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial

import numpy as np

from flambeau.core.memory import address
from flambeau.kernels import (
    attention,
    conv,
    gemm,
    jit,
    pointwise,
    pool,
    positions,
    reduce,
    scan,
    slabs,
    threads,
    topk,
)
from flambeau.kernels.element import element_of
from flambeau.kernels.expression import Nodes
from flambeau.kernels.kernel import Call, Kernel, Place, emit_driver
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.positions import Fault, Sought
from flambeau.kernels.reduce import Reduction
from flambeau.kernels.sharing import Sharing
from flambeau.kernels.sort import Sorting

_MOST_KEPT = 4096
_MOST_HELD = 1 << 27  # bytes of working memory that a Python thread keeps for the next call
_compiled: dict[Hashable, Compiled] = {}
_own = threading.local()


class Compiled:
    """One kernel, loaded, with a driver that takes its buffers in order.

    Attributes:
        kernel: its description.
        run: calls it on the addresses of its buffers.
    """

    def __init__(self, build: Callable[[Module], Kernel]):
        module = Module()
        self.kernel = build(module)
        count = len(self.kernel.buffers)
        places = tuple(Place(i) for i in range(count))
        call = Call(self.kernel, places)
        self._program = emit_driver(module, "driver", [call], Place(count), Place(count + 1))
        self._code = jit.load(module)
        self._address = self._code.address("driver")
        self._alone = self._code.function("driver", 4)
        self._sharing = Sharing()
        self._table_type = ctypes.c_int64 * (count + 2)

    def __call__(self, *addresses: int) -> None:
        """Runs it; the addresses are those of the buffers in order."""
        program, shared, own = self._program, 0, 0
        parallel = program.parallel and threads.get_num_threads() > 1
        if program.workspace or program.scratch:
            scratch = program.scratch * (threads.get_num_threads() if parallel else 1)
            shared = _working_memory(program.workspace + 128 + scratch)
            own = shared + (program.workspace + 127) // 128 * 128
        table = self._table_type(*addresses, shared, own)
        start = ctypes.addressof(table)
        if parallel:
            self._sharing.run(
                partial(threads.run, self._address, start, program.patience), partial(self._alone, start, 0, 0, 1)
            )
        else:
            self._alone(start, 0, 0, 1)
        if program.workspace + program.scratch > _MOST_HELD:
            del _own.memory


def compiled(key: Hashable, build: Callable[[Module], Kernel]) -> Compiled:
    """The kernel that `build` emits, from memory if it was asked for under `key` before."""
    found = _compiled.get(key)
    if found is None:
        if len(_compiled) >= _MOST_KEPT:
            _compiled.pop(next(iter(_compiled)))
        found = _compiled[key] = Compiled(build)
    return found


def pointwise_chain(
    nodes: Nodes, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray],
    results: Sequence[int],
) -> None:  # fmt: skip
    """Fills `outputs` (all of one shape) from an expression; inputs broadcast to that shape."""

    def build(module: Module) -> Kernel:
        shape = outputs[0].shape
        ins = [_operand(np.broadcast_to(a, shape)) for a in inputs]
        outs = [_operand(a) for a in outputs]
        return pointwise.emit(module, "chain", shape, ins, outs, nodes, results)

    arrays = [*inputs, *outputs]
    key = ("pointwise", nodes, tuple(results), *map(_layout, arrays))
    compiled(key, build)(*map(address, arrays))


def reduction(
    nodes: Nodes, inputs: Sequence[np.ndarray], reductions: Sequence[Reduction],
    axes: Sequence[int], outputs: Sequence[np.ndarray], epilogue: Nodes | None = None,
    results: Sequence[int] | None = None, extras: Sequence[np.ndarray] = (),
) -> None:  # fmt: skip
    """Fills `outputs` with reductions of an expression over `axes`, see `reduce.emit`."""

    def build(module: Module) -> Kernel:
        shape = np.broadcast_shapes(*(a.shape for a in inputs))
        left = outputs[0].shape
        return reduce.emit(
            module, "reduction", shape, axes,
            [_operand(np.broadcast_to(a, shape)) for a in inputs],
            [_operand(a) for a in outputs],
            nodes, reductions, epilogue, results,
            [_operand(np.broadcast_to(a, left)) for a in extras],
        )  # fmt: skip

    arrays = [*inputs, *extras, *outputs]
    ends = None if results is None else tuple(results)
    key = ("reduce", nodes, tuple(reductions), tuple(axes), epilogue, ends, len(inputs),
           *map(_layout, arrays))  # fmt: skip
    compiled(key, build)(*map(address, arrays))


def slab(
    nodes: Nodes, inputs: Sequence[np.ndarray], axes: Sequence[int], outputs: Sequence[np.ndarray], results: Sequence[int],
) -> None:  # fmt: skip
    """Fills `outputs` from an expression with reductions over `axes`, see `slabs.emit`."""

    def build(module: Module) -> Kernel:
        shape = np.broadcast_shapes(*(a.shape for a in inputs))
        ins = [_operand(np.broadcast_to(a, shape)) for a in inputs]
        return slabs.emit(module, "slab", shape, axes, ins, [_operand(a) for a in outputs], nodes, results)

    _run(("slab", nodes, tuple(axes), tuple(results), len(inputs)), build, *inputs, *outputs)


def matmul(
    a: np.ndarray, b: np.ndarray, out: np.ndarray, epilogue: Nodes = (("input", 0),),
    extras: Sequence[np.ndarray] = (),
) -> None:  # fmt: skip
    """Fills `out` with the matrix products of `a` and `b` (batch dimensions broadcast)."""

    def build(module: Module) -> Kernel:
        batch, (m, n) = out.shape[:-2], out.shape[-2:]
        k = a.shape[-1]
        return gemm.emit(
            module, "gemm", m, n, k,
            _operand(np.broadcast_to(a, (*batch, m, k))),
            _operand(np.broadcast_to(b, (*batch, k, n))),
            _operand(out), batch, epilogue,
            [_operand(np.broadcast_to(e, out.shape)) for e in extras],
        )  # fmt: skip

    arrays = [a, b, *extras, out]
    compiled(("gemm", epilogue, *map(_layout, arrays)), build)(*map(address, arrays))


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, out: np.ndarray,
    shape: conv.Convolution, exact: bool = False,
) -> None:  # fmt: skip
    """Fills `out` with a convolution; `exact` rules out Winograd's algorithm."""
    extras = [] if bias is None else [bias]

    def build(module: Module) -> Kernel:
        if bias is None:
            return conv.emit_forward(
                module,
                "conv",
                shape,
                _operand(x),
                _operand(weight),
                [_operand(out)],
                exact=exact,
            )
        per_channel = Operand(bias.dtype.name, (0, bias.strides[0] // bias.itemsize, 0, 0))
        add = (("input", 0), ("input", 1), ("add", 0, 1))
        return conv.emit_forward(
            module, "conv", shape, _operand(x), _operand(weight), [_operand(out)], add, (2,),
            [per_channel], exact,
        )  # fmt: skip

    _run(("conv", shape, exact), build, x, weight, *extras, out)


def conv2d_input_gradient(
    gradient: np.ndarray, weight: np.ndarray, out: np.ndarray, shape: conv.Convolution,
    exact: bool = False,
) -> None:  # fmt: skip
    """Fills `out` with the gradient of a convolution's input; `shape` is the forward one's."""

    def build(module: Module) -> Kernel:
        operands = _operand(gradient), _operand(weight), [_operand(out)]
        return conv.emit_input_gradient(module, "conv", shape, *operands, exact=exact)

    _run(("conv input", shape, exact), build, gradient, weight, out)


def conv2d_weight_gradient(
    x: np.ndarray, gradient: np.ndarray, out: np.ndarray, shape: conv.Convolution,
    exact: bool = False,
) -> None:  # fmt: skip
    """Fills `out` with the gradient of a convolution's weight."""

    def build(module: Module) -> Kernel:
        operands = _operand(x), _operand(gradient), _operand(out)
        return conv.emit_weight_gradient(module, "conv", shape, *operands, exact)

    _run(("conv weight", shape, exact), build, x, gradient, out)


def max_pool2d(
    x: np.ndarray, out: np.ndarray, positions: np.ndarray | None, shape: pool.Pooling
) -> None:
    """Fills `out` with maxima and `positions` with where in the plane they are."""
    outputs = [out] if positions is None else [out, positions]

    def build(module: Module) -> Kernel:
        return pool.emit_max(module, "pool", shape, _operand(x), [_operand(o) for o in outputs])

    _run(("max pool", shape), build, x, *outputs)


def max_pool2d_backward(
    gradient: np.ndarray, positions: np.ndarray, out: np.ndarray, shape: pool.Pooling
) -> None:
    """Fills `out` with the gradient of the input of `max_pool2d`."""

    def build(module: Module) -> Kernel:
        operands = _operand(gradient), _operand(positions), _operand(out)
        return pool.emit_max_backward(module, "pool", shape, *operands)

    _run(("max pool backward", shape), build, gradient, positions, out)


def average_pool2d(
    x: np.ndarray, out: np.ndarray, shape: pool.Pooling, include_padding: bool = True,
    divisor: int | None = None, backward: bool = False,
) -> None:  # fmt: skip
    """Fills `out` with means; backward, with the gradient of the input from that of means."""
    emit = pool.emit_average_backward if backward else pool.emit_average
    options = include_padding, divisor

    def build(module: Module) -> Kernel:
        return emit(module, "pool", shape, _operand(x), _operand(out), *options)

    _run(("average pool", shape, *options, backward), build, x, out)


def read_at(x: np.ndarray, sought: Sought, indices: Sequence[np.ndarray], out: np.ndarray) -> Fault | None:
    """Fills `out` with what stands at positions; returns the first that is out of range, if there is one."""

    def build(module: Module) -> Kernel:
        return positions.emit_read(module, "read", sought, _operand(x).extent(x.shape), _operand(out))

    return _asked(("read", sought), build, sought, x, *indices, out)


def write_at(
    out: np.ndarray, sought: Sought, indices: Sequence[np.ndarray], source: np.ndarray, op: str
) -> Fault | None:
    """Changes `out` at positions, see `positions.emit_write`; returns the first that is out of range, if there is one."""

    def build(module: Module) -> Kernel:
        return positions.emit_write(module, "write", sought, _operand(out).extent(out.shape), _operand(source), op)

    return _asked(("write", op, sought), build, sought, source, *indices, out)


def _asked(key: Hashable, build: Callable[[Module], Kernel], sought: Sought, *arrays: np.ndarray) -> Fault | None:
    """Runs a kernel that may fail."""
    alarm = np.zeros(positions.alarm_words(sought.axes), np.int64)
    _run(key, build, *arrays, alarm)
    return positions.fault_of(alarm)


def order(x: np.ndarray, descending: bool, out: np.ndarray) -> None:
    """Fills `out` with the places that put the last dimension of `x` in order, or as many of them as it has room for."""
    sorting = Sorting(x.shape, descending, out.shape[-1])

    def build(module: Module) -> Kernel:
        return topk.emit(module, "order", sorting, _operand(x), _operand(out))

    _run(("order", descending), build, x, out)


def running(x: np.ndarray, dim: int, out: np.ndarray, product: bool) -> None:
    """Fills `out` with the sums or products of `x` up to each position of a dimension; both lie in order."""

    def build(module: Module) -> Kernel:
        return scan.emit(module, "scan", x.shape, dim, element_of(x.dtype.name), product)

    _run(("running", dim, product), build, x, out)


def attend(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None, out: np.ndarray,
    total: np.ndarray, shape: attention.Attention,
) -> None:  # fmt: skip
    """Fills `out` with an attention and `total` with the logarithms of its sums, see `attention.emit_forward`."""
    _attention(attention.emit_forward, shape, query, key, value, mask, out, total)


def attend_query_gradient(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None, total: np.ndarray,
    gradient: np.ndarray, inner: np.ndarray, out: np.ndarray, shape: attention.Attention,
) -> None:  # fmt: skip
    """Fills `out` with the gradient of the queries, see `attention.emit_query_gradient`."""
    _attention(attention.emit_query_gradient, shape, query, key, value, mask, total, gradient, inner, out)


def attend_key_value_gradient(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None, total: np.ndarray,
    gradient: np.ndarray, inner: np.ndarray, key_out: np.ndarray, value_out: np.ndarray, shape: attention.Attention,
) -> None:  # fmt: skip
    """Fills the outputs with the gradients of keys and values, see `attention.emit_key_value_gradient`."""
    arrays = query, key, value, mask, total, gradient, inner, key_out, value_out
    _attention(attention.emit_key_value_gradient, shape, *arrays)


def _attention(emit: Callable[..., Kernel], shape: attention.Attention, *arrays: np.ndarray | None) -> None:
    def build(module: Module) -> Kernel:
        return emit(module, "attention", shape, *(None if a is None else _operand(a) for a in arrays))

    _run((emit.__name__, shape), build, *(a for a in arrays if a is not None))


def _run(key: Hashable, build: Callable[[Module], Kernel], *arrays: np.ndarray) -> None:
    """Runs the kernel for arrays laid out like these."""
    compiled((key, *map(_layout, arrays)), build)(*map(address, arrays))


def _layout(array: np.ndarray) -> Hashable:
    return array.dtype, array.shape, array.strides


def _operand(array: np.ndarray) -> Operand:
    size = array.itemsize
    return Operand(array.dtype.name, tuple(s // size for s in array.strides))


def _working_memory(size: int) -> int:
    """The address of at least `size` bytes that belong to this Python thread."""
    kept = getattr(_own, "memory", None)
    if kept is None or kept.nbytes < size + 128:
        kept = _own.memory = np.empty(max(size + 128, 1 << 16), np.uint8)
        _own.start = -(-kept.ctypes.data // 128) * 128
    return int(_own.start)
