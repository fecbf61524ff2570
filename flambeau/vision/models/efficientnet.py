"""EfficientNet: Tan and Le, 2019 (arXiv:1905.11946); version 2, 2021 (arXiv:2104.00298)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.channels import make_divisible
from flambeau.vision.models.classifier import ImageClassifier, stages_by_stride
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = [
    "EfficientNet", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
    "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l",
]  # fmt: skip

MakeLayer = Callable[..., nn.Module]


@dataclass
class BlockConfig:
    """A stage: its blocks' expansion and kernel, its stride, its channels, its length."""

    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: MakeLayer | None = None

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        """`channels * width_mult`, rounded to a multiple of eight."""
        return make_divisible(channels * width_mult, 8, min_value)


class MBConvConfig(BlockConfig):
    """A stage of `MBConv` blocks; channels and length are multiplied."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        block: MakeLayer | None = None,
    ):
        super().__init__(
            expand_ratio,
            kernel,
            stride,
            self.adjust_channels(input_channels, width_mult),
            self.adjust_channels(out_channels, width_mult),
            math.ceil(num_layers * depth_mult),
            block or MBConv,
        )


class FusedMBConvConfig(BlockConfig):
    """A stage of `FusedMBConv` blocks."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        block: MakeLayer | None = None,
    ):
        super().__init__(
            expand_ratio, kernel, stride, input_channels, out_channels, num_layers,
            block or FusedMBConv,
        )  # fmt: skip


class ResidualBlock(nn.Module):
    """Layers beside a short cut, where shapes allow one, that are dropped at random in training.

    Arguments:
        cnf: the block's shape.
        layers: what the block does.
        stochastic_depth_prob: the probability of dropping.
    """

    def __init__(
        self, cnf: BlockConfig, layers: Sequence[nn.Module], stochastic_depth_prob: float
    ):
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        """Maps (batch, out_channels, height / stride, width / stride)."""
        result = self.block(input)
        return self.stochastic_depth(result) + input if self.use_res_connect else result


