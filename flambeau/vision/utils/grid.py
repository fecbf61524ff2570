"""Grids of images, and image files."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from flambeau.vision.utils.arrays import like_original, to_array


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Any:
    """One image (3, H, W) of many (N, C, H, W), `nrow` in each row; torchvision's `make_grid`.

    `normalize` brings the values to 0 to 1 from `value_range`, by default from the least and
    the greatest, of every image on its own where `scale_each` is set. A list of images is
    accepted.
    """
    if isinstance(tensor, list | tuple):
        if not tensor:
            raise ValueError("make_grid got no images")
        images = np.stack([to_array(image) for image in tensor])
        like = tensor[0]
    else:
        images, like = to_array(tensor), tensor
    if images.ndim == 2:
        images = images[None]
    if images.ndim == 3:
        images = images[None]
    if images.ndim != 4:
        raise ValueError(
            f"make_grid takes (N, C, H, W), (C, H, W) or (H, W), not {images.shape}"
        )
    if not len(images):
        raise ValueError("make_grid got no images")
    if images.shape[1] == 1:
        images = images.repeat(3, axis=1)
    if normalize:
        images = images.astype(np.float32)
        images = (
            np.stack([_rescale(image, value_range) for image in images])
            if scale_each
            else _rescale(images, value_range)
        )
    if len(images) == 1:
        return like_original(images[0], like)
    columns = min(nrow, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[2] + padding, images.shape[3] + padding
    grid = np.full(
        (images.shape[1], height * rows + padding, width * columns + padding),
        pad_value,
        images.dtype,
    )
    for place, image in enumerate(images):
        y, x = padding + place // columns * height, padding + place % columns * width
        grid[:, y : y + image.shape[1], x : x + image.shape[2]] = image
    return like_original(grid, like)


def save_image(
    tensor: Any,
    fp: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Write an image, or many as a grid, to a file; `kwargs` are those of `make_grid`.

    Floating-point values are taken as 0 to 1. `format` is needed where the file has no name.
    """
    if not isinstance(tensor, Image.Image):
        pixels = to_array(make_grid(tensor, **kwargs)).transpose(1, 2, 0)
        if pixels.dtype != np.uint8:
            pixels = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
        tensor = Image.fromarray(pixels)
    tensor.save(fp, format=format)


def _rescale(image: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    low, high = value_range or (float(image.min()), float(image.max()))
    return (np.clip(image, low, high) - low) / max(high - low, 1e-5)
