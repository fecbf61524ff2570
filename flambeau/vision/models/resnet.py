"""Residual networks: He et al., "Deep residual learning for image recognition", 2015
(arXiv:1512.03385); ResNeXt (arXiv:1611.05431); wide ResNet (arXiv:1605.07146).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = [
    "BasicBlock", "Bottleneck", "ResNet", "conv1x1", "conv3x3", "resnet18", "resnet34", "resnet50", "resnet101",
    "resnet152", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
]  # fmt: skip

NormLayer = Callable[..., nn.Module]


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size (at stride 1)."""
    return nn.Conv2d(
        in_planes,
        out_planes,
        3,
        stride,
        padding=dilation,
        dilation=dilation,
        groups=groups,
        bias=False,
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(in_planes, out_planes, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a short cut.

    Arguments:
        inplanes: the channels that come in.
        planes: the channels that go out.
        stride: of the first convolution.
        downsample: what the short cut does with its input; nothing if `None`.
        groups, base_width, dilation: 1, 64 and 1; others are for `Bottleneck`.
        norm_layer: makes a normalisation layer for a number of channels.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, planes, height / stride, width / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += shortcut
        return self.relu(out)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones that narrow and widen, beside a short cut.

    The stride is the 3x3 convolution's, which is more accurate than the paper's place for it
    (ResNet "v1.5").

    Arguments:
        inplanes: the channels that come in.
        planes: the width of the network at this depth; four times as many channels go out.
        stride, dilation: of the 3x3 convolution.
        downsample: what the short cut does with its input; nothing if `None`.
        groups: of the 3x3 convolution, which has `planes * base_width / 64` channels a group.
        base_width: see `groups`.
        norm_layer: makes a normalisation layer for a number of channels.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, 4 * planes, height / stride, width / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += shortcut
        return self.relu(out)


class ResNet(ImageClassifier):
    """A stem, four stages of residual blocks, a linear layer.

    Arguments:
        block: `BasicBlock` or `Bottleneck`.
        layers: the number of blocks of each stage.
        num_classes: the number of scores.
        zero_init_residual: begin with blocks that are the identity.
        groups, width_per_group: of the blocks' 3x3 convolutions.
        replace_stride_with_dilation: for each of the last three stages, whether it keeps the size
            and widens its kernels instead.
        norm_layer: makes a normalisation layer for a number of channels; `BatchNorm2d` if `None`.
    """

    last_layer = "fc"

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: NormLayer | None = None,
    ):
        super().__init__()
        dilate = replace_stride_with_dilation or (False, False, False)
        if len(dilate) != 3:
            raise ValueError(
                "replace_stride_with_dilation should be None "
                f"or a 3-element tuple, got {replace_stride_with_dilation}"
            )
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_residual:
            for layer in self.modules():
                if isinstance(layer, (BasicBlock, Bottleneck)):
                    last = layer.bn3 if isinstance(layer, Bottleneck) else layer.bn2
                    if last.weight is not None:
                        nn.init.zeros_(last.weight)

    def _make_layer(
        self,
        block: type[BasicBlock | Bottleneck],
        planes: int,
        blocks: int,
        stride: int = 1,
        dilate: bool = False,
    ) -> nn.Sequential:
        """A stage. Only its first block changes the size and the number of channels."""
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        outplanes = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outplanes:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, outplanes, stride), self._norm_layer(outplanes)
            )
        shape = (self.groups, self.base_width)
        made = [
            block(
                self.inplanes,
                planes,
                stride,
                downsample,
                *shape,
                first_dilation,
                self._norm_layer,
            )
        ]
        self.inplanes = outplanes
        for _ in range(1, blocks):
            made.append(
                block(outplanes, planes, 1, None, *shape, self.dilation, self._norm_layer)
            )
        return nn.Sequential(*made)

    def stages(self) -> list[list[str]]:
        """The stem, and the four stages of blocks."""
        return [
            ["conv1", "bn1", "relu"],
            ["maxpool", "layer1"],
            ["layer2"],
            ["layer3"],
            ["layer4"],
        ]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = flambeau.flatten(self.avgpool(x), 1)
        return self.fc(x)


@register_model
def resnet18(**options: Any) -> ResNet:
    """ResNet-18: 11,689,512 parameters."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **options)


@register_model
def resnet34(**options: Any) -> ResNet:
    """ResNet-34: 21,797,672 parameters."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **options)


@register_model
def resnet50(**options: Any) -> ResNet:
    """ResNet-50: 25,557,032 parameters."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **options)


@register_model
def resnet101(**options: Any) -> ResNet:
    """ResNet-101: 44,549,160 parameters."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **options)


@register_model
def resnet152(**options: Any) -> ResNet:
    """ResNet-152: 60,192,808 parameters."""
    return ResNet(Bottleneck, [3, 8, 36, 3], **options)


@register_model
def resnext50_32x4d(**options: Any) -> ResNet:
    """ResNeXt-50 with 32 groups of 4 channels: 25,028,904 parameters."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **{"groups": 32, "width_per_group": 4, **options})


@register_model
def resnext101_32x8d(**options: Any) -> ResNet:
    """ResNeXt-101 with 32 groups of 8 channels: 88,791,336 parameters."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **{"groups": 32, "width_per_group": 8, **options})


@register_model
def resnext101_64x4d(**options: Any) -> ResNet:
    """ResNeXt-101 with 64 groups of 4 channels: 83,455,272 parameters."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **{"groups": 64, "width_per_group": 4, **options})


@register_model
def wide_resnet50_2(**options: Any) -> ResNet:
    """ResNet-50 with twice the channels in the blocks' middle: 68,883,240 parameters."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **{"width_per_group": 128, **options})


@register_model
def wide_resnet101_2(**options: Any) -> ResNet:
    """ResNet-101 with twice the channels in the blocks' middle: 126,886,696 parameters."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **{"width_per_group": 128, **options})
