"""The architecture as a test: imports go down the floors, and the core imports little."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "flambeau"

#: Lower floors first; folders in one row may import each other.
FLOORS = [
    {"core"},
    {"kernels"},
    {"tensor", "autograd"},
    {"ops"},
    {"linalg", "fft", "special", "signal", "masked", "sparse", "func", "testing", "random"},
    {"amp", "accelerator", "backends", "cpu", "fx", "futures", "mps", "storage", "torch_version", "types", "version", "xpu"},
    {"nn", "optim", "utils", "serialization", "distributions", "cuda", "hub", "jit", "multiprocessing"},
    {"compiler", "profiler", "_dynamo", "_inductor"},
    {"vision", "metrics", "cluster", "distributed", "onnx"},
    {"train"},
    {"cli", "run", "__main__"},
]
FLOOR = {name: level for level, row in enumerate(FLOORS) for name in row}


def imports_at_load(path: Path) -> set[str]:
    """The folders of flambeau that a file imports when it is loaded (not inside functions or for types)."""
    found: set[str] = set()
    pending: list[ast.stmt] = list(ast.parse(path.read_text()).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.add(module)
            if module == "flambeau":
                found.update(f"flambeau.{a.name}" for a in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            pending += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            pending += node.body
    return {m.split(".")[1] for m in found if m.startswith("flambeau.")}


@pytest.mark.parametrize("folder", sorted(FLOOR))
def test_imports_go_down(folder: str) -> None:
    files = [ROOT / f"{folder}.py", *(ROOT / folder).rglob("*.py")]
    for path in files:
        if path.exists():
            for other in imports_at_load(path):
                if other in FLOOR:
                    assert FLOOR[other] <= FLOOR[folder], f"{path.relative_to(ROOT)} imports {other}"


def test_every_folder_has_a_floor() -> None:
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert folders <= set(FLOOR), "give new folders their floor"


def test_import_loads_only_what_the_core_needs() -> None:
    code = "import sys; import flambeau; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(loaded.stdout.split())
    allowed = set(sys.stdlib_module_names) | {"flambeau", "numpy", "ml_dtypes", "__main__"}
    extra = {m for m in modules if m not in allowed and not m.startswith("_")}
    assert extra <= {"sitecustomize", "usercustomize", "cython_runtime"}, f"import flambeau loads {sorted(extra)}"


def test_every_module_explains_itself() -> None:
    silent = [
        str(p.relative_to(ROOT))
        for p in ROOT.rglob("*.py")
        if p.stat().st_size and ast.get_docstring(ast.parse(p.read_text())) is None
    ]
    assert not silent, f"modules without a docstring: {silent}"
