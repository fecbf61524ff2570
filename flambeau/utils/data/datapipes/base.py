"""What data pipes are: data sets whose methods are other data pipes that read from them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar

from flambeau import ops
from flambeau.core import dtypes
from flambeau.utils.data.dataset import Dataset, IterableDataset
from flambeau.utils.data.worker import get_worker_info

C = TypeVar("C", bound=type)
T = TypeVar("T")


class DataChunk(list[T]):
    """A batch of samples, as `batch` makes it."""

    def __init__(self, items: Iterable[T]):
        super().__init__(items)
        self.items = list(self)

    def as_str(self, indent: str = "") -> str:
        """The samples on one line."""
        return indent + "[" + ", ".join(map(str, self)) + "]"

    def raw_iterator(self) -> Iterator[T]:
        """The samples."""
        return iter(list(self))


class _Pipe:
    """What both kinds share: the methods that other pipes have registered."""

    functions: ClassVar[dict[str, Callable[..., Any]]]

    def __getattr__(self, name: str) -> Any:
        functions = type(self).functions
        if name.startswith("__") or name not in functions:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}")
        return functools.partial(functions[name], self)

    @classmethod
    def register_function(cls, function_name: str, function: Callable[..., Any]) -> None:
        """Makes `pipe.function_name(...)` call `function(pipe, ...)`."""
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(cls, function_name: str, cls_to_register: Callable[..., Any]) -> None:
        """The same for a class of pipes. Raises `Exception` where the name is taken."""
        if function_name in cls.functions:
            raise Exception(f"Unable to add DataPipe function name {function_name} as it is already taken")
        cls.functions[function_name] = cls_to_register

    def __repr__(self) -> str:
        return type(self).__qualname__

    __str__ = __repr__


class IterDataPipe(_Pipe, IterableDataset[Any]):
    """A stream of samples: subclasses define `__iter__`. A pipe has one iterator; a new one ends the old one.

    A subclass may define `reset()`, which is called before each pass.
    """

    functions: ClassVar[dict[str, Callable[..., Any]]] = {}
    _passes = 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__iter__" in vars(cls):
            cls.__iter__ = _one_pass(vars(cls)["__iter__"])  # type: ignore[method-assign]

    def reset(self) -> None:
        """Nothing to do before a pass."""

    def with_shuffling(self, on: bool) -> IterDataPipe:
        """This pipe, all that shuffle before it switched on or off; with one at its end where there are none."""
        found = [p for p in _before(self) if hasattr(type(p), "set_shuffle")]
        for pipe in found:
            pipe.set_shuffle(on)
        if found or not on:
            return self
        warnings.warn(
            "`shuffle=True` was set, but the datapipe does not contain a `Shuffler`. Adding one at the end. Be aware "
            "that the default buffer size might not be sufficient for your task.",
            stacklevel=3,
        )
        return self.shuffle()


def _before(pipe: Any) -> Iterator[Any]:
    """A pipe and those that it reads from."""
    yield pipe
    for value in vars(pipe).values():
        for part in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(part, _Pipe):
                yield from _before(part)
            elif isinstance(source := getattr(part, "datapipe", None), _Pipe):  # what branches share
                yield from _before(source)


def _one_pass(begin: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """`__iter__` whose iterators know when another has begun."""

    @functools.wraps(begin)
    def wrapped(self: IterDataPipe) -> Iterator[Any]:
        self._passes += 1
        self.reset()
        return _checked(self, self._passes, begin(self))

    return wrapped


def _checked(pipe: IterDataPipe, number: int, samples: Iterator[Any]) -> Iterator[Any]:
    while True:
        if pipe._passes != number:
            raise RuntimeError(
                "This iterator has been invalidated because another iterator has been created from the same IterDataPipe: "
                f"{pipe!r}\nThis may be caused by multiple references to the same IterDataPipe. We recommend using "
                "`.fork()` if that is necessary."
            )
        try:
            sample = next(samples)
        except StopIteration:
            return
        yield sample


class MapDataPipe(_Pipe, Dataset[Any]):
    """Samples by key: subclasses define `__getitem__` and `__len__`."""

    functions: ClassVar[dict[str, Callable[..., Any]]] = {}


def seed_of_pass() -> int:
    """A seed for one pass, from the default generator; in a loader's workers the same one for all of them."""
    info = get_worker_info()
    if info is not None:
        return info.seed - info.id
    return int(ops.empty((), dtype=dtypes.int64).random_().item())


def functional_datapipe(name: str, enable_df_api_tracing: bool = False) -> Callable[[C], C]:
    """Registers a class of pipes under a name: `pipe.name(...)` is `cls(pipe, ...)`.

    Raises:
        Exception: where the name is taken.
        TypeError: for a class of another kind.
    """

    def register(cls: C) -> C:
        for kind in (IterDataPipe, MapDataPipe):
            if issubclass(cls, kind):
                kind.register_datapipe_as_function(name, cls)
                return cls
        raise TypeError(f"functional_datapipe: {cls.__name__} is neither an IterDataPipe nor a MapDataPipe")

    return register
