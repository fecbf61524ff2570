"""RegNet: Radosavovic et al., "Designing network design spaces", 2020 (arXiv:2003.13678)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from flambeau import Tensor, nn
from flambeau.vision.models.channels import make_divisible
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

__all__ = [
    "RegNet", "regnet_x_16gf", "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf",
    "regnet_x_800mf", "regnet_x_8gf", "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf",
    "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf", "regnet_y_800mf", "regnet_y_8gf",
]  # fmt: skip

MakeLayer = Callable[..., nn.Module]


class SimpleStemIN(Conv2dNormActivation):
    """A 3x3 convolution that halves the size."""

    def __init__(
        self, width_in: int, width_out: int, norm_layer: MakeLayer, activation_layer: MakeLayer
    ):
        super().__init__(
            width_in, width_out, 3, 2, norm_layer=norm_layer, activation_layer=activation_layer
        )


class BottleneckTransform(nn.Sequential):
    """1x1, 3x3 in groups, squeeze and excitation if wanted, 1x1."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: MakeLayer,
        activation_layer: MakeLayer,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None,
    ):
        width = round(width_out * bottleneck_multiplier)
        norm: dict[str, Any] = {"norm_layer": norm_layer}
        active = {**norm, "activation_layer": activation_layer}
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["a"] = Conv2dNormActivation(width_in, width, 1, **active)
        layers["b"] = Conv2dNormActivation(
            width, width, 3, stride, groups=width // group_width, **active
        )
        if se_ratio:
            layers["se"] = SqueezeExcitation(
                width, round(se_ratio * width_in), activation=activation_layer
            )
        layers["c"] = Conv2dNormActivation(width, width_out, 1, activation_layer=None, **norm)
        super().__init__(layers)


class ResBottleneckBlock(nn.Module):
    """A `BottleneckTransform` beside a short cut."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: MakeLayer,
        activation_layer: MakeLayer,
        group_width: int = 1,
        bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
    ):
        super().__init__()
        self.proj = None
        if width_in != width_out or stride != 1:
            self.proj = Conv2dNormActivation(
                width_in, width_out, 1, stride, norm_layer=norm_layer, activation_layer=None
            )
        self.f = BottleneckTransform(
            width_in, width_out, stride, norm_layer, activation_layer, group_width,
            bottleneck_multiplier, se_ratio,
        )  # fmt: skip
        self.activation = activation_layer(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, width_out, height / stride, width / stride)."""
        shortcut = x if self.proj is None else self.proj(x)
        return self.activation(shortcut + self.f(x))


class AnyStage(nn.Sequential):
    """Blocks of one width; the first has the stride."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        depth: int,
        block_constructor: MakeLayer,
        norm_layer: MakeLayer,
        activation_layer: MakeLayer,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None = None,
        stage_index: int = 0,
    ):
        super().__init__()
        for i in range(depth):
            block = block_constructor(
                width_out if i else width_in, width_out, 1 if i else stride, norm_layer,
                activation_layer, group_width, bottleneck_multiplier, se_ratio,
            )  # fmt: skip
            self.add_module(f"block{stage_index}-{i}", block)


@dataclass
class BlockParams:
    """The depth, width and groups' width of each stage."""

    depths: list[int]
    widths: list[int]
    group_widths: list[int]
    bottleneck_multipliers: list[float]
    strides: list[int]
    se_ratio: float | None = None

    @classmethod
    def from_init_params(
        cls,
        depth: int,
        w_0: int,
        w_a: float,
        w_m: float,
        group_width: int,
        bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
        **kwargs: Any,
    ) -> BlockParams:
        """The stages of widths that grow as a straight line, rounded to powers.

        Block j would be `w_0 + w_a j` wide; it gets the nearest `w_0 w_m**s` with a whole s,
        rounded to a multiple of eight (section 3.4 of the paper). Blocks of one width are a
        stage.
        """
        if w_a < 0 or w_0 <= 0 or w_m <= 1 or w_0 % 8 != 0:
            raise ValueError("Invalid RegNet settings")
        steps = [round(math.log((w_0 + w_a * j) / w_0) / math.log(w_m)) for j in range(depth)]
        blocks = [round(w_0 * w_m**step / 8) * 8 for step in steps]
        widths = sorted(set(blocks))
        depths = [blocks.count(width) for width in widths]
        groups = []
        for i, width in enumerate(widths):
            middle = int(width * bottleneck_multiplier)
            groups.append(min(group_width, middle))
            widths[i] = int(make_divisible(middle, groups[-1]) / bottleneck_multiplier)
        count = len(widths)
        return cls(
            depths, widths, groups, [bottleneck_multiplier] * count, [2] * count, se_ratio
        )

    def stages(self) -> Iterator[tuple[int, int, int, int, float]]:
        """Of each stage: width, stride, depth, groups' width, multiplier."""
        return zip(
            self.widths, self.strides, self.depths, self.group_widths, self.bottleneck_multipliers,
            strict=True,
        )  # fmt: skip


