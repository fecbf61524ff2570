"""`compile`: functions, modules and training steps that trace themselves when they are called."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable
from os import PathLike
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.compiler import guards
from flambeau.compiler.passes.dead import drop_dead
from flambeau.compiler.program import Program, trace_backward
from flambeau.compiler.trace import Tracer, Untraceable, map_tree, tracing, where_it_failed
from flambeau.core.state import state
from flambeau.tensor.tensor import Tensor

#: How many shapes, dtypes and constants a function is specialised for before it runs eagerly.
RECOMPILE_LIMIT = 8
_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """A function, a module or a whole training step as one native program.

    The program is traced at the first call, and again for new shapes, dtypes, constants or modes.

    Args:
        model: what to compile; left out, `compile(...)` is a decorator.
        fullgraph: make what cannot be traced an error; otherwise it runs eagerly, with a warning.
        dynamic: accepted: programs are always specialised for their shapes.
        backend: "inductor" is PyTorch's name for the default and means this compiler; "eager" runs the
            function as it is.
        mode: "max-autotune" builds the program by several schedules, times them, and remembers the fastest on
            disk; PyTorch's other names mean the usual program.
        options: none are known.
        disable: do nothing.

    Raises:
        RuntimeError: for an unknown backend, mode or option.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if options:
        raise RuntimeError(
            f"Unexpected optimization option {next(iter(options))}, known options are []"
        )
    if backend not in ("inductor", "cpu", "eager"):
        raise RuntimeError(
            f"Invalid backend: {backend!r}, should be one of: 'inductor', 'cpu', 'eager'"
        )
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, disable=disable,
        )  # fmt: skip
    if not callable(model):
        raise RuntimeError(f"compile() expects a callable, got {type(model).__name__}")
    if disable or backend == "eager":
        return model
    from flambeau.nn.module import Module

    tune = mode is not None and mode.startswith("max-autotune")
    if isinstance(model, Module):
        from flambeau.compiler.module import OptimizedModule

        return OptimizedModule(model, CompiledFunction(model, fullgraph, tune=tune))
    compiled = CompiledFunction(model, fullgraph, tune=tune)
    functools.update_wrapper(compiled, model)
    return compiled


