"""Where arrays lie in memory.

A kernel is called with addresses, several at each call, and NumPy's own way to tell one builds a dictionary for it, which
takes as long as a short kernel. An array object of NumPy's begins with Python's header, and then comes the address: that
is part of NumPy's binary interface, which every extension module is compiled with.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import numpy as np

_HEADER = object.__basicsize__
_word = ctypes.c_size_t.from_address


def _told(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _read(array: np.ndarray) -> int:
    return _word(id(array) + _HEADER).value


def _is_there() -> bool:
    """Whether the address stands where it is expected."""
    if sys.implementation.name != "cpython":
        return False
    arrays = [np.empty(n, np.uint8) for n in (1, 100, 10_000)]
    return all(_read(array) == _told(array) for array in arrays)


#: Where an array's first element is.
address: Callable[[np.ndarray], int] = _read if _is_there() else _told
