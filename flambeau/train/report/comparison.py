"""Runs side by side: their scores, their curves, and where their configs differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.train.callbacks.progress_bar import format_score
from flambeau.train.checkpoint import read_run_checkpoint
from flambeau.train.config_files import flat
from flambeau.train.errors import RunError
from flambeau.train.progress import Progress
from flambeau.train.report.curves import log_scale, marker_of, name_epochs
from flambeau.train.report.page import plots_html, section, write_page
from flambeau.train.report.plots import Plot, plot
from flambeau.train.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass
class Run:
    """A run as it is compared.

    Attributes:
        name: what tells it from the others: its folder's name.
        progress: its history.
        config: its config, a value for each dotted key.
    """

    name: str
    progress: Progress
    config: dict[str, Any]

    @property
    def best(self) -> dict[str, Any]:
        """The row of its best epoch."""
        epochs = self.progress.epochs
        return epochs[(self.progress.best_epoch or len(epochs)) - 1]


def read_runs(folders: Sequence[RunFolder]) -> list[Run]:
    """Reads runs from their last checkpoints.

    Raises:
        RunError: for fewer than two runs, and for a run without a complete epoch.
    """
    if len(folders) < 2:
        raise RunError("a comparison needs at least two runs")
    names = [folder.path.name for folder in folders]
    runs = []
    for folder, name in zip(folders, names, strict=True):
        checkpoint = read_run_checkpoint(folder.last)
        progress = Progress()
        progress.load_state_dict(checkpoint["progress"])
        if not progress.epochs:
            raise RunError(f"the run {folder} has no complete epoch yet")
        label = name if names.count(name) == 1 else str(folder.path)
        runs.append(Run(label, progress, flat(checkpoint["config"])))
    return runs


def score_rows(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """What each run reached in its best epoch: a name, and a text for each run."""
    names = dict.fromkeys(name for run in runs for name in run.best if name.startswith("val_"))
    rows = [
        (
            f"validation {name.removeprefix('val_')}",
            [format_score(name.removeprefix("val_"), run.best[name]) if name in run.best else "–" for run in runs],
        )
        for name in sorted(names, key=lambda name: name == "val_loss")
    ]
    rows.append(("training loss", [f"{run.best['loss']:.4g}" for run in runs]))
    rows.append(("best epoch", [f"{run.best['epoch']} of {run.progress.epoch}" for run in runs]))
    rows.append(("training time", [f"{run.progress.seconds:.1f} s" for run in runs]))
    speeds = [max(row["images_per_second"] for row in run.progress.epochs) for run in runs]
    rows.append(("images a second", [f"{speed:,.0f}" for speed in speeds]))
    return rows


def difference_rows(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """The keys of the configs that are not the same in all runs: a key, and a text for each run."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    rows = [(key, [str(run.config.get(key, "–")) for run in runs]) for key in keys if key != "name"]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def write_comparison(runs: Sequence[Run], path: Path) -> None:
    """Writes the comparison as one HTML file that needs nothing else."""
    names = dict.fromkeys(name for run in runs for row in run.progress.epochs[:1] for name in row)
    scores = [name for name in names if name.startswith("val_") and name != "val_loss"]
    plots = [plot("Training loss", lambda axes: _losses(axes, runs))]
    plots += [_curve(f"Validation: {name.removeprefix('val_')}", name, runs) for name in scores]
    if "val_loss" in names:
        plots.append(_curve("Validation: loss", "val_loss", runs, logarithmic=True))
    plots.append(_curve("Learning rate", "lr", runs))
    differences = difference_rows(runs)
    content = [
        section("Scores of the best epochs", _table(runs, score_rows(runs))),
        section("Curves", plots_html(plots)),
        section("Configs", _table(runs, differences) if differences else "<p>The configs are the same.</p>"),
    ]
    title = " and ".join([", ".join(run.name for run in runs[:-1]), runs[-1].name])
    write_page(path, title, f"{len(runs)} runs side by side", "\n".join(content))


def _losses(axes: Axes, runs: Sequence[Run]) -> None:
    for run in runs:
        points = run.progress.curve or [[row["step"], row["loss"]] for row in run.progress.epochs]
        marker = "o" if len(points) == 1 else None
        axes.plot(*zip(*points, strict=True), linewidth=1.3, marker=marker, markersize=3, label=run.name)
    log_scale(axes)
    name_epochs(axes)
    axes.set_xlabel("step")
    axes.legend()


def _curve(title: str, name: str, runs: Sequence[Run], logarithmic: bool = False) -> Plot:
    def draw(axes: Axes) -> None:
        for run in runs:
            rows = [row for row in run.progress.epochs if name in row]
            epochs, values = [row["epoch"] for row in rows], [row[name] for row in rows]
            axes.plot(epochs, values, linewidth=1.6, marker=marker_of(rows), markersize=3, label=run.name)
        if logarithmic:
            log_scale(axes)
        name_epochs(axes)
        axes.legend()

    return plot(title, draw)


def _table(runs: Sequence[Run], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    head = "".join(f"<th class=n>{escape(run.name)}" for run in runs)
    body = "".join(
        f"<tr><td>{escape(name)}" + "".join(f"<td class=n>{escape(value)}" for value in values) for name, values in rows
    )
    return f"<div class=scroll><table><thead><tr><th>{head}<tbody>{body}</table></div>"
