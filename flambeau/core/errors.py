"""Errors that PyTorch names: programs catch them, where there is an accelerator to raise them."""


class OutOfMemoryError(RuntimeError):
    """An accelerator has no memory left. Without one nothing raises it; the processor's `MemoryError` is Python's."""

    __module__ = "torch"


class AcceleratorError(RuntimeError):
    """An accelerator has failed. Nothing raises it here."""

    __module__ = "torch"
