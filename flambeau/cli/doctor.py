"""`flambeau doctor`: the facts that a bug report needs, and whether the kernels are right."""

from __future__ import annotations

from contextlib import suppress

import typer
from rich.table import Table

import flambeau
from flambeau.cli.options import Json
from flambeau.cli.output import Output, complain
from flambeau.cli.self_test import try_kernels
from flambeau.train.environment import PACKAGES, environment, imported_from, version


def doctor(json: Json = False) -> None:
    """Says what is installed and what the processor can do, and tries the compiled kernels against NumPy."""
    output = Output(json)
    outcomes = try_kernels()
    wrong = [outcome.name for outcome in outcomes if outcome.problem]
    facts = {
        **environment(),
        "imported from": imported_from(),
        "vector features": _vector_features(),
        "code for": _code_for(),
        "threads": str(flambeau.get_num_threads()),
        "compiled programs": _kept_programs(),
        **{f"kernel, {outcome.name}": str(outcome) for outcome in outcomes},
        "missing extras": ", ".join(_missing_extras()) or "none",
    }
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name, value)
    if not json:
        output.console.print(table, highlight=False)
    else:
        output.result("", event="doctor", wrong_kernels=wrong, **facts)
    if wrong:
        complain(f"compiled programs cannot be trusted here: {', '.join(wrong)}. Please report it with these lines")
        raise typer.Exit(1)


def _kept_programs() -> str:
    """The folder in which machine code is kept, how much of it there is, and how much there may be."""
    from flambeau.kernels import cache

    try:
        most = cache.limit()
    except ValueError as error:
        return str(error)
    sizes = []
    for file in cache.folder().rglob("*"):
        with suppress(FileNotFoundError):  # another process may take old ones away
            sizes += [file.stat().st_size] if file.is_file() else []
    taken = f"{len(sizes):,} files, {sum(sizes) / 2**20:,.0f} of at most {most / 2**20:,.0f} MiB"
    kept = taken if most else "nothing is kept"
    return f"{kept}, in {cache.folder()}"


def _missing_extras() -> list[str]:
    return [f"{name} ({extra})" for name, extra in PACKAGES.items() if version(name) is None]


def _code_for() -> str:
    """The processor that kernels are made for: not the one at hand if `FLAMBEAU_CPU` names a lesser one."""
    from flambeau.kernels.target import host

    return f"{host().cpu} ({host().name})"


def _vector_features() -> str:
    from llvmlite import binding

    known = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bf16", "amx-tile", "neon", "sve")
    features = binding.get_host_cpu_features()
    return ", ".join(name for name in known if features.get(name)) or "none known"
