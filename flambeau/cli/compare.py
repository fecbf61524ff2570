"""`flambeau compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flambeau.cli import completion
from flambeau.cli.options import Json
from flambeau.cli.output import Output
from flambeau.cli.session import find_run
from flambeau.train.report.comparison import (
    difference_rows,
    read_runs,
    score_rows,
    write_comparison,
)


def compare(
    runs: Annotated[list[str], typer.Argument(help="Run folders, or their names in `runs`.", autocompletion=completion.runs)],
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("comparison.html"),
    json: Json = False,
) -> None:
    """Lays runs side by side: scores, curves, and where their configs differ."""
    output = Output(json)
    found = read_runs([find_run(_folder(name)) for name in runs])
    write_comparison(found, out)
    scores, differences = score_rows(found), difference_rows(found)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for run in found:
        table.add_column(run.name, justify="right", overflow="fold")
    for name, values in scores:
        table.add_row(name, *values)
    for key, values in differences:
        table.add_row(key, *values, style="dim")
    output.console.print(table, highlight=False)
    output.result(
        f"page {out}",
        event="comparison",
        page=str(out),
        runs=[{"name": run.name, **run.best} for run in found],
        differences=dict(differences),
    )


def _folder(name: str) -> str:
    """A run's folder by its name: of `digits` and `digits-2`, each means itself, not the newest."""
    path = Path("runs", name)
    return str(path) if (path / "config.yaml").is_file() else name
