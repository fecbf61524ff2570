"""`flambeau run`."""

from __future__ import annotations

from typing import Annotated

import typer

from flambeau.run.program import main


def run_program(
    context: typer.Context,
    program: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCRIPT.py|-m MODULE [ARGUMENTS]...", help="The program, and its own arguments."),
    ] = None,
) -> None:
    """Runs a program written for PyTorch as it is: `torch` stands for Flambeau in it."""
    raise typer.Exit(main([*(program or []), *context.args]))