class MBConv(ResidualBlock):
    """Widens the channels, convolves each, weighs them, narrows them."""

    def __init__(
        self,
        cnf: BlockConfig,
        stochastic_depth_prob: float,
        norm_layer: MakeLayer,
        se_layer: MakeLayer = SqueezeExcitation,
    ):
        narrow, wide = cnf.input_channels, _expanded(cnf)
        norm: dict[str, Any] = {"norm_layer": norm_layer}
        active = {**norm, "activation_layer": nn.SiLU}
        layers: list[nn.Module] = []
        if wide != narrow:
            layers.append(Conv2dNormActivation(narrow, wide, 1, **active))
        layers += [
            Conv2dNormActivation(wide, wide, cnf.kernel, cnf.stride, groups=wide, **active),
            se_layer(wide, max(1, narrow // 4), activation=partial(nn.SiLU, inplace=True)),
            Conv2dNormActivation(wide, cnf.out_channels, 1, activation_layer=None, **norm),
        ]
        super().__init__(cnf, layers, stochastic_depth_prob)


class FusedMBConv(ResidualBlock):
    """Widens the channels with a whole convolution, narrows them."""

    def __init__(self, cnf: BlockConfig, stochastic_depth_prob: float, norm_layer: MakeLayer):
        narrow, wide, out = cnf.input_channels, _expanded(cnf), cnf.out_channels
        norm: dict[str, Any] = {"norm_layer": norm_layer}
        active = {**norm, "activation_layer": nn.SiLU}
        layers: list[nn.Module] = []
        if wide != narrow:
            layers.append(Conv2dNormActivation(narrow, wide, cnf.kernel, cnf.stride, **active))
            layers.append(Conv2dNormActivation(wide, out, 1, activation_layer=None, **norm))
        else:
            layers.append(Conv2dNormActivation(narrow, out, cnf.kernel, cnf.stride, **active))
        super().__init__(cnf, layers, stochastic_depth_prob)


def _expanded(cnf: BlockConfig) -> int:
    return BlockConfig.adjust_channels(cnf.input_channels, cnf.expand_ratio)


class EfficientNet(ImageClassifier):
    """A stem, stages of blocks, a 1x1 convolution, a linear layer.

    Arguments:
        inverted_residual_setting: the stages.
        dropout: the probability with which inputs of the linear layer are zeroed.
        stochastic_depth_prob: the probability with which the last block is dropped; it grows
            evenly from 0 at the first one.
        num_classes: the number of scores.
        norm_layer: makes a normalisation layer for a number of channels.
        last_channel: the outputs of the last convolution; four times its inputs if `None`.
    """

    last_layer = "classifier.1"

    def __init__(
        self,
        inverted_residual_setting: Sequence[BlockConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: MakeLayer | None = None,
        last_channel: int | None = None,
    ):
        super().__init__()
        setting = list(inverted_residual_setting)
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(row, BlockConfig) for row in setting):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm = norm_layer or nn.BatchNorm2d
        ends: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.SiLU}
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, setting[0].input_channels, stride=2, **ends)
        ]
        total = sum(row.num_layers for row in setting)
        done = 0
        for row in setting:
            later = replace_shape(row, input_channels=row.out_channels, stride=1)
            blocks = []
            for cnf in [row] + [later] * (row.num_layers - 1):
                assert cnf.block is not None
                blocks.append(cnf.block(cnf, stochastic_depth_prob * done / total, norm))
                done += 1
            layers.append(nn.Sequential(*blocks))
        channels = setting[-1].out_channels
        last = 4 * channels if last_channel is None else last_channel
        layers.append(Conv2dNormActivation(channels, last, kernel_size=1, **ends))
        self.features = nn.Sequential(*layers)
        self._strides = [2, *(row.stride for row in setting)]
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(last, num_classes)
        )
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's normal values for convolutions, uniform ones for the linear layer."""
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        elif isinstance(layer, nn.Linear):
            bound = 1.0 / math.sqrt(layer.out_features)
            nn.init.uniform_(layer.weight, -bound, bound)
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The blocks of one resolution, without the 1x1 convolution at the end."""
        return stages_by_stride(self._strides)

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = self.avgpool(self.features(x))
        return self.classifier(flambeau.flatten(x, 1))


def replace_shape(row: BlockConfig, **changes: Any) -> BlockConfig:
    """A copy of a row with other numbers, taken as they are."""
    plain = BlockConfig(
        row.expand_ratio, row.kernel, row.stride, row.input_channels, row.out_channels,
        row.num_layers, row.block,
    )  # fmt: skip
    return replace(plain, **changes)


#: Version 1: expansion, kernel, stride, channels in and out, blocks, before they are multiplied.
_ROWS = [
    (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1),
]  # fmt: skip

#: Version 2, for each size: the stages of fused blocks, and those of the others.
_ROWS_V2 = {
    "s": ([(1, 3, 1, 24, 24, 2), (4, 3, 2, 24, 48, 4), (4, 3, 2, 48, 64, 4)],
          [(4, 3, 2, 64, 128, 6), (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15)]),
    "m": ([(1, 3, 1, 24, 24, 3), (4, 3, 2, 24, 48, 5), (4, 3, 2, 48, 80, 5)],
          [(4, 3, 2, 80, 160, 7), (6, 3, 1, 160, 176, 14), (6, 3, 2, 176, 304, 18), (6, 3, 1, 304, 512, 5)]),
    "l": ([(1, 3, 1, 32, 32, 4), (4, 3, 2, 32, 64, 7), (4, 3, 2, 64, 96, 7)],
          [(4, 3, 2, 96, 192, 10), (6, 3, 1, 192, 224, 19), (6, 3, 2, 224, 384, 25), (6, 3, 1, 384, 640, 7)]),
}  # fmt: skip


def _version1(width: float, depth: float, dropout: float, options: Any) -> EfficientNet:
    rows = [MBConvConfig(*row, width_mult=width, depth_mult=depth) for row in _ROWS]
    return EfficientNet(rows, **{"dropout": dropout, **options})


def _version2(size: str, dropout: float, options: Any) -> EfficientNet:
    fused, rest = _ROWS_V2[size]
    rows = [*(FusedMBConvConfig(*row) for row in fused), *(MBConvConfig(*row) for row in rest)]
    norm = partial(nn.BatchNorm2d, eps=1e-3)
    defaults = {"dropout": dropout, "norm_layer": norm, "last_channel": 1280}
    return EfficientNet(rows, **{**defaults, **options})


_slow_norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


@register_model
def efficientnet_b0(**options: Any) -> EfficientNet:
    """EfficientNet B0: 5,288,548 parameters."""
    return _version1(1.0, 1.0, 0.2, options)


@register_model
def efficientnet_b1(**options: Any) -> EfficientNet:
    """EfficientNet B1: 7,794,184 parameters."""
    return _version1(1.0, 1.1, 0.2, options)


@register_model
def efficientnet_b2(**options: Any) -> EfficientNet:
    """EfficientNet B2: 9,109,994 parameters."""
    return _version1(1.1, 1.2, 0.3, options)


@register_model
def efficientnet_b3(**options: Any) -> EfficientNet:
    """EfficientNet B3: 12,233,232 parameters."""
    return _version1(1.2, 1.4, 0.3, options)


@register_model
def efficientnet_b4(**options: Any) -> EfficientNet:
    """EfficientNet B4: 19,341,616 parameters."""
    return _version1(1.4, 1.8, 0.4, options)


@register_model
def efficientnet_b5(**options: Any) -> EfficientNet:
    """EfficientNet B5: 30,389,784 parameters."""
    return _version1(1.6, 2.2, 0.4, {"norm_layer": _slow_norm, **options})


@register_model
def efficientnet_b6(**options: Any) -> EfficientNet:
    """EfficientNet B6: 43,040,704 parameters."""
    return _version1(1.8, 2.6, 0.5, {"norm_layer": _slow_norm, **options})


@register_model
def efficientnet_b7(**options: Any) -> EfficientNet:
    """EfficientNet B7: 66,347,960 parameters."""
    return _version1(2.0, 3.1, 0.5, {"norm_layer": _slow_norm, **options})


@register_model
def efficientnet_v2_s(**options: Any) -> EfficientNet:
    """EfficientNet v2, small: 21,458,488 parameters."""
    return _version2("s", 0.2, options)


@register_model
def efficientnet_v2_m(**options: Any) -> EfficientNet:
    """EfficientNet v2, medium: 54,139,356 parameters."""
    return _version2("m", 0.3, options)


@register_model
def efficientnet_v2_l(**options: Any) -> EfficientNet:
    """EfficientNet v2, large: 118,515,272 parameters."""
    return _version2("l", 0.4, options)
