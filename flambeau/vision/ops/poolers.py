"""RoIAlign on a pyramid: each box is cut from the level that suits its size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import flambeau
from flambeau.nn import Module
from flambeau.tensor import Tensor
from flambeau.vision.ops.boxes import box_area
from flambeau.vision.ops.roi import roi_align


class LevelMapper:
    """The level of a pyramid for each box: `floor(canonical_level + log2(sqrt(area) / canonical_scale))`.

    T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, equation 1.

    Args:
        k_min, k_max: the finest and the coarsest level, as negative powers of two of their scale.
        canonical_scale: the side in pixels of the boxes for `canonical_level`.
        canonical_level: their level.
        eps: added before rounding down.
    """

    def __init__(
        self, k_min: int, k_max: int, canonical_scale: int = 224, canonical_level: int = 4, eps: float = 1e-6
    ) -> None:
        self.k_min = k_min
        self.k_max = k_max
        self.s0 = canonical_scale
        self.lvl0 = canonical_level
        self.eps = eps

    def __call__(self, boxlists: list[Tensor]) -> Tensor:
        """Numbers of levels (int64), 0 for the finest, of all boxes of a list of `(L, 4)`."""
        side = flambeau.cat([box_area(boxes) for boxes in boxlists]).sqrt()
        level = (self.lvl0 + (side / self.s0).log2() + self.eps).floor()
        return level.clamp(self.k_min, self.k_max).long() - self.k_min


class MultiScaleRoIAlign(Module):
    """`roi_align` from the maps of a pyramid.

    The scales of the maps are found at the first call, from the sizes of the maps and of the images, as powers of
    two.

    Args:
        featmap_names: which maps are used.
        output_size: bins down and across.
        sampling_ratio: samples in a bin, in each direction.
        canonical_scale, canonical_level: see `LevelMapper`.
    """

    def __init__(
        self,
        featmap_names: list[str],
        output_size: int | Sequence[int],
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:
        super().__init__()
        self.featmap_names = featmap_names
        self.sampling_ratio = sampling_ratio
        self.output_size = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
        self.scales: list[float] | None = None
        self.map_levels: LevelMapper | None = None
        self.canonical_scale = canonical_scale
        self.canonical_level = canonical_level

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """The boxes' bins `(K, C, *output_size)`.

        Args:
            x: named maps `(N, C, H, W)`, finest first.
            boxes: for each image `(L, 4)`, in pixels of the image.
            image_shapes: height and width of each image.

        Raises:
            ValueError: without images.
        """
        maps = [features for name, features in x.items() if name in self.featmap_names]
        if self.scales is None or self.map_levels is None:
            self.scales, self.map_levels = self._look(maps, image_shapes)
        images = [flambeau.full_like(part[:, :1], number) for number, part in enumerate(boxes)]
        regions = flambeau.cat((flambeau.cat(images), flambeau.cat(boxes)), 1)
        if len(maps) == 1:
            return roi_align(maps[0], regions, self.output_size, self.scales[0], self.sampling_ratio)
        levels = self.map_levels(boxes)
        places, parts = [], []
        for level, (features, scale) in enumerate(zip(maps, self.scales, strict=True)):
            here = flambeau.where(levels == level)[0]
            places.append(here)
            parts.append(roi_align(features, regions[here], self.output_size, scale, self.sampling_ratio))
        # Laid end to end level by level; back into the order of the boxes.
        return flambeau.cat(parts)[flambeau.cat(places).argsort()]

    def _look(
        self, maps: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> tuple[list[float], LevelMapper]:
        if not image_shapes:
            raise ValueError("images list should not be empty")
        height = max(shape[0] for shape in image_shapes)
        levels = [-round(math.log2(features.size(-2) / height)) for features in maps]
        mapper = LevelMapper(levels[0], levels[-1], self.canonical_scale, self.canonical_level)
        return [2.0**-level for level in levels], mapper

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(featmap_names={self.featmap_names}, output_size={self.output_size}, "
            f"sampling_ratio={self.sampling_ratio})"
        )
