"""Images a second of the usual augmentation of JPEG files, beside torchvision's.

RandomResizedCrop(224), a flip, ColorJitter, ToTensor and Normalize on 500 x 375 JPEG files
through a DataLoader, with the same files, seeds and workers. The files are written to a
temporary folder.

    python benchmarks/data.py [--workers 0 1 2] [--images 400] [--rounds 3] [--parts]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "parity"))

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Files:
    """A data set of JPEG files with labels, for either DataLoader."""

    def __init__(self, paths: list[Path], transform: Any) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB")), index


def write_images(folder: Path, count: int) -> list[Path]:
    """Pictures of smooth shapes with some noise, about as large as photographs' files."""
    numbers = np.random.default_rng(0)
    paths = []
    for index in range(count):
        coarse = numbers.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC))
        noisy = picture + numbers.normal(0, 6, picture.shape)
        paths.append(folder / f"{index}.jpg")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=88)
    return paths


def augmentation(T: Any) -> Any:
    return T.Compose(
        [
            T.RandomResizedCrop(224),
            T.RandomHorizontalFlip(),
            T.ColorJitter(0.4, 0.4, 0.4, 0.1),
            T.ToTensor(),
            T.Normalize(MEAN, STD),
        ]
    )


def frameworks() -> dict[str, tuple[Any, Any]]:
    """The framework and its transforms, by name; PyTorch's where both are installed."""
    import flambeau
    import flambeau.vision.transforms

    found: dict[str, tuple[Any, Any]] = {"flambeau": (flambeau, flambeau.vision.transforms)}
    try:
        from torchvision_oracle import oracle

        transforms = oracle().transforms
        import torch

        found["torchvision"] = (torch, transforms)
    except BaseException as error:  # pytest's Skipped is no Exception
        print(f"without torchvision: {error}")
    return found


def images_per_second(M: Any, T: Any, paths: list[Path], workers: int) -> float:
    M.manual_seed(0)
    loader = M.utils.data.DataLoader(
        Files(paths, augmentation(T)), batch_size=32, shuffle=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip
    for _ in loader:  # workers started, files in memory
        pass
    start = time.perf_counter()
    for _ in loader:
        pass
    return len(paths) / (time.perf_counter() - start)


def parts(M: Any, T: Any, paths: list[Path]) -> dict[str, float]:
    """Milliseconds an image of each step."""
    M.manual_seed(0)
    steps = {"decode": lambda path: Image.open(path).convert("RGB")}
    steps |= {type(step).__name__: step for step in augmentation(T).transforms}
    values: list[Any] = list(paths)
    times = {}
    for name, step in steps.items():
        start = time.perf_counter()
        values = [step(value) for value in values]
        times[name] = 1e3 * (time.perf_counter() - start) / len(paths)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help="time each step by itself")
    options = parser.parse_args()
    both = frameworks()
    for M, _ in both.values():
        M.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), options.images)
        if options.parts:
            for name, (M, T) in both.items():
                row = parts(M, T, paths)
                steps = "  ".join(f"{step} {ms:.3f}" for step, ms in row.items())
                print(f"{name:12} {sum(row.values()):6.3f} ms an image: {steps}")
        for workers in options.workers:
            rates: dict[str, list[float]] = {name: [] for name in both}
            for _ in range(options.rounds):  # in turns, so that both meet the same machine
                for name, (M, T) in both.items():
                    rates[name].append(images_per_second(M, T, paths, workers))
            middle = {name: statistics.median(values) for name, values in rates.items()}
            line = "  ".join(f"{name} {rate:.0f}" for name, rate in middle.items())
            ratio = middle["flambeau"] / middle["torchvision"] if len(middle) == 2 else float("nan")
            print(f"{workers} workers: images/s  {line}  ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
