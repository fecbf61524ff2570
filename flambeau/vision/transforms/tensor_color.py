"""What the colour functions of `functional` do to tensors (…, C, H, W).

Floating point is from 0 to 1, integers from 0 to the largest of their type. Large tensors of floating point, as batches
are, go through the compiler: a change of colours, or several of them one after the other, is one pass over memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
import flambeau.nn.functional as F
from flambeau.ops.native import native
from flambeau.tensor import Tensor
from flambeau.vision.transforms.convert import convert_image_dtype, max_value
from flambeau.vision.transforms.tensor_geometry import check


def channels(img: Tensor) -> int:
    return int(img.shape[-3]) if img.ndim > 2 else 1


def check_channels(img: Tensor, permitted: Sequence[int]) -> None:
    if channels(img) not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, but found "
            f"{channels(img)}"
        )


def check_bytes(img: Tensor) -> None:
    if img.dtype != flambeau.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")


def adjust(img: Tensor, changes: Sequence[tuple[str, float]]) -> Tensor:
    """Several of "brightness", "contrast", "saturation" and "hue" by their factors, in this order."""
    for name, factor in changes:
        _check_factor(img, name, factor)
    kinds = tuple(name for name, _ in changes if (name != "saturation" and name != "hue") or channels(img) == 3)
    factors = [_as_input(factor) for name, factor in changes if name in kinds]
    return _adjusted(img, kinds, *factors) if kinds else img


def _check_factor(img: Tensor, name: str, factor: float) -> None:
    if name != "hue" and factor < 0:
        raise ValueError(f"{name}_factor ({factor}) is not non-negative.")
    check(img)
    check_channels(img, [1, 3])


def _as_input(number: float) -> Tensor:
    """A number that changes from call to call, as what a compiled program takes."""
    return flambeau.tensor(number, dtype=flambeau.float64)


@native
def _adjusted(img: Tensor, kinds: tuple[str, ...], *factors: Tensor) -> Tensor:
    for kind, factor in zip(kinds, factors, strict=True):
        img = _CHANGES[kind](img, factor)
    return img


def blend(img: Tensor, other: Tensor | float, share: Tensor) -> Tensor:
    """share · img + (1 - share) · other, cut to what the type of `img` holds."""
    mixed = share * img + (1.0 - share) * other
    return mixed.clamp(0, max_value(img.dtype)).to(img.dtype)


def adjust_brightness(img: Tensor, factor: float) -> Tensor:
    return adjust(img, [("brightness", factor)])


def adjust_contrast(img: Tensor, factor: float) -> Tensor:
    return adjust(img, [("contrast", factor)])


def adjust_saturation(img: Tensor, factor: float) -> Tensor:
    return adjust(img, [("saturation", factor)])


def adjust_hue(img: Tensor, factor: float) -> Tensor:
    return adjust(img, [("hue", factor)])


def _brightness(img: Tensor, factor: Tensor) -> Tensor:
    return (factor * img).clamp(0, max_value(img.dtype)).to(img.dtype)


def _contrast(img: Tensor, factor: Tensor) -> Tensor:
    kind = img.dtype if img.is_floating_point() else flambeau.float32
    grey = to_grayscale(img, 1) if channels(img) == 3 else img
    return blend(img, grey.to(kind).mean(dim=(-3, -2, -1), keepdim=True), factor)


def _saturation(img: Tensor, factor: Tensor) -> Tensor:
    return blend(img, to_grayscale(img, 1), factor)


def _hue(img: Tensor, factor: Tensor) -> Tensor:
    hue, saturation, value = _to_hsv(convert_image_dtype(img, flambeau.float32))
    return convert_image_dtype(_to_rgb((hue + factor) % 1.0, saturation, value), img.dtype)


_CHANGES = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}


def _to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value, each (…, H, W) from 0 to 1, of (…, 3, H, W)."""
    red, green, blue = img.unbind(-3)
    value = flambeau.maximum(flambeau.maximum(red, green), blue)
    spread = value - flambeau.minimum(flambeau.minimum(red, green), blue)
    grey = spread == 0
    saturation = spread / flambeau.where(grey, 1.0, value)
    divisor = flambeau.where(grey, 1.0, spread)
    from_red, from_green, from_blue = ((value - c) / divisor for c in (red, green, blue))
    sixth = flambeau.where(
        value == red,
        from_blue - from_green,
        flambeau.where(value == green, 2.0 + from_red - from_blue, 4.0 + from_green - from_red),
    )
    return flambeau.fmod(sixth / 6.0 + 1.0, 1.0), saturation, value


def _to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """(…, 3, H, W) of hue, saturation and value."""
    sixth = (hue * 6.0).floor()
    rest = hue * 6.0 - sixth
    sixth = sixth % 6
    low = (value * (1.0 - saturation)).clamp(0, 1)
    falling = (value * (1.0 - saturation * rest)).clamp(0, 1)
    rising = (value * (1.0 - saturation * (1.0 - rest))).clamp(0, 1)

    def choose(*sectors: Tensor) -> Tensor:
        chosen = sectors[-1]
        for number in reversed(range(5)):
            chosen = flambeau.where(sixth == number, sectors[number], chosen)
        return chosen

    red = choose(value, falling, low, low, rising, value)
    green = choose(rising, value, value, falling, low, low)
    blue = choose(low, low, rising, value, value, falling)
    return flambeau.stack([red, green, blue], -3)


def adjust_gamma(img: Tensor, gamma: float, gain: float) -> Tensor:
    check(img)
    check_channels(img, [1, 3])
    return _corrected(img, _as_input(gamma), _as_input(gain))


