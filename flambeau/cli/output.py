"""Where words go: progress and results for people, or JSON for scripts."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

from flambeau.train.callbacks import CSVLog, JSONLog, ProgressBar, TensorBoardLog
from flambeau.train.callbacks.base import Callback
from flambeau.train.callbacks.json_log import print_json
from flambeau.train.callbacks.progress_bar import format_score


class Output:
    """What a command says.

    Arguments:
        json: whether standard output is for scripts: a JSON object a line. What people read
            then goes to standard error.
    """

    def __init__(self, json: bool = False):
        self.json = json
        self.console = Console(stderr=json, soft_wrap=True, emoji=False)

    def say(self, text: str) -> None:
        """Tells people something."""
        self.console.print(escape(text), highlight=False)

    def result(self, text: str, **values: Any) -> None:
        """Tells a result: people the text, scripts the values."""
        self.say(text)
        if self.json:
            print_json(values)

    def scores(self, scores: dict[str, float]) -> str:
        """Scores in a line, the loss last."""
        names = sorted(scores, key=lambda name: name == "loss")
        return ", ".join(f"{name} {format_score(name, scores[name])}" for name in names)

    def callbacks(self) -> list[Callback]:
        """The loggers of a training run."""
        logs: list[Callback] = [ProgressBar(self.console), CSVLog(), TensorBoardLog()]
        return [*logs, JSONLog()] if self.json else logs


def complain(message: str) -> None:
    """Writes an error to standard error, in one paragraph."""
    text = " ".join(message.split())
    console = Console(stderr=True, soft_wrap=True, emoji=False)
    console.print(f"[bold red]error:[/] {escape(text)}", highlight=False)
    sys.stderr.flush()
