"""Equal functions of a module are compiled once.

Stages of different kernels often do the same: transforming the input of two convolutions of one shape, say, of which
only one has an epilogue. They differ in their names and in which arguments they take, but not in what they do
with those that they use. All but the first then only call it: a few bytes instead of a hundred thousand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

_SHORTEST = 2000  # characters that are worth a call


class Written(Protocol):
    """A function in LLVM's language: what stands before its parameters, these as declared, and its lines."""

    name: str
    head: str
    parameters: Sequence[str]
    lines: Sequence[str]


def texts(functions: Iterable[Written]) -> list[str]:
    """The text of each function, in order; equal ones call the first of them."""
    first: dict[tuple, tuple[Written, list[str]]] = {}
    found = []
    for function in functions:
        body = "\n".join(function.lines)
        if len(body) >= _SHORTEST:
            key, used = _meaning(function, body)
            original, taken = first.setdefault(key, (function, used))
            if original is not function:
                body = _call(original, dict(zip(taken, used, strict=True)))
        parameters = ", ".join(function.parameters)
        found.append(f"define {function.head}void @{function.name}({parameters}) #0 {{\nentry:\n{body}\n  ret void\n}}\n")
    return found


def _meaning(function: Written, body: str) -> tuple[tuple, list[str]]:
    """What a function does, whatever its parameters are called and those that it does not use; and those it uses."""
    declared = {p.rsplit(" ", 1)[1]: p.rsplit(" ", 1)[0] for p in function.parameters}
    numbers: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"%parameter{len(numbers)}")

    names = "|".join(map(re.escape, declared))
    text = re.sub(rf"(?:{names})\b", renamed, body) if declared else body
    return (text, *(declared[name] for name in numbers)), list(numbers)


def _call(original: Written, arguments: dict[str, str]) -> str:
    """A call of a function with these of the caller's parameters for its own; others it does not look at."""
    given = []
    for parameter in original.parameters:
        kind, name = parameter.split(" ", 1)[0], parameter.rsplit(" ", 1)[1]
        nothing = "null" if kind == "ptr" else "0"
        given.append(f"{kind} {arguments.get(name, nothing)}")
    return f"  call void @{original.name}({', '.join(given)})"
