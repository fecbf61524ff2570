"""Marks for NVIDIA's profiler: without a GPU each raises `RuntimeError`, as in PyTorch without CUDA."""

from typing import Any, NoReturn


def _absent(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises `RuntimeError`."""
    raise RuntimeError("NVTX functions are not there: Flambeau computes on the processor")


range_push = range_pop = range_start = range_end = mark = range = _absent
