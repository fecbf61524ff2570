"""Runs one kernel on arrays, with every access checked, and reference results in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from flambeau.kernels import jit, threads
from flambeau.kernels.checker import Checker
from flambeau.kernels.kernel import Call, Kernel, Place, Program, emit_driver
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import Target


def operand(array: np.ndarray, shape: Sequence[int] | None = None) -> Operand:
    seen = array if shape is None else np.broadcast_to(array, shape)
    return Operand(array.dtype.name, tuple(s // array.itemsize for s in seen.strides))


def aligned(size: int, fill: int = 255) -> np.ndarray:
    """Bytes at a multiple of 128, filled so that reading what was not written shows."""
    memory = np.full(size + 256, fill, np.uint8)
    start = -memory.ctypes.data % 128
    return memory[start : start + size + 128]


def link(module: Module, kernel: Kernel) -> Program:
    """A driver that takes the kernel's buffers, workspace and scratch in order."""
    count = len(kernel.buffers)
    places = tuple(Place(k) for k in range(count))
    return emit_driver(module, "driver", [Call(kernel, places)], Place(count), Place(count + 1))


def run(
    build: Callable[[Module], Kernel],
    *arrays: np.ndarray,
    target: Target | None = None,
    checked: bool = True,
    pool: bool = False,
) -> Kernel:
    """Emits, compiles and runs a kernel on these buffers."""
    checker = Checker() if checked else None
    module = Module(target, checker)
    kernel = build(module)
    program = link(module, kernel)
    code = jit.load(module)
    workspace = aligned(program.workspace)
    scratch = aligned(program.scratch * threads.get_num_threads())
    addresses = [a.ctypes.data for a in (*arrays, workspace, scratch)]
    table = np.array(addresses, np.int64)
    if pool:
        threads.run(code.address("driver"), table.ctypes.data)
    else:
        code.function("driver", 4)(table.ctypes.data, 0, 0, 1)
    if checker is not None and checker.checks:
        checker.verify(code)
    return kernel


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Equal to `tolerance`, relative to the largest magnitude."""
    assert actual.shape == expected.shape
    if expected.size == 0:
        return
    scale = max(1e-30, float(np.abs(expected).max()))
    error = float(np.abs(actual.astype(np.float64) - expected).max()) / scale
    assert error <= tolerance, f"relative error {error:.2e}"


def convolution(
    x: np.ndarray, weight: np.ndarray, stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], groups: int,
) -> np.ndarray:  # fmt: skip
    """A 2d convolution in double precision."""
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    windows = _windows(x, weight.shape[2:], stride, padding, dilation)
    n, _, height, width = windows.shape[:4]
    windows = windows.reshape(n, groups, -1, height, width, *weight.shape[2:])
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    return np.einsum("ngchwij,gocij->ngohw", windows, weight).reshape(n, -1, height, width)


def convolution_gradients(
    x: np.ndarray, weight: np.ndarray, gradient: np.ndarray, stride: tuple[int, int],
    padding: tuple[int, int], dilation: tuple[int, int], groups: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The gradients of a convolution's input and weight in double precision."""
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    windows = _windows(x, weight.shape[2:], stride, padding, dilation)
    n, _, height, width = windows.shape[:4]
    windows = windows.reshape(n, groups, -1, height, width, *weight.shape[2:])
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    g = gradient.astype(np.float64).reshape(n, groups, -1, height, width)
    of_weight = np.einsum("ngchwij,ngohw->gocij", windows, g).reshape(weight.shape)
    padded = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding[0], x.shape[3] + 2 * padding[1]))
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            part = np.einsum("ngohw,goc->ngchw", g, grouped[..., i, j])
            part = part.reshape(n, -1, height, width)
            top, left = i * dilation[0], j * dilation[1]
            rows = slice(top, top + height * stride[0], stride[0])
            columns = slice(left, left + width * stride[1], stride[1])
            padded[:, :, rows, columns][:, :, :height, :width] += part
    inner = (slice(None), slice(None), slice(padding[0], padding[0] + x.shape[2]),
             slice(padding[1], padding[1] + x.shape[3]))  # fmt: skip
    return padded[inner], of_weight


def _windows(
    x: np.ndarray, kernel: Sequence[int], stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], fill: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """[sample][channel][row][column][row tap][column tap]."""
    edges = ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2)
    padded = np.pad(x, edges, constant_values=fill)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    windows = sliding_window_view(padded, reach, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
