"""The switches of cuDNN. There is none here; they may be set, and decide nothing, as in PyTorch without CUDA."""

enabled = False
benchmark = False
deterministic = False
allow_tf32 = False


def is_available() -> bool:
    """False"""
    return False


def version() -> None:
    """None: there is none."""
    return None
