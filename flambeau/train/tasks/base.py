"""What a network's output means: how it is scored, drawn, and asked for new pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.train.evaluation import Evaluation
from flambeau.vision.datasets.errors import SampleError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

#: A box on a picture: left, top, right, bottom.
Box = tuple[float, float, float, float]


def check_box(box: Box, picture: Image, path: Path) -> None:
    """Raise `SampleError` for a box that is empty or reaches more than a pixel outside a picture."""
    left, top, right, bottom = box
    outside = left < -1 or top < -1 or right > picture.width + 1 or bottom > picture.height + 1
    if outside or left >= right or top >= bottom:
        raise SampleError(
            f"{path}: the box {left:g},{top:g},{right:g},{bottom:g} is not inside the "
            f"picture, which has {picture.width} x {picture.height} pixels"
        )


@dataclass(frozen=True)
class Chart:
    """A plot of the report: its title, what draws it on axes, and its height in inches."""

    title: str
    draw: Callable[[Axes], None]
    height: float = 3.4


@dataclass(frozen=True)
class Question:
    """A picture to predict: where it is from, and the sample that the network gets."""

    path: Path
    sample: np.ndarray
    context: Any = None


class Task:
    """The meaning of a network's outputs; subclasses say it for one kind of problem."""

    #: The names of the scores that `scores` gives.
    score_names: Sequence[str] = ()
    #: What the report calls the samples with the largest errors.
    worst_title = "Worst predictions"
    #: HTML that explains the colours of the pictures.
    legend = ""
    #: The names of classes, for a task that has some; the trainer tells those of the training data.
    classes: Sequence[str] | None = None

    def scores(
        self, dataset: Any, outputs: np.ndarray, targets: np.ndarray
    ) -> dict[str, float]:
        """The scores of a whole data set by name."""
        raise NotImplementedError

    def sample_errors(
        self, dataset: Any, outputs: np.ndarray, targets: np.ndarray
    ) -> np.ndarray:
        """How wrong each sample is; larger is worse."""
        raise NotImplementedError

    def picture(self, dataset: Any, evaluation: Evaluation, index: int) -> Image:
        """A sample with its prediction drawn on it."""
        raise NotImplementedError

    def caption(self, dataset: Any, evaluation: Evaluation, index: int) -> str:
        """A few words under the picture."""
        raise NotImplementedError

    def charts(self, dataset: Any, evaluation: Evaluation) -> list[Chart]:
        """Further plots for the report."""
        return []

    def ask(self, path: Path, box: Box | None = None) -> list[Question]:
        """The samples of a picture, or of each picture in a list file."""
        raise NotImplementedError

    def answer(self, question: Question, output: np.ndarray) -> tuple[Image, dict[str, Any]]:
        """The picture with the prediction drawn on it, and the prediction in numbers."""
        raise NotImplementedError
