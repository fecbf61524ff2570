"""What `compile` would make of a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flambeau.compiler.compiled import CompiledFunction
from flambeau.compiler.errors import Unsupported


@dataclass
class ExplainOutput:
    """What became of a function.

    Attributes:
        graphs: the graphs of its programs.
        graph_count, op_count: how many these are, and their nodes.
        graph_break_count: 1 if it runs eagerly. A function is one program, or none.
        break_reasons: why.
    """

    graphs: list[Any] = field(default_factory=list)
    break_reasons: list[str] = field(default_factory=list)

    @property
    def graph_count(self) -> int:
        return len(self.graphs)

    @property
    def graph_break_count(self) -> int:
        return len(self.break_reasons)

    @property
    def op_count(self) -> int:
        return sum(len(graph.nodes) for graph in self.graphs)

    def __str__(self) -> str:
        lines = [
            f"Graph Count: {self.graph_count}", f"Graph Break Count: {self.graph_break_count}", f"Op Count: {self.op_count}",
        ]  # fmt: skip
        lines += ["Break Reasons:", *(f"  {reason}" for reason in self.break_reasons)] if self.break_reasons else []
        return "\n".join([*lines, *(graph.text() for graph in self.graphs)])


def explain(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function that takes the arguments of `f`, calls it, and says what would be compiled: `explain(f)(x)`."""
    original = getattr(f, "_orig_mod", getattr(f, "_torchdynamo_orig_callable", f))

    def inner(*args: Any, **kwargs: Any) -> ExplainOutput:
        function = CompiledFunction(original, fullgraph=True)
        for _ in range(2):  # the first call may only set something up
            try:
                function(*args, **kwargs)
            except Unsupported as error:
                return ExplainOutput(break_reasons=[str(error)])
        return ExplainOutput([p.graph for programs in function.programs.values() for p in programs])

    return inner(*args, **kwargs) if args or kwargs else inner
