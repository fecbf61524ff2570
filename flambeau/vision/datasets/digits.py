"""The 1,797 handwritten digits of the UCI set, which come with the package.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998, doi:10.24432/C50P49 (CC BY 4.0), the test part of 13 writers, in its
original order. Each image is 8x8; a pixel counts, 0 to 16, the dark dots in a block of 4x4 of
the scanned form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from flambeau.vision.datasets.augment import random_move, sample_generator, warp
from flambeau.vision.datasets.errors import DataError
from flambeau.vision.datasets.idx import read_idx
from flambeau.vision.datasets.vision import Transform, VisionDataset

_FOLDER = Path(__file__).parent / "data"
#: Where the 8x8 images (bytes, 1797x8x8) and the labels (bytes, 1797) lie.
IMAGES_FILE = _FOLDER / "digits-images-idx3-ubyte.gz"
LABELS_FILE = _FOLDER / "digits-labels-idx1-ubyte.gz"

#: One in this many samples of each class is held out for testing.
HELD_OUT_EVERY = 5
#: Mean and standard deviation of the training images, as fractions of full ink, at 32x32.
MEAN, STD = 0.3092, 0.3490


def ink_counts(images: np.ndarray) -> np.ndarray:
    """The set's original numbers, 0 to 16; the stored bytes are 255/16 times as large."""
    return np.round(images * (16 / 255)).astype(np.uint8)


def held_out(labels: np.ndarray) -> np.ndarray:
    """A mask of the samples to test on: the 3rd, 8th, 13th … of each class.

    The split depends on nothing but the order of the file, so that every run and every version
    tests on the same 359 images.
    """
    mask = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_this_class = np.flatnonzero(labels == label)
        mask[of_this_class[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY]] = True
    return mask


@dataclass(frozen=True)
class DigitAugment:
    """Random turning (degrees), scaling and shifting (fractions of the width) of an image."""

    rotate: float = 10.0
    scale: float = 0.1
    shift: float = 0.05

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The square image of bytes after a random move; what comes into view is blank."""
        move = random_move(rng.random(4), self.rotate, self.scale, self.shift)
        return warp(image, *move, len(image))


class Digits(VisionDataset):
    """Handwritten digits: 1,438 to train on and a fixed 359 to test on.

    A sample is the image, a float32 array of shape (channels, size, size) with mean 0 and
    standard deviation 1 over the training part, and its label, an `int` of 0 to 9. The channels
    are equal. With a `transform`, that is called with the image as PIL (mode "L" for one
    channel, else "RGB") and takes the place of the normalisation.

    `augment`, a `DigitAugment`, moves the images at random. What it does to sample i depends on
    `seed`, the epoch told to `set_epoch` and i alone.

    `images` holds the 8x8 bytes, `labels` their labels, `indices` their places in the whole
    set.
    """

    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        size: int = 32,
        channels: int = 3,
        augment: DigitAugment | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {channels}")
        self.train, self.size, self.channels = train, size, channels
        self.augment, self.seed, self.epoch = augment, seed, 0
        images, labels = read_idx(IMAGES_FILE, ndim=3), read_idx(LABELS_FILE, ndim=1)
        if len(images) != len(labels):
            raise DataError(f"{IMAGES_FILE}: {len(images)} images for {len(labels)} labels")
        self.indices = np.flatnonzero(held_out(labels) != train)
        self.images, self.labels = images[self.indices], labels[self.indices].astype(np.int64)
        # Few and small: resized once, they take 1.5 MB at 32x32.
        self._resized = np.stack([_resize(image, size) for image in self.images])

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, so that augmentation differs from epoch to epoch."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """The samples of a whole batch, which is faster than one by one; `DataLoader` calls
        it."""
        places = [
            range(len(self))[index] for index in indices
        ]  # negative ones count from the end
        pixels = self._resized[places]
        if self.augment is not None:
            generators = [sample_generator(self.seed, self.epoch, place) for place in places]
            pixels = np.stack(list(map(self.augment, pixels, generators)))
        images: Sequence[Any]
        if self.transform is not None:
            mode = "L" if self.channels == 1 else "RGB"
            images = [Image.fromarray(image).convert(mode) for image in pixels]
        else:
            fractions = pixels.astype(np.float32) / np.float32(255)
            normalized = (fractions - np.float32(MEAN)) / np.float32(STD)
            images = np.repeat(normalized[:, None], self.channels, axis=1)
        labels = self.labels[places].tolist()
        return [self._apply(image, label) for image, label in zip(images, labels, strict=True)]

    def __len__(self) -> int:
        return len(self.images)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
