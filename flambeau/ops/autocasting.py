"""What `autocast` does to operators: products and convolutions in a narrow dtype, losses in float32.

The lists are those of PyTorch's processor backend; what is on neither runs in the dtype of its inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.core import dtypes
from flambeau.core.state import state
from flambeau.tensor.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def narrowed(*arguments: Any) -> tuple[Any, ...]:
    """The arguments of a product, float tensors among them in the narrow dtype; float64 stays."""
    wanted = state.autocast
    return tuple(
        x.to(wanted) if isinstance(x, Tensor) and x.is_floating_point() and x.dtype not in (wanted, dtypes.float64) else x
        for x in arguments
    )


def in_float32(function: F) -> F:
    """The function, which under `autocast` computes in float32 what it gets in a narrower dtype."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.autocast is None:
            return function(*args, **kwargs)
        return function(*map(_widened, args), **{name: _widened(x) for name, x in kwargs.items()})

    return call  # type: ignore[return-value]


def _widened(x: Any) -> Any:
    narrow = isinstance(x, Tensor) and x.dtype in (dtypes.bfloat16, dtypes.float16)
    return x.to(dtypes.float32) if narrow else x
