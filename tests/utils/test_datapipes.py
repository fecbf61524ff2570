"""Data pipes: what each gives, passes, names, loaders and their workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import flambeau as torch
from flambeau.utils.data import DataLoader, IterDataPipe, MapDataPipe, functional_datapipe
from flambeau.utils.data.datapipes.iter import IterableWrapper
from flambeau.utils.data.datapipes.map import SequenceWrapper


class Count(IterDataPipe):
    """0, 1, ..., n - 1."""

    def __init__(self, n: int):
        self.n = n

    def __iter__(self) -> Iterator[int]:
        yield from range(self.n)

    def __len__(self) -> int:
        return self.n


def even(x: int) -> bool:
    return x % 2 == 0


def parity(x: int) -> int:
    return x % 2


CASES: dict[str, tuple[Any, list]] = {
    "map": (lambda: Count(3).map(lambda x: x + 1), [1, 2, 3]),
    "map of a column": (lambda: IterableWrapper([(1, 2)]).map(str, input_col=1), [(1, "2")]),
    "map of columns": (lambda: IterableWrapper([[1, 2, 3]]).map(max, input_col=[0, 2]), [[3, 2]]),
    "map to a new column": (lambda: IterableWrapper([(1, 2)]).map(str, input_col=0, output_col=-1), [(1, 2, "1")]),
    "filter": (lambda: Count(5).filter(even), [0, 2, 4]),
    "batch": (lambda: Count(5).batch(2), [[0, 1], [2, 3], [4]]),
    "batch, whole ones": (lambda: Count(5).batch(2, drop_last=True), [[0, 1], [2, 3]]),
    "unbatch": (lambda: Count(4).batch(2).batch(2).unbatch(unbatch_level=-1), [0, 1, 2, 3]),
    "zip": (lambda: Count(3).zip(Count(4)), [(0, 0), (1, 1), (2, 2)]),
    "concat": (lambda: Count(2).concat(Count(2)), [0, 1, 0, 1]),
    "mux": (lambda: Count(2).mux(Count(3)), [0, 0, 1, 1]),
    "groupby": (lambda: Count(6).groupby(parity), [[0, 2, 4], [1, 3, 5]]),
    "groupby, small": (lambda: Count(6).groupby(parity, group_size=2, buffer_size=4), [[0, 2], [1, 3], [4], [5]]),
    "groupby with keys": (lambda: Count(3).groupby(parity, keep_key=True), [(0, [0, 2]), (1, [1])]),
    "shuffle": (lambda: Count(10).shuffle().set_seed(3), [3, 9, 2, 4, 7, 6, 0, 8, 1, 5]),
    "shuffle, off": (lambda: Count(3).shuffle().set_shuffle(False), [0, 1, 2]),
    "keys: map": (lambda: SequenceWrapper([1, 2]).map(str), ["1", "2"]),
    "keys: batch": (lambda: SequenceWrapper(range(3)).batch(2), [[0, 1], [2]]),
    "keys: zip": (lambda: SequenceWrapper([1, 2]).zip(SequenceWrapper([3])), [(1, 3)]),
    "keys: concat": (lambda: SequenceWrapper([1, 2]).concat(SequenceWrapper([3])), [1, 2, 3]),
    "keys: shuffle": (lambda: SequenceWrapper([0, 2, 4, 6]).shuffle().set_seed(0), [4, 0, 2, 6]),
}


@pytest.mark.parametrize("name", CASES)
def test_samples(name: str) -> None:
    make, expected = CASES[name]
    assert list(make()) == expected
    if "filter" not in name and "unbatch" not in name and "groupby" not in name:
        assert len(make()) == len(expected)


def test_collate() -> None:
    assert [b.tolist() for b in Count(4).batch(2).collate()] == [[0, 1], [2, 3]]


def test_branches() -> None:
    a, b = Count(4).fork(2)
    assert list(zip(a, b, strict=True)) == [(i, i) for i in range(4)] and list(a) == [0, 1, 2, 3]
    evens, odds = Count(4).demux(2, parity)
    assert (list(odds), list(evens)) == ([1, 3], [0, 2])
    with pytest.raises(BufferError, match="buffer size 1 is insufficient"):
        list(Count(9).fork(2, buffer_size=1)[0])
    with pytest.raises(ValueError, match="classification fn should be between 0 and 0. 1 is returned"):
        list(Count(4).demux(1, parity)[0])


def test_a_new_pass_ends_the_old_one() -> None:
    pipe = Count(3)
    first = iter(pipe)
    next(first)
    assert list(pipe) == [0, 1, 2]
    with pytest.raises(RuntimeError, match="This iterator has been invalidated"):
        next(first)


def test_names_are_registered_once() -> None:
    @functional_datapipe("twice_for_the_test")
    class Twice(IterDataPipe):
        def __init__(self, datapipe: Any):
            self.datapipe = datapipe

        def __iter__(self) -> Iterator[Any]:
            for x in self.datapipe:
                yield 2 * x

    try:
        assert list(Count(3).twice_for_the_test()) == [0, 2, 4]
        with pytest.raises(Exception, match="it is already taken"):
            functional_datapipe("twice_for_the_test")(Twice)
    finally:
        del IterDataPipe.functions["twice_for_the_test"]
    with pytest.raises(AttributeError, match="'Count' object has no attribute 'foo"):
        Count(3).foo()
    with pytest.raises(TypeError, match="neither an IterDataPipe nor a MapDataPipe"):
        functional_datapipe("zz")(int)


def test_loaders_and_their_workers() -> None:
    class Keys(MapDataPipe):
        def __getitem__(self, index: int) -> int:
            return index * 2

        def __len__(self) -> int:
            return 4

    assert [b.tolist() for b in DataLoader(Keys(), batch_size=2)] == [[0, 2], [4, 6]]
    in_order = [b.tolist() for b in DataLoader(Count(4).shuffle().map(parity), batch_size=4, shuffle=False)]
    assert in_order == [[0, 1, 0, 1]]
    with pytest.warns(UserWarning, match="does not contain a `Shuffler`"):
        (batch,) = DataLoader(Count(20), batch_size=20, shuffle=True)
    assert batch.tolist() != list(range(20)) and sorted(batch.tolist()) == list(range(20))
    torch.manual_seed(0)
    pipe = Count(20).shuffle().sharding_filter()
    found = [b.tolist() for b in DataLoader(pipe, batch_size=5, num_workers=2)]
    samples = [x for b in found for x in b]
    assert sorted(samples) == list(range(20)) and samples != sorted(samples)
