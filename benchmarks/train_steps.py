"""Training steps against PyTorch: each framework in its own process, in turn, A B A B.

    python benchmarks/train_steps.py [--rounds 5] [--threads 2] [--rows mlp lenet16 ...] [--no-compile]

Both sides get the same weights and inputs. Before anything is timed, the gradients after the first
step must agree. Prints medians, spread, and how often Flambeau fits into PyTorch's time.
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
from typing import Any

import numpy as np

ROWS = ["mlp", "lenet16", "lenet128", "keypoints16", "keypoints64", "keypoints1", "keypoints7"]
SECONDS = 1.5  # of steps in a round


def models(torch: Any, row: str) -> tuple[Any, Any, Any, Any]:
    """(model, loss, optimizer, input shape) of a row, written once for both frameworks."""
    nn, F = torch.nn, torch.nn.functional

    class LeNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 6, 5),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 16, 5),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            self.classifier = nn.Sequential(
                nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
            )

        def forward(self, x: Any) -> Any:
            return self.classifier(self.features(x).flatten(1))

    def face_keypoints() -> Any:
        def block(i: int, o: int, k: int, s: int = 1, p: int = 0) -> list:
            return [nn.Conv2d(i, o, k, stride=s, padding=p), nn.PReLU()]

        return nn.Sequential(
            *block(1, 8, 5, 2), nn.AvgPool2d(2), *block(8, 16, 3), *block(16, 16, 3),
            nn.AvgPool2d(2, ceil_mode=True), *block(16, 24, 3), *block(24, 24, 3), nn.AvgPool2d(2),
            *block(24, 40, 3, 1, 1), *block(40, 80, 3, 1, 1), nn.Flatten(), nn.Linear(1280, 128), nn.PReLU(),
            nn.Linear(128, 128), nn.PReLU(), nn.Linear(128, 42),
        )  # fmt: skip

    def sgd(p: Any) -> Any:
        return torch.optim.SGD(p, lr=1e-3, momentum=0.9)

    def adam(p: Any) -> Any:
        return torch.optim.Adam(p, lr=1e-3)

    if row == "mlp":
        mlp = nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
        )
        return mlp, F.cross_entropy, adam, (64, 784)
    if row.startswith("lenet"):
        return LeNet(), F.cross_entropy, sgd, (int(row[5:]), 3, 32, 32)
    n = int(row[9:])
    return face_keypoints(), F.mse_loss, adam if n == 64 else sgd, (n, 1, 112, 112)


def prepare(framework: str, row: str, threads: int) -> tuple[Any, Any, Any]:
    """(torch or flambeau, step, model) with fixed weights and inputs."""
    torch = importlib.import_module(framework)
    if framework == "torch":
        torch.set_num_threads(threads)
    else:
        from flambeau.kernels import threads as pool

        pool.set_num_threads(threads)
    model, loss_of, optimizer_of, shape = models(torch, row)
    random = np.random.default_rng(0)
    with torch.no_grad():
        for p in model.parameters():
            scale = 1 / np.sqrt(max(np.prod(p.shape[1:]), 1))
            p.copy_(
                torch.from_numpy(
                    (random.standard_normal(tuple(p.shape)) * scale).astype(np.float32)
                )
            )
    x = torch.from_numpy(random.standard_normal(shape).astype(np.float32))
    if row.startswith("keypoints"):
        y = torch.from_numpy(random.standard_normal((shape[0], 42)).astype(np.float32))
    else:
        y = torch.from_numpy(random.integers(0, 10, shape[0]))
    optimizer = optimizer_of(model.parameters())

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return torch, step, model


def work(framework: str, row: str, mode: str, threads: int, seconds: float) -> dict[str, Any]:
    """What a child process measures."""
    torch, step, model = prepare(framework, row, threads)
    run = torch.compile(step) if mode == "compile" else step
    start = time.perf_counter()
    loss = float(run())
    first = time.perf_counter() - start
    gradients = {
        str(k): p.grad.detach().numpy().copy() for k, p in enumerate(model.parameters())
    }
    for _ in range(3):
        run()
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return {"median": statistics.median(times) * 1e3, "min": min(times) * 1e3, "first": first,
            "loss": loss, "gradients": gradients}  # fmt: skip


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


def gradients_agree(a: str, b: str) -> float:
    """The largest difference of two processes' gradients, relative to each gradient's scale."""
    with np.load(a) as x, np.load(b) as y:
        return max(
            float(np.abs(x[k] - y[k]).max() / max(np.abs(x[k]).max(), 1e-3)) for k in x.files
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rows", nargs="+", default=ROWS)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="compile", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    sides = [("torch", "eager"), ("flambeau", "compile")]
    if not args.no_compile:
        sides.insert(1, ("torch", "compile"))
    print(
        f"{args.threads} threads, {args.rounds} rounds; ms a step: median (least - most of rounds)"
    )
    with tempfile.TemporaryDirectory() as folder:
        for row in args.rows:
            rounds: dict[tuple[str, str], list[float]] = {s: [] for s in sides}
            firsts: dict[tuple[str, str], list[float]] = {s: [] for s in sides}
            files = {s: os.path.join(folder, f"{row}-{s[0]}-{s[1]}.npz") for s in sides}
            for _ in range(args.rounds):
                for side in sides:
                    found = spawn(*[side[0], row, side[1]], args, files[side])
                    rounds[side].append(found["median"])
                    firsts[side].append(found["first"])
                worst = gradients_agree(files["torch", "eager"], files["flambeau", "compile"])
                if worst > 1e-3:
                    raise AssertionError(
                        f"{row}: gradients differ by {worst:.1e} of their scale"
                    )
            ours = statistics.median(rounds["flambeau", "compile"])
            parts = []
            for side in sides:
                times = rounds[side]
                middle = statistics.median(times)
                ratio = "" if side[0] == "flambeau" else f" = {middle / ours:.2f} x"
                parts.append(
                    f"{side[0]} {side[1]} {middle:.2f} ({min(times):.2f} - {max(times):.2f}){ratio}"
                )
            first = statistics.median(firsts["flambeau", "compile"])
            print(
                f"{row:12} {'; '.join(parts)}; first call {first:.2f} s; gradients {worst:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
