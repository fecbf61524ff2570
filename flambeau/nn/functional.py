"""The functions behind the layers: `torch.nn.functional`.

Convolutions, pooling, the core losses and the activations with kernels of their own are operators, defined
in `flambeau.ops`; what stands here are compositions of operators.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau import ops
from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes, pair
from flambeau.ops import where
from flambeau.ops.activation import leaky_relu as leaky_relu
from flambeau.ops.activation import prelu as prelu
from flambeau.ops.conv import conv1d as conv1d
from flambeau.ops.conv import conv2d as conv2d
from flambeau.ops.conv import conv3d as conv3d
from flambeau.ops.conv import conv_transpose1d as conv_transpose1d
from flambeau.ops.conv import conv_transpose2d as conv_transpose2d
from flambeau.ops.conv import conv_transpose3d as conv_transpose3d
from flambeau.ops.loss import cross_entropy as cross_entropy
from flambeau.ops.loss import mse_loss as mse_loss
from flambeau.ops.loss import nll_loss as nll_loss
from flambeau.ops.loss import reduced, reduction_of
from flambeau.ops.matmul import linear as linear
from flambeau.ops.node_names import NODE_NAMES, naming_nodes
from flambeau.ops.pool import avg_pool1d as avg_pool1d
from flambeau.ops.pool import avg_pool2d as avg_pool2d
from flambeau.ops.pool import avg_pool3d as avg_pool3d
from flambeau.ops.pool import max_pool1d as max_pool1d
from flambeau.ops.pool import max_pool2d as max_pool2d
from flambeau.ops.pool import max_pool3d as max_pool3d
from flambeau.ops.random import dropout as dropout
from flambeau.ops.reduce import log_softmax as log_softmax
from flambeau.ops.reduce import softmax as softmax
from flambeau.ops.reduce import softmin as softmin
from flambeau.tensor import Tensor

legacy_reduction = reduction_of


# Activations --------------------------------------------------------------------------------------


def _inplace(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input.copy_(result) if inplace else result


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0)."""
    return ops.relu_(input) if inplace else ops.relu(input)


def relu_(input: Tensor) -> Tensor:
    """In-place form of `relu`."""
    return ops.relu_(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where above `threshold`, else `value`."""
    return _inplace(input, where(input > threshold, input, value), inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` limited to [min_val, max_val]; the bounds themselves pass no gradient."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    inside = (input > min_val) & (input < max_val)
    limits = input.detach().clamp(min_val, max_val)
    return _inplace(input, where(inside | input.isnan(), input, limits), inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, `alpha * (exp(input) - 1)` elsewhere. Clevert et al., 2015."""
    return _inplace(input, where(input > 0, input, alpha * input.clamp(max=0).expm1()), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled `elu` that keeps mean 0 and variance 1. Klambauer et al., 2017."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _inplace(input, scale * elu(input, alpha), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`. Barron, 2017."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _inplace(input, where(input > 0, input, alpha * (input.clamp(max=0) / alpha).expm1()), inplace)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """A leaky `relu` whose slope is drawn from [lower, upper) in training, their mean otherwise."""
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, got {lower} > {upper}")
    if training:
        slope: Any = ops.rand_like(input) * (upper - lower) + lower
    else:
        slope = (lower + upper) / 2
    return _inplace(input, where(input > 0, input, input * slope), inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half times the sigmoid of the second half along `dim`. Dauphin et al., 2016."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.size(dim) % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.ndim} is size {input.size(dim)}"
        )
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`input` times the normal distribution function of `input`. Hendrycks & Gimpel, 2016."""
    if approximate == "none":
        return 0.5 * input * (1 + (input * math.sqrt(0.5)).erf())
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input**3)
        return 0.5 * input * (1 + inner.tanh())
    raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate}")


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(input)), without overflow."""
    return input.clamp(max=0) - (-input.abs()).exp().log1p()


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`input` where its size exceeds `lambd`, else 0."""
    return where((input >= -lambd) & (input <= lambd), 0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`input` moved towards 0 by `lambd`."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0))


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    return input - input.tanh()


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (1 + input.abs())


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta; the input itself where `beta * input` exceeds `threshold`."""
    scaled = input * beta
    return where(scaled > threshold, input, where(scaled > threshold, 0, scaled).exp().log1p() / beta)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input)."""
    return _inplace(input, input * input.sigmoid(), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(softplus(input)). Misra, 2019."""
    return _inplace(input, input * softplus(input).tanh(), inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`input / 6 + 1/2` limited to [0, 1]. Howard et al., 2019."""
    return _inplace(input, hardtanh(input + 3, 0.0, 6.0) / 6, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input). Howard et al., 2019."""
    inside = where(input >= 3, input, input * (input + 3) / 6)
    return _inplace(input, where(input <= -3, input * 0, inside), inplace)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input))."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the Gumbel-softmax distribution; with `hard` one-hot, with the soft one's gradient."""
    gumbels = -ops.empty_like(logits).exponential_().log()
    soft = softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    sharp = ops.zeros_like(logits).scatter_(dim, index, 1.0)
    return sharp - soft.detach() + soft


