"""What the shell offers at the Tab key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flambeau.cli.app import app


def offered(line: str) -> list[str]:
    """The answers to Tab at the end of a command line, as bash asks for them."""
    words = line.split(" ")
    asked = {"_FLAMBEAU_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    found = CliRunner().invoke(app, [], prog_name="flambeau", env=asked)
    return found.output.split()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine.yaml", "configs/other.yaml", "runs/digits-2/config.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("base: digits\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flambeau tr", ["train"]),
        ("flambeau train ", ["digits", "keypoints", "mine.yaml", "runs/digits-2"]),
        ("flambeau train configs/", ["configs/other.yaml"]),
        ("flambeau train digits trainer.ep", ["trainer.epochs="]),
        ("flambeau train digits trainer.clip_", ["trainer.clip_norm=", "trainer.clip_value="]),
        ("flambeau train digits checkpoint.mode=", ["checkpoint.mode=min", "checkpoint.mode=max"]),
        ("flambeau train digits trainer.compile=f", ["trainer.compile=false"]),
        ("flambeau train digits trainer.epochs=", []),
        ("flambeau test ", ["runs/digits-2", "digits-2"]),
        ("flambeau compare dig", ["digits-2"]),
        ("flambeau find learning-rate k", ["keypoints"]),
    ],
    ids=["command", "configs", "folder", "key", "keys", "choice", "switch", "number", "runs", "names", "find"],
)
def test_what_is_offered(line: str, expected: list[str]) -> None:
    assert offered(line) == expected


def test_it_can_be_put_into_a_shell() -> None:
    shown = CliRunner().invoke(app, ["--help"], prog_name="flambeau").output
    assert "--install-completion" in shown and "--show-completion" in shown


def test_the_command_line_starts_without_what_draws() -> None:
    """A Tab that takes long is not pressed twice."""
    code = "import sys, flambeau.cli.app; print('matplotlib' in sys.modules, 'llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
