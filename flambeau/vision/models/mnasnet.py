"""MNASNet: Tan et al., "Platform-aware neural architecture search for mobile", 2018
(arXiv:1807.11626).
"""

from __future__ import annotations

from typing import Any

from flambeau import Tensor, nn
from flambeau.vision.models.channels import make_divisible
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = ["MNASNet", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"]

#: TensorFlow's 0.9997, in PyTorch's sense.
_MOMENTUM = 1 - 0.9997

#: Of each stack of blocks: channels (before they are multiplied), kernel, stride, expansion, length.
_STACKS = [
    (24, 3, 2, 3, 3), (40, 5, 2, 3, 3), (80, 5, 2, 6, 3), (96, 3, 1, 6, 2), (192, 5, 2, 6, 4), (320, 3, 1, 6, 1),
]  # fmt: skip


class InvertedResidual(nn.Module):
    """Widens the channels, convolves each, narrows them; beside a short cut where shapes allow."""

    def __init__(
        self, in_ch: int, out_ch: int, kernel_size: int, stride: int, expansion_factor: int
    ):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        if kernel_size not in (3, 5):
            raise ValueError(f"kernel_size should be 3 or 5 instead of {kernel_size}")
        wide = in_ch * expansion_factor
        self.apply_residual = in_ch == out_ch and stride == 1
        self.layers = nn.Sequential(
            nn.Conv2d(in_ch, wide, 1, bias=False),
            nn.BatchNorm2d(wide, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
            _depthwise(wide, kernel_size, stride),
            nn.BatchNorm2d(wide, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, out_ch, 1, bias=False),
            nn.BatchNorm2d(out_ch, momentum=_MOMENTUM),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Maps (batch, out_ch, height / stride, width / stride)."""
        return self.layers(input) + input if self.apply_residual else self.layers(input)


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False
    )


class MNASNet(ImageClassifier):
    """A stem, six stacks of blocks, a 1x1 convolution, a linear layer.

    Arguments:
        alpha: multiplies the numbers of channels.
        num_classes: the number of scores.
        dropout: the probability with which inputs of the linear layer are zeroed.
    """

    last_layer = "classifier.1"

    def __init__(self, alpha: float, num_classes: int = 1000, dropout: float = 0.2):
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"alpha should be greater than 0.0 instead of {alpha}")
        self.alpha = alpha
        self.num_classes = num_classes
        stem, channels = make_divisible(32 * alpha, 8), make_divisible(16 * alpha, 8)
        layers: list[nn.Module] = [
            nn.Conv2d(3, stem, 3, padding=1, stride=2, bias=False),
            nn.BatchNorm2d(stem, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
            _depthwise(stem, 3, 1),
            nn.BatchNorm2d(stem, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
            nn.Conv2d(stem, channels, 1, bias=False),
            nn.BatchNorm2d(channels, momentum=_MOMENTUM),
        ]
        for depth, kernel, stride, expansion, length in _STACKS:
            out = make_divisible(depth * alpha, 8)
            blocks = [InvertedResidual(channels, out, kernel, stride, expansion)]
            blocks += [
                InvertedResidual(out, out, kernel, 1, expansion) for _ in range(1, length)
            ]
            layers.append(nn.Sequential(*blocks))
            channels = out
        layers += [
            nn.Conv2d(channels, 1280, 1, bias=False),
            nn.BatchNorm2d(1280, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
        ]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes)
        )
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's normal values for convolutions, Glorot-like uniform ones for the linear layer."""
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, mode="fan_out", nonlinearity="sigmoid")
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The blocks of one resolution, without the 1x1 convolution at the end."""
        groups = [range(8), [8], [9], [10, 11], [12, 13]]
        return [[f"layers.{i}" for i in group] for group in groups]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        return self.classifier(self.layers(x).mean([2, 3]))


@register_model
def mnasnet0_5(**options: Any) -> MNASNet:
    """MNASNet of half the width: 2,218,512 parameters."""
    return MNASNet(0.5, **options)


@register_model
def mnasnet0_75(**options: Any) -> MNASNet:
    """MNASNet of three quarters of the width: 3,170,208 parameters."""
    return MNASNet(0.75, **options)


@register_model
def mnasnet1_0(**options: Any) -> MNASNet:
    """MNASNet: 4,383,312 parameters."""
    return MNASNet(1.0, **options)


@register_model
def mnasnet1_3(**options: Any) -> MNASNet:
    """MNASNet of 1.3 times the width: 6,282,256 parameters."""
    return MNASNet(1.3, **options)
