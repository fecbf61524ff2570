"""Random numbers of the transforms, from the default generator as torchvision draws them, and
the checks of the arguments that say their range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.core.generator import Generator, default_generator
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import need_value


def uniform(low: float, high: float) -> float:
    return _one(lambda g: g.uniform(1, float(low), float(high)))


def integer(low: int, high: int) -> int:
    """One of low, …, high - 1."""
    return int(_one(lambda g: g.randint(int(low), int(high), 1)))


def happens(p: float) -> bool:
    """True with probability `p`."""
    return _one(lambda g: g.uniform(1)) < p


def _one(read: Callable[[Generator], np.ndarray]) -> float:
    """The one number that is read, straight from the generator. A compiled program would keep it
    for ever, so what is traced stops here."""
    need_value("a random transform")
    return read(default_generator)[0].item()


def symmetric(value: Any, name: str, lengths: Sequence[int] = (2,)) -> list[float]:
    """The range of an angle: a number means from minus it to it."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [float(-value), float(value)]
    sequence(value, name, lengths)
    return [float(x) for x in value]


def sequence(value: Any, name: str, lengths: Sequence[int] = (2,)) -> None:
    text = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}."
    if not isinstance(value, Sequence):
        raise TypeError(text)
    if len(value) not in lengths:
        raise ValueError(text)


def height_and_width(size: Any) -> tuple[int, int]:
    """(height, width) of one number, one in a sequence, or two."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    height, width = size
    return height, width


def check_fill(fill: Any) -> Any:
    """The colour of what was outside the image: a number or a sequence of them."""
    if fill is None:
        return 0
    if not isinstance(fill, (Sequence, int, float)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def fill_for(fill: Any, img: Any, channels: int) -> Any:
    """The fill for this image: a tensor wants one number for each channel."""
    from flambeau.vision.transforms.samples import image_of

    image = image_of(img) if isinstance(img, dict) else img
    if not isinstance(image, flambeau.Tensor):
        return fill
    if isinstance(fill, (int, float)):
        return [float(fill)] * channels
    return [float(f) for f in fill]


def dirichlet(concentration: np.ndarray) -> Tensor:
    """Rows (…, K) of shares that add up to one, from the Dirichlet distribution.

    Made of gamma numbers in float64, then rounded to the type of `concentration`.
    """
    gamma = default_generator.standard_gamma(concentration.astype(np.float64))
    shares = (gamma / gamma.sum(-1, keepdims=True)).astype(concentration.dtype)
    return flambeau.from_numpy(np.maximum(shares, np.finfo(shares.dtype).tiny))