class CompiledFunction:
    """A callable that runs `function` as a native program wherever it can.

    It warns once where it cannot, unless it is `quiet`; it is specialised for so many shapes at `most`; `tune`
    tries several schedules.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        fullgraph: bool = False,
        quiet: bool = False,
        most: int = RECOMPILE_LIMIT,
        tune: bool = False,
    ):
        self.most, self.tune = most, tune
        self.function = function
        self.fullgraph = fullgraph
        self.programs: dict[Hashable, list[Program]] = {}
        self.traces = 0
        self._eager_keys: set[Hashable] = set()
        self._warned = quiet
        self._plain = getattr(function, "forward", function)
        self._kept: list[Any] = []
        self._kept_gradients: dict[Any, Tensor] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.tracer is not None:
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        key = self._key(args, kwargs, tensors)
        programs = self.programs.get(key)
        if programs is not None:
            for program in programs:
                if program.fits():
                    return program(tensors)
        if key in self._eager_keys:
            return self.function(*args, **kwargs)
        return self._specialise(key, args, kwargs, tensors)

    # Which program --------------------------------------------------------------------------------

    def _key(self, args: tuple, kwargs: dict, tensors: list[Tensor]) -> Hashable:
        """What a call's arguments must have in common with another's to share programs."""
        parts: list[Any] = [modes.grad_enabled, modes.inference, state.autocast]
        for x in args:
            parts.append(self._part(x, tensors))
        for name, x in kwargs.items():
            parts.append((name, self._part(x, tensors)))
        if len(tensors) > 1:
            parts.append(len({id(t._array) for t in tensors}))
        return tuple(parts)

    def _part(self, x: Any, tensors: list[Tensor]) -> Hashable:
        if isinstance(x, Tensor):
            tensors.append(x)
            array = x._array
            return array.shape, array.dtype, array.strides, x.requires_grad
        if isinstance(x, (tuple, list)):
            return type(x), tuple([self._part(y, tensors) for y in x])
        if isinstance(x, dict):
            return dict, tuple([(k, self._part(v, tensors)) for k, v in x.items()])
        if isinstance(x, np.ndarray):
            return "array", id(x)
        try:
            hash(x)
        except TypeError:
            self._kept.append(x)
            return type(x), id(x)
        return type(x), x

    def _specialise(
        self, key: Hashable, args: tuple, kwargs: dict, tensors: list[Tensor]
    ) -> Any:
        """Traces and compiles the call; runs it eagerly where that is not possible."""
        known = sum(map(len, self.programs.values()))
        if known >= self.most * 4 or (
            key not in self.programs and len(self.programs) >= self.most
        ):
            self._run_eagerly(
                key,
                f"the function was specialised {known} times, for changing shapes, dtypes or "
                "constants; further ones run eagerly (dynamic shapes are not compiled)",
            )
            return self.function(*args, **kwargs)
        try:
            program = self._trace(args, kwargs, tensors)
        except Exception as error:
            if self.fullgraph:
                raise
            result = self.function(*args, **kwargs)  # raises the user's own errors again
            why = (
                str(error)
                if isinstance(error, Untraceable)
                else f"{type(error).__name__}: {error}"
            )
            self._run_eagerly(
                key,
                f"{why} cannot be traced ({where_it_failed(error)}); the function runs eagerly",
            )
            return result
        self.programs.setdefault(key, []).insert(0, program)
        return program(tensors)

    def _run_eagerly(self, key: Hashable, why: str) -> None:
        self._eager_keys.add(key)
        if not self._warned:
            self._warned = True
            warnings.warn(f"flambeau.compile: {why}", UserWarning, stacklevel=4)

    # Tracing --------------------------------------------------------------------------------------

    def _trace(self, args: tuple, kwargs: dict, tensors: list[Tensor]) -> Program:
        self.traces += 1
        tracer = Tracer()
        modules = guards.modules_of(self._plain, [*args, *kwargs.values()])
        settings = guards.Settings()
        settings.add_modules(modules)
        settings.add_function(self._plain)
        trace = None
        try:
            with tracing(tracer):
                # Taken one by one: nothing here may outlive the trace.
                stand_ins = [tracer.argument(t, k) for k, t in enumerate(tensors)][::-1]

                def replaced(x: Any) -> Any:
                    if isinstance(x, np.ndarray):
                        raise Untraceable("a NumPy array as argument")
                    return stand_ins.pop() if isinstance(x, Tensor) else x

                traced_args = map_tree(args, replaced)
                traced_kwargs = map_tree(kwargs, replaced)
                results = self.function(*traced_args, **traced_kwargs)
                del traced_args, traced_kwargs
                backward = trace_backward(tracer, results)
                trace = tracer.finish(results)
                drop_dead(trace.graph, backward.wanted if backward is not None else [])
                tracer.drop_unread_inputs()
                del results
        except RecursionError as error:
            raise Untraceable("endless recursion") from error
        finally:
            tracer.roll_back()
        if not settings.hold():
            raise Untraceable("a change of a module's attributes or of a global")
        seen = {id(m) for m in modules}
        settings.add_modules(m for m in trace.modules if id(m) not in seen)
        trace.guards += guards.closure_guards(self._plain)
        trace.modules = []
        tracer.forget()
        if tracer.leaked():
            raise Untraceable("a tensor kept beyond the call, in an attribute or a list,")
        program = Program(trace, backward, tensors, self._kept_gradients, self.tune)
        program.settings = settings
        return program

    # Explaining -----------------------------------------------------------------------------------

    def explain(self, html: str | PathLike[str] | None = None) -> str:
        """Text about the programs: graph, kernels with their times and shares of the machine's peak, what
        was fused and what not, memory and copies.

        Args:
            html: a file to write a page with a timeline and a roofline to (needs matplotlib).
        """
        from flambeau.compiler.explain import explain

        return explain(self, html)


__all__ = ["CompiledFunction", "compile"]
