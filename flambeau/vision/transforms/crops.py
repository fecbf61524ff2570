"""Transforms of an image's size: resizing, cropping, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.transforms import draws
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms.modes import InterpolationMode, as_mode

_BILINEAR = InterpolationMode.BILINEAR
Size = int | Sequence[int]


class Resize(nn.Module):
    """See `functional.resize`."""

    def __init__(
        self,
        size: Size,
        interpolation: InterpolationMode | int = _BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size = size
        self.max_size = max_size
        self.interpolation = as_mode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(nn.Module):
    """See `functional.center_crop`."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = draws.height_and_width(size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Pad(nn.Module):
    """See `functional.pad`."""

    def __init__(
        self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant"
    ) -> None:
        super().__init__()
        if not isinstance(padding, (int, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (int, float, str, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(
                "Padding must be an int or a 1, 2, or 4 element tuple, not a "
                f"{len(padding)} element tuple"
            )
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
            f"padding_mode={self.padding_mode})"
        )


class RandomCrop(nn.Module):
    """A piece of this size from anywhere in the image, which may first be padded."""

    def __init__(
        self,
        size: Size,
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = draws.height_and_width(size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Top, left, height and width of the piece."""
        _, height, width = F.get_dimensions(img)
        new_height, new_width = output_size
        if height < new_height or width < new_width:
            raise ValueError(
                f"Required crop size {(new_height, new_width)} is larger than input image size "
                f"{(height, width)}"
            )
        if (height, width) == (new_height, new_width):
            return 0, 0, height, width
        top = draws.integer(0, height - new_height + 1)
        left = draws.integer(0, width - new_width + 1)
        return top, left, new_height, new_width

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class RandomResizedCrop(nn.Module):
    """A piece of the image resized to `size`: its area is `scale` of the image's, its width is
    `ratio` of its height. After ten pieces that do not fit it is the middle."""

    def __init__(
        self,
        size: Size,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | int = _BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = draws.height_and_width(size)
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            import warnings

            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        self.interpolation = as_mode(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """Top, left, height and width of the piece."""
        _, height, width = F.get_dimensions(img)
        low, high = _logarithms(ratio)
        for _ in range(10):
            area = height * width * draws.uniform(scale[0], scale[1])
            aspect = _exp(draws.uniform(low, high))
            new_width, new_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < new_width <= width and 0 < new_height <= height:
                top = draws.integer(0, height - new_height + 1)
                left = draws.integer(0, width - new_width + 1)
                return top, left, new_height, new_width
        shape = width / height
        if shape < min(ratio):
            new_width, new_height = width, round(width / min(ratio))
        elif shape > max(ratio):
            new_width, new_height = round(height * max(ratio)), height
        else:
            new_width, new_height = width, height
        return (height - new_height) // 2, (width - new_width) // 2, new_height, new_width

    def forward(self, img: Any) -> Any:
        piece = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *piece, self.size, self.interpolation, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, "
            f"scale={tuple(round(s, 4) for s in self.scale)}, "
            f"ratio={tuple(round(r, 4) for r in self.ratio)}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class FiveCrop(nn.Module):
    """The four corners and the middle, as a tuple."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = draws.height_and_width(size)

    def forward(self, img: Any) -> tuple[Any, ...]:
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(nn.Module):
    """The four corners and the middle of the image and of its mirror image, as a tuple."""

    def __init__(
        self,
        size: Size,
        vertical_flip: bool = False,
        flip_pairs: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        self.size = draws.height_and_width(size)
        self.vertical_flip = vertical_flip
        self.flip_pairs = flip_pairs

    def forward(self, img: Any) -> tuple[Any, ...]:
        return F.ten_crop(img, self.size, self.vertical_flip, self.flip_pairs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"


class RandomErasing(nn.Module):
    """With probability `p` a rectangle of a tensor image is painted over.

    Its area is `scale` of the image's, its height `ratio` of its width. `value` is a number, one
    for each channel, or `"random"` for normally distributed noise.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, (int, float, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            import warnings

            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor,
        scale: Sequence[float],
        ratio: Sequence[float],
        value: Sequence[float] | None = None,
    ) -> tuple[int, int, int, int, Tensor]:
        """Row, column, height and width of the rectangle, and its colours."""
        channels, height, width = img.shape[-3:]
        low, high = _logarithms(ratio)
        for _ in range(10):
            area = height * width * draws.uniform(scale[0], scale[1])
            aspect = _exp(draws.uniform(low, high))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (h < height and w < width):
                continue
            if value is None:
                colours = flambeau.empty([channels, h, w], dtype=flambeau.float32).normal_()
            else:
                colours = flambeau.tensor(list(value))[:, None, None]
            top = draws.integer(0, height - h + 1)
            left = draws.integer(0, width - w + 1)
            return top, left, h, w, colours
        return 0, 0, height, width, img

    def forward(self, img: Any) -> Any:
        if not draws.happens(self.p):
            return img
        image = img["image"] if isinstance(img, dict) else img
        value: Any = self.value
        if isinstance(value, (int, float)):
            value = [float(value)]
        elif value == "random":
            value = None
        if value is not None and len(value) not in (1, image.shape[-3]):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{image.shape[-3]} (number of input channels)"
            )
        return F.erase(img, *self.get_params(image, self.scale, self.ratio, value), self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


# In float32, as the draws are.


def _logarithms(ratio: Sequence[float]) -> list[float]:
    return np.log(np.array(ratio, np.float32)).tolist()


def _exp(number: float) -> float:
    return float(np.exp(np.float32(number)))
