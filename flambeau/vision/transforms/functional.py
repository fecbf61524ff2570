"""Transforms as functions: torchvision's `transforms.functional`.

An image is a PIL image, a tensor (…, C, H, W), or a sample, that is a dictionary with an image,
key points and boxes (see `samples`). PIL images go to Pillow, with its results; tensors go to
Flambeau's operators, so that these functions differentiate and compile. Sizes are (height,
width), places (x, y), angles degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

import flambeau
from flambeau.ops.native import native
from flambeau.tensor import Tensor
from flambeau.vision.transforms import convert, geometry, samples
from flambeau.vision.transforms import pil_images as pil
from flambeau.vision.transforms import tensor_color as color
from flambeau.vision.transforms import tensor_geometry as planes
from flambeau.vision.transforms.modes import PIL_NUMBERS, as_mode
from flambeau.vision.transforms.modes import InterpolationMode as InterpolationMode
from flambeau.vision.transforms.samples import on_samples

_NEAREST, _BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR

Fill = float | Sequence[float] | None

# What an image is ---------------------------------------------------------------------------------


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    if isinstance(img, dict):
        img = samples.image_of(img)
    if isinstance(img, Tensor):
        planes.check(img)
        return [img.shape[-1], img.shape[-2]]
    if isinstance(img, Image.Image):
        return list(img.size)
    raise TypeError(f"Unexpected type {type(img)}")


def get_image_num_channels(img: Any) -> int:
    if isinstance(img, dict):
        img = samples.image_of(img)
    if isinstance(img, Tensor):
        planes.check(img)
        return color.channels(img)
    if isinstance(img, Image.Image):
        return pil.channels(img)
    raise TypeError(f"Unexpected type {type(img)}")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    width, height = get_image_size(img)
    return [get_image_num_channels(img), height, width]


# Types --------------------------------------------------------------------------------------------

to_tensor = on_samples()(convert.to_tensor)
pil_to_tensor = on_samples()(convert.pil_to_tensor)
to_pil_image = on_samples()(convert.to_pil_image)
convert_image_dtype = on_samples()(convert.convert_image_dtype)


@on_samples()
def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """(tensor - mean) / std, with one mean and one deviation for each channel."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tensor.size()}"
        )
    centre = flambeau.as_tensor(mean, dtype=tensor.dtype)
    spread = flambeau.as_tensor(std, dtype=tensor.dtype)
    if (spread == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero."
        )
    centre = centre.reshape(-1, 1, 1) if centre.ndim == 1 else centre
    spread = spread.reshape(-1, 1, 1) if spread.ndim == 1 else spread
    if inplace:
        return tensor.sub_(centre).div_(spread)
    return _normalized(tensor, centre, spread)


