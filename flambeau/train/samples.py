"""Data sets made of other data sets: a part of one, and one with augmented pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from flambeau.train.errors import ConfigError


class HeldOut:
    """A part of a data set: every so-many-th sample, or all the others.

    Arguments:
        dataset: the whole.
        every: one sample in so many is held out.
        held: whether this is the part that is held out, or the rest.
    """

    def __init__(self, dataset: Any, every: int = 8, held: bool = False):
        if every < 2:
            raise ConfigError(f"HeldOut: every = {every} must be at least 2")
        self.dataset = dataset
        self.classes = getattr(dataset, "classes", None)
        self.places = [i for i in range(len(dataset)) if (i % every == every - 1) == held]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.places[index]]


@dataclass(frozen=True)
class Wobble:
    """Turns, scales and shifts a picture a little, as hands do that write.

    Arguments:
        rotate: the largest angle, in degrees.
        scale: the largest change of the size, as a share.
        shift: the largest shift, as a share of the side.
    """

    rotate: float = 12.0
    scale: float = 0.1
    shift: float = 0.06

    def __call__(self, picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """A picture of (channels, height, width), wobbled; its background is its minimum."""
        angle, size, right, down = random.uniform(-1, 1, 4)
        height, width = picture.shape[1:]
        turn, zoom = np.deg2rad(self.rotate * angle), (1 + self.scale) ** size
        cosine, sine = np.cos(turn) / zoom, np.sin(turn) / zoom
        # The map from a place in the result to the place in the picture that it comes from.
        x, y = (
            width / 2 * (1 + 2 * self.shift * right),
            height / 2 * (1 + 2 * self.shift * down),
        )
        back = (
            *(cosine, sine, width / 2 - cosine * x - sine * y),
            *(-sine, cosine, height / 2 + sine * x - cosine * y),
        )
        background = float(picture.min())

        def moved(channel: np.ndarray) -> np.ndarray:
            image = Image.fromarray(channel).transform(
                (width, height), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR,
                fillcolor=background,
            )  # fmt: skip
            return np.asarray(image)

        if len(picture) > 1 and all(np.array_equal(picture[0], c) for c in picture[1:]):
            return np.repeat(moved(picture[0])[None], len(picture), axis=0)
        return np.stack([moved(channel) for channel in picture])


class Augmented:
    """A data set whose pictures are changed anew in each epoch.

    What happens to a sample depends on the seed, the epoch and the sample alone: neither on
    the order of reading nor on the process that reads, so a resumed run sees the same pictures.

    Arguments:
        dataset: pictures as float32 arrays of (channels, height, width), with targets.
        augment: called with a picture and a NumPy generator.
        seed: picks the changes.
    """

    def __init__(self, dataset: Any, augment: Any, seed: int = 0):
        self.dataset = dataset
        self.augment = augment
        self.seed = seed
        self.epoch = 0
        self.classes = getattr(dataset, "classes", None)

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        picture, target = self.dataset[index]
        random = np.random.default_rng([self.seed, self.epoch, index])
        return self.augment(np.asarray(picture, np.float32), random), target
