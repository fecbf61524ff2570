"""Transforms of transforms."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.vision.transforms.colors import Normalize, ToTensor
from flambeau.vision.transforms.convert import to_normalized_tensor

Transform = Callable[[Any], Any]


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        steps = iter(self.transforms)
        for transform in steps:
            if type(transform) is not ToTensor:
                img = transform(img)
                continue
            after = next(steps, None)
            normalized = None
            if type(after) is Normalize and not after._forward_hooks and not after._forward_pre_hooks:
                # Each number is then read and written once, with the same roundings.
                normalized = to_normalized_tensor(img, after.mean, after.std)
            if normalized is not None:
                img = normalized
            else:
                img = transform(img)
                img = img if after is None else after(img)
        return img

    def __repr__(self) -> str:
        return _listing(type(self).__name__, self.transforms)


class Lambda:
    """A function of the user's as a transform."""

    def __init__(self, lambd: Transform) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RandomTransforms:
    """Base of those that choose among a list of transforms."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, *args: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return _listing(type(self).__name__, self.transforms)


class RandomApply(nn.Module):
    """All of the transforms with probability `p`, or none of them."""

    def __init__(self, transforms: Sequence[Transform] | nn.ModuleList, p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < flambeau.rand(1):
            return img
        for transform in self.transforms:  # type: ignore[union-attr]
            img = transform(img)
        return img

    def __repr__(self) -> str:
        lines = [f"    p={self.p}", *(f"    {t}" for t in self.transforms)]  # type: ignore[union-attr]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


class RandomOrder(RandomTransforms):
    """All of the transforms in an order drawn from Python's generator."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for number in order:
            img = self.transforms[number](img)
        return img


class RandomChoice(RandomTransforms):
    """One of the transforms, drawn from Python's generator with the weights `p`."""

    def __init__(self, transforms: Sequence[Transform], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


def _listing(name: str, transforms: Any) -> str:
    return "\n".join([f"{name}(", *(f"    {t}" for t in transforms), ")"])
