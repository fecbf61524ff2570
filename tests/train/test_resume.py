"""A stopped run goes on bit for bit: after Ctrl-C, after SIGKILL at any moment, after a full disk."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import flambeau
from flambeau.train.atomic import write_atomically
from flambeau.train.config_files import load_config
from flambeau.train.errors import CheckpointError, NonFiniteError
from flambeau.train.run_folder import RunFolder
from flambeau.train.trainer import Trainer

#: A run that takes a second or two, with a checkpoint every few steps.
SMALL = ["trainer.epochs=2", "data.batch_size=128", "checkpoint.every_steps=3"]


def command(folder: Path, *more: str) -> list[str]:
    where = [] if "--resume" in more else [f"folder={folder}"]
    return [sys.executable, "-m", "flambeau.cli.main", "train", *more, *where]


def start(folder: Path, *more: str) -> subprocess.Popen:
    environment = {**os.environ, "FLAMBEAU_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(folder, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    )


def weights(run: Path) -> dict[str, np.ndarray]:
    state = flambeau.load(run / "last.pt")["model"]
    return {name: t.numpy() for name, t in state.items()}


def assert_equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


OPTIONS = SMALL


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], float]:
    folder = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    process = start(folder, "digits", *OPTIONS)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    return weights(folder / "digits"), time.monotonic() - began


def kill_and_resume(folder: Path, moments: list[float]) -> dict[str, np.ndarray]:
    """Kills the run after each of `moments` seconds, resuming it each time, then lets it end."""
    run = folder / "digits"
    for delay in [*moments, None]:
        resumable = (run / "last.pt").exists()
        if run.exists() and not resumable:
            for file in sorted(run.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
            run.rmdir()
        more = (str(run), "--resume") if resumable else ("digits", *OPTIONS)
        process = subprocess.Popen(
            command(folder, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "FLAMBEAU_NUM_THREADS": "1"},
        )  # fmt: skip
        if delay is None:
            output, _ = process.communicate(timeout=200)
            assert process.returncode == 0, output
        else:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.communicate()
    return weights(run)


def test_killed_runs_end_like_undisturbed_ones(tmp_path: Path, undisturbed: tuple) -> None:
    expected, seconds = undisturbed
    moments = [random.Random(0).uniform(0.5, 1.0) * seconds for _ in range(2)]
    assert_equal(kill_and_resume(tmp_path, moments), expected)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_random_kills(tmp_path: Path, undisturbed: tuple) -> None:
    expected, seconds = undisturbed
    rng = random.Random(1)
    done = 0
    while done < 50:
        count = min(rng.randint(1, 5), 50 - done)
        moments = [rng.uniform(0.2, 1.1) * seconds for _ in range(count)]
        folder = tmp_path / str(done)
        folder.mkdir()
        assert_equal(kill_and_resume(folder, moments), expected)
        done += count


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path, undisturbed: tuple) -> None:
    expected, seconds = undisturbed
    process = start(tmp_path, "digits", *OPTIONS, "trainer.epochs=2")
    deadline = time.monotonic() + 60
    while not (tmp_path / "digits" / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    run = tmp_path / "digits"
    if process.returncode != 0:
        assert "--resume" in output
        again = subprocess.run(
            command(tmp_path, str(run), "--resume"), capture_output=True, text=True, timeout=200, check=False
        )
        assert again.returncode == 0, again.stdout + again.stderr
    assert_equal(weights(run), expected)


def trainer(tmp_path: Path, *changes: str) -> Trainer:
    config = load_config("digits", [*OPTIONS, f"folder={tmp_path}", *changes])
    return Trainer(config, RunFolder.create(config))


def test_a_loss_that_is_nan_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    t = trainer(tmp_path, "optimizer.args.lr=1e20", "trainer.epochs=3")
    with pytest.raises(NonFiniteError, match="step"):
        t.fit()
    last = tmp_path / "digits" / "last.pt"
    if last.exists():
        assert all(np.isfinite(v).all() for v in weights(tmp_path / "digits").values())


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "last.pt"
    flambeau.save({"a": flambeau.ones(3)}, target)
    before = target.read_bytes()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="the disk is full"):
        write_atomically(target, lambda f: f.write(b"new"))
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
