"""Locks that a forked child finds open, whoever held them in its parent."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

_renewed: weakref.WeakKeyDictionary[Any, Callable[[], Any]] = weakref.WeakKeyDictionary()
_held: weakref.WeakSet[Any] = weakref.WeakSet()
_holding: list[Any] = []
_forking = threading.Lock()


def own_lock(owner: Any, make: Callable[[], Any] = threading.Lock) -> None:
    """Gives an object a `lock`, and a new one in a forked child: the thread that held it is not there."""
    owner.lock = make()
    _renewed[owner] = make


def own_inner_lock(owner: Any) -> None:
    """Gives an object a `lock` that is held for short, asking for no other. A fork waits for it, so that what it
    guards is whole in the child.
    """
    owner.lock = threading.Lock()
    _held.add(owner)


class Guarded:
    """What one thread at a time may do: `with thing.lock`."""

    lock: Any

    def __init__(self, make: Callable[[], Any] = threading.Lock):
        own_lock(self, make)


def _hold() -> None:
    _forking.acquire()
    _holding[:] = [owner.lock for owner in list(_held)]
    for lock in _holding:
        lock.acquire()


def _release() -> None:
    while _holding:
        _holding.pop().release()
    _forking.release()


def _renew() -> None:
    _release()
    for owner, make in list(_renewed.items()):
        owner.lock = make()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_renew)
