"""`flambeau doctor`: the facts that a bug report needs."""

from __future__ import annotations

import time

import numpy as np
from rich.table import Table

import flambeau
from flambeau.cli.options import Json
from flambeau.cli.output import Output
from flambeau.train.environment import PACKAGES, environment, imported_from, version


def doctor(json: Json = False) -> None:
    """Says what is installed, what the processor can do, and whether the compiler works."""
    output = Output(json)
    facts = {
        **environment(),
        "imported from": imported_from(),
        "vector features": _vector_features(),
        "compiler": _check_compiler(),
        "missing extras": ", ".join(_missing_extras()) or "none",
    }
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name, value)
    if not json:
        output.console.print(table, highlight=False)
    else:
        output.result("", event="doctor", **facts)


def _missing_extras() -> list[str]:
    return [f"{name} ({extra})" for name, extra in PACKAGES.items() if version(name) is None]


def _vector_features() -> str:
    from llvmlite import binding

    known = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bf16", "amx-tile", "neon", "sve")
    features = binding.get_host_cpu_features()
    return ", ".join(name for name in known if features.get(name)) or "none known"


def _check_compiler() -> str:
    """Compiles a small function and compares it with what eager computes."""

    def scaled(x: flambeau.Tensor) -> flambeau.Tensor:
        return (x * 2 + 1).relu().sum()

    x = flambeau.from_numpy(np.linspace(-1, 1, 1000, dtype=np.float32))
    started = time.perf_counter()
    try:
        compiled = float(flambeau.compile(scaled)(x))
    except Exception as error:
        return f"does not work here: {type(error).__name__}: {error}"
    seconds = time.perf_counter() - started
    eager = float(scaled(x))
    if abs(compiled - eager) > 1e-3 * abs(eager):
        return f"wrong result: {compiled} instead of {eager}"
    return f"works, first call {seconds * 1000:.0f} ms"