@native
def _normalized(tensor: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    return (tensor - centre) / spread


# Moves --------------------------------------------------------------------------------------------


@on_samples(geometry.resize_move)
def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = _BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image in another size: (height, width), or the length of its shorter edge.

    `max_size` limits the longer edge where `size` is one number. PIL images are always
    antialiased; tensors where `antialias` is true and the interpolation smooth.
    """
    mode = as_mode(interpolation)
    if isinstance(size, (list, tuple)):
        if len(size) not in (1, 2):
            raise ValueError(
                "Size must be an int or a 1 or 2 element tuple/list, not a "
                f"{len(size)} element tuple/list"
            )
        if max_size is not None and len(size) != 1:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge, "
                "i.e. size should be an int or a sequence of length 1 in torchscript mode."
            )
    width, height = get_image_size(img)
    to = [size] if isinstance(size, int) else size
    new_height, new_width = geometry.resized_size((width, height), to, max_size)
    if (new_height, new_width) == (height, width):
        return img
    if isinstance(img, Tensor):
        return planes.resize(img, new_height, new_width, mode.value, antialias)
    if antialias is False:
        import warnings

        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.",
            stacklevel=2,
        )
    return pil.resize(img, new_height, new_width, PIL_NUMBERS[mode])


@on_samples(geometry.pad_move)
def pad(
    img: Any,
    padding: int | Sequence[int],
    fill: Fill = 0,
    padding_mode: str = "constant",
) -> Any:
    """The image with edges of `padding` pixels: all; left and right, top and bottom; or left,
    top, right, bottom.

    `padding_mode` is `constant` (of the colour `fill`), `edge` (the last pixel repeated),
    `reflect` (mirrored without repeating it) or `symmetric` (with).
    """
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(fill, (int, float, tuple, list)) and fill is not None:
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if isinstance(padding, (tuple, list)) and len(padding) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple, not a "
            f"{len(padding)} element tuple"
        )
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    back_end: Any = planes if isinstance(img, Tensor) else pil
    return back_end.pad(img, padding, fill, padding_mode)


@on_samples(geometry.crop_move)
def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The piece of this height and width at (top, left); black beyond the image."""
    back_end: Any = planes if isinstance(img, Tensor) else pil
    return back_end.crop(img, top, left, height, width)


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of the image; a smaller image gets black edges."""
    size = (output_size,) if isinstance(output_size, int) else tuple(output_size)
    height, width = size * 2 if len(size) == 1 else size
    image_width, image_height = get_image_size(img)
    if width > image_width or height > image_height:
        more, taller = max(width - image_width, 0), max(height - image_height, 0)
        img = pad(img, [more // 2, taller // 2, (more + 1) // 2, (taller + 1) // 2], fill=0)
        image_width, image_height = get_image_size(img)
        if (width, height) == (image_width, image_height):
            return img
    top, left = round((image_height - height) / 2.0), round((image_width - width) / 2.0)
    return crop(img, top, left, height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sequence[int],
    interpolation: InterpolationMode | int = _BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A piece of the image, resized."""
    mode = as_mode(interpolation)
    if isinstance(img, Tensor) and antialias and mode.value in ("bilinear", "bicubic") and len(size) == 2:
        found = planes.resized_crop(img, (top, left, height, width), (size[0], size[1]), mode.value)
        if found is not None:
            return found
    piece = crop(img, top, left, height, width)
    return resize(piece, size, interpolation, antialias=antialias)


def hflip(img: Any, flip_pairs: Sequence[tuple[int, int]] = ()) -> Any:
    """Left and right swapped, and the key points of each pair."""
    return _flip(_hflip, img, flip_pairs)


def vflip(img: Any, flip_pairs: Sequence[tuple[int, int]] = ()) -> Any:
    """Top and bottom swapped, and the key points of each pair."""
    return _flip(_vflip, img, flip_pairs)


def _flip(flip: Any, img: Any, flip_pairs: Sequence[tuple[int, int]]) -> Any:
    flipped = flip(img)
    if isinstance(img, dict) and "keypoints" in img:
        pairs = flip_pairs or img.get("flip_pairs", ())
        if pairs is None:
            raise ValueError(
                f"which of {flipped['keypoints'].shape[-2]} points change places in a mirror? give flip_pairs"
            )
        flipped["keypoints"] = samples.swap_pairs(flipped["keypoints"], pairs)
    return flipped


@on_samples(geometry.hflip_move)
def _hflip(img: Any) -> Any:
    return planes.hflip(img) if isinstance(img, Tensor) else pil.hflip(img)


@on_samples(geometry.vflip_move)
def _vflip(img: Any) -> Any:
    return planes.vflip(img) if isinstance(img, Tensor) else pil.vflip(img)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, ...]:
    """The four corners (top left, top right, bottom left, bottom right) and the middle."""
    pair = (size,) if isinstance(size, int) else tuple(size)
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    height, width = pair
    image_width, image_height = get_image_size(img)
    if width > image_width or height > image_height:
        raise ValueError(
            f"Requested crop size {(height, width)} is bigger than input size "
            f"{(image_height, image_width)}"
        )
    corners = [
        crop(img, top, left, height, width)
        for top in (0, image_height - height)
        for left in (0, image_width - width)
    ]
    return (*corners, center_crop(img, [height, width]))


def ten_crop(
    img: Any,
    size: int | Sequence[int],
    vertical_flip: bool = False,
    flip_pairs: Sequence[tuple[int, int]] = (),
) -> tuple[Any, ...]:
    """Five crops of the image and five of its mirror image."""
    flipped = vflip(img, flip_pairs) if vertical_flip else hflip(img, flip_pairs)
    return five_crop(img, size) + five_crop(flipped, size)


@on_samples(geometry.affine_move)
def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | int = _NEAREST,
    fill: Fill = None,
    center: Sequence[float] | None = None,
) -> Any:
    """Sheared, turned clockwise and scaled about `center` (the image's middle), then shifted."""
    mode = as_mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, (int, float, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    shears = geometry.two_shears(shear)
    width, height = get_image_size(img)
    if isinstance(img, Tensor):
        middle = _from_middle(center, width, height)
        back = geometry.inverse_affine(middle, angle, translate, scale, shears)
        return planes.affine(img, back, mode.value, fill)
    middle = (width * 0.5, height * 0.5) if center is None else (center[0], center[1])
    back = geometry.inverse_affine(middle, angle, translate, scale, shears)
    return pil.affine(img, back, PIL_NUMBERS[mode], fill)


@on_samples(geometry.rotate_move)
def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode | int = _NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Fill = None,
) -> Any:
    """Turned counter-clockwise about `center` (the image's middle); with `expand`, in an image
    that holds all of it where it turns about the middle."""
    mode = as_mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    if not isinstance(img, Tensor):
        return pil.rotate(img, angle, PIL_NUMBERS[mode], expand, center, fill)
    width, height = get_image_size(img)
    middle = _from_middle(center, width, height)
    back = geometry.inverse_affine(middle, -angle, (0.0, 0.0), 1.0, (0.0, 0.0))
    return planes.rotate(img, back, mode.value, expand, fill)


def _from_middle(center: Sequence[float] | None, width: int, height: int) -> tuple[float, float]:
    if center is None:
        return 0.0, 0.0
    return center[0] - width * 0.5, center[1] - height * 0.5


