"""One class out of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flambeau.metrics import (
    accuracy,
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from flambeau.train.evaluation import Evaluation
from flambeau.train.tasks.base import Box, Chart, Question, Task, check_box
from flambeau.vision.datasets.images import open_grey, open_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PICTURE = 128
#: The least width of a picture with a caption.
_LEAST = 160
#: As many classes as a confusion matrix has room to name and count.
_NUMBERED = 30


class Classification(Task):
    """Outputs are scores of classes; the largest is the prediction.

    Arguments:
        size: the side in pixels that pictures to predict are resized to.
        channels: 1 for grey pictures, 3 for pictures in colour.
        mean: subtracted from pixels, as shares of full brightness.
        std: then divided by.
        classes: the names of the classes; the data set's own, or numbers, if not given.
    """

    score_names: Sequence[str] = ("accuracy",)
    worst_title = "Most confident mistakes, then the least certain"

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        mean: float = 0.5,
        std: float = 0.5,
        classes: Sequence[str] | None = None,
    ):
        self.size = size
        self.channels = channels
        self.mean = mean
        self.std = std
        self.classes = classes

    def scores(
        self, dataset: Any, outputs: np.ndarray, targets: np.ndarray
    ) -> dict[str, float]:
        return {"accuracy": accuracy(targets, outputs)}

    def sample_errors(
        self, dataset: Any, outputs: np.ndarray, targets: np.ndarray
    ) -> np.ndarray:
        """What a sample has to do with a mistake, from 0 to 2.

        Of a mistake, 1 and the confidence in it; of a sample that is right, what its confidence lacks.
        """
        shares = np.exp(_log_shares(outputs))
        predicted = shares.argmax(1)
        confidence = shares.max(1)
        return np.where(predicted == targets, 1 - confidence, 1 + confidence)

    def picture(self, dataset: Any, evaluation: Evaluation, index: int) -> Image.Image:
        sample = np.asarray(dataset[index][0], np.float32)
        low, high = float(sample.min()), float(sample.max())
        pixels = ((sample - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        return image.convert("RGB").resize((_PICTURE, _PICTURE), Image.Resampling.NEAREST)

    def caption(self, dataset: Any, evaluation: Evaluation, index: int) -> str:
        shares = np.exp(_log_shares(evaluation.outputs[index : index + 1])[0])
        predicted, true = int(shares.argmax()), int(evaluation.targets[index])
        name = self._name(dataset, predicted)
        if predicted == true:
            return f"{name} ({shares[predicted]:.0%})"
        return f"{self._name(dataset, true)}, taken for {name} ({shares[predicted]:.0%})"

    def charts(self, dataset: Any, evaluation: Evaluation) -> list[Chart]:
        from matplotlib import rcParams
        from matplotlib.colors import to_rgb

        count = evaluation.outputs.shape[1]
        matrix = np.zeros((count, count), int)
        np.add.at(matrix, (evaluation.targets, evaluation.outputs.argmax(1)), 1)
        names = [_short(self._name(dataset, label)) for label in range(count)]
        readable = count <= _NUMBERED

        def confusion(axes: Axes) -> None:
            shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))
            # The plot's first colour, the denser the larger the share, on any background.
            cells = np.empty((count, count, 4))
            cells[..., :3] = to_rgb("C0")
            cells[..., 3] = np.sqrt(shares)
            axes.imshow(cells)
            for row, column in zip(*np.nonzero(matrix), strict=True) if readable else ():
                ink = "white" if shares[row, column] > 0.3 else rcParams["text.color"]
                text = str(matrix[row, column])
                axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
            if readable:
                axes.set_xticks(range(count), names, rotation=90 if sum(map(len, names)) > 40 else 0)
                axes.set_yticks(range(count), names)
            axes.set_xlabel("predicted")
            axes.set_ylabel("true")
            axes.grid(False)

        shares = np.exp(_log_shares(evaluation.outputs))
        return [Chart("confusion matrix", confusion, 4.4), *_ranking_charts(shares, evaluation.targets, names)]

    def ask(self, path: Path, box: Box | None = None) -> list[Question]:
        """The picture, or the part of it in `box`."""
        picture = open_grey(path) if self.channels == 1 else open_rgb(path)
        if box is not None:
            check_box(box, picture, path)
            picture = picture.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))
        resized = picture.resize((self.size, self.size), Image.Resampling.BICUBIC)
        pixels = np.asarray(resized, np.float32).reshape(self.size, self.size, self.channels)
        sample = (pixels.transpose(2, 0, 1) / 255 - self.mean) / self.std
        return [Question(path, np.ascontiguousarray(sample, np.float32))]

    def answer(
        self, question: Question, output: np.ndarray
    ) -> tuple[Image.Image, dict[str, Any]]:
        shares = np.exp(_log_shares(output[None])[0])
        label = int(shares.argmax())
        name = self._name(None, label)
        picture = open_rgb(question.path)
        return _with_caption(picture, f"{name} ({shares[label]:.0%})"), {
            "image": str(question.path),
            "class": name,
            "confidence": round(float(shares[label]), 4),
        }

    def _name(self, dataset: Any, label: int) -> str:
        names = self.classes or getattr(dataset, "classes", None)
        return str(names[label]) if names and label < len(names) else str(label)


def _ranking_charts(shares: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> list[Chart]:
    """ROC and precision-recall curves: of the second class of two, or of each class against the rest.

    Of more than ten classes, the ten with the smallest areas are drawn.
    """
    wanted = [1] if len(names) == 2 else range(len(names))
    known = [c for c in wanted if 0 < (targets == c).sum() < len(targets)]
    areas = {c: roc_auc_score(targets == c, shares[:, c]) for c in known}
    precisions = {c: average_precision_score(targets == c, shares[:, c]) for c in known}

    def roc(axes: Axes) -> None:
        for c in _lowest(areas):
            curve = roc_curve(targets == c, shares[:, c])
            axes.plot(curve.fpr * 100, curve.tpr * 100, linewidth=1.4, label=f"{names[c]} ({areas[c]:.4f})")
        axes.set_xlabel("false positives, % of the others")
        axes.set_ylabel("true positives, % of the class")
        axes.legend(title="area", fontsize=7, title_fontsize=8, loc="lower right")

    def precision_recall(axes: Axes) -> None:
        for c in _lowest(precisions):
            curve = precision_recall_curve(targets == c, shares[:, c])
            label = f"{names[c]} ({precisions[c]:.4f})"
            axes.step(curve.recall * 100, curve.precision * 100, where="post", linewidth=1.4, label=label)
        axes.set_xlabel("recall, %")
        axes.set_ylabel("precision, %")
        axes.legend(title="average precision", fontsize=7, title_fontsize=8, loc="lower left")

    if not known:
        return []
    return [Chart("ROC curves", roc, 3.8), Chart("precision and recall", precision_recall, 3.8)]


def _short(name: str, length: int = 16) -> str:
    """A name that fits beside a plot: where names are long, their ends are what differs."""
    return name if len(name) <= length else f"{name[: length // 2]}…{name[1 - length // 2 :]}"


def _lowest(scores: dict[int, float]) -> list[int]:
    return sorted(sorted(scores, key=lambda c: scores[c])[:10])


def _log_shares(scores: np.ndarray) -> np.ndarray:
    """The logarithms of the softmax of each row."""
    shifted = scores.astype(np.float64) - scores.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _with_caption(picture: Image.Image, text: str) -> Image.Image:
    """The picture, small ones enlarged, with a text below it that fits."""
    scale = max(1.0, min(_LEAST / picture.width, _LEAST / picture.height))
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.NEAREST)
    wide = max(picture.width, _LEAST)
    canvas = Image.new("RGB", (wide, picture.height + 32), (17, 24, 39))
    canvas.paste(picture, ((wide - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    for size in (18, 14, 11):
        font = ImageFont.load_default(size)
        if draw.textlength(text, font) <= wide - 16:
            break
    else:
        text = _short(text, 2 * int((wide - 16) / draw.textlength(text, font) * len(text) / 2 - 1))
    draw.text((8, picture.height + 16), text, fill=(243, 244, 246), font=font, anchor="lm")
    return canvas
