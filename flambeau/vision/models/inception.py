"""Inception v3: Szegedy et al., "Rethinking the inception architecture", 2015 (arXiv:1512.00567)."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.googlenet import BasicConv2d, to_half_range
from flambeau.vision.models.registry import register_model

__all__ = ["Inception3", "InceptionOutputs", "inception_v3"]

#: What the network gives in training: scores, and those of the auxiliary classifier.
InceptionOutputs = namedtuple("InceptionOutputs", ["logits", "aux_logits"])

MakeLayer = Callable[..., nn.Module]

#: Kernels of one row or column, with what keeps the size.
_ROW3: dict[str, Any] = {"kernel_size": (1, 3), "padding": (0, 1)}
_COLUMN3: dict[str, Any] = {"kernel_size": (3, 1), "padding": (1, 0)}
_ROW7: dict[str, Any] = {"kernel_size": (1, 7), "padding": (0, 3)}
_COLUMN7: dict[str, Any] = {"kernel_size": (7, 1), "padding": (3, 0)}


def _averaged(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)


class InceptionA(nn.Module):
    """1x1, 5x5, twice 3x3, and pooling, side by side."""

    def __init__(
        self, in_channels: int, pool_features: int, conv_block: MakeLayer | None = None
    ):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch1x1 = conv(in_channels, 64, kernel_size=1)
        self.branch5x5_1 = conv(in_channels, 48, kernel_size=1)
        self.branch5x5_2 = conv(48, 64, kernel_size=5, padding=2)
        self.branch3x3dbl_1 = conv(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv(96, 96, kernel_size=3, padding=1)
        self.branch_pool = conv(in_channels, pool_features, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, 224 + pool_features, height, width)."""
        ways = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(_averaged(x)),
        ]
        return flambeau.cat(ways, 1)


