"""`flambeau find`: settings tried out before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flambeau.cli import completion
from flambeau.cli.options import Json, Overrides
from flambeau.cli.output import Output
from flambeau.train.config_files import load_config
from flambeau.train.finders import LearningRates, find_batch_size, find_learning_rate

find = typer.Typer(no_args_is_help=True, help="Tries out a learning rate or a batch size before a run.")
Name = Annotated[str, typer.Argument(metavar="CONFIG", help="keypoints, digits, or a YAML file.", autocompletion=completion.configs)]


@find.command("learning-rate")
def learning_rate(
    config: Name,
    overrides: Overrides = None,
    lowest: Annotated[float, typer.Option(help="The rate of the first step.")] = 1e-6,
    highest: Annotated[float, typer.Option(help="The rate of the last step.")] = 10.0,
    steps: Annotated[int, typer.Option(help="How many steps.")] = 100,
    plot: Annotated[Path | None, typer.Option(help="Where to draw the losses: a .png, .svg or .pdf file.")] = None,
    json: Json = False,
) -> None:
    """Raises the learning rate step by step and suggests one at which the loss falls well."""
    output = Output(json)
    found = find_learning_rate(load_config(config, overrides or []), lowest, highest, steps)
    if plot is not None:
        _draw(found, plot)
        output.say(f"losses drawn in {plot}")
    if found.suggestion is None:
        text = "the loss never fell: no rate in this range trains the network"
    else:
        low = found.rates[found.losses.index(min(found.losses))]
        text = f"the loss falls up to a rate of {low:.2g}; a good one to start with: optimizer.args.lr={found.suggestion:.2g}"
    output.result(text, event="learning_rate", suggestion=found.suggestion, rates=found.rates, losses=found.losses)


@find.command("batch-size")
def batch_size(
    config: Name,
    overrides: Overrides = None,
    smallest: Annotated[int, typer.Option(help="The first size.")] = 8,
    steps: Annotated[int, typer.Option(help="The steps that are timed at each size.")] = 10,
    share: Annotated[float, typer.Option(help="How much of the free memory may be used.")] = 0.8,
    json: Json = False,
) -> None:
    """Doubles the batch size while it fits into memory and says which is the smallest fast one."""
    output = Output(json)
    sizes, best = find_batch_size(load_config(config, overrides or []), smallest, steps, share)
    table = Table("batch size", "images/s", "memory", box=None)
    for each in sizes:
        table.add_row(str(each.size), f"{each.images_per_second:,.0f}", f"{each.memory / 2**20:,.0f} MiB")
    output.console.print(table, highlight=False)
    output.result(
        f"the smallest within 5 % of the fastest: data.batch_size={best}",
        event="batch_size",
        suggestion=best,
        sizes=[vars(each) for each in sizes],
    )


def _draw(found: LearningRates, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses)
    if found.suggestion is not None:
        axes.axvline(found.suggestion, linestyle=":", color="C1", label=f"{found.suggestion:.2g}")
        axes.legend()
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss, smoothed")
    figure.savefig(path)
