"""How pixels between pixels are found."""

from __future__ import annotations

import enum


class InterpolationMode(enum.Enum):
    """The interpolations of resizing and moving images.

    `BOX`, `HAMMING` and `LANCZOS` are for PIL images only; `NEAREST_EXACT` is `NEAREST` there.
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


#: Pillow's numbers of the interpolations.
PIL_NUMBERS = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
    InterpolationMode.LANCZOS: 1,
}
_OF_NUMBER = {
    0: InterpolationMode.NEAREST,
    1: InterpolationMode.LANCZOS,
    2: InterpolationMode.BILINEAR,
    3: InterpolationMode.BICUBIC,
    4: InterpolationMode.BOX,
    5: InterpolationMode.HAMMING,
}


def as_mode(interpolation: InterpolationMode | int) -> InterpolationMode:
    """The mode, given itself or Pillow's number for it."""
    if isinstance(interpolation, int):
        return _OF_NUMBER[interpolation]
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow "
            "integer constant"
        )
    return interpolation
