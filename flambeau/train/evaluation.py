"""What scoring a data set gives: the scores, and the outputs they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Evaluation:
    """A data set, scored.

    Attributes:
        scores: the mean loss, and each metric by its name.
        outputs: what the network gave for each sample.
        targets: what it should have given.
        errors: how wrong each sample is; larger is worse.
        seconds: the time that it took.
    """

    scores: dict[str, float]
    outputs: np.ndarray
    targets: np.ndarray
    errors: np.ndarray
    seconds: float

    def worst(self, count: int) -> list[int]:
        """The places of the samples with the largest errors, the worst first."""
        return [int(i) for i in np.argsort(-self.errors, kind="stable")[:count]]

    def best(self, count: int) -> list[int]:
        """The places of the samples with the smallest errors, the best first."""
        return [int(i) for i in np.argsort(self.errors, kind="stable")[:count]]
