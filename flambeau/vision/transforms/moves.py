"""Random flips, turns, shifts and other moves of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.transforms import draws
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms.modes import InterpolationMode, as_mode

_NEAREST, _BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR
Pairs = Sequence[tuple[int, int]]


class RandomHorizontalFlip(nn.Module):
    """Left and right swapped with probability `p`, and the key points of each of `flip_pairs`."""

    def __init__(self, p: float = 0.5, flip_pairs: Pairs = ()) -> None:
        super().__init__()
        self.p = p
        self.flip_pairs = flip_pairs

    def forward(self, img: Any) -> Any:
        return F.hflip(img, self.flip_pairs) if draws.happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(nn.Module):
    """Top and bottom swapped with probability `p`, and the key points of each of `flip_pairs`."""

    def __init__(self, p: float = 0.5, flip_pairs: Pairs = ()) -> None:
        super().__init__()
        self.p = p
        self.flip_pairs = flip_pairs

    def forward(self, img: Any) -> Any:
        return F.vflip(img, self.flip_pairs) if draws.happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomRotation(nn.Module):
    """Turned by an angle of `degrees`, (min, max) or ± a number. See `functional.rotate`."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode | int = _NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = draws.symmetric(degrees, "degrees")
        if center is not None:
            draws.sequence(center, "center")
        self.center = center
        self.interpolation = as_mode(interpolation)
        self.expand = expand
        self.fill = draws.check_fill(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        return draws.uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        fill = draws.fill_for(self.fill, img, F.get_image_num_channels(img))
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = f", center={self.center}" if self.center is not None else ""
        return (
            f"{type(self).__name__}(degrees={self.degrees}, "
            f"interpolation={self.interpolation.value}, expand={self.expand}{center}, "
            f"fill={self.fill})"
        )


class RandomAffine(nn.Module):
    """Turned by `degrees`, shifted by up to `translate` of the width and height, scaled by
    `scale` (min, max), sheared by degrees: ± one number or (min, max) in x, or two such pairs in
    x and y. See `functional.affine`."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode | int = _NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = draws.symmetric(degrees, "degrees")
        if translate is not None:
            draws.sequence(translate, "translate")
            if not all(0.0 <= t <= 1.0 for t in translate):
                raise ValueError("translation values should be between 0 and 1")
        if scale is not None:
            draws.sequence(scale, "scale")
            if not all(s > 0 for s in scale):
                raise ValueError("scale values should be positive")
        if center is not None:
            draws.sequence(center, "center")
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else draws.symmetric(shear, "shear", (2, 4))
        self.interpolation = as_mode(interpolation)
        self.fill = draws.check_fill(fill)
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """The angle, the shift, the scale and the shears, for an image of (width, height)."""
        angle = draws.uniform(degrees[0], degrees[1])
        right, down = 0, 0
        if translate is not None:
            furthest_x, furthest_y = (float(t * n) for t, n in zip(translate, img_size, strict=False))
            right = round(draws.uniform(-furthest_x, furthest_x))
            down = round(draws.uniform(-furthest_y, furthest_y))
        scale = 1.0 if scale_ranges is None else draws.uniform(scale_ranges[0], scale_ranges[1])
        shear_x, shear_y = 0.0, 0.0
        if shears is not None:
            shear_x = draws.uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = draws.uniform(shears[2], shears[3])
        return angle, (right, down), scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = draws.fill_for(self.fill, img, channels)
        move = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, (width, height)
        )
        return F.affine(img, *move, self.interpolation, fill, self.center)

    def __repr__(self) -> str:
        parts = [f"degrees={self.degrees}"]
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)}")
        if self.interpolation != _NEAREST:
            parts.append(f"interpolation={self.interpolation.value}")
        if self.fill != 0:
            parts.append(f"fill={self.fill}")
        if self.center is not None:
            parts.append(f"center={self.center}")
        return f"{type(self).__name__}({', '.join(parts)})"


class RandomPerspective(nn.Module):
    """With probability `p`, seen with each corner moved inwards by up to `distortion_scale` of
    half the width and height."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | int = _BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = as_mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = draws.check_fill(fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners (top left, top right, bottom right, bottom left) and where they go."""
        right, down = (int(distortion_scale * (n // 2)) for n in (width, height))

        def corner(at_right: bool, at_bottom: bool) -> list[int]:
            x = draws.integer(width - right - 1, width) if at_right else draws.integer(0, right + 1)
            y = draws.integer(height - down - 1, height) if at_bottom else draws.integer(0, down + 1)
            return [x, y]

        ends = [corner(False, False), corner(True, False), corner(True, True), corner(False, True)]
        starts = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return starts, ends

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = draws.fill_for(self.fill, img, channels)
        if not draws.happens(self.p):
            return img
        starts, ends = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, starts, ends, self.interpolation, fill)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class ElasticTransform(nn.Module):
    """Every pixel moved by noise of strength `alpha`, smoothed by a Gaussian of `sigma` pixels;
    each is a number or one for each direction."""

    def __init__(
        self,
        alpha: float | Sequence[float] = 50.0,
        sigma: float | Sequence[float] = 5.0,
        interpolation: InterpolationMode | int = _BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = _two(alpha, "alpha")
        self.sigma = _two(sigma, "sigma")
        self.interpolation = as_mode(interpolation)
        if isinstance(fill, (int, float)):
            fill = [float(fill)]
        elif isinstance(fill, (list, tuple)):
            fill = [float(f) for f in fill]
        else:
            raise TypeError(f"fill should be int or float or a list or tuple of them. Got {type(fill)}")
        self.fill = fill

    @staticmethod
    def get_params(alpha: list[float], sigma: list[float], size: list[int]) -> Tensor:
        """The displacement (1, height, width, 2) for an image of size (height, width)."""
        shifts = []
        for strength, width, length in zip(alpha, sigma, reversed(size), strict=True):
            noise = flambeau.rand([1, 1, *size]) * 2 - 1
            if width > 0.0:
                kernel = int(8 * width + 1) | 1
                noise = F.gaussian_blur(noise, [kernel, kernel], list(sigma))
            shifts.append(noise * strength / length)
        return flambeau.cat(shifts, 1).permute([0, 2, 3, 1])

    def forward(self, tensor: Any) -> Any:
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


def _two(value: Any, name: str) -> list[float]:
    if isinstance(value, (int, float)):
        return [float(value)] * 2
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    if len(value) != 2:
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    return [float(v) for v in value]
