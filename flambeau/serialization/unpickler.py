"""A pickle machine that runs nothing outside an allow-list.

Python's own unpickler calls whatever a file names. This one knows the opcodes that data
needs, looks names up in a table that the caller gives, and never holds more than a fixed
multiple of the bytes it has read. A malformed stream ends in `pickle.UnpicklingError`.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

#: Nested tuples deeper than this are refused as dictionary keys: hashing them recurses.
_KEY_DEPTH = 16

_MARK = object()
_DICTS = (dict, OrderedDict, Counter)


class Allowed:
    """A callable that a pickle may name, and the checks on calling it.

    Arguments:
        name: the dotted name in the file, for messages.
        call: what a pickle's `REDUCE` runs, given the unpickled arguments.
        build: what its `BUILD` runs, given the object and its state; `None` refuses states.
        new: what its `NEWOBJ` runs; `call`, if not given.
    """

    __slots__ = ("build", "call", "name", "new")

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        build: Callable[[Any, Any], None] | None = None,
        new: Callable[..., Any] | None = None,
    ):
        self.name = name
        self.call = call
        self.build = build
        self.new = new or call


class SafeUnpickler:
    """Reads one pickle from `data`, starting at `position`.

    Arguments:
        data: the bytes of the file or record.
        find_global: gives the value or the `Allowed` callable of a module and a name; raises
            `pickle.UnpicklingError` for a name that is not allowed.
        persistent_load: gives the object of a persistent id.
        position: where the pickle starts; after `load` the offset just behind it.
    """

    def __init__(
        self,
        data: bytes | memoryview,
        find_global: Callable[[str, str], Any],
        persistent_load: Callable[[Any], Any],
        position: int = 0,
    ):
        self.data = memoryview(data)
        self.position = position
        self.find_global = find_global
        self.persistent_load = persistent_load
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.builders: dict[int, tuple[Any, Allowed]] = {}

    def load(self) -> Any:
        """The object of the pickle."""
        try:
            return self._run()
        except pickle.UnpicklingError:
            raise
        except _DAMAGE as error:
            place = f"the pickle is damaged near byte {self.position}"
            raise pickle.UnpicklingError(f"{place}: {_first_line(error)}") from error

    def _run(self) -> Any:
        while True:
            code = self._take(1)[0]
            if code == _STOP:
                return self._pop()
            handler = _HANDLERS.get(code)
            if handler is None:
                self._fail(f"opcode {bytes([code])!r} is not one that data needs")
            handler(self)

    # reading -------------------------------------------------------------------------------

    def _fail(self, why: str) -> NoReturn:
        raise pickle.UnpicklingError(f"the pickle is damaged near byte {self.position}: {why}")

    def _take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            self._fail(f"{count} more bytes were promised, {self.left} are left")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> str:
        # A module or class name; 1,000 characters are more than any real one.
        head = bytes(self.data[self.position : self.position + 1000])
        end = head.find(b"\n")
        if end < 0:
            self._fail("a name has no end")
        self.position += end + 1
        return head[:end].decode()

    # the stack -----------------------------------------------------------------------------

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self._fail("a value is missing on the stack")
        return self.stack.pop()

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self._fail("a value is missing on the stack")
        return self.stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        values: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return values[::-1]
            values.append(value)
        self._fail("a mark is missing on the stack")

    # containers ----------------------------------------------------------------------------

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            self._fail(f"cannot append to a {type(target).__name__}")
        target.extend(values)

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) not in _DICTS:
            self._fail(f"cannot set items of a {type(target).__name__}")
        if len(values) % 2:
            self._fail("a key has no value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[as_key(key)] = value

    def _add_items(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not set:
            self._fail(f"cannot add items to a {type(target).__name__}")
        target.update(map(as_key, values))

    # calls ---------------------------------------------------------------------------------

    def _call(self, how: str) -> None:
        arguments = self._pop()
        function = self._pop()
        if not isinstance(function, Allowed):
            self._fail(f"cannot call a {type(function).__name__}")
        if type(arguments) is not tuple:
            self._fail(f"{function.name} got no argument tuple")
        try:
            result = getattr(function, how)(*arguments)
        except (pickle.UnpicklingError, NotImplementedError):
            raise
        except Exception as error:
            raise pickle.UnpicklingError(
                f"{function.name} refused what the file gives it: {_first_line(error)}"
            ) from error
        if function.build is not None:
            # Keeping the object beside its id keeps the id from being used again.
            self.builders[id(result)] = (result, function)
        self._push(result)

    def _build(self) -> None:
        state = self._pop()
        target = self._top()
        _, function = self.builders.get(id(target), (None, None))
        if function is None or function.build is None:
            self._fail(f"a {type(target).__name__} takes no state")
        function.build(target, state)

    def _global(self, module: str, name: str) -> None:
        self._push(self.find_global(module, name))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            self._fail("a global's name is no string")
        self._global(module, name)

    # the memo ------------------------------------------------------------------------------

    def _remember(self, index: int) -> None:
        self.memo[index] = self._top()

    def _recall(self, index: int) -> None:
        if index not in self.memo:
            self._fail(f"memo entry {index} was never written")
        self._push(self.memo[index])


def as_key(key: Any, depth: int = 0) -> Any:
    """`key` if it may be hashed without harm; `TypeError` otherwise."""
    if type(key) is tuple:
        if depth > _KEY_DEPTH or len(key) > 64:
            raise TypeError("a key is nested too deep")
        for part in key:
            as_key(part, depth + 1)
        if depth == 0 and sum(1 for _ in _leaves(key)) > 256:
            raise TypeError("a key is too large")
    elif type(key) in (list, dict, set, OrderedDict, Counter, bytearray):
        raise TypeError(f"a {type(key).__name__} cannot be a key")
    elif type(key) is frozenset:
        raise TypeError("a frozenset cannot be a key here")
    return key


def _leaves(key: tuple[Any, ...]) -> Iterator[Any]:
    seen = 0
    waiting: list[Any] = [key]
    while waiting and seen <= 256:
        part = waiting.pop()
        if type(part) is tuple:
            waiting.extend(part)
        seen += 1
        yield part


def _first_line(error: BaseException) -> str:
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0][:300] if text else ''}"


def _signed(machine: SafeUnpickler) -> int:
    return int.from_bytes(machine._take(4), "little", signed=True)


def _long(machine: SafeUnpickler, size: int) -> int:
    return int.from_bytes(machine._take(size), "little", signed=True)


def _text(machine: SafeUnpickler, size: int) -> str:
    return bytes(machine._take(size)).decode("utf-8", "surrogatepass")


def _old_string(machine: SafeUnpickler, size: int) -> str:
    # Python 2's byte strings: PyTorch's default is to read them as UTF-8.
    return bytes(machine._take(size)).decode("utf-8", "replace")


def _protocol(machine: SafeUnpickler) -> None:
    if (version := machine._number(1)) > 5:
        machine._fail(f"pickle protocol {version} is unknown")


_DAMAGE = (
    IndexError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)
_STOP = pickle.STOP[0]
_Handler = Callable[[SafeUnpickler], Any]

_BY_OPCODE: dict[bytes, _Handler] = {
    pickle.PROTO: _protocol,
    pickle.FRAME: lambda m: m._take(8),
    pickle.MARK: lambda m: m._push(_MARK),
    pickle.POP: lambda m: m.stack.pop(),
    pickle.POP_MARK: lambda m: m._pop_to_mark(),
    pickle.DUP: lambda m: m._push(m._top()),
    # constants
    pickle.NONE: lambda m: m._push(None),
    pickle.NEWTRUE: lambda m: m._push(True),
    pickle.NEWFALSE: lambda m: m._push(False),
    pickle.BININT: lambda m: m._push(_signed(m)),
    pickle.BININT1: lambda m: m._push(m._number(1)),
    pickle.BININT2: lambda m: m._push(m._number(2)),
    pickle.LONG1: lambda m: m._push(_long(m, m._number(1))),
    pickle.LONG4: lambda m: m._push(_long(m, _signed(m))),
    pickle.BINFLOAT: lambda m: m._push(struct.unpack(">d", m._take(8))[0]),
    pickle.BINUNICODE: lambda m: m._push(_text(m, m._number(4))),
    pickle.SHORT_BINUNICODE: lambda m: m._push(_text(m, m._number(1))),
    pickle.BINUNICODE8: lambda m: m._push(_text(m, m._number(8))),
    pickle.BINSTRING: lambda m: m._push(_old_string(m, _signed(m))),
    pickle.SHORT_BINSTRING: lambda m: m._push(_old_string(m, m._number(1))),
    pickle.BINBYTES: lambda m: m._push(bytes(m._take(m._number(4)))),
    pickle.SHORT_BINBYTES: lambda m: m._push(bytes(m._take(m._number(1)))),
    pickle.BINBYTES8: lambda m: m._push(bytes(m._take(m._number(8)))),
    pickle.BYTEARRAY8: lambda m: m._push(bytearray(m._take(m._number(8)))),
    # containers
    pickle.EMPTY_LIST: lambda m: m._push([]),
    pickle.EMPTY_DICT: lambda m: m._push({}),
    pickle.EMPTY_SET: lambda m: m._push(set()),
    pickle.EMPTY_TUPLE: lambda m: m._push(()),
    pickle.TUPLE1: lambda m: m._push((m._pop(),)),
    pickle.TUPLE2: lambda m: m._push((m._pop(), m._pop())[::-1]),
    pickle.TUPLE3: lambda m: m._push((m._pop(), m._pop(), m._pop())[::-1]),
    pickle.TUPLE: lambda m: m._push(tuple(m._pop_to_mark())),
    pickle.LIST: lambda m: m._push(m._pop_to_mark()),
    pickle.FROZENSET: lambda m: m._push(frozenset(map(as_key, m._pop_to_mark()))),
    pickle.APPEND: lambda m: m._append([m._pop()]),
    pickle.APPENDS: lambda m: m._append(m._pop_to_mark()),
    pickle.SETITEM: lambda m: m._set_items([m._pop(), m._pop()][::-1]),
    pickle.SETITEMS: lambda m: m._set_items(m._pop_to_mark()),
    pickle.ADDITEMS: lambda m: m._add_items(m._pop_to_mark()),
    # names and calls
    pickle.GLOBAL: lambda m: m._global(m._line(), m._line()),
    pickle.STACK_GLOBAL: lambda m: m._stack_global(),
    pickle.REDUCE: lambda m: m._call("call"),
    pickle.NEWOBJ: lambda m: m._call("new"),
    pickle.BUILD: lambda m: m._build(),
    pickle.BINPERSID: lambda m: m._push(m.persistent_load(m._pop())),
    # the memo
    pickle.BINPUT: lambda m: m._remember(m._number(1)),
    pickle.LONG_BINPUT: lambda m: m._remember(m._number(4)),
    pickle.MEMOIZE: lambda m: m._remember(len(m.memo)),
    pickle.BINGET: lambda m: m._recall(m._number(1)),
    pickle.LONG_BINGET: lambda m: m._recall(m._number(4)),
}
_HANDLERS: dict[int, _Handler] = {code[0]: handler for code, handler in _BY_OPCODE.items()}
