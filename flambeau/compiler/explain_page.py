"""`step.explain(html=...)`: a page with the timeline of a program, its roofline, and its kernels.

The page is one file without links to anything else; plots are drawn by matplotlib.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.kernels.peak import measured

if TYPE_CHECKING:
    from flambeau.compiler.explain import Timing

_COLOURS = {
    "family": "#4c78a8", "matmul": "#f58518", "pointwise": "#54a24b", "reduce": "#b279a2", "copy": "#9d9da1",
    "copies": "#9d9da1", "view": "#9d9da1", "host": "#e45756",
}  # fmt: skip
_NAMES = {
    "family": "convolutions, pools", "matmul": "matrix products", "pointwise": "elementwise", "reduce": "reductions",
    "copy": "copies", "copies": "copies", "view": "copies", "host": "on the host",
}  # fmt: skip
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --line: #d8d8de; --soft: #66666e; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf1; --paper: #17171a; --line: #3a3a42; --soft: #a0a0aa; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p { color: var(--soft); }
img { max-width: 100%; background: #fff; border-radius: 6px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.87rem; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:last-child, td:last-child { text-align: left; white-space: normal; }
pre { overflow-x: auto; font-size: 0.8rem; }
"""


def page(programs: Sequence[tuple[str, list[Timing]]]) -> str:
    """The page for programs: the text of `explain` and the timings of each.

    Raises `ModuleNotFoundError` without matplotlib.
    """
    parts = []
    for number, (text, timings) in enumerate(programs, 1):
        total = sum(t.seconds for t in timings)
        name = f"Program {number}" if len(programs) > 1 else "The program"
        parts += [
            f"<h2>{name}: {total * 1e3:.3f} ms in {len(timings)} steps</h2>",
            "<p>Each step alone, on one thread, in the order in which they run.</p>",
            _image(lambda f, t=timings: _timeline(f, t), (10, 1.8), "Timeline of the steps"),
            _image(lambda f, t=timings: _roofline(f, t), (10, 4.6), "Roofline: speed over intensity"),
            _table(timings),
            f"<details><summary>As text, with the graph</summary><pre>{html.escape(text)}</pre></details>",
        ]
    body = "\n".join(parts) or "<p>Not called yet, or everything runs eagerly.</p>"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Compiled program</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>What was compiled</h1>\n{body}\n</body></html>\n"
    )


def _image(draw: Callable[[Any], None], size: tuple[float, float], label: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg")
    source = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{label}" src="data:image/svg+xml;base64,{source}">'


def _timeline(figure: Any, timings: Sequence[Timing]) -> None:
    axes = figure.add_subplot()
    start, named = 0.0, set()
    for t in timings:
        width, name = t.seconds * 1e3, _NAMES.get(t.kind, t.kind)
        axes.barh(
            0, width, left=start, height=0.8, color=_COLOURS.get(t.kind, "#72b7b2"), edgecolor="white", linewidth=0.3,
            label=None if name in named else name,
        )  # fmt: skip
        named.add(name)
        start += width
    axes.set_yticks([])
    axes.set_xlim(0, start)
    axes.set_xlabel("ms")
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, frameon=False)


def _roofline(figure: Any, timings: Sequence[Timing]) -> None:
    peak = measured()
    axes = figure.add_subplot()
    intensities = [2.0**k for k in range(-5, 12)]
    for (size, rate), dashes in zip(peak.bandwidths, ("-", "--", ":"), strict=False):
        roof = [min(peak.flops, x * rate) / 1e9 for x in intensities]
        label = f"{rate / 1e9:.0f} GB/s, up to {size / 2**20:.0f} MiB"
        axes.plot(intensities, roof, color="#777", linewidth=1, linestyle=dashes, label=label)
    for kind in dict.fromkeys(t.kind for t in timings):
        mine = [t for t in timings if t.kind == kind and t.flops and t.traffic and t.seconds]
        total = sum(t.seconds for t in timings)
        axes.scatter(
            [t.flops / t.traffic for t in mine], [t.flop_rate / 1e9 for t in mine],
            s=[8 + 900 * t.seconds / total for t in mine], color=_COLOURS.get(kind, "#72b7b2"), alpha=0.7,
        )  # fmt: skip
    axes.legend(loc="lower right", frameon=False)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("floating-point operations a byte")
    axes.set_ylabel("GFLOP/s")
    axes.set_title(f"one thread, at most {peak.flops / 1e9:.0f} GFLOP/s; areas are shares of the time", fontsize=9)


def _table(timings: Sequence[Timing]) -> str:
    rows = []
    for t in sorted(timings, key=lambda t: -t.seconds):
        cells = (
            f"{t.seconds * 1e6:.1f}", f"{t.flop_rate / 1e9:.1f}", f"{t.byte_rate / 1e9:.1f}", f"{t.share:.0%}",
            html.escape(t.title),
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")
    head = "".join(f"<th>{h}</th>" for h in ("us", "GFLOP/s", "GB/s", "of peak", "step"))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
