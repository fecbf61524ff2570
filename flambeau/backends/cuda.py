"""The switches of CUDA's matrix products. There are none here; they may be set, and decide nothing."""

import contextlib
from collections.abc import Iterator


class _Products:
    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = False
    allow_bf16_reduced_precision_reduction = False


matmul = _Products()


def is_built() -> bool:
    """False"""
    return False


# Ways of computing attention: the shapes decide here, whatever is wished. -------------------------

_ways = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def enable_flash_sdp(enabled: bool) -> None:
    """Keeps the wish."""
    _ways["flash"] = bool(enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Keeps the wish."""
    _ways["mem_efficient"] = bool(enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Keeps the wish."""
    _ways["math"] = bool(enabled)


def enable_cudnn_sdp(enabled: bool) -> None:
    """Keeps the wish."""
    _ways["cudnn"] = bool(enabled)


def flash_sdp_enabled() -> bool:
    """What `enable_flash_sdp` was told."""
    return _ways["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """What `enable_mem_efficient_sdp` was told."""
    return _ways["mem_efficient"]


def math_sdp_enabled() -> bool:
    """What `enable_math_sdp` was told."""
    return _ways["math"]


def cudnn_sdp_enabled() -> bool:
    """What `enable_cudnn_sdp` was told."""
    return _ways["cudnn"]


def is_flash_attention_available() -> bool:
    """False: that is a kernel for GPUs."""
    return False


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Iterator[None]:
    """A block in which these ways are wished for."""
    before = dict(_ways)
    _ways.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield
    finally:
        _ways.update(before)
