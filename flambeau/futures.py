"""Results that may come later: `torch.futures`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Future(Generic[T]):
    """A result that another thread sets; `wait` gives it, or raises the exception that was set instead.

    Args:
        devices: accepted: the processor.
    """

    def __init__(self, *, devices: Any = None):
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Whether the result, or an exception, is there."""
        return self._event.is_set()

    def wait(self) -> T:
        """The result, when it is there."""
        self._event.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def value(self) -> T:
        """The result. Raises `RuntimeError` where it is not there yet."""
        if not self.done():
            raise RuntimeError("the future is not done: wait() for it")
        return self.wait()

    def _finish(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self.done():
                raise RuntimeError("Future can only be marked completed once")
            self._value, self._error = value, error
            self._event.set()
        for callback in self._callbacks:
            callback(self)

    def set_result(self, result: T) -> None:
        """Sets the result. Raises `RuntimeError` where there is one."""
        self._finish(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Sets the exception that `wait` raises."""
        self._finish(None, result)

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Calls `callback(future)` when the result is there: now, if it is."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """A future for `callback(future)`."""
        following: Future[S] = Future()

        def go_on(future: Future[T]) -> None:
            try:
                following.set_result(callback(future))
            except Exception as error:
                following.set_exception(error)

        self.add_done_callback(go_on)
        return following


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future for all of these, when all are done."""
    together: Future[list[Future[Any]]] = Future()
    left = [len(futures)]
    lock = threading.Lock()

    def one_more(_: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            together.set_result(futures)

    if not futures:
        together.set_result(futures)
    for future in futures:
        future.add_done_callback(one_more)
    return together


def wait_all(futures: list[Future[T]]) -> list[T]:
    """The results of all, when they are there."""
    return [future.wait() for future in collect_all(futures).wait()]
