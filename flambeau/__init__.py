"""Flambeau: the PyTorch API in readable Python, compiled.

`import flambeau as torch` runs PyTorch programs.
"""

import math as _math
import warnings as _warnings
from typing import Any as _Any

# NumPy warns of overflow and division by zero in our operators; PyTorch's give inf and nan in silence.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"flambeau\.")

from flambeau import autograd as autograd
from flambeau import ops as ops
from flambeau.autograd import enable_grad as enable_grad
from flambeau.autograd import inference_mode as inference_mode
from flambeau.autograd import is_grad_enabled as is_grad_enabled
from flambeau.autograd import no_grad as no_grad
from flambeau.autograd import set_grad_enabled as set_grad_enabled
from flambeau.autograd.modes import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.core.device import (
    channels_last as channels_last,
)
from flambeau.core.device import (
    channels_last_3d as channels_last_3d,
)
from flambeau.core.device import (
    contiguous_format as contiguous_format,
)
from flambeau.core.device import (
    device as device,
)
from flambeau.core.device import get_default_device as get_default_device
from flambeau.core.device import (
    layout as layout,
)
from flambeau.core.device import (
    memory_format as memory_format,
)
from flambeau.core.device import (
    preserve_format as preserve_format,
)
from flambeau.core.device import set_default_device as set_default_device
from flambeau.core.device import (
    sparse_coo as sparse_coo,
)
from flambeau.core.device import (
    sparse_csc as sparse_csc,
)
from flambeau.core.device import (
    sparse_csr as sparse_csr,
)
from flambeau.core.device import (
    strided as strided,
)
from flambeau.core.dtypes import (
    ALIASES as _ALIASES,
)
from flambeau.core.dtypes import (
    DTYPES as _DTYPES,
)
from flambeau.core.dtypes import (
    can_cast as can_cast,
)
from flambeau.core.dtypes import (
    dtype as dtype,
)
from flambeau.core.dtypes import (
    finfo as finfo,
)
from flambeau.core.dtypes import (
    get_default_dtype as get_default_dtype,
)
from flambeau.core.dtypes import (
    iinfo as iinfo,
)
from flambeau.core.dtypes import (
    promote_types as promote_types,
)
from flambeau.core.dtypes import (
    set_default_dtype as set_default_dtype,
)
from flambeau.core.errors import AcceleratorError as AcceleratorError
from flambeau.core.errors import OutOfMemoryError as OutOfMemoryError
from flambeau.core.generator import default_generator as default_generator
from flambeau.core.generator import initial_seed as initial_seed
from flambeau.core.generator import manual_seed as manual_seed
from flambeau.core.generator import seed as seed
from flambeau.core.shapes import Size as Size
from flambeau.ops import OPERATORS as _OPERATORS
from flambeau.random import Generator as Generator
from flambeau.random import get_rng_state as get_rng_state
from flambeau.random import set_rng_state as set_rng_state
from flambeau.tensor.printing import set_printoptions as set_printoptions
from flambeau.tensor.storage import TypedStorage as TypedStorage
from flambeau.tensor.storage import UntypedStorage as UntypedStorage
from flambeau.tensor.storage_types import STORAGES as _STORAGES
from flambeau.tensor.tensor import Tensor as Tensor
from flambeau.tensor.types import TYPES as _TYPES
from flambeau.tensor.types import set_default_tensor_type as set_default_tensor_type

