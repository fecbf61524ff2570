"""What programs ask of `torch.cuda` before they fall back to the processor: there is no GPU here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from flambeau.core.errors import AcceleratorError as AcceleratorError
from flambeau.core.errors import OutOfMemoryError as OutOfMemoryError
from flambeau.cuda import amp as amp
from flambeau.cuda import nvtx as nvtx
from flambeau.cuda.streams import CUDAGraph as CUDAGraph
from flambeau.cuda.streams import Event as Event
from flambeau.cuda.streams import Stream as Stream
from flambeau.cuda.streams import StreamContext as StreamContext
from flambeau.cuda.streams import device as device
from flambeau.cuda.streams import device_of as device_of
from flambeau.cuda.streams import stream as stream
from flambeau.cuda.types import TYPES as _TYPES


def is_available() -> bool:
    """False: Flambeau computes on the processor."""
    return False


def is_initialized() -> bool:
    """False: there is no GPU to set up."""
    return False


def device_count() -> int:
    """0"""
    return 0


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def manual_seed(seed: int) -> None:
    """Seeds nothing, as PyTorch's does where there is no GPU."""


def manual_seed_all(seed: int) -> None:
    """Seeds nothing, as PyTorch's does where there is no GPU."""


def empty_cache() -> None:
    """Frees nothing, as PyTorch's does where there is no GPU."""


def _absent(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises `AssertionError`, as PyTorch without CUDA does."""
    raise AssertionError("Flambeau is not built with CUDA: it computes on the processor")


#: What needs a GPU, and raises `AssertionError` as in PyTorch without CUDA.
synchronize = current_device = set_device = get_device_name = get_device_properties = get_device_capability = _absent
current_stream = default_stream = set_stream = initial_seed = get_rng_state = set_rng_state = init = _absent
mem_get_info = set_per_process_memory_fraction = can_device_access_peer = ipc_collect = current_blas_handle = _absent
utilization = temperature = power_draw = clock_rate = memory_usage = make_graphed_callables = _absent


def _nothing(device: Any = None) -> int:
    """0: nothing lies on a GPU."""
    return 0


memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _nothing
memory_cached = max_memory_cached = _nothing


def memory_stats(device: Any = None) -> dict[str, int]:
    """Nothing: no GPU is in use."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """A line that says so: no GPU is in use."""
    return "no memory of a GPU is in use"


def reset_peak_memory_stats(device: Any = None) -> None:
    """Forgets nothing: no memory of a GPU was used."""


reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


def seed() -> None:
    """Seeds nothing: there is no GPU."""


seed_all = seed


def get_rng_state_all() -> list[Any]:
    """The states of the GPUs' generators: none."""
    return []


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Puts the GPUs' generators, of which there are none, into their states; `AssertionError` for any state."""
    for _ in new_states:
        _absent()


def get_arch_list() -> list[str]:
    """Nothing: this is not built for any GPU."""
    return []


def is_current_stream_capturing() -> bool:
    """False: there are no streams."""
    return False


globals().update(_TYPES)