class InceptionB(nn.Module):
    """3x3, twice 3x3, and pooling, which halve the size."""

    def __init__(self, in_channels: int, conv_block: MakeLayer | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch3x3 = conv(in_channels, 384, kernel_size=3, stride=2)
        self.branch3x3dbl_1 = conv(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv(96, 96, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, 480 + in_channels, ...)."""
        ways = [
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            F.max_pool2d(x, kernel_size=3, stride=2),
        ]
        return flambeau.cat(ways, 1)


class InceptionC(nn.Module):
    """1x1, 7x7 as a row and a column, twice that, and pooling, side by side."""

    def __init__(
        self, in_channels: int, channels_7x7: int, conv_block: MakeLayer | None = None
    ):
        super().__init__()
        conv = conv_block or BasicConv2d
        middle = channels_7x7
        self.branch1x1 = conv(in_channels, 192, kernel_size=1)
        self.branch7x7_1 = conv(in_channels, middle, kernel_size=1)
        self.branch7x7_2 = conv(middle, middle, **_ROW7)
        self.branch7x7_3 = conv(middle, 192, **_COLUMN7)
        self.branch7x7dbl_1 = conv(in_channels, middle, kernel_size=1)
        self.branch7x7dbl_2 = conv(middle, middle, **_COLUMN7)
        self.branch7x7dbl_3 = conv(middle, middle, **_ROW7)
        self.branch7x7dbl_4 = conv(middle, middle, **_COLUMN7)
        self.branch7x7dbl_5 = conv(middle, 192, **_ROW7)
        self.branch_pool = conv(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, 768, height, width)."""
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        ways = [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(twice)),
            self.branch_pool(_averaged(x)),
        ]
        return flambeau.cat(ways, 1)


class InceptionD(nn.Module):
    """3x3, 7x7 and 3x3, and pooling, which halve the size."""

    def __init__(self, in_channels: int, conv_block: MakeLayer | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch3x3_1 = conv(in_channels, 192, kernel_size=1)
        self.branch3x3_2 = conv(192, 320, kernel_size=3, stride=2)
        self.branch7x7x3_1 = conv(in_channels, 192, kernel_size=1)
        self.branch7x7x3_2 = conv(192, 192, **_ROW7)
        self.branch7x7x3_3 = conv(192, 192, **_COLUMN7)
        self.branch7x7x3_4 = conv(192, 192, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, 512 + in_channels, ...)."""
        wide = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        ways = [
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(wide),
            F.max_pool2d(x, kernel_size=3, stride=2),
        ]
        return flambeau.cat(ways, 1)


class InceptionE(nn.Module):
    """1x1, 3x3 that ends in a row beside a column, twice 3x3 that ends so, and pooling."""

    def __init__(self, in_channels: int, conv_block: MakeLayer | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch1x1 = conv(in_channels, 320, kernel_size=1)
        self.branch3x3_1 = conv(in_channels, 384, kernel_size=1)
        self.branch3x3_2a = conv(384, 384, **_ROW3)
        self.branch3x3_2b = conv(384, 384, **_COLUMN3)
        self.branch3x3dbl_1 = conv(in_channels, 448, kernel_size=1)
        self.branch3x3dbl_2 = conv(448, 384, kernel_size=3, padding=1)
        self.branch3x3dbl_3a = conv(384, 384, **_ROW3)
        self.branch3x3dbl_3b = conv(384, 384, **_COLUMN3)
        self.branch_pool = conv(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, 2048, height, width)."""
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        ways = [
            self.branch1x1(x),
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(_averaged(x)),
        ]
        return flambeau.cat(ways, 1)


class InceptionAux(nn.Module):
    """A small classifier in the middle of the network, for training."""

    def __init__(self, in_channels: int, num_classes: int, conv_block: MakeLayer | None = None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.conv0 = conv(in_channels, 128, kernel_size=1)
        self.conv1 = conv(128, 768, kernel_size=5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes)."""
        x = self.conv1(self.conv0(F.avg_pool2d(x, kernel_size=5, stride=3)))
        return self.fc(flambeau.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Inception3(ImageClassifier):
    """Eleven inception modules, for pictures of 299 pixels (at least 75; with auxiliary scores
    in training 299).

    Arguments:
        num_classes: the number of scores.
        aux_logits: have an auxiliary classifier; in training the network then gives
            `InceptionOutputs`.
        transform_input: change pictures normalised with ImageNet's means and deviations to
            the range that the published weights expect.
        inception_blocks: what makes convolutions, modules A to E, and the auxiliary classifier.
        init_weights: draw initial values (slow); if `False`, layers keep their own.
        dropout: the probability with which inputs of the last layer are zeroed.
    """

    last_layer = "fc"

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        inception_blocks: Sequence[MakeLayer] | None = None,
        init_weights: bool | None = None,
        dropout: float = 0.5,
    ):
        super().__init__()
        conv, a, b, c, d, e, aux = inception_blocks or (
            BasicConv2d, InceptionA, InceptionB, InceptionC, InceptionD, InceptionE, InceptionAux,
        )  # fmt: skip
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = a(192, pool_features=32)
        self.Mixed_5c = a(256, pool_features=64)
        self.Mixed_5d = a(288, pool_features=64)
        self.Mixed_6a = b(288)
        self.Mixed_6b = c(768, channels_7x7=128)
        self.Mixed_6c = c(768, channels_7x7=160)
        self.Mixed_6d = c(768, channels_7x7=160)
        self.Mixed_6e = c(768, channels_7x7=192)
        self.AuxLogits = aux(768, num_classes) if aux_logits else None
        self.Mixed_7a = d(768)
        self.Mixed_7b = e(1280)
        self.Mixed_7c = e(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights is not False:
            self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """Normal values, cut off at two; small ones for the auxiliary scores."""
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            small = self.AuxLogits is not None and layer is self.AuxLogits.fc
            std = 0.001 if small else 0.1
            nn.init.trunc_normal_(layer.weight, mean=0.0, std=std, a=-2, b=2)

    def stages(self) -> list[list[str]]:
        """What stands in front of each halving, and the end."""
        return [
            ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"],
            ["maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3"],
            ["maxpool2", "Mixed_5b", "Mixed_5c", "Mixed_5d"],
            ["Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"],
            ["Mixed_7a", "Mixed_7b", "Mixed_7c"],
        ]

    def last_layers(self) -> list[str]:
        """The last layer, and that of the auxiliary classifier."""
        return ["fc"] if self.AuxLogits is None else ["fc", "AuxLogits.fc"]

    def fitting(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state without the auxiliary classifier, if this network has none."""
        if self.AuxLogits is not None:
            return state
        return {k: v for k, v in state.items() if not k.startswith("AuxLogits.")}

    def feature_maps(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """What each stage gives."""
        return super().feature_maps(to_half_range(x) if self.transform_input else x, last)

    def forward(self, x: Tensor) -> Any:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = to_half_range(x) if self.transform_input else x
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        auxiliary = self.training and self.AuxLogits is not None
        second = self.AuxLogits(x) if auxiliary and self.AuxLogits is not None else None
        x = self.avgpool(self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))))
        scores = self.fc(flambeau.flatten(self.dropout(x), 1))
        return InceptionOutputs(scores, second) if auxiliary else scores


@register_model(pretrained={"transform_input": True, "init_weights": False})
def inception_v3(**options: Any) -> Inception3:
    """Inception v3: 27,161,264 parameters, the auxiliary classifier's among them."""
    return Inception3(**options)
