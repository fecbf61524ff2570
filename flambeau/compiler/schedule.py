"""Choices of the backend that a cost model makes, and that `mode="max-autotune"` tries out."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any


class Lanes(enum.Enum):
    """What fills the vectors of a convolution: samples, or neighbouring pixels."""

    COST = "cost"
    SAMPLES = "samples"
    PIXELS = "pixels"


@dataclass(frozen=True)
class Schedule:
    """How a program is to be done.

    Attributes:
        lanes: of convolutions; samples only where there is a vector of them.
        winograd: whether Winograd's algorithm may be used.
    """

    lanes: Lanes = Lanes.COST
    winograd: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return {**asdict(self), "lanes": self.lanes.value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Schedule:
        """The schedule that `as_dict` wrote. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        return cls(Lanes(values["lanes"]), bool(values["winograd"]))


#: What is tried; the first is what the cost model would do.
CANDIDATES = (
    Schedule(),
    Schedule(Lanes.SAMPLES),
    Schedule(Lanes.PIXELS),
    Schedule(Lanes.PIXELS, winograd=False),
)
