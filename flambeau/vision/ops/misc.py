"""Blocks that many networks are made of: convolution with norm and activation, squeeze and
excitation, multilayer perceptrons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "Conv3dNormActivation",
    "ConvNormActivation",
    "FrozenBatchNorm2d",
    "Permute",
    "SqueezeExcitation",
]

MakeLayer = Callable[..., nn.Module]


class ConvNormActivation(nn.Sequential):
    """A convolution, its normalisation, its activation.

    Arguments:
        in_channels, out_channels, kernel_size, stride, groups, dilation: the convolution's.
        padding: the convolution's; what keeps the size (at stride 1) if `None`.
        norm_layer: makes the normalisation for a number of channels; none if `None`.
        activation_layer: makes the activation; none if `None`.
        inplace: passed to the activation, unless `None`.
        bias: the convolution's; if `None`, it has one where there is no normalisation.
        conv_layer: the kind of convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str | None = None,
        groups: int = 1,
        norm_layer: MakeLayer | None = nn.BatchNorm2d,
        activation_layer: MakeLayer | None = nn.ReLU,
        dilation: int | Sequence[int] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
        conv_layer: MakeLayer = nn.Conv2d,
    ):
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        convolution = conv_layer(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation=dilation,
            groups=groups,
            bias=norm_layer is None if bias is None else bias,
        )
        layers = [convolution]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**_inplace(inplace)))
        super().__init__(*layers)
        self.out_channels = out_channels


class Conv2dNormActivation(ConvNormActivation):
    """`ConvNormActivation` for pictures."""


class Conv3dNormActivation(ConvNormActivation):
    """`ConvNormActivation` for volumes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str | None = None,
        groups: int = 1,
        norm_layer: MakeLayer | None = nn.BatchNorm3d,
        activation_layer: MakeLayer | None = nn.ReLU,
        dilation: int | Sequence[int] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer,
            activation_layer, dilation, inplace, bias, nn.Conv3d,
        )  # fmt: skip


class SqueezeExcitation(nn.Module):
    """Weighs the channels by what their means say: Hu et al., 2017 (arXiv:1709.01507).

    Arguments:
        input_channels: the channels of the maps.
        squeeze_channels: the width of the layer between.
        activation, scale_activation: make the activations after the first and second layer.
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: MakeLayer = nn.ReLU,
        scale_activation: MakeLayer = nn.Sigmoid,
    ):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        """The maps, (batch, channels, height, width), each times its weight."""
        squeezed = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(squeezed)) * input


class MLP(nn.Sequential):
    """Linear layers with an activation and a dropout after each; the last has only the dropout.

    Arguments:
        in_channels: the number of inputs.
        hidden_channels: the outputs of each layer, the last one included.
        norm_layer: makes a normalisation for a number of channels; none if `None`.
        activation_layer: makes the activations.
        inplace: passed to activations and dropouts, unless `None`.
        bias: whether the layers have biases.
        dropout: the dropouts' probability.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        norm_layer: MakeLayer | None = None,
        activation_layer: MakeLayer | None = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ):
        options = _inplace(inplace)
        layers: list[nn.Module] = []
        width = in_channels
        for channels in hidden_channels[:-1]:
            layers.append(nn.Linear(width, channels, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(channels))
            if activation_layer is not None:
                layers.append(activation_layer(**options))
            layers.append(nn.Dropout(dropout, **options))
            width = channels
        layers.append(nn.Linear(width, hidden_channels[-1], bias=bias))
        layers.append(nn.Dropout(dropout, **options))
        super().__init__(*layers)


class Permute(nn.Module):
    """`permute` as a layer."""

    def __init__(self, dims: Sequence[int]):
        super().__init__()
        self.dims = list(dims)

    def forward(self, x: Tensor) -> Tensor:
        """A view of `x` with its dimensions in the order `dims`."""
        return flambeau.permute(x, self.dims)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics, weights and biases stay as they are.

    Arguments:
        num_features: the number of channels.
        eps: is added to the variance.
    """

    def __init__(self, num_features: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", flambeau.ones(num_features))
        self.register_buffer("bias", flambeau.zeros(num_features))
        self.register_buffer("running_mean", flambeau.zeros(num_features))
        self.register_buffer("running_var", flambeau.ones(num_features))

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, *rest: Any, **options: Any
    ) -> None:
        state_dict.pop(
            prefix + "num_batches_tracked", None
        )  # of the BatchNorm2d it was made of
        super()._load_from_state_dict(state_dict, prefix, *rest, **options)

    def forward(self, x: Tensor) -> Tensor:
        """`(x - running_mean) / sqrt(running_var + eps) * weight + bias`, channel by channel."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


def _inplace(inplace: bool | None) -> dict[str, bool]:
    return {} if inplace is None else {"inplace": inplace}


def _same_padding(kernel: int | Sequence[int], dilation: int | Sequence[int]) -> Any:
    if isinstance(kernel, int) and isinstance(dilation, int):
        return (kernel - 1) // 2 * dilation
    rank = len(kernel) if not isinstance(kernel, int) else len(dilation)  # type: ignore[arg-type]
    kernels = [kernel] * rank if isinstance(kernel, int) else kernel
    dilations = [dilation] * rank if isinstance(dilation, int) else dilation
    return tuple((k - 1) // 2 * d for k, d in zip(kernels, dilations, strict=True))
