"""Functions, modules and training steps that trace themselves when they are called."""

from __future__ import annotations

import copy
import functools
import warnings
import weakref
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from operator import is_, itemgetter
from os import PathLike
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.compiler.backward import trace_backward
from flambeau.compiler.effects import Watch
from flambeau.compiler.errors import FailOnRecompileLimitHit, RecompileError, Unsupported
from flambeau.compiler.guards import World, hooks_of
from flambeau.compiler.numbers import Number, may_vary
from flambeau.compiler.passes.dead import drop_dead
from flambeau.compiler.places import Change, is_simple
from flambeau.compiler.program import Program
from flambeau.compiler.reads import Bound, Method, Reads
from flambeau.compiler.results import Returned
from flambeau.compiler.settings import stance
from flambeau.compiler.sources import Container
from flambeau.compiler.trace import Tracer, Untraceable, tracing, where_it_failed
from flambeau.compiler.trees import containers, content_of, is_record, leaves, map_tree, marked
from flambeau.core.dtypes import get_default_dtype
from flambeau.core.state import state
from flambeau.core.switches import exact_convolutions
from flambeau.tensor.tensor import Tensor

_NONE: frozenset[int] = frozenset()


#: Every compiled function that there is.
EVERY: weakref.WeakSet[CompiledFunction] = weakref.WeakSet()


class _Changing(Untraceable):
    """A program that changes Python objects: perhaps at its first call only, to set things up.

    `numbers`: where it put others, if it changed only numbers.
    """

    numbers: Sequence[Change] = ()


