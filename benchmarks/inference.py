"""Inference at batch 1 against PyTorch: each framework in its own process, in turn.

    python benchmarks/inference.py [--rounds 5] [--threads 2] [--rows keypoints1 lenet1]

Both sides run under `inference_mode` on the same weights and inputs; results must agree first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from train_steps import TABLE

ROWS = ["keypoints1", "lenet1", "resnet18_1", "keypoints16"]


def child(args: Any) -> None:
    import importlib

    torch = importlib.import_module(args.child)
    if args.child == "torch":
        torch.set_num_threads(args.threads)
    else:
        from flambeau.kernels import threads

        threads.set_num_threads(args.threads)
    row = TABLE[args.rows[0]]
    model = row.network(torch)
    random = np.random.default_rng(0)
    with torch.no_grad():
        for p in model.parameters():
            values = random.standard_normal(tuple(p.shape)) / np.sqrt(
                max(np.prod(p.shape[1:]), 1)
            )
            p.copy_(torch.from_numpy(values.astype(np.float32)))
    x = torch.from_numpy(random.standard_normal(row.shape).astype(np.float32))
    model.eval()
    run = torch.compile(model) if args.mode == "compile" else model
    times = []
    with torch.inference_mode():
        np.save(args.out, run(x).numpy())
        for _ in range(5):
            run(x)
        until = time.perf_counter() + args.seconds
        while time.perf_counter() < until:
            start = time.perf_counter()
            run(x)
            times.append(time.perf_counter() - start)
    print(json.dumps({"median": statistics.median(times) * 1e3}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rows", nargs="+", default=ROWS)
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    sides = [("torch", "eager"), ("flambeau", "compile")]
    print(f"{args.threads} threads, {args.rounds} rounds; ms: median (least - most of rounds)")
    figures: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for row in args.rows:
            rounds: dict[str, list[float]] = {"torch": [], "flambeau": []}
            for _ in range(args.rounds):
                for framework, mode in sides:
                    command = [
                        sys.executable, os.path.abspath(__file__), "--child", framework, "--rows", row,
                        "--mode", mode, "--threads", str(args.threads), "--seconds", str(args.seconds),
                        "--out", os.path.join(folder, framework + ".npy"),
                    ]  # fmt: skip
                    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
                    result = subprocess.run(
                        command, capture_output=True, text=True, env=environment, check=False
                    )
                    if result.returncode:
                        raise RuntimeError(result.stderr[-2000:])
                    rounds[framework].append(
                        json.loads(result.stdout.splitlines()[-1])["median"]
                    )
                a, b = (
                    np.load(os.path.join(folder, f + ".npy")) for f in ("torch", "flambeau")
                )
                assert np.abs(a - b).max() <= 1e-4 * np.abs(a).max(), f"{row}: results differ"
            ours, theirs = (statistics.median(rounds[f]) for f in ("flambeau", "torch"))
            spread = {f: f"({min(t):.3f} - {max(t):.3f})" for f, t in rounds.items()}
            print(
                f"{row:12} torch eager {theirs:.3f} {spread['torch']}; flambeau compile {ours:.3f} "
                f"{spread['flambeau']}; {theirs / ours:.2f} x",
                flush=True,
            )
            figures[row] = rounds
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
