"""The config of docs/data.md, taken from there, on a folder of pictures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flambeau.cli.app import run

DOCUMENT = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_config_of_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 9), ("validation", 3)):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 120, (20, 30, 3)) + (100 if name == "dog" else 0)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    (config,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mine.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    small = ["model.target=flambeau.vision.models.LeNet", "model.args.num_classes=2", "data.batch_size=4"]
    resized = config.replace("[64, 64]", "[32, 32]").replace("size: 64", "size: 32")
    (tmp_path / "small.yaml").write_text(resized)
    monkeypatch.setattr(
        sys, "argv", ["flambeau", "train", "small.yaml", *small, "trainer.epochs=2", "trainer.compile=false"]
    )
    assert run() == 0
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    picture = "photos/validation/dog/1.png"
    monkeypatch.setattr(sys, "argv", ["flambeau", "predict", picture, "--out", "out"])
    assert run() == 0
    assert (tmp_path / "out" / "1.png").is_file() and picture in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["flambeau", "config", "mine.yaml"])
    assert run() == 0 and "flambeau.vision.models.resnet18" in capsys.readouterr().out
