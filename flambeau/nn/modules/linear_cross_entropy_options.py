"""The options of `LinearCrossEntropyLoss`."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["LinearCrossEntropyOptions"]


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch's loss is computed a piece of the batch at a time, to save memory.

    Flambeau computes it in one way and gives the same result; the options are kept and shown.

    Attributes:
        allow_retain_graph: keep what a second backward pass needs.
        batch_chunk_size: rows in a piece.
        chunking_method: how that number is found.
        acc_policy: where sums are kept.
        acc_dtype: and in which dtype.

    Raises:
        ValueError: for a number of rows that is not positive.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
