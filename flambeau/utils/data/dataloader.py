"""`DataLoader`: batches of a data set, in this process or from worker processes."""

from __future__ import annotations

import os
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import Any, Generic, TypeVar

from flambeau.core.generator import Generator
from flambeau.utils.data.collate import default_collate, default_convert
from flambeau.utils.data.dataset import Dataset, IterableDataset
from flambeau.utils.data.fetch import StreamFetcher, make_fetcher
from flambeau.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    draw_seed,
)

__all__ = ["DataLoader"]

T = TypeVar("T", covariant=True)
#: Seconds that workers get to leave by themselves, and between looks whether they live.
PATIENCE = 2.0
_FIXED = frozenset(
    ["batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"]
)


class _Endless(Sampler[None]):
    """The sampler of a stream: there is nothing to choose."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T]):
    """Iterates over a data set in batches.

    Args:
        dataset: by index, or a stream (`IterableDataset`).
        batch_size: samples in a batch; `None` gives single samples.
        shuffle: visit in a random order, another one each epoch.
        sampler: the order of indices, instead of `shuffle`.
        batch_sampler: the order of lists of indices, instead of all of these.
        num_workers: processes that fetch; 0 fetches in this one.
        collate_fn: makes a batch out of a list of samples.
        pin_memory: accepted with a warning: there is no device to copy to.
        drop_last: drop the last batch if it is smaller.
        timeout: seconds to wait for a batch of the workers, 0 for ever.
        worker_init_fn: called with the worker's number in each worker, after seeding.
        multiprocessing_context: how workers start: `"fork"`, `"spawn"`, `"forkserver"` or a
            context.
        generator: where shuffling and the workers' seeds come from.
        prefetch_factor: batches that each worker fetches ahead, 2 if `None`.
        persistent_workers: keep the workers for the next epoch.
        pin_memory_device: accepted, as `pin_memory`.
        in_order: give batches in the sampler's order, also when a later one is ready first.

    Raises:
        ValueError: for options that exclude each other.

    `state_dict` and `load_state_dict` resume in the middle of an epoch: with the order, the place
    in it, and the random state of the workers.
    """

    dataset: Dataset[T]
    _iterator: _Iterator | None
    _initialized = False

    def __init__(
        self,
        dataset: Dataset[T],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; "
                "use num_workers=0 to disable multiprocessing."
            )
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing."
                "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to "
                "None."
            )
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")

        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self._is_stream = isinstance(dataset, IterableDataset)
        if shuffle is not None and hasattr(dataset, "with_shuffling"):  # a data pipe
            self.dataset, shuffle = dataset.with_shuffling(shuffle), None
        self._check_samplers(batch_size, shuffle, sampler, batch_sampler, drop_last)

        if sampler is None:
            if self._is_stream:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers

        self._iterator = None
        self._running: weakref.ref[_Iterator] | None = None
        self._resume: dict[str, Any] | None = None
        self._stream_length: int | None = None
        self._initialized = True
        self.check_worker_number_rationality()

    def _check_samplers(
        self,
        batch_size: int | None,
        shuffle: bool | None,
        sampler: Any,
        batch_sampler: Any,
        drop_last: bool,
    ) -> None:
        if self._is_stream:
            for name, value, default in (
                ("shuffle", shuffle or None, None),
                ("sampler", sampler, None),
                ("batch_sampler", batch_sampler, None),
            ):
                if value is not default:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, "
                        f"but got {name}={value}"
                    )
        elif sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, "
                    "sampler, and drop_last"
                )
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )

    def __setattr__(self, attr: str, value: Any) -> None:
        if self._initialized and attr in _FIXED:
            raise ValueError(
                f"{attr} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(attr, value)

    @property
    def multiprocessing_context(self) -> Any:
        """How workers start."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None:
            if self.num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading "
                    f"(num_workers > 0), but got num_workers={self.num_workers}"
                )
            context = _checked_context(context)
        self._context = context

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> _Iterator:
        resume, self._resume = self._resume, None
        if self.num_workers == 0:
            iterator: _Iterator = _InThisProcess(self, resume)
        elif not self.persistent_workers or resume is not None:
            if self._iterator is not None:
                self._iterator.close()
            iterator = _FromWorkers(self, resume)
            self._iterator = iterator if self.persistent_workers else None
        elif self._iterator is None:
            iterator = self._iterator = _FromWorkers(self, None)
        else:
            iterator = self._iterator
            iterator.restart()
        self._running = weakref.ref(iterator)
        return iterator

    def __len__(self) -> int:
        """The number of batches. Raises `TypeError` if the data set has no length."""
        if not self._is_stream:
            return len(self._index_sampler)
        length = self._stream_length = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else ceil(length / self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warns if there are more workers than processors."""
        if hasattr(os, "sched_getaffinity"):
            processors = len(os.sched_getaffinity(0))
        else:
            processors = os.cpu_count() or 1
        if self.num_workers > processors:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {processors}, which is "
                "smaller than what this DataLoader is going to create. Please be aware that "
                "excessive worker creation might get DataLoader running slow or even freeze, "
                "lower the worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )

    def state_dict(self) -> dict[str, Any]:
        """Where the running epoch is, for `load_state_dict`; before or after one, the start."""
        running = None if self._running is None else self._running()
        if running is None or running.ended:
            return {} if self._resume is None else dict(self._resume)
        return running.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next iteration goes on where the loader that `state_dict` comes from was."""
        self._resume = dict(state_dict) or None


def _checked_context(context: Any) -> Any:
    import multiprocessing
    from multiprocessing.context import BaseContext

    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got multiprocessing_context={context!r}"
            )
        context = multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={context}"
        )
    return context


