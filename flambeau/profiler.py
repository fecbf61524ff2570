"""`torch.profiler`'s names for the profiler of `autograd.profiler`."""

from __future__ import annotations

import enum
from typing import Any

from flambeau.autograd.profiler import profile as profile
from flambeau.autograd.profiler import record_function as record_function


class ProfilerActivity(enum.Enum):
    """What PyTorch's profiler can watch; here there is the CPU."""

    CPU = 0
    CUDA = 1


def schedule(**options: Any) -> Any:
    """Raises `NotImplementedError`: use `profile` around the steps to measure."""
    raise NotImplementedError("profiler.schedule: put `with profile():` around the steps to measure")
