"""Facts about the machine and what is installed, for reports and for `flambeau doctor`."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

#: The packages that a fact is given of, and the extra that brings them; `core` comes always.
PACKAGES = {
    "numpy": "core",
    "llvmlite": "core",
    "ml_dtypes": "core",
    "safetensors": "core",
    "pillow": "vision",
    "omegaconf": "train",
    "rich": "train",
    "typer": "train",
    "matplotlib": "train",
    "tensorboardX": "train",
}


def environment() -> dict[str, str]:
    """Names and values of what may matter to a run's speed or result."""
    facts = {
        "flambeau": version("flambeau") or "not installed as a package",
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(terse=True),
        "processor": processor(),
        "cores": cores(),
    }
    return facts | {name: version(name) or "not installed" for name in PACKAGES}


def version(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return f"{value.strip()} ({platform.machine()})"
    return platform.processor() or platform.machine()


def cores() -> str:
    """How many cores the process may use, out of how many."""
    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    return str(total) if usable == total else f"{usable} of {total}"


def imported_from() -> str:
    """The folder that Flambeau is imported from."""
    return str(Path(sys.modules["flambeau"].__file__ or "").parent)
