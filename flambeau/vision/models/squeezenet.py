"""SqueezeNet: Iandola et al., "AlexNet-level accuracy with 50x fewer parameters", 2016
(arXiv:1602.07360).
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]


class Fire(nn.Module):
    """A 1x1 convolution that squeezes the channels, 1x1 and 3x3 ones side by side that expand them."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ):
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, expand1x1_planes + expand3x3_planes, height, width)."""
        x = self.squeeze_activation(self.squeeze(x))
        one = self.expand1x1_activation(self.expand1x1(x))
        three = self.expand3x3_activation(self.expand3x3(x))
        return flambeau.cat([one, three], 1)


class SqueezeNet(ImageClassifier):
    """Fire modules between poolings; the scores are means of maps.

    Arguments:
        version: "1_0", or "1_1" (2.4 times less computation).
        num_classes: the number of scores.
        dropout: the probability with which inputs of the last convolution are zeroed.
    """

    last_layer = "classifier.1"

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        self.num_classes = num_classes
        if version == "1_0":
            stem = nn.Conv2d(3, 96, kernel_size=7, stride=2)
            plan = [[(96, 16, 64), (128, 16, 64), (128, 32, 128)],
                    [(256, 32, 128), (256, 48, 192), (384, 48, 192), (384, 64, 256)],
                    [(512, 64, 256)]]  # fmt: skip
        elif version == "1_1":
            stem = nn.Conv2d(3, 64, kernel_size=3, stride=2)
            plan = [[(64, 16, 64), (128, 16, 64)],
                    [(128, 32, 128), (256, 32, 128)],
                    [(256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)]]  # fmt: skip
        else:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        layers: list[nn.Module] = [stem, nn.ReLU(inplace=True)]
        for stage in plan:
            layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
            layers += [
                Fire(inplanes, squeeze, expand, expand) for inplanes, squeeze, expand in stage
            ]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Conv2d(512, num_classes, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's uniform values; small normal ones for the layer that gives the scores."""
        if isinstance(layer, nn.Conv2d):
            if layer is self.classifier[1]:
                nn.init.normal_(layer.weight, mean=0.0, std=0.01)
            else:
                nn.init.kaiming_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The stem, and the fire modules after each pooling."""
        stages: list[list[str]] = [[]]
        for name, layer in self.features.named_children():
            if isinstance(layer, nn.MaxPool2d):
                stages.append([])
            stages[-1].append(f"features.{name}")
        return stages

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        return flambeau.flatten(self.classifier(self.features(x)), 1)


@register_model
def squeezenet1_0(**options: Any) -> SqueezeNet:
    """SqueezeNet 1.0: 1,248,424 parameters."""
    return SqueezeNet("1_0", **options)


@register_model
def squeezenet1_1(**options: Any) -> SqueezeNet:
    """SqueezeNet 1.1: 1,235,496 parameters."""
    return SqueezeNet("1_1", **options)
