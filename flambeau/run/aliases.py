"""The names under which programs find Flambeau: `torch`, `torchvision`, and what lies below them."""

from __future__ import annotations

import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import pkgutil
import sys
import types
from collections.abc import Sequence
from pathlib import Path

#: Whole packages, and modules that lie elsewhere than their name says.
ROOTS = {"torch": "flambeau", "torchvision": "flambeau.vision"}
#: The versions whose names these are.
VERSIONS = {"torch": "2.13.0", "torchvision": "0.28.0"}
ELSEWHERE = {
    "torch.utils.tensorboard": "tensorboardX",
    "torch.utils.tensorboard.writer": "tensorboardX.writer",
    "torch.optim.adam": "flambeau.optim.adam",
    "torch.nn.modules.utils": "flambeau.nn.modules.utils",
    "torch.utils.data._utils.collate": "flambeau.utils.data.collate",
    "torch.utils.data._utils.fetch": "flambeau.utils.data.fetch",
    "torch.utils.data._utils.worker": "flambeau.utils.data.worker",
}


def name_here(name: str) -> str | None:
    """The module of ours that stands for `name`, or `None` for a name that is none of PyTorch's."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    root, dot, rest = name.partition(".")
    return f"{ROOTS[root]}{dot}{rest}" if root in ROOTS else None


class _Distribution(importlib.metadata.Distribution):
    """What an installed package says of itself, for programs that ask for PyTorch's version without importing it."""

    def __init__(self, name: str):
        self._name = name

    def read_text(self, filename: str) -> str | None:
        if filename not in ("METADATA", "PKG-INFO"):
            return None
        return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: {VERSIONS[self._name]}\n"

    def locate_file(self, path: str | os.PathLike[str]) -> Path:  # type: ignore[override]
        return Path(path)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `torch` and `torchvision`, and all below them, before Python looks for installed packages."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        ours = name_here(fullname)
        return None if ours is None else importlib.machinery.ModuleSpec(fullname, _Loader(ours))

    def find_distributions(self, context: importlib.metadata.DistributionFinder.Context) -> list[_Distribution]:
        return [_Distribution(name) for name in VERSIONS if context.name == name]


class _Loader(importlib.abc.Loader):
    """Gives a module of ours under PyTorch's name: one module, two names."""

    def __init__(self, ours: str):
        self.ours = ours

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        try:
            module = importlib.import_module(self.ours)
        except ModuleNotFoundError as error:
            if error.name is None or not (self.ours == error.name or self.ours.startswith(f"{error.name}.")):
                raise
            raise ModuleNotFoundError(
                f"No module named '{spec.name}': Flambeau has no {self.ours}{_nearest(self.ours)}", name=spec.name
            ) from None
        # The import system is about to write its own view of the module into it.
        spec.loader_state = (module.__spec__, getattr(module, "__loader__", None), getattr(module, "__package__", None))
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        state = module.__spec__.loader_state if module.__spec__ is not None else None
        if state is not None:
            module.__spec__, module.__loader__, module.__package__ = state


def _nearest(name: str) -> str:
    """`; the nearest is X`, of the modules beside the one that is not there."""
    parent, _, last = name.rpartition(".")
    try:
        holder = importlib.import_module(parent) if parent else None
    except ImportError:
        return ""
    names = [module.name for module in pkgutil.iter_modules(getattr(holder, "__path__", []))]
    found = difflib.get_close_matches(last, names, n=1)
    return f"; the nearest is {parent}.{found[0]}" if found else ""


def _tell_versions() -> None:
    """`torch.__version__` is that of the PyTorch whose names are here: programs ask it what they may use."""
    import flambeau
    from flambeau import version, vision
    from flambeau.torch_version import TorchVersion

    flambeau.__version__ = version.__version__ = TorchVersion(VERSIONS["torch"])
    vision.__version__ = VERSIONS["torchvision"]
    flambeau.torch = flambeau  # type: ignore[attr-defined]


def _tell_children() -> None:
    """Processes that `multiprocessing` starts anew find the names too."""
    from multiprocessing import set_forkserver_preload, spawn

    usual = spawn.get_command_line

    def command_line(**kwargs: object) -> list[str]:
        command = usual(**kwargs)
        return [f"from flambeau.run import installed; {c}" if "spawn_main" in str(c) else c for c in command]

    spawn.get_command_line = command_line
    set_forkserver_preload(["flambeau.run.installed", "__main__"])


def install() -> None:
    """Lets `import torch` and `import torchvision` give Flambeau in this process.

    Raises:
        RuntimeError: where PyTorch itself is imported already.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for root, ours in ROOTS.items():
        present = sys.modules.get(root)
        if present is not None and present.__name__ != ours:
            raise RuntimeError(f"{root} itself is imported in this process already; Flambeau cannot take its name")
    sys.meta_path.insert(0, _Finder())
    _tell_versions()
    _tell_children()
