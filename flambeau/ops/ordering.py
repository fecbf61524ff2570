"""Stable orders of arrays: by a kernel, or by sorting whole numbers that hold an element and its place.

For shapes that are not worth a kernel: NumPy sorts 64-bit integers with vector instructions, several times as fast as it
finds a stable order. So an element of up to 32 bits becomes a whole number that compares as it does, in the upper half; its
place stands in the lower.
"""

from __future__ import annotations

import numpy as np

from flambeau.ops.familiar import Familiar

#: Fewer elements are ordered faster by NumPy's own stable sort.
_FEW = 1 << 10
#: Elements from which on a kernel orders them.
_MANY = 1 << 12
_familiar = Familiar()


def order(x: np.ndarray, descending: bool = False, first: int | None = None, dim: int = -1) -> np.ndarray:
    """The places (int64) that put a dimension in order, or the `first` of them.

    Equal elements keep their order; NaN is the largest, -0 equals 0.
    """
    count = x.shape[dim]
    some = count if first is None else first
    if x.size >= _MANY and some and _can_order(x) and _familiar((x.shape, x.strides, x.dtype, descending, some, dim)):
        from flambeau.kernels import call

        dim %= x.ndim
        out = np.empty((*x.shape[:dim], some, *x.shape[dim + 1 :]), np.int64)
        call.order(np.moveaxis(x, dim, -1), descending, np.moveaxis(out, dim, -1))
        return out
    if dim not in (-1, x.ndim - 1):
        return np.ascontiguousarray(np.moveaxis(order(np.moveaxis(x, dim, -1), descending, first), -1, dim))
    bits = max(count - 1, 1).bit_length()
    keys = _keys(x, bits) if x.size >= _FEW else None
    if keys is None:
        found = _by_numpy(x, descending)
        return found if some == count else np.ascontiguousarray(found[..., :some])
    if descending:
        np.invert(keys, out=keys)
    np.left_shift(keys, bits, out=keys)
    keys |= np.arange(count)
    if 0 < some < count:
        keys = np.partition(keys, some - 1, -1)
    keys = np.ascontiguousarray(keys[..., :some])
    keys.sort(-1)
    keys &= (1 << bits) - 1
    return keys


def _can_order(x: np.ndarray) -> bool:
    """Whether there is a kernel for such elements, and steps go from one to the next."""
    known = x.dtype.kind in "biu" or (x.dtype.kind in "fV" and x.dtype.itemsize > 1)
    return known and x.dtype.itemsize <= 8 and not any(s % x.itemsize or s < 0 for s in x.strides)


def _keys(x: np.ndarray, bits: int) -> np.ndarray | None:
    """Whole numbers, in the order of the elements, that leave `bits` bits free; `None` if there are none."""
    kind, size = x.dtype.kind, x.dtype.itemsize
    if kind == "b" or (kind in "iu" and size <= 4):
        found = x.astype(np.int64)
    elif kind in "iu":
        low, high = int(x.min()), int(x.max())
        if (high - low).bit_length() + bits > 62 or high > np.iinfo(np.int64).max:
            return None
        return x.astype(np.int64) - low
    elif size <= 4:
        narrow = x.astype(np.float32) + np.float32(0)  # -0 becomes 0
        seen = narrow.view(np.int32)
        found = (seen ^ ((seen >> 31) & 0x7FFFFFFF)).astype(np.int64)
        found[narrow != narrow] = 0x7FFFFFFF
    else:
        return None
    return found if bits <= 30 else None


def _by_numpy(x: np.ndarray, descending: bool) -> np.ndarray:
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        x = x.astype(np.float32)
    if not descending:
        return np.argsort(x, axis=-1, kind="stable")
    # The stable ascending order of the reversed elements, read backwards, keeps ties in their order.
    backwards = np.argsort(np.flip(x, -1), axis=-1, kind="stable")
    return np.ascontiguousarray(x.shape[-1] - 1 - np.flip(backwards, -1))
