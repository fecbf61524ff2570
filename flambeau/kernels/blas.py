"""NumPy's matrix products beside our threads: they get one thread.

Their library keeps workers that spin for a while after each product, as ours do. On a machine with few cores
the two would take the processor from each other. Large products are our own kernels, and the library's small ones
need no help. It is told so before the first product: another count of threads gives other bits.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

_NAMES = ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "openblas_set_num_threads")


def keep_to_one_thread() -> bool:
    """Tells OpenBLAS, as NumPy's wheels bring it, to use one thread; whether it is there to be told."""
    folders = [Path(np.__file__).parent.parent / "numpy.libs", Path(np.__file__).parent / ".dylibs"]
    for folder in folders:
        for library in sorted(folder.glob("*openblas*")):
            loaded = ctypes.CDLL(str(library))
            for name in _NAMES:
                if hasattr(loaded, name):
                    getattr(loaded, name)(1)
                    return True
    return False
