"""The transforms under the name that torchvision's newer interface has, for programs that look
for `MixUp`, `CutMix` and others there.

What both interfaces have draws its random numbers as the older one. What only the newer one has,
and is not here, is named by the error.
"""

from __future__ import annotations

from typing import Any

from flambeau import nn
from flambeau.tensor import Tensor
from flambeau.vision.transforms import *  # noqa: F403
from flambeau.vision.transforms import functional as _F
from flambeau.vision.transforms import functional as functional
from flambeau.vision.transforms.convert import pil_to_tensor as _pil_to_tensor
from flambeau.vision.transforms.samples import on_samples as _on_samples


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"flambeau.vision.transforms.v2 has no {name!r}; it has the transforms of "
        "flambeau.vision.transforms, Identity, ToImage and ToDtype"
    )


class Identity(nn.Module):
    """Whatever it is given."""

    def forward(self, *inputs: Any) -> Any:
        return inputs if len(inputs) > 1 else inputs[0]


class ToImage(nn.Module):
    """A PIL image or an array (H, W, C) or (H, W) as a tensor (C, H, W) of the same numbers."""

    def forward(self, pic: Any) -> Any:
        return _to_image(pic)


class ToDtype(nn.Module):
    """A tensor in another type of numbers; with `scale`, white stays white.

    Raises `NotImplementedError` for a table of types by kind of input.
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        if isinstance(dtype, dict):
            raise NotImplementedError("ToDtype with a dictionary; give one dtype")
        self.dtype = dtype
        self.scale = scale

    def forward(self, img: Any) -> Any:
        if self.scale:
            return _F.convert_image_dtype(img, self.dtype)
        return _as_type(img, self.dtype)

    def extra_repr(self) -> str:
        return f"dtype={self.dtype}, scale={self.scale}"


@_on_samples()
def _as_type(img: Tensor, dtype: Any) -> Tensor:
    return img.to(dtype)


@_on_samples()
def _to_image(pic: Any) -> Tensor:
    import numpy as np

    import flambeau

    if isinstance(pic, Tensor):
        return pic
    if isinstance(pic, np.ndarray):
        pixels = pic[:, :, None] if pic.ndim == 2 else pic
        return flambeau.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return _pil_to_tensor(pic)