__version__ = "0.1.0"
_release = __version__  # stays what it is when a program is told PyTorch's version
e, inf, nan, newaxis, pi = _math.e, _math.inf, _math.nan, None, _math.pi
globals().update(_DTYPES)
globals().update(_ALIASES)
globals().update(_TYPES)
globals().update(_STORAGES)
# Packages that take time to load come at first use.
_PACKAGES = {
    "_C", "_VF", "__config__", "_dynamo", "_inductor", "accelerator", "amp", "backends", "cli", "cluster", "compiler",
    "cpu", "cuda", "distributed", "distributions", "fft", "func", "futures", "fx", "hub", "jit", "kernels",
    "linalg", "masked", "metrics", "mps", "multiprocessing", "nn", "onnx", "optim", "profiler", "random", "run",
    "serialization", "signal", "sparse", "special", "storage", "testing", "torch_version", "train", "types",
    "utils", "version", "vision", "xpu",
}  # fmt: skip
_FUNCTIONS = {
    "get_num_threads": "kernels.threads",
    "save": "serialization",
    "set_num_threads": "kernels.threads",
    "load": "serialization",
    "compile": "compiler",
    "vmap": "func",
    "autocast": "amp.autocast_mode",
    "are_deterministic_algorithms_enabled": "core.switches",
    "get_deterministic_debug_mode": "core.switches",
    "get_float32_matmul_precision": "core.switches",
    "get_num_interop_threads": "core.switches",
    "is_deterministic_algorithms_warn_only_enabled": "core.switches",
    "is_warn_always_enabled": "core.switches",
    "set_deterministic_debug_mode": "core.switches",
    "set_float32_matmul_precision": "core.switches",
    "set_flush_denormal": "core.switches",
    "set_num_interop_threads": "core.switches",
    "set_warn_always": "core.switches",
    "use_deterministic_algorithms": "core.switches",
    "adaptive_avg_pool1d": "nn.functional",
    "adaptive_max_pool1d": "nn.functional",
    "bilinear": "nn.functional",
    "celu": "nn.functional",
    "celu_": "nn.functional",
    "channel_shuffle": "nn.functional",
    "cosine_similarity": "nn.functional",
    "pairwise_distance": "nn.functional",
    "pdist": "nn.functional",
    "pixel_shuffle": "nn.functional",
    "pixel_unshuffle": "nn.functional",
    "rms_norm": "nn.functional",
    "rrelu": "nn.functional",
    "rrelu_": "nn.functional",
    "selu": "nn.functional",
    "selu_": "nn.functional",
    "threshold": "nn.functional",
    "threshold_": "nn.functional",
    "GradScaler": "amp",
    "bartlett_window": "signal.named_windows",
    "blackman_window": "signal.named_windows",
    "hamming_window": "signal.named_windows",
    "hann_window": "signal.named_windows",
    "kaiser_window": "signal.named_windows",
    "get_autocast_cpu_dtype": "amp.autocast_mode",
    "get_autocast_dtype": "amp.autocast_mode",
    "is_autocast_cpu_enabled": "amp.autocast_mode",
    "is_autocast_enabled": "amp.autocast_mode",
    "set_autocast_dtype": "amp.autocast_mode",
    "clear_autocast_cache": "amp.autocast_mode",
    "get_autocast_gpu_dtype": "amp.autocast_mode",
    "fork": "jit",
    "wait": "jit",
    "is_autocast_cache_enabled": "amp.autocast_mode",
    "set_autocast_cache_enabled": "amp.autocast_mode",
    "set_autocast_cpu_dtype": "amp.autocast_mode",
    "set_autocast_cpu_enabled": "amp.autocast_mode",
    "set_autocast_enabled": "amp.autocast_mode",
    "is_anomaly_enabled": "autograd.anomaly",
    "is_anomaly_check_nan_enabled": "autograd.anomaly",
    "set_anomaly_enabled": "autograd.anomaly",
}
#: Functions of layers in their plain form, which stands before an operator of that name.
_FUNCTIONS |= dict.fromkeys(
    (
        "_batch_norm_with_update", "_embedding_bag", "_log_softmax", "_log_softmax_backward_data",
        "_native_batch_norm_legit", "_safe_softmax", "_segment_reduce", "_softmax", "_softmax_backward_data",
        "affine_grid_generator", "alpha_dropout", "alpha_dropout_", "batch_norm", "binary_cross_entropy_with_logits",
        "cond", "conv_tbc", "convolution", "cosine_embedding_loss", "ctc_loss", "dropout", "dropout_", "embedding",
        "embedding_bag", "embedding_renorm_", "feature_alpha_dropout", "feature_alpha_dropout_", "feature_dropout",
        "feature_dropout_", "frobenius_norm", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "group_norm", "gru",
        "gru_cell", "hinge_embedding_loss", "instance_norm", "kl_div", "layer_norm", "lstm", "lstm_cell",
        "margin_ranking_loss", "native_batch_norm", "native_dropout", "native_group_norm",
        "native_layer_norm", "native_norm", "norm_except_dim", "nuclear_norm", "poisson_nll_loss", "rnn_relu",
        "rnn_relu_cell", "rnn_tanh", "rnn_tanh_cell", "segment_reduce", "triplet_margin_loss", "while_loop",
    ),
    "nn.direct",
)  # fmt: skip
_FUNCTIONS["lobpcg"] = "linalg.lobpcg"
_FUNCTIONS["native_channel_shuffle"] = "nn.functional"
globals().update({_name: _function for _name, _function in _OPERATORS.items() if _name not in _FUNCTIONS})


def __getattr__(name: str) -> _Any:
    import importlib
    import importlib.util

    if name in _PACKAGES and importlib.util.find_spec(f"flambeau.{name}") is not None:
        return importlib.import_module(f"flambeau.{name}")
    if name in _FUNCTIONS:
        found = getattr(importlib.import_module(f"flambeau.{_FUNCTIONS[name]}"), name)
        globals()[name] = found
        return found
    if name.startswith("_foreach_"):
        return getattr(importlib.import_module("flambeau.ops.foreach"), name)
    raise AttributeError(f"module 'flambeau' has no attribute '{name}'")
