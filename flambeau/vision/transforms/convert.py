"""PIL images to tensors and back, and the numbers that pixels are."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

import flambeau
from flambeau.tensor import Tensor
from flambeau.vision.transforms import pixel_kernels

#: Modes of images that are not bytes, with their pixels' types.
_WIDE_MODES = {"I": np.int32, "I;16": np.int16, "F": np.float32}
#: Modes that a tensor of so many channels may become; the first is what it becomes by itself.
_MODES = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}


def to_tensor(pic: Any) -> Tensor:
    """The picture as a tensor (C, H, W): bytes become floating point from 0 to 1.

    `pic` is a PIL image or an array (H, W, C) or (H, W); what is not bytes keeps its numbers.
    Raises `TypeError` for anything else, `ValueError` for other shapes.
    """
    if isinstance(pic, Image.Image):
        if pixel_kernels.fits(pic) and flambeau.get_default_dtype() == flambeau.float32:
            return flambeau.from_numpy(pixel_kernels.planes(pic))
        pixels = _planes(pic)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        pixels = (pic[:, :, None] if pic.ndim == 2 else pic).transpose(2, 0, 1)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if pixels.dtype != np.uint8:
        return flambeau.from_numpy(np.ascontiguousarray(pixels))
    kind = flambeau.get_default_dtype()
    scaled = np.empty(pixels.shape, np.float64 if kind == flambeau.float64 else np.float32)
    # Dividing while the planes are put apart reads and writes each number once.
    np.divide(pixels, scaled.dtype.type(255), out=scaled)
    return flambeau.from_numpy(scaled).to(kind)


def to_normalized_tensor(pic: Any, mean: Any, std: Any) -> Tensor | None:
    """`to_tensor` and `normalize` at once, to the bit; None where that is not made for `pic`."""
    plain = isinstance(pic, Image.Image) and pixel_kernels.fits(pic)
    if not plain or flambeau.get_default_dtype() != flambeau.float32:
        return None
    if not all(isinstance(x, (list, tuple)) and len(x) in (1, 3) for x in (mean, std)):
        return None
    if (np.array(std, np.float32) == 0).any():
        return None
    return flambeau.from_numpy(pixel_kernels.planes(pic, mean, std))


def pil_to_tensor(pic: Any) -> Tensor:
    """The PIL image as a tensor (C, H, W) of the same numbers."""
    if not isinstance(pic, Image.Image):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    pixels = np.array(pic, copy=True)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return flambeau.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _planes(pic: Image.Image) -> np.ndarray:
    """Pixels (C, H, W), a view where it can be."""
    if pic.mode in _WIDE_MODES:
        pixels = np.array(pic, _WIDE_MODES[pic.mode], copy=True)
    elif pic.mode == "1":
        pixels = 255 * np.array(pic, np.uint8)
    else:
        pixels = np.asarray(pic)
    return (pixels[:, :, None] if pixels.ndim == 2 else pixels).transpose(2, 0, 1)


def to_pil_image(pic: Any, mode: str | None = None) -> Image.Image:
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image.

    Floating point from 0 to 1 becomes bytes, unless `mode` is `"F"`. Raises `TypeError` and
    `ValueError` for what is no picture, or not one of this mode.
    """
    if not isinstance(pic, (Tensor, np.ndarray)):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    if isinstance(pic, Tensor):
        pixels = pic.detach().numpy()
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels.transpose(1, 2, 0)
    else:
        pixels = pic[:, :, None] if pic.ndim == 2 else pic
    count = pixels.shape[-1]
    if count > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {count} channels.")
    if isinstance(pic, Tensor) and pixels.dtype.kind == "f" and mode != "F":
        pixels = (pixels * pixels.dtype.type(255)).astype(np.int64).astype(np.uint8)
    if count == 1:
        return _one_channel(pixels[:, :, 0], mode)
    if pixels.dtype != np.uint8:
        raise TypeError(f"Input type {pixels.dtype} is not supported")
    allowed = _MODES[count]
    if mode is not None and mode not in allowed:
        raise ValueError(f"Only modes {list(allowed)} are supported for {count}D inputs")
    mode = allowed[0] if mode is None else mode
    pixels = np.ascontiguousarray(pixels)
    return Image.frombuffer(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes(), "raw", mode, 0, 1)


def _one_channel(pixels: np.ndarray, mode: str | None) -> Image.Image:
    modes = {np.uint8: "L", np.int16: "I;16", np.int32: "I", np.float32: "F"}
    expected = modes.get(pixels.dtype.type)
    if expected is None:
        raise TypeError(f"Input type {pixels.dtype} is not supported")
    if mode is not None and mode != expected:
        raise ValueError(
            f"Incorrect mode ({mode}) supplied for input type {pixels.dtype}. Should be {expected}"
        )
    size = pixels.shape[1], pixels.shape[0]
    return Image.frombytes(expected, size, np.ascontiguousarray(pixels).tobytes())


def max_value(dtype: Any) -> int:
    """The number that means white: 1 in floating point, else the largest."""
    return 1 if dtype.is_floating_point else flambeau.iinfo(dtype).max


def convert_image_dtype(image: Tensor, dtype: Any = None) -> Tensor:
    """The image in another type of numbers, scaled so that white stays white.

    Floating point is from 0 to 1, integers from 0 to the largest. Raises `RuntimeError` where
    the floating point is too coarse for the integers.
    """
    dtype = flambeau.float32 if dtype is None else dtype
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        unsafe = (flambeau.int32, flambeau.int64) if image.dtype == flambeau.float32 else (flambeau.int64,)
        if dtype in unsafe and image.dtype in (flambeau.float32, flambeau.float64):
            raise RuntimeError(
                f"The cast from {image.dtype} to {dtype} cannot be performed safely."
            )
        # Every level has an equal share of the numbers from 0 to 1.
        return (image * (max_value(dtype) + 1.0 - 1e-3)).to(dtype)
    top, new_top = max_value(image.dtype), max_value(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / top
    if top > new_top:
        return (image // ((top + 1) // (new_top + 1))).to(dtype)
    return image.to(dtype) * ((new_top + 1) // (top + 1))
