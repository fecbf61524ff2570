"""Data sets made of other data sets: parts of one, and one with augmented pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from flambeau.train.errors import ConfigError


class Part:
    """Some samples of a data set, in a given order; what tasks ask of the whole, they may ask of it.

    Arguments:
        dataset: the whole.
        places: which of its samples, by their place.
    """

    def __init__(self, dataset: Any, places: Sequence[int]):
        self.dataset = dataset
        self.places = list(places)
        self.classes = getattr(dataset, "classes", None)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.places[index]]

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next, to a data set whose augmentation depends on it."""
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def raw_batch(self, indices: Sequence[int]) -> Any:
        """What the whole gives for these samples."""
        return self.dataset.raw_batch([self.places[index] for index in indices])

    def normalized_errors(self, predictions: np.ndarray) -> np.ndarray:
        """The error of each prediction for these samples, as the whole measures it."""
        return np.asarray(self.dataset.normalized_errors(predictions, self.places))


class HeldOut(Part):
    """A part of a data set: every so-many-th sample, or all the others.

    Arguments:
        dataset: the whole.
        every: one sample in so many is held out.
        held: whether this is the part that is held out, or the rest.
    """

    def __init__(self, dataset: Any, every: int = 8, held: bool = False):
        if every < 2:
            raise ConfigError(f"HeldOut: every = {every} must be at least 2")
        super().__init__(dataset, [i for i in range(len(dataset)) if (i % every == every - 1) == held])
        self.every = every


class Fold(Part):
    """A part of a data set for cross-validation: one of several shuffled parts, or all the others.

    Arguments:
        dataset: the whole.
        folds: how many parts there are.
        fold: which one this is about, from 0.
        held: whether this is that part, or the rest.
        seed: picks the shuffling, which is the same for every fold.
    """

    def __init__(self, dataset: Any, folds: int, fold: int, held: bool = False, seed: int = 0):
        if not 2 <= folds <= len(dataset) or not 0 <= fold < folds:
            raise ConfigError(f"Fold: fold {fold} of {folds} cannot be made of {len(dataset)} samples")
        order = np.random.default_rng(seed).permutation(len(dataset))
        inside = np.arange(len(dataset)) % folds == fold
        super().__init__(dataset, sorted(order[inside == held].tolist()))


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
