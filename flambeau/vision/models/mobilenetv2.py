"""MobileNet v2: Sandler et al., "Inverted residuals and linear bottlenecks", 2018
(arXiv:1801.04381).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.channels import make_divisible
from flambeau.vision.models.classifier import ImageClassifier, stages_by_stride
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import Conv2dNormActivation

__all__ = ["MobileNetV2", "mobilenet_v2"]

MakeLayer = Callable[..., nn.Module]

#: Of each group of blocks: expansion, channels, number of blocks, stride of the first.
_SETTING = [
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
]  # fmt: skip


class InvertedResidual(nn.Module):
    """Widens the channels, convolves each, narrows them; beside a short cut where shapes allow.

    Arguments:
        inp, oup: the channels that come in and go out.
        stride: 1 or 2.
        expand_ratio: how many times as many channels are between.
        norm_layer: makes a normalisation layer for a number of channels.
    """

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        norm_layer: MakeLayer | None = None,
    ):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = norm_layer or nn.BatchNorm2d
        wide = round(inp * expand_ratio)
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, wide, kernel_size=1, **options))
        layers += [
            Conv2dNormActivation(wide, wide, stride=stride, groups=wide, **options),
            nn.Conv2d(wide, oup, 1, bias=False),
            norm(oup),
        ]
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, oup, height / stride, width / stride)."""
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(ImageClassifier):
    """A stem, seven groups of blocks, a 1x1 convolution, a linear layer.

    Arguments:
        num_classes: the number of scores.
        width_mult: multiplies the number of channels everywhere.
        inverted_residual_setting: for each group of blocks: expansion, channels, number of
            blocks, stride of the first.
        round_nearest: numbers of channels are rounded to multiples of this.
        block: makes a block.
        norm_layer: makes a normalisation layer for a number of channels.
        dropout: the probability with which inputs of the linear layer are zeroed.
    """

    last_layer = "classifier.1"

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: MakeLayer | None = None,
        norm_layer: MakeLayer | None = None,
        dropout: float = 0.2,
    ):
        super().__init__()
        make_block = block or InvertedResidual
        norm = norm_layer or nn.BatchNorm2d
        setting = _SETTING if inverted_residual_setting is None else inverted_residual_setting
        if len(setting) == 0 or len(setting[0]) != 4:
            raise ValueError(
                "inverted_residual_setting should be non-empty or a 4-element list, got"
                f" {inverted_residual_setting}"
            )
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        layers: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, **options)]
        self._strides = [2]
        for expansion, width, repeats, stride in setting:
            out = make_divisible(width * width_mult, round_nearest)
            for i in range(repeats):
                step = stride if i == 0 else 1
                layers.append(make_block(channels, out, step, expansion, norm_layer=norm))
                self._strides.append(step)
                channels = out
        layers.append(
            Conv2dNormActivation(channels, self.last_channel, kernel_size=1, **options)
        )
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's normal values for convolutions, small normal ones for the linear layer."""
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The blocks of one resolution, without the 1x1 convolution at the end."""
        return stages_by_stride(self._strides)

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(flambeau.flatten(x, 1))


@register_model
def mobilenet_v2(**options: Any) -> MobileNetV2:
    """MobileNet v2: 3,504,872 parameters."""
    return MobileNetV2(**options)
