"""`autocast`: a block whose products and convolutions run in a narrower dtype."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, Self

from flambeau.core import dtypes
from flambeau.core.state import set_autocast, state

_NARROW = (dtypes.bfloat16, dtypes.float16)
_default = [dtypes.bfloat16]
#: Devices that are not there, for which a program has switched narrowing on: they remember it.
_elsewhere: set[str] = set()


class autocast:
    """A block, or a function, in which products and convolutions are computed in `dtype` and losses in float32.

    Arguments:
        device_type: "cpu"; for "cuda" and the others, which are not there, it is switched off with a warning.
        dtype: bfloat16 (the default) or float16; another switches it off, with a warning.
        enabled: False makes the block an ordinary one.
        cache_enabled: accepted: parameters are cast at each use, which changes no number.
    """

    def __init__(
        self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device, self.fast_dtype = device_type, _default[0] if dtype is None else dtype
        if enabled and device_type != "cpu":
            warnings.warn(
                f"User provided device_type of '{device_type}', but CUDA is not available. Disabling", stacklevel=2
            )
            enabled = False
        if enabled and self.fast_dtype not in _NARROW:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\nCPU Autocast only "
                "supports dtype of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before.append(state.autocast)
        if self.device == "cpu":
            set_autocast(self.fast_dtype if self._enabled else None)
        return self

    def __exit__(self, *raised: object) -> None:
        set_autocast(self._before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return call


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast(device_type)` does anything here."""
    return device_type == "cpu"


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether products are being narrowed; of another device (the GPU by default), whether that was asked for."""
    return state.autocast is not None if device_type == "cpu" else (device_type or "cuda") in _elsewhere


def set_autocast_enabled(*device_type_and_enabled: Any) -> None:
    """Switches narrowing on or off: `(device_type, enabled)`, or `(enabled)` for the GPU, which is not there."""
    *device, enabled = device_type_and_enabled
    place = device[0] if device else "cuda"
    if place == "cpu":
        set_autocast(_default[0] if enabled else None)
    elif enabled:
        _elsewhere.add(place)
    else:
        _elsewhere.discard(place)


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """See `set_autocast_enabled`."""
    set_autocast_enabled("cpu", enabled)


def is_autocast_cpu_enabled() -> bool:
    """Whether products are being narrowed."""
    return state.autocast is not None


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype that `autocast(device_type)` narrows to."""
    return state.autocast or _default[0] if device_type == "cpu" else dtypes.float16


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Sets the dtype that `autocast("cpu")` narrows to where none is given."""
    if device_type == "cpu":
        _default[0] = dtype


def get_autocast_cpu_dtype() -> Any:
    """See `get_autocast_dtype`."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """See `set_autocast_dtype`."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> Any:
    """float16: what PyTorch narrows to on a GPU."""
    return dtypes.float16


def is_autocast_cache_enabled() -> bool:
    """False: parameters are cast at each use, nothing is kept."""
    return False


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Accepted: there is no cache, and a cache changes no number."""


def clear_autocast_cache() -> None:
    """Nothing to do: there is no cache."""


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None
) -> Callable[..., Any]:
    """For `forward` of a `Function`: notes whether `autocast` was on; with `cast_inputs`, casts and switches it off."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def call(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._autocast = state.autocast if device_type == "cpu" else None
        if cast_inputs is None or ctx._autocast is None:
            return fwd(ctx, *args, **kwargs)
        cast = [a.to(cast_inputs) if hasattr(a, "is_floating_point") and a.is_floating_point() else a for a in args]
        with autocast(device_type, enabled=False):
            return fwd(ctx, *cast, **kwargs)

    return call


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """For `backward` of a `Function`: runs it as its `forward` ran."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def call(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        narrow = getattr(ctx, "_autocast", None)
        if narrow is None:
            return bwd(ctx, *args, **kwargs)
        with autocast(device_type, dtype=narrow):
            return bwd(ctx, *args, **kwargs)

    return call
