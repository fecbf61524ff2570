"""One program under PyTorch and under Flambeau: same initial weights, same order of samples, same losses.

    python benchmarks/same_program.py [--steps 100]

Trains LeNet on the digits and the key-point network on rendered faces, with shuffled loading, and prints
the largest relative difference of the losses, eager and compiled.

Maximum pooling makes training chaotic: where two elements of a window are equal but for rounding, the last
bit decides where the gradient goes. PyTorch itself differs from PyTorch with another convolution library
by more than 1e-4 within 100 steps for many seeds and rates; the ones here are quiet.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import numpy as np


def lenet(torch: Any) -> Any:
    """LeNet for (N, 3, 32, 32), ten classes."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Dropout(0.1), nn.Linear(84, 10),
    )  # fmt: skip


def keypoint_net(torch: Any) -> Any:
    """The face key-point network for (N, 1, 112, 112), 21 points."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, 2), nn.PReLU(), nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(8, 16, 3), nn.PReLU(), nn.Conv2d(16, 16, 3), nn.PReLU(), nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(16, 24, 3), nn.PReLU(), nn.Conv2d(24, 24, 3), nn.PReLU(), nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(24, 40, 3, padding=1), nn.PReLU(), nn.Conv2d(40, 80, 3, padding=1), nn.PReLU(),
        nn.Flatten(),
        nn.Linear(1280, 128), nn.PReLU(), nn.Linear(128, 128), nn.PReLU(), nn.Linear(128, 42),
    )  # fmt: skip


JOBS = {
    "digits": (lenet, "CrossEntropyLoss", lambda optim, p: optim.SGD(p, 0.01, momentum=0.9), 16),
    "keypoints": (keypoint_net, "MSELoss", lambda optim, p: optim.Adam(p, 1e-3), 16),
}


def run(torch: Any, job: str, samples: Any, steps: int, compiled: bool = False) -> tuple[list[np.ndarray], list[float]]:
    """The initial weights and the losses of `steps` training steps."""
    build, loss_name, optimizer_of, batch = JOBS[job]
    torch.manual_seed(1)
    model = build(torch)
    weights = [p.detach().numpy().copy() for p in model.parameters()]
    criterion = getattr(torch.nn, loss_name)()
    optimizer = optimizer_of(torch.optim, model.parameters())
    data = torch.utils.data.TensorDataset(*map(torch.from_numpy, samples))
    loader = torch.utils.data.DataLoader(data, batch_size=batch, shuffle=True, drop_last=True)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    if compiled:
        step = torch.compile(step)
    losses: list[float] = []
    while len(losses) < steps:
        for x, y in loader:
            losses.append(step(x, y).item())
            if len(losses) == steps:
                break
    return weights, losses


def samples_of(job: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a job as arrays."""
    if job == "digits":
        from flambeau.vision.datasets import Digits

        data = Digits(train=True)
        pairs = [data[i] for i in range(len(data))]
        return np.stack([np.asarray(x) for x, _ in pairs]), np.asarray([int(y) for _, y in pairs], np.int64)
    from flambeau.vision.datasets import FaceKeypoints, render_faces

    with tempfile.TemporaryDirectory() as folder:
        render_faces(folder, 200, seed=1)
        faces = FaceKeypoints(folder, "faces.txt")
        pairs = [faces[i] for i in range(len(faces))]
        return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])


def main() -> None:
    import torch

    import flambeau

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps
    for job in JOBS:
        samples = samples_of(job)
        weights, losses = run(torch, job, samples, steps)
        for compiled in (False, True):
            ours, our_losses = run(flambeau, job, samples, steps, compiled)
            same = all(np.array_equal(a, b) for a, b in zip(weights, ours, strict=True))
            worst = max(abs(a - b) / abs(b) for a, b in zip(our_losses, losses, strict=True))
            print(
                f"{job:10} {'compiled' if compiled else 'eager':9} initial weights "
                f"{'bit-identical' if same else 'DIFFERENT'}, {steps} losses within {worst:.1e} "
                f"({losses[0]:.4f} -> {losses[-1]:.4f})"
            )


if __name__ == "__main__":
    main()
