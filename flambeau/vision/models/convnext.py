"""ConvNeXt: Liu et al., "A ConvNet for the 2020s", 2022 (arXiv:2201.03545)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.classifier import ImageClassifier, stages_by_stride
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import Conv2dNormActivation, Permute
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = ["ConvNeXt", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny"]

MakeLayer = Callable[..., nn.Module]


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps as `x`, (batch, channels, height, width)."""
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """A 7x7 convolution of each channel, and a perceptron at each pixel, beside a short cut.

    Arguments:
        dim: the channels.
        layer_scale: the first value of the factors for each channel.
        stochastic_depth_prob: the probability with which the block is dropped.
        norm_layer: makes a normalisation of the last dimension.
    """

    def __init__(
        self,
        dim: int,
        layer_scale: float,
        stochastic_depth_prob: float,
        norm_layer: MakeLayer | None = None,
    ):
        super().__init__()
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim, bias=True),
            Permute([0, 2, 3, 1]),
            norm(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(flambeau.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input: Tensor) -> Tensor:
        """Maps of the input's shape."""
        return self.stochastic_depth(self.layer_scale * self.block(input)) + input


@dataclass
class CNBlockConfig:
    """A stage: its channels, those of the next one (`None` after the last), its length."""

    input_channels: int
    out_channels: int | None
    num_layers: int


class ConvNeXt(ImageClassifier):
    """Patches of 4x4, four stages of blocks with halvings between them, a linear layer.

    Arguments:
        block_setting: the stages.
        stochastic_depth_prob: the probability with which the last block is dropped; it grows
            evenly from 0 at the first one.
        layer_scale: see `CNBlock`.
        num_classes: the number of scores.
        block: makes a block.
        norm_layer: makes a normalisation of maps for a number of channels.
    """

    last_layer = "classifier.2"

    def __init__(
        self,
        block_setting: Sequence[CNBlockConfig],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        block: MakeLayer | None = None,
        norm_layer: MakeLayer | None = None,
        **kwargs: Any,
    ):
        super().__init__()
        if not block_setting:
            raise ValueError("The block_setting should not be empty")
        if not all(isinstance(row, CNBlockConfig) for row in block_setting):
            raise TypeError("The block_setting should be List[CNBlockConfig]")
        if kwargs:
            raise TypeError(f"ConvNeXt has no argument {', '.join(kwargs)}")
        make_block = block or CNBlock
        norm = norm_layer or partial(LayerNorm2d, eps=1e-6)
        patches = Conv2dNormActivation(
            3, block_setting[0].input_channels, kernel_size=4, stride=4, padding=0,
            norm_layer=norm, activation_layer=None, bias=True,
        )  # fmt: skip
        layers: list[nn.Module] = [patches]
        self._strides = [4]
        total = sum(row.num_layers for row in block_setting)
        done = 0
        for row in block_setting:
            blocks = []
            for _ in range(row.num_layers):
                drop = stochastic_depth_prob * done / (total - 1.0)
                blocks.append(make_block(row.input_channels, layer_scale, drop))
                done += 1
            layers.append(nn.Sequential(*blocks))
            self._strides.append(1)
            if row.out_channels is not None:
                halving = nn.Conv2d(
                    row.input_channels, row.out_channels, kernel_size=2, stride=2
                )
                layers.append(nn.Sequential(norm(row.input_channels), halving))
                self._strides.append(2)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = block_setting[-1].out_channels or block_setting[-1].input_channels
        self.classifier = nn.Sequential(norm(last), nn.Flatten(1), nn.Linear(last, num_classes))
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """Small normal values, without biases."""
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The patches with the first blocks, and the other three stages with their halvings."""
        return stages_by_stride(self._strides)

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        return self.classifier(self.avgpool(self.features(x)))


def _network(widths: Sequence[int], depth: int, drop: float, options: Any) -> ConvNeXt:
    """The network with stages of these widths, `depth` blocks in the third and 3 in the others."""
    rows = [
        CNBlockConfig(width, after, layers)
        for width, after, layers in zip(
            widths, [*widths[1:], None], (3, 3, depth, 3), strict=True
        )
    ]
    return ConvNeXt(rows, **{"stochastic_depth_prob": drop, **options})


@register_model
def convnext_tiny(**options: Any) -> ConvNeXt:
    """ConvNeXt, tiny: 28,589,128 parameters."""
    return _network((96, 192, 384, 768), 9, 0.1, options)


@register_model
def convnext_small(**options: Any) -> ConvNeXt:
    """ConvNeXt, small: 50,223,688 parameters."""
    return _network((96, 192, 384, 768), 27, 0.4, options)


@register_model
def convnext_base(**options: Any) -> ConvNeXt:
    """ConvNeXt, base: 88,591,464 parameters."""
    return _network((128, 256, 512, 1024), 27, 0.5, options)


@register_model
def convnext_large(**options: Any) -> ConvNeXt:
    """ConvNeXt, large: 197,767,336 parameters."""
    return _network((192, 384, 768, 1536), 27, 0.5, options)
