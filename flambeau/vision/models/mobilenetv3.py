"""MobileNet v3: Howard et al., "Searching for MobileNetV3", 2019 (arXiv:1905.02244)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.channels import make_divisible
from flambeau.vision.models.classifier import ImageClassifier, stages_by_stride
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

__all__ = ["MobileNetV3", "mobilenet_v3_large", "mobilenet_v3_small"]

MakeLayer = Callable[..., nn.Module]


class InvertedResidualConfig:
    """A row of the paper's tables 1 and 2.

    Arguments:
        input_channels, kernel, expanded_channels, out_channels: of the block, before they are
            multiplied.
        use_se: whether channels are weighed by squeeze and excitation.
        activation: "RE" for ReLU, "HS" for hard swish.
        stride, dilation: of the middle convolution; a dilated one keeps the size.
        width_mult: multiplies the numbers of channels.
    """

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ):
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """`channels * width_mult`, rounded to a multiple of eight."""
        return make_divisible(channels * width_mult, 8)


def _squeeze_excitation(channels: int, squeeze: int) -> SqueezeExcitation:
    return SqueezeExcitation(channels, squeeze, scale_activation=nn.Hardsigmoid)


class InvertedResidual(nn.Module):
    """A block as its row of the table says; beside a short cut where shapes allow."""

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: MakeLayer,
        se_layer: MakeLayer = _squeeze_excitation,
    ):
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        wide = cnf.expanded_channels
        norm: dict[str, Any] = {"norm_layer": norm_layer}
        active = {**norm, "activation_layer": nn.Hardswish if cnf.use_hs else nn.ReLU}
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, 1, **active))
        stride = 1 if cnf.dilation > 1 else cnf.stride
        layers.append(
            Conv2dNormActivation(
                wide, wide, cnf.kernel, stride, groups=wide, dilation=cnf.dilation, **active
            )
        )
        if cnf.use_se:
            layers.append(se_layer(wide, make_divisible(wide // 4, 8)))
        layers.append(
            Conv2dNormActivation(wide, cnf.out_channels, 1, activation_layer=None, **norm)
        )
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        """Maps (batch, out_channels, height / stride, width / stride)."""
        result = self.block(input)
        return result + input if self.use_res_connect else result


class MobileNetV3(ImageClassifier):
    """A stem, blocks, a 1x1 convolution, two linear layers.

    Arguments:
        inverted_residual_setting: the blocks.
        last_channel: the outputs of the first linear layer.
        num_classes: the number of scores.
        block: makes a block.
        norm_layer: makes a normalisation layer for a number of channels.
        dropout: the probability with which inputs of the last layer are zeroed.
    """

    last_layer = "classifier.3"

    def __init__(
        self,
        inverted_residual_setting: Sequence[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: MakeLayer | None = None,
        norm_layer: MakeLayer | None = None,
        dropout: float = 0.2,
        **kwargs: Any,
    ):
        super().__init__()
        setting = list(inverted_residual_setting)
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(row, InvertedResidualConfig) for row in setting):
            raise TypeError(
                "The inverted_residual_setting should be List[InvertedResidualConfig]"
            )
        if kwargs:
            raise TypeError(f"MobileNetV3 has no argument {', '.join(kwargs)}")
        make_block = block or InvertedResidual
        norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        ends: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.Hardswish}
        first, last = setting[0].input_channels, setting[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, stride=2, **ends),
            *(make_block(row, norm) for row in setting),
            Conv2dNormActivation(last, 6 * last, kernel_size=1, **ends),
        )
        self._strides = [2, *(row.stride if row.dilation == 1 else 1 for row in setting), 1]
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's normal values for convolutions, small normal ones for linear layers."""
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The blocks of one resolution; the last stage ends with the 1x1 convolution."""
        return stages_by_stride(self._strides)

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = self.avgpool(self.features(x))
        return self.classifier(flambeau.flatten(x, 1))


def _network(
    rows: Callable[[int, int], list[tuple[Any, ...]]],
    last_channel: int,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **options: Any,
) -> MobileNetV3:
    """The network of the rows that `rows(division, dilation)` gives for its tail."""
    division, dilation = (2 if reduced_tail else 1), (2 if dilated else 1)
    setting = [InvertedResidualConfig(*(*row, width_mult)) for row in rows(division, dilation)]
    last_channel = InvertedResidualConfig.adjust_channels(last_channel // division, width_mult)
    return MobileNetV3(setting, last_channel, **options)


def _large(division: int, dilation: int) -> list[tuple[Any, ...]]:
    tail = 160 // division
    return [
        (16, 3, 16, 16, False, "RE", 1, 1),
        (16, 3, 64, 24, False, "RE", 2, 1),
        (24, 3, 72, 24, False, "RE", 1, 1),
        (24, 5, 72, 40, True, "RE", 2, 1),
        (40, 5, 120, 40, True, "RE", 1, 1),
        (40, 5, 120, 40, True, "RE", 1, 1),
        (40, 3, 240, 80, False, "HS", 2, 1),
        (80, 3, 200, 80, False, "HS", 1, 1),
        (80, 3, 184, 80, False, "HS", 1, 1),
        (80, 3, 184, 80, False, "HS", 1, 1),
        (80, 3, 480, 112, True, "HS", 1, 1),
        (112, 3, 672, 112, True, "HS", 1, 1),
        (112, 5, 672, tail, True, "HS", 2, dilation),
        (tail, 5, 6 * tail, tail, True, "HS", 1, dilation),
        (tail, 5, 6 * tail, tail, True, "HS", 1, dilation),
    ]


def _small(division: int, dilation: int) -> list[tuple[Any, ...]]:
    tail = 96 // division
    return [
        (16, 3, 16, 16, True, "RE", 2, 1),
        (16, 3, 72, 24, False, "RE", 2, 1),
        (24, 3, 88, 24, False, "RE", 1, 1),
        (24, 5, 96, 40, True, "HS", 2, 1),
        (40, 5, 240, 40, True, "HS", 1, 1),
        (40, 5, 240, 40, True, "HS", 1, 1),
        (40, 5, 120, 48, True, "HS", 1, 1),
        (48, 5, 144, 48, True, "HS", 1, 1),
        (48, 5, 288, tail, True, "HS", 2, dilation),
        (tail, 5, 6 * tail, tail, True, "HS", 1, dilation),
        (tail, 5, 6 * tail, tail, True, "HS", 1, dilation),
    ]


@register_model
def mobilenet_v3_large(**options: Any) -> MobileNetV3:
    """MobileNet v3, large: 5,483,032 parameters.

    It has the options `width_mult`, `reduced_tail` (half of the channels at the end) and
    `dilated` (the last blocks keep the resolution), beside those of `MobileNetV3`.
    """
    return _network(_large, 1280, **options)


@register_model
def mobilenet_v3_small(**options: Any) -> MobileNetV3:
    """MobileNet v3, small: 2,542,856 parameters. Its options are `mobilenet_v3_large`'s."""
    return _network(_small, 1024, **options)
