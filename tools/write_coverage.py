"""Writes the tables of docs/coverage.md: which of PyTorch's names are there, partly there, or not.

    python tools/write_coverage.py           # from tools/torch_names.json, without PyTorch
    python tools/write_coverage.py --names   # first reads the names from an installed PyTorch

A name is partly there where parameters of PyTorch's function are missing. What stands outside of the marks in the
page is written by hand.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NAMES = ROOT / "tools" / "torch_names.json"
PAGE = ROOT / "docs" / "coverage.md"
BEGIN, END = "<!-- names: written by tools/write_coverage.py -->", "<!-- end of names -->"

SPACES = (
    "torch", "torch.Tensor", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.utils.rnn",
    "torch.nn.utils.parametrize", "torch.nn.utils.prune", "torch.optim", "torch.optim.lr_scheduler",
    "torch.optim.swa_utils", "torch.utils.data", "torch.utils.checkpoint", "torch.autograd", "torch.autograd.functional",
    "torch.func", "torch.linalg", "torch.fft", "torch.special", "torch.sparse", "torch.signal.windows", "torch.amp",
    "torch.distributions", "torch.profiler", "torch.testing", "torch.serialization",
)  # fmt: skip
#: Names of other machines, of TorchScript, of quantization, and of PyTorch's own insides.
_OTHERS = (
    "cudnn", "miopen", "mkldnn", "fbgemm", "quantize", "quantized", "q_", "qscheme", "int_repr", "dequantize", "fake_",
    "fused_", "sym_", "Sym", "batch_norm_", "native_", "Script", "parse_", "merge_type", "unify_type", "import_ir",
    "autocast_", "choose_q", "init_num", "prepare_multi", "profiler_allow", "compiled_with", "get_file", "thread_safe",
    "handle_torch", "has_torch", "is_vulkan", "vitals", "read_vitals", "set_vital", "get_device_module",
)  # fmt: skip


def resolve(space: str, root: Any) -> Any:
    found = root
    for part in space.split(".")[1:]:
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(f"{root.__name__}.{'.'.join(space.split('.')[1:])}")
            except ImportError:
                return None
    return found


def parameters(function: Any) -> list[str] | None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in signature.parameters.values() if p.kind not in kinds]


def read_names() -> None:
    """Stores PyTorch's public names with their parameters."""
    import torch

    stored: dict[str, dict[str, list[str] | None]] = {"version": {torch.__version__.partition("+")[0]: None}}
    for space in SPACES:
        home = resolve(space, torch)
        listed = getattr(home, "__all__", None) if inspect.ismodule(home) and space != "torch" else None
        names = listed or [n for n in dir(home) if not n.startswith("_")]
        public = {}
        for name in sorted(set(names)):
            value = getattr(home, name, None)
            mine = space in ("torch", "torch.Tensor") or str(getattr(value, "__module__", "torch")).startswith("torch")
            if name.startswith(_OTHERS) or not callable(value) or not mine:
                continue
            if space == "torch" and inspect.isclass(value) and value.__module__ == "torch._C":
                continue
            public[name] = parameters(value.__init__ if inspect.isclass(value) else value)
        stored[space] = public
    NAMES.write_text(json.dumps(stored, indent=0, sort_keys=True) + "\n")


def tables() -> str:
    """The generated part of the page."""
    import flambeau

    stored = json.loads(NAMES.read_text())
    (version,) = stored.pop("version")
    lines = [
        BEGIN, "", f"Names of PyTorch {version}. \"Partly\" lacks parameters, which are named.", "",
        "| namespace | there | partly | not |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    details = []
    for space in SPACES:
        home, names = resolve(space, flambeau), stored[space]
        missing, partly = [], []
        for name, wanted in names.items():
            found = getattr(home, name, None)
            if found is None:
                missing.append(name)
                continue
            lacking = lacking_parameters(found, wanted)
            if lacking:
                partly.append(f"`{name}` ({', '.join(lacking)})")
        there = len(names) - len(missing) - len(partly)
        lines.append(f"| `{space}` | {there} | {len(partly)} | {len(missing)} |")
        if missing or partly:
            details += ["", f"**`{space}`**", ""]
        if partly:
            details.append(f"* partly: {', '.join(partly)}")
        if missing:
            details.append(f"* not: {', '.join(f'`{n}`' for n in missing)}")
    return "\n".join([*lines, *details, "", END])


def lacking_parameters(found: Any, wanted: list[str] | None) -> list[str]:
    """Parameters of PyTorch's that ours does not have; none where it takes any."""
    if not wanted:
        return []
    try:
        own = inspect.signature(found.__init__ if inspect.isclass(found) else found).parameters
    except (TypeError, ValueError):
        return []
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in own.values()):
        return []
    return [name for name in wanted if name not in own and not name.startswith("_") and name != "self"]


def page() -> str:
    """The whole page: what is written by hand, with new tables."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before.rstrip()}\n\n{tables()}\n{after.lstrip(chr(10)) and chr(10)}{after.lstrip(chr(10))}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", action="store_true", help="read PyTorch's names anew")
    if parser.parse_args().names:
        read_names()
    PAGE.write_text(page(), "utf-8")
