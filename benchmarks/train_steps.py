"""Training steps against PyTorch: each framework in its own process, in turn, A B A B.

    python benchmarks/train_steps.py [--rounds 5] [--threads 2] [--rows mlp lenet16 ...] [--no-compile]

Both sides get the same weights and inputs. The gradients after the first step must be as near as
PyTorch's to PyTorch's own in double precision (in deep networks with ReLU one rounding turns a unit on or
off, so no two programs agree to the last digits). Prints medians, spread, and how often Flambeau fits into
PyTorch's time. PyTorch does the networks of large images in both of its layouts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import networks
import numpy as np

SECONDS = 1.5  # of steps in a round
CHANNELS_LAST = " channels last"  # PyTorch's other layout, as the end of a mode's name


@dataclass(frozen=True)
class Row:
    """One line of the table: a network, what it learns by, and a batch.

    `target` is the number of classes, or the shape of what a mean square error compares with.
    """

    network: Callable[[Any], Any]
    shape: tuple[int, ...]
    target: int | tuple[int, ...]
    optimizer: str = "SGD"
    options: tuple[tuple[str, float], ...] = (("lr", 1e-3), ("momentum", 0.9))

    @property
    def is_large(self) -> bool:
        """Whether its inputs are large images."""
        return self.shape[1:] == (3, 224, 224)


_ADAM = (("lr", 1e-3),)


def _keypoints(n: int, *optimizer: Any) -> Row:
    return Row(networks.face_keypoints, (n, 1, 112, 112), (n, 42), *optimizer)


TABLE = {
    "mlp": Row(networks.mlp, (64, 784), 10, "Adam", _ADAM),
    "lenet16": Row(networks.lenet, (16, 3, 32, 32), 10),
    "lenet128": Row(networks.lenet, (128, 3, 32, 32), 10),
    "keypoints16": _keypoints(16),
    "keypoints64": _keypoints(64, "Adam", _ADAM),
    "alexnet": Row(networks.alexnet, (16, 3, 224, 224), 1000),
    "resnet18": Row(networks.resnet18, (8, 3, 224, 224), 1000),
    "transformer": Row(networks.transformer, (16, 128, 256), (16, 128, 256), "AdamW", _ADAM),
    "lstm": Row(networks.lstm, (32, 64, 64), (32, 64, 128), "Adam", _ADAM),
    "keypoints1": _keypoints(1),
    "keypoints7": _keypoints(7),
    "keypoints33": _keypoints(33),
    "keypoints100": _keypoints(100),
    "lenet1": Row(networks.lenet, (1, 3, 32, 32), 10),
    "resnet18_1": Row(networks.resnet18, (1, 3, 224, 224), 1000),
}


def prepare(
    framework: str, row: str, threads: int, double: bool = False, channels_last: bool = False
) -> tuple[Any, Any, Any]:
    """(torch or flambeau, step, model) with fixed weights and inputs; `double` computes in float64, `channels_last`
    puts images and weights in that layout."""
    torch = importlib.import_module(framework)
    if framework == "torch":
        torch.set_num_threads(threads)
    else:
        from flambeau.kernels import threads as pool

        pool.set_num_threads(threads)
    what = TABLE[row]
    model, F = what.network(torch), torch.nn.functional
    random = np.random.default_rng(0)
    with torch.no_grad():
        for p in model.parameters():
            scale = 1 / np.sqrt(max(np.prod(p.shape[1:]), 1))
            p.copy_(
                torch.from_numpy(
                    (random.standard_normal(tuple(p.shape)) * scale).astype(np.float32)
                )
            )
    x = torch.from_numpy(random.standard_normal(what.shape).astype(np.float32))
    if isinstance(what.target, int):
        loss_of = F.cross_entropy
        y = torch.from_numpy(random.integers(0, what.target, what.shape[0]))
    else:
        loss_of = F.mse_loss
        y = torch.from_numpy(random.standard_normal(what.target).astype(np.float32))
    if double:
        model, x = model.double(), x.double()
        y = y.double() if y.is_floating_point() else y
    if channels_last:
        model, x = (thing.to(memory_format=torch.channels_last) for thing in (model, x))
    optimizer = getattr(torch.optim, what.optimizer)(model.parameters(), **dict(what.options))

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return torch, step, model


def work(framework: str, row: str, mode: str, threads: int, seconds: float) -> dict[str, Any]:
    """What a child process measures."""
    torch, step, model = prepare(framework, row, threads, mode == "double", mode.endswith(CHANNELS_LAST))
    before = peak_memory()
    run = torch.compile(step) if mode.startswith("compile") else step
    start = time.perf_counter()
    loss = float(run())
    first = time.perf_counter() - start
    gradients = {
        str(k): p.grad.detach().numpy().copy() for k, p in enumerate(model.parameters())
    }
    if mode == "double":
        return {"gradients": gradients}
    for _ in range(3):
        run()
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return {"median": statistics.median(times) * 1e3, "min": min(times) * 1e3, "first": first,
            "loss": loss, "gradients": gradients, "memory": peak_memory(),
            "for_steps": peak_memory() - before}  # fmt: skip


def peak_memory() -> float:
    """The most memory that this process has held, in MiB."""
    with open("/proc/self/status") as file:  # `getrusage` would count the parent's before the program began
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) / 1024


def child(args: Any) -> None:
    found = work(args.child, args.rows[0], args.mode, args.threads, args.seconds)
    np.savez(args.out, **found.pop("gradients"))
    print(json.dumps(found))


def spawn(framework: str, row: str, mode: str, args: Any, out: str) -> dict[str, Any]:
    command = [
        sys.executable, os.path.abspath(__file__), "--child", framework, "--rows", row, "--mode", mode,
        "--threads", str(args.threads), "--seconds", str(args.seconds), "--out", out,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    result = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    if result.returncode:
        raise RuntimeError(result.stderr[-2000:])
    return json.loads(result.stdout.strip().splitlines()[-1])


def error(gradients: str, exact: str) -> float:
    """The largest distance of a process's gradients from the exact ones, relative to their length."""
    with np.load(gradients) as found, np.load(exact) as truth:
        return max(
            float(np.linalg.norm(found[k] - truth[k]) / max(np.linalg.norm(truth[k]), 1e-12))
            for k in truth.files
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rows", nargs="+", choices=TABLE, default=[row for row in TABLE if row not in ("lenet1", "resnet18_1")], metavar="ROW")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="compile", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    print(
        f"{args.threads} threads, {args.rounds} rounds; ms a step: median (least - most of rounds)"
    )
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for row in args.rows:
            exact = os.path.join(folder, f"{row}-exact.npz")
            spawn("torch", row, "double", args, exact)
            modes = ["eager"] if args.no_compile else ["eager", "compile"]
            if TABLE[row].is_large:
                modes += [mode + CHANNELS_LAST for mode in modes]
            sides = [*(("torch", mode) for mode in modes), ("flambeau", "compile")]
            files = {s: os.path.join(folder, f"{row}-{s[0]}-{s[1]}.npz") for s in sides}
            found: dict[tuple[str, str], list[dict[str, Any]]] = {s: [] for s in sides}
            for _ in range(args.rounds):
                for side in sides:
                    found[side].append(spawn(side[0], row, side[1], args, files[side]))
            theirs = error(files["torch", "eager"], exact)
            worst = error(files["flambeau", "compile"], exact)
            if worst > 1e-4 + 3 * theirs:  # one unit that a rounding turns over makes 1e-5
                raise AssertionError(
                    f"{row}: gradients are wrong by {worst:.1e}, PyTorch's by {theirs:.1e}"
                )
            ours = middle(found["flambeau", "compile"], "median")
            parts = []
            for side in sides:
                times = [r["median"] for r in found[side]]
                ratio = "" if side[0] == "flambeau" else f" = {statistics.median(times) / ours:.2f} x"
                parts.append(
                    f"{side[0]} {side[1]} {statistics.median(times):.2f} "
                    f"({min(times):.2f} - {max(times):.2f}){ratio}"
                )
            first = middle(found["flambeau", "compile"], "first")
            memory = [
                f"{middle(found[s], 'memory'):.0f} ({middle(found[s], 'for_steps'):.0f})"
                for s in (("flambeau", "compile"), ("torch", "eager"))
            ]
            print(
                f"{row:12} {'; '.join(parts)}; first call {first:.2f} s; peak memory (since before the first "
                f"step) {memory[0]} MiB beside {memory[1]}; gradients within {worst:.0e}, PyTorch's {theirs:.0e}",
                flush=True,
            )
            figures[row] = {" ".join(side): found[side] for side in sides}
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)


def middle(results: list[dict[str, Any]], name: str) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(r[name] for r in results)


if __name__ == "__main__":
    main()