def _make_inplace(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(input, *args, **kwargs, inplace=True)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"In-place form of `{name[:-1]}`."
    return call


threshold_ = _make_inplace("threshold_", threshold)
hardtanh_ = _make_inplace("hardtanh_", hardtanh)
elu_ = _make_inplace("elu_", elu)
selu_ = _make_inplace("selu_", selu)
celu_ = _make_inplace("celu_", celu)
leaky_relu_ = _make_inplace("leaky_relu_", leaky_relu)
rrelu_ = _make_inplace("rrelu_", rrelu)


# Dropout ------------------------------------------------------------------------------------------


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _drop_features(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Whole channels (the dimensions after the second) are kept or dropped together."""
    _check_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return _inplace(input, input * 0, inplace)
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    kept = input.detach().new_empty(shape).bernoulli_(1 - p).div_(1 - p)
    return _inplace(input, input * kept, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of (N, C, L) or (C, L)."""
    _check_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input.")
    if input.ndim == 2:
        return _drop_features(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return _drop_features(input, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of (N, C, H, W)."""
    _check_probability(p)
    if input.ndim not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.ndim}-D input to dropout2d, which is deprecated and will result in "
            "an error in a future release.",
            stacklevel=2,
        )
    return _drop_features(input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    _check_probability(p)
    if input.ndim == 4:
        return _drop_features(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return _drop_features(input, p, training, inplace)


def _alpha(input: Tensor, p: float, training: bool, inplace: bool, shape: Sequence[int]) -> Tensor:
    """Dropout that keeps the mean and variance of self-normalising networks. Klambauer et al., 2017."""
    _check_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return _inplace(input, input * 0, inplace)
    alpha = 1.7580993408473766
    kept = input.detach().new_empty(tuple(shape)).bernoulli_(1 - p)
    a = 1.0 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    shift = (kept - 1) * (alpha * a) + alpha * a * p
    return _inplace(input, input * (kept * a) + shift, inplace)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for `selu` networks: dropped elements take the saturation value."""
    return _alpha(input, p, training, inplace, input.shape)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels."""
    return _alpha(input, p, training, inplace, (*input.shape[:2], *(1,) * (input.ndim - 2)))


# Padding ------------------------------------------------------------------------------------------


def _positions(size: int, before: int, after: int, mode: str) -> Tensor:
    """For each element of a padded dimension, the element of the unpadded one that it repeats."""
    index = ops.arange(-before, size + after)
    if mode == "circular":
        return index % size
    if mode == "replicate":
        return index.clamp(0, size - 1)
    folded = index.abs()
    return where(folded >= size, 2 * (size - 1) - folded, folded)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`pad` = (left, right, top, bottom, ...) elements around the last dimensions.

    mode: "constant" (with `value`), "reflect", "replicate" or "circular". Raises `RuntimeError` for more
    padding than the mode can fill.
    """
    pad = tuple(int(p) for p in pad)
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) // 2 > input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(pad)} and input of dimension {input.ndim}"
        )
    if mode == "constant":
        return ops.constant_pad_nd(input, pad, 0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    spatial = len(pad) // 2
    if input.ndim not in (spatial + 1, spatial + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    out = input
    for i in range(spatial):
        before, after = pad[2 * i], pad[2 * i + 1]
        if before == 0 == after:
            continue
        dim = input.ndim - 1 - i
        size = input.size(dim)
        if mode == "reflect" and (before >= size or after >= size):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({before}, {after}) at dimension {dim} of input {list(input.shape)}"
            )
        if mode == "circular" and (before > size or after > size):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if size + before + after < 0 or size == 0:
            raise RuntimeError(
                f"input (H: {size}) is too small for padding ({before}, {after}) at dimension {dim}"
            )
        out = out.index_select(dim, _positions(size, before, after, mode))
    return out.clone() if out is input else out


# Embeddings ---------------------------------------------------------------------------------------


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` (n, d) at the positions `input` (*): (*, d). Row `padding_idx` gets no gradient."""
    if sparse:
        raise NotImplementedError("embedding(sparse=True): gradients are dense, use sparse=False")
    count = weight.size(0)
    if padding_idx is not None:
        if not -count <= padding_idx < count:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= count
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    rows = ops.embedding(input, weight)
    if weight.requires_grad:
        factor = None
        if padding_idx is not None:
            factor = (input != padding_idx).to(weight.dtype)
        if scale_grad_by_freq:
            counts = ops.zeros(count, dtype=weight.dtype).scatter_add(
                0, input.reshape(-1).long(), ops.ones(input.numel(), dtype=weight.dtype)
            )
            share = 1 / counts[input.long()]
            factor = share if factor is None else factor * share
        if factor is not None:
            factor = factor.unsqueeze(-1)
            return rows.detach() + (rows - rows.detach()) * factor
    return rows


def _renormalise(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the rows that are used to at most `max_norm`, in place."""
    from flambeau.autograd import no_grad

    with no_grad():
        used = sorted(set(input.reshape(-1).tolist()))
        rows = weight[used]
        norms = rows.norm(norm_type, dim=1, keepdim=True)
        weight[used] = where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """(*) whole numbers -> (*, num_classes) zeros with a one at each number."""
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1
    if tensor.numel() and int(tensor.min().item()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    if tensor.numel() and int(tensor.max().item()) >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return (tensor.unsqueeze(-1) == ops.arange(num_classes)).long()


# Normalisation ------------------------------------------------------------------------------------


def _channel_shape(input: Tensor) -> list[int]:
    return [1, input.size(1), *(1,) * (input.ndim - 2)]


def _verify_batch(shape: Sequence[int]) -> None:
    values = shape[0] * math.prod(shape[2:])
    if values == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {list(shape)}"
        )


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(N, C, *) normalised a channel; in training with the batch's own moments, which also move the
    running ones by `momentum`. Ioffe & Szegedy, 2015.
    """
    from flambeau.autograd import no_grad

    if training:
        _verify_batch(input.shape)
    elif running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
    channels = input.size(1)
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {t.numel()}")
    shape = _channel_shape(input)
    if training:
        dims = [0, *range(2, input.ndim)]
        mean = input.mean(dims, keepdim=True)
        centred = input - mean
        variance = (centred * centred).mean(dims, keepdim=True)
        if running_mean is not None and running_var is not None:
            count = input.numel() // channels
            with no_grad():
                running_mean.mul_(1 - momentum).add_(mean.detach().reshape(-1).to(running_mean.dtype), alpha=momentum)
                unbiased = variance.detach().reshape(-1) * (count / (count - 1))
                running_var.mul_(1 - momentum).add_(unbiased.to(running_var.dtype), alpha=momentum)
        scale = (variance + eps).rsqrt()
        out = centred * (scale if weight is None else scale * weight.reshape(shape))
    else:
        mean, variance = running_mean.reshape(shape), running_var.reshape(shape)
        scale = (variance + eps).rsqrt()
        out = (input - mean) * (scale if weight is None else scale * weight.reshape(shape))
    return out if bias is None else out + bias.reshape(shape)


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(N, C, *) normalised a sample and channel. Ulyanov et al., 2016."""
    from flambeau.autograd import no_grad

    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    dims = list(range(2, input.ndim))
    mean = input.mean(dims, keepdim=True)
    centred = input - mean
    variance = (centred * centred).mean(dims, keepdim=True)
    if running_mean is not None and running_var is not None:
        count = math.prod(input.shape[2:])
        with no_grad():
            running_mean.mul_(1 - momentum).add_(mean.detach().mean(0).reshape(-1), alpha=momentum)
            unbiased = variance.detach() * (count / (count - 1))
            running_var.mul_(1 - momentum).add_(unbiased.mean(0).reshape(-1), alpha=momentum)
    out = centred * (variance + eps).rsqrt()
    shape = _channel_shape(input)
    if weight is not None:
        out = out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalised over the last dimensions, of shape `normalized_shape`. Ba et al., 2016."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape or not shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(t.shape)} and normalized_shape = {list(shape)}"
            )
    dims = list(range(input.ndim - len(shape), input.ndim))
    centred = input - input.mean(dims, keepdim=True)
    out = centred * ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divided by the root mean square of the last dimensions. Zhang & Sennrich, 2019."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    if eps is None:
        eps = dtypes.finfo(input.dtype).eps
    dims = list(range(input.ndim - len(shape), input.ndim))
    out = input * ((input * input).mean(dims, keepdim=True) + eps).rsqrt()
    return out if weight is None else out * weight


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(N, C, *) normalised a sample and group of channels. Wu & He, 2018."""
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    n, channels = input.shape[:2]
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    grouped = input.reshape(n, num_groups, -1)
    centred = grouped - grouped.mean(-1, keepdim=True)
    out = (centred * ((centred * centred).mean(-1, keepdim=True) + eps).rsqrt()).reshape(input.shape)
    shape = _channel_shape(input)
    if weight is not None:
        out = out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divided by (k + alpha * mean of squares of `size` neighbouring channels) ** beta.

    Krizhevsky et al., 2012.
    """
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if input.numel() == 0:
        return input
    squares = (input * input).movedim(1, -1)
    padded = pad(squares, (size // 2, (size - 1) // 2))
    mean = padded.unfold(-1, size, 1).sum(-1) / size
    return input / (mean.movedim(-1, 1) * alpha + k) ** beta


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divided by its p-norm over `dim`, at least `eps`."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    result = input / norm
    return result if out is None else out.copy_(result)


# Losses -------------------------------------------------------------------------------------------


def _matched(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This "
            "will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )
        shape = broadcast_shapes(input.shape, target.shape)
        return input.expand(shape), target.expand(shape)
    return input, target


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.expand(loss.shape).sum()
    return reduced(loss, reduction)


def l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """|input - target|."""
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = _matched(input, target)
    return _weighted((input - target).abs(), weight, reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:  # fmt: skip
    """`d^2 / (2 beta)` where |d| < beta, else `|d| - beta / 2`. Girshick, 2015."""
    reduction = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    input, target = _matched(input, target)
    size = (input - target).abs()
    if beta == 0:
        return reduced(size, reduction)
    return reduced(where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta), reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """`d^2 / 2` where |d| < delta, else `delta * (|d| - delta / 2)`. Huber, 1964."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    input, target = _matched(input, target)
    size = (input - target).abs()
    return _weighted(where(size < delta, 0.5 * size * size, delta * (size - 0.5 * delta)), weight, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`-(t log p + (1 - t) log(1 - p))`, the logarithms at least -100."""
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
            "deprecated. Please ensure they have the same size."
        )
    loss = -(target * _log_at_least(input) + (1 - target) * _log_at_least(1 - input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


def _log_at_least(p: Tensor) -> Tensor:
    """log(p), at least -100, with PyTorch's gradient: 1 / p with p at least 1e-12."""
    exact = p.log().clamp(min=-100)
    bounded = p.clamp(min=1e-12)
    passing = p / bounded.detach()
    return exact.detach() + (passing - passing.detach())


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`binary_cross_entropy` of sigmoid(input), without overflow."""
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if pos_weight is None:
        loss = (1 - target) * input - logsigmoid(input)
    else:
        loss = (1 - target) * input - (1 + (pos_weight - 1) * target) * logsigmoid(input)
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


def kl_div(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:  # fmt: skip
    """`target * (log(target) - input)` for log-probabilities `input`; "batchmean" divides by N."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = ops.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / (input.size(0) if input.ndim else 1)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    return reduced(loss, reduction)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Any = None,
    eps: float = 1e-8, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The negative log-likelihood of Poisson counts; `full` adds Stirling's term for `target!`."""
    reduction = reduction_of(reduction, size_average, reduce)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + where(target <= 1, 0, stirling)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """The negative log-likelihood of normal numbers of mean `input` and variance `var`, at least `eps`."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * ops.ones_like(input)
    elif var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not (input.size()[:-1] == var.size()[:-1] and var.size(-1) == 1):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    if bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    limited = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (limited.log() + (input - target) ** 2 / limited)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, -target * (input1 - input2) + margin)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`input` where the target is 1, max(0, margin - input) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    far = where(target != 1, (margin - input).clamp_min(0), 0)
    near = where(target != -1, input, 0)
    return reduced(far + near, reduction)


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target * input))."""
    reduction = reduction_of(reduction, size_average, reduce)
    return reduced((-target * input).exp().log1p(), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over classes of `binary_cross_entropy_with_logits`: (N, C) -> (N)."""
    reduction = reduction_of(reduction, size_average, reduce)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.size(-1), reduction)


def _class_rows(name: str, input: Tensor, target: Tensor, one_target: bool) -> tuple[Tensor, Tensor]:
    """`input` as (N, C) and `target` as (N) or (N, C). Raises `RuntimeError` for other shapes."""
    fits = input.ndim <= 2 and input.numel() > 0
    rows = input.reshape(1, -1) if input.ndim < 2 else input
    if one_target:
        fits = fits and target.ndim <= 1 and target.numel() == rows.size(0)
        flat = target.reshape(-1)
    else:
        fits = fits and target.shape == input.shape
        flat = target.reshape(rows.shape) if fits else target
    if not fits:
        raise RuntimeError(
            f"{name}: inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    return rows, flat


def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over the other classes of max(0, margin - x[target] + x[i]) ** p: (N, C) -> (N)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    rows, flat = _class_rows("multi_margin_loss", input, target, one_target=True)
    classes = rows.size(1)
    at = flat.unsqueeze(1)
    z = (margin - rows.gather(1, at) + rows).clamp_min(0)
    z = z if p == 1 else z * z
    if weight is not None:
        z = z * weight[flat].unsqueeze(1)
    own = ops.arange(classes) == at
    loss = where(own, 0, z).sum(1) / classes
    if reduction == "none" and input.ndim < 2:
        return loss.reshape(target.shape) if target.ndim == 0 else loss
    return reduced(loss, reduction)


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """The sum over targets j and other classes i of max(0, 1 - (x[j] - x[i])) / C; the targets of a row
    end at the first -1.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    rows, flat = _class_rows("multilabel_margin_loss", input, target, one_target=False)
    classes = rows.size(1)
    valid = (flat >= 0).long().cumprod(1).bool()
    safe = where(valid, flat, 0)
    is_target = ops.zeros(rows.shape, dtype=dtypes.int64).scatter_add(1, safe, valid.long()) > 0
    chosen = rows.gather(1, safe)  # (N, targets)
    gaps = (1 - (chosen.unsqueeze(2) - rows.unsqueeze(1))).clamp_min(0)  # (N, targets, C)
    counts = valid.unsqueeze(2) & ~is_target.unsqueeze(1)
    loss = where(counts, gaps, 0).sum((1, 2)) / classes
    if reduction == "none" and input.ndim < 2:
        return loss.reshape(())
    return reduced(loss, reduction)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; each norm counts at least `eps`."""
    common = dtypes.promote_types(x1.dtype, x2.dtype)
    if common.kind < dtypes.FLOATING:
        raise RuntimeError("expected common dtype to be floating point, yet common dtype is " + common.name)
    shape = broadcast_shapes(x1.shape, x2.shape)
    a, b = x1.to(common).expand(shape), x2.to(common).expand(shape)
    norms = [_safe_norm(x, dim, eps) for x in (a, b)]
    return ((a / norms[0]) * (b / norms[1])).sum(dim)


def _safe_norm(x: Tensor, dim: int, eps: float) -> Tensor:
    """The 2-norm along `dim`, at least `eps`; its gradient is that of the norm wherever there is one."""
    squares = (x * x).sum(dim, keepdim=True)
    zero = squares == 0
    norm = where(zero, 0, where(zero, 1, squares).sqrt())
    return norm + (norm.detach().clamp(min=eps) - norm.detach())


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1: (N, D) or (D)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not (target.ndim + 1 == input1.ndim == input2.ndim and target.ndim in (0, 1)):
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with "
            f"sizes {list(input1.shape)} and {list(input2.shape)}."
            if target.ndim in (0, 1)
            else "0D or 1D target tensor expected, multi-target not supported"
        )
    eps = 1e-12
    product = (input1 * input2).sum(-1)
    norms = ((input1 * input1).sum(-1) + eps) * ((input2 * input2).sum(-1) + eps)
    cosine = product / norms.sqrt()
    loss = where(target == 1, 1 - cosine, 0) + where(target == -1, (cosine - margin).clamp_min(0), 0)
    return reduced(loss, reduction)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of `x1 - x2 + eps` over the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin); `swap` takes the nearer negative."""
    reduction = reduction_of(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin, swap=swap, reduction=reduction,
    )  # fmt: skip


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, "
            f"but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)


# Rearranging --------------------------------------------------------------------------------------


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r^2, H, W) -> (*, C, H r, W r). Shi et al., 2016."""
    r = upscale_factor
    if input.ndim < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            f"upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(lead)
    split = input.reshape(*lead, c // (r * r), r, r, h, w)
    moved = split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return moved.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H r, W r) -> (*, C r^2, H, W): the inverse of `pixel_shuffle`."""
    r = downscale_factor
    if input.ndim < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if h % r or w % r:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but got {h}x{w} and {r}"
        )
    n = len(lead)
    split = input.reshape(*lead, c, h // r, r, w // r, r)
    moved = split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return moved.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, g C, *) with the channels of the groups interleaved. Zhang et al., 2017."""
    if input.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    n, c = input.shape[:2]
    if groups <= 0 or c % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups."
        )
    return input.reshape(n, groups, c // groups, -1).transpose(1, 2).reshape(input.shape)


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """(N, C, H, W) -> (N, C * KH * KW, L): every window as a column."""
    kernel, dilation = pair(kernel_size, 2, "kernel_size"), pair(dilation, 2, "dilation")
    padding, stride = pair(padding, 2, "padding"), pair(stride, 2, "stride")
    if input.ndim not in (3, 4):
        raise RuntimeError(
            f"Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
            f"for input, but got: {list(input.shape)}"
        )
    x = input if input.ndim == 4 else input.unsqueeze(0)
    x = pad(x, (padding[1], padding[1], padding[0], padding[0]))
    for dim in (2, 3):
        span = dilation[dim - 2] * (kernel[dim - 2] - 1) + 1
        if x.size(dim) < span:
            raise RuntimeError(
                f"Given input with spatial size {tuple(input.shape[-2:])}, kernel_size={kernel}, "
                f"dilation={dilation}, padding={padding}, calculated shape of the array of sliding blocks "
                "is too small (non-positive)"
            )
        x = x.unfold(dim, span, stride[dim - 2])
    x = x[..., :: dilation[0], :: dilation[1]]  # (N, C, LH, LW, KH, KW)
    n, c, lh, lw = x.shape[:4]
    columns = x.permute(0, 1, 4, 5, 2, 3).reshape(n, c * kernel[0] * kernel[1], lh * lw)
    return columns if input.ndim == 4 else columns.squeeze(0)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """(N, C * KH * KW, L) -> (N, C, H, W): the sum of the columns in their windows."""
    size, kernel = pair(output_size, 2, "output_size"), pair(kernel_size, 2, "kernel_size")
    dilation, padding = pair(dilation, 2, "dilation"), pair(padding, 2, "padding")
    stride = pair(stride, 2, "stride")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    x = input if input.ndim == 3 else input.unsqueeze(0)
    area = kernel[0] * kernel[1]
    if x.size(1) % area:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={x.size(1)} and kernel_size={kernel}."
        )
    places = [
        (size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    ]
    if places[0] * places[1] != x.size(2):
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"stride={stride}, expected size of input's dimension 2 to match the calculated number of sliding "
            f"blocks {places[0]} * {places[1]} = {places[0] * places[1]}, but got input.size(2)={x.size(2)}."
        )
    n, c = x.size(0), x.size(1) // area
    # A window of ones at each offset: the transposed convolution adds every column where it came from.
    ones = ops.eye(area, dtype=x.dtype).reshape(area, 1, *kernel)
    per_channel = x.reshape(n * c, area, *places)
    extra = [
        size[i] - ((places[i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + 1) for i in (0, 1)
    ]
    out = ops.conv._convolution_input(
        per_channel, ones, size=tuple(size), stride=stride, padding=padding, dilation=dilation, groups=1
    )
    assert all(e >= 0 for e in extra)
    out = out.reshape(n, c, *size)
    return out if input.ndim == 3 else out.squeeze(0)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x1^T W[k] x2 + b[k]`: (*, I), (*, J), (K, I, J) -> (*, K)."""
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {list(input1.shape)} and {list(input2.shape)}"
        )
    a, b = input1.reshape(-1, input1.size(-1)), input2.reshape(-1, input2.size(-1))
    k, i, j = weight.shape
    left = ops.matmul(a, weight.permute(1, 0, 2).reshape(i, k * j)).reshape(-1, k, j)
    out = (left * b.unsqueeze(1)).sum(-1).reshape(*input1.shape[:-1], k)
    return out if bias is None else out + bias


# Pooling that adapts ------------------------------------------------------------------------------


def _adaptive_bounds(size: int, places: int) -> list[tuple[int, int]]:
    return [(i * size // places, -(-(i + 1) * size // places)) for i in range(places)]


def _adaptive_sizes(input: Tensor, output_size: Any, rank: int) -> list[int]:
    sizes = [output_size] * rank if isinstance(output_size, int) or output_size is None else list(output_size)
    return [input.size(i - rank) if n is None else int(n) for i, n in enumerate(sizes)]


def _check_adaptive(name: str, input: Tensor, rank: int) -> None:
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got {list(input.shape)}"
        )


def _adaptive_average(name: str, input: Tensor, output_size: Any, rank: int) -> Tensor:
    """Each dimension in turn is averaged by a matrix with a row a place."""
    _check_adaptive(name, input, rank)
    out = input
    for i, places in enumerate(_adaptive_sizes(input, output_size, rank)):
        dim = input.ndim - rank + i
        size = input.size(dim)
        if size == places:
            continue
        if places and size % places == 0:
            step = size // places
            out = out.unflatten(dim, (places, step)).mean(dim + 1)
            continue
        parts = [out.narrow(dim, a, b - a).mean(dim, keepdim=True) for a, b in _adaptive_bounds(size, places)]
        out = ops.cat(parts, dim) if parts else out.narrow(dim, 0, 0)
    return out.clone() if out is input else out


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, L) -> (N, C, output_size), windows of nearly equal size."""
    return _adaptive_average("adaptive_avg_pool1d", input, output_size, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, H, W) -> (N, C, *output_size)."""
    return _adaptive_average("adaptive_avg_pool2d", input, output_size, 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, D, H, W) -> (N, C, *output_size)."""
    return _adaptive_average("adaptive_avg_pool3d", input, output_size, 3)


def _adaptive_maximum(name: str, input: Tensor, output_size: Any, rank: int) -> tuple[Tensor, Tensor]:
    """The largest element of each window and its position in the flattened plane."""
    _check_adaptive(name, input, rank)
    sizes = _adaptive_sizes(input, output_size, rank)
    lead = tuple(input.shape[: input.ndim - rank])
    plane = tuple(input.shape[input.ndim - rank :])
    positions = ops.arange(math.prod(plane)).reshape(plane).expand(*lead, *plane)
    bounds = [_adaptive_bounds(n, places) for n, places in zip(plane, sizes, strict=True)]

    def window(x: Tensor, place: Sequence[int]) -> Tensor:
        for i, at in enumerate(place):
            a, b = bounds[i][at]
            x = x.narrow(len(lead) + i, a, b - a)
        return x.reshape(*lead, -1)

    values, indices = [], []
    for flat in range(math.prod(sizes)):
        place, rest = [], flat
        for n in reversed(sizes):
            rest, at = divmod(rest, n)
            place.insert(0, at)
        value, at_window = window(input, place).max(-1)
        values.append(value)
        indices.append(window(positions, place).gather(-1, at_window.unsqueeze(-1)).squeeze(-1))
    shape = (*lead, *sizes)
    return ops.stack(values, -1).reshape(shape), ops.stack(indices, -1).reshape(shape)


def _adaptive_max(rank: int) -> Any:
    name = f"adaptive_max_pool{rank}d"

    def with_indices(input: Tensor, output_size: Any, return_indices: bool = True) -> tuple[Tensor, Tensor]:
        return _adaptive_maximum(name, input, output_size, rank)

    def call(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        found = _adaptive_maximum(name, input, output_size, rank)
        return found if return_indices else found[0]

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The largest element of each of `output_size` windows of the last {rank} dimensions."
    with_indices.__name__ = name + "_with_indices"
    return call, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max(3)


def _max_unpool(name: str, rank: int) -> Any:
    def call(
        input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
        output_size: Any = None,
    ) -> Tensor:  # fmt: skip
        kernel = pair(kernel_size, rank, "kernel_size")
        steps = kernel if stride is None else pair(stride, rank, "stride")
        pads = pair(padding, rank, "padding")
        if indices.dtype is not dtypes.int64:
            raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
        if indices.shape != input.shape:
            raise RuntimeError(
                f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but "
                f"got indices tensor with shape: {list(indices.shape)}"
            )
        if output_size is None:
            size = tuple(
                (n - 1) * s - 2 * p + k
                for n, s, p, k in zip(input.shape[-rank:], steps, pads, kernel, strict=True)
            )
        else:
            size = tuple(output_size)[-rank:]
        lead = tuple(input.shape[:-rank])
        flat = input.reshape(*lead, -1)
        where_ = indices.reshape(*lead, -1)
        area = math.prod(size)
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < area:
            raise RuntimeError(
                f"Found an invalid max index: {int(indices.max())} (output volumes are of size {'x'.join(map(str, size))})"
            )
        out = flat.new_zeros((*lead, area)).scatter(-1, where_, flat)
        return out.reshape(*lead, *size)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Puts each element back where `max_pool` found it; zeros elsewhere."
    return call


max_unpool1d = _max_unpool("max_unpool1d", 1)
max_unpool2d = _max_unpool("max_unpool2d", 2)
max_unpool3d = _max_unpool("max_unpool3d", 3)


def _lp(rank: int, average: Callable[..., Tensor]) -> Any:
    def call(
        input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Tensor:
        kernel = pair(kernel_size, rank, "kernel_size")
        mean = average(input**norm_type, kernel, stride, 0, ceil_mode)
        # relu before the root: sums may come out negative for odd powers.
        total = mean.sign() * relu(mean.abs()) * math.prod(kernel)
        return total ** (1.0 / norm_type)

    call.__name__ = call.__qualname__ = f"lp_pool{rank}d"
    call.__doc__ = f"The p-norm of each window of the last {rank} dimensions."
    return call


lp_pool1d, lp_pool2d, lp_pool3d = _lp(1, avg_pool1d), _lp(2, avg_pool2d), _lp(3, avg_pool3d)


# Attention ----------------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(query @ key.T * scale + mask) @ value: (*, L, E), (*, S, E), (*, S, V) -> (*, L, V).

    A bool mask lets through where it is true. Vaswani et al., 2017.
    """
    if attn_mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if enable_gqa:
        repeats = query.size(-3) // key.size(-3)
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    root = math.sqrt(factor) if factor > 0 else None
    if root is not None:
        scores = ops.matmul(query * root, (key * root).transpose(-2, -1))
    else:
        scores = ops.matmul(query, key.transpose(-2, -1)) * factor
    if is_causal:
        rows, columns = ops.arange(query.size(-2)).unsqueeze(1), ops.arange(key.size(-2))
        attn_mask = rows >= columns
    if attn_mask is not None:
        if attn_mask.dtype is dtypes.bool_:
            scores = where(attn_mask, scores, -math.inf)
        else:
            scores = scores + attn_mask
    weights = softmax(scores, -1)
    if attn_mask is not None and attn_mask.dtype is dtypes.bool_:
        weights = weights.masked_fill(~attn_mask.any(-1, keepdim=True), 0)
    return ops.matmul(dropout(weights, dropout_p, dropout_p > 0), value)


# Fractional pooling -------------------------------------------------------------------------------


def _fractional_starts(samples: Tensor, size: int, places: int, kernel: int) -> Tensor:
    """(N, C) samples -> (N, C, places): where each window of `kernel` begins."""
    last = size - kernel
    if places == 1:
        return ops.full((*samples.shape, 1), last, dtype=dtypes.int64)
    alpha = last / (places - 1)
    at = samples.unsqueeze(-1)
    steps = ops.arange(places - 1, dtype=samples.dtype)
    inner = ((steps + at) * alpha).long() - (at * alpha).long()
    return ops.cat([inner, ops.full((*samples.shape, 1), last, dtype=dtypes.int64)], -1)


def _fractional(rank: int) -> Any:
    name = f"fractional_max_pool{rank}d"

    def with_indices(
        input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        if input.ndim not in (rank + 1, rank + 2):
            raise RuntimeError(f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got: {list(input.shape)}")
        kernel = pair(kernel_size, rank, "kernel_size")
        sizes = tuple(input.shape[-rank:])
        if output_size is None:
            ratios = (output_ratio,) * rank if isinstance(output_ratio, float) else tuple(output_ratio)
            output_size = tuple(int(n * r) for n, r in zip(sizes, ratios, strict=True))
        places = pair(output_size, rank, "output_size")
        for n, k, o in zip(sizes, kernel, places, strict=True):
            if o + k - 1 > n:
                raise RuntimeError(f"{name}: pool size {k} with output size {o} is too large for input size {n}")
        x = input if input.ndim == rank + 2 else input.unsqueeze(0)
        n, c = x.shape[:2]
        if _random_samples is None:
            _random_samples = ops.rand(n, c, rank, dtype=input.dtype)
        # The samples of the last dimension come first, as PyTorch draws them.
        position = ops.zeros((n, c) + (1,) * (2 * rank), dtype=dtypes.int64)
        for axis in range(rank):
            sample = _random_samples[:, :, rank - 1 - axis] if rank == 2 else _random_samples[:, :, axis]
            starts = _fractional_starts(sample, sizes[axis], places[axis], kernel[axis])
            shape = [n, c] + [1] * (2 * rank)
            shape[2 + axis] = places[axis]
            offsets = [1] * (2 + 2 * rank)
            offsets[2 + rank + axis] = kernel[axis]
            at = starts.reshape(shape) + ops.arange(kernel[axis]).reshape(offsets)
            position = position * sizes[axis] + at
        full = (n, c, *places, math.prod(kernel))
        position = position.reshape(full)
        flat = x.reshape(n, c, -1)
        windows = flat.gather(-1, position.reshape(n, c, -1)).reshape(full)
        values, at_window = windows.max(-1)
        indices = position.gather(-1, at_window.unsqueeze(-1)).squeeze(-1)
        return (values, indices) if input.ndim == rank + 2 else (values.squeeze(0), indices.squeeze(0))

    def call(
        input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> Any:  # fmt: skip
        found = with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return found if return_indices else found[0]

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The maxima of {rank}-dimensional windows at pseudo-random places. Graham, 2015."
    with_indices.__name__ = name + "_with_indices"
    return call, with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional(3)

# Nodes print under PyTorch's names.
for _name, _function in list(globals().items()):
    if _name in NODE_NAMES and getattr(_function, "__module__", "") == __name__:
        globals()[_name] = naming_nodes(_function, _name)
