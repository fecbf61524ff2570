"""Crops of faces: which part of an image is cut out, and where its points lie on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image


class Crop(NamedTuple):
    """The part of an image that is cut out, in image pixels, and the map of points onto it.

    Points on a crop are measured in half crop widths and heights from its centre: -1 is the
    left or upper edge, 1 the right or lower one, whatever size the crop is resized to. So they
    are centred, of one size for all faces, and nearly all within ±1: what a network learns well
    with MSE.
    """

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def around(cls, box: Sequence[float], widen: float) -> Crop:
        """The box with `widen` of its width (height) added at either side (above and below)."""
        x1, y1, x2, y2 = box
        dx, dy = widen * (x2 - x1), widen * (y2 - y1)
        return cls(x1 - dx, y1 - dy, x2 - x1 + 2 * dx, y2 - y1 + 2 * dy)

    def widened(self, ratio: float) -> Crop:
        """A crop with `ratio` of this one's width and height added on each side."""
        return Crop.around(
            (self.left, self.top, self.left + self.width, self.top + self.height), ratio
        )

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Points (…, 2) in image pixels as points on the crop, ±1 at its edges."""
        return (points - (self.left, self.top)) * (2 / self.width, 2 / self.height) - 1

    def to_image_pixels(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `to_crop`."""
        return (np.asarray(points) + 1) * (self.width / 2, self.height / 2) + (
            self.left,
            self.top,
        )

    def cut(self, image: Image.Image, size: int) -> Image.Image:
        """This part of the image, resized to size x size; black where it reaches outside."""
        left, top = int(np.floor(self.left)), int(np.floor(self.top))
        right = int(np.ceil(self.left + self.width))
        bottom = int(np.ceil(self.top + self.height))
        region = (
            self.left - left,
            self.top - top,
            min(self.left - left + self.width, right - left),
            min(self.top - top + self.height, bottom - top),
        )
        whole_pixels = image.crop((left, top, right, bottom))
        return whole_pixels.resize((size, size), Image.Resampling.BILINEAR, box=region)


def standardize(crops: np.ndarray) -> np.ndarray:
    """Grey crops (…, H, W) as float32 with mean 0 and standard deviation 1 each.

    So neither the light nor the contrast of a picture matters. An even crop gives zeros.
    """
    pixels = crops.astype(np.float32)
    pixels -= pixels.mean(axis=(-2, -1), keepdims=True)
    spread = np.sqrt(np.square(pixels).mean(axis=(-2, -1), keepdims=True))
    return pixels / np.maximum(spread, np.float32(1.0))
