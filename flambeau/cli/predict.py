"""`flambeau predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flambeau.cli.options import Checkpoint, Json
from flambeau.cli.output import Output
from flambeau.cli.session import newest_run
from flambeau.train.checkpoint import read_run_checkpoint
from flambeau.train.config_files import from_dict
from flambeau.train.errors import UserError
from flambeau.train.run_folder import RunFolder
from flambeau.train.tasks.base import Box
from flambeau.train.trainer import Trainer
from flambeau.vision.datasets.errors import SampleError
from flambeau.vision.datasets.folder import is_image_file


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Pictures, folders of them, or a list file with the boxes of faces.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder for the pictures.")],
    checkpoint: Checkpoint = None,
    box: Annotated[
        str | None,
        typer.Option("--box", help="left,top,right,bottom in pixels; else the whole picture."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count bad pictures and go on without them.")
    ] = False,
    json: Json = False,
) -> None:
    """Predicts pictures and writes them with the predictions drawn on."""
    output = Output(json)
    path = _weights(checkpoint)
    content = read_run_checkpoint(path)
    trainer = Trainer(from_dict(content["config"], str(path)))
    trainer.load(path)
    edges = _edges(box)
    questions, problems = [], []
    for image in _files(images):
        try:
            questions += trainer.task.ask(image, edges)
        except SampleError as error:
            if not skip_bad:
                raise
            problems.append(str(error))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {out}: {error.strerror}") from error
    used: set[str] = set()
    results = trainer.predict(question.sample for question in questions)
    for question, result in zip(questions, results, strict=True):
        picture, answer = trainer.task.answer(question, result)
        target = out / _free_name(question.path, used)
        try:
            picture.save(target)
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror or error}") from error
        what = f": {answer['class']} ({answer['confidence']:.0%})" if "class" in answer else ""
        output.result(
            f"{question.path}{what} -> {target}", event="predicted", out=str(target), **answer
        )
    if problems:
        output.say(f"{len(problems)} bad pictures are left out; the first: {problems[0]}")
    if not questions:
        raise UserError("none of the pictures could be used")


def _files(images: list[Path]) -> list[Path]:
    """The pictures; of a folder, all that lie in it, also in folders below."""
    found: list[Path] = []
    for path in images:
        below = [file for file in sorted(path.rglob("*")) if is_image_file(file.name)] if path.is_dir() else [path]
        if not below:
            raise UserError(f"{path}: no pictures lie in this folder")
        found += below
    return found


def _weights(checkpoint: Path | None) -> Path:
    if checkpoint is None:
        return newest_run().weights()
    return RunFolder.open(checkpoint).weights() if checkpoint.is_dir() else checkpoint


def _edges(box: str | None) -> Box | None:
    if box is None:
        return None
    try:
        left, top, right, bottom = map(float, box.split(","))
    except ValueError as error:
        raise UserError(f"--box {box}: write four numbers, left,top,right,bottom") from error
    if left >= right or top >= bottom:
        raise UserError(f"--box {box}: left must be less than right, and top less than bottom")
    return left, top, right, bottom


def _free_name(path: Path, used: set[str]) -> str:
    """A name for a picture's result that no other result of this call has."""
    name, number = f"{path.stem}.png", 2
    while name in used:
        name, number = f"{path.stem}-{number}.png", number + 1
    used.add(name)
    return name
