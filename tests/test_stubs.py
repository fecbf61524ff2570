"""The type stubs say what the operator table binds."""

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import flambeau
from flambeau import Tensor, nn

net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
x = flambeau.randn(4, 2, requires_grad=True)
y: Tensor = net(x).relu().sum() + 2 * x.mean()
y.backward()
z: Tensor = (x @ x.T).softmax(dim=-1)
d: flambeau.dtype = x.dtype
x.no_such_method()
"""


def test_the_stubs_are_up_to_date():
    spec = importlib.util.spec_from_file_location("write_stubs", ROOT / "tools" / "write_stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.STUBS.items():
        assert path.read_text() == text(), f"{path.name} is out of date: run python tools/write_stubs.py"


def test_a_checker_knows_operators_and_methods(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", "--cache-dir", str(tmp_path), "program.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={"MYPYPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if "error" in line and "program.py" in line]
    assert len(errors) == 1 and "no_such_method" in errors[0], done.stdout
