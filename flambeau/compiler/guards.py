"""Guards: what must be as it was when a program was traced, for the program to be run again.

A traced program is right only while the Python that it was traced from would do the same. `World` finds what
that is: from a function to the globals and cells it names, to functions, objects and containers in these, and of
objects to the attributes that any of the code names. It notes what they hold, tells whether they still do, and
puts back what tracing changed, for the function to run eagerly instead. Of objects of users' classes, `Reads` knows
which attributes were read while the program was traced: the others may change.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import _lru_cache_wrapper, partial
from operator import getitem, is_
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from flambeau.compiler.places import SIMPLE, Change, Entries, Generator, is_same, is_simple
from flambeau.compiler.reads import Bound, Method, Reads, layers
from flambeau.tensor.tensor import Tensor

_PACKAGE = __name__.partition(".")[0]
#: Packages whose functions, classes and modules are taken to stay as they are; besides these, what is installed.
_SETTLED = sys.stdlib_module_names | {"builtins", "numpy", "ml_dtypes", "llvmlite", "scipy", _PACKAGE} - {"__main__"}
#: Code that finds attributes by other means than naming them.
_FINDERS = {"getattr", "setattr", "hasattr", "vars", "__dict__"}
_MOST_FACTS = 50_000
_MISSING = object()
_MADE_BY_PYTHON = 1 << 9  # the flag of classes that `class` made
#: Of a class's namespace: its methods' names, but not what they hold.
_UNFOLLOWED: set[str] = set()
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")
_MEMBERS = ("_parameters", "_buffers", "_modules", *_HOOKS)


class World:
    """What a function and its arguments can reach, as it was when it was noted."""

    def __init__(self, reads: Reads | None = None, exempt: Iterable[Change] = ()) -> None:
        """`exempt`: numbers that the program reads anew at each call."""
        self.reads = reads
        self.refusal = ""  # why nothing should be traced from here
        self.classes: dict[int, type] = {}  # whose objects' reads can be noted
        self._in_dicts = Entries(dict.get)
        self._in_lists = Entries(getitem)
        self._sized: list[Any] = []
        self._sizes: list[int] = []
        self._empty: list[Any] = []  # most containers are the hooks that a module does not have
        self._in_cells = Entries(getattr)
        self._in_classes = Entries(getitem)
        self._entries = [self._in_dicts, self._in_lists, self._in_cells, self._in_classes]
        self._class_of: dict[int, type] = {}  # by the id of its namespace
        places = {(id(c.holder), c.key) for c in exempt}
        for entries in (self._in_dicts, self._in_lists, self._in_cells):
            entries.exempt = places
        self._slots: list[tuple[Any, str, Any]] = []
        self._sets: list[tuple[set, set]] = []
        self._arrays: list[tuple[np.ndarray, np.ndarray]] = []
        # To put things back, and to find what is reached; `settle` forgets these.
        self._contents: list[tuple[Any, Any]] = []
        self._attributes: list[tuple[dict, dict]] = []
        self._caches: list[tuple[Any, int]] = []  # of functions, and how often they were not enough
        self._options: list[tuple[dict, dict]] = []  # of optimizers
        self._generators = [Generator(x) for x in (random, np.random)]
        self._names: set[str] = set()
        self.named: set[str] = set()  # by the code of functions that are not a library's
        #: Namespaces, names taken, names that count, and the class of which the namespace is an object's.
        self._open: list[tuple[Any, set[str], set[str] | None, type | None]] = []
        self._seen: dict[int, Any] = {}
        self._waiting: list[Any] = []
        self._optimizers: list[Any] = []
        self._states: list[tuple[dict, dict]] = []  # what optimizers know of tensors, and what they knew

    # Finding --------------------------------------------------------------------------------------

    def add(self, *things: Any) -> None:
        """Notes what can be reached from things: functions, modules, arguments."""
        self._waiting += things
        while True:
            while self._waiting:
                thing = self._waiting.pop()
                if id(thing) not in self._seen and not isinstance(thing, SIMPLE):
                    self._seen[id(thing)] = thing
                    if len(self._in_dicts.keys) + len(self._in_lists.keys) < _MOST_FACTS:
                        self._visit(thing)
            named = len(self._names)
            for space in self._open:
                self._take_named(*space)
            if not self._waiting and len(self._names) == named:
                return

    def _visit(self, thing: Any) -> None:
        from flambeau.compiler.compiled import CompiledFunction
        from flambeau.nn.module import Module
        from flambeau.optim.optimizer import Optimizer

        match thing:
            case Tensor():
                if thing._extra is not None:
                    self._waiting += hooks_of(thing)
                if vars(thing):
                    self._open.append((vars(thing), set(), None, None))
            case FunctionType():
                self._function(thing)
            case MethodType():
                self._waiting += [thing.__self__, thing.__func__]
                if isinstance(thing.__func__, FunctionType):
                    self._names |= _names(thing.__func__.__code__)
            case Method():
                self._waiting += [thing.instance(), thing.function]
            case Bound():
                self._waiting.append(thing.__wrapped__)
            case CompiledFunction():
                self._waiting.append(thing.function)
            case partial():
                self._waiting += [thing.func, thing.args, thing.keywords]
            case _lru_cache_wrapper():
                self._waiting.append(thing.__wrapped__)
                self._caches.append((thing, thing.cache_info().misses))
            case property():
                self._waiting.append(thing.fget)
            case staticmethod() | classmethod():
                self._waiting.append(thing.__func__)
            case tuple():
                self._waiting += thing
            case list() | deque():
                self._size(thing)
                if len(thing) < _MOST_FACTS // 10:
                    self._contents.append((thing, list(thing)))
                    for k, value in enumerate(thing):
                        self._in_lists.add(thing, k, value)
                    self._waiting += thing
            case dict():
                self._dictionary(thing)
            case set():
                self._sets.append((thing, set(thing)))
            case random.Random() | np.random.Generator() | np.random.RandomState():
                self._generators.append(Generator(thing))
            case np.ndarray():
                self._arrays.append((thing, thing.copy()))
            case Optimizer():
                self._optimizers.append(thing)
                self._options += [(group, dict(group)) for group in thing.param_groups]
                self._states.append((thing.state, {p: dict(known) for p, known in thing.state.items()}))
                self._waiting.append(type(thing))
            case Module():
                self._module(thing)
            case ModuleType():
                if not _is_settled(thing.__name__):
                    self._open.append((vars(thing), set(), None, None))
            case type():
                for cls in thing.__mro__[:-1]:
                    self._class(cls)
            case Iterator() if type(thing).__module__ in ("builtins", "itertools"):
                self.refusal = "an iterator of outside, which tracing would use up,"
            case _:
                self._object(thing)
        if isinstance(thing, (dict, list)) and not _is_settled(type(thing).__module__):
            self._object(thing)

    def _function(self, function: FunctionType) -> None:
        if _is_settled(function.__module__):
            return
        names = _names(function.__code__)
        self._names |= names
        self.named |= names
        space = function.__globals__
        for name in names & space.keys():
            self._in_dicts.add(space, name, space[name])
            self._waiting.append(space[name])
        for cell in function.__closure__ or ():
            try:
                self._in_cells.add(cell, "cell_contents", cell.cell_contents)
            except ValueError:  # not assigned yet
                continue
            self._waiting.append(cell.cell_contents)
        self._slots.append((function, "__defaults__", function.__defaults__))
        self._waiting += [function.__defaults__, function.__kwdefaults__]

    def _dictionary(self, thing: dict) -> None:
        self._size(thing)
        if len(thing) < _MOST_FACTS // 10:
            self._contents.append((thing, dict(thing)))
            for key, value in thing.items():
                self._in_dicts.add(thing, key, value)
            self._waiting += thing.values()

    def _module(self, module: Any) -> None:
        """Simple attributes, members and hooks; of other attributes those that are named."""
        attributes = module.__dict__
        self._attributes.append((attributes, dict(attributes)))
        known = set() if _is_layer(type(module)) else {k for k, v in attributes.items() if is_simple(v)}
        if self._notes(type(module)) and self.reads is not None:
            known &= self.reads.of(module)
        for name in known:
            self._in_dicts.add(attributes, name, attributes[name])
        self._size(attributes)
        self._waiting += [attributes[name] for name in _MEMBERS if name in attributes]
        self._names.add("forward")
        self._open.append((attributes, known.union(_MEMBERS, _TOLD_BY_HOOKS), self._named(module), None))
        self._waiting.append(type(module))

    def _object(self, thing: Any) -> None:
        attributes = getattr(thing, "__dict__", None)
        if type(attributes) is dict:
            self._attributes.append((attributes, dict(attributes)))
            self._open.append((attributes, set(), self._named(thing), type(thing)))
        for cls in type(thing).__mro__:
            slots = () if _is_settled(cls.__module__) else vars(cls).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(thing, name):
                    self._slots.append((thing, name, getattr(thing, name)))
                    self._waiting.append(getattr(thing, name))
        self._waiting.append(type(thing))

    def _notes(self, cls: type) -> bool:
        """Whether it can be noted what is read of a class's objects."""
        ours = _is_library(cls.__module__) and not issubclass(cls, layers())
        can = bool(cls.__flags__ & _MADE_BY_PYTHON) and (ours or not _is_settled(cls.__module__))
        if can:
            self.classes[id(cls)] = cls
        return can

    def _named(self, thing: Any) -> set[str] | None:
        """The attributes of an object that count; `None`: all that the code names."""
        return self.reads.of(thing) if self._notes(type(thing)) and self.reads is not None else None

    def _class(self, cls: type) -> None:
        """Attributes and methods that are named; of the library's own classes, the names in their methods."""
        library = _is_library(cls.__module__)
        if library or not _is_settled(cls.__module__):
            space = vars(cls)
            self._names |= _CALLED_BY_SYNTAX & space.keys()
            self._class_of[id(space)] = cls
            self._open.append((space, set(), _UNFOLLOWED if library else None, None))

    def _take_named(self, space: Any, taken: set[str], among: set[str] | None, cls: type | None) -> None:
        """Of a namespace, what the code names by now, of the names that count; of an object's also that it is not there
        where the class has it.
        """
        names = self._names if among is None or among is _UNFOLLOWED else among
        if cls is not None:
            for name in names - space.keys() - taken:
                if any(name in vars(c) for c in cls.__mro__[:-1]):
                    taken.add(name)
                    self._in_dicts.add(space, name, None)
        for name in (names & space.keys()) - taken:
            taken.add(name)
            value = space[name]
            if among is _UNFOLLOWED:
                if isinstance(value, FunctionType):
                    self._names |= _names(value.__code__)
                continue
            (self._in_dicts if type(space) is dict else self._in_classes).add(space, name, value)
            self._waiting.append(value)

    def _size(self, thing: Any) -> None:
        if thing:
            self._sized.append(thing)
            self._sizes.append(len(thing))
        else:
            self._empty.append(thing)

    def _optimizer(self, optimizer: Any) -> None:
        """Which tensors it updates and what it remembers of them; numbers are inputs of the program."""
        own = vars(optimizer)
        for name in ("param_groups", "state"):
            self._in_dicts.add(own, name, own[name])
        self._size(optimizer.param_groups)
        for k, group in enumerate(optimizer.param_groups):
            self._in_lists.add(optimizer.param_groups, k, group)
            self._in_dicts.add(group, "params", group["params"])
            if "param_groups" in self.named:  # the code may look at learning rates and the like
                for name, value in group.items():
                    if is_simple(value):
                        self._in_dicts.add(group, name, value)
            self._size(group["params"])
            for j, p in enumerate(group["params"]):
                self._in_lists.add(group["params"], j, p)
                kept = dict.get(optimizer.state, p)
                self._in_dicts.add(optimizer.state, p, kept)
                for name, value in (kept or {}).items():
                    self._in_dicts.add(kept, name, value)

    # Comparing ------------------------------------------------------------------------------------

    def moved(self) -> dict[int, tuple[Tensor, Tensor]] | None:
        """Tensors in whose places others stand now: by their ids, (before, now). `None` if anything else changed."""
        moved: dict[int, tuple[Tensor, Tensor]] = {}
        if not self.hold(moved):
            return None
        if moved:  # one tensor that was found in several places is one tensor still
            for entries in self._entries:
                if any(now is not moved[id(entries.values[k])][1] for k, now in entries.follow(moved)):
                    return None
        return moved

    def differing(self) -> list[Change]:
        """Where numbers stand that are not what they were."""
        return [c for entries in self._entries for c in entries.differing() if entries is not self._in_classes]

    def accept(self, moved: dict[int, tuple[Tensor, Tensor]]) -> None:
        """Takes the tensors that are there now for those that were."""
        for entries in self._entries:
            for k, now in [*entries.follow(moved)]:
                entries.values[k] = now

    def hold(self, moved: dict[int, tuple[Tensor, Tensor]] | None = None) -> bool:
        """Whether everything is as it was, but for tensors that `moved` (see `moved()`)."""
        if any(self._empty) or self._sizes != [*map(len, self._sized)]:
            return False
        for entries in self._entries:
            if not entries.hold(moved):
                return False
        for thing, name, value in self._slots:
            if getattr(thing, name, _SETTLED) is not value and not is_same(getattr(thing, name, _SETTLED), value):
                return False
        for now, before in self._sets:
            if now != before:
                return False
        return all(a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in self._arrays)

    def drew(self) -> bool:
        """Whether a random generator of Python or NumPy has moved."""
        return any(generator.moved() for generator in self._generators)

    def changes(self) -> tuple[list[Change], str]:
        """What tracing assigned, and what else it changed, in words."""
        found: dict[tuple[int, Any], Change] = {}
        more = ""
        for things, what in ((self._attributes, "attribute"), (self._contents, "")):
            for thing, before in things:
                if isinstance(thing, (list, deque)):
                    if len(thing) != len(before):
                        more = "the length of a list"
                    pairs: Any = enumerate(zip(before, thing, strict=False))
                else:
                    if before.keys() - thing.keys():
                        more = "a key that is deleted"
                    pairs = [(k, (before.get(k, _MISSING), now)) for k, now in thing.items()]
                for key, (then, now) in pairs:
                    if then is not now:
                        found[id(thing), key] = Change(thing, key, then, now, f"the {what or 'entry'} {key!r}")
        for entries, what in ((self._in_dicts, "the global"), (self._in_cells, "the variable")):
            for holder, key, then in zip(entries.holders, entries.keys, entries.values, strict=True):
                now = entries.get(holder, key)
                if now is not then and (id(holder), key) not in found:
                    found[id(holder), key] = Change(holder, key, then, now, f"{what} {key!r}")
        for group, options in self._options:
            for key, then in options.items():
                if group.get(key) is not then:
                    what = f"the option {key!r} of an optimizer"
                    found[id(group), key] = Change(group, key, then, group.get(key), what, repeatable=False)
        if not self._in_classes.hold():
            more = "an attribute of a class"
        if any(getattr(thing, name, _MISSING) is not value for thing, name, value in self._slots):
            more = "an attribute in a slot"
        if any(now != before for now, before in self._sets):
            more = "a set"
        if any(a.shape != b.shape or a.tobytes() != b.tobytes() for a, b in self._arrays):
            more = "a NumPy array"
        return [*found.values()], more

    def put_back(self) -> None:
        """Undoes what tracing changed."""
        for attributes, before in (*self._attributes, *self._options):
            if len(attributes) != len(before) or any(attributes.get(k, self) is not v for k, v in before.items()):
                attributes.clear()
                attributes.update(before)
        for thing, before in self._contents:
            if len(thing) != len(before) or not all(map(is_, thing, before)):
                thing.clear()
                thing.update(before) if isinstance(thing, dict) else thing.extend(before)
            elif isinstance(thing, dict):
                thing.update(before)
        for holder, key, value in zip(
            self._in_dicts.holders, self._in_dicts.keys, self._in_dicts.values, strict=True
        ):
            if dict.get(holder, key) is not value:
                holder[key] = value
        for cell, value in zip(self._in_cells.holders, self._in_cells.values, strict=True):
            cell.cell_contents = value
        for space, name, value in zip(
            self._in_classes.holders, self._in_classes.keys, self._in_classes.values, strict=True
        ):
            if space.get(name) is not value:
                setattr(self._class_of[id(space)], name, value)
        for thing, name, value in self._slots:
            if getattr(thing, name, _SETTLED) is not value:
                setattr(thing, name, value)
        for now, kept in self._sets:
            now.clear()
            now.update(kept)
        for array, copy in self._arrays:
            if array.flags.writeable and array.shape == copy.shape:
                array[...] = copy
        for generator in self._generators:
            generator.put_back()
        for cache, misses in self._caches:
            if cache.cache_info().misses != misses:
                cache.cache_clear()  # it holds what tracing made

    def forget_states(self) -> None:
        """Takes away what optimizers began to know while tracing, if no program will fill it in: an update that runs
        eagerly then is their first."""
        for states, before in self._states:
            for p in [p for p in states if p not in before]:
                del states[p]
            for p, known in before.items():
                if p in states and states[p].keys() != known.keys():
                    states[p].clear()
                    states[p].update(known)

    def settle(self, *things: Any) -> None:
        """After tracing: notes what is known only now, and forgets what was needed to undo it."""
        self.add(*things)
        for optimizer in self._optimizers:
            self._optimizer(optimizer)
        self._entries = [entries for entries in self._entries if entries.values]
        self._caches, self._contents, self._attributes, self._options, self._open, self._generators = [], [], [], [], [], []
        self._seen, self._names, self.named, self._class_of, self._optimizers, self.classes, self.reads = {}, set(), set(), {}, [], {}, None


