"""PyTorch's older address of `flambeau.func.functional_call`."""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.func.modules import functional_call as _functional_call
from flambeau.nn.module import Module

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls the module with other parameters and buffers, see `flambeau.func.functional_call`."""
    warnings.warn(
        "This API is deprecated as of PyTorch 2.0 and will be removed in a future version. "
        "Please use torch.func.functional_call instead which is a drop-in replacement for this "
        "API.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )
