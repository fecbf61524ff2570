"""The switches of CUDA's matrix products. There are none here; they may be set, and decide nothing."""


class _Products:
    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = False
    allow_bf16_reduced_precision_reduction = False


matmul = _Products()


def is_built() -> bool:
    """False"""
    return False
