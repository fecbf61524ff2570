"""DenseNet: Huang et al., "Densely connected convolutional networks", 2016 (arXiv:1608.06993)."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]

#: In torchvision's checkpoint files: "...denselayer3.norm.1.weight", for what is now "norm1".
_OLD_KEY = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")


class DenseLayer(nn.Module):
    """Two convolutions, 1x1 and 3x3, that add `growth_rate` channels to all that came before.

    Arguments:
        num_input_features: the channels of all maps that came before, together.
        growth_rate: the channels that this layer gives.
        bn_size: how many times as many are between its two convolutions.
        drop_rate: the probability with which its outputs are zeroed.
        memory_efficient: compute the maps between once more in the backward pass, not keep them.
    """

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ):
        super().__init__()
        between = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, between, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(between)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(between, growth_rate, kernel_size=3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def bottleneck(self, *inputs: Tensor) -> Tensor:
        """The 1x1 convolution of all maps that came before."""
        return self.conv1(self.relu1(self.norm1(flambeau.cat(inputs, 1))))

    def forward(self, input: Tensor | Sequence[Tensor]) -> Tensor:
        """Maps (batch, growth_rate, height, width) of the maps that came before."""
        inputs = [input] if isinstance(input, Tensor) else list(input)
        if self.memory_efficient and any(x.requires_grad for x in inputs):
            from flambeau.utils.checkpoint import checkpoint

            between = checkpoint(self.bottleneck, *inputs, use_reentrant=False)
        else:
            between = self.bottleneck(*inputs)
        new = self.conv2(self.relu2(self.norm2(between)))
        if self.drop_rate > 0:
            new = F.dropout(new, p=self.drop_rate, training=self.training)
        return new


class DenseBlock(nn.ModuleDict):
    """Layers of which each sees the maps of all before it."""

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ):
        super().__init__()
        for i in range(num_layers):
            channels = num_input_features + i * growth_rate
            self.add_module(
                f"denselayer{i + 1}",
                DenseLayer(channels, growth_rate, bn_size, drop_rate, memory_efficient),
            )

    def forward(self, init_features: Tensor) -> Tensor:
        """All maps, those that came in first."""
        maps = [init_features]
        for layer in self.values():
            maps.append(layer(maps))
        return flambeau.cat(maps, 1)


class Transition(nn.Sequential):
    """Halves the channels and the size."""

    def __init__(self, num_input_features: int, num_output_features: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(
            num_input_features, num_output_features, kernel_size=1, bias=False
        )
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(ImageClassifier):
    """Dense blocks with transitions between them, and a linear layer.

    Arguments:
        growth_rate: the channels that each layer adds.
        block_config: the number of layers of each block.
        num_init_features: the channels of the stem.
        bn_size: see `DenseLayer`.
        drop_rate: the probability with which a layer's outputs are zeroed.
        num_classes: the number of scores.
        memory_efficient: see `DenseLayer`.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ):
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(3, num_init_features, 7, stride=2, padding=3, bias=False),
                norm0=nn.BatchNorm2d(num_init_features),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            )
        )
        channels = num_init_features
        for i, layers in enumerate(block_config, 1):
            block = DenseBlock(
                layers, channels, bn_size, growth_rate, drop_rate, memory_efficient
            )
            self.features.add_module(f"denseblock{i}", block)
            channels += layers * growth_rate
            if i < len(block_config):
                self.features.add_module(f"transition{i}", Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        self._register_load_state_dict_pre_hook(_rename_old_keys)
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """He's normal values for convolutions; linear layers begin without a bias."""
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The stem, and each dense block with what stands in front of it."""
        stages: list[list[str]] = [[]]
        for name, layer in self.features.named_children():
            if isinstance(layer, (nn.MaxPool2d, Transition)):
                stages.append([])
            stages[-1].append(f"features.{name}")
        return stages

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(flambeau.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


def _rename_old_keys(state_dict: dict[str, Any], *rest: Any) -> None:
    """Lets the published files load, whose keys are older than the layers' present names."""
    for key in list(state_dict):
        match = _OLD_KEY.fullmatch(key)
        if match:
            state_dict[match[1] + match[2]] = state_dict.pop(key)


@register_model
def densenet121(**options: Any) -> DenseNet:
    """DenseNet with 121 layers: 7,978,856 parameters."""
    return DenseNet(32, (6, 12, 24, 16), 64, **options)


@register_model
def densenet161(**options: Any) -> DenseNet:
    """DenseNet with 161 layers: 28,681,000 parameters."""
    return DenseNet(48, (6, 12, 36, 24), 96, **options)


@register_model
def densenet169(**options: Any) -> DenseNet:
    """DenseNet with 169 layers: 14,149,480 parameters."""
    return DenseNet(32, (6, 12, 32, 32), 64, **options)


@register_model
def densenet201(**options: Any) -> DenseNet:
    """DenseNet with 201 layers: 20,013,928 parameters."""
    return DenseNet(32, (6, 12, 48, 32), 64, **options)
