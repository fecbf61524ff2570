"""What programs ask of `torch.xpu`: there is no such device here."""


def is_available() -> bool:
    """False: Flambeau computes on the processor."""
    return False


def device_count() -> int:
    """0"""
    return 0
