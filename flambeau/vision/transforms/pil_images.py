"""What the functions of `functional` do to PIL images: Pillow's own operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from flambeau.vision.transforms import blur_kernel, pixel_kernels
from flambeau.vision.transforms.geometry import four_paddings

Fill = Any  # a number, a sequence of one or one for each channel, or None


def check(img: Any) -> None:
    if not isinstance(img, Image.Image):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def channels(img: Image.Image) -> int:
    return 1 if img.mode in ("1", "L", "P", "I", "F", "I;16") else len(img.getbands())


def hflip(img: Image.Image) -> Image.Image:
    check(img)
    return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Image.Image) -> Image.Image:
    check(img)
    return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def crop(img: Image.Image, top: int, left: int, height: int, width: int) -> Image.Image:
    check(img)
    return img.crop((left, top, left + width, top + height))


def resize(img: Image.Image, height: int, width: int, interpolation: int) -> Image.Image:
    check(img)
    return img.resize((width, height), interpolation)


def pad(img: Image.Image, padding: int | Sequence[int], fill: Fill, mode: str) -> Image.Image:
    check(img)
    left, top, right, bottom = four_paddings(padding)
    if mode == "constant":
        fill = full_fill(fill, img)
        padded = ImageOps.expand(img, border=(left, top, right, bottom), fill=fill)
        if img.mode == "P":
            padded.putpalette(img.getpalette() or [])
        return padded
    palette = img.getpalette() if img.mode == "P" else None
    if min(left, top, right, bottom) < 0:
        cut = [max(-edge, 0) for edge in (left, top, right, bottom)]
        img = img.crop((cut[0], cut[1], img.width - cut[2], img.height - cut[3]))
        left, top, right, bottom = (max(edge, 0) for edge in (left, top, right, bottom))
    pixels = np.asarray(img)
    edges = ((top, bottom), (left, right), (0, 0))[: pixels.ndim]
    padded = Image.fromarray(np.pad(pixels, edges, mode))  # type: ignore[call-overload]
    if palette is not None:
        padded.putpalette(palette)
    return padded


def affine(
    img: Image.Image, back: Sequence[float], interpolation: int, fill: Fill
) -> Image.Image:
    check(img)
    return img.transform(
        img.size, Image.Transform.AFFINE, tuple(back), interpolation, fillcolor=full_fill(fill, img)
    )


def rotate(
    img: Image.Image,
    angle: float,
    interpolation: int,
    expand: bool,
    center: Sequence[float] | None,
    fill: Fill,
) -> Image.Image:
    check(img)
    middle = None if center is None else (center[0], center[1])
    mode = Image.Resampling(interpolation)
    return img.rotate(angle, mode, expand, middle, fillcolor=full_fill(fill, img))


def perspective(
    img: Image.Image, back: Sequence[float], interpolation: int, fill: Fill
) -> Image.Image:
    check(img)
    fill = full_fill(fill, img)
    return img.transform(
        img.size, Image.Transform.PERSPECTIVE, tuple(back), interpolation, fillcolor=fill
    )


def full_fill(fill: Fill, img: Image.Image) -> Any:
    """The fill as Pillow wants it: a number for one channel, else a tuple of one for each."""
    count = channels(img)
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)) and count > 1:
        fill = (fill,) * count
    if isinstance(fill, (list, tuple)):
        if len(fill) == 1:
            fill = tuple(fill) * count
        elif len(fill) != count:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(fill)} != {count})"
            )
    if img.mode == "F":
        return tuple(fill) if isinstance(fill, list) else fill
    return tuple(int(f) for f in fill) if isinstance(fill, (list, tuple)) else int(fill)


# Colours ------------------------------------------------------------------------------------------


def adjust_brightness(img: Image.Image, factor: float) -> Image.Image:
    check(img)
    if pixel_kernels.fits(img):
        return pixel_kernels.change(img, [("brightness", factor)])
    return ImageEnhance.Brightness(img).enhance(factor)


def adjust_contrast(img: Image.Image, factor: float) -> Image.Image:
    check(img)
    if pixel_kernels.fits(img):
        return pixel_kernels.change(img, [("contrast", factor)])
    return ImageEnhance.Contrast(img).enhance(factor)


def adjust_saturation(img: Image.Image, factor: float) -> Image.Image:
    check(img)
    if pixel_kernels.fits(img):
        return pixel_kernels.change(img, [("saturation", factor)])
    return ImageEnhance.Color(img).enhance(factor)


def adjust_colors(img: Image.Image, changes: Sequence[tuple[str, float]]) -> Image.Image:
    """Several of brightness, contrast, saturation and hue, by their names, one after the other."""
    if pixel_kernels.fits(img):
        steps = [(name, int(f * 255) if name == "hue" else f) for name, f in changes]
        return pixel_kernels.change(img, steps)
    for name, factor in changes:
        img = _ADJUSTMENTS[name](img, factor)
    return img


def adjust_sharpness(img: Image.Image, factor: float) -> Image.Image:
    check(img)
    return ImageEnhance.Sharpness(img).enhance(factor)


def adjust_hue(img: Image.Image, factor: float) -> Image.Image:
    check(img)
    mode = img.mode
    if mode in {"L", "1", "I", "F"}:
        return img
    shift = int(factor * 255)
    if pixel_kernels.fits(img):
        return pixel_kernels.change(img, [("hue", shift)])
    hue, saturation, value = img.convert("HSV").split()
    turned = np.asarray(hue) + np.array(shift).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(mode)


_ADJUSTMENTS = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def adjust_gamma(img: Image.Image, gamma: float, gain: float) -> Image.Image:
    check(img)
    mode = img.mode
    img = img.convert("RGB")
    table = [int((255 + 1 - 1e-3) * gain * pow(level / 255.0, gamma)) for level in range(256)]
    return img.point(table * 3).convert(mode)


def gaussian_blur(
    img: Image.Image, kernel_size: Sequence[int], sigma: Sequence[float]
) -> Image.Image:
    from flambeau.vision.transforms import tensor_color
    from flambeau.vision.transforms.convert import pil_to_tensor, to_pil_image

    if img.mode in ("RGB", "L", "RGBA", "CMYK", "YCbCr", "HSV", "LA"):
        pixels = blur_kernel.blur(np.asarray(img), kernel_size, sigma)
        return Image.frombytes(img.mode, img.size, pixels.tobytes())
    blurred = tensor_color.gaussian_blur(pil_to_tensor(img), kernel_size, sigma)
    return to_pil_image(blurred, mode=img.mode)


def to_grayscale(img: Image.Image, channels: int) -> Image.Image:
    if not isinstance(img, Image.Image):
        raise TypeError("Input should be PIL Image")
    if channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    return grey if channels == 1 else Image.merge("RGB", (grey,) * 3)


def invert(img: Image.Image) -> Image.Image:
    check(img)
    return ImageOps.invert(img)


def posterize(img: Image.Image, bits: int) -> Image.Image:
    check(img)
    return ImageOps.posterize(img, bits)


def solarize(img: Image.Image, threshold: float) -> Image.Image:
    check(img)
    return ImageOps.solarize(img, threshold)  # type: ignore[arg-type]


def autocontrast(img: Image.Image) -> Image.Image:
    check(img)
    return ImageOps.autocontrast(img)


def equalize(img: Image.Image) -> Image.Image:
    check(img)
    return ImageOps.equalize(img)
