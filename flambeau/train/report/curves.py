"""The curves of a run: loss, scores, learning rate."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.train.progress import Progress
from flambeau.train.report.plots import Plot, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Scores that are shares of one, which people read as percentages.
_SHARES = {"nme": "error (NME), %", "accuracy": "accuracy, %"}


def curves(progress: Progress) -> list[Plot]:
    """A plot of the losses, and one of each validation score and of the learning rate."""
    rows = progress.epochs
    if not rows:
        return []
    found = [plot("Loss", lambda axes: _losses(axes, progress))]
    for name in rows[0]:
        score = name.removeprefix("val_")
        if name.startswith("val_") and score != "loss":
            found.append(_score(score, name, rows))
    found.append(plot("Learning rate", lambda axes: _rates(axes, rows)))
    if "grad_norm" in rows[0]:
        found.append(plot("Norm of the gradients, mean of an epoch", lambda axes: _norms(axes, rows)))
    if "data_wait" in rows[0]:
        found.append(plot("Where the training time went", lambda axes: _time(axes, rows)))
    return found


def _losses(axes: Axes, progress: Progress) -> None:
    rows = progress.epochs
    # Of a short run, the steps' points are few; those of its epochs are there always.
    points = progress.curve if len(progress.curve) > 1 else [[row["step"], row["loss"]] for row in rows]
    axes.plot(*zip(*points, strict=True), linewidth=1.1, marker=marker_of(points), markersize=2, label="training")
    if "val_loss" in rows[0]:
        steps = [row["step"] for row in rows]
        values = [row["val_loss"] for row in rows]
        axes.plot(steps, values, linewidth=1.8, marker=marker_of(rows), markersize=3, label="validation")
    log_scale(axes)
    name_epochs(axes)
    axes.set_xlabel("step")
    axes.legend()


def log_scale(axes: Axes) -> None:
    """Values on a logarithmic scale, marked at 1, 2 and 5 times the powers of ten; zeros alone need none."""
    if not any((np.asarray(line.get_ydata(), float) > 0).any() for line in axes.get_lines()):
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _score(score: str, name: str, rows: list[dict[str, Any]]) -> Plot:
    scale = 100 if score in _SHARES else 1

    def draw(axes: Axes) -> None:
        _line(axes, rows, [scale * row[name] for row in rows], "C1")

    return plot(f"Validation: {_SHARES.get(score, score)}", draw)


def _rates(axes: Axes, rows: list[dict[str, Any]]) -> None:
    _line(axes, rows, [row["lr"] for row in rows], "C2")
    axes.set_ylim(bottom=0)


def _norms(axes: Axes, rows: list[dict[str, Any]]) -> None:
    _line(axes, rows, [row["grad_norm"] for row in rows], "C1")
    log_scale(axes)


def _line(axes: Axes, rows: list[dict[str, Any]], values: list[float], color: str) -> None:
    """A value of each epoch."""
    epochs = [row["epoch"] for row in rows]
    axes.plot(epochs, values, linewidth=1.8, marker=marker_of(rows), markersize=3, color=color)
    name_epochs(axes)


def marker_of(rows: Sized) -> str | None:
    """Points are marked where they are few; a single one is no line."""
    return "o" if len(rows) <= 40 else None


def name_epochs(axes: Axes) -> None:
    """Whole numbers below, also where there is one alone."""
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)  # type: ignore[call-arg]


def _time(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Shares of each epoch: waiting for data below, computing above."""
    epochs = [row["epoch"] for row in rows]
    waiting = [100 * row["data_wait"] for row in rows]
    axes.bar(epochs, waiting, width=0.8, color="C1", label="waiting for data")
    axes.bar(epochs, [100 - share for share in waiting], bottom=waiting, width=0.8, color="C0", label="computing")
    name_epochs(axes)
    axes.set_ylabel("% of the time")
    axes.set_ylim(0, 100)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
