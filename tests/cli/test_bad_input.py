"""Bad input: a message that names the place, a non-zero exit, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

POINTS = " ".join(f"{20 + 4 * (i % 7)} {30 + 6 * (i // 7)}" for i in range(21))
GOOD = f"images/face.jpg 10 10 70 70 {POINTS}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (80, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "face.jpg")
    whole = (tmp_path / "images" / "face.jpg").read_bytes()
    (tmp_path / "images" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "images" / "text.jpg").write_text("no image")
    return tmp_path


def flambeau_command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "flambeau.cli.main", *arguments], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess, *parts: str) -> None:
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "Traceback" not in text
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (GOOD.replace("face.jpg", "none.jpg"), ("none.jpg", "no such image file")),
        (GOOD.replace("face.jpg", "cut.jpg"), ("cut.jpg", "truncated")),
        (GOOD.replace("face.jpg", "text.jpg"), ("text.jpg", "not an image")),
        ("images/face.jpg 1 2 3", ("faces.txt:1", "3 numbers", "wanted 46")),
        (GOOD.replace(" 70 70 ", " 70 700 "), ("faces.txt:1", "outside")),
        (GOOD.replace(" 20 30 ", " nan 30 ", 1), ("faces.txt:1", "nan")),
    ],
    ids=["missing", "truncated", "no image", "count", "box", "nan"],
)
def test_bad_faces(folder: Path, line: str, parts: tuple[str, ...]) -> None:
    (folder / "faces.txt").write_text(line + "\n")
    roots = [f"data.{part}.args.root={folder}" for part in ("train", "validation", "test")]
    refused(flambeau_command("train", "keypoints", *roots, f"folder={folder / 'runs'}"), *parts)


def test_bad_config_and_checkpoint(folder: Path) -> None:
    refused(flambeau_command("train", "digits", "trainer.epoch=3"), "trainer.epoch", "did you mean 'trainer.epochs'")
    refused(flambeau_command("train", "digits", "trainer.epochs=many"), "trainer.epochs", "whole number")
    (folder / "cut.pt").write_bytes(b"PK\x03\x04" + bytes(500))
    refused(
        flambeau_command("finetune", "digits", "--from", str(folder / "cut.pt"), f"folder={folder / 'runs'}"),
        "cut.pt", "damaged",
    )  # fmt: skip


def small_digits(folder: Path, *changes: str, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "flambeau.cli.main", "train", "digits", f"folder={folder / 'runs'}", *changes],
        capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


def test_a_checkpoint_of_another_network(folder: Path) -> None:
    import flambeau

    other = flambeau.nn.Sequential(flambeau.nn.Linear(3, 4), flambeau.nn.Linear(4, 2))
    flambeau.save(other.state_dict(), folder / "other.pt")
    refused(
        flambeau_command("finetune", "digits", "--from", str(folder / "other.pt"), f"folder={folder / 'runs'}"),
        "other.pt", "0.weight", "features",
    )  # fmt: skip


def test_a_loss_that_becomes_nan(folder: Path) -> None:
    """The run stops and says where; the last good checkpoint stays."""
    import flambeau

    schedule = "{target: flambeau.optim.lr_scheduler.StepLR, args: {step_size: 30, gamma: 1.0e30}}"
    refused(
        small_digits(folder, "trainer.epochs=2", f"schedule={schedule}", "checkpoint.every_steps=10"),
        "the loss became", "step 32", "epoch 1", "last good checkpoint", "last.pt",
    )  # fmt: skip
    checkpoint = flambeau.load(folder / "runs" / "digits" / "last.pt")
    assert checkpoint["progress"]["step"] == 30
    assert all(value.isfinite().all() for value in checkpoint["model"].values())


def test_a_disk_that_fills_up(folder: Path) -> None:
    """A file that may not grow past 200 kB stands for the full disk; the checkpoint is larger."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = small_digits(folder, "trainer.epochs=1", preexec_fn=limit)
    refused(done, "could not be written", "make room, then start again")
    assert not list((folder / "runs").iterdir())  # a run that saved nothing leaves nothing behind
