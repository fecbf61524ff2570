"""Compositions of pointwise operators that run as one kernel on large tensors, in eager programs too.

An activation is some operators that each pass over memory. Marked `@elementwise`, it is traced once for a dtype, forward
and backward, and runs as a kernel for arrays of any length that lie in order (`kernels/flat.py`). Small tensors, others and
second derivatives take the operators themselves: the same lines of Python. What decides is the size alone.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd import enable_grad, grad, no_grad
from flambeau.autograd.modes import modes
from flambeau.core.state import state
from flambeau.ops.on_kernels import CHAINED, FLOATS
from flambeau.ops.table import PRIMITIVES, Primitive, wants_grad
from flambeau.tensor.tensor import Tensor, wrap


class Chains:
    """A pointwise function of tensors of one shape, and its kernels: one for each dtype and choice of constants."""

    def __init__(self, function: Callable[..., Any], tensors: int, wide: bool = True):
        self.function, self.tensors, self.wide = function, tensors, wide
        self._known: dict[Any, Any] = {}

    def run(self, arrays: tuple[np.ndarray, ...], constants: tuple = ()) -> np.ndarray | None:
        """The result of a kernel, or `None` where the operators serve better, or no kernel can be made."""
        first = arrays[0]
        dtype, shape = first.dtype, first.shape
        if first.size < CHAINED or dtype not in FLOATS:
            return None
        if len(arrays) == 1:
            if not first.flags.c_contiguous:
                return None
        else:
            in_order = [array.flags.c_contiguous for array in arrays]
            if not any(in_order) or any([a.shape != shape or a.dtype != dtype for a in arrays]):
                return None
            if not all(in_order):
                arrays = tuple(map(np.ascontiguousarray, arrays))
        key = (dtype, constants)
        chain = self._known.get(key, self)
        if chain is self:
            chain = self._known[key] = self._made(dtype, constants)
        if chain is None:
            return None
        result = np.empty(shape, dtype)
        chain(*arrays, result)
        return result

    def _made(self, dtype: np.dtype, constants: tuple) -> Any:
        from flambeau.compiler.chains import chain_of
        from flambeau.kernels.flat import Chain

        try:
            computed = np.dtype(np.float32) if self.wide and dtype.itemsize == 2 else dtype
            nodes, results = chain_of(lambda *tensors: self.function(*tensors, *constants), self.tensors, computed)
            return Chain(nodes, results, [dtype] * self.tensors, [dtype])
        except NotImplementedError:
            return None


def elementwise(function: Callable[..., Tensor], wide: bool = True) -> Callable[..., Tensor]:
    """Makes a pointwise function of one tensor (its other arguments are constants that hash) run as a kernel.

    Half-width floats are computed as float32 and rounded once; not so where `wide` is false: then constants are numbers of
    the tensor's own dtype.
    """
    forward = Chains(_without_history(function), 1, wide)

    def gradient(g: Tensor, x: Tensor, *constants: Any) -> Tensor:
        with enable_grad():
            x = x.detach().requires_grad_()
            return grad(function(x, *constants), x, g)[0]

    backward = Chains(gradient, 2, wide)

    def derivative(g: Tensor, x: Tensor, constants: tuple) -> Tensor:
        if state.tracer is None and not modes.grad_enabled:
            made = backward.run((g._array, x._array), constants)
            if made is not None:
                return wrap(made)
            return gradient(g, x, *constants)
        with enable_grad():
            return grad(function(x, *constants), x, g, create_graph=True)[0]

    primitive = Primitive(
        f"{function.__name__.lstrip('_')} as a kernel",
        "x",
        lambda x, constants: forward.run((x,), constants),
        derivative={"x": derivative},
        node_name="".join(part.capitalize() for part in function.__name__.strip("_").split("_")) + "Backward0",
    )
    del PRIMITIVES[primitive.name]  # traced programs have its parts

    first = next(iter(inspect.signature(function).parameters))
    defaults = {n: p.default for n, p in [*inspect.signature(function).parameters.items()][1:]}

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Tensor:
        if not args:
            if first not in named:
                return function(**named)  # which tells what is missing
            args = (named.pop(first),)
        x, *constants = args
        if state.busy and (state.tracer is not None or state.autocast is not None or state.watcher is not None):
            return function(x, *constants, **named)
        if named:
            given = {**defaults, **dict(zip(defaults, constants, strict=False)), **named}
            if len(given) > len(defaults) or inspect.Parameter.empty in given.values():
                return function(x, *constants, **named)  # which tells what is wrong
            constants = [*given.values()]
        if not isinstance(x, Tensor) or x._sparse:
            return function(x, *constants)
        array = x._array
        made = forward.run((array,), tuple(constants)) if array.size >= CHAINED else None
        if made is None:
            return function(x, *constants)
        out = wrap(made)
        if modes.grad_enabled:
            if wants_grad((x,)):
                primitive.attach(out, (x,), {"constants": tuple(constants)})
        elif modes.inference:
            out._own_extra().inference = True
        return out

    return call


def fused(derivative: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Makes a derivative of a pointwise operator, a function of the gradient and one more tensor, run as a kernel."""
    chains = Chains(derivative, 2)

    @functools.wraps(derivative)
    def run(g: Tensor, x: Tensor) -> Tensor:
        if not modes.grad_enabled and state.tracer is None:
            made = chains.run((g._array, x._array))
            if made is not None:
                return wrap(made)
        return derivative(g, x)

    return run


def _without_history(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(function)
    def run(*args: Any) -> Tensor:
        with no_grad():
            return function(*args)

    return run