def _is_layer(cls: type) -> bool:
    """Whether this is a layer of the library, of whose attributes those count that its code names. Containers of
    parameters name theirs only while they run."""
    (base,) = layers()
    own = cls.__mro__[: cls.__mro__.index(base)]
    return _is_library(cls.__module__) and any("forward" in vars(c) for c in own)


_TOLD_BY_HOOKS = {"_is_full_backward_hook"}  # which changes with the hooks only

_CALLED_BY_SYNTAX = {
    f"__{name}__"
    for name in (
        "call", "getattr", "getattribute", "getitem", "setitem", "contains", "iter", "next", "len", "bool", "enter",
        "exit", "add", "sub", "mul", "truediv", "matmul", "radd", "rsub", "rmul", "rtruediv", "iadd", "isub", "imul",
        "neg", "eq", "ne", "lt", "le", "gt", "ge", "hash", "index", "int", "float",
    )
}


def _is_settled(module: str | None) -> bool:
    """Whether what a module defines is taken to stay as it is: of the standard library, or installed."""
    package = (module or "").partition(".")[0]
    if package not in _settled:
        file = getattr(sys.modules.get(package), "__file__", None) or ""
        _settled[package] = package in _SETTLED or "site-packages" in file or "dist-packages" in file
    return _settled[package]


def _is_library(module: str) -> bool:
    """Whether a class is of a library (also this one), whose objects' attributes its own code changes."""
    package = module.partition(".")[0]
    return package == _PACKAGE or (_is_settled(module) and package not in _SETTLED)


_settled: dict[str, bool] = {}


def _names(code: CodeType) -> set[str]:
    """What code names: globals, attributes, and strings by which it may find attributes."""
    found = set(code.co_names)
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    if found & _FINDERS:
        found.update(c for c in code.co_consts if isinstance(c, str))
    return found.union(*map(_names, inner))


def hooks_of(tensor: Tensor) -> tuple[Callable[..., Any], ...]:
    """The hooks that a backward pass runs when it comes to a leaf."""
    extra = tensor._extra
    if extra is None:
        return ()
    return (*(extra.hooks or {}).values(), *(extra.post_accumulate_hooks or {}).values())
