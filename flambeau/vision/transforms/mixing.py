"""MixUp and CutMix: each image of a batch mixed with the one before it, and so its label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import flambeau.nn.functional as F
from flambeau import Tensor, nn
from flambeau.vision.transforms import draws

Labels = Callable[[Any], Tensor]


class _Mix(nn.Module):
    """Base of both: draws the share that stays from Beta(alpha, alpha), and mixes the labels.

    A batch is a tuple or list (images, labels), or a dictionary with the images under `"image"`
    or `"images"` and the labels under `"label"`, `"labels"`, `"target"` or `"targets"`;
    `labels_getter(batch)` says where else they are. Images are (N, C, H, W) or (N, T, C, H, W);
    labels are class numbers (N,), which become (N, num_classes), or probabilities of them.
    """

    def __init__(
        self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default"
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha should be positive. Got {alpha}")
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self.labels_getter = labels_getter

    def forward(self, *inputs: Any) -> Any:
        batch = inputs if len(inputs) > 1 else inputs[0]
        labels = self._labels_of(batch)
        if not isinstance(labels, Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError(
                "labels should be index based with shape (batch_size,) or probability based with "
                f"shape (batch_size, num_classes), but got a tensor of shape {labels.shape} instead."
            )
        if labels.ndim == 2 and self.num_classes is not None and labels.shape[-1] != self.num_classes:
            raise ValueError(
                "When passing 2D labels, the number of elements in last dimension must match "
                f"num_classes: {labels.shape[-1]} != {self.num_classes}. You can Leave num_classes "
                "to None."
            )
        if labels.ndim == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        return self._mix_batch(batch, labels)

    def _labels_of(self, batch: Any) -> Any:
        if callable(self.labels_getter):
            return self.labels_getter(batch)
        if isinstance(batch, dict):
            found = [key for key in ("label", "labels", "target", "targets") if key in batch]
            if not found:
                raise ValueError(
                    f"Could not infer where the labels are in a batch with {sorted(batch)}; give "
                    "labels_getter"
                )
            return batch[found[0]]
        if isinstance(batch, (tuple, list)) and len(batch) == 2:
            return batch[1]
        raise ValueError(
            "Could not infer where the labels are; give (images, labels), a dictionary, or "
            "labels_getter"
        )

    def _mix_batch(self, batch: Any, labels: Tensor) -> Any:
        entries = batch.items() if isinstance(batch, dict) else enumerate(batch)
        images = [(k, v) for k, v in entries if self._are_images(k, v, labels)]
        if not images:
            raise ValueError("a batch needs images of shape (N, C, H, W)")
        for _, value in images:
            if value.shape[0] != labels.shape[0]:
                raise ValueError(
                    "The batch size of the image or video does not match the batch size of the "
                    f"labels: {value.shape[0]} != {labels.shape[0]}."
                )
        share = float(draws.dirichlet(np.full((1, 2), self.alpha, np.float32))[0, 0])
        first = images[0][1]
        mix, share = self._mixer(share, int(first.shape[-2]), int(first.shape[-1]))
        changed = {key: mix(value) for key, value in images}
        pairs = batch.items() if isinstance(batch, dict) else enumerate(batch)
        result = {
            k: changed[k] if k in changed else self._mix_labels(v, share) if v is labels else v
            for k, v in pairs
        }
        return result if isinstance(batch, dict) else type(batch)(result.values())

    @staticmethod
    def _are_images(key: Any, value: Any, labels: Tensor) -> bool:
        if value is labels or not isinstance(value, Tensor):
            return False
        if isinstance(key, str):
            if key not in ("image", "images", "video", "videos"):
                return False
        elif key != 0:
            return False
        if value.ndim not in (4, 5):
            raise ValueError(
                f"Expected a batched input with 4 dims, but got {value.ndim} dimensions instead."
            )
        return True

    def _mix_labels(self, labels: Tensor, share: float) -> Tensor:
        if labels.ndim == 1:
            assert self.num_classes is not None
            labels = F.one_hot(labels, num_classes=self.num_classes)
        if not labels.is_floating_point():
            labels = labels.float()
        return labels.roll(1, 0) * (1.0 - share) + labels * share

    def _mixer(
        self, share: float, height: int, width: int
    ) -> tuple[Callable[[Tensor], Tensor], float]:
        """What mixes images, and the share of its own that an image keeps."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, num_classes={self.num_classes}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


class MixUp(_Mix):
    """Each image is a weighted mean of itself and the one before it (Zhang et al., "mixup", 2018)."""

    def _mixer(
        self, share: float, height: int, width: int
    ) -> tuple[Callable[[Tensor], Tensor], float]:
        def mix(images: Tensor) -> Tensor:
            own = images * share
            return (images.roll(1, 0) * (1.0 - share) + own).to(images.dtype)

        return mix, share


class CutMix(_Mix):
    """A rectangle of each image is from the one before it (Yun et al., "CutMix", 2019)."""

    def _mixer(
        self, share: float, height: int, width: int
    ) -> tuple[Callable[[Tensor], Tensor], float]:
        middle_x, middle_y = draws.integer(0, width), draws.integer(0, height)
        half = 0.5 * (1.0 - share) ** 0.5
        half_width, half_height = int(half * width), int(half * height)
        left, right = max(middle_x - half_width, 0), min(middle_x + half_width, width)
        top, bottom = max(middle_y - half_height, 0), min(middle_y + half_height, height)

        def mix(images: Tensor) -> Tensor:
            mixed = images.clone()
            mixed[..., top:bottom, left:right] = images.roll(1, 0)[..., top:bottom, left:right]
            return mixed

        return mix, 1.0 - (right - left) * (bottom - top) / (width * height)
