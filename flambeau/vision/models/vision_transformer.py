"""Vision transformers: Dosovitskiy et al., "An image is worth 16x16 words", 2020
(arXiv:2010.11929).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flambeau
from flambeau import Tensor, nn
from flambeau.nn import functional as F
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.registry import register_model
from flambeau.vision.ops.misc import MLP, Conv2dNormActivation

__all__ = [
    "VisionTransformer", "interpolate_embeddings", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32"
]  # fmt: skip

MakeLayer = Callable[..., nn.Module]

_norm = partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """A convolution of a stem that stands in the place of the patches."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: MakeLayer = nn.BatchNorm2d
    activation_layer: MakeLayer = nn.ReLU


class MLPBlock(MLP):
    """The perceptron of a block: two layers, GELU between them."""

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float):
        super().__init__(in_dim, [mlp_dim, in_dim], None, nn.GELU, dropout=dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.normal_(layer.bias, std=1e-6)
        self._register_load_state_dict_pre_hook(_rename_old_keys)


def _rename_old_keys(state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Lets older files load, where the layers were called `linear_1` and `linear_2`."""
    for old, new in (("linear_1", "0"), ("linear_2", "3")):
        for kind in ("weight", "bias"):
            if f"{prefix}{old}.{kind}" in state_dict:
                state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(f"{prefix}{old}.{kind}")


class EncoderBlock(nn.Module):
    """Attention, and a perceptron, each after a normalisation and beside a short cut."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: MakeLayer = _norm,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        """Tokens (batch, length, hidden_dim), of such."""
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Places added to tokens, and blocks."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: MakeLayer = _norm,
    ):
        super().__init__()
        self.pos_embedding = nn.Parameter(
            flambeau.empty(1, seq_length, hidden_dim).normal_(std=0.02)
        )
        self.dropout = nn.Dropout(dropout)
        shape = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{i}", EncoderBlock(*shape)) for i in range(num_layers))
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        """Tokens (batch, length, hidden_dim), of such."""
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(ImageClassifier):
    """A transformer over the patches of a picture.

    Arguments:
        image_size: the pictures' height and width.
        patch_size: the patches' height and width, a divisor of `image_size`.
        num_layers, num_heads, hidden_dim, mlp_dim: of the blocks.
        dropout, attention_dropout: probabilities with which activations, or weights of the
            attention, are zeroed.
        num_classes: the number of scores.
        representation_size: the outputs of a layer in front of the last; none if `None`.
        norm_layer: makes a normalisation of the last dimension.
        conv_stem_configs: convolutions in place of the one that makes tokens of patches.
    """

    last_layer = "heads.head"

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: MakeLayer = _norm,
        conv_stem_configs: Sequence[ConvStemConfig] | None = None,
    ):
        super().__init__()
        if image_size % patch_size != 0:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj: nn.Module
        if conv_stem_configs is None:
            self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        else:
            self.conv_proj = _stem(conv_stem_configs, hidden_dim)
        self.seq_length = (image_size // patch_size) ** 2 + 1  # and the token of the class
        self.class_token = nn.Parameter(flambeau.zeros(1, 1, hidden_dim))
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout,
            attention_dropout, norm_layer,
        )  # fmt: skip
        if representation_size is None:
            heads = OrderedDict[str, nn.Module](head=nn.Linear(hidden_dim, num_classes))
        else:
            heads = OrderedDict[str, nn.Module](
                pre_logits=nn.Linear(hidden_dim, representation_size),
                act=nn.Tanh(),
                head=nn.Linear(representation_size, num_classes),
            )
        self.heads = nn.Sequential(heads)
        for layer in [self.conv_proj, *self.conv_proj.children(), *self.heads]:
            self.initialize(layer)

    def initialize(self, layer: nn.Module) -> None:
        """Lecun's normal values for patches, He's for the stem's last one; the scores begin at zero."""
        if isinstance(layer, nn.Linear):
            if layer is self.heads[-1]:
                nn.init.zeros_(layer.weight)
            else:
                nn.init.trunc_normal_(layer.weight, std=math.sqrt(1 / layer.in_features))
        elif isinstance(layer, nn.Conv2d):
            if layer is self.conv_proj:
                fan_in = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
                nn.init.trunc_normal_(layer.weight, std=math.sqrt(1 / fan_in))
            else:
                nn.init.normal_(layer.weight, mean=0.0, std=math.sqrt(2.0 / layer.out_channels))
        if isinstance(layer, (nn.Linear, nn.Conv2d)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def _process_input(self, x: Tensor) -> Tensor:
        """The patches' tokens, (batch, patches, hidden_dim), of pictures."""
        _, _, height, width = x.shape
        if height != self.image_size:
            raise AssertionError(
                f"Wrong image height! Expected {self.image_size} but got {height}!"
            )
        if width != self.image_size:
            raise AssertionError(
                f"Wrong image width! Expected {self.image_size} but got {width}!"
            )
        return self.conv_proj(x).flatten(2).permute(0, 2, 1)

    def _with_class_token(self, tokens: Tensor) -> Tensor:
        return flambeau.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)

    def stages(self) -> list[list[str]]:
        """Each block: all maps have the patches' resolution."""
        return [[f"encoder.layers.{name}"] for name, _ in self.encoder.layers.named_children()]

    def feature_modules(self, last: int) -> list[str]:
        """The modules that `feature_maps` needs."""
        return ["conv_proj", "encoder.dropout", *super().feature_modules(last)]

    def feature_maps(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """The patches' tokens after each block, as maps (batch, hidden_dim, rows, columns)."""
        rows = self.image_size // self.patch_size
        x = self._with_class_token(self._process_input(x))
        x = self.encoder.dropout(x + self.encoder.pos_embedding)
        maps = []
        for block in list(self.encoder.layers)[: None if last is None else last + 1]:
            x = block(x)
            maps.append(x[:, 1:].permute(0, 2, 1).unflatten(2, (rows, rows)))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """The scores, (batch, num_classes), of pictures (batch, 3, image_size, image_size)."""
        x = self.encoder(self._with_class_token(self._process_input(x)))
        return self.heads(x[:, 0])


def _stem(configs: Sequence[ConvStemConfig], hidden_dim: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for i, stem in enumerate(configs):
        layers[f"conv_bn_relu_{i}"] = Conv2dNormActivation(
            channels, stem.out_channels, stem.kernel_size, stem.stride,
            norm_layer=stem.norm_layer, activation_layer=stem.activation_layer,
        )  # fmt: skip
        channels = stem.out_channels
    layers["conv_last"] = nn.Conv2d(channels, hidden_dim, kernel_size=1)
    return nn.Sequential(layers)


def interpolate_embeddings(
    image_size: int,
    patch_size: int,
    model_state: Mapping[str, Tensor],
    interpolation_mode: str = "bicubic",
    reset_heads: bool = False,
) -> Mapping[str, Tensor]:
    """A state for pictures of another size: the grid of the patches' places is resized.

    Arguments:
        image_size, patch_size: of the new network.
        model_state: the old network's `state_dict`.
        interpolation_mode: `interpolate`'s.
        reset_heads: leave the layers after the blocks out.

    Raises:
        ValueError: if the old network's patches were no square.
    """
    places = model_state["encoder.pos_embedding"]
    _, length, width = places.shape
    old, new = math.isqrt(length - 1), image_size // patch_size
    if old**2 != length - 1:
        raise ValueError(
            f"seq_length is not a perfect square! Instead got seq_length = {length - 1}"
        )
    if old == new:
        return model_state
    grid = places[:, 1:].permute(0, 2, 1).reshape(1, width, old, old)
    grid = F.interpolate(grid, size=new, mode=interpolation_mode, align_corners=True)
    resized = flambeau.cat([places[:, :1], grid.flatten(2).permute(0, 2, 1)], dim=1)
    state = OrderedDict(model_state)
    state["encoder.pos_embedding"] = resized
    if reset_heads:
        state = OrderedDict((k, v) for k, v in state.items() if not k.startswith("heads"))
    return state


def _network(size: tuple[int, int, int, int, int], options: Any) -> VisionTransformer:
    """The network with this patch size, depth, number of heads, width and perceptrons' width."""
    return VisionTransformer(options.pop("image_size", 224), *size, **options)


@register_model(sized="image_size")
def vit_b_16(**options: Any) -> VisionTransformer:
    """The base transformer over patches of 16x16: 86,567,656 parameters."""
    return _network((16, 12, 12, 768, 3072), options)


@register_model(sized="image_size")
def vit_b_32(**options: Any) -> VisionTransformer:
    """The base transformer over patches of 32x32: 88,224,232 parameters."""
    return _network((32, 12, 12, 768, 3072), options)


@register_model(sized="image_size")
def vit_l_16(**options: Any) -> VisionTransformer:
    """The large transformer over patches of 16x16: 304,326,632 parameters."""
    return _network((16, 24, 16, 1024, 4096), options)


@register_model(sized="image_size")
def vit_l_32(**options: Any) -> VisionTransformer:
    """The large transformer over patches of 32x32: 306,535,400 parameters."""
    return _network((32, 24, 16, 1024, 4096), options)


@register_model(sized="image_size")
def vit_h_14(**options: Any) -> VisionTransformer:
    """The huge transformer over patches of 14x14: 632,045,800 parameters."""
    return _network((14, 32, 16, 1280, 5120), options)
