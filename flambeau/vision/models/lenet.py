"""LeNet-5: two convolutions and three linear layers, for 32x32 images."""

from __future__ import annotations

from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier

#: What a 32x32 image has become when it reaches the classifier: 16 maps of 5x5.
_FEATURES = 16 * 5 * 5


class LeNet(ImageClassifier):
    """A small classifier of 32x32 images: 62,006 parameters with three channels, ten classes.

    `features` turns images into 16 maps of 5x5, `classifier` those into a score for each
    class.

    Arguments:
        num_classes: the number of scores.
        in_channels: the channels of the images.
    """

    last_layer = "classifier.4"

    def __init__(self, num_classes: int = 10, in_channels: int = 3):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(_FEATURES, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def stages(self) -> list[list[str]]:
        """The layers in front of each pooling, and what the last pooling gives."""
        return [
            ["features.0", "features.1"],
            ["features.2", "features.3", "features.4"],
            ["features.5"],
        ]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of images (batch, in_channels, 32, 32)."""
        return self.classifier(self.features(x).flatten(1))
