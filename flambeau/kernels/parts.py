"""Large modules are compiled in parts, by several processes at once.

Instruction selection takes nearly all the time of a first compile, and LLVM does it on one thread. So the functions of
a long module are dealt out; this process compiles one part and others, which only load LLVM, the rest. Linked together
they are the same program. Where no other process can be started, this one does it all.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flambeau.kernels import codegen
from flambeau.kernels.target import cores

_WORTH_A_PROCESS = 1_500_000  # characters: a second's work
_MOST = 8
_NAMES = re.compile(r'@[\w.$-]+')


def count(characters: int) -> int:
    """How many parts a module of so many characters should have on this machine, as busy as it is."""
    name = Path(sys.executable or "").name.lower()
    if characters < 2 * _WORTH_A_PROCESS or getattr(sys, "frozen", False) or not name.startswith(("python", "pypy")):
        return 1  # others do not start as Python does
    return max(1, min(_idle_cores(), _MOST, characters // _WORTH_A_PROCESS))


def _idle_cores() -> int:
    """This process's core and its share of those that nobody uses."""
    busy = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
    return 1 + int((cores() - 1) * max(0.0, 1.0 - busy) + 0.5)


def split(declarations: Sequence[str], functions: dict[str, str], attributes: str, parts: int) -> list[str]:
    """The texts of modules that together are one, each about as long as the others.

    Args:
        declarations: of functions of other libraries, and constants, each of which a part may have for itself.
        functions: texts by name. attributes: what ends each module.
    """
    dealt: list[list[str]] = [[] for _ in range(parts)]
    lengths = [0] * parts
    for name in sorted(functions, key=lambda name: -len(functions[name])):
        shortest = lengths.index(min(lengths))
        dealt[shortest].append(name)
        lengths[shortest] += len(functions[name])
    declared = {_NAMES.findall(d)[0]: d for d in declarations}
    heads = {f"@{name}": _head(text) for name, text in functions.items()}
    return [_module(names, declared, functions, heads, attributes) for names in dealt if names]


def _module(
    names: Sequence[str], declared: dict[str, str], functions: dict[str, str], heads: dict[str, str], attributes: str
) -> str:
    own = {f"@{name}" for name in names}
    bodies = [functions[name].replace("define internal ", "define ", 1) for name in names]
    needed: dict[str, None] = {}
    waiting = ["\n".join(bodies)]
    while waiting:
        for name in dict.fromkeys(_NAMES.findall(waiting.pop())):
            if name not in needed and name not in own:
                needed[name] = None
                waiting.append(declared.get(name, ""))
    given = [declared[name] if name in declared else heads[name] for name in needed]
    return "\n".join([*given, "", *bodies, attributes])


def _head(text: str) -> str:
    """The declaration of a defined function."""
    name, parameters = re.match(r"define (?:internal )?void (@[\w.$-]+)\(([^)]*)\)", text).groups()  # type: ignore[union-attr]
    return f"declare void {name}({', '.join(p.split(' ', 1)[0] for p in parameters.split(', ') if p)})"


def objects(llvm: Any, machine: Any, settings: codegen.Settings, texts: Sequence[str]) -> list[bytes]:
    """The object file of each part: the first is made here."""
    with ThreadPoolExecutor(max_workers=max(len(texts) - 1, 1)) as waiting:
        others = [waiting.submit(_elsewhere, codegen.request(llvm, settings, text)) for text in texts[1:]]
        made: list[bytes | None] = [codegen.object_of(llvm, machine, texts[0])]
        made += [other.result() for other in others]
    return [codegen.object_of(llvm, machine, text) if o is None else o for o, text in zip(made, texts, strict=True)]


def _elsewhere(request: bytes) -> bytes | None:
    """What another process makes of a request, or `None` if it does not."""
    with contextlib.suppress(OSError):
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        done = subprocess.run(
            [sys.executable, "-I", "-S", os.path.abspath(codegen.__file__)], input=request, capture_output=True,
            creationflags=flags, check=False,
        )  # fmt: skip
        if done.returncode == 0 and done.stdout:
            return done.stdout
    return None
