"""GoogLeNet (Inception v1): Szegedy et al., "Going deeper with convolutions", 2014
(arXiv:1409.4842).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "googlenet"]

#: What the network gives in training: scores, and those of the two auxiliary classifiers.
GoogLeNetOutputs = namedtuple("GoogLeNetOutputs", ["logits", "aux_logits2", "aux_logits1"])

MakeLayer = Callable[..., nn.Module]


class BasicConv2d(nn.Module):
    """A convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **options: Any):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **options)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, out_channels, ...)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four ways side by side: 1x1, 3x3, "5x5" (3x3 since TensorFlow's version), pooling.

    Arguments:
        in_channels: the channels that come in.
        ch1x1, ch3x3, ch5x5, pool_proj: the channels that each way gives.
        ch3x3red, ch5x5red: the channels between the 1x1 and the next convolution.
        conv_block: makes a convolution.
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: MakeLayer | None = None,
    ):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch1 = conv(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv(in_channels, ch3x3red, kernel_size=1),
            conv(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv(in_channels, ch5x5red, kernel_size=1),
            conv(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            conv(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The four ways' maps, (batch, ch1x1 + ch3x3 + ch5x5 + pool_proj, height, width)."""
        ways = (self.branch1, self.branch2, self.branch3, self.branch4)
        return flambeau.cat([way(x) for way in ways], 1)


class InceptionAux(nn.Module):
    """A small classifier in the middle of the network, for training."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv_block: MakeLayer | None = None,
        dropout: float = 0.7,
    ):
        super().__init__()
        self.conv = (conv_block or BasicConv2d)(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes)."""
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4)))
        x = F.relu(self.fc1(flambeau.flatten(x, 1)), inplace=True)
        return self.fc2(self.dropout(x))


class GoogLeNet(ImageClassifier):
    """Nine inception modules.

    Arguments:
        num_classes: the number of scores.
        aux_logits: have auxiliary classifiers; in training the network then gives
            `GoogLeNetOutputs`.
        transform_input: change pictures normalised with ImageNet's means and deviations to
            the range that the published weights expect.
        init_weights: draw initial values (slow); if `False`, layers keep their own.
        blocks: what makes convolutions, inception modules and auxiliary classifiers.
        dropout, dropout_aux: the probabilities with which inputs of the last layers are zeroed.
    """

    last_layer = "fc"

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: Sequence[MakeLayer] | None = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ):
        super().__init__()
        conv, inception, aux = blocks or (BasicConv2d, Inception, InceptionAux)
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = aux(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = aux(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights is not False:
            self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """Small normal values, cut off at two."""
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(layer.weight, mean=0.0, std=0.01, a=-2, b=2)

    def stages(self) -> list[list[str]]:
        """What stands in front of each pooling, and the end."""
        return [
            ["conv1"],
            ["maxpool1", "conv2", "conv3"],
            ["maxpool2", "inception3a", "inception3b"],
            ["maxpool3", *(f"inception4{letter}" for letter in "abcde")],
            ["maxpool4", "inception5a", "inception5b"],
        ]

    def last_layers(self) -> list[str]:
        """The last layer, and those of the auxiliary classifiers."""
        return ["fc", "aux1.fc2", "aux2.fc2"] if self.aux1 is not None else ["fc"]

    def fitting(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state without the auxiliary classifiers, if this network has none."""
        if self.aux1 is not None:
            return state
        return {k: v for k, v in state.items() if not k.startswith(("aux1.", "aux2."))}

    def feature_maps(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """What each stage gives."""
        return super().feature_maps(self._transform(x), last)

    def _transform(self, x: Tensor) -> Tensor:
        """From ImageNet's normalisation to (x - 0.5) / 0.5, if that is wanted."""
        return to_half_range(x) if self.transform_input else x

    def forward(self, x: Tensor) -> Any:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        auxiliary = self.training and self.aux_logits
        x = self.maxpool1(self.conv1(self._transform(x)))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        first = self.aux1(x) if auxiliary and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        second = self.aux2(x) if auxiliary and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))
        x = self.avgpool(self.inception5b(self.inception5a(x)))
        scores = self.fc(self.dropout(flambeau.flatten(x, 1)))
        return GoogLeNetOutputs(scores, second, first) if auxiliary else scores


def to_half_range(x: Tensor) -> Tensor:
    """Pictures normalised with ImageNet's means and deviations as (picture - 0.5) / 0.5."""
    channels = [
        x[:, i : i + 1] * (deviation / 0.5) + (mean - 0.5) / 0.5
        for i, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)])
    ]
    return flambeau.cat(channels, 1)


@register_model(
    pretrained={"transform_input": True, "aux_logits": False, "init_weights": False}
)
def googlenet(**options: Any) -> GoogLeNet:
    """GoogLeNet: 6,624,904 parameters, and 6,379,984 of the auxiliary classifiers."""
    return GoogLeNet(**options)