@on_samples(geometry.perspective_move)
def perspective(
    img: Any,
    startpoints: geometry.Points,
    endpoints: geometry.Points,
    interpolation: InterpolationMode | int = _BILINEAR,
    fill: Fill = None,
) -> Any:
    """The plane of the image seen so that its four `startpoints` are at the four `endpoints`."""
    mode = as_mode(interpolation)
    back = geometry.perspective_coefficients(startpoints, endpoints)
    if isinstance(img, Tensor):
        return planes.perspective(img, back, mode.value, fill)
    return pil.perspective(img, back, PIL_NUMBERS[mode], fill)


def _no_way_back(*arguments: Any, **options: Any) -> Any:
    raise NotImplementedError(
        "elastic_transform says where each pixel comes from, not where it goes, so key points and "
        "boxes cannot follow; use affine or perspective with them"
    )


@on_samples(_no_way_back)
def elastic_transform(
    img: Any,
    displacement: Tensor,
    interpolation: InterpolationMode | int = _BILINEAR,
    fill: Fill = None,
) -> Any:
    """Every pixel taken from its place plus `displacement`, (1, H, W, 2) as parts of half the
    image's width and height. Key points cannot be moved along, since the way back is unknown."""
    mode = as_mode(interpolation)
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    image = img if isinstance(img, Tensor) else pil_to_tensor(img)
    expected = flambeau.Size((1, *image.shape[-2:], 2))
    if displacement.shape != expected:
        raise ValueError(
            f"Argument displacement shape should be {expected}, but given {displacement.shape}"
        )
    moved = planes.elastic(image, displacement, mode.value, fill)
    return moved if isinstance(img, Tensor) else to_pil_image(moved, mode=img.mode)


@on_samples()
def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """The rectangle of height h and width w at row i and column j becomes `v`."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    if not inplace:
        img = img.clone()
    img[..., i : i + h, j : j + w] = v
    return img


# Colours ------------------------------------------------------------------------------------------


@on_samples()
def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Brighter by a factor: 0 is black, 1 the image."""
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.adjust_brightness(img, brightness_factor)


@on_samples()
def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Further from its mean grey by a factor: 0 is all grey, 1 the image."""
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.adjust_contrast(img, contrast_factor)


@on_samples()
def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Further from its greys by a factor: 0 is black and white, 1 the image."""
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.adjust_saturation(img, saturation_factor)


@on_samples()
def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Colours turned round the colour circle, by -0.5 to 0.5 of it."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.adjust_hue(img, hue_factor)


@on_samples()
def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain · image ** gamma, of an image from 0 to 1."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.adjust_gamma(img, gamma, gain)


@on_samples()
def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Further from its blurred self by a factor: 0 is blurred, 1 the image."""
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.adjust_sharpness(img, sharpness_factor)


@on_samples()
def to_grayscale(img: Image.Image, num_output_channels: int = 1) -> Image.Image:
    """A PIL image in grey, in one channel or three equal ones."""
    return pil.to_grayscale(img, num_output_channels)


@on_samples()
def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """An image in grey, in one channel or three equal ones."""
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.to_grayscale(img, num_output_channels)


@on_samples()
def gaussian_blur(
    img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """Blurred by a Gaussian; sizes and deviations are one number or (x, y), in pixels.

    Without `sigma` it is 0.3 ((kernel_size - 1) / 2 - 1) + 0.8, which fills the kernel.
    """
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}")
    size = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(size) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(size)}")
    if any(n % 2 == 0 or n < 0 for n in size):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {size}")
    if sigma is None:
        sigma = [n * 0.15 + 0.35 for n in size]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    widths = [float(sigma)] * 2 if isinstance(sigma, (int, float)) else list(sigma)
    widths = widths * 2 if len(widths) == 1 else widths
    if len(widths) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(widths)}")
    if any(w <= 0.0 for w in widths):
        raise ValueError(f"sigma should have positive values. Got {widths}")
    if isinstance(img, Tensor):
        return color.gaussian_blur(img, size, widths)
    if not isinstance(img, Image.Image):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return pil.gaussian_blur(img, size, widths)


@on_samples()
def invert(img: Any) -> Any:
    """The negative."""
    return color.invert(img) if isinstance(img, Tensor) else pil.invert(img)


@on_samples()
def posterize(img: Any, bits: int) -> Any:
    """Only the highest `bits` of each byte."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    return color.posterize(img, bits) if isinstance(img, Tensor) else pil.posterize(img, bits)


@on_samples()
def solarize(img: Any, threshold: float) -> Any:
    """The negative where the image is at least as bright as `threshold`."""
    back_end: Any = color if isinstance(img, Tensor) else pil
    return back_end.solarize(img, threshold)


@on_samples()
def autocontrast(img: Any) -> Any:
    """Each channel stretched so that its darkest pixel is black and its brightest white."""
    return color.autocontrast(img) if isinstance(img, Tensor) else pil.autocontrast(img)


@on_samples()
def equalize(img: Any) -> Any:
    """Each channel with its levels spread evenly over its pixels."""
    return color.equalize(img) if isinstance(img, Tensor) else pil.equalize(img)

