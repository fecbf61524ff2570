"""What published weights expect of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn


class ImageClassification(nn.Module):
    """Scales a picture, cuts its middle out, and normalises it.

    Arguments:
        crop_size: the height and width of the result.
        resize_size: the shorter side's length before that.
        mean, std: for each channel, what is subtracted and then divided by, in pictures from 0
            to 1.
        interpolation: as `Resize` has it: a name ("bilinear") or an `InterpolationMode`.
        antialias: whether tensors are smoothed when they are made smaller, as PIL images are.
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        interpolation: Any = "bilinear",
        antialias: bool = True,
    ):
        from flambeau.vision.transforms import InterpolationMode

        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = InterpolationMode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        """A picture (3, crop_size, crop_size), of a PIL image; of a tensor, a batch as well."""
        from flambeau.vision.transforms import functional as F

        img = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        img = F.convert_image_dtype(img, flambeau.float32)
        return F.normalize(img, self.mean, self.std)

    def __repr__(self) -> str:
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        lines = "".join(f"\n    {name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}({lines}\n)"
