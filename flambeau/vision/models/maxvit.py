"""MaxViT: Tu et al., "MaxViT: multi-axis vision transformer", 2022 (arXiv:2204.01697)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = ["MaxVit", "maxvit_t"]

MakeLayer = Callable[..., nn.Module]


def _halved(size: Sequence[int]) -> tuple[int, int]:
    """What a 3x3 convolution of stride 2 makes of a height and a width."""
    return (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1


class MBConv(nn.Module):
    """Widens the channels, convolves each, weighs them, narrows them; beside a short cut.

    Arguments:
        in_channels, out_channels: the channels that come in and go out.
        expansion_ratio: how many times `out_channels` are between.
        squeeze_ratio: the width of squeeze and excitation, divided by `out_channels`.
        stride: 1 or 2.
        activation_layer, norm_layer: make activations and normalisations.
        p_stochastic_dropout: the probability with which the branch is dropped.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion_ratio: float,
        squeeze_ratio: float,
        stride: int,
        activation_layer: MakeLayer,
        norm_layer: MakeLayer,
        p_stochastic_dropout: float = 0.0,
    ):
        super().__init__()
        self.proj: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            shortcut: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, 1)]
            if stride == 2:
                shortcut.insert(0, nn.AvgPool2d(kernel_size=3, stride=stride, padding=1))
            self.proj = nn.Sequential(*shortcut)
        drop = p_stochastic_dropout
        self.stochastic_depth = StochasticDepth(drop, "row") if drop else nn.Identity()
        wide = int(out_channels * expansion_ratio)
        options: dict[str, Any] = {
            "activation_layer": activation_layer, "norm_layer": norm_layer, "inplace": None,
        }  # fmt: skip
        self.layers = nn.Sequential(
            OrderedDict(
                pre_norm=norm_layer(in_channels),
                conv_a=Conv2dNormActivation(in_channels, wide, 1, **options),
                conv_b=Conv2dNormActivation(wide, wide, 3, stride, groups=wide, **options),
                squeeze_excitation=SqueezeExcitation(
                    wide, int(out_channels * squeeze_ratio), activation=nn.SiLU
                ),
                conv_c=nn.Conv2d(wide, out_channels, kernel_size=1),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, out_channels, height / stride, width / stride)."""
        return self.proj(x) + self.stochastic_depth(self.layers(x))


class RelativePositionalMultiHeadAttention(nn.Module):
    """Attention among the pixels of a square, with a learned bias for each distance.

    Arguments:
        feat_dim: the channels.
        head_dim: the channels of a head, a divisor of `feat_dim`.
        max_seq_len: the number of pixels, a square.
    """

    def __init__(self, feat_dim: int, head_dim: int, max_seq_len: int):
        super().__init__()
        if feat_dim % head_dim != 0:
            raise ValueError(f"feat_dim: {feat_dim} must be divisible by head_dim: {head_dim}")
        self.n_heads = feat_dim // head_dim
        self.head_dim = head_dim
        self.size = int(max_seq_len**0.5)
        self.max_seq_len = max_seq_len
        self.to_qkv = nn.Linear(feat_dim, 3 * feat_dim)
        self.scale_factor = feat_dim**-0.5
        self.merge = nn.Linear(feat_dim, feat_dim)
        distances = 2 * self.size - 1
        table = flambeau.empty(distances * distances, self.n_heads)
        self.relative_position_bias_table = nn.Parameter(table)
        rows = flambeau.arange(self.size).repeat_interleave(self.size)
        columns = flambeau.arange(self.size).repeat(self.size)
        down = rows[:, None] - rows[None, :] + self.size - 1
        right = columns[:, None] - columns[None, :] + self.size - 1
        self.register_buffer("relative_position_index", down * distances + right)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def get_relative_positional_bias(self) -> Tensor:
        """The bias of each pair of pixels, (1, heads, pixels, pixels)."""
        places = self.relative_position_index.view(-1)
        biases = self.relative_position_bias_table[places]
        biases = biases.view(self.max_seq_len, self.max_seq_len, -1)
        return biases.permute(2, 0, 1).contiguous().unsqueeze(0)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels (batch, squares, pixels, feat_dim), of such."""
        batch, squares, pixels, channels = x.shape
        shape = (batch, squares, pixels, 3, self.n_heads, self.head_dim)
        queries, keys, values = (
            self.to_qkv(x).reshape(shape).permute(3, 0, 1, 4, 2, 5).unbind(0)
        )
        weights = queries.matmul((keys * self.scale_factor).transpose(-2, -1))
        weights = F.softmax(weights + self.get_relative_positional_bias(), dim=-1)
        x = (
            weights.matmul(values)
            .permute(0, 1, 3, 2, 4)
            .reshape(batch, squares, pixels, channels)
        )
        return self.merge(x)


class SwapAxes(nn.Module):
    """`swapaxes` as a layer."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.a = a
        self.b = b

    def forward(self, x: Tensor) -> Tensor:
        """A view of `x` with two dimensions exchanged."""
        return flambeau.swapaxes(x, self.a, self.b)


class WindowPartition(nn.Module):
    """Maps as windows of `p` times `p` pixels."""

    def forward(self, x: Tensor, p: int) -> Tensor:
        """Pixels (batch, windows, p * p, channels), of maps."""
        batch, channels, height, width = x.shape
        x = x.reshape(batch, channels, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(batch, (height // p) * (width // p), p * p, channels)


class WindowDepartition(nn.Module):
    """Windows of `p` times `p` pixels as maps."""

    def forward(self, x: Tensor, p: int, h_partitions: int, w_partitions: int) -> Tensor:
        """Maps (batch, channels, height, width), of what `WindowPartition` makes."""
        batch, _, _, channels = x.shape
        x = x.reshape(batch, h_partitions, w_partitions, p, p, channels).permute(
            0, 5, 1, 3, 2, 4
        )
        return x.reshape(batch, channels, h_partitions * p, w_partitions * p)


class PartitionAttentionLayer(nn.Module):
    """Attention and a perceptron, within windows or across a grid of far pixels.

    Arguments:
        in_channels, head_dim: the channels, and those of a head.
        partition_size: a window's height and width, or how many pixels the grid takes of each.
        partition_type: "window" or "grid".
        grid_size: the maps' height and width, multiples of `partition_size`.
        mlp_ratio: the perceptron's width, divided by `in_channels`.
        activation_layer, norm_layer: make activations and normalisations.
        attention_dropout, mlp_dropout: probabilities with which results are zeroed.
        p_stochastic_dropout: the probability with which a branch is dropped.
    """

    def __init__(
        self,
        in_channels: int,
        head_dim: int,
        partition_size: int,
        partition_type: str,
        grid_size: tuple[int, int],
        mlp_ratio: int,
        activation_layer: MakeLayer,
        norm_layer: MakeLayer,
        attention_dropout: float,
        mlp_dropout: float,
        p_stochastic_dropout: float,
    ):
        super().__init__()
        if partition_type not in ("grid", "window"):
            raise ValueError("partition_type must be either 'grid' or 'window'")
        if any(n % partition_size for n in grid_size):
            raise ValueError(
                f"the maps' size {tuple(grid_size)} must be a multiple of partition_size"
                f" {partition_size}"
            )
        across = partition_type == "grid"
        self.grid_size = grid_size
        self.p = grid_size[0] // partition_size if across else partition_size
        self.partition_op = WindowPartition()
        self.departition_op = WindowDepartition()
        self.partition_swap = SwapAxes(-2, -3) if across else nn.Identity()
        self.departition_swap = SwapAxes(-2, -3) if across else nn.Identity()
        self.attn_layer = nn.Sequential(
            norm_layer(in_channels),
            RelativePositionalMultiHeadAttention(in_channels, head_dim, partition_size**2),
            nn.Dropout(attention_dropout),
        )
        self.mlp_layer = nn.Sequential(
            nn.LayerNorm(in_channels),
            nn.Linear(in_channels, in_channels * mlp_ratio),
            activation_layer(),
            nn.Linear(in_channels * mlp_ratio, in_channels),
            nn.Dropout(mlp_dropout),
        )
        self.stochastic_dropout = StochasticDepth(p_stochastic_dropout, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, in_channels, height, width), of such."""
        rows, columns = self.grid_size[0] // self.p, self.grid_size[1] // self.p
        if tuple(x.shape[2:]) != tuple(self.grid_size):
            raise AssertionError(
                f"Grid size must be divisible by partition size: the network was made for maps of"
                f" {tuple(self.grid_size)} here and got {tuple(x.shape[2:])}"
            )
        x = self.partition_swap(self.partition_op(x, self.p))
        x = x + self.stochastic_dropout(self.attn_layer(x))
        x = x + self.stochastic_dropout(self.mlp_layer(x))
        return self.departition_op(self.departition_swap(x), self.p, rows, columns)


class MaxVitLayer(nn.Module):
    """A convolution block, attention within windows, attention across the grid."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        squeeze_ratio: float,
        expansion_ratio: float,
        stride: int,
        norm_layer: MakeLayer,
        activation_layer: MakeLayer,
        head_dim: int,
        mlp_ratio: int,
        mlp_dropout: float,
        attention_dropout: float,
        p_stochastic_dropout: float,
        partition_size: int,
        grid_size: tuple[int, int],
    ):
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["MBconv"] = MBConv(
            in_channels, out_channels, expansion_ratio, squeeze_ratio, stride, activation_layer,
            norm_layer, p_stochastic_dropout,
        )  # fmt: skip
        for kind in ("window", "grid"):
            layers[f"{kind}_attention"] = PartitionAttentionLayer(
                out_channels, head_dim, partition_size, kind, grid_size, mlp_ratio, activation_layer,
                nn.LayerNorm, attention_dropout, mlp_dropout, p_stochastic_dropout,
            )  # fmt: skip
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, out_channels, height / stride, width / stride)."""
        return self.layers(x)


class MaxVitBlock(nn.Module):
    """A stage: layers of which the first halves the size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        squeeze_ratio: float,
        expansion_ratio: float,
        norm_layer: MakeLayer,
        activation_layer: MakeLayer,
        head_dim: int,
        mlp_ratio: int,
        mlp_dropout: float,
        attention_dropout: float,
        partition_size: int,
        input_grid_size: tuple[int, int],
        n_layers: int,
        p_stochastic: Sequence[float],
    ):
        super().__init__()
        if len(p_stochastic) != n_layers:
            raise ValueError(
                f"p_stochastic must have length n_layers={n_layers}, got p_stochastic={p_stochastic}."
            )
        self.grid_size = _halved(input_grid_size)
        self.layers = nn.ModuleList(
            MaxVitLayer(
                out_channels if i else in_channels, out_channels, squeeze_ratio, expansion_ratio,
                1 if i else 2, norm_layer, activation_layer, head_dim, mlp_ratio, mlp_dropout,
                attention_dropout, drop, partition_size, self.grid_size,
            )
            for i, drop in enumerate(p_stochastic)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, out_channels, height / 2, width / 2)."""
        for layer in self.layers:
            x = layer(x)
        return x


class MaxVit(ImageClassifier):
    """A stem, stages of layers, a perceptron.

    Arguments:
        input_size: the pictures' height and width; every stage's must be a multiple of
            `partition_size`.
        stem_channels, block_channels, block_layers: the channels of the stem; the channels and
            the number of layers of each stage.
        partition_size, head_dim, mlp_ratio, mlp_dropout, attention_dropout: see
            `PartitionAttentionLayer`.
        stochastic_depth_prob: the probability with which the last layer's branches are dropped;
            it grows evenly from 0 at the first one.
        norm_layer, activation_layer: make normalisations of maps, and activations.
        squeeze_ratio, expansion_ratio: see `MBConv`.
        num_classes: the number of scores.
    """

    last_layer = "classifier.5"

    def __init__(
        self,
        input_size: tuple[int, int],
        stem_channels: int,
        partition_size: int,
        block_channels: Sequence[int],
        block_layers: Sequence[int],
        head_dim: int,
        stochastic_depth_prob: float,
        norm_layer: MakeLayer | None = None,
        activation_layer: MakeLayer = nn.GELU,
        squeeze_ratio: float = 0.25,
        expansion_ratio: float = 4,
        mlp_ratio: int = 4,
        mlp_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
    ):
        super().__init__()
        norm = norm_layer or partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
        size = _halved(input_size)
        grids = [size := _halved(size) for _ in block_channels]
        for i, grid in enumerate(grids):
            if any(n % partition_size for n in grid):
                raise ValueError(
                    f"Input size {grid} of block {i} is not divisible by partition size"
                    f" {partition_size}. Consider changing the partition size or the input size."
                )
        self.image_size = input_size[0]
        self.stem = nn.Sequential(
            Conv2dNormActivation(
                3, stem_channels, 3, 2, norm_layer=norm, activation_layer=activation_layer,
                bias=False, inplace=None,
            ),
            Conv2dNormActivation(
                stem_channels, stem_channels, 3, 1, norm_layer=None, activation_layer=None, bias=True
            ),
        )  # fmt: skip
        total = sum(block_layers)
        drops = [stochastic_depth_prob * i / max(1, total - 1) for i in range(total)]
        channels, size, done = stem_channels, _halved(input_size), 0
        self.blocks = nn.ModuleList()
        for width, layers in zip(block_channels, block_layers, strict=True):
            self.blocks.append(
                MaxVitBlock(
                    channels, width, squeeze_ratio, expansion_ratio, norm, activation_layer, head_dim,
                    mlp_ratio, mlp_dropout, attention_dropout, partition_size, size, layers,
                    drops[done : done + layers],
                )
            )  # fmt: skip
            channels, size, done = width, _halved(size), done + layers
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            nn.Tanh(),
            nn.Linear(channels, num_classes, bias=False),
        )
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """Small normal values, without biases."""
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The stem, and the stages of layers."""
        return [["stem"], *([f"blocks.{i}"] for i in range(len(self.blocks)))]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, *input_size)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)


@register_model
def maxvit_t(**options: Any) -> MaxVit:
    """MaxViT, tiny: 30,919,624 parameters. Its option `input_size` is (224, 224)."""
    defaults: dict[str, Any] = {
        "input_size": (224, 224), "stem_channels": 64, "block_channels": [64, 128, 256, 512],
        "block_layers": [2, 2, 5, 2], "head_dim": 32, "stochastic_depth_prob": 0.2, "partition_size": 7,
    }  # fmt: skip
    return MaxVit(**{**defaults, **options})