class CompiledFunction:
    """A callable that runs `function` as a native program wherever it can.

    It warns once where it cannot, unless it is `quiet`; it is specialised for so many shapes at `most` (`None`: as
    the settings say); `tune`
    tries several schedules; a `pure` function depends on its arguments only.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        fullgraph: bool = False,
        quiet: bool = False,
        most: int | None = None,
        tune: bool = False,
        pure: bool = False,
        dynamic: bool | None = None,
    ):
        self.most, self.tune, self.pure, self.quiet = most, tune, pure, quiet
        self.dynamic = False if pure else dynamic  # equal calls of eager operators give equal bits
        self.function = function
        self.fullgraph = fullgraph
        self.traces = 0
        self._called = False
        self._methods: dict[int, CompiledFunction] = {}  # by the id of the instance
        self._warned = quiet
        self._forget()
        EVERY.add(self)

    def _forget(self) -> None:
        self.programs: dict[Hashable, list[Program]] = {}
        self._eager_keys: set[Hashable] = set()
        self._changed_once: set[Hashable] = set()
        # By what calls have in common: which numbers among the arguments vary, which must not, what they were.
        self._varying: dict[Hashable, frozenset[int]] = {}
        self._fixed: dict[Hashable, frozenset[int]] = {}
        self._numbers_before: dict[Hashable, Sequence[Any]] = {}
        # Numbers elsewhere that vary, and those that must not, by holder and key.
        self._places: dict[tuple[int, Any], Change] = {}
        self._fixed_places: set[tuple[int, Any]] = set()
        self._kept: dict[int, Any] = {}  # what is known by its id
        self._kept_gradients: dict[Any, Tensor] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an instance: compiled for each by itself, and forgotten with it."""
        if instance is None:
            return self
        found = self._methods.get(id(instance))
        if found is None or found.function.instance() is not instance:
            try:
                method = Method(self.function, instance, partial(self._methods.pop, id(instance), None))
            except TypeError:  # no weak references
                return partial(self, instance)
            found = self._methods[id(instance)] = self._anew(method)
            functools.update_wrapper(found, self.function)
        return Bound(found, instance)

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        return self._anew(copy.deepcopy(self.function, memo))

    def __reduce__(self) -> tuple:
        return CompiledFunction, (self.function, self.fullgraph, self.quiet, self.most, self.tune, self.pure, self.dynamic)

    def _anew(self, function: Callable[..., Any]) -> CompiledFunction:
        return CompiledFunction(function, self.fullgraph, self.quiet, self.most, self.tune, self.pure, self.dynamic)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (state.busy and state.tracer is not None) or (stance.name == "force_eager" and not self.quiet):
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        numbers: list[Any] = []
        key = self._key(args, kwargs, tensors, numbers)
        programs = self.programs.get(key)
        if programs is not None:
            for program in programs:
                if program.fits(tensors, numbers):
                    return program(tensors, numbers, (args, kwargs))
        if key in self._eager_keys:
            return self.function(*args, **kwargs)
        return self._specialise(key, args, kwargs, tensors, numbers)

    # Which program --------------------------------------------------------------------------------

    def _key(self, args: tuple, kwargs: dict, tensors: list[Tensor], numbers: list[Any]) -> Hashable:
        """What a call's arguments must have in common with another's to share programs."""
        parts: list[Any] = [
            modes.grad_enabled, modes.inference, bool(modes.saved_hooks), state.autocast, get_default_dtype(),
            exact_convolutions(),
        ]  # fmt: skip
        for x in args:
            parts.append(self._part(x, tensors, numbers))
        for name, x in kwargs.items():
            parts.append((name, self._part(x, tensors, numbers)))
        if len(tensors) > 1:
            arrays = [id(t._array) for t in tensors]
            if len(set(arrays)) < len(arrays):
                ids = [*map(id, tensors)]
                parts.append((*map(arrays.index, arrays), *map(ids.index, ids)))
        kind = tuple(parts)
        if not numbers:
            return kind
        varying = self._varying.get(kind, _NONE)
        # `repr` tells -0.0 from 0.0, and nan is like nan.
        return kind, tuple([None if k in varying and may_vary(x) else repr(x) for k, x in enumerate(numbers)])

    def _part(self, x: Any, tensors: list[Tensor], numbers: list[Any]) -> Hashable:
        if isinstance(x, Tensor):
            tensors.append(x)
            array = x._array
            # Whether it requires a gradient, and has a history.
            history = x.requires_grad and (1 if x._node is None else 2)
            if x._extra is not None and (hooks := hooks_of(x)):
                return array.shape, array.dtype, array.strides, history, x.__class__, hooks
            return array.shape, array.dtype, array.strides, history, x.__class__
        if isinstance(x, (tuple, list)):
            return type(x), tuple([self._part(y, tensors, numbers) for y in x])
        if isinstance(x, dict):
            return type(x), tuple([(k, self._part(v, tensors, numbers)) for k, v in x.items()])
        if is_record(x):
            return type(x), tuple([self._part(getattr(x, f.name), tensors, numbers) for f in fields(x)])
        if type(x) is float or type(x) is int:
            numbers.append(x)
            return type(x)
        if isinstance(x, float):
            return type(x), repr(x)
        if isinstance(x, set):
            return set, frozenset(x)
        try:
            hash(x)
        except TypeError:
            return type(x), id(x)
        return type(x), x

    def _specialise(
        self, key: Any, args: tuple, kwargs: dict, tensors: list[Tensor], numbers: list[Any]
    ) -> Any:
        """Traces and compiles the call; runs it eagerly where that is not possible."""
        from flambeau._dynamo import config

        known = sum(map(len, self.programs.values()))
        most = config.recompile_limit if self.most is None else self.most
        asked = not self.quiet  # by the user, whose settings count
        if modes.saved_hooks or (asked and (config.disable or self._waits())):
            return self.function(*args, **kwargs)
        if key not in self.programs and len(self._eager_keys) >= most:
            return self.function(*args, **kwargs)  # enough was tried
        if known and asked and config.error_on_recompile:
            raise RecompileError(f"Recompiling function {self._name()}: no program is for this call")
        if self.dynamic is not False and (config.automatic_dynamic_shapes or not asked):
            found = self._with_varying(key, args, kwargs, tensors, numbers, known, most)
            if found is not None:
                return found(tensors, numbers, (args, kwargs))
        if known >= (min(most * 4, config.accumulated_recompile_limit) if asked else most * 4) or (
            key not in self.programs and len(self.programs) >= most
        ):
            if asked and config.fail_on_recompile_limit_hit:
                raise FailOnRecompileLimitHit(f"{self._name()} was compiled {known} times, which is the limit")
            self._warn(
                f"{self._name()} was specialised {known} times, for changing shapes, dtypes or constants; calls with "
                "others run eagerly (torch._dynamo.config.recompile_limit says how many are compiled; batches of few "
                "different lengths, padded, would do with few)"
            )
            return self.function(*args, **kwargs)
        try:
            program = self._trace(args, kwargs, tensors)
        except Exception as error:
            kind = key[0] if numbers else key
            first = isinstance(error, _Changing) and kind not in self._changed_once
            if isinstance(error, _Changing) and not first and self.dynamic is not False and self._admit(error.numbers):
                return self._specialise(key, args, kwargs, tensors, numbers)
            if self.fullgraph and not first:
                if not isinstance(error, Untraceable):
                    raise
                raise Unsupported(
                    f"{error} cannot be traced ({where_it_failed(error, self.function)}), which fullgraph=True asks for"
                ) from error
            result = self.function(*args, **kwargs)  # raises the user's own errors again
            if first:
                self._changed_once.add(kind)
                return result
            self._keep(key, None, args, kwargs)
            why = (
                str(error)
                if isinstance(error, Untraceable)
                else f"{type(error).__name__}: {error}"
            )
            self._warn(f"{why} cannot be traced ({where_it_failed(error, self.function)}); the function runs eagerly")
            return result
        self._keep(key, program, args, kwargs, numbers)
        return program(tensors, numbers, (args, kwargs))

    def _keep(
        self, key: Any, program: Program | None, args: tuple, kwargs: dict, numbers: Sequence[Any] = ()
    ) -> None:
        """Remembers what to do with such calls: run a program, or nothing but the function."""
        self._kept.update((id(x), x) for x in (*args, *kwargs.values()) if not isinstance(x, Tensor))
        if program is None:
            self._eager_keys.add(key)
        else:
            if numbers:
                self._numbers_before.setdefault(key[0], numbers)
            self.programs.setdefault(key, []).insert(0, program)

    def _waits(self) -> bool:
        """Whether nothing is to be compiled now; see `set_stance`."""
        if stance.name == "fail_on_recompile":
            raise RuntimeError(
                f"Detected recompile when torch.compile stance is 'fail_on_recompile': {self._name()} has no program "
                "for this call"
            )
        if stance.name.endswith("eager_then_compile") and not self._called:
            self._called = True
            return True
        return stance.name == "eager_on_recompile"

    def _name(self) -> str:
        return getattr(self.function, "__qualname__", None) or type(self.function).__name__

    def reset(self) -> None:
        """Forgets all programs."""
        self._forget()
        self._warned = self.quiet
        for method in list(self._methods.values()):
            method.reset()

    # Numbers that vary ----------------------------------------------------------------------------

    def _with_varying(
        self, key: Any, args: tuple, kwargs: dict, tensors: list[Tensor], numbers: list[Any], known: int,
        most: int,
    ) -> Program | None:  # fmt: skip
        """A program for which numbers that were others at an earlier call are inputs, if that is possible."""
        kind = key[0] if numbers else key
        before = self._numbers_before.get(kind)
        varying = self._varying.get(kind, _NONE)
        fixed = self._fixed.get(kind, _NONE)
        new = {
            k
            for k, x in enumerate(numbers)
            if k not in fixed and may_vary(x) and (self.dynamic if before is None else repr(before[k]) != repr(x))
        }
        changed = [c for p in self.programs.get(key, ()) for c in p.world.differing()]
        admitted = self._admit(changed)
        places = [c for c in self._places.values() if may_vary(c.read())]
        if not (new | varying or places) or known >= most * 4:
            return None
        if before is None and not admitted and key not in self.programs and len(self.programs) >= most:
            return None
        try:
            program = self._trace(args, kwargs, tensors, numbers, new | varying, places)
        except _Changing as error:
            if kind in self._changed_once and self._admit(error.numbers):
                return self._with_varying(key, args, kwargs, tensors, numbers, known, most)
            return None
        except Exception:  # their values decide what is done
            self._fixed[kind] = frozenset(fixed | new | varying)
            self._fixed_places |= self._places.keys()
            self._varying.pop(kind, None)
            self._places.clear()
            return None
        if new - varying:
            self._varying[kind] = frozenset(new | varying)
            self.programs = {k: v for k, v in self.programs.items() if not (isinstance(k[0], tuple) and k[0] == kind)}
            key = self._key(args, kwargs, [], [])
        self._keep(key, program, args, kwargs, numbers)
        return program

    def _admit(self, changes: Iterable[Change]) -> bool:
        """Takes numbers that stand somewhere as varying; whether there were new ones."""
        count = len(self._places)
        for change in changes:
            place = id(change.holder), change.key
            if place not in self._fixed_places:
                self._places.setdefault(place, change)
        return len(self._places) > count

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"flambeau.compile: {why}", UserWarning, stacklevel=4)

    # Tracing --------------------------------------------------------------------------------------

    def _trace(
        self, args: tuple, kwargs: dict, tensors: list[Tensor], numbers: Sequence[Any] = (),
        varying: Collection[int] = (), places: Sequence[Change] = (),
    ) -> Program:  # fmt: skip
        """`varying`: the positions of numbers among the arguments that are inputs; `places`: where others stand."""
        self.traces += 1
        tracer = Tracer()
        world = World()
        roots = [] if self.pure else [self.function, *(x for x in leaves((args, kwargs)) if not isinstance(x, Tensor))]
        world.add(*roots)
        if world.refusal:
            raise Untraceable(world.refusal)
        watch = Watch(world.named)
        trace = None
        were = [(place, place.read()) for place in places]
        grad_enabled = modes.grad_enabled
        position = 0
        try:
            with tracing(tracer), Reads(world.classes.values()) as reads:
                # Taken one by one: nothing here may outlive the trace.
                stand_ins = tracer.stand_ins(tensors)[::-1]

                def replaced(x: Any) -> Any:
                    nonlocal position
                    if type(x) in (int, float):
                        position += 1
                        return Number(tracer, x, itemgetter(position - 1)) if position - 1 in varying else x
                    if isinstance(x, np.ndarray):
                        raise Untraceable("a NumPy array as argument")
                    return stand_ins.pop() if isinstance(x, Tensor) else x

                traced_args = map_tree(args, replaced)
                traced_kwargs = map_tree(kwargs, replaced)
                held = [(c, content_of(c)) for c in containers((traced_args, traced_kwargs))]
                stood = [
                    (place, Number(tracer, x, itemgetter(len(numbers) + k))) for k, (place, x) in enumerate(were)
                ]
                for place, number in stood:
                    place.repeat(number)
                modes_before = _modes()
                with watch.on():
                    results = self.function(*traced_args, **traced_kwargs)
                if _modes() != modes_before:
                    raise Untraceable("a change of the gradient mode or the default dtype")
                marks = {id(c): Container(k) for k, (c, _) in enumerate(held)}
                written = [(marks[id(c)], content_of(c)) for c, before in held if not _holds(c, before)]
                if world.drew():
                    raise Untraceable("a random number of Python or NumPy")
                if tracer.refusals:  # and somebody caught it
                    raise Untraceable(tracer.refusals[0])
                changes = _repeatable(world, stood)
                outcome = (results, [c.now for c in changes], [content for _, content in written])
                returned = Returned(tracer, marked(outcome, marks) if marks else outcome)
                trace = tracer.finish(returned)
                trace.results, stored, contents = trace.results
                trace.contents = [(c, content) for (c, _), content in zip(written, contents, strict=True)]
                trace.places = [(place.place(), type(x)) for place, x in were]
                trace.stores = [(c.place(), x) for c, x in zip(changes, stored, strict=True)]
                backward = trace_backward(tracer, returned)
                drop_dead(trace.graph, backward.wanted if backward is not None else [])
                tracer.drop_unread_inputs()
                del results, returned, changes, stood, outcome, written, held, traced_args, traced_kwargs
                place = number = None
            for place, x in were:
                place.repeat(x)
            world.put_back()
            narrow = World(reads, exempt=places)
            narrow.settle(*roots, *trace.modules)
            trace.modules = []
            trace.environment = watch if watch.environment else None
            tracer.forget()
            if tracer.leaked():
                raise _Changing("a tensor kept beyond the call, in an attribute or a list,")
        except BaseException as error:
            world.put_back()
            world.forget_states()
            if isinstance(error, RecursionError):
                raise Untraceable("endless recursion") from error
            raise
        finally:
            modes.grad_enabled = grad_enabled
            for place, x in were:
                if place.read() is not x:
                    place.repeat(x)
            tracer.roll_back()
        try:
            return Program(trace, backward, self.function, tensors, narrow, self._kept_gradients, self.tune)
        except BaseException:
            world.forget_states()
            raise

    @property
    def _torchdynamo_orig_callable(self) -> Callable[..., Any]:
        return self.function

    # Explaining -----------------------------------------------------------------------------------

    def explain(self, html: str | PathLike[str] | None = None) -> str:
        """Text about the programs: graph, kernels with their times and shares of the machine's peak, what
        was fused and what not, memory and copies.

        Args:
            html: a file to write a page with a timeline and a roofline to (needs matplotlib).
        """
        from flambeau.compiler.explain import explain

        return explain(self, html)



