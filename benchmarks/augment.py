"""Augmenting a batch that is a tensor: RandomResizedCrop, flip, ColorJitter and Normalize beside torchvision's.

    python benchmarks/augment.py [--rounds 9] [--threads 2] [--batch 32] [--size 256]

Both get the same batch, in turn, with crops and factors drawn anew each time. The first rounds, in which Flambeau compiles
the pipeline, are shown apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "parity"))
_COMPILING = 24  # batches


def pipeline(transforms: ModuleType) -> Any:
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(224, antialias=True),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )


def seconds(transform: Any, batch: Any, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        transform(batch)
    return (time.perf_counter() - start) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--rounds", 9), ("--threads", 2), ("--batch", 32), ("--size", 256)):
        parser.add_argument(name, type=int, default=default)
    options = parser.parse_args()
    import torch
    from torchvision_oracle import oracle

    import flambeau
    import flambeau.vision.transforms as ours

    torch.set_num_threads(options.threads)
    flambeau.set_num_threads(options.threads)
    images = torch.rand(options.batch, 3, options.size, options.size)
    sides = [(pipeline(oracle().transforms), images), (pipeline(ours), flambeau.from_numpy(images.numpy()))]
    first = [seconds(*side, _COMPILING) for side in sides]
    rounds = [[seconds(*side, 8) for side in sides] for _ in range(options.rounds)]
    columns = list(zip(*rounds, strict=True))
    for name, begin, column in zip(("torchvision", "flambeau"), first, columns, strict=True):
        rates = [options.batch / t for t in column]
        print(
            f"{name:12s} {statistics.median(rates):7.0f} images/s ({min(rates):.0f} - {max(rates):.0f}); "
            f"first {_COMPILING} batches {options.batch / begin:.0f}"
        )
    print(f"ratio {statistics.median(a / b for a, b in rounds):.2f}")


if __name__ == "__main__":
    main()
