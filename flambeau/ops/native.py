"""Compositions that run as native programs on large tensors, in eager programs too.

A normalisation is a dozen operators that each pass over memory. Marked `@native`, it is traced and compiled
like any compiled function when its first tensor is large, forward and backward; small tensors take the operators
themselves, and so does whoever differentiates twice. Both are the same lines of Python. Programs are made for shapes:
the first ones that come, and later those that come again (`familiar.py`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from flambeau.autograd import enable_grad, grad, is_grad_enabled, no_grad
from flambeau.autograd.function import Function
from flambeau.core.state import state
from flambeau.ops.familiar import Familiar
from flambeau.tensor import Tensor

#: Elements of the first argument from which on a native program is usually worth its call.
WORTH_A_PROGRAM = 1 << 15
_MOST_PROGRAMS = 512


def native(function: Callable[..., Any], worth: int = WORTH_A_PROGRAM, at_once: int = 48) -> Callable[..., Any]:
    """Makes a pure function of tensors (its other arguments are constants) run natively.

    Its results are new tensors; it changes nothing and draws no random numbers.

    Args:
        function: of tensors and constants that hash.
        worth: elements of the first argument from which on it runs natively.
        at_once: for how many shapes it does so on sight.
    """
    programs, familiar = _Programs(function), Familiar(at_once)
    names = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.tracer is not None or state.autocast is not None or not args or not _is_large(args[0], worth):
            return function(*args, **kwargs)
        if kwargs:
            bound = names.bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        if not familiar(tuple([a._array.shape if isinstance(a, Tensor) else a for a in args])):
            return function(*args)
        if is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return _Native.apply(programs, *args)
        return programs.forward(*args)

    return call


def _is_large(x: Any, worth: int) -> bool:
    if not isinstance(x, Tensor):
        return False
    stored = x._array.dtype
    return x._array.size >= worth and stored.kind == "f" and stored.itemsize >= 4


class _Programs:
    """A function, and the programs of its forward and backward pass."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self._compiled: dict[str, Any] = {}

    def _program(self, name: str, function: Callable[..., Any]) -> Any:
        found = self._compiled.get(name)
        if found is None:
            from flambeau.compiler.compiled import CompiledFunction

            found = CompiledFunction(function, quiet=True, most=_MOST_PROGRAMS, pure=True)
            self._compiled[name] = found
        return found

    def forward(self, *args: Any) -> Any:
        with no_grad():
            return self._program("forward", self.function)(*args)

    def backward(self, args: tuple, wanted: tuple, grads: tuple) -> tuple:
        with no_grad():
            return self._program("backward", self.gradients)(args, wanted, grads)

    def gradients(self, args: tuple, wanted: tuple, grads: tuple, again: bool = False) -> tuple:
        """The gradients of the arguments that are `wanted`; `again`: to be differentiated."""
        with enable_grad():
            if not again:
                args = tuple(
                    a.detach().requires_grad_() if w else a for a, w in zip(args, wanted, strict=True)
                )
            results = self.function(*args)
            results = results if isinstance(results, tuple) else (results,)
            pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None]
            leaves = [a for a, w in zip(args, wanted, strict=True) if w]
            outputs, seeds = [r for r, _ in pairs], [g for _, g in pairs]
            return tuple(grad(outputs, leaves, seeds, create_graph=again, allow_unused=True))


class _Native(Function):
    """A native function in the graph of eager autograd."""

    @staticmethod
    def forward(ctx: Any, programs: _Programs, *args: Any) -> Any:
        tensors = [a for a in args if isinstance(a, Tensor)]
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        ctx.programs = programs
        ctx.rest = [None if isinstance(a, Tensor) else (a,) for a in args]
        return programs.forward(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        saved = iter(ctx.saved_tensors)
        args = tuple(next(saved) if r is None else r[0] for r in ctx.rest)
        wanted = tuple(ctx.needs_input_grad[1:])
        programs: _Programs = ctx.programs
        if is_grad_enabled():
            found = programs.gradients(args, wanted, grads, again=True)
        else:
            found = programs.backward(args, wanted, grads)
        gradients = iter(found)
        return None, *[next(gradients) if w else None for w in wanted]
