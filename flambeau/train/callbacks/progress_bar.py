"""What the terminal shows of a run: a bar, or plain lines where nobody watches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
)
from rich.table import Column

from flambeau.train.callbacks.base import Callback

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer

_PERCENT = {"nme", "accuracy"}
#: The columns of a terminal that the bar itself keeps.
_LEAST_BAR = 12


class ProgressBar(Callback):
    """A bar with loss, score, images/s, waiting for data, and time left; a line for each epoch.

    Arguments:
        console: where to write. One that is no terminal gets the lines only.
    """

    def __init__(self, console: Console):
        self.console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._started = 0.0
        self._first = 0
        self._score = ""
        self._loss: float | None = None

    def on_train_start(self, trainer: Trainer) -> None:
        progress = trainer.progress
        self._started = time.perf_counter()
        self._first = progress.step
        if progress.step:
            change = ", with learning rates planned anew" if trainer.replanned else ""
            self.console.print(f"going on from step {progress.step}{change}", highlight=False)
        if not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[state]}"),
            console=self.console,
            refresh_per_second=5,
        )
        total = trainer.config.trainer.epochs * len(trainer.loader)
        self._task = self._bar.add_task(
            "train", total=total, completed=progress.step, epoch="", state=""
        )
        self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, outputs: float, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is None:
            return
        progress = trainer.progress
        # A mean over about the last twenty steps is steadier to read than each one's loss.
        self._loss = outputs if self._loss is None else 0.95 * self._loss + 0.05 * outputs
        epoch = f"{progress.epoch + 1}/{trainer.config.trainer.epochs}"
        # What matters most comes first; what the line has no room for is left out, and the bar keeps some.
        parts = [
            f"{self._left(trainer)} left", f"loss {self._loss:#.3g}", f"{self._speed(trainer):,.0f} images/s",
            self._score.strip(), waiting(trainer.data_wait).strip(),
        ]  # fmt: skip
        room = self.console.width - len(f"epoch {epoch}") - _LEAST_BAR
        state = ""
        for part in filter(None, parts):
            if len(state) + 2 * bool(state) + len(part) > room:
                break
            state = f"{state}  {part}" if state else part
        self._bar.update(self._task, completed=progress.step, epoch=epoch, state=state)

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        row = trainer.progress.epochs[-1]
        epochs = trainer.config.trainer.epochs
        width = len(str(epochs))
        scores = "".join(
            f"  {name.removeprefix('val_')} {format_score(name.removeprefix('val_'), value)}"
            for name, value in row.items()
            if name.startswith("val_") and name != "val_loss"
        )
        self._score = scores
        best = "  *" if trainer.progress.best_epoch == row["epoch"] else ""
        line = (
            f"epoch {row['epoch']:>{width}}/{epochs}  loss {row['loss']:.4g}{scores}  "
            f"{row['images_per_second']:,.0f} images/s{waiting(row['data_wait'])}"
        )
        if self._bar is None:
            line += f"  {self._left(trainer)} left"
        self.console.print(line + best, highlight=False)

    def teardown(self, trainer: Trainer, stage: str) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _speed(self, trainer: Trainer) -> float:
        return trainer.images / max(time.perf_counter() - self._started, 1e-9)

    def _left(self, trainer: Trainer) -> str:
        progress = trainer.progress
        steps = trainer.config.trainer.epochs * len(trainer.loader) - progress.step
        done = max(1, progress.step - self._first)
        return duration(steps * (time.perf_counter() - self._started) / done)


def duration(seconds: float) -> str:
    """A time as clocks show it: `0:07`, `12:30`, `1:05:00`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def waiting(share: float) -> str:
    """How much of the time goes into waiting for data, where that is worth a word."""
    return f"  {share:.0%} data wait" if share >= 0.05 else ""


def format_score(name: str, value: float) -> str:
    """A score as people read it: shares as percentages."""
    return f"{value:.2%}" if name in _PERCENT else f"{value:.4g}"
