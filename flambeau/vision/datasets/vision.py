"""What all image data sets share: the transforms and a readable `repr`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flambeau.utils.data import Dataset

Transform = Callable[[Any], Any]


class VisionDataset(Dataset[tuple[Any, Any]]):
    """Base of the image data sets, torchvision's `VisionDataset`.

    `transform` is applied to the image of a sample, `target_transform` to its target,
    `transforms` to both at once; the last excludes the first two.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(
                "give either transforms, or transform and target_transform, not both"
            )
        self.root = None if root is None else Path(root).expanduser()
        self.transforms = transforms
        self.transform = transform
        self.target_transform = target_transform

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """More lines for `repr`; for subclasses."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        for name in ("transforms", "transform", "target_transform"):
            value = getattr(self, name)
            if value is not None:
                lines.append(f"{name}: {value!r}")
        return "\n    ".join([f"Dataset {type(self).__name__}", *lines])

    def _apply(self, image: Any, target: Any) -> tuple[Any, Any]:
        """A sample after the user's transforms."""
        if self.transforms is not None:
            return self.transforms(image, target)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target
