"""PyTorch's names for the backward nodes of operators that are compositions here.

What a composition returns was made by its last primitive, and would print as `grad_fn=<ViewBackward0>`
where PyTorch's prints `<SelectBackward0>`. These names are for eyes only; nothing looks them up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau.autograd.node import OutputOf
from flambeau.tensor.tensor import Tensor

#: The operator's public name, and what PyTorch calls its node.
NODE_NAMES = {
    # shapes
    "select": "Select", "unbind": "Unbind", "split": "Split", "chunk": "Split", "t": "T",
    "transpose": "Transpose", "swapaxes": "Transpose", "swapdims": "Transpose",
    "squeeze": "Squeeze", "unsqueeze": "Unsqueeze", "stack": "Stack", "repeat": "Repeat",
    "roll": "Roll", "index_select": "IndexSelect", "masked_fill": "MaskedFill",
    "unsafe_split": "UnsafeSplit", "unsafe_chunk": "UnsafeSplit", "block_diag": "BlockDiag",
    "combinations": "Stack", "rot90": "Rot90", "diag_embed": "DiagEmbed", "trace": "Trace", "tril": "Tril",
    "triu": "Triu", "narrow_copy": "NarrowCopy", "take": "Take", "put": "Put",
    "masked_scatter": "MaskedScatter", "index_add": "IndexAdd", "index_copy": "IndexCopy",
    "index_fill": "IndexFill", "scatter_reduce": "ScatterReduce", "index_reduce": "IndexReduce",
    "nan_to_num": "NanToNum",
    # arithmetic and reductions
    "var": "Var", "std": "Std", "norm": "LinalgVectorNorm", "logsumexp": "Logsumexp",
    "lerp": "Lerp", "addcmul": "Addcmul", "addcdiv": "Addcdiv", "rsub": "Rsub",
    "linear": "Addmm", "mv": "Mv", "dot": "Dot", "bmm": "Bmm", "addmm": "Addmm", "baddbmm": "Baddbmm",
    # layers
    "conv1d": "Convolution", "conv2d": "Convolution", "conv3d": "Convolution",
    "max_pool2d": "MaxPool2DWithIndices", "avg_pool2d": "AvgPool2D",
    "max_pool3d": "MaxPool3DWithIndices", "avg_pool3d": "AvgPool3D",
    "batch_norm": "NativeBatchNorm", "layer_norm": "NativeLayerNorm",
    "group_norm": "NativeGroupNorm", "embedding": "Embedding",
    # activations
    "gelu": "Gelu", "silu": "Silu", "elu": "Elu", "selu": "Elu", "celu": "Elu", "softplus": "Softplus",
    "hardtanh": "Hardtanh", "relu6": "Hardtanh", "hardswish": "Hardswish", "mish": "Mish",
    "logsigmoid": "LogSigmoid", "glu": "Glu", "softshrink": "Softshrink",
    "hardshrink": "Hardshrink", "hardsigmoid": "Hardsigmoid",
    "leaky_relu": "LeakyRelu",
    # losses
    "mse_loss": "MseLoss", "cross_entropy": "NllLoss", "nll_loss": "NllLoss",
    "binary_cross_entropy": "BinaryCrossEntropy",
    "binary_cross_entropy_with_logits": "BinaryCrossEntropyWithLogits",
    "smooth_l1_loss": "SmoothL1Loss", "huber_loss": "HuberLoss",
}  # fmt: skip


def naming_nodes(
    function: Callable[..., Any], name: str, rename: Callable[[dict[str, Any]], None] | None = None
) -> Callable[..., Any]:
    """`function`, whose results carry a node with PyTorch's name, if `NODE_NAMES` has one for `name`.

    rename: changes the names of keyword arguments first.
    """
    if name not in NODE_NAMES:
        return function
    given_label = NODE_NAMES[name] + "Backward0"
    labels_linear = name == "linear"

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and rename is not None:
            rename(kwargs)
        result = function(*args, **kwargs)
        if result.__class__ is Tensor and result._node is None:
            return result
        label = _label_of_linear(result, *args, **kwargs) if labels_linear else given_label
        for t in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(t, Tensor) and t._node is not None and not _is_among(t, args, kwargs):
                node = t._node.node if type(t._node) is OutputOf else t._node
                if hasattr(type(node), "label"):
                    node.label = label
        return result

    return call


def _label_of_linear(result: Tensor, input: Tensor, weight: Tensor, bias: Any = None) -> str:
    """`linear` is one matrix product in PyTorch, with the bias added on the way."""
    if result.ndim == 2:
        return "MmBackward0" if bias is None else "AddmmBackward0"
    return "UnsafeViewBackward0" if bias is None else "ViewBackward0"


def _is_among(t: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an argument was returned as it came, with its own history."""
    return any(t is a for a in args) or any(t is a for a in kwargs.values())
