"""Data loading and small tools. The parts load at first use."""

from typing import Any as _Any


def __getattr__(name: str) -> _Any:
    import importlib

    if name in ("data", "checkpoint", "hooks", "naming", "tensorboard", "dlpack", "_pytree", "model_zoo", "benchmark"):
        try:
            return importlib.import_module(f"flambeau.utils.{name}")
        except ModuleNotFoundError as e:
            if e.name != f"flambeau.utils.{name}":
                raise
    raise AttributeError(f"module 'flambeau.utils' has no attribute '{name}'")
