"""`flambeau finetune`."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from flambeau.cli import completion
from flambeau.cli.options import Json, Overrides, SkipBad, with_skip_bad
from flambeau.cli.output import Output
from flambeau.cli.session import kept_once_used, report_validation, train_run
from flambeau.train.checkpoint import read_run_checkpoint
from flambeau.train.config_files import from_dict, load_config
from flambeau.train.run_folder import RunFolder


def finetune(
    checkpoint: Annotated[
        Path, typer.Option("--from", metavar="CKPT", help="A checkpoint, or a run folder.")
    ],
    config: Annotated[
        str | None,
        typer.Argument(help="The config; the checkpoint's own, if it is left out.", autocompletion=completion.configs),
    ] = None,
    overrides: Overrides = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option("--freeze", help="Names of parameters or layers to keep, with * and ?."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the weights that fit and leave the others as they are.")
    ] = False,
    skip_bad: SkipBad = False,
    json: Json = False,
) -> None:
    """Trains on from a checkpoint's weights; a last layer of another width starts anew."""
    output = Output(json)
    if config is not None and "=" in config:
        config, overrides = None, [config, *(overrides or [])]  # type: ignore[list-item]
    path = RunFolder.open(checkpoint).weights() if checkpoint.is_dir() else checkpoint
    changes = [f"finetune.checkpoint={jsonlib.dumps(str(path))}"]
    if freeze:
        changes.append(f"finetune.freeze={jsonlib.dumps(freeze)}")
    if partial:
        changes.append("finetune.partial=true")
    changes += with_skip_bad(overrides, skip_bad)
    if config is not None:
        settings = load_config(config, changes)
    else:
        stored = read_run_checkpoint(path)["config"]
        stored["name"] = f"{stored['name']}-finetuned"
        stored.pop("finetune", None)  # where that run started from, and what it froze
        settings = from_dict(stored, str(path), changes)
    with kept_once_used(RunFolder.create(settings)) as run:
        trainer = train_run(settings, run, output)
    if trainer.frozen:
        output.say(f"frozen: {', '.join(trainer.frozen)}")
    report_validation(trainer, run, output)
