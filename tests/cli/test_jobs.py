"""The two jobs from the command line, end to end and small: train, test, predict, fine-tune, and the report."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import flambeau
from flambeau.vision.datasets import Digits, render_faces

PARTS = {"train": 48, "validation": 16, "test": 16}


def run(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Runs a command in a folder; the JSON objects it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "flambeau.cli.main", *arguments, "--json"], cwd=folder, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a digits run of two epochs in `runs`."""
    folder = tmp_path_factory.mktemp("digits")
    run(folder, "train", "digits", "trainer.epochs=2")
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rendered faces in `data/faces` and a key-point run of two epochs in `runs`."""
    folder = tmp_path_factory.mktemp("faces")
    for seed, (part, count) in enumerate(PARTS.items()):
        render_faces(folder / "data" / "faces" / part, count, seed)
    run(folder, "train", "keypoints", "trainer.epochs=2")
    return folder


def only_run(folder: Path, pattern: str) -> Path:
    (found,) = (folder / "runs").glob(pattern)
    return found


class Page(HTMLParser):
    """What stands in a page: its headings, and everything it would load."""

    VOID = frozenset({"meta", "link", "img", "source", "br", "tr", "td", "th", "thead", "tbody"})  # may stay open

    def __init__(self, path: Path):
        super().__init__()
        self.headings: list[str] = []
        self.loads: list[str] = []
        self.pictures = 0
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.loads += [v for k in ("src", "srcset", "href") if (v := values.get(k)) is not None]
        self.pictures += tag == "img"
        if tag == "img":
            assert values.get("alt")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def check_report(path: Path, title: str, worst: str = "Most confident mistakes, then the least certain") -> None:
    page = Page(path)
    assert page.open == []
    assert page.headings == [title, "Curves", worst, "Best predictions", "Network", "Config", "Environment"]
    assert page.pictures >= 2 * 12 + 3
    assert all(load.startswith(("data:", "#")) for load in page.loads), "the report must need nothing else"


def test_the_run_folder(digits: Path) -> None:
    folder = only_run(digits, "digits*")
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "metrics.csv", "events", "last.pt", "best.pt", "report.html"} <= names
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["val_accuracy"]) > 0.6
    assert any((folder / "events").iterdir())
    check_report(folder / "report.html", "digits")


def test_testing_a_run(digits: Path) -> None:
    (result,) = run(digits, "test", "digits")
    assert result["event"] == "test" and result["accuracy"] > 0.6
    check_report(Path(digits, result["report"]), "digits")


def test_the_checkpoint_is_a_program_s_own(digits: Path) -> None:
    """The best weights load into the model that the config names, and score as the report says."""
    checkpoint = flambeau.load(only_run(digits, "digits*") / "best.pt")
    model = flambeau.vision.models.LeNet()
    model.load_state_dict(checkpoint["model"])
    model.eval()
    held_out = Digits(train=False)
    with flambeau.no_grad():
        inputs = flambeau.stack([flambeau.as_tensor(held_out[i][0]) for i in range(len(held_out))])
        found = model(inputs).argmax(1).numpy()
    accuracy = np.mean([held_out[i][1] == found[i] for i in range(len(held_out))])
    (result,) = run(digits, "test", "digits")
    assert accuracy == pytest.approx(result["accuracy"], abs=0.003)


def test_comparing_runs(digits: Path) -> None:
    run(digits, "train", "digits", "trainer.epochs=1", "name=short", "optimizer.args.lr=0.01")
    (result,) = run(digits, "compare", "digits", "short", "--out", "both.html")
    assert [each["name"] for each in result["runs"]] == ["digits", "short"]
    assert result["differences"] == {"trainer.epochs": ["2", "1"], "optimizer.args.lr": ["0.02", "0.01"]}
    page = Page(digits / "both.html")
    assert page.headings == ["digits and short", "Scores of the best epochs", "Curves", "Configs"]
    assert all(load.startswith(("data:", "#")) for load in page.loads)


def test_predicting_digits(digits: Path) -> None:
    sample = np.asarray(Digits(train=False)[0][0])[0]
    low, high = sample.min(), sample.max()
    Image.fromarray(((sample - low) / (high - low) * 255).astype(np.uint8)).save(digits / "digit.png")
    (result,) = run(digits, "predict", "digit.png", "--out", "drawn")
    assert result["class"] in "0123456789" and 0 < result["confidence"] <= 1
    with Image.open(digits / result["out"]) as drawn:
        assert drawn.mode == "RGB"


def test_fine_tuning_to_another_width(digits: Path) -> None:
    """A last layer of two classes starts anew; the frozen features stay as they were."""
    source = only_run(digits, "digits*")
    (digits / "parity.py").write_text(
        "from flambeau.vision.datasets import Digits\n"
        "class OddDigits:\n"
        "    classes = ['even', 'odd']\n"
        "    def __init__(self, train=True):\n"
        "        self.digits = Digits(train=train)\n"
        "    def __len__(self):\n"
        "        return len(self.digits)\n"
        "    def __getitem__(self, index):\n"
        "        picture, label = self.digits[index]\n"
        "        return picture, label % 2\n"
    )
    held = "{target: parity.OddDigits, args: {train: %s}}"
    results = run(
        digits, "finetune", "digits", "--from", str(source), "--freeze", "features*", "name=odd", "trainer.epochs=2",
        "model.args={num_classes: 2}", f"data.train={held % 'true'}", f"data.validation={held % 'false'}",
        f"data.test={held % 'false'}",
    )  # fmt: skip
    assert results[-1]["accuracy"] > 0.7
    before = flambeau.load(source / "best.pt")["model"]
    after = flambeau.load(only_run(digits, "odd*") / "best.pt")["model"]
    widths = {name: tuple(after[name].shape) for name in after if after[name].shape != before[name].shape}
    assert {shape[0] for shape in widths.values()} == {2}
    features = [name for name in before if name.startswith("features")]
    assert features and all(flambeau.equal(before[name], after[name]) for name in features)


def test_key_points(faces: Path) -> None:
    check_report(only_run(faces, "keypoints*") / "report.html", "keypoints", "Worst predictions")
    (result,) = run(faces, "test", "keypoints")
    assert 0 < result["nme"] < 1


def test_predicting_key_points(faces: Path) -> None:
    listed = faces / "data" / "faces" / "test" / "faces.txt"
    results = run(faces, "predict", str(listed), "--out", "drawn")
    assert len(results) == PARTS["test"]
    assert len({result["out"] for result in results}) == len(results)
    for result in results:
        assert np.shape(result["points"]) == (21, 2)
        with Image.open(result["image"]) as picture, Image.open(faces / result["out"]) as drawn:
            assert drawn.size == picture.size
            assert np.any(np.asarray(drawn) != np.asarray(picture.convert("RGB")))


def test_a_single_picture_with_a_box(faces: Path) -> None:
    folder = faces / "data" / "faces" / "test"
    path, *numbers = (folder / "faces.txt").read_text().splitlines()[0].split()
    (result,) = run(faces, "predict", str(folder / path), "--box", ",".join(numbers[:4]), "--out", "boxed")
    assert np.isfinite(result["points"]).all()


def test_a_run_that_never_began_leaves_no_folder(digits: Path) -> None:
    before = sorted((digits / "runs").iterdir())
    with pytest.raises(AssertionError, match="wants int"):
        run(digits, "train", "digits", "model.args.num_classes=ten", "name=never")
    assert sorted((digits / "runs").iterdir()) == before


def test_what_a_config_freezes_stays_frozen(digits: Path) -> None:
    """`--freeze` adds to a command what a config may say itself; without it, the config counts."""
    (digits / "tuned.yaml").write_text("base: digits\nname: kept\nfinetune: {freeze: [features]}\n")
    run(digits, "finetune", "tuned.yaml", "--from", "runs/digits", "trainer.epochs=1")
    before = flambeau.load(digits / "runs" / "digits" / "best.pt")
    after = flambeau.load(digits / "runs" / "kept" / "last.pt")
    assert before["model"]["features.0.weight"].equal(after["model"]["features.0.weight"])
    assert not before["model"]["classifier.0.weight"].equal(after["model"]["classifier.0.weight"])


def test_resuming_needs_no_checkpoint_but_its_own(digits: Path) -> None:
    (digits / "gone.pt").write_bytes((digits / "runs" / "digits" / "best.pt").read_bytes())
    run(digits, "finetune", "digits", "--from", "gone.pt", "name=alone", "trainer.epochs=1")
    (digits / "gone.pt").unlink()
    (*_, trained) = run(digits, "train", "runs/alone", "--resume", "trainer.epochs=2")
    assert trained["event"] == "trained"


def test_comparing_names_the_runs_meant(digits: Path) -> None:
    run(digits, "train", "digits", "trainer.epochs=1", "name=twin")
    run(digits, "train", "digits", "trainer.epochs=1", "name=twin", "optimizer.args.lr=0.01")
    (result,) = run(digits, "compare", "twin", "twin-2", "--out", "twins.html")
    assert result["differences"] == {"optimizer.args.lr": ["0.02", "0.01"]}


def test_a_report_of_a_test_has_the_whole_run(digits: Path) -> None:
    """The best weights may be of an early epoch; the curves go to the end."""
    run(digits, "train", "digits", "trainer.epochs=3", "name=whole", "checkpoint.mode=min")
    run(digits, "test", "whole")
    page = (digits / "runs" / "whole" / "report.html").read_text()
    assert "<dt>epochs</dt><dd>3</dd>" in page and "multiply-adds" in page


def test_predicting_a_folder(digits: Path) -> None:
    for name in ("a/one.png", "a/more/one.png", "a/notes.txt"):
        (digits / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("png"):
            Image.new("L", (32, 32)).save(digits / "pictures" / name)
        else:
            (digits / "pictures" / name).write_text("no picture")
    results = run(digits, "predict", "pictures", "--out", "folder")
    assert [Path(each["out"]).name for each in results] == ["one.png", "one-2.png"]
    (digits / "nothing").mkdir()
    with pytest.raises(AssertionError, match="nothing: no pictures lie in this folder"):
        run(digits, "predict", "nothing", "--out", "folder")
