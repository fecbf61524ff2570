"""Random turning, scaling and shifting, shared by the data sets that do it themselves."""

from __future__ import annotations

import numpy as np
from PIL import Image


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of what is random about one sample in one epoch.

    It depends on these numbers alone, not on the order of reading nor on the worker, so that a
    resumed run sees what it would have seen.
    """
    return np.random.default_rng([seed, epoch, index])


def random_move(
    numbers: np.ndarray, rotate: float, scale: float, shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (2, 2) and an offset (2,) that take a point p of ±1 to `matrix @ p + offset`.

    `numbers` are four random ones of 0 to 1; `rotate` is the largest angle in degrees, `scale`
    and `shift` the largest change of the size and of the place, as fractions of the whole
    width.
    """
    turned, sized, right, down = 2 * numbers - 1
    angle, zoom = np.deg2rad(rotate) * turned, (1 + scale) ** sized
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]), 2 * shift * np.array([right, down])


def warp(image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, size: int) -> np.ndarray:
    """Size x size pixels of a square image of bytes after its points moved to `matrix @ p +
    offset`.

    Points are ±1 at the edges of the middle size x size pixels of the image.
    """
    back = np.linalg.inv(matrix)
    # Pixel (x, y) of the result is at 2 (x, y) / size - 1, and 0 is the middle of the image.
    start = back @ (-1 - offset) * (size / 2) + len(image) / 2
    rows = (back[0, 0], back[0, 1], start[0], back[1, 0], back[1, 1], start[1])
    moved = Image.fromarray(image).transform(
        (size, size), Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR
    )
    return np.asarray(moved)
