"""Samplers: the order in which a loader visits a data set.

Those of this module can say where their order comes from (`epoch_state`), so that a loader resumes
in the middle of an epoch without drawing random numbers anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from flambeau import ops
from flambeau.core.dtypes import float64, int64
from flambeau.core.generator import Generator
from flambeau.tensor import Tensor

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T = TypeVar("T", covariant=True)


def draw_seed(generator: Generator | None = None) -> int:
    """A seed of 63 random bits."""
    return int(ops.empty((), dtype=int64).random_(generator=generator).item())


class Sampler(Generic[T]):
    """An order of indices (or of lists of them): subclasses define `__iter__`."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class _ResumableSampler(Sampler[T]):
    """A sampler whose order follows from what `epoch_state` returns.

    `state_dict` adds how many indices were given out, so it can be resumed on its own too.
    """

    _yielded = 0
    _skip = 0
    _resumed: dict[str, Any] | None = None

    def _order(self, start: dict[str, Any] | None) -> Iterator[T]:
        """The indices of an epoch; `start` is the `epoch_state` to repeat, if any."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[T]:
        start, self._resumed = self._resumed, None
        skip, self._skip = self._skip, 0
        self._yielded = 0
        for index in self._order(start):
            self._yielded += 1
            if self._yielded > skip:
                yield index

    def epoch_state(self) -> dict[str, Any]:
        """What the order of the running epoch follows from."""
        return {}

    def load_epoch_state(self, state: dict[str, Any]) -> None:
        """The next epoch repeats the order of the epoch that `state` comes from."""
        self._resumed = dict(state)

    def state_dict(self) -> dict[str, Any]:
        """The order of the running epoch, and how far it is."""
        return {**self.epoch_state(), "yielded": self._yielded}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration goes on where the epoch that `state` comes from was."""
        start = dict(state)
        self._skip = start.pop("yielded")
        self.load_epoch_state(start)


class SequentialSampler(_ResumableSampler[int]):
    """0, 1, 2, ..."""

    data_source: Sized

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def _order(self, start: dict[str, Any] | None) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _RandomOrder(_ResumableSampler[int]):
    """A sampler that draws from `generator`, or from the default one if `None`."""

    generator: Generator | None
    _start: dict[str, Any] | None = None

    def _generator_for(self, start: dict[str, Any] | None) -> Generator | None:
        """The generator to draw from, set back where an epoch is repeated."""
        if self.generator is None and start is not None:
            generator = Generator()
            generator.set_state(start["generator"])
            self._start = start
            return generator
        if self.generator is not None and start is not None:
            self.generator.set_state(start["generator"])
        source = self.generator if self.generator is not None else _default()
        self._start = {"generator": ops.as_tensor(source.get_state())}
        return self.generator

    def epoch_state(self) -> dict[str, Any]:
        return dict(self._start or {})

    def load_epoch_state(self, state: dict[str, Any]) -> None:
        self._start = dict(state) or None
        self._resumed = self._start


def _default() -> Generator:
    from flambeau.core.generator import default_generator

    return default_generator


class RandomSampler(_RandomOrder):
    """Every index once in random order, or with `replacement` drawn anew each time.

    Args:
        data_source: what has a length.
        replacement: draw with replacement.
        num_samples: how many to draw, the length if `None`.
        generator: where the order comes from; a new one, seeded from the default one each
            epoch, if `None`.

    Raises:
        TypeError: if `replacement` is no bool.
        ValueError: if there is nothing to draw.
    """

    data_source: Sized
    replacement: bool

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                "num_samples should be a positive integer value, but got "
                f"num_samples={self.num_samples}"
            )

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _generator_for(self, start: dict[str, Any] | None) -> Generator | None:
        if self.generator is not None:
            return super()._generator_for(start)
        self._start = start or {"seed": draw_seed()}
        generator = Generator()
        generator.manual_seed(self._start["seed"])
        return generator

    def _order(self, start: dict[str, Any] | None) -> Iterator[int]:
        size, wanted = len(self.data_source), self.num_samples
        generator = self._generator_for(start)
        if self.replacement:
            blocks = [32] * (wanted // 32) + [wanted % 32]
            for block in blocks:
                drawn = ops.randint(size, (block,), dtype=int64, generator=generator)
                yield from drawn.tolist()
        else:
            for _ in range(wanted // size):
                yield from ops.randperm(size, generator=generator).tolist()
            rest = wanted % size
            # PyTorch draws this permutation even when nothing of it is used.
            yield from ops.randperm(size, generator=generator).tolist()[:rest]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_RandomOrder):
    """The given indices in random order."""

    indices: Sequence[int]

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def _order(self, start: dict[str, Any] | None) -> Iterator[int]:
        generator = self._generator_for(start)
        for position in ops.randperm(len(self.indices), generator=generator).tolist():
            yield self.indices[position]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_RandomOrder):
    """Indices drawn with given probabilities.

    Args:
        weights: for each index (they need not add up to 1).
        num_samples: how many to draw.
        replacement: draw with replacement.
        generator: where the random numbers come from.

    Raises:
        ValueError: for an argument of another kind or shape.
    """

    weights: Tensor
    num_samples: int
    replacement: bool

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                "num_samples should be a positive integer value, but got "
                f"num_samples={num_samples}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = ops.as_tensor(weights, dtype=float64)
        if self.weights.dim() != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def _order(self, start: dict[str, Any] | None) -> Iterator[int]:
        generator = self._generator_for(start)
        drawn = ops.multinomial(
            self.weights, self.num_samples, self.replacement, generator=generator
        )
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(_ResumableSampler[list[int]]):
    """Lists of `batch_size` indices of another sampler.

    Args:
        sampler: any iterable of indices.
        batch_size: the size of a list.
        drop_last: drop the last list if it is shorter.

    Raises:
        ValueError: for an argument of another kind.
    """

    def __init__(
        self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool
    ) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(
                "batch_size should be a positive integer value, but got "
                f"batch_size={batch_size}"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(
                f"drop_last should be a boolean value, but got drop_last={drop_last}"
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def _order(self, start: dict[str, Any] | None) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def epoch_state(self) -> dict[str, Any]:
        inner = getattr(self.sampler, "epoch_state", None)
        return {} if inner is None else {"sampler": inner()}

    def load_epoch_state(self, state: dict[str, Any]) -> None:
        inner: Any = self.sampler
        if "sampler" in state:
            inner.load_epoch_state(state["sampler"])

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        if self.drop_last:
            return count // self.batch_size
        return (count + self.batch_size - 1) // self.batch_size
