"""Published weights by name: which file they are in, and where that is looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def locate(name: str, weights: Any) -> Path | None:
    """The file of `weights` for the model called `name`; `None` for fresh weights."""
    if weights is None:
        return None
    path = Path(os.fspath(weights))
    if not path.is_file():
        raise FileNotFoundError(f"{name}: there is no file {path}")
    return path
