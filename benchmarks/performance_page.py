"""Writes docs/performance.md and its roofline from the figures of the other benchmarks.

    python benchmarks/train_steps.py --json steps.json
    python benchmarks/inference.py --json inference.json
    python benchmarks/kernels.py --json kernels.json
    python benchmarks/performance_page.py steps.json inference.json kernels.json
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from pathlib import Path
from typing import Any

from flambeau.kernels.peak import Peak

DOCS = Path(__file__).parent.parent / "docs"
#: What the rows of the table were asked to reach, beside PyTorch eager and `torch.compile`.
ASKED = {
    "mlp": (2, 1.5), "lenet16": (4, 4), "lenet128": (4.5, 4.5), "keypoints16": (5.5, 4), "keypoints64": (4.5, 3),
    "alexnet": (1.7, 1.5), "resnet18": (1.5, 1.3), "transformer": (2, 1.7), "lstm": (2, 1.5),
    "keypoints1": (1, 1), "keypoints7": (1, 1), "keypoints33": (1, 1), "keypoints100": (1, 1),
}  # fmt: skip
ASKED_OF_INFERENCE = {"keypoints1": 5, "lenet1": 4, "resnet18_1": 1.5}
ENOUGH = 0.6
#: Why kernels stay below that share, by a pattern of their names.
REASONS = (
    (r"attention .*length (32|64) ", "short: exponentials and turning weigh more beside few products; causal blocks on "
     "the diagonal are computed whole"),
    (r"attention .*gradients", "five products are counted and seven done: the scores are made anew twice"),
    (r"attention .*causal", "blocks on the diagonal are computed whole, and counted by half"),
    (r"attention .*forward", "between the products come exponentials, which count as none here"),
    (r"softmax", "arithmetic decides: an exponential a number, which counts as none here"),
    (r"gemm 1x|gemm 16x(4096|9216)", "a few rows: each weight is used so rarely that memory decides, and of the "
     "weights' bandwidth this is the larger part"),
    (r"gemm (64x128x1280|128x1280x64)", "one thread did it, as both processors shared a core at that time; with a core each it "
     "reaches 70 to 80 %"),
    (r"gemm (8x16|48x48|32x512|16x128|256x256)", "small: some microseconds, of which waking and meeting a second "
     "thread are a part"),
    (r" g\d+ ", "few channels in a group: some multiply-adds a number, so that memory decides"),
    (r"->8 |1->8|3->6|3->64", "few channels: little is reused, and edges are a large part of the work"),
    (r"4x4|23x23|25x25|7x7|14x14", "small maps: edges and remainders of tiles, and weights that serve few pixels"),
    (r"s2", "stride 2: a quarter of the work for as much input"),
    (r"pointwise \w+ (1000|100000)$", "small: a call, and for two threads to meet, cost more than the work"),
    (r"pointwise (exp|tanh|sigmoid|gelu|sin|log)", "arithmetic decides: a dozen or more operations a number, which "
     "count as none here"),
    (r"k1 s1", "1x1: one multiply-add for each pair of channels, so that reading and turning count"),
    (r"k5|k3", "direct sums: halos and remainders of tiles"),
    (r"gather|scatter", "each element is fetched from, or put, where its position says: single numbers, not lines of a cache"),
    (r"sort|top", "numbers are moved or compared many times, which is counted once"),
    (r"sum", "one pass over memory that the second cache does not hold"),
)  # fmt: skip


def middle(values: list[float]) -> float:
    return statistics.median(values)


def spread(values: list[float], digits: int = 2) -> str:
    return f"{middle(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def training(steps: dict[str, Any]) -> list[str]:
    lines = [
        "| row | PyTorch eager, ms | `torch.compile`, ms | Flambeau, ms | x eager (asked) | x compile (asked) | "
        "first call, s | peak memory, MiB (PyTorch) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, sides in steps.items():
        times = {side: [r["median"] for r in results] for side, results in sides.items()}
        ours = times["flambeau compile"]
        eager, compiled = (best(times, f"torch {mode}") for mode in ("eager", "compile"))
        asked = ASKED.get(row, ("", ""))
        memory = [middle([r["memory"] for r in sides[s]]) for s in ("flambeau compile", "torch eager")]
        first = middle([r["first"] for r in sides["flambeau compile"]])
        ratio = f"{middle(compiled) / middle(ours):.1f} ({asked[1]})" if compiled else ""
        lines.append(
            f"| {row} | {spread(eager)} | {spread(compiled) if compiled else ''} | {spread(ours)} | "
            f"{middle(eager) / middle(ours):.1f} ({asked[0]}) | {ratio} | {first:.2f} | "
            f"{memory[0]:.0f} ({memory[1]:.0f}) |"
        )
    return lines


def best(times: dict[str, list[float]], side: str) -> list[float]:
    """The times of a side in the layout that suits it best; none if it was left out."""
    return min((found for name, found in times.items() if name.startswith(side)), key=middle, default=[])


def inference(rows: dict[str, Any]) -> list[str]:
    lines = ["| row | PyTorch eager, ms | Flambeau, ms | x (asked) |", "| --- | --- | --- | --- |"]
    for row, times in rows.items():
        ratio = middle(times["torch"]) / middle(times["flambeau"])
        asked = f" ({ASKED_OF_INFERENCE[row]})" if row in ASKED_OF_INFERENCE else ""
        lines.append(f"| {row} | {spread(times['torch'], 3)} | {spread(times['flambeau'], 3)} | {ratio:.1f}{asked} |")
    return lines


def kernels(figures: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The table of all kernels, and the list of those below what is enough."""
    machine = figures["machine"]
    peak = Peak(machine["flops"] * machine["threads"], tuple(map(tuple, machine["bandwidths"])))
    lines = [
        "| kernel | Flambeau, us | PyTorch, us | x | Flambeau | PyTorch | of peak |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    low = []
    for k in figures["kernels"]:
        ours, theirs = middle(k["flambeau"]), middle(k["torch"])
        share = share_of(peak, k, ours)
        lines.append(
            f"| {k['name']} | {ours * 1e6:.1f} | {theirs * 1e6:.1f} | {theirs / ours:.2f} | "
            f"{k['work'] / ours / 1e9:.0f} {k['unit']} | {k['work'] / theirs / 1e9:.0f} {k['unit']} | {share:.0%} |"
        )
        if share < ENOUGH:
            why = next((text for pattern, text in REASONS if re.search(pattern, k["name"])), "not looked into")
            low.append(f"* {k['name']}, {share:.0%}: {why}.")
    return lines, low


def share_of(peak: Peak, kernel: dict[str, Any], seconds: float) -> float:
    if kernel["unit"] == "GFLOP/s":
        return kernel["work"] / seconds / peak.flops
    return kernel["work"] / seconds / peak.bandwidth(kernel["work"])


def roofline(figures: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    machine = figures["machine"]
    top = machine["flops"] * machine["threads"] / 1e9
    shown = [k for k in figures["kernels"] if k["unit"] == "GFLOP/s"]
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    for library, colour in (("torch", "#f58518"), ("flambeau", "#4c78a8")):
        for family, mark in (("gemm", "s"), ("conv", "o")):
            mine = [k for k in shown if k["name"].startswith(family)]
            axes.scatter(
                [k["work"] / 1e6 for k in mine], [k["work"] / middle(k[library]) / 1e9 for k in mine],
                marker=mark, color=colour, alpha=0.75, s=28, label=f"{_NAMES[library]}, {_NAMES[family]}",
            )  # fmt: skip
    axes.axhline(top, color="#777", linewidth=1)
    axes.annotate(f"{top:.0f} GFLOP/s, measured", (0.1, top), fontsize=8, va="bottom", color="#555")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("million floating-point operations a call")
    axes.set_ylabel("GFLOP/s (Winograd's counted as direct sums)")
    axes.legend(frameon=False, loc="lower right")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


_NAMES = {"torch": "PyTorch", "flambeau": "Flambeau", "gemm": "matrix products", "conv": "convolutions"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", type=Path)
    parser.add_argument("inference", type=Path)
    parser.add_argument("kernels", type=Path)
    args = parser.parse_args()
    steps, served, figures = (json.loads(p.read_text()) for p in (args.steps, args.inference, args.kernels))
    machine = figures["machine"]
    table, low = kernels(figures)
    roofline(figures, DOCS / "images" / "roofline.png")
    bandwidths = ", ".join(f"{rate / 1e9:.0f} GB/s to {size / 2**20:.0f} MiB" for size, rate in machine["bandwidths"])
    page = f"""# Performance

Written by `benchmarks/performance_page.py` from the benchmarks named below; PyTorch 2.13 and Flambeau on the same
machine, {machine["threads"]} threads, each in a process of its own, in turn; medians over rounds (least-most of
rounds). The machine is virtual and shared: look at ratios, not at times. At times its two processors share one
core's arithmetic; then a program that keeps the arithmetic busy gains nothing by a second thread, and PyTorch, which
waits more, still does (the upper ends of the key-point rows).

The LSTM row is bound by arithmetic: its 1.07 billion operations take {1.07e12 / (machine["flops"] * machine["threads"]):.1f} ms at the machine's peak.

One thread does {machine["flops"] / 1e9:.0f} GFLOP/s of multiply-adds and copies {bandwidths} (measured).

## Training steps: `benchmarks/train_steps.py`

{chr(10).join(training(steps))}

Before timing, the gradients of the first step are held against PyTorch's in double precision.

## Inference: `benchmarks/inference.py`

{chr(10).join(inference(served))}

## Kernels: `benchmarks/kernels.py`

![Speed over size](images/roofline.png)

{chr(10).join(table)}

### Below {ENOUGH:.0%} of the peak

{chr(10).join(low)}
"""
    (DOCS / "performance.md").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
