"""A network that finds 21 points on a face: seven convolutions, three linear layers."""

from __future__ import annotations

from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier

#: What a 112x112 face has become when it reaches the linear layers: 80 maps of 4x4.
_FEATURES = 80 * 4 * 4


class FaceKeypointNet(ImageClassifier):
    """Points on a face from its grey 112x112 picture.

    Four stages of small convolutions, each followed by a PReLU, halve the picture down to
    4x4; three linear layers turn that into the coordinates, x and y of each point in turn.

    Arguments:
        num_points: the number of points.

    `reset_classifier` takes the number of coordinates, twice that of the points.
    """

    last_layer = "ip3"
    image_size = 112

    def __init__(self, num_points: int = 21):
        super().__init__()
        self.conv1_1 = nn.Conv2d(1, 8, 5, stride=2)
        self.prelu1_1 = nn.PReLU()
        self.pool1 = nn.AvgPool2d(2)
        self.conv2_1 = nn.Conv2d(8, 16, 3)
        self.prelu2_1 = nn.PReLU()
        self.conv2_2 = nn.Conv2d(16, 16, 3)
        self.prelu2_2 = nn.PReLU()
        self.pool2 = nn.AvgPool2d(2, ceil_mode=True)
        self.conv3_1 = nn.Conv2d(16, 24, 3)
        self.prelu3_1 = nn.PReLU()
        self.conv3_2 = nn.Conv2d(24, 24, 3)
        self.prelu3_2 = nn.PReLU()
        self.pool3 = nn.AvgPool2d(2)
        self.conv4_1 = nn.Conv2d(24, 40, 3, padding=1)
        self.prelu4_1 = nn.PReLU()
        self.conv4_2 = nn.Conv2d(40, 80, 3, padding=1)
        self.prelu4_2 = nn.PReLU()
        self.ip1 = nn.Linear(_FEATURES, 128)
        self.preluip1 = nn.PReLU()
        self.ip2 = nn.Linear(128, 128)
        self.preluip2 = nn.PReLU()
        self.ip3 = nn.Linear(128, 2 * num_points)

    def stages(self) -> list[list[str]]:
        """The layers in front of each pooling, and those after the last one."""
        return [
            ["conv1_1", "prelu1_1"],
            ["pool1", "conv2_1", "prelu2_1", "conv2_2", "prelu2_2"],
            ["pool2", "conv3_1", "prelu3_1", "conv3_2", "prelu3_2"],
            ["pool3", "conv4_1", "prelu4_1", "conv4_2", "prelu4_2"],
        ]

    def forward(self, x: Tensor) -> Tensor:
        """The coordinates, (batch, 2 * num_points), of faces (batch, 1, 112, 112)."""
        x = self.pool1(self.prelu1_1(self.conv1_1(x)))
        x = self.prelu2_1(self.conv2_1(x))
        x = self.pool2(self.prelu2_2(self.conv2_2(x)))
        x = self.prelu3_1(self.conv3_1(x))
        x = self.pool3(self.prelu3_2(self.conv3_2(x)))
        x = self.prelu4_1(self.conv4_1(x))
        x = self.prelu4_2(self.conv4_2(x))
        x = x.view(-1, _FEATURES)
        x = self.preluip1(self.ip1(x))
        x = self.preluip2(self.ip2(x))
        return self.ip3(x)
