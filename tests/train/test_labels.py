"""Classes: their names go with the weights, and numbers that mean something else are told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import flambeau as torch
from flambeau.train import ConfigError, RunFolder, Trainer, UserError
from flambeau.train.config_files import from_dict
from flambeau.train.evaluation import Evaluation
from flambeau.train.objective import Objective, main_output
from flambeau.train.tasks import Classification
from flambeau.train.tasks.classification import _with_caption
from flambeau.vision.models.googlenet import GoogLeNetOutputs

CLASSES = ("cat", "dog", "été")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part, count in (("train", 4), ("validation", 2)):
        for name in CLASSES:
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 255, (32, 32, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{i}.png")
    return tmp_path


def config(pictures: Path, *changes: str, **values: Any) -> Any:
    def folder(part: str) -> dict[str, Any]:
        transform = {"target": "flambeau.vision.transforms.ToTensor"}
        return {
            "target": "flambeau.vision.datasets.ImageFolder",
            "args": {"root": str(pictures / part), "transform": transform},
        }

    plain = {
        "task": {"target": "flambeau.train.tasks.Classification"},
        "data": {"train": folder("train"), "validation": folder("validation"), "batch_size": 4},
        "model": {"target": "flambeau.vision.models.LeNet", "args": {"num_classes": 3}},
        "loss": {"target": "flambeau.nn.CrossEntropyLoss"},
        "optimizer": {"target": "flambeau.optim.SGD", "args": {"lr": 0.01}},
        "trainer": {"epochs": 1, "compile": False},
        **values,
    }
    return from_dict(plain, "test", changes)


def test_a_checkpoint_knows_the_names(pictures: Path) -> None:
    settings = config(pictures)
    run = RunFolder(pictures / "run")
    run.path.mkdir()
    Trainer(settings, run).fit()
    later = Trainer(settings)
    later.load(run.last)
    assert later.classes == list(CLASSES)
    (question,) = later.task.ask(next((pictures / "train" / "été").iterdir()))
    _, answer = later.task.answer(question, np.array([0.0, 1.0, 9.0]))
    assert answer["class"] == "été"


def test_validation_with_other_classes(pictures: Path) -> None:
    (pictures / "validation" / "dog").rename(pictures / "validation" / "wolf")
    with pytest.raises(ConfigError, match="data.validation has 3 classes.* it lacks dog and it also has wolf"):
        Trainer(config(pictures)).fit()


@pytest.mark.parametrize("compiled", ["false", "true"], ids=["eager", "compiled"])
def test_a_class_that_the_network_has_no_output_for(pictures: Path, compiled: str) -> None:
    settings = config(pictures, "model.args.num_classes=2", f"trainer.compile={compiled}")
    with pytest.raises(UserError, match=r"first training step failed.* Target 2 is out of bounds"):
        Trainer(settings).fit()


def test_classes_that_the_loss_leaves_out(pictures: Path) -> None:
    """A label that the loss ignores needs no output."""
    settings = config(pictures, "model.args.num_classes=2", "loss.args.ignore_index=2", "data.validation=null")
    assert Trainer(settings).fit().epoch == 1


def test_auxiliary_outputs_have_a_share_of_the_loss(pictures: Path) -> None:
    objective = Objective(config(pictures, "trainer.auxiliary=0.25"))
    output = [torch.randn(5, 3) for _ in range(3)]
    target = torch.tensor([0, 1, 2, 1, 0])
    loss = torch.nn.CrossEntropyLoss()
    expected = loss(output[0], target) + 0.25 * (loss(output[1], target) + loss(output[2], target))
    torch.testing.assert_close(objective(GoogLeNetOutputs(*output), target), expected)
    torch.testing.assert_close(objective(GoogLeNetOutputs(output[0], None, None), target), loss(output[0], target))
    assert main_output(GoogLeNetOutputs(*output)) is output[0]


def test_names_in_any_script_are_drawn(recwarn: pytest.WarningsRecorder) -> None:
    import base64

    from flambeau.train.report.plots import plot

    drawn = plot("日本", lambda axes: axes.set_xlabel("日本"))
    page = base64.b64decode(drawn.dark.partition(",")[2]).decode()
    assert "日本" in page  # as letters: the reader's fonts have them
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_numbers_from_the_environment(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE", "0.25")
    trainer = Trainer(config(pictures, "optimizer.args.lr=${oc.env:RATE}", "optimizer.args.nesterov=false"))
    trainer._build_training()
    assert trainer.learning_rate == 0.25
    monkeypatch.setenv("RATE", "fast")
    with pytest.raises(ConfigError, match=r"optimizer\.args\.lr = 'fast'"):
        Trainer(config(pictures, "optimizer.args.lr=${oc.env:RATE}")).fit()


def test_mistakes_come_first_the_confident_ones_before_all() -> None:
    task = Classification()
    outputs = np.log([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.51, 0.49]])
    errors = task.sample_errors(None, outputs, np.array([1, 0, 0, 0]))
    np.testing.assert_allclose(errors, [1.9, 0.4, 1.7, 0.49])


@pytest.mark.parametrize("size", [(1, 1), (600, 20), (20, 600)])
@pytest.mark.parametrize("name", ["cat", "a name that is far too long for any picture of this size, with no end"])
def test_a_caption_fits_below_any_picture(size: tuple[int, int], name: str) -> None:
    drawn = _with_caption(Image.new("RGB", size, "red"), name)
    assert drawn.width == max(160, size[0]) and drawn.height <= 32 + max(160, size[1])
    edge = np.asarray(drawn)[-30:, -4:].reshape(-1, 3)
    assert (edge == edge[0]).all()  # nothing runs out of the picture


@pytest.mark.parametrize("classes", [2, 12, 40])
def test_confusion_of_few_classes_and_of_many(classes: int) -> None:
    """Names that are long are shortened and upright; of very many, only the colours are drawn."""
    from matplotlib.figure import Figure

    random = np.random.default_rng(0)
    task = Classification(classes=[f"a long name of a class, number {c}" for c in range(classes)])
    outputs, targets = random.normal(size=(90, classes)), random.integers(0, classes, 90)
    errors = task.sample_errors(None, outputs, targets)
    chart, *ranking = task.charts(None, Evaluation({}, outputs, targets, errors, 0.0))
    axes = Figure().add_subplot()
    chart.draw(axes)
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert len(ranking) == 2 and (len(names) == classes) == (classes <= 30)
    assert classes > 30 or (max(map(len, names)) == 16 and all(name.startswith("a long n") for name in names))
