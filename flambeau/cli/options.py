"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flambeau.cli import completion

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Config keys to change, as trainer.epochs=5.",
        autocompletion=completion.overrides,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a line, for scripts.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Count bad samples and go on without them.")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--from", metavar="CKPT", help="A checkpoint file, or a run folder."),
]


def with_skip_bad(overrides: list[str] | None, skip_bad: bool) -> list[str]:
    """The config changes that the options ask for."""
    return [*(overrides or []), *(["data.skip_bad=true"] if skip_bad else [])]
