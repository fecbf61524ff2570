"""Square blocks turned in registers."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.kernels.language import Function, Value


def transposed(f: Function, rows: Sequence[Value]) -> list[Value]:
    """As many vectors as lanes, turned: element j of row i becomes element i of row j.

    In log2(lanes) rounds, exchanging ever smaller off-diagonal blocks.
    """
    lanes = rows[0].lanes
    if len(rows) != lanes:
        raise ValueError(f"{len(rows)} rows of {lanes} lanes are no square")
    block, turned = lanes // 2, list(rows)
    while block:
        upper = [j if not j & block else (j ^ block) + lanes for j in range(lanes)]
        lower = [j | block if not j & block else j + lanes for j in range(lanes)]
        for i in range(lanes):
            if not i & block:
                a, b = turned[i], turned[i | block]
                turned[i] = f.shuffle(a, b, upper)
                turned[i | block] = f.shuffle(a, b, lower)
        block //= 2
    return turned


def lane_sums(f: Function, rows: Sequence[Value]) -> list[Value]:
    """The sum over the lanes of each vector, as scalars; several vectors are folded at once."""
    lanes, sums = rows[0].lanes, []
    done = 0
    while done < len(rows):
        count = min(lanes, 1 << ((len(rows) - done).bit_length() - 1))
        together = folded(f, rows[done : done + count])
        sums += [f.extract(together, i * (lanes // count)) for i in range(count)]
        done += count
    return sums


def folded(f: Function, rows: Sequence[Value]) -> Value:
    """The lane sums of a power of two of vectors; that of row i in lane i * lanes / rows.

    Each round exchanges halves of two vectors and adds, so that both sums go on in one vector.
    """
    lanes, sums, block = rows[0].lanes, list(rows), rows[0].lanes // 2
    while block:
        upper = [j if not j & block else (j ^ block) + lanes for j in range(lanes)]
        lower = [j | block if not j & block else j + lanes for j in range(lanes)]
        if len(sums) > 1:
            half = len(sums) // 2
            sums = [
                f.shuffle(a, b, upper) + f.shuffle(a, b, lower)
                for a, b in zip(sums[:half], sums[half:], strict=True)
            ]
        else:
            (total,) = sums
            sums = [total + f.shuffle(total, total, [j ^ block for j in range(lanes)])]
        block //= 2
    return sums[0]


def interleaved(f: Function, vectors: Sequence[Value]) -> list[Value]:
    """Two or four vectors dealt out: the first of each, then the second of each, ..."""
    if len(vectors) == 1:
        return list(vectors)
    lanes, half = vectors[0].lanes, len(vectors) // 2
    low = [lane // 2 + lanes * (lane % 2) for lane in range(lanes)]
    high = [lane + lanes // 2 for lane in low]
    evens, odds = (interleaved(f, vectors[first::2]) for first in (0, 1))
    dealt = []
    for a, b in zip(evens, odds, strict=True):
        dealt += [f.shuffle(a, b, low), f.shuffle(a, b, high)]
    assert len(dealt) == 2 * half
    return dealt
