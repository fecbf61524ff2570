"""Views of symbolic memory: strides as NumPy would give them, and writing through a view."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.ops.table import Primitive, Spec

#: One step from memory to a view of it: a primitive, its further inputs, its attributes.
Step = tuple[Primitive, tuple, dict[str, Any]]

_ONE_ELEMENT = {}  # memory that stands for any array's while only strides are asked for


def stand_in(shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of this layout that must not be read: it shows what a view of one looks like."""
    memory = _ONE_ELEMENT.get(dtype)
    if memory is None:
        memory = _ONE_ELEMENT[dtype] = np.zeros(1, dtype)
    return np.lib.stride_tricks.as_strided(memory, shape, strides)


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Byte strides of an array that lies in row-major order."""
    strides, step = [], itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def _view_put(base: np.ndarray, value: np.ndarray, steps: tuple[Step, ...]) -> np.ndarray:
    out = base.copy()
    part = out
    for primitive, rest, attributes in steps:
        part = primitive.compute(part, *rest, **attributes)
    part[...] = value
    return out


#: `base` with `value` in the part that `steps` lead to.
view_put = Primitive(
    "view_put",
    "base value",
    _view_put,
    rule=lambda base, value, steps: Spec(base.shape, base.dtype),
)
