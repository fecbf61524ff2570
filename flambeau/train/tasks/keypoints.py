"""Points on faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from flambeau.train.errors import UserError
from flambeau.train.evaluation import Evaluation
from flambeau.train.tasks.base import Box, Chart, Question, Task, check_box
from flambeau.vision.datasets.face_crops import Crop, standardize
from flambeau.vision.datasets.face_files import read_face_list
from flambeau.vision.datasets.images import open_grey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRUE = (64, 196, 99)
_PREDICTED = (255, 84, 73)
_PICTURE = 224
_LISTS = {".txt", ".csv", ".lst"}


class Keypoints(Task):
    """Outputs are x and y of each point on a face's crop, -1 and 1 at its edges.

    Arguments:
        widen: what is added to a face's box on each side, as the data set does.
        size: the side of the crops in pixels.
    """

    score_names: Sequence[str] = ("nme",)
    legend = (
        f'<span class=dot style="background:rgb{_TRUE}"></span>true'
        f'<span class=dot style="background:rgb{_PREDICTED}"></span>predicted; the error is '
        "the mean distance of a point, in distances of the eyes"
    )

    def __init__(self, widen: float = 0.25, size: int = 112):
        self.widen = widen
        self.size = size

    def scores(
        self, dataset: Any, outputs: np.ndarray, targets: np.ndarray
    ) -> dict[str, float]:
        return {"nme": float(self.sample_errors(dataset, outputs, targets).mean())}

    def sample_errors(
        self, dataset: Any, outputs: np.ndarray, targets: np.ndarray
    ) -> np.ndarray:
        """The mean distance of a face's points from the true ones, in distances of its eyes."""
        return np.asarray(dataset.normalized_errors(outputs))

    def picture(self, dataset: Any, evaluation: Evaluation, index: int) -> Image.Image:
        crops, points = dataset.raw_batch([index])
        picture = Image.fromarray(crops[0]).convert("RGB")
        picture = picture.resize((_PICTURE, _PICTURE), Image.Resampling.BILINEAR)
        _mark(picture, (points[0] + 1) * (_PICTURE / 2), _TRUE, 2.0)
        predicted = evaluation.outputs[index].reshape(-1, 2)
        _mark(picture, (predicted + 1) * (_PICTURE / 2), _PREDICTED, 2.0)
        return picture

    def caption(self, dataset: Any, evaluation: Evaluation, index: int) -> str:
        return f"error {evaluation.errors[index]:.1%}"

    def charts(self, dataset: Any, evaluation: Evaluation) -> list[Chart]:
        errors = np.sort(evaluation.errors)

        def cumulative(axes: Axes) -> None:
            shares = np.arange(1, len(errors) + 1) / len(errors)
            axes.plot(errors * 100, shares * 100, linewidth=2)
            axes.axvline(float(errors.mean()) * 100, linestyle=":", linewidth=1.2)
            axes.set_xlabel("error, % of the distance of the eyes (dotted: the mean)")
            axes.set_ylabel("% of the faces")
            axes.set_xlim(0, float(np.quantile(errors, 0.99)) * 110)
            axes.set_ylim(0, 101)

        points = _errors_by_point(dataset, evaluation)

        def by_point(axes: Axes) -> None:
            axes.bar(range(1, len(points) + 1), points * 100, width=0.75)
            axes.set_xlabel("point")
            axes.set_ylabel("mean error, %")

        return [
            Chart("share of the faces below an error", cumulative),
            Chart("error of each point, in distances of the eyes", by_point),
        ]

    def ask(self, path: Path, box: Box | None = None) -> list[Question]:
        """A picture's face, cut out by `box` or else whole; or the faces of a list file."""
        if path.suffix.lower() in _LISTS:
            faces = read_face_list(path, path.parent)
            return [self._question(face.path, face.box) for face in faces]
        return [self._question(path, box)]

    def _question(self, path: Path, box: Box | None) -> Question:
        picture = open_grey(path)
        if box is None:
            crop = Crop(0, 0, picture.width, picture.height)
        else:
            check_box(box, picture, path)
            crop = Crop.around(box, self.widen)
        pixels = np.asarray(crop.cut(picture, self.size))
        return Question(path, standardize(pixels)[None], crop)

    def answer(
        self, question: Question, output: np.ndarray
    ) -> tuple[Image.Image, dict[str, Any]]:
        crop: Crop = question.context
        points = crop.to_image_pixels(output.reshape(-1, 2))
        with Image.open(question.path) as opened:
            picture = opened.convert("RGB")
        _mark(picture, points, _PREDICTED, max(1.5, crop.width / 90))
        return picture, {"image": str(question.path), "points": np.round(points, 2).tolist()}


def _errors_by_point(dataset: Any, evaluation: Evaluation) -> np.ndarray:
    """The mean error of each point over all faces, (points).

    Each face's errors on its crop are scaled so that their mean is the face's own error, in distances of the eyes.
    """
    offsets = (evaluation.outputs - evaluation.targets).reshape(len(evaluation.outputs), -1, 2)
    distances = np.linalg.norm(offsets, axis=-1)
    means = np.maximum(distances.mean(1, keepdims=True), 1e-12)
    return np.asarray((distances / means * evaluation.errors[:, None]).mean(0))


def _mark(
    picture: Image.Image, points: np.ndarray, colour: tuple[int, int, int], radius: float
) -> None:
    """Draws a dot with a dark rim at each point."""
    if not np.isfinite(points).all():
        raise UserError("the network's points are not finite numbers; they cannot be drawn")
    draw = ImageDraw.Draw(picture)
    for x, y in points:
        rim = radius + max(1.0, radius / 3)
        draw.ellipse((x - rim, y - rim, x + rim, y + rim), fill=(10, 12, 16))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
