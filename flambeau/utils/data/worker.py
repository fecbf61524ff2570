"""The worker process of a loader: fetches batches by order of the main process."""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from flambeau.core.generator import default_generator
from flambeau.utils.data import shared_memory
from flambeau.utils.data.fetch import StreamFetcher, make_fetcher

__all__ = ["Order", "WorkerInfo", "get_worker_info"]

#: Seconds between looks whether the main process is still there.
WATCH_INTERVAL = 2.0


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What `get_worker_info` returns inside a worker.

    Attributes:
        id: the worker's number, from 0.
        num_workers: how many there are.
        seed: what its generators were seeded with.
        dataset: its copy of the data set.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The worker that this code runs in; `None` in the main process."""
    return _worker_info


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to know once."""

    id: int
    num_workers: int
    base_seed: int
    dataset: Any
    is_stream: bool
    batched: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    init_fn: Callable[[int], None] | None
    random_state: Any = None


@dataclass(frozen=True, slots=True)
class Order:
    """Fetch the batch of number `number` at `index`; with `discard`, only move on past it."""

    number: int
    index: Any
    discard: bool = False


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """Begin the stream anew."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Instead of a batch: the worker's stream has ended."""


class WorkerError:
    """An exception of a worker on its way to the main process, with its traceback as text."""

    def __init__(self, where: str) -> None:
        kind, error, trace = sys.exc_info()
        self.kind: Any = kind
        self.where = where
        self.text = "".join(traceback.format_exception(kind, error, trace))
        try:
            shared_memory.pickle.dumps(kind)
        except Exception:  # a class that only the worker can name
            self.kind = RuntimeError

    def reraise(self) -> None:
        """Raises an exception of the same class that shows the worker's traceback."""
        message: Any = f"Caught {self.kind.__name__} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:
            message = _PlainKey(message)
        try:
            error = self.kind(message)
        except Exception:  # a class that wants other arguments
            raise RuntimeError(message) from None
        raise error


class _PlainKey(str):
    """A key that a `KeyError` prints as it is, with its line breaks."""

    def __repr__(self) -> str:
        return str(self)


def seed_worker(base_seed: int, worker_id: int) -> int:
    """Seeds this process's generators: Flambeau's, `random`'s and NumPy's. Returns the seed."""
    seed = base_seed + worker_id
    random.seed(seed)
    default_generator.manual_seed(seed)
    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
    return seed


def random_state() -> Any:
    """The state of the three generators that `seed_worker` seeds."""
    return default_generator.get_state(), random.getstate(), np.random.get_state()


def set_random_state(state: Any) -> None:
    """Puts the three generators back to a `random_state`."""
    own, pythons, numpys = state
    default_generator.set_state(own)
    random.setstate(pythons)
    np.random.set_state(numpys)


def run_worker(setup: Setup, orders: Connection, results: Connection) -> None:
    """The life of a worker: sends `(number, batch, random state)` for every order."""
    global _worker_info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process to handle
    main_process = os.getppid()
    seed = seed_worker(setup.base_seed, setup.id)
    _worker_info = WorkerInfo(setup.id, setup.num_workers, seed, setup.dataset)
    where = f"in DataLoader worker process {setup.id}"

    def new_fetcher() -> Any:
        return make_fetcher(
            setup.is_stream, setup.dataset, setup.batched, setup.collate_fn, setup.drop_last
        )

    fetcher: Any = None
    failure: WorkerError | None = None
    try:
        if setup.init_fn is not None:
            setup.init_fn(setup.id)
        fetcher = new_fetcher()
        if setup.random_state is not None:
            set_random_state(setup.random_state)
    except Exception:
        failure = WorkerError(where)

    while True:
        while not orders.poll(WATCH_INTERVAL):
            if os.getppid() != main_process:
                return
        try:
            order = orders.recv()
        except EOFError:
            return
        if order is None:
            return
        try:
            if isinstance(order, NewEpoch):
                fetcher = new_fetcher()
                continue
            batch = failure or _fetched(fetcher, order)
            failure = None
        except StopIteration:
            batch = StreamEnd()
        except Exception:
            batch = WorkerError(where)
        try:
            shared_memory.send(results, (order.number, batch, random_state()))
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception:  # the batch cannot be pickled
            shared_memory.send(results, (order.number, WorkerError(where), random_state()))
        del batch


def _fetched(fetcher: Any, order: Order) -> Any:
    if not order.discard:
        return fetcher.fetch(order.index)
    if isinstance(fetcher, StreamFetcher):
        fetcher.take(order.index)
    return None
