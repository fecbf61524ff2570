"""What a timer measured: seconds a run, several times over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def select_unit(t: float) -> tuple[str, float]:
    """The unit in which seconds are best told, and its length in seconds."""
    return next(((name, length) for name, length in _UNITS if t >= length), _UNITS[-1])


@dataclass
class Measurement:
    """Times of a statement.

    Attributes:
        number_per_run: how often the statement ran for each time.
        raw_times: seconds, each for all of its runs.
        title: what is told above the numbers.
        num_threads: how many threads computed.
    """

    number_per_run: int
    raw_times: list[float]
    title: str = ""
    num_threads: int = 1
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    metadata: dict | None = field(default=None)

    @property
    def times(self) -> list[float]:
        """Seconds for one run of the statement."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def mean(self) -> float:
        """The mean of `times`."""
        return float(np.mean(self.times))

    @property
    def median(self) -> float:
        """The median of `times`."""
        return float(np.median(self.times))

    @property
    def iqr(self) -> float:
        """The distance of the quartiles of `times`."""
        low, high = np.quantile(self.times, [0.25, 0.75])
        return float(high - low)

    def __repr__(self) -> str:
        unit, length = select_unit(self.median)
        lines = [f"<{type(self).__module__}.{type(self).__name__} object>", self.title]
        if len(self.times) > 1:
            lines.append(f"  Median: {self.median / length:.2f} {unit}")
            lines.append(f"  IQR:    {self.iqr / length:.2f} {unit}")
            lines.append(f"  {len(self.times)} measurements, {self.number_per_run} runs per measurement, ")
        else:
            lines.append(f"  {self.median / length:.2f} {unit}")
            lines.append(f"  1 measurement, {self.number_per_run} runs , ")
        return "\n".join(lines) + f"{self.num_threads} thread{'s' * (self.num_threads > 1)}"
