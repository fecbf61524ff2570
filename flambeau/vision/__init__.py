"""torchvision's parts under their own names: data sets, models, transforms, drawing.

Each part is imported when it is first asked for, since some need Pillow and the core does not.
"""

from typing import Any

_PARTS = ("datasets", "io", "models", "ops", "transforms", "utils")


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module 'flambeau.vision' has no attribute '{name}'")
    import importlib

    return importlib.import_module(f"flambeau.vision.{name}")
