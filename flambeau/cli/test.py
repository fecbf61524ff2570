"""`flambeau test`."""

from __future__ import annotations

from typing import Annotated

import typer

from flambeau.cli import completion
from flambeau.cli.options import Checkpoint, Json, Overrides, SkipBad, with_skip_bad
from flambeau.cli.output import Output
from flambeau.cli.session import find_run, test_run
from flambeau.train.checkpoint import read_checkpoint
from flambeau.train.trainer import Trainer


def test(
    run: Annotated[str, typer.Argument(help="A run folder, or a run's name for its newest.", autocompletion=completion.runs)],
    overrides: Overrides = None,
    checkpoint: Checkpoint = None,
    skip_bad: SkipBad = False,
    json: Json = False,
) -> None:
    """Scores a run's best weights on its test set and writes the report."""
    output = Output(json)
    folder = find_run(run)
    trainer = Trainer(folder.load_config(with_skip_bad(overrides, skip_bad)))
    path = checkpoint or folder.weights()
    trainer.load(path)
    # The best weights know the run up to their own epoch only.
    content = read_checkpoint(path if checkpoint or not folder.last.is_file() else folder.last)
    if "progress" in content:
        trainer.progress.load_state_dict(content["progress"])
    test_run(trainer, folder, output)
