"""What the streaming scores share: batches come in, a score comes out, ranks are added up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self


class Metric(ABC):
    """A score over batches: `update` with each, then `compute`; `reset` forgets them all.

    Several processes each keep one of their own part of the data; `merge` adds another's batches, in
    any order, as if this one had seen them.
    """

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forgets all batches."""

    @abstractmethod
    def update(self, target: Any, prediction: Any) -> None:
        """Takes in a batch."""

    @abstractmethod
    def compute(self) -> Any:
        """The score of all batches so far."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Takes in all the batches that `other`, of the same class and arguments, has seen."""
