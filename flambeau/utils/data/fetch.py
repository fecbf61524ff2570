"""Fetching the samples of a batch: the part that workers and the single process share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["IndexFetcher", "StreamFetcher", "make_fetcher"]


class IndexFetcher:
    """Fetches by index; `batched` tells whether an index is a list of indices."""

    def __init__(
        self, dataset: Any, batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.batched = batched
        self.collate_fn = collate_fn

    def fetch(self, index: Any) -> Any:
        """The batch (or with `batched=False`, the sample) at `index`."""
        if not self.batched:
            return self.collate_fn(self.dataset[index])
        fetch_all = getattr(self.dataset, "__getitems__", None)
        if fetch_all:
            return self.collate_fn(fetch_all(index))
        return self.collate_fn([self.dataset[i] for i in index])


class StreamFetcher:
    """Fetches the next samples of a stream, as many as the list of indices is long."""

    def __init__(
        self, dataset: Any, batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.stream = iter(dataset)
        self.batched = batched
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = False

    def fetch(self, index: Any) -> Any:
        """The next batch (or sample). Raises `StopIteration` at the end."""
        return self.collate_fn(self.take(index))

    def take(self, index: Any) -> Any:
        """The samples of the next batch, not collated."""
        if self.ended:
            raise StopIteration
        if not self.batched:
            return next(self.stream)
        samples = []
        for _ in index:
            try:
                samples.append(next(self.stream))
            except StopIteration:
                self.ended = True
                break
        if not samples or (self.drop_last and len(samples) < len(index)):
            raise StopIteration
        return samples


def make_fetcher(
    is_stream: bool,
    dataset: Any,
    batched: bool,
    collate_fn: Callable[[Any], Any],
    drop_last: bool,
) -> IndexFetcher | StreamFetcher:
    """The fetcher for a data set of this kind."""
    kind = StreamFetcher if is_stream else IndexFetcher
    return kind(dataset, batched, collate_fn, drop_last)
