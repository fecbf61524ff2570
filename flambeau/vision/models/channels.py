"""Numbers of channels that vectors divide."""

from __future__ import annotations


def make_divisible(value: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, but no more than a tenth below it."""
    least = divisor if min_value is None else min_value
    nearest = max(least, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest
