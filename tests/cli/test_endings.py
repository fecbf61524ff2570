"""How commands end when the world does not play along: full disks, readers that leave, impatient people."""

from __future__ import annotations

import errno
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from flambeau.train import CheckpointError, RunFolder, load_config

FLAMBEAU = [sys.executable, "-m", "flambeau.cli.main"]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def ending(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """What a command comes to that ends with `error`."""
    from flambeau.cli import app

    def fails(**options: Any) -> None:
        raise error

    monkeypatch.setattr(app, "app", fails)
    monkeypatch.delenv("FLAMBEAU_TRACEBACK", raising=False)
    return app.run()


def test_a_disk_without_room_for_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flambeau.train.atomic.os.fsync", full)
    with pytest.raises(CheckpointError, match=r"the disk is full: .*config\.yaml could not be written, nothing was"):
        RunFolder.create(load_config("digits", [f"folder={tmp_path}"]))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(OSError(errno.ENOSPC, "No space left on device"), monkeypatch) == 1
    assert "error: the disk is full: No space left on device" in said(capsys)


def test_a_place_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(PermissionError(errno.EACCES, "Permission denied", "there/a.png"), monkeypatch) == 1
    assert "error: there/a.png: Permission denied; FLAMBEAU_TRACEBACK=1" in said(capsys)


def test_other_errors_of_the_system_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="strange"):
        ending(OSError(errno.EIO, "strange"), monkeypatch)


def test_ctrl_c_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(SystemExit(130), monkeypatch) == 130
    assert "error: stopped at once; what the last checkpoint holds is kept" in said(capsys)


def test_a_reader_that_has_read_enough(tmp_path: Path) -> None:
    done = subprocess.Popen([*FLAMBEAU, "config", "digits"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stdout is not None and done.stderr is not None
    done.stdout.close()
    assert b"Traceback" not in done.stderr.read()
    done.wait()
    done.stderr.close()


def test_ctrl_c_while_the_program_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from flambeau.cli.main import main

    class Interrupted(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "flambeau.cli.app", Interrupted("app"))
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
