"""Import time, memory after import, and installed size, Flambeau beside PyTorch.

    python benchmarks/startup.py [--rounds 9]

The installed size is that of each library's own folders with those of its dependencies, as a fresh
`pip install` lays them out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
from pathlib import Path

from _timing import in_turn, spread

PROBE = """
import json, resource, time
start = time.perf_counter()
import {name}
seconds = time.perf_counter() - start
with open("/proc/self/statm") as f:
    pages = int(f.read().split()[1])
print(json.dumps(dict(seconds=seconds, mib=pages * resource.getpagesize() / 2**20)))
"""


def requirements(name: str, seen: set[str]) -> set[str]:
    """The distributions that `name` needs without extras, itself included."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return seen
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return seen
    seen.add(key)
    for line in distribution.requires or ():
        if "extra ==" not in line and ("platform_system" not in line or "Linux" in line):
            requirements(re.split(r"[ ;<>=!~\[(]", line)[0], seen)
    return seen


def installed_mib(name: str) -> float:
    """The size of the files of a distribution and of what it needs, in MiB."""
    total = 0
    for each in requirements(name, set()):
        for file in importlib.metadata.files(each) or ():
            path = Path(str(file.locate()))
            if path.is_file():
                total += path.stat().st_size
    return total / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    names = ("flambeau", "torch")
    in_turn({n: ["-c", PROBE.format(name=n)] for n in names}, 1)  # fills the file cache
    found = in_turn({n: ["-c", PROBE.format(name=n)] for n in names}, rounds)
    print(f"{'':10}{'import, s':>24}{'resident, MiB':>26}{'installed, MiB':>18}")
    for name in names:
        seconds = spread([r["seconds"] for r in found[name]], 3)
        memory = spread([r["mib"] for r in found[name]], 1)
        print(f"{name:10}{seconds:>24}{memory:>26}{installed_mib(name):>18.0f}")


if __name__ == "__main__":
    main()
