"""`flambeau demo`: the main job in one go."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from flambeau.cli.options import Json
from flambeau.cli.output import Output
from flambeau.cli.session import test_run, train_run
from flambeau.train.config_files import load_config
from flambeau.train.run_folder import RunFolder
from flambeau.vision.datasets import render_faces

#: Faces of each part. The parts have seeds of their own, so no test face is trained on.
FACES = {"train": (5000, 1), "validation": (200, 2), "test": (500, 3)}


def demo(
    data: Annotated[Path, typer.Option(help="Where the rendered faces go.")] = Path("data"),
    runs: Annotated[Path, typer.Option(help="Where the run folders go.")] = Path("runs"),
    json: Json = False,
) -> None:
    """Renders faces, trains on faces and on digits, tests both, and writes the reports."""
    started = time.perf_counter()
    output = Output(json)
    faces = data / "faces"
    for part, (count, seed) in FACES.items():
        if not (faces / part / "faces.txt").is_file():
            _render(faces / part, part, count, seed, output)
    changes = [f"folder={runs}"]
    folders = [f"data.{part}.args.root={faces / part}" for part in FACES]
    nme, report = _run("keypoints", "nme", [*changes, *folders], output)
    accuracy, digits_report = _run("digits", "accuracy", changes, output)
    seconds = time.perf_counter() - started
    output.result(
        f"\nkey points: error {nme:.2%} of the distance of the eyes, on faces never trained on"
        f"\ndigits:     accuracy {accuracy:.2%} on the held-out fifth"
        f"\ntime:       {seconds:.0f} s"
        f"\nopen {report} and {digits_report} in a browser",
        event="demo",
        nme=nme,
        accuracy=accuracy,
        seconds=round(seconds, 2),
        reports=[str(report), str(digits_report)],
    )


def _run(name: str, score: str, changes: list[str], output: Output) -> tuple[float, Path]:
    """Trains and tests a packaged config: its score, and its report."""
    config = load_config(name, changes)
    run = RunFolder.create(config)
    trainer = train_run(config, run, output)
    return test_run(trainer, run, output).scores[score], run.report


def _render(folder: Path, part: str, count: int, seed: int, output: Output) -> None:
    output.say(f"rendering {count} faces to {folder}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not output.console.is_terminal
    with Progress(*columns, console=output.console, transient=True, disable=hidden) as bar:
        task = bar.add_task(f"{part} faces", total=count)
        render_faces(
            folder,
            count,
            seed,
            workers=os.cpu_count() or 1,
            progress=lambda done: bar.update(task, completed=done),
        )
