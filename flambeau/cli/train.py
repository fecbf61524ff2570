"""`flambeau train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flambeau.cli.options import Json, Overrides, SkipBad, with_skip_bad
from flambeau.cli.output import Output
from flambeau.cli.session import find_run, report_validation, train_run
from flambeau.train.config_files import load_config
from flambeau.train.run_folder import RunFolder


def train(
    config: Annotated[
        str,
        typer.Argument(help="keypoints, digits, a YAML file, or the folder of a run."),
    ],
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped, bit for bit.")
    ] = False,
    skip_bad: SkipBad = False,
    json: Json = False,
) -> None:
    """Trains a network as a config says."""
    output = Output(json)
    changes = with_skip_bad(overrides, skip_bad)
    if resume:
        is_run = (Path(config) / "config.yaml").is_file()
        folder = "runs" if is_run else load_config(config, changes).folder
        name = config if is_run else load_config(config, changes).name
        run = find_run(name, folder)
        settings = run.load_config(changes)
    else:
        settings = load_config(config, changes)
        run = RunFolder.create(settings)
    trainer = train_run(settings, run, output, resume)
    report_validation(trainer, run, output)