@native
def _corrected(img: Tensor, gamma: Tensor, gain: Tensor) -> Tensor:
    result = img if img.is_floating_point() else convert_image_dtype(img, flambeau.float32)
    return convert_image_dtype((gain * result**gamma).clamp(0, 1), img.dtype)


def to_grayscale(img: Tensor, count: int) -> Tensor:
    """The luma of ITU-R 601-2 in one channel, or in as many as the image has."""
    check(img)
    if img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )
    check_channels(img, [1, 3])
    if count not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if img.shape[-3] == 3:
        red, green, blue = img.unbind(-3)
        grey = (0.2989 * red + 0.587 * green + 0.114 * blue).to(img.dtype).unsqueeze(-3)
    else:
        grey = img
    return grey.expand(img.shape) if count == 3 else grey


def adjust_sharpness(img: Tensor, factor: float) -> Tensor:
    if factor < 0:
        raise ValueError(f"sharpness_factor ({factor}) is not non-negative.")
    check(img)
    check_channels(img, [1, 3])
    if img.shape[-1] <= 2 or img.shape[-2] <= 2:
        return img
    return _sharpened(img, _as_input(factor))


@native
def _sharpened(img: Tensor, factor: Tensor) -> Tensor:
    return blend(img, _smooth(img), factor)


def _smooth(img: Tensor) -> Tensor:
    """Means of 3 x 3 pixels, the middle one five times; the outermost pixels stay."""
    kind = img.dtype if img.is_floating_point() else flambeau.float32
    images = img.to(kind).reshape(-1, 1, *img.shape[-2:])
    kernel = flambeau.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=kind) / 13.0
    inside = F.conv2d(images, kernel[None, None])
    if not img.is_floating_point():
        inside = inside.round()
    middle = flambeau.cat([images[..., 1:-1, :1], inside, images[..., 1:-1, -1:]], -1)
    whole = flambeau.cat([images[..., :1, :], middle, images[..., -1:, :]], -2)
    return whole.to(img.dtype).reshape(img.shape)


def gaussian_blur(img: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Blurred by a Gaussian of `kernel_size` and `sigma` (x, y) in pixels, mirrored at the edges."""
    check(img)
    kind = img.dtype if img.is_floating_point() else flambeau.float32
    images = img.to(kind).reshape(-1, 1, *img.shape[-2:])
    across, down = (_gaussian(n, s, kind) for n, s in zip(kernel_size, sigma, strict=True))
    half_x, half_y = kernel_size[0] // 2, kernel_size[1] // 2
    padded = F.pad(images, [half_x, half_x, half_y, half_y], mode="reflect")
    blurred = F.conv2d(padded, (down[:, None] * across[None, :])[None, None])
    if not img.is_floating_point():
        blurred = blurred.round()
    return blurred.to(img.dtype).reshape(img.shape)


def _gaussian(size: int, sigma: float, kind: Any) -> Tensor:
    places = flambeau.linspace(-(size - 1) * 0.5, (size - 1) * 0.5, size, dtype=kind)
    heights = flambeau.exp(-0.5 * (places / sigma) ** 2)
    return heights / heights.sum()


def invert(img: Tensor) -> Tensor:
    check(img)
    if img.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.ndim}")
    check_channels(img, [1, 3])
    return max_value(img.dtype) - img


def posterize(img: Tensor, bits: int) -> Tensor:
    check(img)
    if img.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.ndim}")
    check_bytes(img)
    check_channels(img, [1, 3])
    return img & -int(2 ** (8 - bits)) % 256


def solarize(img: Tensor, threshold: float) -> Tensor:
    check(img)
    if img.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.ndim}")
    check_channels(img, [1, 3])
    if threshold > max_value(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return flambeau.where(img >= threshold, invert(img), img)


def autocontrast(img: Tensor) -> Tensor:
    """Each channel stretched from black to white; one of a single colour stays."""
    check(img)
    if img.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.ndim}")
    check_channels(img, [1, 3])
    return _stretched(img)


@native
def _stretched(img: Tensor) -> Tensor:
    top = max_value(img.dtype)
    kind = img.dtype if img.is_floating_point() else flambeau.float32
    low = img.amin(dim=(-2, -1), keepdim=True).to(kind)
    high = img.amax(dim=(-2, -1), keepdim=True).to(kind)
    flat = high == low
    scale = top / flambeau.where(flat, float(top), high - low)
    low = flambeau.where(flat, 0.0, low)
    return ((img - low) * scale).clamp(0, top).to(img.dtype)


def equalize(img: Tensor) -> Tensor:
    """Each channel with its levels spread so that their counts grow evenly."""
    check(img)
    if not 3 <= img.ndim <= 4:
        raise TypeError(f"Input image tensor should have 3 or 4 dimensions, but found {img.ndim}")
    check_bytes(img)
    check_channels(img, [1, 3])
    planes = img.reshape(-1, img.shape[-2] * img.shape[-1]).to(flambeau.int64)
    count = planes.shape[0]
    first = 256 * flambeau.arange(count)[:, None]
    histogram = flambeau.bincount((planes + first).flatten(), minlength=256 * count)
    histogram = histogram.reshape(count, 256)
    # The last level that occurs does not count.
    last = histogram.gather(1, planes.amax(1, keepdim=True))
    step = (planes.shape[1] - last) // 255
    divisor = step.clamp(min=1)
    below = histogram.cumsum(1) - histogram
    table = ((below + divisor // 2) // divisor).clamp(0, 255)
    spread = table.gather(1, planes)
    return flambeau.where(step == 0, planes, spread).to(img.dtype).reshape(img.shape)