def _modes() -> tuple[Any, ...]:
    return modes.grad_enabled, modes.inference, get_default_dtype()


def _repeatable(world: World, stood: Sequence[tuple[Change, Number]]) -> list[Change]:
    """The assignments of tracing, which each call can repeat: of tensors in tensors' places, of numbers where they vary.

    `stood`: what was put in the places of varying numbers.
    """
    changes, more = world.changes()
    numbers = {(id(place.holder), place.key): number for place, number in stood}
    found, others = [], []
    for c in changes:
        number = numbers.get((id(c.holder), c.key))
        if number is not None and c.now is number:
            continue
        both = isinstance(c.before, Tensor) and isinstance(c.now, Tensor)
        fits = c.repeatable and (both or (number is not None and is_simple(c.now)))
        (found if fits else others).append(c)
    if others or more:
        error = _Changing(f"a change of {others[0].what if others else more}")
        if not more and all(c.repeatable and type(c.now) is type(c.before) and type(c.now) in (int, float) for c in others):
            error.numbers = [c.place() for c in others]
        raise error
    return found


def _holds(container: Any, before: Any) -> bool:
    """Whether a container still holds what it held."""
    now = content_of(container)
    if isinstance(now, dict):
        return [*now] == [*before] and all(map(is_, now.values(), before.values()))
    return len(now) == len(before) and all(map(is_, now, before))


__all__ = ["EVERY", "CompiledFunction"]
