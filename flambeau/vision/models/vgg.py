"""VGG: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
recognition", 2014 (arXiv:1409.1556).
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = [
    "VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"
]  # fmt: skip

#: The channels of the convolutions of each stage; a pooling stands after every stage.
_STAGES = {
    11: [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    13: [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    16: [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    19: [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}


class VGG(ImageClassifier):
    """3x3 convolutions in five stages, and three linear layers.

    Arguments:
        features: the convolutions, activations and poolings; 512 channels come out.
        num_classes: the number of scores.
        init_weights: draw initial values as the paper does; otherwise layers keep their own.
        dropout: the probability with which inputs of the last two linear layers are zeroed.
    """

    last_layer = "classifier.6"

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's normal values for convolutions, small normal ones for linear layers."""
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The layers in front of each pooling, and what the last pooling gives."""
        stages: list[list[str]] = [[]]
        for name, layer in self.features.named_children():
            if isinstance(layer, nn.MaxPool2d):
                stages.append([])
            stages[-1].append(f"features.{name}")
        return stages

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = self.avgpool(self.features(x))
        return self.classifier(flambeau.flatten(x, 1))


def make_layers(cfg: list[int | str], batch_norm: bool = False) -> nn.Sequential:
    """Convolutions with so many channels each, with an activation; "M" is a pooling."""
    layers: list[nn.Module] = []
    width = 3
    for channels in cfg:
        if isinstance(channels, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(width, channels, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels))
        layers.append(nn.ReLU(inplace=True))
        width = channels
    return nn.Sequential(*layers)


def _features(depth: int, batch_norm: bool) -> nn.Sequential:
    cfg: list[int | str] = []
    for stage in _STAGES[depth]:
        cfg += [*stage, "M"]
    return make_layers(cfg, batch_norm)


@register_model
def vgg11(**options: Any) -> VGG:
    """VGG with 11 layers: 132,863,336 parameters."""
    return VGG(_features(11, batch_norm=False), **options)


@register_model
def vgg11_bn(**options: Any) -> VGG:
    """VGG with 11 layers and batch normalisation: 132,868,840 parameters."""
    return VGG(_features(11, batch_norm=True), **options)


@register_model
def vgg13(**options: Any) -> VGG:
    """VGG with 13 layers: 133,047,848 parameters."""
    return VGG(_features(13, batch_norm=False), **options)


@register_model
def vgg13_bn(**options: Any) -> VGG:
    """VGG with 13 layers and batch normalisation: 133,053,736 parameters."""
    return VGG(_features(13, batch_norm=True), **options)


@register_model
def vgg16(**options: Any) -> VGG:
    """VGG with 16 layers: 138,357,544 parameters."""
    return VGG(_features(16, batch_norm=False), **options)


@register_model
def vgg16_bn(**options: Any) -> VGG:
    """VGG with 16 layers and batch normalisation: 138,365,992 parameters."""
    return VGG(_features(16, batch_norm=True), **options)


@register_model
def vgg19(**options: Any) -> VGG:
    """VGG with 19 layers: 143,667,240 parameters."""
    return VGG(_features(19, batch_norm=False), **options)


@register_model
def vgg19_bn(**options: Any) -> VGG:
    """VGG with 19 layers and batch normalisation: 143,678,248 parameters."""
    return VGG(_features(19, batch_norm=True), **options)
