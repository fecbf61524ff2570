"""Pipes that stream: `map`, `filter`, `batch`, `shuffle`, `zip` and their kind."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

from flambeau.utils.data.collate import default_collate
from flambeau.utils.data.datapipes.base import (
    DataChunk,
    IterDataPipe,
    functional_datapipe,
    seed_of_pass,
)
from flambeau.utils.data.worker import get_worker_info

__all__ = [
    "Batcher", "Collator", "Concater", "Demultiplexer", "Filter", "Forker", "Grouper", "IterableWrapper", "Mapper",
    "Multiplexer", "ShardingFilter", "Shuffler", "UnBatcher", "Zipper",
]  # fmt: skip


def _length(pipe: Any, of: Any) -> int:
    if isinstance(of, Sized):
        return len(of)
    raise TypeError(f"{type(pipe).__name__} instance doesn't have valid length")


class IterableWrapper(IterDataPipe):
    """Anything that can be iterated as a pipe; copied first, unless `deepcopy` is off, so that no pass changes it."""

    def __init__(self, iterable: Iterable[Any], deepcopy: bool = True):
        self.iterable, self.deepcopy = iterable, deepcopy

    def __iter__(self) -> Iterator[Any]:
        import copy

        yield from copy.deepcopy(self.iterable) if self.deepcopy else self.iterable

    def __len__(self) -> int:
        return len(self.iterable)  # type: ignore[arg-type]


@functional_datapipe("map")
class Mapper(IterDataPipe):
    """`fn` of each sample; of its part at `input_col`, put in its place or at `output_col` (-1: at the end)."""

    def __init__(self, datapipe: Any, fn: Callable[..., Any], input_col: Any = None, output_col: Any = None):
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        self.datapipe, self.fn, self.input_col, self.output_col = datapipe, fn, input_col, output_col

    def _apply(self, sample: Any) -> Any:
        if self.input_col is None:
            return self.fn(sample)
        many = isinstance(self.input_col, (list, tuple))
        result = self.fn(*[sample[c] for c in self.input_col]) if many else self.fn(sample[self.input_col])
        made = list(sample) if isinstance(sample, tuple) else type(sample)(sample)
        if self.output_col == -1:
            made.append(result)
        else:
            target = self.output_col
            if target is None:
                target = self.input_col[0] if many else self.input_col
                for column in sorted(self.input_col[1:], reverse=True) if many else ():
                    del made[column]
            made[target] = result
        return tuple(made) if isinstance(sample, tuple) else made

    def __iter__(self) -> Iterator[Any]:
        for sample in self.datapipe:
            yield self._apply(sample)

    def __len__(self) -> int:
        return _length(self, self.datapipe)


@functional_datapipe("filter")
class Filter(IterDataPipe):
    """The samples for which `filter_fn` (of the part at `input_col`, if given) is true."""

    def __init__(self, datapipe: Any, filter_fn: Callable[..., bool], input_col: Any = None):
        self.datapipe, self.filter_fn, self.input_col = datapipe, filter_fn, input_col

    def __iter__(self) -> Iterator[Any]:
        column = self.input_col
        for sample in self.datapipe:
            if column is None:
                keep = self.filter_fn(sample)
            elif isinstance(column, (list, tuple)):
                keep = self.filter_fn(*[sample[c] for c in column])
            else:
                keep = self.filter_fn(sample[column])
            if not isinstance(keep, bool):
                raise ValueError(f"Boolean output is required for `filter_fn` of FilterIterDataPipe, got {type(keep)}")
            if keep:
                yield sample


@functional_datapipe("batch")
class Batcher(IterDataPipe):
    """Lists of `batch_size` samples; the last one may be shorter, or is left out with `drop_last`."""

    def __init__(
        self, datapipe: Any, batch_size: int, drop_last: bool = False, wrapper_class: Callable[..., Any] = DataChunk
    ):
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        self.datapipe, self.batch_size, self.drop_last, self.wrapper_class = datapipe, batch_size, drop_last, wrapper_class

    def __iter__(self) -> Iterator[Any]:
        samples = iter(self.datapipe)
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.wrapper_class(batch)

    def __len__(self) -> int:
        count = _length(self, self.datapipe)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


@functional_datapipe("unbatch")
class UnBatcher(IterDataPipe):
    """The samples of batches, of `unbatch_level` levels of them, or of all (-1)."""

    def __init__(self, datapipe: Any, unbatch_level: int = 1):
        if unbatch_level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        self.datapipe, self.unbatch_level = datapipe, unbatch_level

    def __iter__(self) -> Iterator[Any]:
        for sample in self.datapipe:
            yield from self._open(sample, self.unbatch_level)

    def _open(self, sample: Any, levels: int) -> Iterator[Any]:
        if levels == 0 or (levels == -1 and not isinstance(sample, list)):
            yield sample
        elif not isinstance(sample, list):
            raise IndexError(f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe")
        else:
            for part in sample:
                yield from self._open(part, levels if levels == -1 else levels - 1)


@functional_datapipe("collate")
class Collator(Mapper):
    """Each batch as tensors, by `default_collate` or a function of one's own."""

    def __init__(self, datapipe: Any, collate_fn: Callable[..., Any] | None = None):
        super().__init__(datapipe, fn=default_collate if collate_fn is None else collate_fn)


