"""`flambeau train`."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import typer

from flambeau.cli import completion
from flambeau.cli.options import Json, Overrides, SkipBad, with_skip_bad
from flambeau.cli.output import Output
from flambeau.cli.session import find_run, kept_once_used, report_validation, train_run
from flambeau.train.callbacks.progress_bar import format_score
from flambeau.train.config import Config
from flambeau.train.config_files import load_config
from flambeau.train.errors import UserError
from flambeau.train.folds import fold_configs
from flambeau.train.run_folder import RunFolder


def train(
    config: Annotated[
        str,
        typer.Argument(help="keypoints, digits, a YAML file, or the folder of a run.", autocompletion=completion.configs),
    ],
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped, bit for bit.")
    ] = False,
    folds: Annotated[
        int, typer.Option(help="Train so many times, each on all but one part of the data, scored on that part.")
    ] = 0,
    skip_bad: SkipBad = False,
    json: Json = False,
) -> None:
    """Trains a network as a config says."""
    output = Output(json)
    changes = with_skip_bad(overrides, skip_bad)
    if folds:
        if resume:
            raise UserError("--folds and --resume: resume the run of a fold by its own folder")
        _cross_validate(load_config(config, changes), folds, output)
        return
    if resume:
        is_run = (Path(config) / "config.yaml").is_file()
        folder = "runs" if is_run else load_config(config, changes).folder
        name = config if is_run else load_config(config, changes).name
        run = find_run(name, folder)
        trainer = train_run(run.load_config(changes), run, output, resume=True)
    else:
        settings = load_config(config, changes)
        with kept_once_used(RunFolder.create(settings)) as run:
            trainer = train_run(settings, run, output)
    report_validation(trainer, run, output)


def _cross_validate(config: Config, folds: int, output: Output) -> None:
    """Trains each fold, then says the mean of every score and how far the folds are apart."""
    scores: dict[str, list[float]] = {}
    for settings in fold_configs(config, folds):
        with kept_once_used(RunFolder.create(settings)) as run:
            trainer = train_run(settings, run, output)
        found = report_validation(trainer, run, output)
        for name, value in found.scores.items():
            scores.setdefault(name, []).append(value)
    means = {name: statistics.fmean(values) for name, values in scores.items()}
    spreads = {name: statistics.stdev(values) for name, values in scores.items()}
    lines = [
        f"{name}: {format_score(name, means[name])}, standard deviation {format_score(name, spreads[name])}"
        for name in scores
    ]
    output.result(
        f"\n{folds} folds\n" + "\n".join(lines), event="folds", folds=folds, mean=means, deviation=spreads, scores=scores
    )
