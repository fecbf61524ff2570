"""Plots for the report, drawn by matplotlib, each for light and for dark pages.

matplotlib is imported when the first plot is drawn: commands that draw nothing start sooner.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIGHT = {
    "ink": "#374151",
    "faint": "#e5e7eb",
    "lines": ["#2563eb", "#ea580c", "#059669", "#9333ea", "#db2777", "#0891b2", "#65a30d", "#b45309", "#475569", "#dc2626"],
}  # fmt: skip
_DARK = {
    "ink": "#cbd5e1",
    "faint": "#2b3546",
    "lines": ["#60a5fa", "#fb923c", "#34d399", "#c084fc", "#f472b6", "#22d3ee", "#a3e635", "#fbbf24", "#94a3b8", "#f87171"],
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A plot twice, as data URIs: for light pages and for dark ones."""

    title: str
    light: str
    dark: str


def plot(
    title: str, draw: Callable[[Axes], None], width: float = 6.0, height: float = 3.4
) -> Plot:
    """A plot that `draw` draws on the axes it is given."""
    light, dark = (_readable(draw, colours, width, height) for colours in (_LIGHT, _DARK))
    return Plot(title, light, dark)


def _readable(draw: Callable[[Axes], None], colours: dict[str, Any], width: float, height: float) -> str:
    """The plot with letters as shapes, or with the reader's own fonts for scripts that DejaVu Sans lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph .* missing from font", category=UserWarning)
        try:
            return _svg(draw, colours, width, height, "path")
        except UserWarning:
            warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
            return _svg(draw, colours, width, height, "none")


def _svg(
    draw: Callable[[Axes], None], colours: dict[str, Any], width: float, height: float, letters: str
) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.style import context as style

    settings = {
        "svg.hashsalt": "flambeau",
        "svg.fonttype": letters,  # shapes look the same whatever fonts the reader has
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": colours["ink"],
        "axes.labelcolor": colours["ink"],
        "axes.edgecolor": colours["faint"],
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": f"cycler('color', {colours['lines']})",
        "grid.color": colours["faint"],
        "grid.linewidth": 0.8,
        "xtick.color": colours["ink"],
        "ytick.color": colours["ink"],
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "legend.frameon": False,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
    }
    stream = io.BytesIO()
    with style(["default", settings]):
        # No global state of matplotlib's is touched: a figure of its own, a canvas of its own.
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()
