"""ShuffleNet v2: Ma et al., "Practical guidelines for efficient CNN architecture design", 2018
(arXiv:1807.11164).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model

__all__ = [
    "ShuffleNetV2", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"
]  # fmt: skip


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """The channels of maps, written group by group, read across the groups."""
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width)
    return flambeau.transpose(x, 1, 2).contiguous().view(batch, channels, height, width)


class InvertedResidual(nn.Module):
    """Half of the channels pass (or are halved in size), half are convolved; then shuffled.

    Arguments:
        inp, oup: the channels that come in and go out.
        stride: 1, 2 or 3.
    """

    def __init__(self, inp: int, oup: int, stride: int):
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        half = oup // 2
        if stride == 1 and inp != half * 2:
            raise ValueError(
                f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values. If stride"
                " == 1 then inp should be equal to oup // 2 << 1."
            )
        self.stride = stride
        if stride > 1:
            self.branch1 = nn.Sequential(
                _depthwise(inp, stride),
                nn.BatchNorm2d(inp),
                nn.Conv2d(inp, half, kernel_size=1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(inplace=True),
            )
        else:
            self.branch1 = nn.Sequential()
        self.branch2 = nn.Sequential(
            nn.Conv2d(inp if stride > 1 else half, half, kernel_size=1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            _depthwise(half, stride),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, kernel_size=1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, oup, height / stride, width / stride)."""
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            halves = (kept, self.branch2(changed))
        else:
            halves = (self.branch1(x), self.branch2(x))
        return channel_shuffle(flambeau.cat(halves, dim=1), 2)


def _depthwise(channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False, groups=channels)


class ShuffleNetV2(ImageClassifier):
    """A stem, three stages of blocks, a 1x1 convolution, a linear layer.

    Arguments:
        stages_repeats: the number of blocks of each of the three stages.
        stages_out_channels: the channels of the stem, the stages, the last convolution.
        num_classes: the number of scores.
        inverted_residual: makes a block.
    """

    last_layer = "fc"

    def __init__(
        self,
        stages_repeats: Sequence[int],
        stages_out_channels: Sequence[int],
        num_classes: int = 1000,
        inverted_residual: Callable[..., nn.Module] = InvertedResidual,
    ):
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        stem, *widths, last = stages_out_channels
        self._stage_out_channels = list(stages_out_channels)
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        channels = stem
        for number, (repeats, width) in enumerate(zip(stages_repeats, widths, strict=True), 2):
            blocks = [inverted_residual(channels, width, 2)]
            blocks += [inverted_residual(width, width, 1) for _ in range(repeats - 1)]
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
            channels = width
        self.conv5 = nn.Sequential(
            nn.Conv2d(channels, last, 1, bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(inplace=True),
        )
        self.fc = nn.Linear(last, num_classes)

    def stages(self) -> list[list[str]]:
        """The stem, its pooling, the three stages; the last with the 1x1 convolution."""
        return [["conv1"], ["maxpool"], ["stage2"], ["stage3"], ["stage4", "conv5"]]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean([2, 3]))


@register_model
def shufflenet_v2_x0_5(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2 of half the width: 1,366,792 parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 48, 96, 192, 1024], **options)


@register_model
def shufflenet_v2_x1_0(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2: 2,278,604 parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 116, 232, 464, 1024], **options)


@register_model
def shufflenet_v2_x1_5(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2 of 1.5 times the width: 3,503,624 parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 176, 352, 704, 1024], **options)


@register_model
def shufflenet_v2_x2_0(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2 of twice the width: 7,393,996 parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 244, 488, 976, 2048], **options)
