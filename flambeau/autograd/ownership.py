"""Whether a gradient belongs to nobody else, so that a leaf may keep its memory instead of a copy.

The backward pass makes most gradients for one reader. The count of references tells them from those that
somebody else holds: a hook, another edge of the graph, a view. What the engine itself holds is measured once, on
a gradient that is known to be nobody else's, since it differs between versions of Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.autograd.node import Node

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor

#: Smaller gradients are copied faster than one could ask.
_WORTH_ASKING = 1 << 12

_Counts = tuple[int, int, int]
_engines: _Counts | None = None  # references to tensor, array and the array's base that the engine holds
_measured: list[_Counts] | None = None


def may_keep(grad: Tensor, leaf: Tensor) -> bool:
    """Whether nobody else holds `grad` or its memory, and it lies as gradients of `leaf` should."""
    array, shape = grad._array, leaf._array
    if _measured is not None:
        _measured.append(_references(grad, array, array.base))
        return True
    if array.size < _WORTH_ASKING or array.dtype != shape.dtype or not _lies_alike(array, shape):
        return False
    base = array.base
    if base is not None and not (type(base) is np.ndarray and base.base is None and base.size == array.size):
        return False
    allowed = _engines or _measure()
    held, allowed_base = _references(grad, array, base), allowed[2]
    return held[0] <= allowed[0] and held[1] <= allowed[1] and (base is None or held[2] <= allowed_base)


def _references(grad: Any, array: Any, base: Any) -> _Counts:
    return getrefcount(grad), getrefcount(array), getrefcount(base)


def _lies_alike(array: np.ndarray, leaf: np.ndarray) -> bool:
    strides = zip(array.strides, leaf.strides, leaf.shape, strict=True)
    return bool(array.flags.writeable) and all(a == b for a, b, n in strides if n > 1)


def _measure() -> _Counts:
    """What the engine holds of a gradient that a node has just made."""
    global _engines, _measured
    from flambeau.autograd.engine import run_backward
    from flambeau.tensor.tensor import wrap

    class Probe(Node):
        def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
            return [wrap(np.zeros(2)[:])]

    leaf = wrap(np.zeros(2))
    leaf.requires_grad = True
    waiting, _measured = _measured, []
    try:
        run_backward([Probe((leaf,))], [wrap(np.zeros(2))], keep_graph=False, create_graph=False)
        (_engines,) = _measured
    finally:
        _measured = waiting
    return _engines
