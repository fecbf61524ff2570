"""What programs ask of the processor as of a GPU: it is there, it is one, and its work is done when a call returns."""

from __future__ import annotations

from typing import Any, Self

from flambeau.cpu import amp as amp


class Stream:
    """The processor's only queue of work."""

    def wait_stream(self, stream: Any) -> None:
        """Does nothing: work is done when a call returns."""

    def record_event(self, event: Any = None) -> None:
        """Does nothing: work is done when a call returns."""

    def wait_event(self, event: Any) -> None:
        """Does nothing: work is done when a call returns."""


class StreamContext:
    """A block whose work goes to a stream: the only one."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        return None


_stream = Stream()


def is_available() -> bool:
    """True"""
    return True


def is_initialized() -> bool:
    """True"""
    return True


def synchronize(device: Any = None) -> None:
    """Does nothing: work is done when a call returns."""


def current_stream(device: Any = None) -> Stream:
    """The only stream."""
    return _stream


def stream(stream: Any) -> StreamContext:
    """A block whose work goes to a stream."""
    return StreamContext(stream)


def device_count() -> int:
    """1"""
    return 1


def current_device() -> str:
    """`"cpu"`"""
    return "cpu"


def set_device(device: Any) -> None:
    """Does nothing: there is one."""
