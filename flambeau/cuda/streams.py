"""Streams and events of GPUs, and blocks that choose one: programs name them, and make none without a GPU."""

from __future__ import annotations

from typing import Any, NoReturn

from flambeau.core.device import device as _device


class _Absent:
    """A class of things of a GPU. Making one raises `RuntimeError`, as in PyTorch without CUDA."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"torch.cuda.{type(self).__name__} needs CUDA; Flambeau computes on the processor")


class Stream(_Absent):
    """A queue of a GPU's work: there is none."""


class Event(_Absent):
    """A moment in a GPU's work: there is none."""


class CUDAGraph(_Absent):
    """A recorded piece of a GPU's work: there is none."""


class StreamContext:
    """A block whose work goes to a stream; `None` is no stream, and the only one there is."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, *raised: object) -> None:
        return None


def stream(stream: Any) -> StreamContext:
    """See `StreamContext`."""
    return StreamContext(stream)


class device:
    """A block whose work goes to a GPU; `None` and negative numbers mean no GPU.

    Raises:
        RuntimeError: on entry, for a GPU.
        ValueError: for a device that is none.
    """

    def __init__(self, device: Any):
        if device is not None and not isinstance(device, int):
            kind = _device(device)
            if kind.type != "cuda":
                raise ValueError(f"Expected a cuda device, but got: {device}")
            device = kind.index or 0
        self.idx = -1 if device is None else int(device)

    def __enter__(self) -> None:
        if self.idx >= 0:
            _none()

    def __exit__(self, *raised: object) -> None:
        return None


class device_of(device):
    """A block whose work goes to where a tensor lies: to no GPU."""

    def __init__(self, obj: Any):
        super().__init__(None)


def _none() -> NoReturn:
    raise RuntimeError("Flambeau was made without CUDA support: it computes on the processor")