class _Iterator(Iterator[Any]):
    """One pass over a loader's data set.

    Args:
        loader: what to iterate over.
        resume: a `state_dict` to go on from.
    """

    def __init__(self, loader: DataLoader[Any], resume: dict[str, Any] | None) -> None:
        self.loader = loader
        self.ended = False
        if loader.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, "
                "then device pinned memory won't be used.",
                stacklevel=3,
            )
        if resume is not None:
            self.base_seed = resume["base_seed"]
        else:
            self.base_seed = draw_seed(loader.generator)
        self._begin(resume)

    def _begin(self, resume: dict[str, Any] | None) -> None:
        """Starts the sampler, anew or past the batches that were yielded."""
        sampler = self.loader._index_sampler
        self.yielded = 0
        self.to_skip = 0 if resume is None else resume["yielded"]
        if resume is not None and "epoch" in resume:
            sampler.load_epoch_state(resume["epoch"])
        elif resume is not None and "sampler" in resume:
            sampler.load_state_dict(resume["sampler"])
        self.indices = iter(sampler)
        self.sampler_start = None
        if not hasattr(sampler, "epoch_state") and hasattr(sampler, "state_dict"):
            self.sampler_start = sampler.state_dict()

    def restart(self) -> None:
        """Begins another epoch with the same workers."""
        raise NotImplementedError(f"{type(self).__name__} serves one epoch")

    def close(self) -> None:
        """Ends the workers, if there are any."""

    def state_dict(self) -> dict[str, Any]:
        """Where this pass is."""
        sampler = self.loader._index_sampler
        state = {"yielded": self.to_skip or self.yielded, "base_seed": self.base_seed}
        if hasattr(sampler, "epoch_state"):
            state["epoch"] = sampler.epoch_state()
        elif self.sampler_start is not None:
            state["sampler"] = self.sampler_start
        return state

    def __iter__(self) -> _Iterator:
        return self

    def __len__(self) -> int:
        return len(self.loader._index_sampler)

    def __next__(self) -> Any:
        try:
            batch = self._next_batch()
        except StopIteration:
            self.ended = True
            raise
        self.yielded += 1
        expected = self.loader._stream_length
        if self.loader._is_stream and expected is not None and self.yielded > expected:
            self._warn_too_many(expected)
        return batch

    def _next_batch(self) -> Any:
        raise NotImplementedError

    def _warn_too_many(self, expected: int) -> None:
        message = (
            f"Length of IterableDataset {self.loader.dataset} was reported to be {expected}"
            f"(when accessing len(dataloader)), but {self.yielded} samples have been fetched. "
        )
        if self.loader.num_workers > 0:
            message += (
                "For multiprocessing data-loading, this could be caused by not properly "
                "configuring the IterableDataset replica at each worker."
            )
        warnings.warn(message, stacklevel=3)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _InThisProcess(_Iterator):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: DataLoader[Any], resume: dict[str, Any] | None) -> None:
        super().__init__(loader, resume)
        self.fetcher = make_fetcher(
            loader._is_stream,
            loader.dataset,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
        )

    def _next_batch(self) -> Any:
        while self.yielded < self.to_skip:
            index = next(self.indices)
            if isinstance(self.fetcher, StreamFetcher):
                self.fetcher.take(index)
            self.yielded += 1
        self.to_skip = 0
        return self.fetcher.fetch(next(self.indices))


