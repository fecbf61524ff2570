"""`flambeau config`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from flambeau.cli import completion
from flambeau.cli.options import Json, Overrides
from flambeau.cli.output import Output
from flambeau.train.config_files import settings


def config(
    name: Annotated[
        str, typer.Argument(metavar="CONFIG", help="keypoints, digits, a YAML file, or the folder of a run.", autocompletion=completion.configs)
    ],
    overrides: Overrides = None,
    meanings: Annotated[bool, typer.Option("--help-keys", help="Say what each key means.")] = False,
    json: Json = False,
) -> None:
    """Prints the merged config: every key, its value, and where the value comes from."""
    output = Output(json)
    found = settings(name, overrides or [])
    if json:
        for each in found:
            output.result("", event="setting", key=each.key, value=each.value, source=each.source)
        return
    keys = max(len(each.key) for each in found)
    values = max(len(_shown(each.value)) for each in found)
    for each in found:
        known = each.source == "the defaults"
        line = Text(f"{each.key:<{keys}}  {_shown(each.value):<{min(values, 40)}}  # {each.source}")
        if meanings and each.meaning:
            line.append(f": {each.meaning}")
        line.stylize("dim", 0 if known else keys + 2 + min(values, 40))
        output.console.print(line, highlight=False, soft_wrap=True)


def _shown(value: object) -> str:
    """A value as YAML would write it."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return str(value)
