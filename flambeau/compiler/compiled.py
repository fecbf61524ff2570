"""`compile`: functions, modules and training steps that trace themselves when they are called."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields
from operator import is_
from os import PathLike
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.compiler.backward import trace_backward
from flambeau.compiler.effects import Watch
from flambeau.compiler.guards import Change, Reads, World, hooks_of
from flambeau.compiler.passes.dead import drop_dead
from flambeau.compiler.program import Program
from flambeau.compiler.results import Returned
from flambeau.compiler.trace import Tracer, Untraceable, tracing, where_it_failed
from flambeau.compiler.trees import is_record, leaves, map_tree
from flambeau.core.dtypes import get_default_dtype
from flambeau.core.state import state
from flambeau.core.switches import exact_convolutions
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


class _Changing(Untraceable):
    """A program that changes Python objects: perhaps at its first call only, to set things up."""


class CompiledFunction:
    """A callable that runs `function` as a native program wherever it can.

    It warns once where it cannot, unless it is `quiet`; it is specialised for so many shapes at `most`; `tune`
    tries several schedules; a `pure` function depends on its arguments only.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        fullgraph: bool = False,
        quiet: bool = False,
        most: int = RECOMPILE_LIMIT,
        tune: bool = False,
        pure: bool = False,
    ):
        self.most, self.tune, self.pure, self.quiet = most, tune, pure, quiet
        self.function = function
        self.fullgraph = fullgraph
        self.programs: dict[Hashable, list[Program]] = {}
        self.traces = 0
        self._eager_keys: set[Hashable] = set()
        self._changed_once: set[Hashable] = set()
        self._warned = quiet
        self._kept: dict[int, Any] = {}  # what is known by its id
        self._kept_gradients: dict[Any, Tensor] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        return self._anew(copy.deepcopy(self.function, memo))

    def __reduce__(self) -> tuple:
        return CompiledFunction, (self.function, self.fullgraph, self.quiet, self.most, self.tune, self.pure)

    def _anew(self, function: Callable[..., Any]) -> CompiledFunction:
        return CompiledFunction(function, self.fullgraph, self.quiet, self.most, self.tune, self.pure)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.busy and state.tracer is not None:
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        key = self._key(args, kwargs, tensors)
        programs = self.programs.get(key)
        if programs is not None:
            for program in programs:
                if program.fits(tensors):
                    return program(tensors)
        if key in self._eager_keys:
            return self.function(*args, **kwargs)
        return self._specialise(key, args, kwargs, tensors)

    # Which program --------------------------------------------------------------------------------

    def _key(self, args: tuple, kwargs: dict, tensors: list[Tensor]) -> Hashable:
        """What a call's arguments must have in common with another's to share programs."""
        parts: list[Any] = [
            modes.grad_enabled, modes.inference, state.autocast, get_default_dtype(), exact_convolutions(),
        ]  # fmt: skip
        for x in args:
            parts.append(self._part(x, tensors))
        for name, x in kwargs.items():
            parts.append((name, self._part(x, tensors)))
        if len(tensors) > 1:
            arrays = [id(t._array) for t in tensors]
            if len(set(arrays)) < len(arrays):
                ids = [*map(id, tensors)]
                parts.append((*map(arrays.index, arrays), *map(ids.index, ids)))
        return tuple(parts)

    def _part(self, x: Any, tensors: list[Tensor]) -> Hashable:
        if isinstance(x, Tensor):
            tensors.append(x)
            array = x._array
            if x._extra is not None and (hooks := hooks_of(x)):
                return array.shape, array.dtype, array.strides, x.requires_grad, x.__class__, hooks
            return array.shape, array.dtype, array.strides, x.requires_grad, x.__class__
        if isinstance(x, (tuple, list)):
            return type(x), tuple([self._part(y, tensors) for y in x])
        if isinstance(x, dict):
            return type(x), tuple([(k, self._part(v, tensors)) for k, v in x.items()])
        if is_record(x):
            return type(x), tuple([self._part(getattr(x, f.name), tensors) for f in fields(x)])
        if isinstance(x, float):
            return float, repr(x)  # which tells -0.0 from 0.0, and nan is like nan
        if isinstance(x, set):
            return set, frozenset(x)
        try:
            hash(x)
        except TypeError:
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
            self._warn(
                f"the function was specialised {known} times, for changing shapes, dtypes or "
                "constants; further ones run eagerly (dynamic shapes are not compiled)"
            )
            return self.function(*args, **kwargs)
        for x in (*args, *kwargs.values()):
            self._kept[id(x)] = x
        try:
            program = self._trace(args, kwargs, tensors)
        except Exception as error:
            first = isinstance(error, _Changing) and key not in self._changed_once
            if self.fullgraph and not first:
                raise
            result = self.function(*args, **kwargs)  # raises the user's own errors again
            if first:
                self._changed_once.add(key)
                return result
            self._eager_keys.add(key)
            why = (
                str(error)
                if isinstance(error, Untraceable)
                else f"{type(error).__name__}: {error}"
            )
            self._warn(f"{why} cannot be traced ({where_it_failed(error, self.function)}); the function runs eagerly")
            return result
        self.programs.setdefault(key, []).insert(0, program)
        return program(tensors)

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"flambeau.compile: {why}", UserWarning, stacklevel=4)

    # Tracing --------------------------------------------------------------------------------------

    def _trace(self, args: tuple, kwargs: dict, tensors: list[Tensor]) -> Program:
        self.traces += 1
        tracer = Tracer()
        world = World()
        roots = [] if self.pure else [self.function, *(x for x in leaves((args, kwargs)) if not isinstance(x, Tensor))]
        world.add(*roots)
        if world.refusal:
            raise Untraceable(world.refusal)
        watch = Watch(world.named)
        trace = None
        try:
            with tracing(tracer), Reads(world.classes.values()) as reads:
                # Taken one by one: nothing here may outlive the trace.
                stand_ins = tracer.stand_ins(tensors)[::-1]

                def replaced(x: Any) -> Any:
                    if isinstance(x, np.ndarray):
                        raise Untraceable("a NumPy array as argument")
                    return stand_ins.pop() if isinstance(x, Tensor) else x

                traced_args = map_tree(args, replaced)
                traced_kwargs = map_tree(kwargs, replaced)
                containers = [*_containers((traced_args, traced_kwargs))]
                with watch.on():
                    results = self.function(*traced_args, **traced_kwargs)
                if not all(len(x) == len(y) and all(map(is_, x, y)) for x, y in containers):
                    raise _Changing("a change of an argument's list or dictionary")
                del traced_args, traced_kwargs, containers
                if world.drew():
                    raise Untraceable("a random number of Python or NumPy")
                changes = _tensors_only(world)
                returned = Returned(tracer, (results, [c.now for c in changes]))
                trace = tracer.finish(returned)
                trace.results, stored = trace.results
                trace.stores = [(c.place(), x) for c, x in zip(changes, stored, strict=True)]
                backward = trace_backward(tracer, returned)
                drop_dead(trace.graph, backward.wanted if backward is not None else [])
                tracer.drop_unread_inputs()
                del results, returned, changes
            world.put_back()
            narrow = World(reads)
            narrow.settle(*roots, *trace.modules)
            trace.modules = []
            trace.environment = watch if watch.environment else None
            tracer.forget()
            if tracer.leaked():
                raise _Changing("a tensor kept beyond the call, in an attribute or a list,")
        except RecursionError as error:
            world.put_back()
            raise Untraceable("endless recursion") from error
        except BaseException:
            world.put_back()
            raise
        finally:
            tracer.roll_back()
        return Program(trace, backward, tensors, narrow, self._kept_gradients, self.tune)

    # Explaining -----------------------------------------------------------------------------------

    def explain(self, html: str | PathLike[str] | None = None) -> str:
        """Text about the programs: graph, kernels with their times and shares of the machine's peak, what
        was fused and what not, memory and copies.

        Args:
            html: a file to write a page with a timeline and a roofline to (needs matplotlib).
        """
        from flambeau.compiler.explain import explain

        return explain(self, html)



def _tensors_only(world: World) -> list[Change]:
    """The assignments of tracing, which each call can repeat if they put a tensor in a tensor's place."""
    changes, more = world.changes()
    others = [c.what for c in changes if not (isinstance(c.before, Tensor) and isinstance(c.now, Tensor))]
    if others or more:
        raise _Changing(f"a change of {(others or [more])[0]}")
    return changes


def _containers(tree: Any) -> Iterator[tuple[Any, Any]]:
    """The lists and dictionaries of a tree, each with what it holds."""
    if isinstance(tree, (list, tuple)):
        if isinstance(tree, list):
            yield tree, list(tree)
        for x in tree:
            yield from _containers(x)
    elif isinstance(tree, dict):
        yield tree.values(), list(tree.values())
        for x in tree.values():
            yield from _containers(x)


__all__ = ["CompiledFunction", "compile"]
