"""What is random about a face: its crop and its points changed together."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from flambeau.vision.datasets.augment import random_move, warp
from flambeau.vision.datasets.errors import DataError
from flambeau.vision.datasets.face_points import FLIP_PAIRS_OF, Pairs, flip_points

#: A transform of samples: dictionaries with "image" and "keypoints" (see `flambeau.vision.transforms.samples`).
Transformed = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class FaceAugment:
    """Random mirroring, turning, scaling, shifting of a crop and its points.

    `rotate` is the largest angle in degrees, `scale` and `shift` are the largest change of the
    size and of the place as fractions of the crop; `flip` and `warp` are the shares of samples
    that are mirrored and that are turned, scaled and shifted. Light and contrast are left
    alone: `standardize` removes them again. `flip_pairs` are the points that a mirror exchanges, by default those of the
    scheme of so many points.

    The same generator state always gives the same result; nothing else is random.
    """

    flip: float = 0.5
    warp: float = 1.0
    rotate: float = 15.0
    scale: float = 0.1
    shift: float = 0.06
    flip_pairs: Pairs | None = None

    def __call__(
        self, crop: np.ndarray, points: np.ndarray, size: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A sample of size x size from a crop of the same or a larger size and the same centre.

        `crop` is of bytes, (S, S) with S >= size; what lies outside the middle size x size
        pixels is only seen where the sample is turned or shifted there. `points` (n, 2) are
        measured on that middle, ±1 at its edges, and so are the points returned.
        """
        # All numbers are drawn always, so that one option does not change what another one
        # draws.
        flip, moves, *numbers = rng.random(6)
        if moves < self.warp:
            matrix, offset = random_move(np.array(numbers), self.rotate, self.scale, self.shift)
            points = points @ matrix.T + offset
            crop = warp(crop, matrix, offset, size)
        else:
            margin = (len(crop) - size) // 2
            crop = crop[margin : margin + size, margin : margin + size]
        if flip < self.flip:
            crop, points = crop[:, ::-1], flip_points(points, self.flip_pairs)
        return crop, points


def change_sample(
    transform: Transformed, crop: np.ndarray, points: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A crop and its points as a transform of `flambeau.vision.transforms` changes them.

    Shapes and points are those of `FaceAugment`. The transform is given the crop as a PIL image of mode "L" and the
    points in its pixels, with the pairs that a flip swaps where the scheme is known; the middle of what it gives is the
    result. The generators that transforms draw from, Flambeau's
    and Python's, are seeded from `rng` meanwhile, so that what happens to a sample depends on it alone.

    Raises:
        DataError: for a result that is smaller than `size`, or without points.
    """
    import flambeau

    margin = (len(crop) - size) / 2
    sample = {
        "image": Image.fromarray(crop),
        "keypoints": (points + 1) * (size / 2) + margin,
        "flip_pairs": FLIP_PAIRS_OF.get(len(points)),
    }
    states = flambeau.get_rng_state(), random.getstate()
    try:
        flambeau.manual_seed(int(rng.integers(2**63)))
        random.seed(int(rng.integers(2**63)))
        changed = transform(sample)
    finally:
        flambeau.set_rng_state(states[0])
        random.setstate(states[1])
    image = changed["image"]
    if not isinstance(image, Image.Image) or min(image.size) < size or "keypoints" not in changed:
        found = f"{image.width} x {image.height}" if isinstance(image, Image.Image) else type(image).__name__
        raise DataError(
            f"augment gives an image of {found}; wanted a picture of at least {size} x {size} with its points"
        )
    left, top = (image.width - size) // 2, (image.height - size) // 2
    middle = image.convert("L").crop((left, top, left + size, top + size))
    places = np.asarray(changed["keypoints"], float) - (left, top)
    return np.asarray(middle), places * (2 / size) - 1
