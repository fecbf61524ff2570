"""Putting the page together: scores, curves, pictures, layers, config, environment."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from flambeau.train.atomic import write_atomically
from flambeau.train.callbacks.progress_bar import format_score
from flambeau.train.config_files import to_yaml
from flambeau.train.environment import environment
from flambeau.train.report.curves import curves
from flambeau.train.report.plots import Plot, plot
from flambeau.vision.models.summary import summary

if TYPE_CHECKING:
    from PIL.Image import Image

    from flambeau.train.evaluation import Evaluation
    from flambeau.train.trainer import Trainer

_PAGE = Path(__file__).with_name("page.html")
_PICTURES = 12


def write_report(trainer: Trainer, evaluation: Evaluation, part: str, path: Path) -> None:
    """Writes the report of a run as one HTML file that needs nothing else.

    Arguments:
        trainer: the run, with its network and history.
        evaluation: the scores to show.
        part: the data set that they are of: `validation` or `test`.
        path: the file.
    """
    dataset = trainer.dataset(part)
    plots = curves(trainer.progress)
    for chart in trainer.task.charts(dataset, evaluation):
        title = f"{part.capitalize()}: {chart.title}"
        plots.append(plot(title, chart.draw, 6.0, chart.height))
    sections = [
        _cards(_headline(trainer, evaluation, part)),
        section("Curves", plots_html(plots)) if plots else "",
        _gallery(
            trainer, dataset, evaluation, evaluation.worst(_PICTURES), trainer.task.worst_title
        ),
        _gallery(trainer, dataset, evaluation, evaluation.best(_PICTURES), "Best predictions"),
        section("Network", _layers(trainer, dataset)),
        section("Config", f"<pre>{escape(to_yaml(trainer.config))}</pre>", folded=True),
        section("Environment", _facts(environment()), folded=True),
    ]
    subtitle = _subtitle(trainer, part, len(dataset))
    write_page(path, trainer.config.name, subtitle, "\n".join(filter(None, sections)))


def write_page(path: Path, title: str, subtitle: str, content: str) -> None:
    """Writes a page with its style and script in it; `content` is HTML."""
    page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(title), subtitle=escape(subtitle), content=content
    )
    data = page.encode()
    write_atomically(path, lambda file: file.write(data))


def _subtitle(trainer: Trainer, part: str, samples: int) -> str:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{trainer.config.model.target}, scored on {samples:,} {part} samples, {when}"


def _headline(trainer: Trainer, evaluation: Evaluation, part: str) -> list[tuple[str, str]]:
    progress = trainer.progress
    cards = [
        (f"{part} {name}", format_score(name, value))
        for name, value in evaluation.scores.items()
    ]
    cards.reverse()  # the loss says least
    if progress.epochs:
        seconds = progress.seconds
        minutes = f"{int(seconds) // 60} min {int(seconds) % 60} s"
        speeds = [row["images_per_second"] for row in progress.epochs]
        cards += [
            ("epochs", f"{progress.epoch}"),
            ("training time", minutes if seconds >= 60 else f"{seconds:.1f} s"),
            ("images a second", f"{max(speeds):,.0f}"),
        ]
    return cards


def _cards(cards: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f"<div class=card><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in cards
    )
    return f"<dl class=cards>{items}</dl>"


def section(title: str, content: str, folded: bool = False) -> str:
    """A part of the page under a heading; a folded one opens at a click."""
    if folded:
        return f"<details><summary><h2>{escape(title)}</h2></summary>{content}</details>"
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def plots_html(plots: Sequence[Plot]) -> str:
    """Plots beside each other, each of which opens large at a click."""
    items = "".join(
        f"<figure><figcaption>{escape(each.title)}</figcaption><button type=button><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{each.dark}">'
        f'<img src="{each.light}" alt="{escape(each.title, quote=True)}"></picture></button></figure>'
        for each in plots
    )
    return f"<div class=plots>{items}</div>"


def _gallery(
    trainer: Trainer, dataset: Any, evaluation: Evaluation, chosen: Sequence[int], title: str
) -> str:
    items = []
    for index in chosen:
        picture = trainer.task.picture(dataset, evaluation, index)
        caption = trainer.task.caption(dataset, evaluation, index)
        items.append(
            f'<figure><img src="{_png(picture)}" width="{picture.width}" '
            f'height="{picture.height}" alt="sample {index}: {escape(caption, quote=True)}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
    legend = trainer.task.legend
    note = f"<p class=legend>{legend}</p>" if legend else ""
    return section(title, f"{note}<div class=gallery>{''.join(items)}</div>")


def _png(picture: Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _layers(trainer: Trainer, dataset: Any) -> str:
    table = summary(trainer.model, (1, *dataset[0][0].shape))
    rows = "".join(
        f"<tr><td>{escape(row.name)}<td>{escape(row.kind)}"
        f"<td class=n>{' × '.join(map(str, row.output[1:]))}<td class=n>{row.parameters:,}"
        for row in table.rows
    )
    frozen = table.parameters - table.trainable
    note = f", {frozen:,} of them frozen" if frozen else ""
    shape = " × ".join(map(str, table.input[1:]))
    return (
        f"<p>{escape(table.model)}: {table.parameters:,} parameters{note}; of an input of {shape}: "
        f"{table.multiply_adds:,} multiply-adds, {table.inference_bytes / 2**20:.1f} MiB for inference, "
        f"{table.training_bytes / 2**20:.1f} MiB for training.</p><div class=scroll><table><thead><tr><th>layer<th>kind"
        f"<th class=n>output<th class=n>parameters<tbody>{rows}</table></div>"
    )


def _facts(facts: dict[str, str]) -> str:
    rows = "".join(f"<tr><td>{escape(k)}<td>{escape(v)}" for k, v in facts.items())
    return f"<div class=scroll><table><tbody>{rows}</table></div>"
