"""What a traced program takes and gives: where inputs come from, what becomes of outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau.compiler.effects import Watch
from flambeau.compiler.graph import Graph
from flambeau.compiler.places import Change
from flambeau.tensor.tensor import Tensor


@dataclass(frozen=True)
class Argument:
    """An input that is tensor number `position` of the call's arguments."""

    position: int


@dataclass(eq=False)
class Captured:
    """An input that is a tensor which the program found elsewhere: a parameter, a buffer, a global.

    Another tensor may stand there at a later call; `tensor` is the present one.
    """

    tensor: Tensor


@dataclass(frozen=True, eq=False)
class GradientOf:
    """An input that is the `.grad` of a tensor of outside, or of an argument."""

    owner: Argument | Captured


@dataclass(frozen=True, eq=False)
class HostNumber:
    """An input that is a number read at each call."""

    read: Callable[[], float]


@dataclass(frozen=True, eq=False)
class GivenNumber:
    """An input that is computed from the numbers that a call is given (see `numbers.py`)."""

    read: Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, eq=False)
class HostArray:
    """An input that is an array made at each call: random numbers, in the program's order."""

    read: Callable[[], np.ndarray]


@dataclass(frozen=True, eq=False)
class Tangent:
    """An input of a backward program: the gradient of a result."""

    position: int


class Result:
    """A tensor of new memory that each call makes.

    Attributes:
        output: the number of its value among the graph's outputs.
        order: its dimensions as they lie in memory, outermost first; `None` for row-major order.
        leaf: it requires a gradient and has no history.
        kind: its class.
    """

    __slots__ = ("kind", "leaf", "order", "output")

    def __init__(self, output: int, order: tuple[int, ...] | None, leaf: bool, kind: type):
        self.output, self.order, self.leaf, self.kind = output, order, leaf, kind


class Shown:
    """A tensor that shows memory of another: of `of`, by view steps.

    Attributes:
        of: a `Result`, `Argument`, `Captured` or `GradientOf`.
        steps: from that to this; `None` for that tensor itself.
        tracked: gradients flow from this to that.
    """

    __slots__ = ("of", "steps", "tracked")

    def __init__(self, of: Any, steps: tuple | None = None, tracked: bool = True):
        self.of, self.steps, self.tracked = of, steps, tracked


class Container:
    """In a trace's results: list, dictionary or record number `number` of the arguments."""

    __slots__ = ("number",)

    def __init__(self, number: int):
        self.number = number


@dataclass
class Check:
    """`check` sees what the views `steps` show of an input, and raises an error if it is wrong."""

    source: Any
    steps: tuple
    check: Callable[[np.ndarray], None]

    def __call__(self, array: np.ndarray) -> None:
        for primitive, rest, attributes in self.steps:
            array = primitive.compute(array, *rest, **attributes)
        self.check(array)


@dataclass
class Trace:
    """A traced program and how it meets the world.

    Attributes:
        graph: its outputs are first the new results, then `writes`, then `gradients`.
        sources: for each input of the graph, where it comes from.
        captured: the tensors of outside that it uses, as inputs or otherwise.
        same: pairs of arguments or captured tensors that are one array.
        results: what the function returned, with a `Result` or `Shown` in each tensor's place.
        new: every `Result`.
        writes: positions of inputs whose memory takes the value of the next outputs.
        gradients: (owner, whether a value follows): what becomes of each `.grad`.
        had_gradient: (owner, whether it had a `.grad`), where the program asked.
        guards: (condition, value) pairs that must hold for the program to be used again.
        number_guards: conditions on the numbers that a call is given, and their values.
        places: where numbers that vary stand, besides arguments; with their types.
        checks: what looks at the elements of inputs before each call.
        modules: what was run.
        stores: (change, its tensor): what each call assigns to attributes, globals and the like.
        contents: (container of the arguments, what it holds afterwards).
        environment: what was read of it.
    """

    graph: Graph = field(default_factory=Graph)
    sources: list[Any] = field(default_factory=list)
    captured: list[Captured] = field(default_factory=list)
    same: list[tuple[Any, Any]] = field(default_factory=list)
    results: Any = None
    new: list[Result] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    gradients: list[tuple[Any, bool]] = field(default_factory=list)
    had_gradient: list[tuple[Any, bool]] = field(default_factory=list)
    guards: list[tuple[Callable[[], Any], Any]] = field(default_factory=list)
    number_guards: list[tuple[Callable[[Sequence[Any]], Any], Any]] = field(default_factory=list)
    places: list[tuple[Change, type]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    modules: list[Any] = field(default_factory=list)
    stores: list[tuple[Change, Any]] = field(default_factory=list)
    contents: list[tuple[Container, Any]] = field(default_factory=list)
    environment: Watch | None = None