class _FromWorkers(_Iterator):
    """Hands orders to worker processes in turn, and yields their batches.

    Each worker has its own pair of pipes, so that one that is killed cannot hold up the others;
    waiting for batches also waits for the deaths of workers.
    """

    def __init__(self, loader: DataLoader[Any], resume: dict[str, Any] | None) -> None:
        super().__init__(loader, resume)
        self.random_states: dict[int, Any] = dict((resume or {}).get("workers", {}))
        self._start_workers()
        self._forget_orders()
        self._fill()

    # Workers --------------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        import multiprocessing

        from flambeau.utils.data.worker import Setup, run_worker

        loader = self.loader
        context = loader.multiprocessing_context or multiprocessing.get_context()
        self.processes: list[Any] = []
        self.order_pipes: list[Any] = []
        self.result_pipes: list[Any] = []
        for number in range(loader.num_workers):
            setup = Setup(
                id=number,
                num_workers=loader.num_workers,
                base_seed=self.base_seed,
                dataset=loader.dataset,
                is_stream=loader._is_stream,
                batched=loader._auto_collation,
                collate_fn=loader.collate_fn,
                drop_last=loader.drop_last,
                init_fn=loader.worker_init_fn,
                random_state=self.random_states.get(number),
            )
            orders_there, orders_here = context.Pipe(duplex=False)
            # Descriptors of shared memory travel over sockets, which duplex pipes are.
            results_here, results_there = context.Pipe(duplex=True)
            process = context.Process(
                target=run_worker, args=(setup, orders_there, results_there), daemon=True
            )
            process.start()
            orders_there.close()
            results_there.close()
            self.processes.append(process)
            self.order_pipes.append(orders_here)
            self.result_pipes.append(results_here)
        self._closer = weakref.finalize(
            self, _end_workers, os.getpid(), self.processes, self.order_pipes, self.result_pipes
        )

    def close(self) -> None:
        self.ended = True
        self._closer()

    def restart(self) -> None:
        from flambeau.utils.data.worker import NewEpoch

        if self._closer.alive is False:
            raise RuntimeError("the workers of this DataLoader have ended: make a new iterator")
        self._discard_outstanding()
        self._begin(None)
        self.ended = False
        self._forget_orders()
        if self.loader._is_stream:
            for pipe in self.order_pipes:
                pipe.send(NewEpoch())
        self._fill()

    def _discard_outstanding(self) -> None:
        """Receives what is still on its way from an epoch that was left early."""
        self._closed_to_orders = True
        while any(self.pending):
            self._receive()

    # Orders ---------------------------------------------------------------------------------------

    def _forget_orders(self) -> None:
        count = self.loader.num_workers
        self.next_number = 0  # of the next order
        self.wanted = 0  # the number of the batch to yield next
        self.pending: list[deque[int]] = [deque() for _ in range(count)]
        self.worker_of: dict[int, int] = {}
        self.arrived: dict[int, tuple[Any, Any]] = {}
        self.active = [True] * count  # whether a worker's stream goes on
        self.turn = 0
        self._closed_to_orders = False

    def _fill(self) -> None:
        """Skips what a resumed epoch has behind it, and gives every worker its first orders."""
        skip = self.to_skip
        if self.loader._is_stream:
            # A stream can only be moved on by reading it, each worker its part.
            for _ in range(skip):
                self._give_order(discard=True)
        else:
            for _ in range(skip):
                next(self.indices, None)
            self.turn = skip % self.loader.num_workers
        self.yielded, self.to_skip = (0, skip) if self.loader._is_stream else (skip, 0)
        for _ in range((self.loader.prefetch_factor or 1) * self.loader.num_workers):
            self._give_order()

    def _give_order(self, discard: bool = False) -> None:
        """Gives the next index to the next worker whose stream goes on."""
        from flambeau.utils.data.worker import Order

        if self._closed_to_orders or not any(self.active):
            return
        try:
            index = next(self.indices)
        except StopIteration:
            self._closed_to_orders = True
            return
        while not self.active[self.turn]:
            self.turn = (self.turn + 1) % len(self.active)
        worker = self.turn
        self.turn = (worker + 1) % len(self.active)
        number, self.next_number = self.next_number, self.next_number + 1
        self.worker_of[number] = worker
        self.pending[worker].append(number)
        try:
            self.order_pipes[worker].send(Order(number, index, discard))
        except (BrokenPipeError, ConnectionResetError):
            self._raise_dead([worker])

    # Batches --------------------------------------------------------------------------------------

    def _next_batch(self) -> Any:
        from flambeau.utils.data.worker import StreamEnd

        while True:
            number = self._choose_arrived()
            if number is None:
                if not any(self.pending):
                    self._finish()
                    raise StopIteration
                self._receive()
                continue
            batch, state = self.arrived.pop(number)
            worker = self.worker_of.pop(number)
            if isinstance(batch, StreamEnd):
                self._skip_missing()
                continue
            self.random_states[worker] = state
            self._give_order()
            self._raise_if_error(batch)
            if self.yielded < self.to_skip:  # moving on in a resumed stream
                self.yielded += 1
                continue
            self.to_skip = 0
            return batch

    def _choose_arrived(self) -> int | None:
        """The number of the batch to yield now, if it has arrived."""
        if not self.loader.in_order:
            return next(iter(self.arrived), None)
        self._skip_missing()
        if self.wanted in self.arrived:
            self.wanted += 1
            return self.wanted - 1
        return None

    def _skip_missing(self) -> None:
        """Steps over orders that ended streams will not serve."""
        while self.wanted < self.next_number and self.wanted not in self.worker_of:
            self.wanted += 1

    def _receive(self) -> None:
        """Waits for a result of any worker; raises if one dies or the time is over."""
        from multiprocessing.connection import wait

        from flambeau.utils.data import shared_memory
        from flambeau.utils.data.worker import StreamEnd

        limit = self.loader.timeout
        deadline = time.monotonic() + limit if limit else None
        expected = [worker for worker, numbers in enumerate(self.pending) if numbers]
        while True:
            watched = {self.result_pipes[w]: w for w in expected}
            sentinels = {self.processes[w].sentinel: w for w in expected}
            left = PATIENCE if deadline is None else max(0.0, deadline - time.monotonic())
            ready = wait([*watched, *sentinels], min(left, PATIENCE))
            got_any = False
            for pipe in ready:
                if pipe not in watched:
                    continue
                worker = watched[pipe]  # type: ignore[index]
                try:
                    number, batch, state = shared_memory.receive(pipe)  # type: ignore[arg-type]
                except (EOFError, OSError):
                    self._raise_dead([worker])
                got_any = True
                self.pending[worker].remove(number)
                self.arrived[number] = (batch, state)
                if isinstance(batch, StreamEnd):
                    self._end_stream(worker)
            if got_any:
                return
            dead = [w for s, w in sentinels.items() if s in ready]
            if dead:
                self._raise_dead(dead)
            if deadline is not None and time.monotonic() >= deadline:
                self.close()
                raise RuntimeError(f"DataLoader timed out after {limit} seconds")

    def _end_stream(self, worker: int) -> None:
        """A worker's stream is over: its further orders will bring nothing but the same."""
        if self.active[worker]:
            self.active[worker] = False
            self._give_order()

    def _raise_if_error(self, batch: Any) -> None:
        from flambeau.utils.data.worker import WorkerError

        if isinstance(batch, WorkerError):
            if not self.loader.persistent_workers:
                self.close()
            batch.reraise()

    def _raise_dead(self, workers: list[int]) -> None:
        reasons = []
        for worker in workers:
            process = self.processes[worker]
            process.join(PATIENCE)
            reasons.append(f"{process.pid} ({_reason(process.exitcode)})")
        self.close()
        raise RuntimeError(
            f"DataLoader worker (pid(s) {', '.join(reasons)}) exited unexpectedly"
        )

    def _finish(self) -> None:
        if not self.loader.persistent_workers:
            self.close()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "workers": dict(self.random_states)}


def _reason(exit_code: int | None) -> str:
    """Why a process ended, in words."""
    import signal

    if exit_code is None:
        return "still ending"
    if exit_code >= 0:
        return f"exit status {exit_code}"
    return f"killed by signal: {signal.Signals(-exit_code).name}"


def _end_workers(
    parent: int, processes: list[Any], order_pipes: list[Any], result_pipes: list[Any]
) -> None:
    """Asks the workers to leave, and ends those that do not."""
    if os.getpid() != parent:
        return  # a copy in a worker of another loader, forked while this one was alive
    for pipe in order_pipes:
        try:
            pipe.send(None)
        except (BrokenPipeError, ConnectionResetError, OSError, ValueError):
            continue  # that one is gone already
    for pipe in (*order_pipes, *result_pipes):
        pipe.close()
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.terminate()
            process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
