"""Programs written for PyTorch run as they are, and print PyTorch's losses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("test_"))
#: What PyTorch 2.13 printed for each; written by `python tests/programs/test_programs.py`.
STORED = FOLDER / "losses.json"


def losses(name: str, *command: str) -> list[float]:
    """The losses that a program prints."""
    done = subprocess.run(
        [sys.executable, *command, str(FOLDER / f"{name}.py")], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return [float(number) for number in re.findall(r"^loss (\S+)$", done.stdout, re.MULTILINE)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_losses(name: str) -> None:
    found = losses(name, "-m", "flambeau.run")
    np.testing.assert_allclose(found, json.loads(STORED.read_text())[name], rtol=1e-3)
    assert len(found) > 5 and found[-1] < found[0]


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_losses_beside_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    np.testing.assert_allclose(losses(name, "-m", "flambeau.run"), losses(name), rtol=1e-3)


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: losses(name) for name in PROGRAMS}, indent=1) + "\n")