@functional_datapipe("shuffle")
class Shuffler(IterDataPipe):
    """The samples in random order, drawn from a buffer of `buffer_size`. The seed comes from the default generator."""

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0):
        if buffer_size <= 0:
            raise ValueError("buffer_size should be larger than 0")
        self.datapipe = datapipe if unbatch_level == 0 else UnBatcher(datapipe, unbatch_level)
        self.buffer_size, self._enabled, self._seed = buffer_size, True, None
        self._random = random.Random()

    def set_shuffle(self, shuffle: bool = True) -> Shuffler:
        """Switches shuffling on or off."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> Shuffler:
        """The seed of the next pass."""
        self._seed = seed
        return self

    def reset(self) -> None:
        if self._enabled:
            self._random.seed(seed_of_pass() if self._seed is None else self._seed)
            self._seed = None

    def __iter__(self) -> Iterator[Any]:
        if not self._enabled:
            yield from self.datapipe
            return
        buffer: list[Any] = []
        for sample in self.datapipe:
            if len(buffer) < self.buffer_size:
                buffer.append(sample)
                continue
            place = self._random.randint(0, len(buffer) - 1)
            chosen, buffer[place] = buffer[place], sample
            yield chosen
        while buffer:
            yield buffer.pop(self._random.randint(0, len(buffer) - 1))

    def __len__(self) -> int:
        return _length(self, self.datapipe)


@functional_datapipe("sharding_filter")
class ShardingFilter(IterDataPipe):
    """Every n-th sample, where the pipe is one of n that share the work, as in a loader's workers; all of them if not."""

    def __init__(self, source_datapipe: Any, sharding_group_filter: Any = None):
        self.source_datapipe = source_datapipe
        self.num_of_instances, self.instance_id = 1, 0

    def apply_sharding(self, num_of_instances: int, instance_id: int, sharding_group: Any = None) -> None:
        """Says that this is number `instance_id` of `num_of_instances`."""
        if instance_id >= num_of_instances:
            raise ValueError(f"instance_id({instance_id}) should be smaller than num_of_instances({num_of_instances})")
        self.num_of_instances, self.instance_id = num_of_instances, instance_id

    def _share(self) -> tuple[int, int]:
        info = get_worker_info()
        if self.num_of_instances == 1 and info is not None:
            return info.id, info.num_workers
        return self.instance_id, self.num_of_instances

    def __iter__(self) -> Iterator[Any]:
        first, step = self._share()
        yield from itertools.islice(self.source_datapipe, first, None, step)

    def __len__(self) -> int:
        first, step = self._share()
        return len(range(first, _length(self, self.source_datapipe), step))


# Several pipes ------------------------------------------------------------------------------------


class _OfSeveral(IterDataPipe):
    def __init__(self, *datapipes: Any):
        if not datapipes:
            raise ValueError(f"Expected at least one DataPipe for {type(self).__name__}, but got nothing")
        if not all(isinstance(d, IterDataPipe) for d in datapipes):
            raise TypeError(f"All inputs are required to be `IterDataPipe` for {type(self).__name__}.")
        self.datapipes = datapipes


