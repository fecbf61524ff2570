"""`flambeau run`: PyTorch's names stand for Flambeau's, and a name that is not there is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import torch, torchvision
import torch.nn.functional as F
import torch.optim.lr_scheduler
from torch import nn
from torch.utils.data import DataLoader
from torch.cuda.amp import GradScaler, autocast
import flambeau
assert torch is flambeau and F is flambeau.nn.functional and torchvision is flambeau.vision
assert torch.__name__ == "flambeau" and flambeau.nn.__spec__.name == "flambeau.nn"
assert not torch.cuda.is_available() and not torch.backends.mps.is_available()
assert isinstance(torch.ones(2), torch.Tensor)
print(__name__, sys.argv[1:], __file__.rpartition("/")[2])
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", [("flambeau.run",), ("flambeau.cli.main", "run")], ids=["module", "command"])
def test_a_program_as_it_is(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run(tmp_path, *command, "program.py", "--lr", "0.1", "-h")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "__main__ ['--lr', '0.1', '-h'] program.py"
    done = run(tmp_path, *command, "-m", "program", "x")
    assert done.stdout.strip() == "__main__ ['x'] program.py", done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import torch.no_such_module", "No module named 'torch.no_such_module'"),
        ("import torch.optm", "the nearest is flambeau.optim"),
        ("import torch; torch.no_such_name", "no attribute 'no_such_name'"),
        ("from torch.nn import NoSuchLayer", "cannot import name 'NoSuchLayer'"),
        ("import torch; torch.jit.save(1, 2)", "state_dict"),
    ],
)
def test_what_is_not_there_is_said(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(line + "\n")
    done = run(tmp_path, "flambeau.run", "program.py")
    assert done.returncode != 0 and message in done.stderr and "program.py" in done.stderr


def test_usage(tmp_path: Path) -> None:
    assert run(tmp_path, "flambeau.run", "nowhere.py").returncode == 2
    assert "usage" in run(tmp_path, "flambeau.run", "--help").stdout
