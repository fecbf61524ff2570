"""What `flambeau.compile` raises. The names are those of PyTorch's `torch._dynamo.exc`."""

from __future__ import annotations


class TorchDynamoException(RuntimeError):
    """A function cannot be compiled as it was asked for."""


class Unsupported(TorchDynamoException):
    """A function with `fullgraph=True` needs what cannot be traced."""


class InvalidBackend(TorchDynamoException):
    """There is no backend of this name."""

    def __init__(self, name: object):
        super().__init__(f"Invalid backend: {name!r}, see `torch._dynamo.list_backends()` for available backends.")


class RecompileError(TorchDynamoException):
    """A function would be compiled anew, which is forbidden."""


class FailOnRecompileLimitHit(TorchDynamoException):
    """A function was compiled for as many shapes and constants as it may be."""