@functional_datapipe("zip")
class Zipper(_OfSeveral):
    """Tuples of a sample of each pipe, until one ends."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        yield from zip(*self.datapipes, strict=False)

    def __len__(self) -> int:
        return min(_length(self, d) for d in self.datapipes)


@functional_datapipe("concat")
class Concater(_OfSeveral):
    """The samples of one pipe after the other."""

    def __iter__(self) -> Iterator[Any]:
        yield from itertools.chain(*self.datapipes)

    def __len__(self) -> int:
        return sum(_length(self, d) for d in self.datapipes)


@functional_datapipe("mux")
class Multiplexer(_OfSeveral):
    """A sample of each pipe in turn, until one ends."""

    def __iter__(self) -> Iterator[Any]:
        for round_ in zip(*self.datapipes, strict=False):
            yield from round_

    def __len__(self) -> int:
        return min(_length(self, d) for d in self.datapipes) * len(self.datapipes)


class _Branches:
    """What the branches of one pipe share: the pass over it, and what each has not yet read."""

    def __init__(self, datapipe: Any, count: int, buffer_size: int, places: Callable[[Any], Iterable[int]]):
        self.datapipe, self.count, self.buffer_size, self.places = datapipe, count, buffer_size, places
        self.begun = [True] * count

    def begin(self, branch: int) -> None:
        """A new pass for all, where this branch is in one already."""
        if self.begun[branch]:
            self.begun = [False] * self.count
            self.samples = iter(self.datapipe)
            self.waiting: list[deque[Any]] = [deque() for _ in range(self.count)]
        self.begun[branch] = True

    def read(self, branch: int) -> Iterator[Any]:
        self.begin(branch)
        while True:
            while not self.waiting[branch]:
                try:
                    sample = next(self.samples)
                except StopIteration:
                    return
                for place in self.places(sample):
                    self.waiting[place].append(sample)
                if 0 <= self.buffer_size < sum(map(len, self.waiting)) / self.count:
                    raise BufferError(f"DataPipe buffer overflow, buffer size {self.buffer_size} is insufficient.")
            yield self.waiting[branch].popleft()


class _Branch(IterDataPipe):
    """One of the pipes that a pipe was parted into."""

    def __init__(self, branches: _Branches, number: int, sized: bool):
        self.branches, self.number, self.sized = branches, number, sized

    def __iter__(self) -> Iterator[Any]:
        return self.branches.read(self.number)

    def __len__(self) -> int:
        if not self.sized:
            raise TypeError("a branch of demux doesn't have valid length")
        return _length(self, self.branches.datapipe)


@functional_datapipe("fork")
class Forker(IterDataPipe):
    """`num_instances` pipes that all stream the samples of one; those ahead leave at most `buffer_size` behind."""

    def __new__(cls, datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: Any = None) -> Any:
        if num_instances < 1:
            raise ValueError(f"Expected `num_instances` larger than 0, but {num_instances} is found")
        if copy is not None:
            raise NotImplementedError("fork: copies of samples (copy=) are not supported; map(copy.deepcopy) makes them")
        shared = _Branches(datapipe, num_instances, buffer_size, lambda sample: range(num_instances))
        return [_Branch(shared, i, True) for i in range(num_instances)]


@functional_datapipe("demux")
class Demultiplexer(IterDataPipe):
    """`num_instances` pipes, of which each sample goes to the one that `classifier_fn` says (None: to none)."""

    def __new__(
        cls, datapipe: Any, num_instances: int, classifier_fn: Callable[[Any], int | None], drop_none: bool = False,
        buffer_size: int = 1000,
    ) -> Any:  # fmt: skip
        if num_instances < 1:
            raise ValueError(f"Expected `num_instances` larger than 0, but {num_instances} is found")

        def places(sample: Any) -> list[int]:
            place = classifier_fn(sample)
            if place is None and drop_none:
                return []
            if place is None or not 0 <= place < num_instances:
                raise ValueError(
                    f"Output of the classification fn should be between 0 and {num_instances - 1}. {place} is returned."
                )
            return [int(place)]

        shared = _Branches(datapipe, num_instances, buffer_size, places)
        return [_Branch(shared, i, False) for i in range(num_instances)]


@functional_datapipe("groupby")
class Grouper(IterDataPipe):
    """Lists of samples with the same `group_key_fn`: full ones at `group_size`, the largest when the buffer is full."""

    def __init__(
        self, datapipe: Any, group_key_fn: Callable[[Any], Any], *, keep_key: bool = False, buffer_size: int = 10000,
        group_size: int | None = None, guaranteed_group_size: int | None = None, drop_remaining: bool = False,
    ):  # fmt: skip
        self.datapipe, self.group_key_fn, self.keep_key = datapipe, group_key_fn, keep_key
        self.buffer_size, self.group_size, self.drop_remaining = buffer_size, group_size, drop_remaining
        whole = group_size is not None and buffer_size is not None and 0 < group_size <= buffer_size
        self.guaranteed_group_size = guaranteed_group_size or (group_size if whole else None)

    def _given(self, key: Any, group: list[Any]) -> Any:
        return (key, DataChunk(group)) if self.keep_key else DataChunk(group)

    def __iter__(self) -> Iterator[Any]:
        groups: dict[Any, list[Any]] = defaultdict(list)
        count = 0
        for sample in self.datapipe:
            key = self.group_key_fn(sample)
            groups[key].append(sample)
            count += 1
            if self.group_size == len(groups[key]):
                count -= len(groups[key])
                yield self._given(key, groups.pop(key))
            if count == self.buffer_size:
                key = max(groups, key=lambda k: len(groups[k]))
                group = groups.pop(key)
                count -= len(group)
                if self.guaranteed_group_size is not None and len(group) < self.guaranteed_group_size:
                    if not self.drop_remaining:
                        raise RuntimeError(f"Failed to group items, only {len(group)} of {self.guaranteed_group_size}: {group}")
                else:
                    yield self._given(key, group)
        for key in list(groups):
            yield self._given(key, groups.pop(key))
