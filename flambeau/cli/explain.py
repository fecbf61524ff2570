"""`flambeau explain`: what the compiler made of a run's training step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flambeau.cli import completion
from flambeau.cli.options import Json, Overrides
from flambeau.cli.output import Output
from flambeau.train.config_files import load_config
from flambeau.train.trainer import Trainer


def explain(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="keypoints, digits, or a YAML file.", autocompletion=completion.configs)],
    overrides: Overrides = None,
    html: Annotated[Path | None, typer.Option(help="Where to write a page with timeline and roofline.")] = None,
    json: Json = False,
) -> None:
    """Prints the graph and the kernels of the training step, each with its time and share of the machine's peak."""
    output = Output(json)
    described = load_config(config, overrides or [])
    trainer = Trainer(replace(described, trainer=replace(described.trainer, compile=True)))
    for _ in trainer.try_steps(2, lambda step: 0.0):  # the second step is what all later ones are
        pass
    text = trainer.compiled_step.explain(html)
    if html is not None:
        output.say(f"page written to {html}")
    output.result(text, event="explain", program=text)
