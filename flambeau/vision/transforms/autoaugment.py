"""AutoAugment, RandAugment, TrivialAugment and AugMix: random choices among simple operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.transforms import draws, samples
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms.modes import InterpolationMode
from flambeau.vision.transforms.policies import POLICIES
from flambeau.vision.transforms.policies import AutoAugmentPolicy as AutoAugmentPolicy

_NEAREST, _BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR
Fill = Sequence[float] | float | None
#: An operation's magnitudes, weakest first (none for those without), and whether it has two signs.
Range = tuple[Sequence[float], bool]

# Operations ---------------------------------------------------------------------------------------


def apply_operation(
    img: Any, name: str, magnitude: float, interpolation: InterpolationMode, fill: Any
) -> Any:
    """The image after the operation of this name."""
    if name in ("ShearX", "ShearY"):
        degrees = math.degrees(math.atan(magnitude))
        shear = [degrees, 0.0] if name == "ShearX" else [0.0, degrees]
        return F.affine(img, 0.0, [0, 0], 1.0, shear, interpolation, fill, [0, 0])
    if name in ("TranslateX", "TranslateY"):
        pixels = int(magnitude)
        shift = [pixels, 0] if name == "TranslateX" else [0, pixels]
        return F.affine(img, 0.0, shift, 1.0, [0.0, 0.0], interpolation, fill)
    if name == "Rotate":
        return F.rotate(img, magnitude, interpolation, fill=fill)
    if name in _FACTORS:
        return _FACTORS[name](img, 1.0 + magnitude)
    if name == "Posterize":
        return F.posterize(img, int(magnitude))
    if name == "Solarize":
        return F.solarize(img, magnitude)
    if name in _PLAIN:
        return _PLAIN[name](img)
    if name == "Identity":
        return img
    raise ValueError(f"The provided operator {name} is not recognized.")


_FACTORS = {
    "Brightness": F.adjust_brightness,
    "Color": F.adjust_saturation,
    "Contrast": F.adjust_contrast,
    "Sharpness": F.adjust_sharpness,
}
_PLAIN = {"AutoContrast": F.autocontrast, "Equalize": F.equalize, "Invert": F.invert}


def _steps(start: float, end: float, count: int) -> list[float]:
    return flambeau.linspace(start, end, count).tolist()


def _bits(most: int, lost: int, count: int) -> list[int]:
    """Bits that posterizing leaves: `most` at first, `lost` fewer at last."""
    return [most - round(n / ((count - 1) / lost)) for n in range(count)]


def _moves(count: int, shear: float, shifts: tuple[float, float], turn: float) -> dict[str, Range]:
    return {
        "ShearX": (_steps(0.0, shear, count), True),
        "ShearY": (_steps(0.0, shear, count), True),
        "TranslateX": (_steps(0.0, shifts[0], count), True),
        "TranslateY": (_steps(0.0, shifts[1], count), True),
        "Rotate": (_steps(0.0, turn, count), True),
    }


def _factors(count: int, most: float) -> dict[str, Range]:
    return {name: (_steps(0.0, most, count), True) for name in _FACTORS}


def _common(count: int, height: int, width: int) -> dict[str, Range]:
    """The operations of AutoAugment and RandAugment."""
    return {
        **_moves(count, 0.3, (150.0 / 331.0 * width, 150.0 / 331.0 * height), 30.0),
        **_factors(count, 0.9),
        "Posterize": (_bits(8, 4, count), False),
        "Solarize": (_steps(255.0, 0.0, count), False),
        "AutoContrast": ((), False),
        "Equalize": ((), False),
    }


def _negated() -> bool:
    return draws.integer(0, 2) == 1


class _Augmentation(nn.Module):
    """Base: how pixels are found and what is beyond the image."""

    interpolation: InterpolationMode
    fill: Fill

    def _fill_for(self, img: Any, channels: int) -> Any:
        return None if self.fill is None else draws.fill_for(self.fill, img, channels)

    def _draw_magnitude(self, magnitudes: Sequence[float], signed: bool, number: int | None) -> float:
        """The magnitude of this number, or one drawn, with a drawn sign."""
        magnitude = 0.0
        if len(magnitudes):
            index = draws.integer(0, len(magnitudes)) if number is None else number
            magnitude = float(magnitudes[index])
        return -magnitude if signed and _negated() else magnitude


# Augmentations ------------------------------------------------------------------------------------


class AutoAugment(_Augmentation):
    """One of the 25 pairs of operations of a policy found for a data set."""

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: InterpolationMode = _NEAREST,
        fill: Fill = None,
    ) -> None:
        super().__init__()
        if policy not in POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self.interpolation = interpolation
        self.fill = fill
        self.policies = POLICIES[policy]

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """The number of the pair, two draws of 0 to 1, and two signs."""
        number = draws.integer(0, transform_num)
        return number, flambeau.rand((2,)), flambeau.randint(2, (2,))

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = self._fill_for(img, channels)
        number, chances, signs = self.get_params(len(self.policies))
        space = {**_common(10, height, width), "Invert": ((), False)}
        for i, (name, p, step) in enumerate(self.policies[number]):
            if chances[i] <= p:
                magnitudes, signed = space[name]
                magnitude = 0.0 if step is None else float(magnitudes[step])
                if signed and signs[i] == 0:
                    magnitude = -magnitude
                img = apply_operation(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Augmentation):
    """`num_ops` operations, each of the same magnitude (Cubuk et al., "RandAugment", 2020)."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = _NEAREST,
        fill: Fill = None,
    ) -> None:
        super().__init__()
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = self._fill_for(img, channels)
        space = {"Identity": ((), False), **_common(self.num_magnitude_bins, height, width)}
        for _ in range(self.num_ops):
            name = list(space)[draws.integer(0, len(space))]
            magnitude = self._draw_magnitude(*space[name], self.magnitude)
            img = apply_operation(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class TrivialAugmentWide(_Augmentation):
    """One operation of any magnitude, with wide ranges (Müller and Hutter, "TrivialAugment",
    2021)."""

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = _NEAREST,
        fill: Fill = None,
    ) -> None:
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img: Any) -> Any:
        fill = self._fill_for(img, F.get_image_num_channels(img))
        count = self.num_magnitude_bins
        space: dict[str, Range] = {
            "Identity": ((), False),
            **_moves(count, 0.99, (32.0, 32.0), 135.0),
            **_factors(count, 0.99),
            "Posterize": (_bits(8, 6, count), False),
            "Solarize": (_steps(255.0, 0.0, count), False),
            "AutoContrast": ((), False),
            "Equalize": ((), False),
        }
        name = list(space)[draws.integer(0, len(space))]
        magnitude = self._draw_magnitude(*space[name], None)
        return apply_operation(img, name, magnitude, self.interpolation, fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class AugMix(_Augmentation):
    """The image mixed with `mixture_width` chains of operations on it (Hendrycks et al., "AugMix",
    2020). Shares are drawn from Dirichlet distributions of `alpha`; a chain has `chain_depth`
    operations, or one to three where that is -1, of magnitudes below `severity`, 1 to 10."""

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: InterpolationMode = _BILINEAR,
        fill: Fill = None,
    ) -> None:
        super().__init__()
        if not 1 <= severity <= 10:
            raise ValueError(f"The severity must be between [1, 10]. Got {severity} instead.")
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, orig_img: Any) -> Any:
        if isinstance(orig_img, dict):
            if samples.has_places(orig_img):
                raise NotImplementedError(
                    "AugMix mixes images whose points lie in different places; use AutoAugment, "
                    "RandAugment or TrivialAugmentWide with key points or boxes"
                )
            return {**orig_img, "image": self(samples.image_of(orig_img))}
        fill = self._fill_for(orig_img, F.get_image_num_channels(orig_img))
        img = F.pil_to_tensor(orig_img) if isinstance(orig_img, Image.Image) else orig_img
        batch = img.reshape([1] * max(4 - img.ndim, 0) + list(img.shape))
        count, ones = batch.shape[0], [1] * (batch.ndim - 1)
        kept = draws.dirichlet(np.full((count, 2), self.alpha, np.float32))
        shares = draws.dirichlet(np.full((count, self.mixture_width), self.alpha, np.float32))
        shares = shares * kept[:, 1:]
        space = self._space(*batch.shape[-2:])
        mix = kept[:, 0].reshape(count, *ones) * batch
        for i in range(self.mixture_width):
            changed = batch
            depth = self.chain_depth if self.chain_depth > 0 else draws.integer(1, 4)
            for _ in range(depth):
                name = list(space)[draws.integer(0, len(space))]
                magnitudes, signed = space[name]
                magnitude = self._draw_magnitude(magnitudes[: self.severity], signed, None)
                changed = apply_operation(changed, name, magnitude, self.interpolation, fill)
            mix = mix + shares[:, i].reshape(count, *ones) * changed
        mixed = mix.reshape(img.shape).to(img.dtype)
        return mixed if isinstance(orig_img, Tensor) else F.to_pil_image(mixed)

    def _space(self, height: int, width: int) -> dict[str, Range]:
        space: dict[str, Range] = {
            **_moves(10, 0.3, (width / 3.0, height / 3.0), 30.0),
            "Posterize": (_bits(4, 4, 10), False),
            "Solarize": (_steps(255.0, 0.0, 10), False),
            "AutoContrast": ((), False),
            "Equalize": ((), False),
        }
        return {**space, **_factors(10, 0.9)} if self.all_ops else space

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(severity={self.severity}, "
            f"mixture_width={self.mixture_width}, chain_depth={self.chain_depth}, "
            f"alpha={self.alpha}, all_ops={self.all_ops}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )
