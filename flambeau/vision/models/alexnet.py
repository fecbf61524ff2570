"""AlexNet, in the form for one machine: Krizhevsky, "One weird trick for parallelizing
convolutional neural networks", 2014 (arXiv:1404.5997).
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = ["AlexNet", "alexnet"]


class AlexNet(ImageClassifier):
    """Five convolutions and three linear layers, for pictures of at least 63 pixels.

    Arguments:
        num_classes: the number of scores.
        dropout: the probability with which inputs of the first two linear layers are zeroed.
    """

    last_layer = "classifier.6"

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def stages(self) -> list[list[str]]:
        """The layers in front of each pooling."""
        return [
            ["features.0", "features.1"],
            ["features.2", "features.3", "features.4"],
            [f"features.{i}" for i in range(5, 12)],
            ["features.12"],
        ]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = self.avgpool(self.features(x))
        return self.classifier(flambeau.flatten(x, 1))


@register_model
def alexnet(**options: Any) -> AlexNet:
    """AlexNet: 61,100,840 parameters."""
    return AlexNet(**options)
