"""The register tile of a convolution: some output channels times some vectors of pixels.

Each step adds to every accumulator a vector of the input times one weight, broadcast. Any
kernel, stride and number of channels runs at the same rate, since nothing is ever shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.kernels.language import Function, Mask, Pointer, Value
from flambeau.kernels.target import Target

#: Multiply-adds in flight that hide their latency.
_IN_FLIGHT = 10


@dataclass(frozen=True)
class Tap:
    """One weight's offset, and for each vector of the tile its input's; None where outside."""

    weight: int
    inputs: tuple[int | None, ...]


def choose_tile(target: Target, channels: int, vectors: int) -> tuple[int, int]:
    """How many channels and how many vectors a tile has, for so many of both in all.

    Counts cycles: two multiply-adds or two loads a cycle, or the latency if there are few sums;
    tiles are as equal as can be, so a count that a tile does not divide costs a smaller tile.
    """
    best, choice = float("inf"), (1, 1)
    for rows in range(1, min(channels, 16) + 1):
        for columns in range(1, min(vectors, 16) + 1):
            kept = min(rows, columns)  # operands that wait in registers
            if rows * columns + kept + 1 > target.registers:
                continue
            tiles = -(-channels // rows) * -(-vectors // columns)
            sums = (channels * vectors) / tiles
            loads = (rows + 1.3 * columns) / (rows * columns) * sums
            cycles = tiles * max(sums, loads, _IN_FLIGHT * 0.9)
            cycles += tiles * 0.3 * (rows + columns) / 4
            if cycles < best:
                best, choice = cycles, (rows, columns)
    return choice


def emit_taps(
    f: Function, x: Pointer, weight: Pointer, taps: Sequence[Tap], channels: int,
    weight_stride: int, sums: Sequence[Value], masks: Sequence[Mask | None],
) -> list[Value]:  # fmt: skip
    """Adds the products of all taps to `sums`, which holds for each channel its vectors.

    Args:
        f: the function being written.
        x, weight: where the offsets of taps count from.
        taps: what is multiplied.
        channels: of the tile.
        weight_stride: between the weights of neighbouring channels.
        sums: accumulators, channel by channel.
        masks: of the tile's vectors.
    """
    sums, vectors = list(sums), len(masks)
    lanes = sums[0].lanes
    # Vectors that the next tap needs again would wait in registers: where there is no room for them, sums would spill.
    waiting = vectors + (channels if channels < vectors else 1)
    crowded = len(sums) + waiting + 1 > f.target.registers
    for tap in taps:
        x = f.opaque(x) if crowded else x
        here = [v for v in range(vectors) if tap.inputs[v] is not None]

        def vector(v: int, tap: Tap = tap) -> Value:
            offset = tap.inputs[v]
            assert offset is not None
            return (x + offset).load(lanes, mask=masks[v])

        def spread(c: int, tap: Tap = tap) -> Value:
            return (weight + (tap.weight + c * weight_stride)).broadcast(lanes)

        # The smaller set of operands waits in registers while the other streams past.
        if channels < len(here):
            kept = [spread(c) for c in range(channels)]
            pairs = ((v, vector(v)) for v in here)
            for v, value in pairs:
                for c in range(channels):
                    at = c * vectors + v
                    sums[at] = f.fma(value, kept[c], sums[at])
        else:
            loaded = {v: vector(v) for v in here}
            for c in range(channels):
                value = spread(c)
                for v in here:
                    at = c * vectors + v
                    sums[at] = f.fma(loaded[v], value, sums[at])
    return sums
