"""Swin transformers: Liu et al., 2021 (arXiv:2103.14030); version 2, 2021 (arXiv:2111.09883)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import MLP, Permute
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = [
    "SwinTransformer",
    "swin_b",
    "swin_s",
    "swin_t",
    "swin_v2_b",
    "swin_v2_s",
    "swin_v2_t",
]

MakeLayer = Callable[..., nn.Module]

#: Added to the attention between pixels that only the shift made neighbours.
_APART = -100.0
#: The largest factor (its logarithm) of version 2's cosines.
_LARGEST_SCALE = math.log(100.0)


def _neighbours(x: Tensor) -> Tensor:
    """Every 2x2 pixels, (..., height, width, c), side by side: (..., height / 2, width / 2, 4c)."""
    height, width = x.shape[-3:-1]
    x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    corners = [x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
    return flambeau.cat(corners, -1)


class PatchMerging(nn.Module):
    """Halves the size and doubles the channels."""

    def __init__(self, dim: int, norm_layer: MakeLayer = nn.LayerNorm):
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels (..., height / 2, width / 2, 2 * dim), of such as (..., height, width, dim)."""
        return self.reduction(self.norm(_neighbours(x)))


class PatchMergingV2(nn.Module):
    """Halves the size and doubles the channels; normalises afterwards."""

    def __init__(self, dim: int, norm_layer: MakeLayer = nn.LayerNorm):
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels (..., height / 2, width / 2, 2 * dim), of such as (..., height, width, dim)."""
        return self.norm(self.reduction(_neighbours(x)))


class ShiftedWindowAttention(nn.Module):
    """Attention within windows, which every second block shifts by half their size.

    Arguments:
        dim: the channels.
        window_size, shift_size: of the windows, in pixels: height and width.
        num_heads: a divisor of `dim`.
        qkv_bias, proj_bias: whether the layers before and after the attention have biases.
        attention_dropout, dropout: probabilities with which weights, and results, are zeroed.
    """

    def __init__(
        self,
        dim: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if len(window_size) != 2 or len(shift_size) != 2:
            raise ValueError("window_size and shift_size must be of length 2")
        self.window_size = list(window_size)
        self.shift_size = list(shift_size)
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.define_relative_position_bias_table()
        self.define_relative_position_index()

    def define_relative_position_bias_table(self) -> None:
        """Makes the learned bias of each distance, for each head."""
        height, width = self.window_size
        table = flambeau.zeros((2 * height - 1) * (2 * width - 1), self.num_heads)
        self.relative_position_bias_table = nn.Parameter(table)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def define_relative_position_index(self) -> None:
        """Makes the place in the table for each pair of pixels of a window."""
        height, width = self.window_size
        rows = flambeau.arange(height).repeat_interleave(width)
        columns = flambeau.arange(width).repeat(height)
        down = rows[:, None] - rows[None, :] + height - 1
        right = columns[:, None] - columns[None, :] + width - 1
        self.register_buffer(
            "relative_position_index", (down * (2 * width - 1) + right).flatten()
        )

    def get_relative_position_bias(self) -> Tensor:
        """The bias of each pair of pixels, (1, heads, pixels, pixels)."""
        return self._of_pairs(self.relative_position_bias_table)

    def _of_pairs(self, table: Tensor) -> Tensor:
        pixels = self.window_size[0] * self.window_size[1]
        biases = table[self.relative_position_index].view(pixels, pixels, -1)
        return biases.permute(2, 0, 1).contiguous().unsqueeze(0)

    def _project(self, windows: Tensor) -> Tensor:
        """Queries, keys and values of pixels."""
        return self.qkv(windows)

    def _similarity(self, queries: Tensor, keys: Tensor) -> Tensor:
        """How well keys fit queries, (..., heads, pixels, pixels)."""
        scale = queries.shape[-1] ** -0.5
        return (queries * scale).matmul(keys.transpose(-2, -1))

    def forward(self, x: Tensor) -> Tensor:
        """Pixels (batch, height, width, dim), of such."""
        batch, height, width, channels = x.shape
        window = self.window_size
        x = F.pad(x, (0, 0, 0, -width % window[1], 0, -height % window[0]))
        high, wide = x.shape[1:3]
        counts = (high // window[0], wide // window[1])
        # A window that covers the whole picture has nowhere to go.
        shift = [
            s if w < n else 0
            for s, w, n in zip(self.shift_size, window, (high, wide), strict=True)
        ]
        if any(shift):
            x = flambeau.roll(x, shifts=(-shift[0], -shift[1]), dims=(1, 2))
        windows = _into_windows(x, window)

        pixels, heads = window[0] * window[1], self.num_heads
        qkv = self._project(windows).reshape(len(windows), pixels, 3, heads, channels // heads)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = self._similarity(queries, keys) + self.get_relative_position_bias()
        if any(shift):
            apart = _apart(high, wide, window, shift).to(x.dtype)
            weights = weights.view(batch, -1, heads, pixels, pixels) + apart[None, :, None]
            weights = weights.view(-1, heads, pixels, pixels)
        weights = F.dropout(F.softmax(weights, dim=-1), self.attention_dropout, self.training)
        x = weights.matmul(values).transpose(1, 2).reshape(-1, pixels, channels)
        x = F.dropout(self.proj(x), self.dropout, self.training)

        x = x.view(batch, *counts, *window, channels).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, high, wide, channels)
        if any(shift):
            x = flambeau.roll(x, shifts=(shift[0], shift[1]), dims=(1, 2))
        return x[:, :height, :width].contiguous()


def _into_windows(x: Tensor, window: Sequence[int]) -> Tensor:
    """The pixels of each window, (batch * windows, pixels, channels)."""
    batch, height, width, channels = x.shape
    x = x.view(
        batch, height // window[0], window[0], width // window[1], window[1], channels
    )  # fmt: skip
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window[0] * window[1], channels)


def _apart(height: int, width: int, window: Sequence[int], shift: Sequence[int]) -> Tensor:
    """For each window, which pairs of its pixels were no neighbours before the shift.

    The picture falls into nine regions: what the shift leaves in whole windows, the windows that
    hold both ends, and of those the part that came round.
    """
    region = flambeau.zeros(1, height, width, 1)
    ends = [((0, -window[i]), (-window[i], -shift[i]), (-shift[i], None)) for i in range(2)]
    number = 0
    for top, bottom in ends[0]:
        for left, right in ends[1]:
            region[:, top:bottom, left:right] = number
            number += 1
    regions = _into_windows(region, window).squeeze(-1)
    return (regions[:, None, :] != regions[:, :, None]) * _APART


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """With cosines in place of products, and a small network that gives the biases of distances."""

    def __init__(
        self,
        dim: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__(
            dim,
            window_size,
            shift_size,
            num_heads,
            qkv_bias,
            proj_bias,
            attention_dropout,
            dropout,
        )
        self.logit_scale = nn.Parameter(flambeau.log(10 * flambeau.ones(num_heads, 1, 1)))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512, bias=True),
            nn.ReLU(inplace=True),
            nn.Linear(512, num_heads, bias=False),
        )
        if self.qkv.bias is not None:
            nn.init.zeros_(self.qkv.bias[dim : 2 * dim])  # of the keys

    def define_relative_position_bias_table(self) -> None:
        """Makes the distances, on a logarithmic scale from -1 to 1 for eight pixels."""
        height, width = self.window_size
        down = flambeau.arange(-(height - 1), height, dtype=flambeau.float32) / (height - 1)
        right = flambeau.arange(-(width - 1), width, dtype=flambeau.float32) / (width - 1)
        shape = (1, 2 * height - 1, 2 * width - 1)
        table = flambeau.stack(
            [down[None, :, None].expand(shape), right[None, None, :].expand(shape)], dim=-1
        )
        table = flambeau.sign(table) * flambeau.log2(flambeau.abs(table * 8) + 1) / 3.0
        self.register_buffer("relative_coords_table", table)

    def get_relative_position_bias(self) -> Tensor:
        """The bias of each pair of pixels, (1, heads, pixels, pixels)."""
        table = self.cpb_mlp(self.relative_coords_table).view(-1, self.num_heads)
        return 16 * flambeau.sigmoid(self._of_pairs(table))

    def _project(self, windows: Tensor) -> Tensor:
        """Queries, keys and values; keys have no bias."""
        bias = self.qkv.bias
        if bias is not None:
            third = bias.numel() // 3
            bias = flambeau.cat(
                [bias[:third], flambeau.zeros_like(bias[:third]), bias[2 * third :]]
            )
        return F.linear(windows, self.qkv.weight, bias)

    def _similarity(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The cosines between queries and keys, times a learned factor."""
        cosines = F.normalize(queries, dim=-1).matmul(
            F.normalize(keys, dim=-1).transpose(-2, -1)
        )
        return cosines * flambeau.clamp(self.logit_scale, max=_LARGEST_SCALE).exp()


