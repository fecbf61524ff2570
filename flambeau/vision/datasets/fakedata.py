"""Images of noise, for trying a program out without data."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from flambeau.vision.datasets.vision import Transform, VisionDataset


class FakeData(VisionDataset):
    """Random PIL images with random labels, the same for an index each time; torchvision's, byte for byte.

    The global generator is left alone.

    Args:
        size: how many.
        image_size: channels, height, width.
        num_classes: labels are 0 to this, exclusive.
        transform, target_transform: see `VisionDataset`; the target is a tensor without dimensions.
        random_offset: added to the index to make the seed.

    Raises:
        IndexError: for an index past the end.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        import flambeau

        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = flambeau.Generator().manual_seed(index + self.random_offset)
        noise = flambeau.randn(*self.image_size, generator=generator).numpy()
        label = flambeau.randint(0, self.num_classes, (1,), generator=generator)[0]
        # Numbers outside 0 to 255 wrap around, by way of whole numbers that hold them.
        pixels = (noise * 255).astype(np.int64).astype(np.uint8).transpose(1, 2, 0)
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image, label = self._apply(image, label)
        return image, label.item()

    def __len__(self) -> int:
        return self.size
