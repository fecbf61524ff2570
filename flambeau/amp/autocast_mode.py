"""`autocast`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, Self


class autocast:
    """A block, or a function, whose operators would run in a narrower dtype.

    Arguments:
        device_type: "cpu" or "cuda"; for "cuda", where there is no GPU, it is switched off with a warning.
        dtype: bfloat16 by default on the processor.
        enabled: False makes the block an ordinary one.

    Raises:
        NotImplementedError: where it is enabled on the processor.
    """

    def __init__(
        self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ):
        self.device = device_type
        if enabled and device_type != "cpu":
            warnings.warn(
                f"User provided device_type of '{device_type}', but CUDA is not available. Disabling", stacklevel=2
            )
            enabled = False
        if enabled:
            raise NotImplementedError(
                "autocast on the processor is not there: convert the module with .to(torch.bfloat16), or give "
                "autocast enabled=False"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        return None

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return call
