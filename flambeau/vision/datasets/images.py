"""Image files opened with errors that name the file and say what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from flambeau.vision.datasets.errors import ImageFileError


def open_image(path: str | os.PathLike[str]) -> Image.Image:
    """The image of a file as it is, wholly decoded; `ImageFileError` names a bad file."""
    with _opened(path) as image:
        image.load()
        return image.copy()


def open_rgb(path: str | os.PathLike[str]) -> Image.Image:
    """The image of a file in colour (mode "RGB"), wholly decoded; `ImageFileError` names a bad file."""
    with _opened(path) as image:
        return _in_8_bits(image).convert("RGB")


def open_grey(path: str | os.PathLike[str]) -> Image.Image:
    """The image of a file in shades of grey (mode "L"), wholly decoded; `ImageFileError` names a bad file."""
    with _opened(path) as image:
        # JPEG files hold the grey image as such: the decoder need not make colours of it.
        image.draft("L", image.size)
        return _in_8_bits(image).convert("L")


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The width and height that a file's header tells; `ImageFileError` names a bad file."""
    with _opened(path) as image:
        return image.size


def _in_8_bits(image: Image.Image) -> Image.Image:
    """The image, its brightness scaled from 16 bits where it has those: Pillow alone would turn nearly all of it white.

    Raises `ValueError` for numbers of 32 bits, of which nobody knows what is black and what is white.
    """
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.uint16)
        return Image.fromarray((pixels >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise _UnknownBrightnessError(f"numbers of 32 bits (mode {image.mode}) for pixels: their range is not known")
    return image


class _UnknownBrightnessError(ValueError):
    pass


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise ImageFileError(f"{path}: no such image file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"{path}: {_why_unreadable(path, error)}") from error


def _why_unreadable(path: str | os.PathLike[str], error: Exception) -> str:
    if isinstance(error, PermissionError | IsADirectoryError):
        return f"cannot be read ({error.strerror})"
    if Path(path).stat().st_size == 0:
        return "an empty file, not an image"
    if isinstance(error, _UnknownBrightnessError):
        return str(error)
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image file of a known format"
    return f"a damaged or truncated image ({error})"