class SwinTransformerBlock(nn.Module):
    """Attention, and a perceptron, each after a normalisation and beside a short cut.

    Arguments:
        dim: the channels.
        num_heads, window_size, shift_size, attention_dropout: see `ShiftedWindowAttention`.
        mlp_ratio: the perceptron's width, divided by `dim`.
        dropout: the probability with which results of layers are zeroed.
        stochastic_depth_prob: the probability with which a branch is dropped.
        norm_layer, attn_layer: make the normalisations and the attention.
    """

    attention: MakeLayer = ShiftedWindowAttention

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0,
        norm_layer: MakeLayer = nn.LayerNorm,
        attn_layer: MakeLayer | None = None,
    ):
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = (attn_layer or type(self).attention)(
            dim, window_size, shift_size, num_heads,
            attention_dropout=attention_dropout, dropout=dropout,
        )  # fmt: skip
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        self.mlp = MLP(
            dim,
            [int(dim * mlp_ratio), dim],
            activation_layer=nn.GELU,
            inplace=None,
            dropout=dropout,
        )
        for layer in self.mlp.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels (batch, height, width, dim), of such."""
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        return x + self.stochastic_depth(self.mlp(self.norm2(x)))


class SwinTransformerBlockV2(SwinTransformerBlock):
    """With cosine attention, and the normalisations after the branches."""

    attention: MakeLayer = ShiftedWindowAttentionV2

    def forward(self, x: Tensor) -> Tensor:
        """Pixels (batch, height, width, dim), of such."""
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        return x + self.stochastic_depth(self.norm2(self.mlp(x)))


class SwinTransformer(ImageClassifier):
    """Patches, four stages of blocks with halvings between them, a linear layer.

    Arguments:
        patch_size: the patches' height and width.
        embed_dim: the channels of the first stage; each later one has twice as many.
        depths, num_heads: of each stage.
        window_size: the windows' height and width, in patches.
        mlp_ratio, dropout, attention_dropout: see `SwinTransformerBlock`.
        stochastic_depth_prob: the probability with which the last block's branches are dropped;
            it grows evenly from 0 at the first one.
        num_classes: the number of scores.
        norm_layer, block, downsample_layer: make normalisations, blocks, halvings.
    """

    last_layer = "head"

    def __init__(
        self,
        patch_size: Sequence[int],
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: Sequence[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.1,
        num_classes: int = 1000,
        norm_layer: MakeLayer | None = None,
        block: MakeLayer | None = None,
        downsample_layer: MakeLayer = PatchMerging,
    ):
        super().__init__()
        self.num_classes = num_classes
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-5)
        make_block = block or SwinTransformerBlock
        patch = (patch_size[0], patch_size[1])
        layers: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(3, embed_dim, kernel_size=patch, stride=patch),
                Permute([0, 2, 3, 1]),
                norm(embed_dim),
            )
        ]
        total, done = sum(depths), 0
        for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            dim = embed_dim * 2**stage
            blocks = []
            for i in range(depth):
                blocks.append(
                    make_block(
                        dim,
                        heads,
                        window_size=window_size,
                        shift_size=[0 if i % 2 == 0 else w // 2 for w in window_size],
                        mlp_ratio=mlp_ratio,
                        dropout=dropout,
                        attention_dropout=attention_dropout,
                        stochastic_depth_prob=stochastic_depth_prob * done / (total - 1),
                        norm_layer=norm,
                    )
                )
                done += 1
            layers.append(nn.Sequential(*blocks))
            if stage < len(depths) - 1:
                layers.append(downsample_layer(dim, norm))
        self.features = nn.Sequential(*layers)
        last = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm(last)
        self.permute = Permute([0, 3, 1, 2])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(last, num_classes)
        self.initialize_layers()

    def initialize(self, layer: nn.Module) -> None:
        """Small normal values, without biases."""
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def stages(self) -> list[list[str]]:
        """The patches with the first blocks, and the other stages with their halvings."""
        pairs = range(0, len(self.features), 2)
        return [[f"features.{i}", f"features.{i + 1}"] for i in pairs]

    def feature_maps(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """What each stage gives, (batch, channels, height, width)."""
        return [pixels.permute(0, 3, 1, 2) for pixels in super().feature_maps(x, last)]

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, height, width)."""
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


