"""Numbers in a row: ranges, evenly spaced numbers, the identity matrix."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import dtype
from flambeau.ops.creation import _options, _stored, finish
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import is_tracing


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


@operator(method=False)
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    requires_grad: bool = False,
    **options: Any,
) -> Tensor:
    """Numbers from `start` (0) up to, without, `end`, `step` apart. Raises `RuntimeError` on a bad step."""
    if end is None:
        start, end = 0, start
    start, end, step = _number(start), _number(end), _number(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        whole = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
        dtype = out.dtype if out is not None else dtypes.int64 if whole else dtypes.get_default_dtype()
    d = dtypes.as_dtype(dtype)
    if d.kind < dtypes.FLOATING:
        count = math.ceil((end - start) / step)
        start, end, step = int(start), int(end), int(step)
        if d is dtypes.int64:
            if step == 0:
                raise ValueError("step must be nonzero")
            count = max(0, -((start - end) // step))
        values = np.arange(count, dtype=np.int64) * step + start
    else:
        values = _stepped(start, step, math.ceil((end - start) / step), d)
    return finish(values.astype(d.numpy), requires_grad, out, **_options(options))


def _stepped(start: Any, step: Any, count: int, d: dtype) -> np.ndarray:
    """`start + step * i`, rounded where PyTorch rounds.

    It walks in pairs of vectors of 32 bytes, and steps within a vector from the vector's first number.
    """
    index = np.arange(count)
    held = 2**24 if d.itemsize > 2 else 2**8  # whole numbers up to here are all in the dtype
    if start == int(start) and step == int(step) and abs(start) + count * abs(step) < held:
        return index * step + start
    wide = lambda x: np.asarray(x).astype(np.longdouble)  # so that each number is rounded once
    exact = (wide(start) + wide(step) * index).astype(np.float64)
    lanes = 32 // d.itemsize
    vectors = count // (2 * lanes) * (2 * lanes)
    first = exact[:vectors:lanes].astype(d.numpy).repeat(lanes)
    exact[:vectors] = (wide(first) + wide(step) * (index[:vectors] % lanes)).astype(np.float64)
    return exact


@operator(method=False, name="range")
def range_with_end(start: Any, end: Any, step: Any = 1, **options: Any) -> Tensor:
    """As `arange` with the end included (deprecated in PyTorch)."""
    count = int((end - start) / step) + 1
    dtype = options.pop("dtype", None) or dtypes.get_default_dtype()
    return finish((np.arange(count) * step + start).astype(dtype.numpy), **_options(options))


@operator(method=False)
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    requires_grad: bool = False,
    **options: Any,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, computed from the nearer end."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype is None:
        default = dtypes.get_default_dtype()
        complex_ = _is_complex(start) or _is_complex(end)
        dtype = out.dtype if out is not None else default.to_complex() if complex_ else default
    made = _bounded(start, end, steps=steps, stored=dtypes.as_dtype(dtype).numpy, base=None)
    return finish(made, requires_grad, out, **_options(options))


def _is_complex(x: Any) -> bool:
    return x.is_complex() if isinstance(x, Tensor) else isinstance(x, builtins.complex)


def _bounded(start: Any, end: Any, **attributes: Any) -> Any:
    """`_spaced_array` between numbers; between tensors too, which a traced program reads at each call."""
    tensors = [x for x in (start, end) if isinstance(x, Tensor)]
    if tensors and is_tracing() and all(x._array.size == 1 for x in tensors):
        return _spaced(start, end, **attributes)
    return _spaced_array(_number(start), _number(end), **attributes)


def _spaced_array(start: Any, end: Any, steps: int, stored: np.dtype, base: float | None) -> np.ndarray:
    start, end = (x.item() if isinstance(x, (np.ndarray, np.generic)) else x for x in (start, end))
    d = dtypes.FROM_NUMPY[stored]
    if base is None:
        return spaced(start, end, steps, d)
    wide = dtypes.complex128 if d.kind == dtypes.COMPLEX else dtypes.float64
    if d.kind < dtypes.FLOATING:
        start, end = int(start), int(end)
    powers: Any = [start] if steps == 1 else spaced(start, end, steps, wide)
    return np.power(wide.numpy.type(base), powers).astype(stored)


_spaced = Primitive(
    "evenly_spaced", "start end", _spaced_array, rule=lambda start, end, steps, stored, base: Spec((steps,), stored)
)


def spaced(start: Any, end: Any, steps: int, d: dtype) -> np.ndarray:
    """Evenly spaced numbers, rounded where PyTorch rounds: narrow dtypes after each operation, the others
    once, as a fused multiply and add does.
    """
    if steps == 1:
        return np.asarray([start]).astype(d.numpy)
    index = np.arange(steps)
    from_end, first_half = steps - 1 - index, index < steps // 2
    if d.itemsize == 2 and d.kind == dtypes.FLOATING:
        narrow = lambda x: np.asarray(x, np.float32).astype(d.numpy).astype(np.float32)
        a, b = narrow(start), narrow(end)
        step = narrow(narrow(b - a) / narrow(max(steps - 1, 1)))
        low, high = a + narrow(step * narrow(index)), b - narrow(step * narrow(from_end))
        return np.where(first_half, low, high).astype(d.numpy)
    if d.kind < dtypes.FLOATING:
        start, end, work = int(start), int(end), np.float64
    else:
        work = d.numpy.type
    a, b = work(start), work(end)
    step = (b - a) / work(max(steps - 1, 1))
    wide = np.result_type(work, np.longdouble)
    low = wide.type(a) + wide.type(step) * index
    high = wide.type(b) - wide.type(step) * from_end
    return np.where(first_half, low, high).astype(work).astype(d.numpy)


@operator(method=False)
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: dtype | None = None, **options: Any
) -> Tensor:
    """`base ** linspace(start, end, steps)`; for integer dtypes of whole `start` and `end`."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    default = dtypes.get_default_dtype()
    d = dtypes.as_dtype(dtype or (default.to_complex() if _is_complex(start) else default))
    made = _bounded(start, end, steps=steps, stored=d.numpy, base=base)
    out = options.pop("out", None)
    return finish(made, options.pop("requires_grad", False), out, **_options(options))


@operator(method=False)
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    requires_grad: bool = False,
    **options: Any,
) -> Tensor:
    """An `n` x `m` matrix with ones on its diagonal."""
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"n must be greater or equal to 0, got {n if n < 0 else m}")
    return finish(np.eye(n, n if m is None else m, dtype=_stored(dtype)), requires_grad, out, **_options(options))
