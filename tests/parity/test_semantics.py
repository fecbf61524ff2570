"""Small programs, statement by statement, under PyTorch and under Flambeau: they print the
same.

Each file in `semantics/` is such a program. `show(f)` prints what `f()` gives, or its error.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

PROGRAMS = sorted((Path(__file__).parent / "semantics").glob("*.py"))


def show(function: Any) -> None:
    try:
        print(function())
    except Exception as error:
        print(type(error).__name__, str(error))


def names_for(module: ModuleType) -> dict[str, Any]:
    def part(name: str) -> ModuleType:
        return importlib.import_module(f"{module.__name__}.{name}")

    return {
        "torch": module,
        "show": show,
        "nn": part("nn"),
        "func": part("func"),
        "testing": part("testing"),
        "functional": part("autograd.functional"),
        "graph": part("autograd.graph"),
        "forward_ad": part("autograd.forward_ad"),
        "checkpoint": part("utils.checkpoint"),
        "once_differentiable": part("autograd.function").once_differentiable,
    }


def printed(path: Path, module: ModuleType) -> list[tuple[str, str]]:
    """Each top-level statement of the program with what it printed."""
    source = path.read_text()
    names = names_for(module)
    results = []
    module.set_printoptions(profile="default")
    for node in ast.parse(source).body:
        text = ast.get_source_segment(source, node) or ""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            show(
                lambda node=node: exec(
                    compile(ast.Module([node], []), path.name, "exec"), names
                )
            )
        results.append((text, tidied(out.getvalue())))
    return results


def tidied(text: str) -> str:
    text = re.sub(r"0x[0-9a-f]+", "0x", text).replace(
        "flambeau.tensor.tensor.Tensor", "torch.Tensor"
    )
    return re.sub(r"(?<![\d.])-(0\.?(0*)?(e\+00)?)(?![\d.])", r"\1", re.sub(" +", " ", text))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_same_output(path: Path) -> None:
    ours, theirs = printed(path, flambeau), printed(path, torch)
    differing = [
        f"{text}\n  PyTorch: {b}\n  ours:    {a}"
        for (text, a), (_, b) in zip(ours, theirs, strict=True)
        if a != b
    ]
    assert not differing, "\n\n".join(differing)
