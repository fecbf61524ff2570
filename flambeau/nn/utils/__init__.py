"""Tools for gradients, parameters, and sequences."""

from typing import Any as _Any

from flambeau.nn.utils import rnn as rnn

#: Where each name is defined: the modules load at first use, since some stand on the layers.
_PLACES = {
    "clip_grad_norm": "clip_grad",
    "clip_grad_norm_": "clip_grad",
    "clip_grad_value_": "clip_grad",
    "clip_grads_with_norm_": "clip_grad",
    "get_total_norm": "clip_grad",
    "convert_conv2d_weight_memory_format": "memory_format",
    "convert_conv3d_weight_memory_format": "memory_format",
    "parameters_to_vector": "convert_parameters",
    "vector_to_parameters": "convert_parameters",
    "fuse_conv_bn_eval": "fusion",
    "fuse_conv_bn_weights": "fusion",
    "fuse_linear_bn_eval": "fusion",
    "fuse_linear_bn_weights": "fusion",
    "skip_init": "init",
    "remove_spectral_norm": "spectral_norm",
    "spectral_norm": "spectral_norm",
    "remove_weight_norm": "weight_norm",
    "weight_norm": "weight_norm",
}
_MODULES = {
    "clip_grad", "convert_parameters", "fusion", "init", "memory_format", "parametrizations", "parametrize",
    "prune", "stateless",
}  # fmt: skip


def __getattr__(name: str) -> _Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found  # over the submodule of the same name, as in PyTorch
    return found
