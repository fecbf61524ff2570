"""Image files as tensors of bytes `(C, H, W)`, and back: torchvision.io's names, read and written by Pillow."""

from __future__ import annotations

import io
import os
import warnings
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import flambeau
from flambeau.tensor import Tensor

_VIDEO = ("read_video", "read_video_timestamps", "write_video", "VideoReader")
_DECODERS = ("decode_gif", "decode_webp", "decode_avif", "decode_heic")


class ImageReadMode(Enum):
    """Which channels an image is read with; `UNCHANGED` keeps those of the file."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_PILLOW_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}
Mode = ImageReadMode | str


def read_file(path: str | os.PathLike[str]) -> Tensor:
    """The bytes of a file, `(N,)`.

    Raises:
        RuntimeError: if it cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise RuntimeError(f"[Errno {error.errno}] {error.strerror}: '{path}'") from error
    return flambeau.from_numpy(np.frombuffer(content, np.uint8).copy())


def write_file(filename: str | os.PathLike[str], data: Tensor) -> None:
    """Write bytes `(N,)` to a file."""
    _check_bytes(data, 1)
    Path(filename).write_bytes(data.numpy().tobytes())


def read_image(
    path: str | os.PathLike[str],
    mode: Mode = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image of a file; see `decode_image`."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


def decode_image(
    input: Tensor | str | os.PathLike[str],
    mode: Mode = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image `(C, H, W)` of a file's bytes, or of a file: uint8, or uint16 for 16 bits a channel.

    Args:
        input: bytes `(N,)`, or a path.
        mode: the channels, or their name in an `ImageReadMode`.
        apply_exif_orientation: turn the image as its camera says.

    Raises:
        RuntimeError: for bytes that are no image, or a damaged one.
        ValueError: for an unknown mode.
    """
    return _decode(input, mode, apply_exif_orientation, None)


def decode_jpeg(
    input: Tensor,
    mode: Mode = ImageReadMode.UNCHANGED,
    device: str = "cpu",
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image of a JPEG file's bytes; see `decode_image`."""
    return _decode(input, mode, apply_exif_orientation, "JPEG").to(device)


def decode_png(
    input: Tensor, mode: Mode = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image of a PNG file's bytes; see `decode_image`."""
    return _decode(input, mode, apply_exif_orientation, "PNG")


def encode_jpeg(input: Tensor, quality: int = 75) -> Tensor:
    """The bytes `(N,)` of a JPEG file of an image, uint8 `(1 or 3, H, W)`.

    Args:
        input: the image.
        quality: from 1 to 100.

    Raises:
        ValueError: for another quality.
        RuntimeError: for another dtype or shape.
    """
    if not 1 <= quality <= 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    return _encode(input, "JPEG", quality=quality)


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes `(N,)` of a PNG file of an image, uint8 `(1 or 3, H, W)`.

    Args:
        input: the image.
        compression_level: from 0, fast, to 9, small.

    Raises:
        RuntimeError: for another level, dtype or shape.
    """
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encode(input, "PNG", compress_level=compression_level)


def write_jpeg(input: Tensor, filename: str | os.PathLike[str], quality: int = 75) -> None:
    """Write an image as a JPEG file; see `encode_jpeg`."""
    write_file(filename, encode_jpeg(input, quality))


def write_png(input: Tensor, filename: str | os.PathLike[str], compression_level: int = 6) -> None:
    """Write an image as a PNG file; see `encode_png`."""
    write_file(filename, encode_png(input, compression_level))


def _decode(input: Any, mode: Mode, upright: bool, format: str | None) -> Tensor:
    if isinstance(mode, str):
        names = ImageReadMode.__members__
        if mode.upper() not in names:
            raise ValueError(f"Unknown mode: '{mode}'; it is one of {', '.join(names)}")
        mode = names[mode.upper()]
    if not isinstance(input, Tensor):
        input = read_file(input)
    _check_bytes(input, 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(input.numpy().tobytes()), formats=[format] if format else None) as opened:
                opened.load()
                picture = ImageOps.exif_transpose(opened) if upright else opened.copy()
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:
        what = format or "image"
        raise RuntimeError(f"the {input.numel()} bytes are no {what} that can be read: {error}") from error
    if mode is not ImageReadMode.UNCHANGED:
        pixels = np.asarray(_eight_bits(picture).convert(_PILLOW_MODES[mode]))
    elif picture.mode.startswith("I;16"):
        pixels = np.asarray(picture).astype(np.uint16)
    else:
        pixels = np.asarray(_plain(picture))
    channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return flambeau.from_numpy(np.ascontiguousarray(channels_first))


def _plain(picture: Image.Image) -> Image.Image:
    """A picture of 8 bits a channel, whose channels stand for themselves: no palette, no inks."""
    if picture.mode in ("L", "LA", "RGB", "RGBA"):
        return picture
    if picture.mode in ("1", "I", "F"):
        return picture.convert("L")
    return picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A picture of 16 bits as one of 8; Pillow's own conversion would cut values off."""
    if not picture.mode.startswith("I;16"):
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))


def _encode(input: Tensor, format: str, **options: Any) -> Tensor:
    _check_bytes(input, 3)
    if input.size(0) not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {input.size(0)}")
    pixels = input.cpu().numpy().transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return flambeau.from_numpy(np.frombuffer(stream.getvalue(), np.uint8).copy())


def _check_bytes(data: Any, dims: int) -> None:
    if not isinstance(data, Tensor) or data.dtype != flambeau.uint8:
        found = data.dtype if isinstance(data, Tensor) else type(data).__name__
        raise RuntimeError(f"Expected a torch.uint8 tensor, got {found}")
    if data.dim() != dims:
        raise RuntimeError(f"Expected a {dims}-dimensional tensor, got {data.dim()} dimensions")


def __getattr__(name: str) -> Any:
    if name in _VIDEO:
        raise NotImplementedError(f"flambeau.vision.io.{name}: videos are not read; the images are, by read_image")
    if name in _DECODERS:
        raise NotImplementedError(f"flambeau.vision.io.{name}; decode_image reads what Pillow reads")
    raise AttributeError(f"module 'flambeau.vision.io' has no attribute '{name}'")