def _network(
    embed_dim: int, depth: int, heads: int, drop: float, options: Any, version: int = 1
) -> SwinTransformer:
    """The network of this width, with `depth` blocks in the third stage, `heads` in the first."""
    defaults: dict[str, Any] = {"stochastic_depth_prob": drop, "window_size": [7, 7]}
    if version == 2:
        defaults |= {
            "window_size": [8, 8], "block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2,
        }  # fmt: skip
    depths, num_heads = [2, 2, depth, 2], [heads * 2**i for i in range(4)]
    return SwinTransformer([4, 4], embed_dim, depths, num_heads, **{**defaults, **options})


@register_model
def swin_t(**options: Any) -> SwinTransformer:
    """Swin, tiny: 28,288,354 parameters."""
    return _network(96, 6, 3, 0.2, options)


@register_model
def swin_s(**options: Any) -> SwinTransformer:
    """Swin, small: 49,606,258 parameters."""
    return _network(96, 18, 3, 0.3, options)


@register_model
def swin_b(**options: Any) -> SwinTransformer:
    """Swin, base: 87,768,224 parameters."""
    return _network(128, 18, 4, 0.5, options)


@register_model
def swin_v2_t(**options: Any) -> SwinTransformer:
    """Swin v2, tiny: 28,351,570 parameters."""
    return _network(96, 6, 3, 0.2, options, version=2)


@register_model
def swin_v2_s(**options: Any) -> SwinTransformer:
    """Swin v2, small: 49,737,442 parameters."""
    return _network(96, 18, 3, 0.3, options, version=2)


@register_model
def swin_v2_b(**options: Any) -> SwinTransformer:
    """Swin v2, base: 87,930,848 parameters."""
    return _network(128, 18, 4, 0.5, options, version=2)