class RegNet(ImageClassifier):
    """A stem, stages of blocks, a linear layer.

    Arguments:
        block_params: the stages.
        num_classes: the number of scores.
        stem_width: the channels of the stem.
        stem_type, block_type: make the stem and a block.
        norm_layer: makes a normalisation layer for a number of channels.
        activation: makes an activation.
    """

    last_layer = "fc"

    def __init__(
        self,
        block_params: BlockParams,
        num_classes: int = 1000,
        stem_width: int = 32,
        stem_type: MakeLayer | None = None,
        block_type: MakeLayer | None = None,
        norm_layer: MakeLayer | None = None,
        activation: MakeLayer | None = None,
    ):
        super().__init__()
        norm, active = norm_layer or nn.BatchNorm2d, activation or nn.ReLU
        self.stem = (stem_type or SimpleStemIN)(3, stem_width, norm, active)
        channels = stem_width
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (width, stride, depth, group, multiplier) in enumerate(block_params.stages(), 1):
            stages[f"block{i}"] = AnyStage(
                channels, width, stride, depth, block_type or ResBottleneckBlock, norm, active,
                group, multiplier, block_params.se_ratio, stage_index=i,
            )  # fmt: skip
            channels = width
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, num_classes)
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's normal values for convolutions, small normal ones for the linear layer."""
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
            nn.init.normal_(layer.weight, mean=0.0, std=math.sqrt(2.0 / fan_out))
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, mean=0.0, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The stem, and the stages of blocks."""
        return [
            ["stem"],
            *([f"trunk_output.{n}"] for n, _ in self.trunk_output.named_children()),
        ]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        return self.fc(self.avgpool(self.trunk_output(self.stem(x))).flatten(start_dim=1))


def _network(
    shape: tuple[int, int, float, float, int], se_ratio: float | None, options: Any
) -> RegNet:
    """The network of this depth, first width, slope, factor and groups' width."""
    norm = options.pop("norm_layer", partial(nn.BatchNorm2d, eps=1e-05, momentum=0.1))
    stages = BlockParams.from_init_params(*shape, se_ratio=se_ratio)
    return RegNet(stages, norm_layer=norm, **options)


@register_model
def regnet_x_400mf(**options: Any) -> RegNet:
    """RegNet X of 400 million multiply-adds: 5,495,976 parameters."""
    return _network((22, 24, 24.48, 2.54, 16), None, options)


@register_model
def regnet_x_800mf(**options: Any) -> RegNet:
    """RegNet X of 800 million multiply-adds: 7,259,656 parameters."""
    return _network((16, 56, 35.73, 2.28, 16), None, options)


@register_model
def regnet_x_1_6gf(**options: Any) -> RegNet:
    """RegNet X of 1.6 thousand million multiply-adds: 9,190,136 parameters."""
    return _network((18, 80, 34.01, 2.25, 24), None, options)


@register_model
def regnet_x_3_2gf(**options: Any) -> RegNet:
    """RegNet X of 3.2 thousand million multiply-adds: 15,296,552 parameters."""
    return _network((25, 88, 26.31, 2.25, 48), None, options)


@register_model
def regnet_x_8gf(**options: Any) -> RegNet:
    """RegNet X of 8 thousand million multiply-adds: 39,572,648 parameters."""
    return _network((23, 80, 49.56, 2.88, 120), None, options)


@register_model
def regnet_x_16gf(**options: Any) -> RegNet:
    """RegNet X of 16 thousand million multiply-adds: 54,278,536 parameters."""
    return _network((22, 216, 55.59, 2.1, 128), None, options)


@register_model
def regnet_x_32gf(**options: Any) -> RegNet:
    """RegNet X of 32 thousand million multiply-adds: 107,811,560 parameters."""
    return _network((23, 320, 69.86, 2.0, 168), None, options)


@register_model
def regnet_y_400mf(**options: Any) -> RegNet:
    """RegNet Y of 400 million multiply-adds: 4,344,144 parameters."""
    return _network((16, 48, 27.89, 2.09, 8), 0.25, options)


@register_model
def regnet_y_800mf(**options: Any) -> RegNet:
    """RegNet Y of 800 million multiply-adds: 6,432,512 parameters."""
    return _network((14, 56, 38.84, 2.4, 16), 0.25, options)


@register_model
def regnet_y_1_6gf(**options: Any) -> RegNet:
    """RegNet Y of 1.6 thousand million multiply-adds: 11,202,430 parameters."""
    return _network((27, 48, 20.71, 2.65, 24), 0.25, options)


@register_model
def regnet_y_3_2gf(**options: Any) -> RegNet:
    """RegNet Y of 3.2 thousand million multiply-adds: 19,436,338 parameters."""
    return _network((21, 80, 42.63, 2.66, 24), 0.25, options)


@register_model
def regnet_y_8gf(**options: Any) -> RegNet:
    """RegNet Y of 8 thousand million multiply-adds: 39,381,472 parameters."""
    return _network((17, 192, 76.82, 2.19, 56), 0.25, options)


@register_model
def regnet_y_16gf(**options: Any) -> RegNet:
    """RegNet Y of 16 thousand million multiply-adds: 83,590,140 parameters."""
    return _network((18, 200, 106.23, 2.48, 112), 0.25, options)


@register_model
def regnet_y_32gf(**options: Any) -> RegNet:
    """RegNet Y of 32 thousand million multiply-adds: 145,046,770 parameters."""
    return _network((20, 232, 115.89, 2.53, 232), 0.25, options)


@register_model
def regnet_y_128gf(**options: Any) -> RegNet:
    """RegNet Y of 128 thousand million multiply-adds: 644,812,894 parameters."""
    return _network((27, 456, 160.83, 2.52, 264), 0.25, options)
